//! What the registry, docs.rs and the packages of distributions want to know of a crate.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

#[path = "architecture/cargo.rs"]
mod cargo;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use cargo::cargo;

#[test]
fn published_crates_say_what_they_are() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|package| is_published(package)) {
        let lacks = |what: &str| format!("{} lacks {what}", package["name"]);
        for key in [
            "description",
            "license",
            "readme",
            "repository",
            "rust_version",
        ] {
            if package[key].as_str().is_none_or(str::is_empty) {
                wrong.push(lacks(key));
            }
        }
        // The registry takes no more than five of each.
        for key in ["categories", "keywords"] {
            if !(1..=5).contains(&package[key].as_array().unwrap().len()) {
                wrong.push(lacks(key));
            }
        }
        let docs = &package["metadata"]["docs"]["rs"];
        let has_features = !package["features"].as_object().unwrap().is_empty();
        if has_features && docs["all-features"] != true {
            wrong.push(lacks("docs.rs metadata"));
        }
        // With these, docs.rs says what needs which feature.
        if let Some(library) = library(package).filter(|_| has_features) {
            if docs["rustdoc-args"] != json!(["--cfg", "docsrs"]) {
                wrong.push(lacks("rustdoc-args for docs.rs"));
            }
            let text = fs::read_to_string(library).unwrap();
            if !text.contains("#![cfg_attr(docsrs, feature(doc_cfg))]") {
                wrong.push(lacks("doc_cfg"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn packages_hold_the_licences_and_a_readme() {
    let root = root();
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|package| is_published(package)) {
        let folder = folder(package);
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            // Links to the one that is at the root, of which packages get a copy.
            let root = root.join(name).canonicalize().unwrap();
            if folder.join(name).canonicalize().ok() != Some(root) {
                wrong.push(folder.join(name));
            }
        }
        let readme = folder.join(package["readme"].as_str().unwrap());
        if !readme.is_file() {
            wrong.push(readme);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn crates_need_each_other_in_the_very_same_version() {
    let packages = packages();
    let find = |name: &Value| packages.iter().find(|package| package["name"] == *name);
    let mut seen = 0;
    for package in packages.iter().filter(|package| is_published(package)) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let Some(other) = find(&dependency["name"]) else {
                continue;
            };
            let (name, other_name) = (&package["name"], &other["name"]);
            // With its features for its own tests, a crate may need itself, which Cargo leaves out as well.
            if is_published(other) && name != other_name {
                let version = other["version"].as_str().unwrap();
                assert_eq!(
                    dependency["req"],
                    format!("={version}"),
                    "{name}: {other_name}"
                );
                seen += 1;
            } else {
                // Cargo leaves these out of the package.
                assert_eq!(dependency["kind"], "dev", "{name} needs {other_name}");
                assert_eq!(dependency["req"], "*", "{name}: {other_name}");
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn lock_files_name_the_public_registries() {
    let root = root();
    for folder in ["", "bench", "fuzz"] {
        let lock = fs::read_to_string(root.join(folder).join("Cargo.lock")).unwrap();
        let sources = lock
            .lines()
            .filter_map(|line| line.strip_prefix("source = "));
        let sources: BTreeSet<_> = sources.collect();
        let crates_io = "\"registry+https://github.com/rust-lang/crates.io-index\"";
        assert!(sources.iter().eq([&crates_io]), "{folder}: {sources:?}");
    }
    // Best none at all; packages of this repository, and what npm itself would write, do no harm.
    for folder in ["bench/node", "interop"] {
        let lock = fs::read_to_string(root.join(folder).join("package-lock.json")).unwrap();
        let lock: Value = serde_json::from_str(&lock).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            let from = package["resolved"].as_str().unwrap_or_default();
            let is_ours = from.is_empty() || from.starts_with("file:") || package["link"] == true;
            assert!(
                is_ours || from.starts_with("https://registry.npmjs.org/"),
                "{folder}: {name} comes from {from}"
            );
        }
    }
}

#[test]
fn changelog_has_a_section_for_each_release() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let mut sections = text.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(sections.next(), Some("Unreleased"));
    for section in sections {
        let (version, date) = section.split_once(" - ").unwrap();
        let numbers: Vec<u32> = version
            .split('.')
            .map(|number| number.parse().unwrap())
            .collect();
        assert_eq!(numbers.len(), 3, "{section}");
        assert_eq!(date.len(), "2026-01-31".len(), "{section}");
    }
}

fn is_published(package: &Value) -> bool {
    package["publish"].is_null()
}

/// The root of its library, if it has one.
fn library(package: &Value) -> Option<&str> {
    let mut targets = package["targets"].as_array().unwrap().iter();
    let library = targets.find(|target| target["kind"] == json!(["lib"]))?;
    library["src_path"].as_str()
}

fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

fn packages() -> Vec<Value> {
    let mut metadata = metadata();
    serde_json::from_value(metadata["packages"].take()).unwrap()
}

fn root() -> PathBuf {
    metadata()["workspace_root"].as_str().unwrap().into()
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])).unwrap()
}
