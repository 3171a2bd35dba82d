//! What is measured, each time on a server started for it.

mod cast;
mod echo;
mod idle;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    Result,
    client::Swarm,
    options::Options,
    proc,
    server::{Kind, Server, Servers},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// 64 clients, 16 events in flight each, 32-byte string, acknowledged.
    Echo,
    /// One of 1,000 clients has 128 bytes sent to all, four broadcasts in flight.
    CastBurst,
    /// The same, the next one when the last has reached everybody.
    CastSingle,
    /// Connections that do nothing.
    Idle,
}

impl Scenario {
    pub(crate) const ALL: [Self; 4] = [Self::Echo, Self::CastBurst, Self::CastSingle, Self::Idle];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::CastBurst => "cast, 4 in flight",
            Self::CastSingle => "cast, 1 in flight",
            Self::Idle => "idle",
        }
    }
}

/// The outcome of one scenario on one server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    Cpu {
        /// Server CPU for each message (echo) or delivery (cast), in microseconds.
        micros: f64,
        /// Messages or deliveries a second.
        rate: f64,
        /// Share of the measured time that the server's core, and the load's, was in use.
        server_busy: f64,
        load_busy: f64,
    },
    /// KiB for each connection.
    Memory { private_dirty: f64, resident: f64 },
}

impl Sample {
    /// The number that is compared; less is better.
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Cpu { micros, .. } => micros,
            Self::Memory { private_dirty, .. } => private_dirty,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu { micros, rate, .. } => write!(f, "{micros:.3} µs, {rate:.0}/s"),
            Self::Memory { private_dirty, .. } => write!(f, "{private_dirty:.2} KiB"),
        }
    }
}

pub(crate) fn run(
    scenario: Scenario,
    kind: Kind,
    servers: &Servers,
    options: &Options,
) -> Result<Sample> {
    let server = servers.start(kind)?;
    match scenario {
        Scenario::Echo => echo::run(&server, options.window),
        Scenario::CastBurst => cast::run(&server, options.window, 4),
        Scenario::CastSingle => cast::run(&server, options.window, 1),
        Scenario::Idle => idle::run(&server, options),
    }
}

/// Lets a load run, first to warm up and then for the measured time.
///
/// `turn` works off what came in and returns how many messages are done so far.
fn measure(
    server: &Server,
    window: Duration,
    swarm: &mut Swarm,
    mut turn: impl FnMut(&mut Swarm) -> Result<u64>,
) -> Result<Sample> {
    let before = run_for(swarm, WARM_UP.min(window), &mut turn)?;
    let (cpu, own, start) = (proc::cpu_of(server.pid())?, proc::own_cpu(), Instant::now());
    let after = run_for(swarm, window, &mut turn)?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = proc::cpu_of(server.pid())?
        .saturating_sub(cpu)
        .as_secs_f64();
    let own = (proc::own_cpu() - own).as_secs_f64();
    if after == before {
        return Err("nothing came back in the measured time".into());
    }
    let done = (after - before) as f64;
    Ok(Sample::Cpu {
        micros: cpu * 1e6 / done,
        rate: done / elapsed,
        server_busy: cpu / elapsed,
        load_busy: own / elapsed,
    })
}

fn run_for(
    swarm: &mut Swarm,
    time: Duration,
    turn: &mut impl FnMut(&mut Swarm) -> Result<u64>,
) -> Result<u64> {
    let end = Instant::now() + time;
    let mut done = turn(swarm)?;
    while Instant::now() < end {
        done = turn(swarm)?;
    }
    Ok(done)
}

/// Long enough for allocators, branch predictors and Node's compiler to settle.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long a turn waits for input; only bounds how late the end of the time is noticed.
const TURN: Duration = Duration::from_millis(50);
