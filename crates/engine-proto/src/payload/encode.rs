//! Building the body of a GET answer or POST request.

use crate::packet::{base64_packet_len, encode_base64};
use crate::text_encoding::{doubled_len, push_doubled};
use crate::{Message, Packet, Revision, WireKind};

use super::{PayloadDialect, v3, v4};

/// Collects packets into one payload, up to a size.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// Binary packets become text instead of changing the framing.
    base64: bool,
    /// Text beyond ASCII is encoded twice. Then the framing does not change.
    doubles_text: bool,
    body: Vec<u8>,
    packets: usize,
    max_bytes: usize,
}

/// A finished payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// Its framing.
    pub content: WireKind,
}

impl Encoded {
    /// The `Content-Type` that goes with the body.
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        match self.content {
            WireKind::Text => super::TEXT_CONTENT_TYPE,
            WireKind::Binary => super::BINARY_CONTENT_TYPE,
        }
    }
}

impl Encoder {
    /// An empty payload for the peer with that dialect, which may grow to `max_bytes`.
    #[must_use]
    pub const fn new(dialect: &PayloadDialect, max_bytes: usize) -> Self {
        let framing = match dialect.revision() {
            Revision::V4 => Framing::V4,
            Revision::V3 if dialect.begins_binary() => Framing::V3Binary,
            Revision::V3 => Framing::V3Text,
        };
        Self {
            framing,
            base64: dialect.uses_base64(),
            doubles_text: matches!(framing, Framing::V3Text) && dialect.doubles_text(),
            body: Vec::new(),
            packets: 0,
            max_bytes,
        }
    }

    /// Adds a packet. Returns `false`, and changes nothing, if the payload would outgrow its size.
    ///
    /// The first packet is always taken: the peer may accept it, and it would block all others for ever.
    #[must_use = "a packet that was not taken belongs into the next payload"]
    pub fn push(&mut self, packet: &Packet<'_>) -> bool {
        let data = match packet {
            Packet::Message(Message::Binary(data)) => return self.push_binary(data),
            Packet::Message(Message::Text(data))
            | Packet::Open(data)
            | Packet::Ping(data)
            | Packet::Pong(data) => data,
            Packet::Close | Packet::Upgrade | Packet::Noop => "",
        };
        if self.doubles_text && !data.is_ascii() {
            let mut text = Vec::new();
            packet.encode_text(self.revision(), &mut text);
            return self.push_doubled(&text);
        }
        let fits = self.begin_text_item(1 + v3::utf16_len(data), 1 + data.len());
        if fits {
            packet.encode_text(self.revision(), &mut self.body);
        }
        fits
    }

    /// Adds a packet whose text form (type digit included) is there already. See [`push`](Self::push).
    #[must_use = "a packet that was not taken belongs into the next payload"]
    pub fn push_text(&mut self, packet: &str) -> bool {
        if self.doubles_text && !packet.is_ascii() {
            return self.push_doubled(packet.as_bytes());
        }
        let fits = self.begin_text_item(v3::utf16_len(packet), packet.len());
        if fits {
            self.body.extend_from_slice(packet.as_bytes());
        }
        fits
    }

    /// Adds a text packet that is encoded twice.
    fn push_doubled(&mut self, packet: &[u8]) -> bool {
        let fits = self.begin_text_item(packet.len(), doubled_len(packet));
        if fits {
            push_doubled(&mut self.body, packet);
        }
        fits
    }

