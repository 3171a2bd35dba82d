use std::fmt;

/// Why a socket was disconnected.
///
/// The text form ([`as_str`](Self::as_str), `Display`) is the string that Socket.IO's JavaScript
/// libraries use for the same cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client left the namespace with a DISCONNECT packet.
    ClientNamespaceDisconnect,
    /// This server removed the socket from the namespace.
    ServerNamespaceDisconnect,
    /// The server was closed.
    ServerShuttingDown,
    /// The peer missed its heartbeat.
    PingTimeout,
    /// The peer closed the transport, or it vanished cleanly.
    TransportClose,
    /// Reading, writing or the rules of the transport failed.
    TransportError,
    /// A packet could not be decoded.
    ParseError,
    /// The connection was closed from this side, or the peer sent an invalid Socket.IO packet.
    ForcedClose,
    /// The peer broke a rule of the protocol, or joined no namespace in time.
    ForcedServerClose,
    /// Client side: the server sent a DISCONNECT packet.
    IoServerDisconnect,
    /// Client side: the application called `disconnect`.
    IoClientDisconnect,
}

impl DisconnectReason {
    /// The string that the JavaScript libraries use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientNamespaceDisconnect => "client namespace disconnect",
            Self::ServerNamespaceDisconnect => "server namespace disconnect",
            Self::ServerShuttingDown => "server shutting down",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ForcedServerClose => "forced server close",
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
