//! Payloads: several packets in the body of one polling request.
//!
//! # Wire format
//!
//! Engine.IO 4 joins the packets' text forms with the record separator (0x1E). Engine.IO 3 has two framings with
//! lengths, one for text and one for bytes, and its clients disagree about when which is used and how text is encoded;
//! what is known about the peer of one session is kept in its [`PayloadDialect`].

mod dialect;
mod encode;
mod v3;
mod v4;

use crate::{Limits, Packet, PacketError, Revision, WireKind};

pub use dialect::PayloadDialect;
pub use encode::{Encoded, Encoder};

/// The content type of a body in text framing.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; charset=UTF-8";
/// The content type of a body in binary framing. Old browser clients compare it literally.
pub const BINARY_CONTENT_TYPE: &str = "application/octet-stream";

/// Which framing the `Content-Type` of a POST announces: binary if it is exactly `application/octet-stream`.
#[must_use]
pub fn content_kind(content_type: Option<&str>) -> WireKind {
    match content_type {
        Some(BINARY_CONTENT_TYPE) => WireKind::Binary,
        _ => WireKind::Text,
    }
}

/// Decodes the body of one POST request or GET answer, packet by packet.
///
/// The packets borrow from `body`. What the body shows about the peer is remembered in `dialect`. After the first error
/// the iterator ends: what follows an undecodable packet cannot be trusted. A driver stops by itself once the session
/// is closed, for example by a close packet amid the payload.
pub fn decode<'b, 'd>(
    content: WireKind,
    body: &'b [u8],
    limits: &Limits,
    dialect: &'d mut PayloadDialect,
) -> Packets<'b, 'd> {
    let source = if body.len() > limits.max_payload {
        Source::Failed(Some(PayloadError::TooLarge {
            len: body.len(),
            max: limits.max_payload,
        }))
    } else {
        match (dialect.revision(), content) {
            (Revision::V4, WireKind::Binary) => Source::Failed(Some(PayloadError::BinaryRefused)),
            (Revision::V3, WireKind::Binary) => Source::V3Binary {
                rest: body,
                saw_binary: false,
            },
            (revision, WireKind::Text) => match simdutf8::basic::from_utf8(body) {
                Err(_) => Source::Failed(Some(PayloadError::Utf8)),
                Ok("") => Source::Failed(Some(PayloadError::Packet(PacketError::Empty))),
                Ok(text) if revision == Revision::V4 => Source::V4(Some(text)),
                Ok(text) => Source::V3Text(text),
            },
        }
    };
    Packets {
        source,
        dialect,
        left: limits.max_packets_per_payload,
    }
}

/// The packets of one payload; see [`decode`].
#[derive(Debug)]
pub struct Packets<'b, 'd> {
    source: Source<'b>,
    dialect: &'d mut PayloadDialect,
    /// Packets that may still come.
    left: usize,
}

impl<'b> Iterator for Packets<'b, '_> {
    type Item = Result<Packet<'b>, PayloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = match &mut self.source {
            Source::V4(rest) => v4::next(rest),
            Source::V3Text(rest) => v3::next_text(rest, self.dialect),
            Source::V3Binary { rest, saw_binary } => {
                let next = v3::next_binary(rest);
                match &next {
                    Some(Ok(packet)) => *saw_binary |= packet.is_binary(),
                    None if !*saw_binary => self.dialect.saw_needless_binary_framing(),
                    _ => {}
                }
                next
            }
            Source::Failed(error) => error.take().map(Err),
        }?;
        let next = match next {
            Ok(_) if self.left == 0 => Err(PayloadError::TooManyPackets),
            other => other,
        };
        match &next {
            Ok(_) => self.left -= 1,
            Err(_) => self.source = Source::Failed(None),
        }
        Some(next)
    }
}

impl std::iter::FusedIterator for Packets<'_, '_> {}

