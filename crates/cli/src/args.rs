//! What can be said on the command line.

use clap::builder::Styles;
use clap::{ArgAction, Parser, Subcommand};

use crate::bench::BenchOptions;
use crate::connect::ConnectOptions;
use crate::emit::EmitOptions;
use crate::serve::ServeOptions;

/// Socket.IO from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "sockeye",
    version,
    styles = STYLES,
    max_term_width = 100,
    after_help = "Without a command, `sockeye serve` is run: a server with a chat at http://localhost:3000.",
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Log more: -v what happens, -vv details, -vvv everything. Without it RUST_LOG decides, and
    /// without that only warnings and errors are logged.
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 100)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a Socket.IO server, with a demo chat in the browser.
    Serve(ServeOptions),
    /// Talk to a server: type events, see what comes.
    Connect(ConnectOptions),
    /// Emit one event, for scripts.
    Emit(EmitOptions),
    /// Measure how fast a server answers events.
    Bench(BenchOptions),
}

impl Default for Command {
    fn default() -> Self {
        let args = Args::parse_from(["sockeye", "serve"]);
        args.command.expect("one was given")
    }
}

const STYLES: Styles = Styles::styled()
    .header(crate::report::BOLD)
    .usage(crate::report::BOLD)
    .literal(crate::report::COMMAND)
    .placeholder(crate::report::DIM);

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }
}
