use super::test::Peers;
use super::{Task, autobahn, check, fuzz, interop, package, size, stalls, test};
use crate::Result;
use crate::process::{find_program, yellow};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "ci",
    summary: "everything that has to pass before a change goes in",
    usage: "usage: cargo xtask ci

check, package, test --require-all (Rust, JavaScript, Python, browser), stalls for a minute a transport, abuse --short,
size, fuzz for ten seconds a target, and autobahn in both roles.",
    run: |workspace, args| {
        args.finish()?;
        ci(workspace)
    },
};

fn ci(workspace: &Workspace) -> Result {
    check::check(workspace)?;
    package::package(workspace)?;
    test::test(workspace, Peers::All)?;
    stalls::stalls(workspace, stalls::DEFAULT_SECONDS)?;
    if cfg!(target_os = "linux") {
        interop::abuse(workspace, vec!["--short".into()])?;
    } else {
        eprintln!("{} the abuse suite needs Linux", yellow("skipped:"));
    }
    size::size(workspace)?;
    if find_program(&["c++", "g++", "clang++"]).is_some() {
        fuzz::fuzz(workspace, fuzz::DEFAULT_SECONDS, None)?;
    } else {
        eprintln!("{} fuzzing needs a C++ compiler", yellow("skipped:"));
    }
    autobahn::server(workspace)?;
    autobahn::client(workspace)
}
