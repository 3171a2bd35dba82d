use std::fmt;

use bytes::Bytes;
use sockeye_engine_proto::{Revision, WireKind};
use sockeye_websocket::{OpCode, prepend_header};

use crate::deflate::{Compressed, Compression};

/// What one engine message carries, encoded once and shared by everyone it is sent to.
///
/// A text is kept in the form that goes onto the wire most often: behind its WebSocket header
/// and its packet type, so that a broadcast is one buffer that every receiver writes from.
///
/// | form | where it lies |
/// |---|---|
/// | WebSocket frame of a server's | a text is kept as one; of a binary message, the header is made for each receiver |
/// | packet, for polling and behind a native frame's header | the end of that frame |
/// | line | the end of that packet |
/// | masked frame of a client's | nowhere: no two have the same key |
/// | compressed frames | beside it, each made when the first receiver wants it |
#[derive(Clone)]
pub struct Message {
    repr: Repr,
    compressed: Compressed,
}

#[derive(Clone)]
enum Repr {
    Text(Text),
    Binary(Bytes),
}

/// `[WebSocket header]4[text]`
#[derive(Clone)]
pub(crate) struct Text {
    frame: Bytes,
    /// Where the packet (`4` and the text) starts.
    packet: u8,
}

/// The bytes that must be free in front of a text that is sent from a buffer of the caller's:
/// room for the packet type and the longest frame header.
pub const HEADROOM: usize = 1 + sockeye_websocket::MAX_SERVER_HEADER;

/// The packet type of a message.
const MESSAGE: u8 = b'4';

impl Message {
    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut buf = Vec::with_capacity(HEADROOM + text.len());
        buf.resize(HEADROOM, 0);
        buf.extend_from_slice(text.as_bytes());
        Self::text_in(buf, HEADROOM)
    }

    /// A text message that stands in `buf` from `start` on, which must be valid UTF-8.
    ///
    /// # Panics
    ///
    /// If there are fewer than [`HEADROOM`] bytes before `start`.
    #[must_use]
    pub fn text_in(mut buf: Vec<u8>, start: usize) -> Self {
        let (packet, frame) = frame_text(&mut buf, start);
        let mut bytes = Bytes::from(buf);
        let frame_bytes = bytes.split_off(frame);
        let packet = u8::try_from(packet - frame).expect("a frame header is at most 10 bytes");
        Self::new(Repr::Text(Text {
            frame: frame_bytes,
            packet,
        }))
    }

    /// A binary message.
    #[must_use]
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self::new(Repr::Binary(data.into()))
    }

    const fn new(repr: Repr) -> Self {
        Self {
            repr,
            compressed: Compressed::new(),
        }
    }

    /// The frame for peers that take such compressed ones, if it gets shorter by that.
    pub(crate) fn compressed(
        &self,
        compression: Compression,
        revision: Revision,
    ) -> Option<&Bytes> {
        let (kind, payload) = self.packet(revision)?;
        self.compressed.frame(compression, kind, payload)
    }

    /// The packet, if it stands somewhere: of a binary message in revision 3, whose type is in front of it, it does not.
    pub(crate) fn packet(&self, revision: Revision) -> Option<(WireKind, &[u8])> {
        match (&self.repr, revision) {
            (Repr::Text(text), _) => Some((WireKind::Text, text.packet())),
            (Repr::Binary(data), Revision::V4) => Some((WireKind::Binary, data)),
            (Repr::Binary(_), Revision::V3) => None,
        }
    }

    /// The length of the [packet](Self::packet), if it stands somewhere.
    #[inline]
    pub(crate) fn packet_len(&self) -> usize {
        match &self.repr {
            Repr::Text(text) => text.frame.len() - usize::from(text.packet),
            Repr::Binary(data) => data.len(),
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.repr {
            Repr::Text(text) => Some(text.text()),
            Repr::Binary(_) => None,
        }
    }

    /// The bytes of a binary message.
    #[must_use]
    pub const fn as_binary(&self) -> Option<&Bytes> {
        match &self.repr {
            Repr::Text(_) => None,
            Repr::Binary(data) => Some(data),
        }
    }

    /// The length of the text or of the data in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.repr {
            Repr::Text(text) => text.packet().len() - 1,
            Repr::Binary(data) => data.len(),
        }
    }

    /// Whether the message is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) const fn view(&self) -> View<'_> {
        match &self.repr {
            Repr::Text(text) => View::Text(text),
            Repr::Binary(data) => View::Binary(data),
        }
    }
}

/// The two kinds of a message, for the code that writes them.
pub(crate) enum View<'a> {
    Text(&'a Text),
    Binary(&'a Bytes),
}

impl Text {
    /// The whole WebSocket frame.
    pub(crate) const fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// The engine packet: `4` and the text.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.frame[usize::from(self.packet)..]
    }

    /// The engine packet, sharing the memory.
    pub(crate) fn packet_bytes(&self) -> Bytes {
        self.frame.slice(usize::from(self.packet)..)
    }

    /// The text alone, sharing the memory.
    pub(crate) fn text_bytes(&self) -> Bytes {
        self.frame.slice(usize::from(self.packet) + 1..)
    }

    /// The engine packet as text.
    pub(crate) fn packet_text(&self) -> &str {
        std::str::from_utf8(self.packet()).expect("a text message is made of valid UTF-8")
    }

    /// The text of the message.
    pub(crate) fn text(&self) -> &str {
        &self.packet_text()[1..]
    }
}

/// Writes the packet type and the WebSocket header in front of the text at `start`; returns
/// where the packet and where the frame begin.
pub(crate) fn frame_text(buf: &mut [u8], start: usize) -> (usize, usize) {
    let packet = type_text(buf, start);
    let len = buf.len() - packet;
    (packet, prepend_header(buf, packet, len, OpCode::Text))
}

/// Writes the packet type alone in front of the text at `start`; returns where the packet begins.
pub(crate) const fn type_text(buf: &mut [u8], start: usize) -> usize {
    let packet = start - 1;
    buf[packet] = MESSAGE;
    packet
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view() {
            View::Text(text) => f.debug_tuple("Text").field(&text.text()).finish(),
            View::Binary(data) => write!(f, "Binary({} bytes)", data.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_behind_its_header() {
        let message = Message::text("hé");
        let View::Text(text) = message.view() else {
            panic!("a text")
        };
        assert_eq!(&text.frame()[..], b"\x81\x044h\xc3\xa9");
        assert_eq!(text.packet(), b"4h\xc3\xa9");
        assert_eq!(text.text(), "hé");
        assert_eq!(message.len(), 3);
    }
}
