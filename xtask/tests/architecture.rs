//! Who may know whom.
//!
//! The crates form layers, and dependencies go down only. The lowest layer is the protocols without I/O: what goes on
//! there follows from bytes and times that are passed in, so that a test can play both ends of a connection. What servers of
//! a cluster say to each other is such a protocol as well, one layer above, as it knows the arguments of events.
//!
//! Within a crate it is the same: who follows the arrows from a file never comes back to it.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

#[path = "architecture/cargo.rs"]
mod cargo;
#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/code.rs"]
mod code;
#[path = "architecture/map.rs"]
mod map;
#[path = "architecture/modules.rs"]
mod modules;
#[path = "architecture/paths.rs"]
mod paths;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use cargo::cargo;
use modules::Methods;
use paths::Source;

/// A crate may depend on those of a smaller number. Two of the same number never see each other.
const LAYERS: &[(&str, u8)] = &[
    ("sockeye-engine-proto", 0),
    ("sockeye-meter", 0),
    ("sockeye-socket-proto", 0),
    ("sockeye-websocket", 0),
    ("sockeye-adapter", 1),
    ("sockeye-cluster-proto", 1),
    ("sockeye-engine", 1),
    ("sockeye-events", 1),
    ("sockeye-cluster", 2),
    ("sockeye-dial", 2),
    ("sockeye-link", 2),
    ("sockeye-listen", 2),
    // It runs while others are compiled, and knows nobody.
    ("sockeye-macros", 2),
    ("sockeye-adapter-mongo", 3),
    ("sockeye-adapter-nats", 3),
    ("sockeye-adapter-postgres", 3),
    ("sockeye-adapter-redis", 3),
    ("sockeye-client", 3),
    ("sockeye-server", 3),
    ("sockeye-admin", 4),
    ("sockeye", 5),
    ("sockeye-chat", 6),
    ("sockeye-cli", 7),
    // For tests alone, which may look wherever they like: as high as it is, nothing that ships can build on it.
    ("sockeye-testkit", 7),
    ("xtask", 8),
];

/// Lines of code in one file, with the tests in it.
const MAX_LINES: usize = 600;

/// Nothing in the lowest layer, nor a pure crate above it, may bring one of these in, not even by way of another crate.
const FORBIDDEN_CRATES: &[&str] = &[
    // Runtimes and I/O.
    "async-std",
    "hyper",
    "mio",
    "smol",
    "socket2",
    "tokio",
    // Clocks.
    "chrono",
    "coarsetime",
    "jiff",
    "quanta",
    "time",
    // Random sources.
    "fastrand",
    "getrandom",
    "oorandom",
    "rand",
    "uuid",
    // Locks.
    "crossbeam-channel",
    "dashmap",
    "lock_api",
    "parking_lot",
    "spin",
];

/// Crates above that layer for which the same holds.
const PURE_CRATES: &[&str] = &["sockeye-cluster-proto"];

/// Machines without I/O that are above that layer, as they need settings and errors of their crate.
const PURE_FOLDERS: &[(&str, &str)] = &[("sockeye-client", "life")];

/// Nor may the code of these crates and machines say one of these, apart from tests.
const FORBIDDEN_CODE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "thread_local",
    "Instant::now",
    "SystemTime::now",
    // Both read the clock behind the caller's back.
    "elapsed",
    "UNIX_EPOCH",
    "RandomState",
    "fastrand",
    "getrandom",
    "rand",
    "Barrier",
    "Condvar",
    "LazyLock",
    "Mutex",
    "Once::new",
    "OnceLock",
    "RwLock",
    "mpsc",
    "parking_lot",
];

/// What a crate may say nevertheless. The recorder of metrics is looked for once in a process, and is nobody's to hand down.
const ALLOWED_CODE: &[(&str, &str)] = &[("sockeye-meter", "OnceLock")];

/// Crates of which the machines name nothing: they know what sessions are, and how these are had.
const FORBIDDEN_IN_MACHINES: &[&str] = &["sockeye_dial", "sockeye_engine", "sockeye_link"];

/// What they may name of these: options that an event is kept with.
const ALLOWED_IN_MACHINES: &[&str] = &["sockeye_link::packet::Flags"];

/// Crates that still have files which call methods of each other: there, only what is named makes an arrow between files.
const METHODS_IGNORED: &[&str] = &["sockeye-engine", "sockeye-server"];

