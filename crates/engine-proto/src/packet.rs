//! Packets and their form on message-oriented transports (WebSocket, stream frames).

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Revision;

/// One Engine.IO packet.
///
/// It borrows from what it was decoded from, so that decoding a message copies nothing (base64 aside).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the server's handshake, as JSON. From a client on a stream: empty, or JSON with the session id to upgrade.
    Open(Cow<'a, str>),
    /// `1`: asks to close the transport.
    Close,
    /// `2`: heartbeat, or the probe of an upgrade if the data is `probe`.
    Ping(Cow<'a, str>),
    /// `3`: answer to a ping.
    Pong(Cow<'a, str>),
    /// `4`: content for the application.
    Message(Message<'a>),
    /// `5`: commits an upgrade.
    Upgrade,
    /// `6`: frees a pending poll.
    Noop,
}

/// The content of a message packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Binary(Cow<'a, [u8]>),
}

/// Whether bytes travel as text or as binary, on transports that tell the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireKind {
    /// UTF-8 text.
    Text,
    /// Raw bytes.
    Binary,
}

/// Why something is not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A packet has at least a type.
    #[error("packet is empty")]
    Empty,
    /// The first character (or byte) is no packet type.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
    /// Only messages can be binary.
    #[error("binary packet is not a message")]
    BinaryControl,
    /// The data after `b` (Engine.IO 3: after `b4`) is not base64.
    #[error("binary packet holds invalid base64")]
    Base64,
}

impl<'a> Packet<'a> {
    /// The probe of an upgrade: `2probe`.
    pub const PROBE_PING: Packet<'static> = Packet::Ping(Cow::Borrowed(PROBE));
    /// The answer to a probe: `3probe`.
    pub const PROBE_PONG: Packet<'static> = Packet::Pong(Cow::Borrowed(PROBE));
    /// A heartbeat: `2`.
    pub const PING: Packet<'static> = Packet::Ping(Cow::Borrowed(""));
    /// The answer to a heartbeat: `3`.
    pub const PONG: Packet<'static> = Packet::Pong(Cow::Borrowed(""));

