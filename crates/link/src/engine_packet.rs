use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_engine::{Incoming, Packet};
use sockeye_events::{Event, ExtractError, FromEvent, Listeners, Often};

use crate::receiver::{Receiver, further};

/// A packet of Engine.IO that came over a connection, for handlers of [`on_packet`](Listeners::on_packet).
///
/// Cheap to clone: what the packet holds is copied once, when there is a handler.
#[derive(Clone)]
pub struct EnginePacket(Arc<Content>);

struct Content {
    kind: &'static str,
    held: Held,
}

enum Held {
    Text(Box<str>),
    Binary(Bytes),
}

impl EnginePacket {
    /// What has come, to be kept.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Self {
        let (kind, data) = match packet {
            Packet::Open(text) => ("open", Incoming::Text(text)),
            Packet::Close => ("close", Incoming::Text("")),
            Packet::Ping(text) => ("ping", Incoming::Text(text)),
            Packet::Pong(text) => ("pong", Incoming::Text(text)),
            Packet::Message(message) => ("message", Incoming::of(message)),
            Packet::Upgrade => ("upgrade", Incoming::Text("")),
            Packet::Noop => ("noop", Incoming::Text("")),
        };
        let held = match data {
            Incoming::Text(text) => Held::Text(text.into()),
            binary => Held::Binary(binary.into_bytes()),
        };
        Self(Arc::new(Content { kind, held }))
    }

    /// What kind of packet it is, as the JavaScript libraries call it: `message`, `ping`, `pong`, `close`, `open`,
    /// `upgrade` or `noop`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// What it holds, without the digit in front that says what kind of packet it is; `None` for a binary message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.0.held {
            Held::Text(text) => Some(text),
            Held::Binary(_) => None,
        }
    }

    /// What a binary message holds; `None` for everything else.
    #[must_use]
    pub fn binary(&self) -> Option<&Bytes> {
        match &self.0.held {
            Held::Text(_) => None,
            Held::Binary(bytes) => Some(bytes),
        }
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.0.held {
            Held::Text(text) => text.len(),
            Held::Binary(bytes) => bytes.len(),
        }
    }
}

impl<S> FromEvent<S> for EnginePacket {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        let packet = event.detail().and_then(|detail| detail.downcast_ref());
        packet
            .cloned()
            .ok_or(ExtractError::NotAvailable("a packet of the connection"))
    }
}

/// Without what it holds, which may be anything.
impl fmt::Debug for EnginePacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnginePacket({}, {} bytes)", self.kind(), self.size())
    }
}

/// Whether one of these sockets has handlers of the packets that come over their connection. Asked for each message.
#[inline]
pub fn wants_packets<'s, S: Receiver + 's>(mut sockets: impl Iterator<Item = &'s S>) -> bool {
    Often::Packet.is_wanted()
        && sockets.any(|socket| {
            socket.shared().wants_packets() || further(socket).any(Listeners::wants_packets)
        })
}
