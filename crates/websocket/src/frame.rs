use bytes::Bytes;

use crate::encode::{encode_close, encode_frame, prepend_header};
use crate::extensions::{Compress, Extensions};
use crate::header::{Header, MAX_CONTROL_PAYLOAD, encode_header};
use crate::opcode::OpCode;
use crate::utf8::Utf8Bytes;

/// A frame that is encoded once and sent to any number of peers; cheap to clone.
///
/// This is for servers, whose frames are the same for every receiver. A client has to mask each frame
/// with a key of its own, see [`encode_masked`](Self::encode_masked).
///
/// ```
/// use sockeye_websocket::{Compress, Extensions, Frame};
///
/// let frame = Frame::text("4hi", Compress::Auto);
/// let (header, body) = frame.parts(Extensions::default());
/// assert_eq!([header, body].concat(), b"\x81\x034hi");
/// ```
#[derive(Clone, Debug)]
pub struct Frame {
    op: OpCode,
    compress: Compress,
    layout: Layout,
}

#[derive(Clone, Debug)]
enum Layout {
    /// Header and payload in one piece: small frames leave in one slice.
    Joined { wire: Bytes, header_len: usize },
    /// A payload that was there before, too large to be worth copying behind a header.
    Split { header: Header, payload: Bytes },
}

/// Payloads up to this size are copied behind their header: a copy of a page costs less than a second
/// slice in every receiver's vectored write.
const JOIN_UP_TO: usize = 4096;

impl Frame {
    /// A text message.
    pub fn text(text: &str, compress: Compress) -> Self {
        Self::copied(OpCode::Text, text.as_bytes(), compress)
    }

    /// A binary message; a payload of more than 4 KiB is shared, not copied.
    pub fn binary(payload: Bytes, compress: Compress) -> Self {
        Self::shared(OpCode::Binary, payload, compress)
    }

    /// A text message of shared bytes; a payload of more than 4 KiB is shared, not copied.
    pub fn shared_text(text: Utf8Bytes, compress: Compress) -> Self {
        Self::shared(OpCode::Text, text.into_bytes(), compress)
    }

    /// A ping; what is beyond 125 bytes of the payload is cut off.
    pub fn ping(payload: &[u8]) -> Self {
        Self::control(OpCode::Ping, payload)
    }

    /// A pong; what is beyond 125 bytes of the payload is cut off.
    pub fn pong(payload: &[u8]) -> Self {
        Self::control(OpCode::Pong, payload)
    }

    /// A close frame, made as [`encode_close`] does.
    pub fn close(close: Option<(u16, &str)>) -> Self {
        let mut wire = Vec::new();
        encode_close(&mut wire, close, None);
        // Its payload is too short for more than two bytes of header.
        let layout = Layout::Joined {
            wire: Bytes::from(wire),
            header_len: 2,
        };
        Self {
            op: OpCode::Close,
            compress: Compress::Never,
            layout,
        }
    }

    /// A message whose payload is the end of `buf`, from `payload_start` on; the header is written into
    /// the room in front of it and nothing is copied.
    ///
    /// `op` is [`OpCode::Text`] (the payload must be UTF-8) or [`OpCode::Binary`]. The frame keeps all of
    /// `buf` alive, spare capacity included: right for a buffer made for this message, wrong for a large
    /// scratch buffer (use [`Frame::text`] there).
    ///
    /// # Panics
    ///
    /// If there is not enough room in front of the payload ([`prepend_header`]), or `payload_start` is
    /// beyond the end of `buf`.
    pub fn from_buffer(
        mut buf: Vec<u8>,
        payload_start: usize,
        op: OpCode,
        compress: Compress,
    ) -> Self {
        let payload_len = buf[payload_start..].len();
        let start = prepend_header(&mut buf, payload_start, payload_len, op);
        let wire = Bytes::from(buf).split_off(start);
        Self {
            op,
            compress,
            layout: Layout::Joined {
                wire,
                header_len: payload_start - start,
            },
        }
    }

