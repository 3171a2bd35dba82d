//! What a file of Rust imports, says and defines.

use std::collections::{BTreeMap, BTreeSet};

/// A file as far as its paths go: words joined by `::`.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) imports: Vec<Import>,
    /// The names of what it defines for others to name.
    pub(crate) items: BTreeSet<String>,
    /// The methods and functions that it gives types, other than by traits, and who may call them.
    pub(crate) methods: BTreeMap<String, Reach>,
    /// The methods that it calls on whatever value.
    pub(crate) calls: BTreeSet<String>,
    /// What its code says besides its imports.
    paths: BTreeSet<Vec<String>>,
}

/// One name that a `use` brings in.
#[derive(Debug)]
pub(crate) struct Import {
    /// Ends with `*` if it is everything.
    pub(crate) path: Vec<String>,
    /// What it is called here.
    pub(crate) name: String,
    /// Whether others may take it from here.
    hands_on: bool,
}

impl Source {
    /// Reads code without comments and literals.
    pub(crate) fn read(code: &str) -> Self {
        let mut reader = Reader {
            words: words(code),
            at: 0,
            scopes: Vec::new(),
            source: Self::default(),
        };
        reader.read();
        reader.source
    }

    /// The paths that matter to what it does itself. What it imports only to hand it on is none of them.
    pub(crate) fn used(&self) -> impl Iterator<Item = &[String]> {
        let says = |name: &str| self.paths.iter().any(|path| path[0] == name);
        let imports = self.imports.iter();
        let imports = imports.filter(move |import| !import.hands_on || says(&import.name));
        let imports = imports.map(|import| &import.path);
        imports.chain(&self.paths).map(Vec::as_slice)
    }
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// The module and those in it.
    Own,
    /// The module above, and all in it.
    Super,
    Crate,
}

struct Reader<'c> {
    words: Vec<&'c str>,
    at: usize,
    /// The braces that are open.
    scopes: Vec<Scope>,
    source: Source,
}

#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Module,
    /// Of a type, not of a trait for it.
    Impl,
    Other,
}

