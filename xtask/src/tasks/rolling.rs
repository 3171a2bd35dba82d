use super::Task;
use super::interop::Suites;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::Workspace;

pub(crate) const TASK: Task = Task {
    name: "rolling",
    summary: "restart the servers of a cluster one after the other while events go to its clients",
    usage: "usage: cargo xtask rolling [OPTIONS OF interop/rolling.mjs]

  --nodes NAMES  the servers, with commas between them, each sockeye or node; three of ours otherwise
  --clients N    how many clients there are
  --rate N       how many events there are in a second
  --rounds N     how often each server is restarted
  --kill         the servers are killed, and keep sockets early

Builds the example cluster_node. Each client has to get each event once, in order, and to be the same socket all the
time. Needs Node.js 20 and redis-server.",
    run: |workspace, args| rolling(workspace, args.rest()),
};

fn rolling(workspace: &Workspace, options: Vec<String>) -> Result {
    let suites = Suites::prepare(workspace)?;
    let node = workspace.build_example("cluster_node")?;
    heading("Rolling restart");
    run(suites.against("rolling.mjs", &node).args(options))
}
