//! One Socket.IO packet as text: type, attachment count, namespace, acknowledgement id, JSON.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::IgnoredAny;

use crate::args::{RawArgs, open_array};
use crate::decode_error::DecodeError;
use crate::event::split_event;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;
use crate::scan::skip_space;

/// A packet whose parts have been found but whose JSON has not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawPacket<'a> {
    /// The type. A revision 3 acknowledgement (`31-…`) is a [`PacketType::Ack`] with `counted` set.
    pub kind: PacketType,
    /// How many binary messages follow and belong to this packet.
    pub attachments: usize,
    /// Whether an acknowledgement states its attachments, as Socket.IO 1.0.0–1.0.2 does with all of them.
    pub counted: bool,
    /// The namespace, with its slash.
    pub namespace: &'a str,
    /// What follows a `?` in the namespace of a revision 4 CONNECT. Not decoded.
    pub query: Option<&'a str>,
    /// The id under which the sender expects, or sends, an acknowledgement.
    pub ack_id: Option<u64>,
    /// The JSON text, empty if there is none.
    pub payload: &'a str,
}

impl<'a> RawPacket<'a> {
    /// Name and arguments of an event, without attachments yet; see [`split_event`].
    ///
    /// # Errors
    ///
    /// As [`split_event`].
    #[inline(always)]
    pub fn event(&self) -> Result<(Cow<'a, str>, RawArgs<'a>), DecodeError> {
        split_event(self.payload)
    }

    /// Arguments of an acknowledgement, without attachments yet. No payload at all counts as no arguments.
    ///
    /// # Errors
    ///
    /// When the payload is not an array, or its brackets, strings or commas do not add up.
    pub fn ack_args(&self) -> Result<RawArgs<'a>, DecodeError> {
        if self.payload.is_empty() {
            return Ok(RawArgs::empty());
        }
        let (base, inner) = open_array(self.payload)?;
        RawArgs::from_list(inner).map_err(|error| DecodeError::json(base, error))
    }
}

/// Finds the parts of a packet by scanning; allocates nothing.
///
/// The payload is checked for its kind: an object for CONNECT, nothing for DISCONNECT, an array for events and
/// acknowledgements. Names and arguments are looked at by [`RawPacket::event`] and [`RawPacket::ack_args`].
/// More than `max_attachments` attachments are refused, and a binary packet that says to have none, as socket.io-parser
/// does since 4.2.6, 3.4.4 and 3.3.5. In revision 4 the namespace of a CONNECT is cut at its `?`.
///
/// # Errors
///
/// When the text breaks the grammar (reference, wire-protocol §6.2).
#[inline]
pub fn decode(
    text: &str,
    revision: SocketRevision,
    max_attachments: usize,
) -> Result<RawPacket<'_>, DecodeError> {
    let bytes = text.as_bytes();
    let &first = bytes.first().ok_or(DecodeError::Empty)?;
    let kind = PacketType::from_digit(first)
        .ok_or_else(|| DecodeError::UnknownType(text.chars().next().unwrap_or_default()))?;
    let mut at = 1;

    let mut attachments = 0;
    let mut counted = false;
    match kind {
        PacketType::BinaryEvent | PacketType::BinaryAck => {
            (attachments, at) = read_count(bytes, max_attachments)?;
            if attachments == 0 {
                return Err(DecodeError::AttachmentCount);
            }
        }
        PacketType::Ack if has_count(bytes) => {
            (attachments, at) = read_count(bytes, max_attachments)?;
            counted = true;
        }
        _ => {}
    }

    let mut namespace = "/";
    let mut query = None;
    if bytes.get(at) == Some(&b'/') {
        // Old encoders leave the comma out when nothing follows.
        let end = memchr(b',', &bytes[at..]).map_or(bytes.len(), |comma| at + comma);
        namespace = &text[at..end];
        at = (end + 1).min(bytes.len());
        if kind == PacketType::Connect
            && revision == SocketRevision::V4
            && let Some((path, rest)) = namespace.split_once('?')
        {
            namespace = path;
            query = Some(rest);
        }
    }

    let (ack_id, at) = match (kind, revision) {
        // Nobody acknowledges an error, and its payload may be a number.
        (PacketType::ConnectError, SocketRevision::V4) => (None, at),
        _ => read_id(bytes, at)?,
    };
    let packet = RawPacket {
        kind,
        attachments,
        counted,
        namespace,
        query,
        ack_id,
        payload: &text[at..],
    };
    check_payload(&packet, revision)?;
    Ok(packet)
}