    /// What kind of packet it is, for logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Close => "close",
            Self::Ping(_) => "ping",
            Self::Pong(_) => "pong",
            Self::Message(_) => "message",
            Self::Upgrade => "upgrade",
            Self::Noop => "noop",
        }
    }

    /// A text message.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Message(Message::Text(text.into()))
    }

    /// A binary message.
    pub fn binary(data: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Message(Message::Binary(data.into()))
    }

    /// Whether this is a message with binary content.
    #[must_use]
    pub const fn is_binary(&self) -> bool {
        matches!(self, Self::Message(Message::Binary(_)))
    }

    /// Decodes a packet that came as text: a WebSocket text message, a text frame, one item of a payload.
    ///
    /// Binary messages may come as text too (`b…`, under Engine.IO 3 `b4…`). Data behind a type that has none is
    /// ignored, as the originals do.
    ///
    /// # Errors
    ///
    /// See [`PacketError`]. It closes the session with `parse error`.
    #[inline]
    pub fn decode_text(revision: Revision, text: &'a str) -> Result<Self, PacketError> {
        let Some(&first) = text.as_bytes().first() else {
            return Err(PacketError::Empty);
        };
        // An ASCII first byte is a whole character, so slicing behind it is in bounds and on a boundary.
        Ok(match first {
            b'4' => Self::Message(Message::Text(Cow::Borrowed(&text[1..]))),
            b'b' => Self::Message(Message::Binary(Cow::Owned(decode_base64(
                revision,
                &text[1..],
            )?))),
            b'2' => Self::Ping(Cow::Borrowed(&text[1..])),
            b'3' => Self::Pong(Cow::Borrowed(&text[1..])),
            b'1' => Self::Close,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            b'0' => Self::Open(Cow::Borrowed(&text[1..])),
            _ => {
                return Err(PacketError::UnknownType(
                    text.chars().next().unwrap_or_default(),
                ));
            }
        })
    }

    /// Decodes a packet that came as bytes: a WebSocket binary message, a binary frame, a binary payload item.
    ///
    /// Under Engine.IO 4 that is always a message without any type byte; under Engine.IO 3 the first byte is the type
    /// (as a number, not a digit).
    ///
    /// # Errors
    ///
    /// Under Engine.IO 3 only: [`PacketError::Empty`], [`PacketError::UnknownType`], [`PacketError::BinaryControl`].
    #[inline]
    pub fn decode_binary(revision: Revision, data: &'a [u8]) -> Result<Self, PacketError> {
        let content = match revision {
            Revision::V4 => data,
            Revision::V3 => match data.split_first() {
                Some((&MESSAGE_TYPE_BYTE, content)) => content,
                Some((0..=6, _)) => return Err(PacketError::BinaryControl),
                Some((&other, _)) => return Err(PacketError::UnknownType(char::from(other))),
                None => return Err(PacketError::Empty),
            },
        };
        Ok(Self::Message(Message::Binary(Cow::Borrowed(content))))
    }

    /// Appends the packet's text form to `out`; binary messages become base64.
    pub fn encode_text(&self, revision: Revision, out: &mut Vec<u8>) {
        match self {
            Self::Message(Message::Binary(data)) => encode_base64(revision, data, out),
            Self::Message(Message::Text(text)) => push_typed(out, b'4', text),
            Self::Open(json) => push_typed(out, b'0', json),
            Self::Ping(data) => push_typed(out, b'2', data),
            Self::Pong(data) => push_typed(out, b'3', data),
            Self::Close => out.push(b'1'),
            Self::Upgrade => out.push(b'5'),
            Self::Noop => out.push(b'6'),
        }
    }

    /// Appends the form for a transport that carries both text and binary, and says which one it is.
    pub fn encode(&self, revision: Revision, out: &mut Vec<u8>) -> WireKind {
        if let Self::Message(Message::Binary(data)) = self {
            if revision == Revision::V3 {
                out.push(MESSAGE_TYPE_BYTE);
            }
            out.extend_from_slice(data);
            WireKind::Binary
        } else {
            self.encode_text(revision, out);
            WireKind::Text
        }
    }

    /// The text form of a packet that a session sends by itself, without building it: `1`, `2`, `2probe`, `3`,
    /// `3probe`, `5`, `6`. `None` for everything that carries other data.
    #[must_use]
    pub fn control_text(&self) -> Option<&'static str> {
        Some(match self {
            Self::Close => "1",
            Self::Ping(data) if data.is_empty() => "2",
            Self::Ping(data) if data == PROBE => "2probe",
            Self::Pong(data) if data.is_empty() => "3",
            Self::Pong(data) if data == PROBE => "3probe",
            Self::Upgrade => "5",
            Self::Noop => "6",
            Self::Open(_) | Self::Ping(_) | Self::Pong(_) | Self::Message(_) => return None,
        })
    }

    /// The same packet, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        match self {
            Self::Open(json) => Packet::Open(Cow::Owned(json.into_owned())),
            Self::Close => Packet::Close,
            Self::Ping(data) => Packet::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Packet::Pong(Cow::Owned(data.into_owned())),
            Self::Message(message) => Packet::Message(message.into_owned()),
            Self::Upgrade => Packet::Upgrade,
            Self::Noop => Packet::Noop,
        }
    }
}

impl Message<'_> {
    /// The same message, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        match self {
            Self::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
            Self::Binary(data) => Message::Binary(Cow::Owned(data.into_owned())),
        }
    }

    /// Bytes of content.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
        }
    }

    /// Whether there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn push_typed(out: &mut Vec<u8>, digit: u8, data: &str) {
    out.reserve(1 + data.len());
    out.push(digit);
    out.extend_from_slice(data.as_bytes());
}

/// Appends `b…` or `b4…`.
pub(crate) fn encode_base64(revision: Revision, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(base64_prefix(revision));
    let start = out.len();
    let len = base64_len(data.len());
    out.resize(start + len, 0);
    let written = BASE64
        .encode_slice(data, &mut out[start..])
        .expect("room was made for exactly this many characters");
    debug_assert_eq!(written, len);
}

/// Length of the text form of a binary message.
pub(crate) fn base64_packet_len(revision: Revision, data_len: usize) -> usize {
    base64_prefix(revision).len() + base64_len(data_len)
}

fn base64_len(data_len: usize) -> usize {
    data_len.div_ceil(3) * 4
}

fn base64_prefix(revision: Revision) -> &'static [u8] {
    match revision {
        Revision::V3 => b"b4",
        Revision::V4 => b"b",
    }
}