impl<'c> Reader<'c> {
    fn read(&mut self) {
        let mut next = Scope::Other;
        while let Some(word) = self.next() {
            match word {
                "{" => self.scopes.push(std::mem::replace(&mut next, Scope::Other)),
                "}" => drop(self.scopes.pop()),
                "use" => self.imports(),
                "mod" if self.words.get(self.at + 1) == Some(&"{") => {
                    self.define();
                    self.at += 2;
                    self.scopes.push(Scope::Module);
                }
                "const" | "enum" | "fn" | "static" | "struct" | "trait" | "type" | "union" => {
                    self.define();
                }
                "macro_rules" => {
                    self.at += 1;
                    self.define();
                }
                "impl" if self.is_of_type() => next = Scope::Impl,
                "." => self.member(),
                word if is_name(word) => {
                    let mut path = vec![word.to_owned()];
                    while self.peek() == Some("::")
                        && self
                            .words
                            .get(self.at + 1)
                            .is_some_and(|word| is_name(word))
                    {
                        path.push(self.words[self.at + 1].to_owned());
                        self.at += 2;
                    }
                    self.say(path);
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Option<&'c str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'c str> {
        self.words.get(self.at).copied()
    }

    /// Whether this is inside a module that is no file of its own.
    fn is_inside(&self) -> bool {
        self.scopes.contains(&Scope::Module)
    }

    /// What stands inside of something else has its name for nobody outside.
    fn define(&mut self) {
        let Some(name) = self.peek() else { return };
        match self.scopes.last() {
            None => _ = self.source.items.insert(name.to_owned()),
            Some(Scope::Impl) if self.words[self.at - 1] == "fn" => {
                let reach = self.reach();
                let known = self.source.methods.entry(name.to_owned());
                known
                    .and_modify(|known| *known = reach.max(*known))
                    .or_insert(reach);
            }
            Some(_) => {}
        }
    }

    /// What the function that begins here says of who may call it.
    fn reach(&self) -> Reach {
        let before = self.words[..self.at - 1].iter().rev();
        let marks = ["const", "async", "unsafe", "extern", "\""];
        let before = before.skip_while(|word| marks.contains(word));
        let before: Vec<_> = before.copied().take(4).collect();
        match before[..] {
            [")", "super", "(", "pub"] => Reach::Super,
            ["pub" | ")", ..] => Reach::Crate,
            _ => Reach::Own,
        }
    }

    /// Whether this `impl` is an item, and of a type alone.
    fn is_of_type(&self) -> bool {
        let before = self.at.checked_sub(2).map(|at| self.words[at]);
        let is_item = matches!(before, None | Some("}" | ";" | "]" | "{" | "unsafe"));
        let head = self.words[self.at..].split(|word| *word == "{").next();
        // `for<'a>` stands in a bound.
        let is_for = |pair: &[&str]| pair[0] == "for" && pair[1] != "<";
        is_item && !head.is_some_and(|head| head.windows(2).any(is_for))
    }

    /// A field or a method is no path.
    fn member(&mut self) {
        let Some(name) = self.peek().filter(|word| is_name(word)) else {
            return;
        };
        self.at += 1;
        // What follows two dots is the end of a range, or the rest of a struct.
        let is_member = self.at < 3 || self.words[self.at - 3] != ".";
        if is_member && matches!(self.peek(), Some("(" | "::")) {
            self.source.calls.insert(name.to_owned());
        }
    }

    fn say(&mut self, mut path: Vec<String>) {
        // One level up from a module inside is the file.
        if self.is_inside() && path[0] == "super" {
            "self".clone_into(&mut path[0]);
        }
        self.source.paths.insert(path);
    }

    fn imports(&mut self) {
        // `use<'a>` stands in a type.
        if self.peek() == Some("<") {
            return;
        }
        let hands_on = self.at >= 2 && matches!(self.words[self.at - 2], "pub" | ")");
        self.tree(&[], hands_on);
    }

    fn tree(&mut self, outer: &[String], hands_on: bool) {
        let mut path = outer.to_vec();
        let mut name = None;
        while let Some(word) = self.peek() {
            match word {
                "}" | "," | ";" => break,
                "{" => {
                    while !matches!(self.next(), None | Some("}")) {
                        if !matches!(self.peek(), Some("}")) {
                            self.tree(&path, hands_on);
                        }
                    }
                    return;
                }
                "as" => {
                    self.at += 1;
                    name = self.peek().map(str::to_owned);
                }
                // In braces it is what stands before them.
                "self" if !path.is_empty() => {}
                "::" => {}
                word => path.push(word.to_owned()),
            }
            self.at += 1;
        }
        let Some(last) = path.last() else { return };
        let name = name.unwrap_or_else(|| last.clone());
        if self.is_inside() {
            self.say(path);
        } else {
            self.source.imports.push(Import {
                path,
                name,
                hands_on,
            });
        }
    }
}

fn words(code: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let name = rest.trim_start_matches(|char: char| char.is_alphanumeric() || char == '_');
        let len = match rest.len() - name.len() {
            0 if rest.starts_with("::") => 2,
            0 => rest.chars().next().map_or(0, char::len_utf8),
            len => len,
        };
        let (word, after) = rest.split_at(len);
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn is_name(word: &str) -> bool {
    word.starts_with(|char: char| char.is_alphabetic() || char == '_')
}

#[test]
fn imports_have_a_path_and_a_name() {
    let code =
        "pub(crate) use super::a::{self, B as C, d::{E, F}};\nuse crate::g::*;\nuse ::http::Uri;";
    let source = Source::read(code);
    let imports = source.imports.iter();
    let imports: Vec<_> = imports
        .map(|import| {
            (
                import.path.join("::"),
                import.name.as_str(),
                import.hands_on,
            )
        })
        .collect();
    let expected = [
        ("super::a", "a", true),
        ("super::a::B", "C", true),
        ("super::a::d::E", "E", true),
        ("super::a::d::F", "F", true),
        ("crate::g::*", "*", false),
        ("http::Uri", "Uri", false),
    ];
    let expected = expected.map(|(path, name, hands_on)| (path.to_owned(), name, hands_on));
    assert_eq!(imports, expected);
}

#[test]
fn what_is_only_handed_on_is_not_used() {
    let used = |code| {
        let source = Source::read(code);
        let used = source.used().map(|path| path.join("::"));
        used.filter(|path| path.contains("::")).collect::<Vec<_>>()
    };
    assert_eq!(used("mod a;\npub use a::B;"), [""; 0]);
    assert_eq!(used("mod a;\npub use a::B;\nfn f(_: B) {}"), ["a::B"]);
    assert_eq!(
        used("fn f() { self.a.b::<C>(); x::y::<Z>(super::W) }"),
        ["super::W", "x::y"]
    );
    assert_eq!(used("mod on {\n use super::B;\n}"), ["self::B"]);
}

#[test]
fn items_are_those_that_others_can_name() {
    let source = Source::read(
        "struct A { b: u8 }\nimpl A { fn c() {} }\nmod d { fn e() {} }\nconst F: u8 = 0;",
    );
    let items: Vec<_> = source.items.iter().map(String::as_str).collect();
    assert_eq!(items, ["A", "F", "d"]);
}
