//! The command line.

use clap::Parser;

use super::{nodes::Peer, scenarios::Scenario};
use crate::options::{Common, List};

/// Measures what a cluster costs: CPU for each broadcast on the server that emits and on the one that has the receiver, time
/// from the one's client to the other's, and memory of a connection.
#[derive(Parser)]
#[command(name = "cargo xtask bench cluster")]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) common: Common,
    /// Engines of interop/cluster/engines.mjs
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        default_value = "redis"
    )]
    pub(super) engines: Vec<String>,
    /// Only these of single, burst, rooms, idle
    #[arg(long = "only", value_name = "NAME,…", value_parser = scenarios, default_value = "single,burst,rooms")]
    scenarios: List<Scenario>,
    /// Only these of sockeye, node
    #[arg(long = "servers", value_name = "NAME,…", value_parser = peers, default_value = "sockeye,node")]
    peers: List<Peer>,
}

impl Options {
    pub(super) fn scenarios(&self) -> &[Scenario] {
        &self.scenarios.0
    }

    pub(super) fn peers(&self) -> &[Peer] {
        &self.peers.0
    }
}

fn scenarios(list: &str) -> Result<List<Scenario>, String> {
    List::parse(list, &Scenario::ALL, Scenario::name)
}

fn peers(list: &str) -> Result<List<Peer>, String> {
    List::parse(list, &Peer::ALL, Peer::name)
}
