//! What `docs/parity.md` says of tests: each that it names is there, and no row does without.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Why a row has no test.
const REASONS: &[&str] = &["refused: ", "Node only", "browser only"];

#[test]
fn every_row_names_a_test_that_is_there_or_says_why_it_has_none() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let text = fs::read_to_string(root.join("docs/parity.md")).unwrap();
    let mut sources = Sources {
        root,
        read: HashMap::new(),
    };
    let (mut rows, mut named, mut wrong) = (0, 0, Vec::new());
    for (at, line) in text.lines().enumerate().filter(|(_, line)| is_row(line)) {
        let mut says =
            |what: &str| wrong.push(format!("docs/parity.md:{}: {what}: {line}", at + 1));
        rows += 1;
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, shown] = cells[..] else {
            says("it has not three columns");
            continue;
        };
        if REASONS.iter().any(|reason| shown.starts_with(reason)) {
            continue;
        }
        let tests: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        if tests.is_empty() {
            says("it names no test and no reason");
        }
        for test in tests {
            named += 1;
            if let Err(what) = sources.find(test) {
                says(&what);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows > 350 && named > 280, "{rows} rows with {named} tests");
}

/// Neither a head nor the line below it.
fn is_row(line: &str) -> bool {
    line.starts_with("| ") && !line.starts_with("| Node |")
}

/// The files that tests are in, each read once.
struct Sources {
    root: PathBuf,
    read: HashMap<PathBuf, Option<String>>,
}

impl Sources {
    /// Looks for a test of this name.
    fn find(&mut self, test: &str) -> Result<(), String> {
        let (file, name) = test.split_once("::").ok_or("it is no name of a test")?;
        let found = match file.strip_prefix("interop/") {
            Some(script) => {
                let path = format!("interop/{script}.mjs");
                self.text(&path).map(|text| has_check(text, name))
            }
            None => {
                let (folder, file) = file.split_once('/').ok_or("it names no crate")?;
                let paths = [
                    format!("crates/{folder}/tests/suite/{file}.rs"),
                    format!("crates/{folder}/tests/{file}.rs"),
                    format!("crates/{folder}/tests/{file}/main.rs"),
                    format!("crates/{folder}/src/{file}.rs"),
                ];
                let mut has = None;
                for path in paths {
                    let here = self.text(&path).map(|text| has_test(text, name));
                    has = has.max(here);
                }
                has
            }
        };
        match found {
            Some(true) => Ok(()),
            Some(false) => Err(format!("{file} has no {name:?}")),
            None => Err(format!("there is no {file}")),
        }
    }

    fn text(&mut self, path: &str) -> Option<&str> {
        let path = self.root.join(path);
        let read = self.read.entry(path);
        let text = read.or_insert_with_key(|path| fs::read_to_string(path).ok());
        text.as_deref()
    }
}

/// A function behind an attribute that makes it a test, or one that a macro of the file makes a test for each case.
fn has_test(text: &str, name: &str) -> bool {
    let declaration = format!("fn {name}(");
    let is_function = text.match_indices(&declaration).any(|(at, _)| {
        let before = text[..at].trim_end_matches("async ");
        let attributes = before.lines().rev().take_while(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with("#[") || line.starts_with("///")
        });
        attributes
            .into_iter()
            .any(|line| line.contains("test]") || line.contains("test("))
    });
    let is_case = text.contains("macro_rules!") && text.lines().any(|line| line.trim() == name);
    is_function || is_case
}

/// A check that a table of the script has by its name.
fn has_check(text: &str, name: &str) -> bool {
    let plain = [format!("async {name}("), format!("async \"{name}\"(")];
    text.contains(&format!("\"{name}\":")) || plain.iter().any(|form| text.contains(form))
}

#[test]
fn tests_are_found_by_what_makes_them_tests() {
    let text = "#[test]\nfn one() {}\n#[tokio::test(start_paused = true)]\nasync fn two() {}\nfn three() {}\n";
    let found: Vec<_> = ["one", "two", "three", "four"]
        .into_iter()
        .filter(|name| has_test(text, name))
        .collect();
    assert_eq!(found, ["one", "two"]);
    assert!(has_check("  async order(bench) {", "order"));
    assert!(!has_check("  async order(bench) {", "orde"));
}
