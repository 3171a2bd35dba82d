use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Task;
use crate::process::{capture, run, run_side_by_side};
use crate::workspace::Workspace;
use crate::{Error, Result};

pub(crate) const TASK: Task = Task {
    name: "fuzz",
    summary: "feed the parsers what libFuzzer comes up with",
    usage: "usage: cargo xtask fuzz [--seconds N | --build] [TARGET]

  --build       build them, and run none
  --seconds N   how long each target runs (default 10)
  TARGET        one target of fuzz/Cargo.toml instead of all of them

Needs a C++ compiler, and no nightly toolchain. What is learned stays in the target folder; the seeds
in fuzz/corpus are only read. An input that fails is kept in fuzz/artifacts/TARGET.",
    run: |workspace, mut args| {
        let seconds = args.value("--seconds")?;
        let only_build = args.flag("--build");
        let target = args.positional();
        args.finish()?;
        if only_build {
            return build(workspace, target.as_deref());
        }
        let seconds = seconds.map_or(Ok(DEFAULT_SECONDS), |text| text.parse())?;
        fuzz(workspace, seconds, target.as_deref())
    },
};

const DEFAULT_SECONDS: u32 = 10;

pub(crate) fn fuzz(workspace: &Workspace, seconds: u32, only: Option<&str>) -> Result {
    build(workspace, only)?;
    let (folder, built) = folders(workspace);
    let programs = built.join(host()?).join("release");
    let mut suites = Vec::new();
    for target in targets(workspace)? {
        if only.is_none_or(|only| only == target) {
            let learned = built.join("corpus").join(&target);
            let program = programs.join(&target);
            let fuzzer = fuzzer(&folder, &program, &target, &learned, seconds)?;
            suites.push((format!("fuzz {target}"), fuzzer));
        }
    }
    run_side_by_side(suites)
}

fn build(workspace: &Workspace, only: Option<&str>) -> Result {
    let (folder, built) = folders(workspace);
    let mut build = workspace.cargo(["build", "--release", "--target-dir"]);
    build.arg(built);
    if let Some(target) = only {
        build.args(["--bin", target]);
    }
    // The folder's own .cargo/config.toml has the flags for coverage.
    run(build.current_dir(folder))
}

/// Where the targets are, and where what is built of them.
fn folders(workspace: &Workspace) -> (PathBuf, PathBuf) {
    let built = workspace.target().join("fuzz");
    (workspace.root().join("fuzz"), built)
}

fn fuzzer(
    folder: &Path,
    program: &Path,
    name: &str,
    learned: &Path,
    seconds: u32,
) -> Result<Command> {
    let artifacts = folder.join("artifacts").join(name);
    fs::create_dir_all(&artifacts)?;
    fs::create_dir_all(learned)?;
    let mut fuzzer = Command::new(program);
    fuzzer
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        // A hang is a failure too; a packet takes microseconds.
        .args([
            "-timeout=5",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-verbosity=0",
            "-print_funcs=0",
        ])
        // Libfuzzer adds what it finds to the first folder and only reads the others.
        .arg(learned)
        .arg(folder.join("corpus").join(name));
    Ok(fuzzer)
}

fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let manifest = "fuzz/Cargo.toml";
    let mut metadata = workspace.cargo(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = capture(metadata.args(["--manifest-path", manifest]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let targets = metadata["packages"][0]["targets"].as_array();
    let programs = targets
        .into_iter()
        .flatten()
        .filter(|target| target["kind"][0] == "bin");
    let names = programs.filter_map(|target| target["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn host() -> Result<String> {
    let version = capture(Command::new("rustc").args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .ok_or_else(|| Error::from("rustc names no host"))?
        .to_owned())
}
