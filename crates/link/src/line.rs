//! Lines of plain peers on their way in.

use std::borrow::Cow;

use serde_json::Value;
use sockeye_events::{EventErrorKind, Refusal};
use sockeye_socket_proto::lines::{self, Line, LinesConfig, Verdict};
use sockeye_socket_proto::{IncomingArgs, from_json};

/// What a plain peer has said with a line.
#[derive(Debug)]
pub enum Said<'a> {
    /// An event.
    Event {
        /// Its name.
        name: Cow<'a, str>,
        /// Its arguments.
        args: IncomingArgs<'a>,
        /// The id to acknowledge, if the peer wants that.
        ack_id: Option<u64>,
    },
    /// The answer to an event of this side.
    Ack {
        /// The id that the event carried.
        id: u64,
        /// The answer.
        args: IncomingArgs<'a>,
    },
    /// Something for the error hook.
    Error {
        /// The peer has refused something, or the line makes no sense.
        kind: EventErrorKind,
        /// It is bad enough to close the connection.
        close: bool,
    },
    /// Nothing for this side.
    Nothing,
}

/// Reads a line.
#[must_use]
pub fn read_line<'a>(line: &'a [u8], config: &LinesConfig) -> Said<'a> {
    match lines::decode(line, config) {
        Ok(Line::Event(event)) => {
            if event.args_dropped {
                tracing::debug!(event = %event.name, "the arguments of a line are no array: it has none");
            }
            Said::Event {
                name: event.name,
                args: IncomingArgs::Borrowed(event.args),
                ack_id: event.ack_id,
            }
        }
        Ok(Line::Ack { id, args }) => Said::Ack {
            id,
            args: IncomingArgs::Borrowed(args),
        },
        Ok(Line::Error { message, data }) => Said::Error {
            kind: EventErrorKind::Peer(refusal(&message, data.get(0))),
            close: false,
        },
        Ok(Line::Other) => Said::Nothing,
        Err(error) => match error.verdict(config) {
            Verdict::Ignore => Said::Nothing,
            verdict => Said::Error {
                kind: EventErrorKind::Undecodable(error.to_string().into()),
                close: verdict == Verdict::Close,
            },
        },
    }
}

/// What a peer has said against something; `data` is JSON.
#[must_use]
pub fn refusal(message: &str, data: Option<&str>) -> Refusal {
    let refusal = Refusal::new(message);
    match data.and_then(|json| from_json::<Value>(json).ok()) {
        Some(data) => refusal.with_data(data),
        None => refusal,
    }
}
