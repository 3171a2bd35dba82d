use super::Task;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "check",
    summary: "formatting, lints and documentation, warnings denied",
    usage: "usage: cargo xtask check

Runs cargo fmt --check, cargo clippy and cargo doc over the workspace, and clippy over each end without the other.",
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
    run(doc.args(all).env("RUSTDOCFLAGS", "--deny warnings"))
}
