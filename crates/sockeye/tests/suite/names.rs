//! What the guide says about the names of the crate.

use std::collections::BTreeMap;

/// The public names of a crate's root by where they come from.
fn names(source: &str) -> BTreeMap<&str, &str> {
    let mut names = BTreeMap::new();
    for item in source.split(';') {
        if let Some((_, used)) = item.split_once("pub use ") {
            let (path, list) = used.rsplit_once("::").unwrap_or(("", used));
            // A list in braces has the path in front of it.
            let (path, list) = match used.split_once("::{") {
                Some((path, list)) => (path, list.trim_end().trim_end_matches('}')),
                None => (path, list),
            };
            names.extend(list.split(',').map(str::trim).map(|name| (name, path)));
        }
        if let Some((_, alias)) = item.split_once("pub type ") {
            let end = alias.find(['<', ' ']).unwrap_or(alias.len());
            names.insert(&alias[..end], "");
        }
    }
    names.remove("");
    names
}

/// Whether a name that both ends have is one and the same thing.
fn is_shared(name: &str, path: &str, other: &str) -> bool {
    // Another crate, by whichever of ours.
    name == "rustls" || path == other && path.starts_with("sockeye_")
}

#[test]
fn names_that_are_taken_twice_are_those_of_the_guide() {
    let server = names(include_str!("../../../server/src/lib.rs"));
    let client = names(include_str!("../../../client/src/lib.rs"));
    assert_eq!(server.get("Socket"), Some(&"namespace"));
    assert_eq!(client.get("Data"), Some(&"sockeye_events"));
    let twice: Vec<_> = server
        .iter()
        .filter_map(|(name, path)| Some((name, path, client.get(name)?)))
        .filter(|(name, path, other)| !is_shared(name, path, other))
        .map(|(name, ..)| *name)
        .collect();
    let guide = include_str!("../../docs/client.md").replace('\n', " ");
    let (_, rest) = guide
        .split_once("names are taken twice: ")
        .expect("a sentence about them");
    let (listed, _) = rest.split_once(" at the root").expect("the list's end");
    let mut listed: Vec<_> = listed.split('`').skip(1).step_by(2).collect();
    listed.sort_unstable();
    assert_eq!(twice, listed);
}

/// So that a name that is written down with one set of features is there with every other that has the end it is of.
#[test]
fn what_both_ends_share_is_at_the_root_with_either() {
    let server = names(include_str!("../../../server/src/lib.rs"));
    let client = names(include_str!("../../../client/src/lib.rs"));
    let root = names(include_str!("../../src/lib.rs"));
    let shared: Vec<_> = server
        .iter()
        .filter_map(|(name, path)| Some((name, path, client.get(name)?)))
        .filter(|(name, path, other)| is_shared(name, path, other))
        .map(|(name, ..)| *name)
        .collect();
    let from_either: Vec<_> = root
        .iter()
        .filter(|(_, path)| **path == "end")
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(from_either, shared);
}
