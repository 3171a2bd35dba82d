//! The map, ARCHITECTURE.md, as far as it can be checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Which crate the map draws in which layer. A crate stands in the drawing between wide gaps; what is said of it does not.
pub(crate) fn layers(map: &str) -> BTreeMap<&str, u8> {
    let drawing = map.split("```").nth(1).unwrap();
    let mut layers = BTreeMap::new();
    let mut layer = None;
    for line in drawing.lines() {
        for part in line.split("  ").map(str::trim) {
            if let Some(number) = part
                .strip_prefix('L')
                .and_then(|number| number.parse().ok())
            {
                layer = Some(number);
            } else if let Some(layer) = layer.filter(|_| is_name(part)) {
                layers.insert(part, layer);
            }
        }
    }
    layers
}

fn is_name(part: &str) -> bool {
    !part.is_empty()
        && part
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// The crates of the table, each with the files that it names to begin with.
pub(crate) fn beginnings(map: &str) -> BTreeMap<&str, Vec<&str>> {
    let rows = map.lines().filter(|line| line.starts_with("| `"));
    let rows = rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let last = cells.last().unwrap();
        (quoted(cells[0]).next().unwrap(), quoted(last).collect())
    });
    rows.collect()
}

/// The paths that the text names, each of which has to be the end of one that is there.
pub(crate) fn paths(map: &str) -> BTreeSet<&str> {
    let prose = map.split("```").step_by(2);
    let paths = prose.flat_map(quoted);
    paths
        .filter(|path| path.contains('/') || path.ends_with(".rs"))
        .collect()
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All files and folders below `folder`, as they are named from there.
pub(crate) fn all_paths(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(inside).unwrap() {
            let entry = entry.unwrap();
            if ["target", "node_modules", ".git"]
                .iter()
                .any(|other| entry.file_name() == *other)
            {
                continue;
            }
            let path = entry.path();
            found.push(format!("/{}", path.strip_prefix(folder).unwrap().display()));
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn map_is_read() {
    let map = "# Map\n\n```\nL2  one   the `first` part      two-b  another\n    three\nL1  four\n```\n\n\
               | crate | holds |\n|---|---|\n| `one` | text, `a/b.rs` | `lib.rs`, `c.rs` |\n\nIn `d` and `e/f`.";
    let layered = BTreeMap::from([
        ("one", 2),
        ("two-b", 2),
        ("three", 2),
        ("four", 1),
        ("another", 2),
    ]);
    assert_eq!(layers(map), layered);
    assert_eq!(
        beginnings(map),
        BTreeMap::from([("one", vec!["lib.rs", "c.rs"])])
    );
    assert_eq!(
        paths(map),
        BTreeSet::from(["a/b.rs", "c.rs", "e/f", "lib.rs"])
    );
}
