//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::{Result, scenarios::Scenario, server::Kind};

pub(crate) const USAGE: &str = "\
Measures CPU per message and memory per connection of Socket.IO servers and clients and what compares to them.

Usage: cargo run --release -- [OPTIONS], or cargo run --release -- cluster [OPTIONS]

  --rounds N          rounds, each over every server (default 5)
  --seconds S         measured seconds of each CPU scenario (default 3)
  --only NAME,…       echo, cast, cast-deflate, connect, idle, stream-echo, stream-rtt, stream-idle, client-echo,
                      client-idle (default all)
  --servers NAME,…    for echo, cast, connect and idle: sockeye, socketioxide, node, floor;
                      for cast-deflate: sockeye, sockeye-plain, node;
                      for stream-…: sockeye, sockeye-lines, tokio, node-net;
                      for client-…: sockeye, sockeye-unix, rust_socketio, node (default all)
  --server-bin PATH   Sockeye's server (default ../target/release/examples/bench_server)
  --client-bin PATH   Sockeye's client (default ../target/release/examples/bench_client)
  --connections N     idle connections (default 10000)
  --settle S          seconds between the last connection and the look at the memory (default 3)
";

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) servers: Vec<Kind>,
    pub(crate) server_bin: PathBuf,
    pub(crate) client_bin: PathBuf,
    pub(crate) idle_connections: usize,
    pub(crate) settle: Duration,
}

impl Options {
    /// `None` if help is asked for.
    pub(crate) fn parse(args: &[String]) -> Result<Option<Self>> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            rounds: 5,
            window: Duration::from_secs(3),
            scenarios: Scenario::ALL.to_vec(),
            servers: Kind::ALL.to_vec(),
            server_bin: here.join("../target/release/examples/bench_server"),
            client_bin: here.join("../target/release/examples/bench_client"),
            idle_connections: 10_000,
            settle: Duration::from_secs(3),
        };
        let mut args = args.iter();
        while let Some(option) = args.next() {
            if matches!(option.as_str(), "-h" | "--help") {
                return Ok(None);
            }
            let value = args
                .next()
                .ok_or_else(|| format!("{option} needs a value"))?;
            match option.as_str() {
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.window = Duration::try_from_secs_f64(value.parse()?)?,
                // Both casts go by one name, and so do both echoes of clients.
                "--only" => {
                    options.scenarios = choose(value, &Scenario::ALL, |scenario| {
                        scenario.name().split(',').next().unwrap_or_default()
                    })?;
                }
                "--servers" => options.servers = choose(value, &Kind::ALL, Kind::name)?,
                "--server-bin" => options.server_bin = value.into(),
                "--client-bin" => options.client_bin = value.into(),
                "--connections" => options.idle_connections = value.parse()?,
                "--settle" => options.settle = Duration::try_from_secs_f64(value.parse()?)?,
                other => return Err(format!("unknown option {other}\n\n{USAGE}").into()),
            }
        }
        if options.rounds == 0 || options.window.is_zero() || options.idle_connections == 0 {
            return Err("rounds, seconds and connections must be more than 0".into());
        }
        Ok(Some(options))
    }
}

/// Those of `all` that are in the comma-separated list.
pub(crate) fn choose<T: Copy>(
    list: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Vec<T>> {
    let mut chosen = Vec::new();
    for wanted in list.split(',') {
        let before = chosen.len();
        chosen.extend(all.iter().copied().filter(|&one| name(one) == wanted));
        if chosen.len() == before {
            return Err(format!("unknown name {wanted}\n\n{USAGE}").into());
        }
    }
    Ok(chosen)
}
