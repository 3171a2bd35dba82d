//! Which file of a crate names what is in which other one.
//!
//! This reads words, not types. A name that a module hands on (`pub use child::Thing`) leads to where the thing is defined.
//! A method that is called (`.name(…)`) leads to the one file of the crate that gives types a method of this name other than
//! by a trait. Where several files do, or types of other crates as well, the name does not tell whose it is, and it leads nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::code;
use crate::paths::{Import, Reach, Source};

/// The names that one file takes from another, by these two, which are told by their paths in the source folder.
pub(crate) type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// Whether calls of methods are arrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Methods {
    Count,
    Ignored,
}

/// Who takes what from whom in a source folder.
///
/// A module may name everything above it, as it is a part of that; such arrows are left out.
pub(crate) fn arrows(folder: &Path, methods: Methods) -> Arrows {
    let files = code::rust_files(folder).into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (
            path.strip_prefix(folder).unwrap().display().to_string(),
            text,
        )
    });
    Modules::new(files).arrows(methods)
}

/// The modules that are files, by their paths, of which the root's is empty.
struct Modules(BTreeMap<Vec<String>, Module>);

struct Module {
    file: String,
    source: Source,
}

/// Names that are handed on in a circle lead nowhere.
const MAX_HOPS: usize = 8;

/// Methods that types of the standard library or of other crates have as well, or a trait, so that the name alone does not
/// tell whose is called. A circle that is none puts its method here.
const COMMON: &[&str] = &[
    "abort",
    "call",
    "capped",
    "close",
    "collection",
    "connect",
    "contains",
    "count",
    "downcast_ref",
    "end",
    "except",
    "expect",
    "expire_after",
    "extend",
    "find",
    "finish",
    "first",
    "get",
    "insert",
    "is_empty",
    "iter",
    "last",
    "len",
    "lock",
    "next",
    "parse",
    "pop",
    "push",
    "read",
    "refusal",
    "remove",
    "retain",
    "send",
    "set",
    "take",
    "to",
    "upgrade",
    "write",
];

impl Modules {
    fn new(files: impl Iterator<Item = (String, String)>) -> Self {
        let modules = files.map(|(file, text)| {
            let source = Source::read(&code::code(&text));
            let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let name = match name {
                "lib" | "main" => Vec::new(),
                name => name.split('/').map(str::to_owned).collect(),
            };
            (name, Module { file, source })
        });
        Self(modules.collect())
    }

    fn arrows(&self, methods: Methods) -> Arrows {
        let methods = match methods {
            Methods::Count => self.methods(),
            Methods::Ignored => BTreeMap::new(),
        };
        let mut arrows = Arrows::new();
        for (here, module) in &self.0 {
            for path in module.source.used() {
                if let Some((there, name)) = self.find(here, path, MAX_HOPS)
                    && !here.starts_with(there)
                {
                    let ends = (module.file.clone(), self.0[there].file.clone());
                    arrows.entry(ends).or_default().insert(name);
                }
            }
            for name in &module.source.calls {
                if let Some(Some((there, reach))) = methods.get(name.as_str())
                    && is_within(here, there, *reach)
                    && !here.starts_with(there)
                {
                    let ends = (module.file.clone(), self.0[*there].file.clone());
                    arrows.entry(ends).or_default().insert(format!(".{name}()"));
                }
            }
        }
        arrows
    }

    /// The modules with methods, by the names of these; `None` for what several have.
    fn methods(&self) -> BTreeMap<&str, Option<(&[String], Reach)>> {
        let mut methods = BTreeMap::new();
        for (home, module) in &self.0 {
            for (name, reach) in &module.source.methods {
                let known = methods.entry(name.as_str());
                known
                    .and_modify(|known| *known = None)
                    .or_insert(Some((home.as_slice(), *reach)));
            }
        }
        methods.retain(|name, _| !COMMON.contains(name));
        methods
    }