    /// Adds a binary message, given its content. See [`push`](Self::push).
    ///
    /// Under Engine.IO 3 the first one may change the framing of the whole payload.
    #[must_use = "a packet that was not taken belongs into the next payload"]
    pub fn push_binary(&mut self, data: &[u8]) -> bool {
        if self.framing == Framing::V4 || self.base64 {
            let revision = self.revision();
            let len = base64_packet_len(revision, data.len());
            let fits = self.begin_text_item(len, len);
            if fits {
                encode_base64(revision, data, &mut self.body);
            }
            return fits;
        }
        // One more than the data: the type byte.
        let size = digits(data.len() + 1) + 3 + data.len();
        let rewritten = match self.framing {
            Framing::V3Text => Some(rewrite_as_binary(&self.body)),
            Framing::V4 | Framing::V3Binary => None,
        };
        let so_far = rewritten.as_ref().map_or(self.body.len(), Vec::len);
        if self.packets > 0 && so_far.saturating_add(size) > self.max_bytes {
            return false;
        }
        if let Some(rewritten) = rewritten {
            self.body = rewritten;
            self.framing = Framing::V3Binary;
        }
        self.body.reserve(size);
        begin_binary_framed(&mut self.body, BINARY_ITEM, data.len() + 1);
        Packet::binary(data).encode(Revision::V3, &mut self.body);
        self.packets += 1;
        true
    }

    /// Packets taken so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.packets
    }

    /// Whether there are no packets yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// The payload. Without packets it is what the revision has for an empty list (`0:` in text framing of Engine.IO 3),
    /// which a peer of Engine.IO 4 takes for an error.
    #[must_use]
    pub fn finish(mut self) -> Encoded {
        if self.packets == 0 && self.framing == Framing::V3Text {
            self.body.extend_from_slice(b"0:");
        }
        let content = match self.framing {
            Framing::V4 | Framing::V3Text => WireKind::Text,
            Framing::V3Binary => WireKind::Binary,
        };
        Encoded {
            body: self.body,
            content,
        }
    }

    const fn revision(&self) -> Revision {
        match self.framing {
            Framing::V4 => Revision::V4,
            Framing::V3Text | Framing::V3Binary => Revision::V3,
        }
    }

    /// Makes room for one text item of so many UTF-16 units and bytes and writes what comes in front of it.
    fn begin_text_item(&mut self, units: usize, bytes: usize) -> bool {
        let head = match self.framing {
            Framing::V4 => usize::from(self.packets > 0),
            Framing::V3Text => digits(units) + 1,
            Framing::V3Binary => digits(bytes) + 2,
        };
        let size = head + bytes;
        if self.packets > 0 && self.body.len().saturating_add(size) > self.max_bytes {
            return false;
        }
        self.body.reserve(size);
        match self.framing {
            Framing::V4 if self.packets > 0 => self.body.push(v4::SEPARATOR),
            Framing::V4 => {}
            Framing::V3Text => {
                push_digits(&mut self.body, units, b'0');
                self.body.push(b':');
            }
            Framing::V3Binary => begin_binary_framed(&mut self.body, TEXT_ITEM, bytes),
        }
        self.packets += 1;
        true
    }
}

/// Turns a body in text framing into one in binary framing.
///
/// Whether a payload needs binary framing is known only when the first binary packet comes. Writing it again then is
/// cheaper than keeping every packet apart until the end, as most payloads have no binary in them.
fn rewrite_as_binary(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 8);
    let mut rest = std::str::from_utf8(body).expect("items in text framing are made of strings");
    while !rest.is_empty() {
        let (item, after) =
            v3::split_text_item(rest).expect("the encoder wrote the lengths itself");
        begin_binary_framed(&mut out, TEXT_ITEM, item.len());
        out.extend_from_slice(item.as_bytes());
        rest = after;
    }
    out
}

/// Writes what stands in front of an item in binary framing.
fn begin_binary_framed(body: &mut Vec<u8>, kind: u8, bytes: usize) {
    body.push(kind);
    push_digits(body, bytes, 0);
    body.push(v3::LENGTH_END);
}

/// Writes a number in decimal, most significant digit first, with `zero` for the digit 0.
fn push_digits(body: &mut Vec<u8>, number: usize, zero: u8) {
    let count = digits(number);
    let start = body.len();
    body.resize(start + count, zero);
    let mut rest = number;
    for place in body[start..].iter_mut().rev() {
        *place += u8::try_from(rest % 10).expect("a remainder of ten is below ten");
        rest /= 10;
    }
}

/// Decimal digits of a number.
const fn digits(number: usize) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    V4,
    V3Text,
    V3Binary,
}

