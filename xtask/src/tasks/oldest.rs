use std::collections::BTreeMap;
use std::process::Command;

use super::Task;
use crate::Result;
use crate::process::{capture, find_program, heading, run, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "oldest",
    summary: "check what is published with the oldest Rust that it declares",
    usage: "usage: cargo xtask oldest

Runs cargo check, with all features, with the oldest Rust that each crate declares, as far as rustup has that installed.
Tests may need a newer one.",
    run: |workspace, args| {
        args.finish()?;
        oldest(workspace)
    },
};

fn oldest(workspace: &Workspace) -> Result {
    heading("Oldest Rust");
    if find_program(&["rustup"]).is_none() {
        eprintln!("{} rustup is not on the PATH", yellow("skipped:"));
        return Ok(());
    }
    let mut by_version = BTreeMap::<&str, Vec<&str>>::new();
    for package in workspace.packages() {
        if package.is_published {
            let packages = by_version.entry(&package.rust_version).or_default();
            packages.push(&package.name);
        }
    }
    let this = capture(Command::new("rustc").arg("--version"))?;
    let this = this.trim_start_matches("rustc ");
    let installed = capture(Command::new("rustup").args(["toolchain", "list"]))?;
    for (version, packages) in by_version {
        let is_it = |name: &&str| {
            let rest = name.strip_prefix(version);
            rest.is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        if is_it(&this) {
            eprintln!("{version}: all else is checked with that");
            continue;
        }
        let mut toolchains = installed.lines().filter_map(|line| line.split(' ').next());
        let Some(toolchain) = toolchains.find(is_it) else {
            let install = format!("rustup toolchain install {version} --profile minimal");
            eprintln!(
                "{} Rust {version} is not installed: {install}",
                yellow("skipped:")
            );
            continue;
        };
        let mut check = Command::new("rustup");
        check.args(["run", toolchain, "cargo", "check", "--all-features"]);
        // Two compilers have nothing to share.
        check
            .arg("--target-dir")
            .arg(workspace.target().join("oldest"));
        check.args(packages.iter().flat_map(|name| ["--package", name]));
        run(check.current_dir(workspace.root()))?;
    }
    Ok(())
}
