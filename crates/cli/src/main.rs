//! The `sockeye` command.

mod args;
mod arguments;
mod bench;
mod connect;
mod emit;
mod escape;
mod headings;
mod json;
mod logging;
mod peer;
mod publish;
mod report;
mod serve;
mod shown;
mod signals;
mod units;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser;
use report::{Exit, Explain, NoRuntime};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => return refuse(&message),
    };
    logging::start(args.verbose);
    let result = match args.command.unwrap_or_default() {
        Command::Serve(options) => block_on(serve::run(options)),
        Command::Connect(options) => block_on(connect::run(options)),
        Command::Emit(options) => block_on(emit::run(options)),
        Command::Bench(options) => block_on(bench::run(options)),
    };
    let exit = result.unwrap_or_else(|error| {
        report::print(&*error);
        error.exit()
    });
    exit.into()
}

/// Prints help, or what is wrong with the command line: clap itself would end with 2 by that,
/// which stands for a server that cannot be reached.
fn refuse(message: &clap::Error) -> ExitCode {
    // Where nothing can be written nobody can be told.
    let printed = message.print();
    match message.use_stderr() || report::unless_closed(printed).is_err() {
        true => Exit::Failure.into(),
        false => Exit::Success.into(),
    }
}

/// Runs a command on a runtime that uses all cores.
fn block_on<E: Explain + 'static>(
    command: impl Future<Output = Result<Exit, E>>,
) -> Result<Exit, Box<dyn Explain>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(NoRuntime)?;
    Ok(runtime.block_on(command)?)
}
