//! The options of `sockeye bench`.

use std::num::NonZeroUsize;

use bytes::Bytes;
use clap::Args;
use sockeye::client::EncodeError;

use crate::headings::OPTIONS;
use crate::peer::PeerOptions;
use crate::units::{Size, Span};

/// How much to ask of whom.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct BenchOptions {
    #[command(flatten)]
    pub(super) peer: PeerOptions,

    #[command(flatten, next_help_heading = "Load")]
    pub(super) load: LoadOptions,

    /// Print the results as one JSON object.
    #[arg(long, help_heading = OPTIONS)]
    pub(super) json: bool,
}

/// What to emit, and how much of it.
#[derive(Debug, Args)]
pub(super) struct LoadOptions {
    /// How many connections to open.
    #[arg(short, long, value_name = "NUMBER", default_value = "10")]
    pub(super) connections: NonZeroUsize,

    /// How many events of one connection may wait for their answers at once.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) in_flight: NonZeroUsize,

    /// How large the argument of each event is: a string of that length.
    #[arg(long, value_name = "SIZE", default_value_t = Size(32))]
    pub(super) size: Size,

    /// Send bytes, as an attachment, rather than a string.
    #[arg(long)]
    pub(super) binary: bool,

    /// How many events to emit in a second, over all connections. Without it each is followed by
    /// the next as soon as it is answered.
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate)]
    pub(super) rate: Option<f64>,

    /// How long to go on.
    #[arg(short, long, value_name = "TIME", default_value = "10s")]
    pub(super) duration: Span,

    /// The event, which the server must answer.
    #[arg(short, long, value_name = "NAME", default_value = "echo")]
    pub(super) event: String,

    /// After how long an event counts as not answered.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(super) timeout: Span,
}

impl LoadOptions {
    /// What every event carries.
    pub(super) fn payload(&self) -> Result<sockeye::Args, EncodeError> {
        match self.binary {
            true => sockeye::Args::new(&Bytes::from(vec![b'x'; self.size.0])),
            false => sockeye::Args::new(&"x".repeat(self.size.0)),
        }
    }
}

const HELP: &str = "\
`sockeye serve` answers echo; other servers have to answer --event by an acknowledgement.
With --rate, latency counts from the moment at which an event was due, so that a server that stalls \
does not look better for the events that could not be emitted meanwhile.

Exit codes: 0 done, 1 wrong options, 2 the server cannot be reached or refuses, 3 nothing was answered, \
4 connections were lost.

Examples:
  sockeye bench http://localhost:3000
  sockeye bench http://localhost:3000 --transport websocket -c 100 --in-flight 10
  sockeye bench ./app.sock --rate 1000 --duration 1m --size 1KiB --json";

fn parse_rate(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(rate) if (0.001..=1e9).contains(&rate) => Ok(rate),
        _ => Err("it must be a number above 0"),
    }
}
