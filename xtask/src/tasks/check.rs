use super::{Task, licences};
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::{ALL, Workspace};

pub(crate) const TASK: Task = Task {
    name: "check",
    summary: "formatting, licences, lints and documentation, warnings denied",
    usage: "usage: cargo xtask check [lints | rest]

  lints   cargo fmt --check, the licence of every crate that is used, and cargo clippy over the workspace
  rest    clippy over each end without the other, and cargo doc

Both without a word.",
    run: |workspace, mut args| {
        let part = args.positional();
        args.finish()?;
        match part.as_deref() {
            None => lints(workspace).and_then(|()| rest(workspace)),
            Some("lints") => lints(workspace),
            Some("rest") => rest(workspace),
            Some(other) => Err(format!("{other:?} is neither lints nor rest").into()),
        }
    },
};

pub(crate) fn lints(workspace: &Workspace) -> Result {
    heading("Formatting");
    run(&mut workspace.cargo(["fmt", "--all", "--check"]))?;
    let fuzz = ["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"];
    run(&mut workspace.cargo(fuzz))?;
    licences::licences(workspace)?;
    heading("Lints");
    let mut clippy = workspace.cargo(["clippy", "--all-targets"]);
    run(clippy.args(ALL).args(["--", "--deny", "warnings"]))
}

fn rest(workspace: &Workspace) -> Result {
    // What the workspace as a whole never builds: each end without the other.
    for end in ["client", "server"] {
        heading(&format!("Lints of the {end} alone"));
        let lone = ["clippy", "-p", "sockeye", "--no-default-features"];
        let mut clippy = workspace.cargo(lone);
        run(clippy.args(["--features", end, "--", "--deny", "warnings"]))?;
    }
    heading("Documentation");
    let mut doc = workspace.cargo(["doc", "--no-deps"]);
    run(doc.args(ALL).env("RUSTDOCFLAGS", "--deny warnings"))
}
