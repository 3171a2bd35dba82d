use super::Task;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "package",
    summary: "pack the crates as for publishing, and build each from its package",
    usage: "usage: cargo xtask package

Runs cargo package over all crates that are published, which takes about a minute. What is not committed is packed too.
Each is built with its default features, on its own and without what the workspace has around it.",
    run: |workspace, args| {
        args.finish()?;
        package(workspace)
    },
};

pub(crate) fn package(workspace: &Workspace) -> Result {
    heading("Packages");
    let mut package = workspace.cargo(["package", "--workspace", "--allow-dirty"]);
    for unpublished in workspace
        .packages()
        .iter()
        .filter(|package| !package.is_published)
    {
        package.args(["--exclude", &unpublished.name]);
    }
    run(&mut package)
}
