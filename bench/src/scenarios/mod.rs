//! What is measured, each time on a server started for it.

mod cast;
mod client;
mod connect;
mod echo;
mod idle;
mod rtt;

pub(crate) use idle::settle;

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{
    Result,
    options::Options,
    proc::{self, Part},
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
    /// One of 1,000 clients has a kibibyte of JSON sent to all, compressed, one broadcast in flight.
    CastDeflate,
    /// Connections that join and are gone again.
    Connect,
    /// Connections that do nothing.
    Idle,
    /// As `Echo`, over a Unix-domain socket.
    StreamEcho,
    /// One client, one event in flight, over a Unix-domain socket.
    StreamRtt,
    /// As `Idle`, over a Unix-domain socket.
    StreamIdle,
    /// One client with 16 events in flight, 32-byte string, acknowledged.
    ClientEchoDeep,
    /// The same with 16 clients and one event in flight each.
    ClientEchoWide,
    /// Clients that do nothing.
    ClientIdle,
}

impl Scenario {
    pub(crate) const ALL: [Self; 12] = [
        Self::Echo,
        Self::CastBurst,
        Self::CastSingle,
        Self::CastDeflate,
        Self::Connect,
        Self::Idle,
        Self::StreamEcho,
        Self::StreamRtt,
        Self::StreamIdle,
        Self::ClientEchoDeep,
        Self::ClientEchoWide,
        Self::ClientIdle,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::CastBurst => "cast, 4 in flight",
            Self::CastSingle => "cast, 1 in flight",
            Self::CastDeflate => "cast-deflate",
            Self::Connect => "connect",
            Self::Idle => "idle",
            Self::StreamEcho => "stream-echo",
            Self::StreamRtt => "stream-rtt",
            Self::StreamIdle => "stream-idle",
            Self::ClientEchoDeep => "client-echo, 1×16",
            Self::ClientEchoWide => "client-echo, 16×1",
            Self::ClientIdle => "client-idle",
        }
    }

    pub(crate) fn contest(self) -> Contest {
        match self {
            Self::Echo | Self::CastBurst | Self::CastSingle | Self::Connect | Self::Idle => {
                Contest::Servers
            }
            Self::CastDeflate => Contest::Compressed,
            Self::StreamEcho | Self::StreamRtt | Self::StreamIdle => Contest::Streams,
            Self::ClientEchoDeep | Self::ClientEchoWide | Self::ClientIdle => Contest::Clients,
        }
    }
}

/// Who is compared with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contest {
    /// Servers over WebSocket.
    Servers,
    /// Servers that compress.
    Compressed,
    /// Servers over a Unix-domain socket.
    Streams,
    /// Clients of Sockeye's server.
    Clients,
}

impl Contest {
    pub(crate) const ALL: [Self; 4] = [
        Self::Servers,
        Self::Compressed,
        Self::Streams,
        Self::Clients,
    ];

    /// Whether this one takes part.
    pub(crate) fn has(self, kind: Kind) -> bool {
        match self {
            Self::Servers | Self::Compressed | Self::Streams => {
                self.carrier(kind).dialect(kind).is_some()
            }
            Self::Clients => matches!(
                kind,
                Kind::Sockeye | Kind::SockeyeUnix | Kind::RustSocketio | Kind::Node
            ),
        }
    }

    /// What a client of this kind reaches its server over.
    fn carrier(self, kind: Kind) -> Carrier {
        match (self, kind) {
            (Self::Compressed, _) => Carrier::Deflate,
            (Self::Streams, _) | (Self::Clients, Kind::SockeyeUnix) => Carrier::Unix,
            _ => Carrier::WebSocket,
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

/// What messages cost the server, or the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    /// Messages (echo), deliveries (cast) or connections (connect) in the measured time.
    pub(crate) messages: u64,
    /// CPU for each of them, in microseconds.
    pub(crate) micros: f64,
    /// How many a second.
    pub(crate) rate: f64,
    /// Share of the measured time that the core of what is measured, and that of the load, was in use.
    pub(crate) busy: f64,
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
    let contest = scenario.contest();
    let (part, server) = match contest {
        Contest::Servers | Contest::Compressed | Contest::Streams => (Part::Measured, kind),
        Contest::Clients => (Part::Load, Kind::Sockeye),
    };
    let server = servers.start(part, server, contest.carrier(kind))?;
    match scenario {
        Scenario::Echo | Scenario::StreamEcho => {
            echo::run(&server, options.common.window).map(Sample::Cpu)
        }
        Scenario::CastBurst => cast::short(&server, options.common.window, 4).map(Sample::Cpu),
        Scenario::CastSingle => cast::short(&server, options.common.window, 1).map(Sample::Cpu),
        Scenario::CastDeflate => cast::long(&server, options.common.window).map(Sample::Cpu),
        Scenario::Connect => connect::run(&server, options.common.window).map(Sample::Cpu),
        Scenario::Idle | Scenario::StreamIdle => idle::run(&server, options),
        Scenario::StreamRtt => rtt::run(&server, options.common.window),
        Scenario::ClientEchoDeep => {
            client::echo(kind, servers, &server, options.common.window, (1, 16))
        }
        Scenario::ClientEchoWide => {
            client::echo(kind, servers, &server, options.common.window, (16, 1))
        }
        Scenario::ClientIdle => client::idle(kind, servers, &server, options),
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
        busy: cpu / elapsed,
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
pub(crate) const WARM_UP: Duration = Duration::from_secs(1);

/// How long a turn waits for input; only bounds how late the end of the time is noticed.
const TURN: Duration = Duration::from_millis(50);
