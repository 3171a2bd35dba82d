//! Which file of a crate names what is in which other one.
//!
//! This reads words, not types: a method is not seen, but the type that has it was named somewhere. A name that a module
//! hands on (`pub use child::Thing`) leads to where the thing is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::code;
use crate::paths::{Import, Source};

/// The names that one file takes from another, by these two, which are told by their paths in the source folder.
pub(crate) type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// Who takes what from whom in a source folder.
///
/// A module may name everything above it, as it is a part of that; such arrows are left out.
pub(crate) fn arrows(folder: &Path) -> Arrows {
    let files = code::rust_files(folder).into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (
            path.strip_prefix(folder).unwrap().display().to_string(),
            text,
        )
    });
    Modules::new(files).arrows()
}

/// The modules that are files, by their paths, of which the root's is empty.
struct Modules(BTreeMap<Vec<String>, Module>);

struct Module {
    file: String,
    source: Source,
}

/// Names that are handed on in a circle lead nowhere.
const MAX_HOPS: usize = 8;

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

    fn arrows(&self) -> Arrows {
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
        }
        arrows
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
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    let arrows = Modules::new(files.into_iter()).arrows();
    let arrows: Vec<_> = arrows
        .iter()
        .map(|((from, to), names)| {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            format!("{from} -> {to}: {}", names.join(", "))
        })
        .collect();
    let expected = [
        "b.rs -> a/two.rs: Two",
        "c.rs -> a/mod.rs: One",
        "c.rs -> b.rs: *",
    ];
    assert_eq!(arrows, expected);
}
