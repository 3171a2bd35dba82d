//! One module a task.

mod autobahn;
mod bench;
mod check;
mod ci;
mod cluster;
mod failures;
mod fuzz;
mod interop;
mod licences;
mod oldest;
mod package;
mod rolling;
mod size;
mod stalls;
mod test;

use crate::Result;
use crate::args::Args;
use crate::workspace::Workspace;

/// Something `cargo xtask` can do.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) run: fn(&Workspace, Args) -> Result,
}

pub(crate) const TASKS: &[Task] = &[
    test::TASK,
    check::TASK,
    package::TASK,
    oldest::TASK,
    rolling::TASK,
    failures::TASK,
    interop::TASK,
    interop::BROWSER_TASK,
    interop::ABUSE_TASK,
    cluster::TASK,
    autobahn::TASK,
    bench::TASK,
    fuzz::TASK,
    stalls::TASK,
    size::TASK,
    ci::TASK,
];
