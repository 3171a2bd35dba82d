//! What may be linked into a program that is under the MIT licence or the Apache License 2.0.

use serde_json::Value;

use crate::Result;
use crate::process::{capture, heading};
use crate::workspace::Workspace;

/// By SPDX name: what asks for its own text to be passed on, and for nothing else, or not even for that.
const ALLOWED: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    // For tables that were made from Unicode's.
    "Unicode-3.0",
    "Zlib",
];

/// What some crates have beside that, each looked at by itself. What no crate needs any more has to go from here.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // One clause more than BSD-2-Clause: its authors' names recommend nothing.
    (
        "BSD-3-Clause",
        &[
            "alloc-no-stdlib",
            "alloc-stdlib",
            "brotli",
            "curve25519-dalek",
            "ed25519-dalek",
            "matchit",
            "redis",
            "sha1_smol",
            "subtle",
        ],
    ),
    // Asks nothing of programs, only of sources.
    ("BSL-1.0", &["clipboard-win", "error-code", "xxhash-rust"]),
    // For data: Mozilla's list of roots.
    ("CDLA-Permissive-2.0", &["webpki-roots"]),
];

/// Looks at every crate that any feature brings in on any system, those of tests included.
pub(super) fn licences(workspace: &Workspace) -> Result {
    heading("Licences");
    let metadata = ["metadata", "--format-version", "1", "--all-features"];
    let metadata: Value = serde_json::from_str(&capture(&mut workspace.cargo(metadata))?)?;
    let wrong = complaints(&metadata);
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n").into()),
    }
}

fn complaints(metadata: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut needed = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(licence) = package["license"].as_str() else {
            wrong.push(format!("{name} does not say its licence in SPDX's words"));
            continue;
        };
        let is_exception = |one: &str| {
            let of_licence = EXCEPTIONS.iter().find(|(licence, _)| *licence == one);
            of_licence.is_some_and(|(_, names)| names.contains(&name))
        };
        if holds(licence, &|one| ALLOWED.contains(&one)) {
            continue;
        }
        if holds(licence, &|one| ALLOWED.contains(&one) || is_exception(one)) {
            needed.push(name);
        } else {
            wrong.push(format!("{name} is under {licence}, which is not allowed"));
        }
    }
    let named = EXCEPTIONS.iter().flat_map(|(_, names)| *names);
    let useless = named.filter(|name| !needed.contains(name));
    wrong.extend(useless.map(|name| format!("no exception is needed for {name}")));
    wrong
}

/// Whether a user can choose licences that are all allowed. What cannot be read is not.
fn holds(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    // What was written before there were expressions has a slash between two that one may choose from.
    let spaced = expression.replace('/', " OR ");
    let spaced = spaced.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    any(&mut rest, is_allowed).is_some_and(|holds| holds && rest.is_empty())
}

fn any(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut holds = all(words, is_allowed)?;
    while skip(words, "OR") {
        holds |= all(words, is_allowed)?;
    }
    Some(holds)
}

fn all(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let mut holds = one(words, is_allowed)?;
    while skip(words, "AND") {
        holds &= one(words, is_allowed)?;
    }
    Some(holds)
}

fn one(words: &mut &[&str], is_allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    if skip(words, "(") {
        let holds = any(words, is_allowed)?;
        return skip(words, ")").then_some(holds);
    }
    let name = next(words)?;
    if skip(words, "WITH") {
        let exception = next(words)?;
        return Some(is_allowed(&format!("{name} WITH {exception}")));
    }
    Some(is_allowed(name))
}

fn next<'a>(words: &mut &[&'a str]) -> Option<&'a str> {
    words.split_off_first().copied()
}

fn skip(words: &mut &[&str], word: &str) -> bool {
    let is_next = words.first() == Some(&word);
    if is_next {
        *words = &words[1..];
    }
    is_next
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_used_is_allowed() {
        licences(&Workspace::find().unwrap()).unwrap();
    }

    fn is_free(expression: &str) -> bool {
        holds(expression, &|one| {
            ["Apache-2.0 WITH LLVM-exception", "MIT", "Zlib"].contains(&one)
        })
    }

    #[test]
    fn licence_of_a_choice_is_enough() {
        for free in [
            "MIT",
            "GPL-3.0-only OR MIT",
            "GPL-3.0-only/MIT",
            "MIT AND Zlib",
            "(GPL-3.0-only OR MIT) AND Zlib",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0-only",
            "GPL-3.0-only AND CC0-1.0 OR MIT",
        ] {
            assert!(is_free(free), "{free}");
        }
    }

    #[test]
    fn each_of_several_licences_has_to_be_allowed() {
        for unfree in [
            "GPL-3.0-only",
            "GPL-3.0-only AND MIT",
            "MIT AND (GPL-3.0-only OR CC0-1.0)",
            "Apache-2.0",
            "MIT WITH LLVM-exception",
        ] {
            assert!(!is_free(unfree), "{unfree}");
        }
    }

    #[test]
    fn what_is_no_expression_allows_nothing() {
        for broken in [
            "", "MIT OR", "(MIT", "MIT)", "MIT Zlib", "AND MIT", "MIT WITH", "()",
        ] {
            assert!(!is_free(broken), "{broken:?}");
        }
    }

    #[test]
    fn crate_under_another_licence_is_told_of() {
        let packages = json!({ "packages": [
            { "name": "good", "license": "MIT OR Apache-2.0" },
            { "name": "redis", "license": "BSD-3-Clause" },
            { "name": "viral", "license": "GPL-3.0-only" },
            { "name": "silent", "license": null },
        ]});
        let wrong = complaints(&packages).join("\n");
        assert!(wrong.contains("viral is under GPL-3.0-only"), "{wrong}");
        assert!(wrong.contains("silent does not say"), "{wrong}");
        assert!(wrong.contains("needed for subtle"), "{wrong}");
        assert!(
            !wrong.contains("redis") && !wrong.contains("good"),
            "{wrong}"
        );
    }
}
