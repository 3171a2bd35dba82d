use std::collections::BTreeMap;
use std::process::Command;

use super::{Task, licences};
use crate::Result;
use crate::process::{capture, find_program, heading, run, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "check",
    summary: "formatting, licences, lints and documentation, warnings denied",
    usage: "usage: cargo xtask check

Runs cargo fmt --check, cargo clippy and cargo doc over the workspace, clippy over each end without the other, and
cargo check with the oldest Rust that each crate declares, as far as rustup has that installed. Looks at the licence
of every crate that is used.",
    run: |workspace, args| {
        args.finish()?;
        check(workspace)
    },
};

pub(crate) fn check(workspace: &Workspace) -> Result {
    let all = ["--workspace", "--all-features"];
    heading("Formatting");
    run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    let fuzz = ["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"];
    run(&mut workspace.cargo(fuzz))?;
    licences::licences(workspace)?;
    heading("Lints");
    let mut clippy = workspace.cargo(["clippy", "--all-targets"]);
    run(clippy.args(all).args(["--", "--deny", "warnings"]))?;
    // What the workspace as a whole never builds: each end without the other.
    for end in ["client", "server"] {
        let lone = ["clippy", "-p", "sockeye", "--no-default-features"];
        let mut clippy = workspace.cargo(lone);
        run(clippy.args(["--features", end, "--", "--deny", "warnings"]))?;
    }
    heading("Documentation");
    let mut doc = workspace.cargo(["doc", "--no-deps"]);
    run(doc.args(all).env("RUSTDOCFLAGS", "--deny warnings"))?;
    heading("Oldest Rust");
    oldest_rust(workspace)
}

/// Builds what is published with the oldest Rust that it declares. Tests may need a newer one.
fn oldest_rust(workspace: &Workspace) -> Result {
    if find_program(&["rustup"]).is_none() {
        eprintln!("{} rustup is not on the PATH", yellow("skipped:"));
        return Ok(());
    }
    let installed = capture(Command::new("rustup").args(["toolchain", "list"]))?;
    let mut by_version = BTreeMap::<&str, Vec<&str>>::new();
    for package in workspace
        .packages()
        .iter()
        .filter(|package| package.is_published)
    {
        by_version
            .entry(&package.rust_version)
            .or_default()
            .push(&package.name);
    }
    for (version, packages) in by_version {
        let is_it = |name: &&str| {
            let rest = name.strip_prefix(version);
            rest.is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        let toolchains = installed.lines().filter_map(|line| line.split(' ').next());
        let Some(toolchain) = toolchains.clone().find(is_it) else {
            let install = format!("rustup toolchain install {version} --profile minimal");
            eprintln!(
                "{} Rust {version} is not installed: {install}",
                yellow("skipped:")
            );
            continue;
        };
        let mut check = Command::new("rustup");
        check.args(["run", toolchain, "cargo", "check", "--all-features"]);
        check.args(packages.iter().flat_map(|name| ["--package", name]));
        run(check.current_dir(workspace.root()))?;
    }
    Ok(())
}
