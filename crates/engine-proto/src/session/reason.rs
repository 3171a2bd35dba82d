//! How sessions and transports end.

use std::fmt;

/// Why a session was closed.
///
/// `Display` and [`as_str`](Self::as_str) give the texts that every Socket.IO release uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed, or its stream ended.
    TransportClose,
    /// The transport failed, or the peer broke its rules.
    TransportError,
    /// The peer missed a heartbeat.
    PingTimeout,
    /// The peer sent what is no packet.
    ParseError,
    /// Our side closed the session.
    ForcedClose,
    /// Our side closed the session because the peer broke the rules of the layer above.
    ForcedServerClose,
    /// The whole server is closing.
    ServerShuttingDown,
}

impl CloseReason {
    /// The text of the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::ServerShuttingDown => "server shutting down",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a transport, or one polling request, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportEnd {
    /// The peer closed it in order: a WebSocket close frame, the end of a stream.
    Eof,
    /// It failed; also any answer but 200 to a request of a polling client.
    Error,
    /// A message was larger than the limit. A session on polling goes on: only that POST was refused (413).
    TooBig,
    /// The connection of the pending GET was dropped before its answer.
    PollDropped,
    /// The connection of a POST was dropped before its end.
    PostDropped,
}