/// Whether an acknowledgement has the form of revision 3, `3<digits>-`. Anything else cannot look like this: the
/// payload is an array, so no minus sign can follow the id.
fn has_count(bytes: &[u8]) -> bool {
    let digits = bytes[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && bytes.get(1 + digits) == Some(&b'-')
}

fn read_count(bytes: &[u8], max: usize) -> Result<(usize, usize), DecodeError> {
    let mut count = 0usize;
    let mut at = 1;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        count = count
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'));
        at += 1;
    }
    if at == 1 || bytes.get(at) != Some(&b'-') {
        return Err(DecodeError::AttachmentCount);
    }
    if count > max {
        return Err(DecodeError::TooManyAttachments { max });
    }
    Ok((count, at + 1))
}

fn read_id(bytes: &[u8], start: usize) -> Result<(Option<u64>, usize), DecodeError> {
    let mut at = start;
    let mut id = 0u64;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        id = id
            .checked_mul(10)
            .and_then(|id| id.checked_add(u64::from(digit - b'0')))
            .ok_or(DecodeError::AckId)?;
        at += 1;
    }
    Ok(((at > start).then_some(id), at))
}

pub(crate) fn check_payload(
    packet: &RawPacket<'_>,
    revision: SocketRevision,
) -> Result<(), DecodeError> {
    let kind = packet.kind;
    let wrong = Err(DecodeError::Payload { kind });
    let payload = packet.payload;
    let first = payload.as_bytes().get(skip_space(payload.as_bytes(), 0));
    match kind {
        // Brackets and names are checked when the arguments are split, which every event goes through.
        PacketType::Event | PacketType::BinaryEvent if first != Some(&b'[') => {
            Err(DecodeError::NotAnArray)
        }
        PacketType::Event | PacketType::BinaryEvent => Ok(()),
        PacketType::Ack | PacketType::BinaryAck if payload.is_empty() => Ok(()),
        PacketType::Ack | PacketType::BinaryAck if first != Some(&b'[') => {
            Err(DecodeError::NotAnArray)
        }
        PacketType::Ack | PacketType::BinaryAck => Ok(()),
        _ if payload.is_empty() => Ok(()),
        PacketType::Connect if first != Some(&b'{') => wrong,
        PacketType::Connect => valid_json(payload),
        PacketType::Disconnect => wrong,
        PacketType::ConnectError
            if revision == SocketRevision::V5 && !matches!(first, Some(b'{' | b'"')) =>
        {
            wrong
        }
        PacketType::ConnectError => valid_json(payload),
    }
}