const TEXT_ITEM: u8 = 0;
const BINARY_ITEM: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::payload::decode;

    #[test]
    fn a_full_payload_takes_no_more() {
        let mut encoder = Encoder::new(&PayloadDialect::new(Revision::V4), 7);
        assert!(encoder.push_text("4ab"));
        assert!(encoder.push_text("4cd"));
        assert!(!encoder.push_text("4"));
        assert_eq!(encoder.len(), 2);
        assert_eq!(encoder.finish().body, b"4ab\x1e4cd");
    }

    #[test]
    fn a_lone_oversized_packet_is_taken() {
        for revision in [Revision::V3, Revision::V4] {
            let dialect = PayloadDialect::new(revision);
            let mut encoder = Encoder::new(&dialect, 3);
            assert!(encoder.push_text("4abcdef"));
            assert!(!encoder.push_text("4"));
            let mut encoder = Encoder::new(&dialect, 3);
            assert!(encoder.push_binary(b"abcdef"));
            assert!(!encoder.push_binary(b""));
        }
    }

    #[test]
    fn a_binary_packet_that_does_not_fit_leaves_the_framing_alone() {
        let mut encoder = Encoder::new(&PayloadDialect::new(Revision::V3), 10);
        assert!(encoder.push_text("4hi"));
        assert!(!encoder.push_binary(b"0123456789"));
        assert_eq!(
            encoder.finish(),
            Encoded {
                body: b"3:4hi".to_vec(),
                content: WireKind::Text
            }
        );
    }

    #[test]
    fn the_change_of_framing_keeps_every_packet() {
        let packets = [
            Packet::text("a"),
            Packet::text("né😀€".repeat(40)),
            Packet::PING,
            Packet::binary(&[0u8, 255][..]),
            Packet::text("z"),
        ];
        let mut dialect = PayloadDialect::new(Revision::V3);
        let mut encoder = Encoder::new(&dialect, usize::MAX);
        for packet in &packets {
            assert!(encoder.push(packet));
        }
        let encoded = encoder.finish();
        let decoded: Result<Vec<_>, _> = decode(
            encoded.content,
            &encoded.body,
            &Limits::default(),
            &mut dialect,
        )
        .collect();
        assert_eq!(decoded.unwrap(), packets);
    }

    #[test]
    fn text_for_a_peer_that_encodes_it_twice_is_encoded_twice() {
        let mut dialect = PayloadDialect::new(Revision::V3).force_base64();
        let body = "4:4nÃ©";
        let read = decode(
            WireKind::Text,
            body.as_bytes(),
            &Limits::default(),
            &mut dialect,
        );
        assert_eq!(read.count(), 1);
        let encode = |dialect| {
            let mut encoder = Encoder::new(dialect, usize::MAX);
            assert!(encoder.push(&Packet::text("né")));
            assert!(encoder.push(&Packet::binary(&[1u8][..])));
            encoder.finish()
        };
        assert_eq!(encode(&dialect).body, "4:4nÃ©6:b4AQ==".as_bytes());
    }

    #[test]
    fn a_peer_that_encodes_text_twice_gets_binary_framing_if_it_can_take_it() {
        let mut dialect = PayloadDialect::new(Revision::V3);
        let limits = Limits::default();
        let read = decode(WireKind::Text, "4:4nÃ©".as_bytes(), &limits, &mut dialect);
        assert_eq!(read.count(), 1);
        let mut encoder = Encoder::new(&dialect, usize::MAX);
        assert!(encoder.push(&Packet::text("né")));
        let encoded = encoder.finish();
        assert_eq!(encoded.content, WireKind::Binary);
        assert_eq!(encoded.body, b"\0\x04\xff4n\xc3\xa9");
    }

    #[test]
    fn an_empty_list_has_a_form_in_revision_3() {
        assert_eq!(
            Encoder::new(&PayloadDialect::new(Revision::V3), 10)
                .finish()
                .body,
            b"0:"
        );
        assert_eq!(
            Encoder::new(&PayloadDialect::new(Revision::V4), 10)
                .finish()
                .body,
            b""
        );
    }
}
