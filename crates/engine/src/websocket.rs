//! The frames of WebSockets.

use bytes::Bytes;
use sockeye_websocket::{
    Context, Decoded, Decoder, Deflate, Deflated, Event, Inflater, Limits, ProtocolError, Role,
};

use crate::deflate;
use crate::frames::{Format, Found};
use crate::io::Io;

/// A stream that a handshake has made a WebSocket.
#[derive(Debug)]
pub struct Upgraded {
    /// The stream.
    pub io: Io,
    /// What came behind the handshake already.
    pub read: Bytes,
    /// What was agreed on about compression.
    pub deflate: Option<Deflate>,
}

/// WebSocket's messages, compressed or not.
#[derive(Debug)]
pub struct WebSocketFormat {
    decoder: Decoder,
    /// For a peer whose messages refer to those before them. All others share one per thread.
    inflater: Option<Box<Inflater>>,
}

impl WebSocketFormat {
    /// Of a connection at which this end has this role, and which has agreed on so much.
    #[must_use]
    pub fn new(role: Role, limits: Limits, agreed: Option<Deflate>) -> Self {
        let inflater = match agreed.map(|agreed| agreed.peer_context()) {
            Some(Context::Kept) => Some(Box::new(Inflater::new(Context::Kept))),
            Some(Context::Fresh) | None => None,
        };
        Self {
            decoder: Decoder::new(role, limits).deflate(agreed),
            inflater,
        }
    }

    /// Which end of the connection this is.
    pub(crate) const fn role(&self) -> Role {
        self.decoder.role()
    }

    #[inline]
    fn found<'b>(&mut self, decoded: Decoded<'b>) -> Result<Found<Event<'b>>, ProtocolError> {
        Ok(match decoded {
            Decoded::Event { event, used } => Found::Event { event, used },
            Decoded::Deflated { message, used } => Found::Event {
                event: self.inflate(message)?,
                used,
            },
            Decoded::Skip { used } => Found::Skip { used },
            Decoded::NeedMore { total } => Found::NeedMore { total },
        })
    }

    /// Apart, as most connections have no need of it.
    #[inline(never)]
    fn inflate(&mut self, message: Deflated<'_>) -> Result<Event<'static>, ProtocolError> {
        match &mut self.inflater {
            Some(own) => message.inflate(own),
            None => deflate::with_inflater(|shared| message.inflate(shared)),
        }
    }
}

impl Format for WebSocketFormat {
    type Event<'b> = Event<'b>;
    type Error = ProtocolError;

    #[inline]
    fn decode<'b>(&'b mut self, buf: &'b mut [u8]) -> Result<Found<Event<'b>>, ProtocolError> {
        let decoded = self.decoder.decode(buf)?;
        self.found(decoded)
    }

    fn decode_owned<'b>(
        &'b mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Event<'b>>, ProtocolError> {
        let decoded = self.decoder.decode_owned(buf)?;
        self.found(decoded)
    }

    fn put_aside(&self) -> (u32, usize) {
        self.decoder.partial_len()
    }
}
