//! The command line.

use std::{path::PathBuf, time::Duration};

use super::{nodes::Peer, scenarios::Scenario};
use crate::{Result, options::choose};

pub(super) const USAGE: &str = "\
Measures what a cluster costs: CPU for each broadcast on the server that emits and on the one that has the receiver, time
from the one's client to the other's, and memory of a connection.

Usage: cargo run --release -- cluster [OPTIONS]

  --rounds N         rounds, each over every engine, scenario and server (default 5)
  --seconds S        measured seconds of each scenario, after one of warming up (default 3)
  --engines NAME,…   engines of interop/cluster/engines.mjs (default redis)
  --only NAME,…      single, burst, rooms, idle (default single, burst, rooms)
  --servers NAME,…   sockeye, node (default both)
  --server-bin PATH  Sockeye's server (default ../target/release/examples/bench_server)
  --connections N    connections of idle (default 10000)
  --settle S         seconds between the last of them and the look at the memory (default 3)
";

pub(super) struct Options {
    pub(super) rounds: usize,
    pub(super) window: Duration,
    pub(super) engines: Vec<String>,
    pub(super) scenarios: Vec<Scenario>,
    pub(super) peers: Vec<Peer>,
    pub(super) server_bin: PathBuf,
    pub(super) connections: usize,
    pub(super) settle: Duration,
}

impl Options {
    /// `None` if help is asked for.
    pub(super) fn parse(args: &[String]) -> Result<Option<Self>> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut options = Self {
            rounds: 5,
            window: Duration::from_secs(3),
            engines: vec!["redis".to_owned()],
            scenarios: vec![Scenario::Single, Scenario::Burst, Scenario::Rooms],
            peers: Peer::ALL.to_vec(),
            server_bin: here.join("../target/release/examples/bench_server"),
            connections: 10_000,
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
                "--engines" => options.engines = value.split(',').map(str::to_owned).collect(),
                "--only" => options.scenarios = choose(value, &Scenario::ALL, Scenario::name)?,
                "--servers" => options.peers = choose(value, &Peer::ALL, Peer::name)?,
                "--server-bin" => options.server_bin = value.into(),
                "--connections" => options.connections = value.parse()?,
                "--settle" => options.settle = Duration::try_from_secs_f64(value.parse()?)?,
                // What `cargo xtask bench` gives to every benchmark.
                "--client-bin" => {}
                other => return Err(format!("unknown option {other}\n\n{USAGE}").into()),
            }
        }
        if options.rounds == 0 || options.window.is_zero() || options.connections == 0 {
            return Err("rounds, seconds and connections must be more than 0".into());
        }
        Ok(Some(options))
    }
}
