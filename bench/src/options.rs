//! The command line.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Parser};

use crate::{scenarios::Scenario, server::Kind};

/// Measures CPU per message and memory per connection of Socket.IO servers and clients and what compares to them.
#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    after_help = "`cargo xtask bench cluster -- --help` tells of clusters."
)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Only these of echo, cast, cast-deflate, connect, idle, stream-echo, stream-rtt, stream-idle, client-echo, client-idle
    #[arg(long = "only", value_name = "NAME,…", value_parser = scenarios)]
    scenarios: Option<List<Scenario>>,
    /// Only these: for echo, cast, connect and idle sockeye, socketioxide, node, floor; for cast-deflate sockeye,
    /// sockeye-plain, node; for stream-… sockeye, sockeye-lines, tokio, node-net; for client-… sockeye, sockeye-unix,
    /// rust_socketio, node
    #[arg(long, value_name = "NAME,…", value_parser = kinds)]
    servers: Option<List<Kind>>,
    /// Sockeye's client
    #[arg(long, value_name = "PATH", default_value = CLIENT)]
    pub(crate) client_bin: PathBuf,
}

/// What is to be said of every benchmark.
#[derive(Args)]
pub(crate) struct Common {
    /// Rounds, each over everything that is measured
    #[arg(long, value_name = "N", default_value = "5")]
    rounds: NonZeroU32,
    /// Measured seconds of each scenario that is about CPU time
    #[arg(long = "seconds", value_name = "S", default_value = "3", value_parser = some_seconds)]
    pub(crate) window: Duration,
    /// Sockeye's server
    #[arg(long, value_name = "PATH", default_value = SERVER)]
    pub(crate) server_bin: PathBuf,
    /// Idle connections
    #[arg(long, value_name = "N", default_value = "10000")]
    connections: NonZeroU32,
    /// Seconds between the last connection and the look at the memory
    #[arg(long, value_name = "S", default_value = "3", value_parser = seconds)]
    pub(crate) settle: Duration,
}

/// What was named, with commas between.
#[derive(Clone, Debug)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl Options {
    pub(crate) fn scenarios(&self) -> &[Scenario] {
        self.scenarios
            .as_ref()
            .map_or(&Scenario::ALL, |list| &list.0)
    }

    pub(crate) fn servers(&self) -> &[Kind] {
        self.servers.as_ref().map_or(&Kind::ALL, |list| &list.0)
    }
}

impl Common {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.get() as usize
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.get() as usize
    }
}

impl<T: Copy> List<T> {
    /// Those of `all` that are in the list.
    pub(crate) fn parse(
        list: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<Self, String> {
        let mut chosen = Vec::new();
        for wanted in list.split(',') {
            let before = chosen.len();
            chosen.extend(all.iter().copied().filter(|&one| name(one) == wanted));
            if chosen.len() == before {
                return Err(format!("unknown name {wanted}"));
            }
        }
        Ok(Self(chosen))
    }
}

/// Both casts go by one name, and so do both echoes of clients.
fn scenarios(list: &str) -> Result<List<Scenario>, String> {
    List::parse(list, &Scenario::ALL, |scenario| {
        scenario.name().split(',').next().unwrap_or_default()
    })
}

fn kinds(list: &str) -> Result<List<Kind>, String> {
    List::parse(list, &Kind::ALL, Kind::name)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "is no number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    let time = seconds(text)?;
    if time.is_zero() {
        Err("is no time".to_owned())
    } else {
        Ok(time)
    }
}

/// Where `cargo build --release --examples` leaves Sockeye's programs.
const SERVER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/release/examples/bench_server"
);
const CLIENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/release/examples/bench_client"
);
