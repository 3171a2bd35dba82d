//! What is measured, each time on a server started for it.

mod cast;
mod echo;
mod idle;
mod rtt;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    Result,
    options::Options,
    proc,
    server::{Carrier, Kind, Server, Servers},
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
    /// As `Echo`, over a Unix-domain socket.
    StreamEcho,
    /// One client, one event in flight, over a Unix-domain socket.
    StreamRtt,
    /// As `Idle`, over a Unix-domain socket.
    StreamIdle,
}

impl Scenario {
    pub(crate) const ALL: [Self; 7] = [
        Self::Echo,
        Self::CastBurst,
        Self::CastSingle,
        Self::Idle,
        Self::StreamEcho,
        Self::StreamRtt,
        Self::StreamIdle,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::CastBurst => "cast, 4 in flight",
            Self::CastSingle => "cast, 1 in flight",
            Self::Idle => "idle",
            Self::StreamEcho => "stream-echo",
            Self::StreamRtt => "stream-rtt",
            Self::StreamIdle => "stream-idle",
        }
    }

    pub(crate) fn carrier(self) -> Carrier {
        match self {
            Self::Echo | Self::CastBurst | Self::CastSingle | Self::Idle => Carrier::WebSocket,
            Self::StreamEcho | Self::StreamRtt | Self::StreamIdle => Carrier::Unix,
        }
    }
}

/// The outcome of one scenario on one server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    Cpu(Cpu),
    RoundTrip {
        /// Time of a round trip, the median of all, in microseconds.
        micros: f64,
        cpu: Cpu,
    },
    /// KiB for each connection.
    Memory {
        private_dirty: f64,
        resident: f64,
    },
}

/// What messages cost the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    /// Messages (echo) or deliveries (cast) in the measured time.
    pub(crate) messages: u64,
    /// Server CPU for each of them, in microseconds.
    pub(crate) micros: f64,
    /// How many a second.
    pub(crate) rate: f64,
    /// Share of the measured time that the server's core, and the load's, was in use.
    pub(crate) server_busy: f64,
    pub(crate) load_busy: f64,
}

impl Sample {
    pub(crate) fn cpu(self) -> Option<Cpu> {
        match self {
            Self::Cpu(cpu) | Self::RoundTrip { cpu, .. } => Some(cpu),
            Self::Memory { .. } => None,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cpu) => write!(f, "{:.3} µs, {:.0}/s", cpu.micros, cpu.rate),
            Self::RoundTrip { micros, cpu } => {
                write!(f, "{micros:.1} µs, {:.3} µs of CPU", cpu.micros)
            }
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
    let server = servers.start(kind, scenario.carrier())?;
    match scenario {
        Scenario::Echo | Scenario::StreamEcho => {
            echo::run(&server, options.window).map(Sample::Cpu)
        }
        Scenario::CastBurst => cast::run(&server, options.window, 4).map(Sample::Cpu),
        Scenario::CastSingle => cast::run(&server, options.window, 1).map(Sample::Cpu),
        Scenario::Idle | Scenario::StreamIdle => idle::run(&server, options),
        Scenario::StreamRtt => rtt::run(&server, options.window),
    }
}

/// Lets a load run, first to warm up and then for the measured time.
///
/// `turn` works off what came in and returns how many messages are done so far.
fn measure<L>(
    server: &Server,
    window: Duration,
    load: &mut L,
    mut turn: impl FnMut(&mut L) -> Result<u64>,
) -> Result<Cpu> {
    let before = run_for(load, WARM_UP.min(window), &mut turn)?;
    let (cpu, own, start) = (proc::cpu_of(server.pid())?, proc::own_cpu(), Instant::now());
    let after = run_for(load, window, &mut turn)?;
    let elapsed = start.elapsed().as_secs_f64();
    let cpu = proc::cpu_of(server.pid())?
        .saturating_sub(cpu)
        .as_secs_f64();
    let own = (proc::own_cpu() - own).as_secs_f64();
    if after == before {
        return Err("nothing came back in the measured time".into());
    }
    let messages = after - before;
    Ok(Cpu {
        messages,
        micros: cpu * 1e6 / messages as f64,
        rate: messages as f64 / elapsed,
        server_busy: cpu / elapsed,
        load_busy: own / elapsed,
    })
}

fn run_for<L>(
    load: &mut L,
    time: Duration,
    turn: &mut impl FnMut(&mut L) -> Result<u64>,
) -> Result<u64> {
    let end = Instant::now() + time;
    let mut done = turn(load)?;
    while Instant::now() < end {
        done = turn(load)?;
    }
    Ok(done)
}

/// Long enough for allocators, branch predictors and Node's compiler to settle.
const WARM_UP: Duration = Duration::from_secs(1);

/// How long a turn waits for input; only bounds how late the end of the time is noticed.
const TURN: Duration = Duration::from_millis(50);
