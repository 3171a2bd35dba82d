use std::time::Duration;

use http::StatusCode;
use sockeye_engine_proto::{Refusal, TransportKind};
use thiserror::Error;

use super::transport::TransportError;
use crate::dialer::DialError;

/// Why a session could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server could not be reached, or did not answer as it must.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server answered, and has refused.
    #[error("the server refused with status {}{}", status.as_u16(), Because(message))]
    Status {
        /// The status of its answer.
        status: StatusCode,
        /// The code in its answer, as Engine.IO servers give it: 1 for an unknown session, 4 for
        /// a refusal of the application, and so on.
        code: Option<u8>,
        /// What it says; at most 512 bytes of it.
        message: String,
    },
    /// The server answered on a bare stream, and has refused.
    #[error("the server refused{}", Because(message))]
    Refused {
        /// The code in its answer: 4 for a refusal of the application, and so on.
        code: u8,
        /// What it says; at most 512 bytes of it.
        message: String,
    },
    /// The server does not speak the revision of Engine.IO that was asked for.
    #[error("the server does not speak this revision of Engine.IO")]
    UnsupportedRevision,
    /// What the server said first does not open a session.
    #[error("the server's handshake cannot be understood")]
    Handshake {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection ended before the session was open.
    #[error("the server closed the connection before the session was open: {detail}")]
    Closed {
        /// How it ended.
        detail: String,
    },
    /// The server accepts connections on a bare stream, and does not answer the packet that asks for a
    /// session.
    #[error(
        "the server accepted the connection, but has not answered packets: if it speaks lines, as plain net-socket.io does, the stream dialect is to be Lines or Auto"
    )]
    Silent,
    /// The transport has taken longer than the configured
    /// [`transport_timeout`](crate::ConnectorConfig::transport_timeout).
    #[error("no session over {} within {limit:?}", transport.name())]
    TransportTimeout {
        /// Which one.
        transport: TransportKind,
        /// How long it had.
        limit: Duration,
    },
    /// A transport is asked for that is none over HTTP.
    #[error("{0} is no transport over http")]
    ForeignTransport(TransportKind),
    /// A [transport](crate::transport::Transport) of the application's own could not be opened.
    #[error("no session over {transport}")]
    Transport {
        /// Which one.
        transport: TransportKind,
        /// What it said.
        source: TransportError,
    },
    /// The configuration leaves no transport to try.
    #[error("No transports available")]
    NoTransport,
    /// The operating system gives no random numbers, which masking needs.
    #[error("no random numbers")]
    Random(#[from] getrandom::Error),
}

impl OpenError {
    /// Whether the same attempt may succeed later, without anything being changed on this side.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_retryable(),
            Self::NoTransport | Self::ForeignTransport(_) => false,
            _ => true,
        }
    }

    pub(super) fn handshake(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Handshake {
            source: source.into(),
        }
    }

    /// What a close packet means that comes instead of an open packet.
    pub(super) fn close(data: &str) -> Self {
        match Refusal::from_body(data) {
            Some(refusal) => Self::Refused {
                code: refusal.code,
                message: shortened(refusal.message),
            },
            None => Self::handshake("the first packet closes the session"),
        }
    }

    /// What the answer to a handshake means that has not the status it should have.
    pub(super) fn refusal(status: StatusCode, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]);
        if status == StatusCode::BAD_REQUEST && Refusal::is_unsupported_version(&body) {
            return Self::UnsupportedRevision;
        }
        let (code, message) = match Refusal::from_body(&body) {
            Some(refusal) => (Some(refusal.code), refusal.message),
            None => (None, body.into_owned()),
        };
        Self::Status {
            status,
            code,
            message,
        }
    }
}

/// As much of a server's message as is worth keeping.
fn shortened(mut message: String) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

/// A message behind a colon, if there is one.
struct Because<'a>(&'a str);

impl std::fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            "" => Ok(()),
            message => write!(f, ": {}", message.escape_debug()),
        }
    }
}

const MAX_MESSAGE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_server_said() {
        let body = br#"{"code":4,"message":"not you"}"#;
        let error = OpenError::refusal(StatusCode::FORBIDDEN, body);
        assert_eq!(
            error.to_string(),
            "the server refused with status 403: not you"
        );
        assert!(matches!(error, OpenError::Status { code: Some(4), .. }));
        let error = OpenError::refusal(StatusCode::BAD_GATEWAY, b"");
        assert_eq!(error.to_string(), "the server refused with status 502");
        let long = OpenError::refusal(StatusCode::NOT_FOUND, &[b'x'; 100_000]);
        assert!(long.to_string().len() < 600);
    }

    #[test]
    fn a_server_without_revision_3_is_known_on_both_transports() {
        let bodies = [
            &br#"{"code":5,"message":"Unsupported protocol version"}"#[..],
            b"Unsupported protocol version",
        ];
        for body in bodies {
            let error = OpenError::refusal(StatusCode::BAD_REQUEST, body);
            assert!(matches!(error, OpenError::UnsupportedRevision));
        }
    }
}
