//! Files that need each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::Arrows;

/// The largest groups of files of which each leads to every other one.
pub(crate) fn circles(arrows: &Arrows) -> Vec<BTreeSet<&str>> {
    let mut next = BTreeMap::<&str, BTreeSet<&str>>::new();
    for (from, to) in arrows.keys() {
        next.entry(from).or_default().insert(to);
    }
    let reach: BTreeMap<_, _> = next
        .keys()
        .map(|&from| (from, reached(&next, from)))
        .collect();
    let leads = |from, to| reach.get(from).is_some_and(|found| found.contains(to));
    let circles = next.keys().filter(|&&file| leads(file, file));
    let circles: BTreeSet<BTreeSet<&str>> = circles
        .map(|&file| {
            let others = reach[file].iter().copied();
            others.filter(|&other| leads(other, file)).collect()
        })
        .collect();
    circles.into_iter().collect()
}

/// What ties a circle together, a line for each arrow.
pub(crate) fn shown(circle: &BTreeSet<&str>, arrows: &Arrows) -> String {
    let inside = arrows
        .iter()
        .filter(|((from, to), _)| circle.contains(from.as_str()) && circle.contains(to.as_str()));
    let lines = inside.map(|((from, to), names)| {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        format!("  {from} -> {to}: {}\n", names.join(", "))
    });
    lines.collect()
}

fn reached<'a>(next: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for &file in next.get(file).into_iter().flatten() {
            if found.insert(file) {
                open.push(file);
            }
        }
    }
    found
}

#[test]
fn circle_is_who_leads_to_each_other() {
    let arrows = ["ab", "bc", "ca", "cd", "de", "ed", "ef"].into_iter();
    let arrows = arrows.map(|ends| {
        let (from, to) = ends.split_at(1);
        (
            (from.to_owned(), to.to_owned()),
            BTreeSet::from(["X".to_owned()]),
        )
    });
    let arrows = arrows.collect();
    let found = circles(&arrows);
    assert_eq!(
        found,
        [BTreeSet::from(["a", "b", "c"]), BTreeSet::from(["d", "e"])]
    );
    assert_eq!(shown(&found[1], &arrows), "  d -> e: X\n  e -> d: X\n");
}