#[test]
fn dependencies_go_down_only() {
    let packages = packages();
    let mut wrong = Vec::new();
    for package in &packages {
        let Some(layer) = layer(&package.name) else {
            wrong.push(format!("{} has no layer yet: give it one", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if self::layer(dependency).is_some_and(|below| below >= layer) {
                wrong.push(format!("{} must not know {dependency}", package.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(packages.len() >= 10, "these are not all: {packages:?}");
}

#[test]
fn core_crates_bring_in_no_runtime_clock_random_source_or_lock() {
    for package in core() {
        let tree = dependency_tree(&package.name);
        assert!(tree.contains(&package.name), "{tree:?}");
        let mut wrong = tree;
        wrong.retain(|name| FORBIDDEN_CRATES.contains(&name.as_str()));
        assert!(wrong.is_empty(), "{} brings in {wrong:?}", package.name);
    }
}

#[test]
fn core_sources_use_no_runtime_clock_random_source_or_lock() {
    let mut wrong = Vec::new();
    let cores = core();
    let sources = cores
        .iter()
        .map(|package| (package.name.clone(), package.folder.join("src")));
    for (package, source) in sources.chain(machines()) {
        for file in sources_in(&source) {
            let text = fs::read_to_string(&file).unwrap();
            for (line, found) in code::find(&text, FORBIDDEN_CODE) {
                if ALLOWED_CODE.contains(&(package.as_str(), found)) {
                    continue;
                }
                wrong.push(format!("{}:{line}: {found}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn machines_name_no_session_nor_what_opens_one() {
    let mut wrong = Vec::new();
    for (_, folder) in machines() {
        for file in sources_in(&folder) {
            let source = Source::read(&code::code(&fs::read_to_string(&file).unwrap()));
            let used = source.used();
            let used = used.filter(|path| FORBIDDEN_IN_MACHINES.contains(&path[0].as_str()));
            let used = used.map(|path| path.join("::"));
            let used = used.filter(|path| !ALLOWED_IN_MACHINES.contains(&path.as_str()));
            wrong.extend(used.map(|path| format!("{}: {path}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_of_a_crate_need_each_other() {
    let mut wrong = String::new();
    for package in packages() {
        let name = &package.name;
        let methods = match METHODS_IGNORED.contains(&name.as_str()) {
            true => Methods::Ignored,
            false => Methods::Count,
        };
        let arrows = modules::arrows(&package.folder.join("src"), methods);
        let circles = circles::circles(&arrows);
        for circle in circles {
            let shown = circles::shown(&circle, &arrows);
            wrong += &format!("{name}: a circle of {} files\n{shown}", circle.len());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn files_are_small() {
    let mut wrong = String::new();
    let mut lengths = Vec::new();
    for package in packages() {
        for file in code::rust_files(&package.folder.join("src")) {
            let len = code::lines(&fs::read_to_string(&file).unwrap());
            if len > MAX_LINES {
                wrong += &format!("{}: {len} lines of code\n", file.display());
            }
            lengths.push(len);
        }
    }
    assert!(wrong.is_empty(), "at most {MAX_LINES}:\n{wrong}");
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < 130, "the median is {median} lines of code");
}

#[test]
fn map_shows_what_is_there() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("..");
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let (drawn, beginnings) = (map::layers(&map), map::beginnings(&map));
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package.folder.file_name().unwrap().to_str().unwrap();
        if ["testkit", "xtask"].contains(&name) {
            continue;
        }
        if drawn.get(name).copied() != layer(&package.name) {
            wrong.push(format!("{name} is drawn in another layer, or not at all"));
        }
        let Some(files) = beginnings.get(name) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        let gone = files
            .iter()
            .filter(|file| !package.folder.join("src").join(file).exists());
        wrong.extend(gone.map(|file| format!("{name} has no {file}")));
    }
    let there = map::all_paths(&root);
    let gone = map::paths(&map).into_iter();
    let gone = gone.filter(|path| {
        !there
            .iter()
            .any(|there| there.ends_with(&format!("/{path}")))
    });
    wrong.extend(gone.map(|path| format!("there is no {path}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The folders of [`PURE_FOLDERS`], each with the name of its crate.
fn machines() -> Vec<(String, PathBuf)> {
    let packages = packages();
    let machines = packages
        .into_iter()
        .flat_map(|Package { name, folder, .. }| {
            let own = PURE_FOLDERS.iter().filter(move |(owner, _)| *owner == name);
            own.map(move |(owner, part)| ((*owner).to_owned(), folder.join("src").join(part)))
        });
    let machines: Vec<_> = machines.collect();
    assert_eq!(machines.len(), PURE_FOLDERS.len());
    machines
}

fn sources_in(folder: &Path) -> Vec<PathBuf> {
    let files = code::rust_files(folder);
    assert!(!files.is_empty(), "{} has no sources", folder.display());
    files
}

#[derive(Debug)]
struct Package {
    name: String,
    folder: PathBuf,
    /// Those that are in the finished program; tests may look wherever they like.
    dependencies: Vec<String>,
}

fn core() -> Vec<Package> {
    let mut packages = packages();
    packages
        .retain(|package| layer(&package.name) == Some(0) || PURE_CRATES.contains(&&*package.name));
    let lowest = LAYERS.iter().filter(|(_, layer)| *layer == 0);
    assert_eq!(packages.len(), lowest.count() + PURE_CRATES.len());
    packages
}

fn layer(name: &str) -> Option<u8> {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    layers.get(name).copied()
}

fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(package).collect()
}

fn package(package: &Value) -> Package {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    Package {
        name: package["name"].as_str().unwrap().to_owned(),
        folder: manifest.parent().unwrap().to_owned(),
        dependencies: dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect(),
    }
}

/// The names of all crates that end up in a crate, itself included, with all of its features.
fn dependency_tree(package: &str) -> Vec<String> {
    let tree = cargo(&[
        "tree",
        "--package",
        package,
        "--edges",
        "normal",
        "--all-features",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}