/// Why a payload, or the rest of it, cannot be decoded; for the consequences see
/// [`Session::handle_payload_error`](crate::Session::handle_payload_error).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is larger than [`Limits::max_payload`].
    #[error("payload of {len} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Bytes in the body.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// More packets than [`Limits::max_packets_per_payload`].
    #[error("payload holds too many packets")]
    TooManyPackets,
    /// Engine.IO 4 has no binary framing.
    #[error("binary payload in engine.io 4")]
    BinaryRefused,
    /// A text body is not UTF-8.
    #[error("payload is not valid utf-8")]
    Utf8,
    /// An item has no length, or one that is not a number.
    #[error("payload item has no valid length")]
    Length,
    /// The announced length does not fit what is there.
    #[error("payload item is shorter than its length says")]
    Truncated,
    /// An item in binary framing is marked neither as text nor as binary.
    #[error("payload item is of unknown kind {0}")]
    UnknownKind(u8),
    /// One of the packets is undecodable.
    #[error(transparent)]
    Packet(#[from] PacketError),
}

#[derive(Debug)]
enum Source<'b> {
    /// `None` once the last packet was taken; an empty string is a last, empty packet.
    V4(Option<&'b str>),
    V3Text(&'b str),
    V3Binary {
        rest: &'b [u8],
        saw_binary: bool,
    },
    /// An error still to be told, or the end.
    Failed(Option<PayloadError>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(
        dialect: &mut PayloadDialect,
        content: WireKind,
        body: &[u8],
    ) -> Result<Vec<Packet<'static>>, PayloadError> {
        decode(content, body, &Limits::default(), dialect)
            .map(|packet| packet.map(Packet::into_owned))
            .collect()
    }

    fn encode_all(dialect: &PayloadDialect, packets: &[Packet<'_>]) -> Encoded {
        let mut encoder = Encoder::new(dialect, usize::MAX);
        for packet in packets {
            assert!(encoder.push(packet));
        }
        encoder.finish()
    }

    #[test]
    fn the_revision_4_example_is_met_byte_by_byte() {
        let packets = [
            Packet::text("hi"),
            Packet::PING,
            Packet::text("né"),
            Packet::binary(&[10u8, 11][..]),
        ];
        let mut dialect = PayloadDialect::new(Revision::V4);
        let encoded = encode_all(&dialect, &packets);
        assert_eq!(encoded.body, b"4hi\x1e2\x1e4n\xc3\xa9\x1ebCgs=");
        assert_eq!(encoded.content_type(), TEXT_CONTENT_TYPE);
        assert_eq!(
            decode_all(&mut dialect, WireKind::Text, &encoded.body).unwrap(),
            packets
        );
    }

    #[test]
    fn the_revision_3_text_example_is_met_byte_by_byte() {
        let packets = [
            Packet::text("hi"),
            Packet::text("né€"),
            Packet::text("😀"),
            Packet::binary(&[10u8, 11][..]),
        ];
        let mut dialect = PayloadDialect::new(Revision::V3).force_base64();
        let encoded = encode_all(&dialect, &packets);
        assert_eq!(encoded.body, "3:4hi4:4né€3:4😀6:b4Cgs=".as_bytes());
        assert_eq!(encoded.content, WireKind::Text);
        assert_eq!(
            decode_all(&mut dialect, WireKind::Text, &encoded.body).unwrap(),
            packets
        );
    }

    #[test]
    fn the_revision_3_binary_example_is_met_byte_by_byte() {
        let packets = [Packet::text("né"), Packet::binary(&[10u8, 11][..])];
        let mut dialect = PayloadDialect::new(Revision::V3);
        let encoded = encode_all(&dialect, &packets);
        let bytes = b"\x00\x04\xff\x34\x6e\xc3\xa9\x01\x03\xff\x04\x0a\x0b";
        assert_eq!(encoded.body, bytes);
        assert_eq!(encoded.content_type(), BINARY_CONTENT_TYPE);
        assert_eq!(
            decode_all(&mut dialect, WireKind::Binary, bytes).unwrap(),
            packets
        );
    }

    #[test]
    fn a_300_byte_text_packet_has_three_length_digits_in_binary_framing() {
        let text = "x".repeat(299);
        let dialect = PayloadDialect::new(Revision::V3);
        let encoded = encode_all(
            &dialect,
            &[Packet::text(&*text), Packet::binary(&[1u8][..])],
        );
        assert_eq!(encoded.body[..5], [0, 3, 0, 0, 0xff]);
    }

    #[test]
    fn one_bad_packet_stops_the_rest() {
        let mut dialect = PayloadDialect::new(Revision::V4);
        let mut packets = decode(
            WireKind::Text,
            b"4a\x1ex\x1e4b",
            &Limits::default(),
            &mut dialect,
        );
        assert_eq!(packets.next(), Some(Ok(Packet::text("a"))));
        assert_eq!(
            packets.next(),
            Some(Err(PayloadError::Packet(PacketError::UnknownType('x'))))
        );
        assert_eq!(packets.next(), None);
    }

    #[test]
    fn empty_bodies_are_errors_in_text_framing() {
        for revision in [Revision::V3, Revision::V4] {
            let result = decode_all(&mut PayloadDialect::new(revision), WireKind::Text, b"");
            assert_eq!(result, Err(PayloadError::Packet(PacketError::Empty)));
        }
    }

    #[test]
    fn octet_stream_is_refused_in_revision_4() {
        let result = decode_all(
            &mut PayloadDialect::new(Revision::V4),
            WireKind::Binary,
            b"4hi",
        );
        assert_eq!(result, Err(PayloadError::BinaryRefused));
    }

    #[test]
    fn limits_are_enforced() {
        let limits = Limits::default().max_payload(8).max_packets_per_payload(2);
        let mut dialect = PayloadDialect::new(Revision::V4);
        let error = decode(WireKind::Text, b"4aaaaaaaa", &limits, &mut dialect).next();
        assert_eq!(error, Some(Err(PayloadError::TooLarge { len: 9, max: 8 })));
        let last = decode(WireKind::Text, b"4\x1e4\x1e4", &limits, &mut dialect).last();
        assert_eq!(last, Some(Err(PayloadError::TooManyPackets)));
        let fits = decode(WireKind::Text, b"4\x1e4", &limits, &mut dialect).last();
        assert_eq!(fits, Some(Ok(Packet::text(""))));
    }

    #[test]
    fn bad_framing_of_revision_3_is_named() {
        let decode = |content, body: &[u8]| {
            decode_all(&mut PayloadDialect::new(Revision::V3), content, body).unwrap_err()
        };
        assert_eq!(decode(WireKind::Text, b"4hi"), PayloadError::Length);
        assert_eq!(decode(WireKind::Text, b":4hi"), PayloadError::Length);
        assert_eq!(decode(WireKind::Text, b"x:4hi"), PayloadError::Length);
        assert_eq!(decode(WireKind::Text, b"3:4hi12"), PayloadError::Length);
        assert_eq!(decode(WireKind::Text, b"4:4hi"), PayloadError::Truncated);
        assert_eq!(
            decode(WireKind::Text, b"99999999999999999999:4"),
            PayloadError::Truncated
        );
        // The length ends amid a surrogate pair.
        assert_eq!(
            decode(WireKind::Text, "2:4😀".as_bytes()),
            PayloadError::Truncated
        );
        assert_eq!(decode(WireKind::Binary, &[0, 1]), PayloadError::Length);
        assert_eq!(
            decode(WireKind::Binary, &[0, 10, 255, 52]),
            PayloadError::Length
        );
        assert_eq!(
            decode(WireKind::Binary, &[0, 2, 255, 52]),
            PayloadError::Truncated
        );
        assert_eq!(
            decode(WireKind::Binary, &[2, 1, 255, 52]),
            PayloadError::UnknownKind(2)
        );
        assert_eq!(
            decode(WireKind::Binary, &[0, 1, 255, 0xe9]),
            PayloadError::Utf8
        );
        let mut many_digits = vec![0];
        many_digits.resize(312, 0);
        many_digits.extend([1, 255, 52]);
        assert_eq!(decode(WireKind::Binary, &many_digits), PayloadError::Length);
    }

    #[test]
    fn zero_length_items_are_skipped_in_text_framing() {
        let decode =
            |body: &[u8]| decode_all(&mut PayloadDialect::new(Revision::V3), WireKind::Text, body);
        assert_eq!(decode(b"0:"), Ok(Vec::new()));
        assert_eq!(decode(b"0:3:4hi0:").unwrap(), [Packet::text("hi")]);
    }
}
