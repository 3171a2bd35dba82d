//! Rust code without its comments, strings and tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files below a folder, without those that are tests by their name.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// What of `source` is in the finished program, with its lines where they were.
pub(crate) fn code(source: &str) -> String {
    without_tests(&without_text(source))
}

/// How many lines hold code, be it that of tests. Comments and blank lines do not count.
pub(crate) fn lines(source: &str) -> usize {
    let code = without_text(source);
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// The lines, counted from 1, on which `source` says one of `words`.
pub(crate) fn find<'w>(source: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let code = code(source);
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let said = words.iter().filter(|word| says(line, word));
        found.extend(said.map(|word| (number + 1, *word)));
    }
    found
}

fn says(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// The same code with blanks in place of comments and quotation marks in place of literals, so that lines and columns
/// stay.
fn without_text(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(char) = rest.chars().next() {
        let after_word = out.ends_with(is_word);
        let (len, instead) = match char {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), Some(' ')),
            '/' if rest.starts_with("/*") => (block_comment(rest), Some(' ')),
            '"' => (string(rest), Some('"')),
            '\'' => match char_literal(rest) {
                Some(len) => (len, Some('"')),
                // A lifetime.
                None => (1, None),
            },
            'r' | 'b' | 'c' if !after_word => match raw_string(rest) {
                Some(len) => (len, Some('"')),
                None => (1, None),
            },
            _ => (char.len_utf8(), None),
        };
        let (piece, after) = rest.split_at(len);
        match instead {
            Some(instead) => out.extend(
                piece
                    .chars()
                    .map(|char| if char == '\n' { char } else { instead }),
            ),
            None => out.push_str(piece),
        }
        rest = after;
    }
    out
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let after_prefix = rest.trim_start_matches(['b', 'c']).strip_prefix('r')?;
    let inner = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - inner.len();
    let inner = inner.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - inner.len();
    let len = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(start + len)
}

fn char_literal(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        chars.next();
        return chars.find(|&(_, char)| char == '\'').map(|(at, _)| at + 1);
    }
    chars
        .next()
        .filter(|&(_, char)| char == '\'')
        .map(|(at, _)| at + 1)
}

/// Blanks what follows each `#[cfg(test)]` or `#[cfg(all(test, …))]`, up to the end of its braces or its semicolon.
fn without_tests(code: &str) -> String {
    const MARKS: [&str; 2] = ["#[cfg(test)]", "#[cfg(all(test,"];
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = MARKS.iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, item) = rest.split_at(at);
        let (item, after) = item.split_at(item_len(item));
        out.push_str(before);
        out.extend(item.chars().filter(|&char| char == '\n'));
        rest = after;
    }
    out + rest
}

fn item_len(item: &str) -> usize {
    let mut depth = 0;
    for (at, char) in item.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

#[test]
fn words_are_found_in_code() {
    let source = "use std::sync::Mutex;\nfn now() -> Instant {\n    Instant::now()\n}\n";
    let found = find(source, &["Mutex", "Instant::now"]);
    assert_eq!(found, [(1, "Mutex"), (3, "Instant::now")]);
    assert_eq!(
        find("fn f<'a>(x: &'a RwLock<u8>) {}", &["RwLock"]),
        [(1, "RwLock")]
    );
    assert_eq!(
        find(
            r#"let c = '"'; Mutex::new(b'\'', '\u{1F600}', "")"#,
            &["Mutex"]
        )
        .len(),
        1
    );
    assert_eq!(find("let s = r#\"\"Mutex\"#; Mutex", &["Mutex"]).len(), 1);
    assert_eq!(
        find("#[cfg(test)]\nmod tests {\n}\nrand::rng()", &["rand"]),
        [(4, "rand")]
    );
}

#[test]
fn words_in_comments_strings_tests_and_longer_words_do_not_count() {
    for source in [
        "//! let now = Instant::now();",
        "/* a /* nested */ Instant::now() */",
        "let text = \"a \\\" Instant::now\";",
        "let text = br##\"Instant::now \"# \"##;",
        "#[cfg(test)]\nmod tests {\n    fn f() { Instant::now() }\n}",
        "#[cfg(test)]\nuse x::Instant::now;",
        "#[cfg(all(test, unix))]\nuse x::Instant::now;",
        "MyInstant::now_and_then()",
    ] {
        assert_eq!(find(source, &["Instant::now"]), [], "{source}");
    }
}

#[test]
fn lines_of_code_are_those_that_are_no_comment() {
    let source =
        "//! What.\n\nconst A: &str = \"\n    // b\n\"; // c\n/* d\n*/\n#[cfg(test)]\nmod tests;\n";
    assert_eq!(lines(source), 5);
}
