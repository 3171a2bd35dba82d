//! What a cluster costs: two servers on one engine, or three, one of which emits to clients of another.

mod nodes;
mod options;
mod report;
mod scenarios;

use clap::Parser;

use crate::{Result, named, proc, server};

use nodes::{Nodes, Peer};
use options::Options;
use report::Report;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let options = Options::parse_from(named(args));
    proc::raise_file_limit()?;
    server::kill_children_on_signal(|| ())?;
    let nodes = Nodes::new(&options)?;
    let mut report = Report::default();
    for round in 1..=options.common.rounds() {
        for engine in &options.engines {
            for &scenario in options.scenarios() {
                // By turns, so that whatever slows the machine for a while slows both.
                for &peer in options.peers() {
                    if peer == Peer::Node && !scenario.has_node() {
                        continue;
                    }
                    let (name, who) = (scenario.name(), peer.name());
                    eprint!(
                        "round {round}/{}: {who} on {engine}, {name} … ",
                        options.common.rounds()
                    );
                    match scenarios::run(scenario, peer, engine, &nodes, &options) {
                        Ok(numbers) => {
                            eprintln!("{numbers}");
                            report.add(round, engine, scenario, peer, numbers);
                        }
                        Err(error) => eprintln!("failed: {error}"),
                    }
                }
            }
        }
    }
    print!("{report}");
    Ok(())
}