fn decode_base64(revision: Revision, text: &str) -> Result<Vec<u8>, PacketError> {
    let encoded = match revision {
        Revision::V4 => text.as_bytes(),
        Revision::V3 => match text.as_bytes().split_first() {
            Some((b'4', encoded)) => encoded,
            Some((b'0'..=b'6', _)) => return Err(PacketError::BinaryControl),
            Some(_) => {
                return Err(PacketError::UnknownType(
                    text.chars().next().unwrap_or_default(),
                ));
            }
            None => return Err(PacketError::Empty),
        },
    };
    BASE64.decode(encoded).map_err(|_| PacketError::Base64)
}

/// The data that makes a ping or pong a probe.
pub(crate) const PROBE: &str = "probe";

/// The type of a message as Engine.IO 3 puts it in front of binary data.
const MESSAGE_TYPE_BYTE: u8 = 4;

/// JavaScript's decoders take base64 with or without padding and do not look at left-over bits, and some third-party
/// clients rely on it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(packet: &Packet<'_>, revision: Revision) -> String {
        let mut out = Vec::new();
        packet.encode_text(revision, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_examples_of_the_reference_encode_as_given() {
        let binary = Packet::binary(&[10u8, 11][..]);
        assert_eq!(text_of(&Packet::text("hi"), Revision::V4), "4hi");
        assert_eq!(text_of(&binary, Revision::V4), "bCgs=");
        assert_eq!(text_of(&binary, Revision::V3), "b4Cgs=");
        let mut out = Vec::new();
        assert_eq!(binary.encode(Revision::V4, &mut out), WireKind::Binary);
        assert_eq!(out, [10, 11]);
        out.clear();
        assert_eq!(binary.encode(Revision::V3, &mut out), WireKind::Binary);
        assert_eq!(out, [4, 10, 11]);
    }

    #[test]
    fn decoding_a_text_message_borrows() {
        let packet = Packet::decode_text(Revision::V4, "4né").unwrap();
        assert!(matches!(
            packet,
            Packet::Message(Message::Text(Cow::Borrowed("né")))
        ));
    }

    #[test]
    fn control_texts_decode_to_themselves() {
        for packet in [
            Packet::Close,
            Packet::PING,
            Packet::PROBE_PING,
            Packet::PONG,
            Packet::PROBE_PONG,
            Packet::Upgrade,
            Packet::Noop,
        ] {
            let text = packet.control_text().unwrap();
            assert_eq!(text_of(&packet, Revision::V4), text);
            assert_eq!(Packet::decode_text(Revision::V3, text), Ok(packet));
        }
    }

    #[test]
    fn bad_packets_are_named() {
        let text = |revision, text| Packet::decode_text(revision, text).unwrap_err();
        assert_eq!(text(Revision::V4, ""), PacketError::Empty);
        assert_eq!(text(Revision::V4, "7"), PacketError::UnknownType('7'));
        assert_eq!(text(Revision::V4, "é"), PacketError::UnknownType('é'));
        assert_eq!(text(Revision::V4, "b?"), PacketError::Base64);
        assert_eq!(text(Revision::V3, "b"), PacketError::Empty);
        assert_eq!(text(Revision::V3, "b2AA"), PacketError::BinaryControl);
        assert_eq!(text(Revision::V3, "bx"), PacketError::UnknownType('x'));
        let binary = |data| Packet::decode_binary(Revision::V3, data).unwrap_err();
        assert_eq!(binary(&[]), PacketError::Empty);
        assert_eq!(binary(&[2, 0]), PacketError::BinaryControl);
        assert_eq!(binary(b"4"), PacketError::UnknownType('4'));
    }

    #[test]
    fn unpadded_base64_is_accepted() {
        assert_eq!(
            Packet::decode_text(Revision::V4, "bCgs"),
            Ok(Packet::binary(&[10u8, 11][..]))
        );
        assert_eq!(
            Packet::decode_text(Revision::V4, "b"),
            Ok(Packet::binary(&[][..]))
        );
    }

    #[test]
    fn empty_binary_message_is_a_message_in_revision_4() {
        assert_eq!(
            Packet::decode_binary(Revision::V4, &[]),
            Ok(Packet::binary(&[][..]))
        );
    }
}
