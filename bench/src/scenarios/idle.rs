//! Connections that joined `/` and then do nothing.

use std::time::{Duration, Instant};

use super::{Sample, TURN};
use crate::{Result, client::Swarm, options::Options, proc, server::Server};

/// Open before the first look at the memory, so that what a server sets up once is not counted as its connections'.
const WARM_UP: usize = 50;

pub(super) fn run(server: &Server, options: &Options) -> Result<Sample> {
    let mut swarm = Swarm::new(&server.target)?;
    swarm.open(WARM_UP)?;
    settle(&mut swarm, options.common.settle)?;
    let before = proc::memory_of(server.pid())?;
    swarm.open(options.common.connections())?;
    settle(&mut swarm, options.common.settle)?;
    let after = proc::memory_of(server.pid())?;
    let each = |before: f64, after: f64| (after - before) / options.common.connections() as f64;
    Ok(Sample::Memory {
        private_dirty: each(before.private_dirty, after.private_dirty),
        resident: each(before.resident, after.resident),
    })
}

/// Lets time pass in which pings are answered.
pub(crate) fn settle(swarm: &mut Swarm, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        swarm.turn(TURN, |_, _| Ok(()))?;
    }
    Ok(())
}