    /// The bytes to send, header first, to a peer with these extensions. The header is empty if the body
    /// begins with it. The body is shared, so cloning it is cheap.
    ///
    /// No extension changes a frame yet; when permessage-deflate does, the compressed form will be made
    /// on first use and shared like the plain one.
    pub fn parts(&self, extensions: Extensions) -> (&[u8], &Bytes) {
        debug_assert!(!extensions.compresses(self.compress, self.payload().len()));
        match &self.layout {
            Layout::Joined { wire, .. } => (&[], wire),
            Layout::Split { header, payload } => (header, payload),
        }
    }

    /// How many bytes this takes on the wire to a peer with these extensions.
    pub fn wire_len(&self, extensions: Extensions) -> usize {
        let (header, body) = self.parts(extensions);
        header.len() + body.len()
    }

    /// Appends the frame to `out` as a client sends it: masked with `key`.
    pub fn encode_masked(&self, out: &mut Vec<u8>, key: [u8; 4]) {
        encode_frame(out, self.op, self.payload(), Some(key));
    }

    /// What kind of frame this is.
    pub const fn op(&self) -> OpCode {
        self.op
    }

    /// Whether the message wants to be compressed.
    pub const fn compress(&self) -> Compress {
        self.compress
    }

    /// The payload, neither masked nor compressed.
    pub fn payload(&self) -> &[u8] {
        match &self.layout {
            Layout::Joined { wire, header_len } => &wire[*header_len..],
            Layout::Split { payload, .. } => payload,
        }
    }

    fn control(op: OpCode, payload: &[u8]) -> Self {
        let payload = &payload[..payload.len().min(MAX_CONTROL_PAYLOAD)];
        Self::copied(op, payload, Compress::Never)
    }

    fn copied(op: OpCode, payload: &[u8], compress: Compress) -> Self {
        let header = encode_header(op, payload.len(), None);
        let wire = Bytes::from([&header, payload].concat());
        Self {
            op,
            compress,
            layout: Layout::Joined {
                wire,
                header_len: header.len(),
            },
        }
    }

    fn shared(op: OpCode, payload: Bytes, compress: Compress) -> Self {
        if payload.len() <= JOIN_UP_TO {
            return Self::copied(op, &payload, compress);
        }
        let header = encode_header(op, payload.len(), None);
        Self {
            op,
            compress,
            layout: Layout::Split { header, payload },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(frame: &Frame) -> Vec<u8> {
        let (header, body) = frame.parts(Extensions::default());
        let wire = [header, body].concat();
        assert_eq!(frame.wire_len(Extensions::default()), wire.len());
        wire
    }

    fn encoded(op: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_frame(&mut out, op, payload, None);
        out
    }

    #[test]
    fn small_frame_is_one_slice_and_large_payload_is_shared() {
        for len in [0, 125, 126, JOIN_UP_TO, JOIN_UP_TO + 1, 70_000] {
            let payload = Bytes::from(vec![7; len]);
            let frame = Frame::binary(payload.clone(), Compress::Never);
            assert_eq!(wire(&frame), encoded(OpCode::Binary, &payload));
            assert_eq!(frame.payload(), payload);
            let (header, body) = frame.parts(Extensions::default());
            assert_eq!(header.is_empty(), len <= JOIN_UP_TO);
            assert_eq!(body.as_ptr() == payload.as_ptr(), len > JOIN_UP_TO);
        }
    }

    #[test]
    fn buffer_becomes_a_frame_where_it_is() {
        let mut buf = vec![0; 30];
        buf.extend_from_slice("né".as_bytes());
        let payload_at = buf[30..].as_ptr();
        let frame = Frame::from_buffer(buf, 30, OpCode::Text, Compress::Auto);
        assert_eq!(wire(&frame), wire(&Frame::text("né", Compress::Auto)));
        assert_eq!(frame.payload().as_ptr(), payload_at);
    }

    #[test]
    fn client_form_is_masked() {
        let mut out = Vec::new();
        Frame::ping(b"abcd").encode_masked(&mut out, [1, 1, 1, 1]);
        assert_eq!(out, b"\x89\x84\x01\x01\x01\x01`cbe");
    }

    #[test]
    fn control_payload_is_cut_to_its_limit() {
        assert_eq!(
            wire(&Frame::pong(&[0; 200])),
            encoded(OpCode::Pong, &[0; 125])
        );
        assert_eq!(wire(&Frame::close(Some((1000, "")))), [0x88, 2, 0x03, 0xe8]);
    }
}
