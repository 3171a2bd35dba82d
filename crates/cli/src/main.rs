//! The `sockeye` command.

mod args;
mod chat;
mod logging;
mod report;
mod serve;
mod units;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use report::{Explain, NoRuntime};

fn main() -> ExitCode {
    let args = Args::parse();
    logging::start(args.verbose);
    let result = match args.command.unwrap_or_default() {
        Command::Serve(options) => block_on(serve::run(options)),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report::print(&*error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a command on a runtime that uses all cores.
fn block_on<E: Explain + 'static>(
    command: impl Future<Output = Result<ExitCode, E>>,
) -> Result<ExitCode, Box<dyn Explain>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NoRuntime)?;
    Ok(runtime.block_on(command)?)
}
