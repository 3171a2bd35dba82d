//! The carriers of a session.

use std::fmt;

/// What carries a session's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// HTTP long-polling: packets in the bodies of GET answers and POST requests.
    Polling,
    /// A WebSocket: one message for each packet.
    WebSocket,
    /// One bidirectional WebTransport stream with the frames of [`crate::frame`].
    WebTransport,
    /// A bare TCP stream with the frames of [`crate::frame`].
    Tcp,
    /// A Unix-domain stream socket with the frames of [`crate::frame`].
    Unix,
}

impl TransportKind {
    /// The name used in the `transport` query parameter and in the `upgrades` of an open packet.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }

    /// The transport of that exact name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Polling,
            Self::WebSocket,
            Self::WebTransport,
            Self::Tcp,
            Self::Unix,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// Whether it is a bare stream: nothing but the session's packets on a socket. Each direction can come to its end
    /// alone there, and both ends know Engine.IO by this library.
    #[must_use]
    pub const fn is_bare_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Unix)
    }

    /// Whether it is carried by HTTP over TCP: what both ends have for `http` URLs by themselves. Not WebTransport, which
    /// needs HTTP/3.
    #[must_use]
    pub const fn is_over_http(self) -> bool {
        matches!(self, Self::Polling | Self::WebSocket)
    }

    /// Whether a polling session can move to this transport.
    #[must_use]
    pub const fn is_upgrade_target(self) -> bool {
        matches!(self, Self::WebSocket | Self::WebTransport)
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_names_are_known() {
        assert_eq!(
            TransportKind::from_name("websocket"),
            Some(TransportKind::WebSocket)
        );
        for name in ["", "WebSocket", "constructor", "__proto__", "polling "] {
            assert_eq!(TransportKind::from_name(name), None);
        }
    }
}
