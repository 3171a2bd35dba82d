//! `sockeye connect`: events to and fro, for people at a terminal and for programs in a pipe.

mod history;
mod input;
mod notice;
mod pipe;
mod session;
mod terminal;

use std::io::{self, IsTerminal};

use clap::Args;
use sockeye::Reconnection;
use thiserror::Error;

use crate::headings::OPTIONS;
use crate::peer::{PeerError, PeerOptions};
use crate::report::{Exit, Explain};
use crate::units::Span;
use session::Session;

/// Whom to talk to.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ConnectOptions {
    #[command(flatten)]
    peer: PeerOptions,

    /// How long to wait for each answer that was asked for.
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = OPTIONS)]
    timeout: Span,

    /// Do not reconnect when the connection is lost; in a pipe the command then ends.
    #[arg(long, help_heading = OPTIONS)]
    no_reconnect: bool,

    /// In a pipe: go on showing events after the end of the input, until Ctrl-C.
    #[arg(long, help_heading = OPTIONS)]
    stay: bool,

    /// Treat a terminal like a pipe: no prompt, JSON lines.
    #[arg(long, help_heading = OPTIONS)]
    json: bool,
}

const HELP: &str = "\
At a terminal, a line is an event: its name, then its arguments, which are JSON, or else strings. \
With ? in front of the name an answer is asked for. /help tells more. \
Lines that are typed are kept in ~/.local/state/sockeye/history; one that begins with a space is not.

In a pipe the same lines are read, or objects: {\"event\":\"name\",\"args\":[…],\"ack\":true}. What happens is \
written as one JSON object a line, with a \"type\": connected, event, ack, no-ack, disconnected, \
connect-error, reconnecting or error. Answers keep the order in which the server gives them, and \
their \"ack\" counts the events that asked for one. At the end of the input answers are waited for.

Exit codes: 0 done, 1 wrong options or lines, 2 the server cannot be reached or refuses, \
3 an answer did not come in time, 4 disconnected. At a terminal it is 0 once there was a connection.

Examples:
  sockeye connect http://localhost:3000
  sockeye connect https://example.org/admin --auth '{\"token\":\"t0\"}'
  echo '?sum [1,2,3]' | sockeye connect ./app.sock
  sockeye connect tcp://localhost:5000 --stay </dev/null | jq 'select(.event == \"price\").args[0]'";

/// Why there is nothing to talk to, or no way to do it.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
    #[error("the terminal cannot be used")]
    Terminal(#[from] rustyline::error::ReadlineError),
    #[error("what has happened cannot be written")]
    Output(#[source] io::Error),
}

/// Connects and talks until either side has had enough.
pub(crate) async fn run(options: ConnectOptions) -> Result<Exit, Failure> {
    let reconnection = (!options.no_reconnect).then(Reconnection::default);
    options.peer.warn();
    let builder = options.peer.builder(reconnection);
    let socket = builder
        .build()
        .map_err(|error| options.peer.config_error(error))?;
    let notices = notice::listen(&socket);
    let connected = socket.connect().await;
    connected.map_err(|error| options.peer.connect_error(error))?;
    let session = Session::new(socket, options.timeout.0);
    let people = io::stdin().is_terminal() && io::stdout().is_terminal() && !options.json;
    match people {
        true => terminal::run(session, notices).await,
        false => pipe::run(session, notices, options.stay).await,
    }
}

impl Explain for Failure {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Peer(error) => error.hint(),
            Self::Terminal(_) => Some("With --json none is needed.".into()),
            Self::Signals(_) | Self::Output(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Peer(error) => error.exit(),
            Self::Signals(_) | Self::Terminal(_) | Self::Output(_) => Exit::Failure,
        }
    }
}
