//! `sockeye emit`: one event, for scripts.

use std::io::{self, Write};
use std::sync::Arc;

use clap::Args;
use parking_lot::Mutex;
use sockeye::client::{EncodeError, Socket};
use sockeye::{AckError, DisconnectReason, EmitError, Refusal};
use thiserror::Error;

use crate::arguments::{ArgumentError, Arguments};
use crate::headings::{ARGUMENTS, OPTIONS};
use crate::json;
use crate::peer::{PeerError, PeerOptions};
use crate::publish::{PublishError, ViaOptions};
use crate::report::{Exit, Explain, unless_closed};
use crate::units::Span;

/// What to emit, and whether to wait for an answer.
#[derive(Debug, Args)]
#[command(after_help = HELP, allow_negative_numbers = true)]
pub(crate) struct EmitOptions {
    #[command(flatten)]
    peer: PeerOptions,

    /// The event's name.
    #[arg(help_heading = ARGUMENTS)]
    event: String,

    /// Its arguments: JSON, or else a string. @FILE sends a file as bytes, @- standard input.
    #[arg(value_name = "ARGUMENT", help_heading = ARGUMENTS)]
    arguments: Vec<String>,

    /// Wait for the answer, and print its arguments as JSON, one a line.
    #[arg(short, long, help_heading = OPTIONS)]
    ack: bool,

    /// How long to wait for the answer.
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = OPTIONS)]
    timeout: Span,

    #[command(flatten)]
    via: ViaOptions,
}

const HELP: &str = "\
What begins with {, [ or \" must be JSON. Bytes in an answer are printed as {\"base64\":\"…\"}.

Exit codes: 0 done, 1 wrong options or arguments, 2 the server cannot be reached or refuses, \
3 no answer in time, 4 disconnected before it was done.

Examples:
  sockeye emit http://localhost:3000 chat lobby 'hello, everyone'
  sockeye emit http://localhost:3000/admin sum '[1,2,3]' --ack
  sockeye emit ./app.sock upload '{\"name\":\"a.png\"}' @a.png --ack --timeout 30s";

/// Why an event was not emitted, or not answered.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    #[error("an argument cannot be sent")]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the event cannot be sent")]
    Emit(#[from] EmitError),
    #[error("no answer within {0}")]
    Timeout(Span),
    #[error("{}", refused(.0))]
    Refused(Refusal),
    #[error("disconnected before the answer came")]
    NoAnswer,
    #[error("disconnected before the event was sent: {0}")]
    Disconnected(DisconnectReason),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("the answer cannot be written")]
    Output(#[source] io::Error),
}

/// Connects, emits and leaves.
pub(crate) async fn run(options: EmitOptions) -> Result<Exit, Failure> {
    let args = Arguments::parse(&options.arguments)?.encode()?;
    if options.via.via {
        let (url, namespace) = (&options.peer.url, options.peer.namespace());
        let published = options.via.publish(url, namespace, &options.event, args);
        published.await?;
        return Ok(Exit::Success);
    }
    options.peer.warn();
    let builder = options.peer.builder(None);
    let socket = builder
        .build()
        .map_err(|error| options.peer.config_error(error))?;
    let ended = Arc::new(Mutex::new(None));
    let reason = Arc::clone(&ended);
    socket.on_disconnect(move |new: DisconnectReason| {
        reason.lock().get_or_insert(new);
    });
    let connected = socket.connect().await;
    connected.map_err(|error| options.peer.connect_error(error))?;

    let answer = match options.ack {
        true => Some(ask(&socket, &options, args).await),
        false => {
            socket.emit(&options.event, args)?;
            None
        }
    };
    // Until this is done the event may still be on its way.
    socket.client().close().await;
    match (answer, *ended.lock()) {
        (Some(answer), _) => print(&answer?)?,
        (None, Some(reason)) if reason != DisconnectReason::IoClientDisconnect => {
            return Err(Failure::Disconnected(reason));
        }
        (None, _) => {}
    }
    Ok(Exit::Success)
}

async fn ask(
    socket: &Socket,
    options: &EmitOptions,
    args: sockeye::Args,
) -> Result<sockeye::Args, Failure> {
    let emission = socket.timeout(options.timeout.0);
    match emission.emit_with_ack(&options.event, args).await {
        Ok(answer) => Ok(answer),
        Err(AckError::Timeout) => Err(Failure::Timeout(options.timeout)),
        Err(AckError::Emit(error)) => Err(error.into()),
        Err(AckError::Refused(refusal)) => Err(Failure::Refused(refusal)),
        Err(_) => Err(Failure::NoAnswer),
    }
}

/// What the server has refused with.
fn refused(refusal: &Refusal) -> String {
    let message = refusal.message();
    match refusal.data() {
        None => format!("the server refused: {message}"),
        Some(data) => format!("the server refused: {message} ({data})"),
    }
}

fn print(answer: &sockeye::Args) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = json::lines(answer).try_for_each(|line| writeln!(out, "{line}"));
    unless_closed(written).map_err(Failure::Output)
}

impl Explain for Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Argument(error) => Some(error.hint().to_owned()),
            Self::Peer(error) => error.hint(),
            Self::Publish(error) => error.hint(),
            Self::Timeout(_) => Some(
                "The server may not know the event, or not answer it; --timeout waits longer."
                    .into(),
            ),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Peer(error) => error.exit(),
            Self::Publish(error) => error.exit(),
            Self::Timeout(_) => Exit::NoAnswer,
            Self::NoAnswer | Self::Disconnected(_) => Exit::Disconnected,
            Self::Emit(EmitError::Disconnected) => Exit::Disconnected,
            _ => Exit::Failure,
        }
    }
}
