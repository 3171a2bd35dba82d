use std::path::PathBuf;

use super::{Task, cluster, interop};
use crate::process::{find_program, heading, run, run_side_by_side, yellow};
use crate::tools;
use crate::workspace::{ALL, Workspace};
use crate::{Error, Result};

pub(crate) const TASK: Task = Task {
    name: "test",
    summary: "run every test: Rust, then real peers as far as Node, Python and Chromium are there",
    usage: "usage: cargo xtask test [--no-interop | --require-all]

  --no-interop    only the Rust tests, without a word about the rest
  --require-all   fail where Node.js, Python or Chromium is missing, instead of skipping

The Rust tests need nothing but Rust; cargo-nextest runs them if it is installed.",
    run: |workspace, mut args| {
        let peers = match (args.flag("--no-interop"), args.flag("--require-all")) {
            (true, _) => Peers::None,
            (_, true) => Peers::All,
            _ => Peers::Available,
        };
        args.finish()?;
        test(workspace, peers)
    },
};

/// Which peers from outside Rust take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    None,
    Available,
    All,
}

pub(crate) fn test(workspace: &Workspace, peers: Peers) -> Result {
    rust(workspace, peers)?;
    if peers == Peers::None {
        return Ok(());
    }

    let mut skipped = Vec::new();
    let mut there = |suite: &str, tool: Result<PathBuf>| match tool {
        Ok(_) => Ok(true),
        Err(why) if peers == Peers::All => Err(Error::from(format!("{suite}: {why}"))),
        Err(why) => {
            skipped.push(format!("{suite}: {why}"));
            Ok(false)
        }
    };
    let node = there("JavaScript peers and the browser", tools::node())?;
    let python = there("the Python peer", tools::python())?;
    let chromium = node && there("the browser", tools::chromium())?;
    let mut suites = Vec::new();
    if node {
        suites.extend(interop::javascript(workspace)?);
    }
    if python {
        suites.push(interop::python(workspace)?);
    }
    if chromium {
        suites.push(interop::browser(workspace, Vec::new())?);
    }
    run_side_by_side(suites)?;

    for reason in skipped {
        eprintln!("\n{} {reason}", yellow("skipped:"));
    }
    Ok(())
}

/// Builds the Rust tests, and runs none.
pub(crate) fn build(workspace: &Workspace) -> Result {
    heading("Building the tests");
    let mut tests = match has_nextest() {
        true => workspace.cargo(["nextest", "run", "--no-run"]),
        false => workspace.cargo(["test", "--no-run"]),
    };
    run(tests.args(ALL))
}

fn rust(workspace: &Workspace, peers: Peers) -> Result {
    heading("Rust tests");
    if !has_nextest() {
        // This runs the examples in the docs as well.
        return run(workspace.cargo(["test", "--no-fail-fast"]).args(ALL));
    }
    let mut tests = workspace.cargo(["nextest", "run", "--no-fail-fast"]);
    if peers != Peers::None {
        cluster::with_engines(workspace, &mut tests);
    }
    if peers == Peers::All {
        tests.env("SOCKEYE_REQUIRE_ENGINES", "1");
    }
    // Many wait for an engine to begin, or for one to be missed, and leave their core to others meanwhile.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tests.arg(format!("--test-threads={}", 2 * cores));
    run(tests.args(ALL))?;
    heading("Examples in the docs");
    run(workspace.cargo(["test", "--doc"]).args(ALL))
}

fn has_nextest() -> bool {
    find_program(&["cargo-nextest"]).is_some()
}
