use super::Task;
use super::interop::Suites;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "failures",
    summary: "kill and stop servers of a cluster while others wait for their answers",
    usage: "usage: cargo xtask failures [OPTIONS OF interop/failures.mjs]

  --engine NAMES  only these engines, with commas between them; redis, sharded, streams, postgres and nats otherwise
  --quick         only Redis, and NATS, on which servers know each other by heartbeats

Builds the example cluster_node. Requests have to end within a second of when the loss is noticed, with the answers of the
others; whoever goes on after a stop has to be one of the servers again. Needs Node.js 20, and what the engines need. An
engine that is not there is skipped, or a failure if SOCKEYE_REQUIRE_ENGINES is 1.",
    run: |workspace, args| failures(workspace, args.rest()),
};

fn failures(workspace: &Workspace, options: Vec<String>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let node = workspace.build_example("cluster_node")?;
    heading("Servers that fail");
    run(suites.against("failures.mjs", &node).args(options))
}
