use super::Task;
use crate::Result;
use crate::process::{heading, run};
use crate::workspace::{ALL, Workspace};

pub(crate) const TASK: Task = Task {
    name: "stalls",
    summary: "look for messages that lie unsent between threads, over every transport",
    usage: "usage: cargo xtask stalls [--seconds N]

  --seconds N   how long each transport is tried (default 60)

Runs crates/sockeye/tests/stalls.rs, which `cargo xtask test` runs for a few seconds, for so long. Two transports are
tried at a time, each with two workers.",
    run: |workspace, mut args| {
        let seconds = args.value("--seconds")?;
        args.finish()?;
        let seconds = seconds.map_or(Ok(DEFAULT_SECONDS), |text| text.parse())?;
        stalls(workspace, seconds)
    },
};

const DEFAULT_SECONDS: u32 = 60;

pub(crate) fn stalls(workspace: &Workspace, seconds: u32) -> Result {
    heading("stalls");
    // The features of the whole workspace, so that nothing is built anew for this.
    let mut test = workspace.cargo(["test", "--test", "stalls"]);
    test.args(ALL)
        .args(["--", "--nocapture", "--test-threads", "2"]);
    run(test.env("SOCKEYE_STALL_SECONDS", seconds.to_string()))
}