/// These packets are rare and hand their JSON to the application as a whole, so it is checked here.
fn valid_json(payload: &str) -> Result<(), DecodeError> {
    match serde_json::from_str::<IgnoredAny>(payload) {
        Ok(_) => Ok(()),
        Err(error) => Err(DecodeError::Json {
            at: error.column().saturating_sub(1),
            expected: "valid JSON",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v5(text: &str) -> Result<RawPacket<'_>, DecodeError> {
        decode(text, SocketRevision::V5, 10)
    }

    fn v4(text: &str) -> Result<RawPacket<'_>, DecodeError> {
        decode(text, SocketRevision::V4, 10)
    }

    fn plain(kind: PacketType) -> RawPacket<'static> {
        RawPacket {
            kind,
            attachments: 0,
            counted: false,
            namespace: "/",
            query: None,
            ack_id: None,
            payload: "",
        }
    }

    #[test]
    fn examples_of_the_reference_are_decoded() {
        assert_eq!(v5("0"), Ok(plain(PacketType::Connect)));
        assert_eq!(
            v5(r#"0/chat,{"token":"t0"}"#),
            Ok(RawPacket {
                namespace: "/chat",
                payload: r#"{"token":"t0"}"#,
                ..plain(PacketType::Connect)
            })
        );
        assert_eq!(
            v5("1/chat,"),
            Ok(RawPacket {
                namespace: "/chat",
                ..plain(PacketType::Disconnect)
            })
        );
        assert_eq!(
            v5(r#"2/chat,12["greet"]"#),
            Ok(RawPacket {
                namespace: "/chat",
                ack_id: Some(12),
                payload: r#"["greet"]"#,
                ..plain(PacketType::Event)
            })
        );
        assert_eq!(
            v5("3/chat,12[]"),
            Ok(RawPacket {
                namespace: "/chat",
                ack_id: Some(12),
                payload: "[]",
                ..plain(PacketType::Ack)
            })
        );
        let up =
            r#"52-/chat,7["up",{"_placeholder":true,"num":0},{"m":{"_placeholder":true,"num":1}}]"#;
        let packet = v5(up).unwrap();
        assert_eq!((packet.attachments, packet.ack_id), (2, Some(7)));
        assert_eq!(packet.event().unwrap().1.len(), 2);
        let packet = v5(r#"61-7[{"_placeholder":true,"num":0}]"#).unwrap();
        assert_eq!(packet.kind, PacketType::BinaryAck);
        assert_eq!(packet.ack_args().unwrap().len(), 1);
    }

    #[test]
    fn comma_behind_the_namespace_is_optional_at_the_end() {
        for text in ["0/chat", "0/chat,"] {
            assert_eq!(v5(text).unwrap().namespace, "/chat");
        }
        assert_eq!(v5("1/é").unwrap().namespace, "/é");
    }

    #[test]
    fn query_is_cut_off_in_revision_4_connects_only() {
        let packet = v4("0/x?token=a&n=1,").unwrap();
        assert_eq!(
            (packet.namespace, packet.query),
            ("/x", Some("token=a&n=1"))
        );
        assert_eq!(v5("0/x?token=a,").unwrap().namespace, "/x?token=a");
        assert_eq!(v4(r#"2/x?a,["e"]"#).unwrap().namespace, "/x?a");
    }

    #[test]
    fn counted_acks_of_revision_3_are_understood() {
        let packet = v4(r#"30-5["ok"]"#).unwrap();
        assert!(packet.counted);
        assert_eq!((packet.attachments, packet.ack_id), (0, Some(5)));
        let packet = v4(r#"32-/chat,5[1]"#).unwrap();
        assert_eq!((packet.attachments, packet.namespace), (2, "/chat"));
        assert!(!v4("35[]").unwrap().counted);
    }

    #[test]
    fn broken_heads_are_refused() {
        for text in [
            "",
            "7",
            "a",
            "é",
            "5",
            "51",
            "5a-",
            "51.5-",
            "5-1-",
            "5+1-",
            "51e0-",
            "5-[\"a\"]",
            "6",
            "5woooot",
        ] {
            assert!(v5(text).is_err(), "{text}");
        }
        assert_eq!(
            v5(r#"511-["a"]"#),
            Err(DecodeError::TooManyAttachments { max: 10 })
        );
        assert_eq!(
            v5("599999999999999999999999999-[]"),
            Err(DecodeError::TooManyAttachments { max: 10 })
        );
        assert_eq!(
            v5("299999999999999999999999[\"a\"]"),
            Err(DecodeError::AckId)
        );
    }

    #[test]
    fn payload_must_fit_the_type() {
        for text in [
            "2",
            "2abc[\"a\"]",
            "2{}",
            "0[]",
            "0\"a\"",
            "0{",
            "0{\"a\":}",
            "1{}",
            "3{}",
            "3abc",
            "4true",
            "4[]",
            "50-",
        ] {
            assert!(v5(text).is_err(), "{text}");
        }
        for text in ["4{\"message\":\"no\"}", "4\"no\"", "4", "3", "0{}", " "] {
            assert_eq!(v5(text).is_ok(), text != " ", "{text}");
        }
        assert!(v4("4/x,[1]").is_ok());
    }

    #[test]
    fn error_of_revision_4_may_be_a_number() {
        for (text, payload) in [("47", "7"), ("4/x,7.5", "7.5"), ("4/x,-1", "-1")] {
            let packet = v4(text).unwrap();
            assert_eq!((packet.ack_id, packet.payload), (None, payload));
        }
        assert!(v4("47a").is_err());
    }

    #[test]
    fn binary_packets_must_have_attachments() {
        for text in [
            r#"50-["a",1]"#,
            r#"500-["a",1]"#,
            "60-1[]",
            r#"50-/x,["a"]"#,
        ] {
            assert_eq!(v5(text), Err(DecodeError::AttachmentCount), "{text}");
            assert_eq!(v4(text), Err(DecodeError::AttachmentCount), "{text}");
        }
        assert!(v4("30-1[]").is_ok(), "revision 3 counts all of them");
    }
}
