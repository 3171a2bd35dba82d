//! Measures what Socket.IO servers and clients cost: CPU per message and memory per connection, against their peers.
//!
//! The README beside this package says how to run it and how to read its table.

mod client;
mod cluster;
mod dialect;
mod frame;
mod options;
mod peers;
mod prefixed;
mod proc;
mod program;
mod report;
mod scenarios;
mod server;

use std::{env, error::Error, iter, process::ExitCode};

use clap::Parser;

use options::Options;
use report::Report;
use server::Servers;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    // The peers live in this same program, so that one `cargo run` builds and starts everything.
    let outcome = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", "socketioxide", address] => peers::socketioxide::serve(address),
        ["serve", "floor", address] => peers::floor::serve(address),
        ["serve", "tokio", path] => peers::tokio::serve(path),
        ["cluster", ..] => cluster::run(&args[1..]),
        ["client", "rust_socketio", ref args @ ..] => peers::rust_socketio::run(args),
        _ => measure(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments behind what clap takes for the program's name.
fn named(args: &[String]) -> impl Iterator<Item = &str> {
    iter::once("bench").chain(args.iter().map(String::as_str))
}

fn measure(args: &[String]) -> Result<()> {
    let options = Options::parse_from(named(args));
    proc::raise_file_limit()?;
    let servers = Servers::find(&options)?;
    let mut report = Report::default();
    for round in 1..=options.common.rounds() {
        for &scenario in options.scenarios() {
            let contest = scenario.contest();
            for kind in servers.found.iter().filter(|kind| contest.has(**kind)) {
                eprint!(
                    "round {round}/{}: {} on {} … ",
                    options.common.rounds(),
                    scenario.name(),
                    kind.name()
                );
                // One server that fails must not cost the results of the others.
                match scenarios::run(scenario, *kind, &servers, &options) {
                    Ok(sample) => {
                        eprintln!("{sample}");
                        report.add(round, scenario, *kind, sample);
                    }
                    Err(error) => eprintln!("failed: {error}"),
                }
            }
        }
    }
    print!("{report}");
    Ok(())
}