    /// The module that defines what `path` means in the module `here`, and what that is called there.
    ///
    /// `None` for what is in other crates, for local names, and for a path that leads to no more than a module.
    fn find(&self, here: &[String], path: &[String], hops: usize) -> Option<(&[String], String)> {
        let mut at = here.to_vec();
        for (index, word) in path.iter().enumerate() {
            match word.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                _ => {
                    at.push(word.clone());
                    if !self.0.contains_key(&at) {
                        at.pop();
                        return self.find_item(&at, &path[index..], hops);
                    }
                }
            }
        }
        None
    }

    /// The same for what is in a module and no module itself.
    fn find_item(
        &self,
        at: &[String],
        path: &[String],
        hops: usize,
    ) -> Option<(&[String], String)> {
        let (home, Module { source, .. }) = self.0.get_key_value(at)?;
        let name = &path[0];
        if name == "*" || source.items.contains(name) {
            return Some((home, name.clone()));
        }
        let hops = hops.checked_sub(1)?;
        source.imports.iter().find_map(
            |Import {
                 path: from,
                 name: alias,
                 ..
             }| {
                let meant = match from.split_last()? {
                    (star, module) if star == "*" => [module, path].concat(),
                    _ if alias == name => [from, &path[1..]].concat(),
                    _ => return None,
                };
                self.find(home, &meant, hops)
            },
        )
    }
}

/// Whether the module `here` may call what the module `there` defines with this reach.
fn is_within(here: &[String], there: &[String], reach: Reach) -> bool {
    match reach {
        Reach::Own => here.starts_with(there),
        Reach::Super => here.starts_with(&there[..there.len().saturating_sub(1)]),
        Reach::Crate => true,
    }
}

#[test]
fn names_lead_to_where_things_are_defined() {
    let files = [
        (
            "lib.rs",
            "mod a;\nmod b;\nmod c;\npub use a::{One, two::Two};\npub struct Root;",
        ),
        (
            "a/mod.rs",
            "pub mod two;\npub use two::Two as Second;\npub struct One;",
        ),
        (
            "a/two.rs",
            "use super::One;\nuse crate::Root;\npub struct Two(One, Root);",
        ),
        (
            "b.rs",
            "use crate::a;\nuse http::Uri;\nfn f(_: a::Second, _: crate::Two, _: Uri) {}",
        ),
        (
            "c.rs",
            "use crate::b::*;\nfn f() { crate::a::One::new(); two() }",
        ),
    ];
    let expected = [
        "b.rs -> a/two.rs: Two",
        "c.rs -> a/mod.rs: One",
        "c.rs -> b.rs: *",
    ];
    assert_eq!(shown(&files, Methods::Ignored), expected);
}

#[test]
fn methods_lead_to_the_one_file_that_defines_them() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\nmod c;\npub struct One;"),
        (
            "a.rs",
            "impl<F: for<'a> Fn(&'a u8)> One<F> {\n pub(crate) const fn far(&self) {}\n fn own(&self) {}\n \
             pub fn both(&self) {}\n pub fn push(&self) {}\n}\n\
             impl Tell for One { fn tell(&self) { self.own() } }",
        ),
        (
            "b.rs",
            "fn f() { x.far(); y.own(); z.both(); v.push(1); t.tell(); o.far }\n\
             impl One { pub fn both(&self) {} pub(super) fn near<T>(&self) {} }",
        ),
        ("c.rs", "mod d;\nfn f() { 0..far(1) }"),
        (
            "c/d.rs",
            "impl One { pub(super) fn inner(&self) { b.near::<u8>(); } }",
        ),
        ("c/e.rs", "fn f() { d.inner() }"),
        ("a/g.rs", "fn f(a: &One) { a.own(); d.inner() }"),
    ];
    let expected = [
        "b.rs -> a.rs: .far()",
        "c/d.rs -> b.rs: .near()",
        "c/e.rs -> c/d.rs: .inner()",
    ];
    assert_eq!(shown(&files, Methods::Count), expected);
    assert_eq!(shown(&files, Methods::Ignored), [""; 0]);
}

fn shown(files: &[(&str, &str)], methods: Methods) -> Vec<String> {
    let files = files.iter();
    let files = files.map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    let arrows = Modules::new(files).arrows(methods).into_iter();
    let shown = arrows.map(|((from, to), names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("{from} -> {to}: {}", names.join(", "))
    });
    shown.collect()
}
