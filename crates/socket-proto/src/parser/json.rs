use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Decoder, Message, Packet, Parser, ParserError};
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;
use crate::{Args, ArgsWriter, ConnectionConfig, RawArgs, ToArgs};

/// Each packet as one JSON text, as `socket.io-json-parser` writes it: `{"type":2,"data":["greet",1],"nsp":"/"}`.
///
/// Larger than the standard format, and the only one that anything with a JSON library reads without knowing more. Bytes
/// are in the text, as Node's Buffer is in JSON: `{"type":"Buffer","data":[1,2]}`. Handlers that ask for bytes get them from
/// that; a peer in JavaScript is left with the object.
///
/// Speaks to version 3 of that parser over `EIO=4`, and to version 2, which is for Socket.IO 2, over `EIO=3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json {
    max_inline_bytes: usize,
}

impl Json {
    /// The parser, with its default limit.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_inline_bytes: 1_000_000,
        }
    }

    /// Sets how many bytes may stand in the text of one packet that goes out, where they take up to four times their size:
    /// more are an error of whoever emits them. Default: 1,000,000.
    #[must_use]
    pub const fn max_inline_bytes(mut self, bytes: usize) -> Self {
        self.max_inline_bytes = bytes;
        self
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser for Json {
    fn encode(
        &self,
        packet: &Packet<'_>,
        revision: SocketRevision,
    ) -> Result<Vec<Message<'static>>, ParserError> {
        let text = match packet.attachments.is_empty() {
            true => write(packet, revision),
            false => {
                let payload = put_in(packet, self.max_inline_bytes)?;
                let payload = payload.into();
                let attachments = Cow::Borrowed(&[][..]);
                let namespace = Cow::Borrowed(&*packet.namespace);
                let (kind, ack_id) = (packet.kind, packet.ack_id);
                let packet = Packet {
                    kind,
                    namespace,
                    ack_id,
                    payload,
                    attachments,
                };
                write(&packet, revision)
            }
        };
        Ok(vec![Message::Text(text?.into())])
    }

    fn decoder(&self, _: SocketRevision, limits: &ConnectionConfig) -> Box<dyn Decoder> {
        Box::new(JsonDecoder {
            max_attachments: limits.max_attachments,
        })
    }
}

#[derive(Debug)]
struct JsonDecoder {
    max_attachments: usize,
}

impl Decoder for JsonDecoder {
    fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError> {
        let Message::Text(text) = message else {
            return Err(ParserError::new("a binary message"));
        };
        let packet = match text {
            Cow::Borrowed(text) => read(text)?,
            Cow::Owned(text) => read(&text)?.into_owned(),
        };
        take_out(packet, self.max_attachments).map(Some)
    }
}

/// What such a text has in it.
#[derive(Serialize, Deserialize)]
struct Whole<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    nsp: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
}

/// Reads a packet that is one JSON text. What it says of Buffers is left as it is.
pub(super) fn read(text: &str) -> Result<Packet<'_>, ParserError> {
    let Whole {
        kind,
        data,
        nsp,
        id,
    } = serde_json::from_str(text).map_err(ParserError::new)?;
    Ok(Packet {
        kind: kind_of(kind.into())?,
        namespace: nsp,
        ack_id: id,
        payload: data.map_or("", RawValue::get).into(),
        attachments: Cow::Borrowed(&[]),
    })
}

/// The type behind a number. Attachments of their own, by which the last two would differ, whole packets have none.
pub(super) fn kind_of(number: u64) -> Result<PacketType, ParserError> {
    Ok(match number {
        0 => PacketType::Connect,
        1 => PacketType::Disconnect,
        2 | 5 => PacketType::Event,
        3 | 6 => PacketType::Ack,
        4 => PacketType::ConnectError,
        _ => return Err(ParserError::new("an unknown packet type")),
    })
}

/// Writes a packet that has no attachments as one JSON text.
pub(super) fn write(packet: &Packet<'_>, revision: SocketRevision) -> Result<String, ParserError> {
    let payload = match packet.kind {
        PacketType::ConnectError => refusal(&packet.payload, revision)?,
        // That of an acknowledgement may be left out elsewhere.
        PacketType::Ack if packet.payload.is_empty() => "[]".into(),
        _ => Cow::Borrowed(&*packet.payload),
    };
    let data = match payload.is_empty() {
        true => None,
        false => Some(serde_json::from_str(&payload).map_err(ParserError::new)?),
    };
    let whole = Whole {
        kind: packet.kind as u8,
        data,
        nsp: Cow::Borrowed(&*packet.namespace),
        id: packet.ack_id,
    };
    serde_json::to_string(&whole).map_err(ParserError::new)
}

/// What refuses a namespace, in the only form that peers of the revision take: in 4 a text, in 5 an object.
fn refusal(payload: &str, revision: SocketRevision) -> Result<Cow<'_, str>, ParserError> {
    #[derive(Serialize, Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    let is_text = payload.starts_with('"');
    Ok(match revision {
        SocketRevision::V4 if is_text => payload.into(),
        SocketRevision::V4 => {
            let message = match serde_json::from_str::<Refusal<'_>>(payload) {
                Ok(refusal) => refusal.message,
                // Without a message in it, its own text is one.
                Err(_) => payload.into(),
            };
            let text = serde_json::to_string(&message);
            text.map_err(ParserError::new)?.into()
        }
        SocketRevision::V5 if is_text => format!(r#"{{"message":{payload}}}"#).into(),
        SocketRevision::V5 => payload.into(),
    })
}

/// The payload of a packet, with its attachments in the places of their placeholders.
fn put_in(packet: &Packet<'_>, mut max: usize) -> Result<String, ParserError> {
    let args = RawArgs::from_array(&packet.payload).map_err(ParserError::new)?;
    let mut out = vec![b'['];
    args.with_attachments(&packet.attachments)
        .write_args(&mut ArgsWriter::with_buffers(&mut out, &mut max))
        .map_err(ParserError::new)?;
    out.push(b']');
    String::from_utf8(out).map_err(ParserError::new)
}

/// The packet with an attachment for each Buffer in it.
fn take_out(packet: Packet<'_>, max: usize) -> Result<Packet<'_>, ParserError> {
    let has_args = matches!(packet.kind, PacketType::Event | PacketType::Ack);
    if !has_args || memmem::find(packet.payload.as_bytes(), br#""Buffer""#).is_none() {
        return Ok(packet);
    }
    let list = RawArgs::from_array(&packet.payload).map_err(ParserError::new)?;
    let args = Args::new(&list.with_buffers()).map_err(ParserError::new)?;
    let attachments: Vec<Bytes> = args.attachments().to_vec();
    if attachments.len() > max {
        return Err(ParserError::new(format_args!("more than {max} Buffers")));
    }
    Ok(Packet {
        payload: format!("[{}]", args.as_json()).into(),
        attachments: attachments.into(),
        ..packet
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: PacketType, payload: &str) -> Packet<'_> {
        Packet {
            kind,
            namespace: "/".into(),
            ack_id: None,
            payload: payload.into(),
            attachments: Cow::Borrowed(&[]),
        }
    }

    fn encode(packet: &Packet<'_>, revision: SocketRevision) -> String {
        let messages = Json::new().encode(packet, revision).unwrap();
        let [Message::Text(text)] = &messages[..] else {
            panic!("{messages:?}")
        };
        text.clone().into_owned()
    }

    fn decode(text: &str) -> Result<Packet<'_>, ParserError> {
        let mut decoder = Json::new().decoder(SocketRevision::V5, &ConnectionConfig::default());
        Ok(decoder.decode(Message::Text(text.into()))?.unwrap())
    }

    #[test]
    fn packets_are_what_the_parser_in_javascript_writes() {
        for (text, packet) in [
            (
                r#"{"type":2,"data":["greet",1,{"k":[true]}],"nsp":"/"}"#,
                packet(PacketType::Event, r#"["greet",1,{"k":[true]}]"#),
            ),
            (
                r#"{"type":3,"data":["ok"],"nsp":"/chat","id":7}"#,
                Packet {
                    namespace: "/chat".into(),
                    ack_id: Some(7),
                    ..packet(PacketType::Ack, r#"["ok"]"#)
                },
            ),
            (r#"{"type":0,"nsp":"/"}"#, packet(PacketType::Connect, "")),
            (
                r#"{"type":0,"data":{"sid":"a"},"nsp":"/"}"#,
                packet(PacketType::Connect, r#"{"sid":"a"}"#),
            ),
        ] {
            assert_eq!(encode(&packet, SocketRevision::V5), text);
            assert_eq!(decode(text).unwrap(), packet);
        }
    }

    #[test]
    fn text_is_borrowed() {
        let text = r#"{"options":{"compress":true},"id":3,"nsp":"/","data":["a", 1],"type":5}"#;
        let packet = decode(text).unwrap();
        assert_eq!((packet.kind, packet.ack_id), (PacketType::Event, Some(3)));
        assert!(matches!(packet.payload, Cow::Borrowed(r#"["a", 1]"#)));
        assert!(matches!(packet.namespace, Cow::Borrowed("/")));
    }

    #[test]
    fn bytes_are_in_the_text() {
        let bytes = [Bytes::from_static(&[1, 255])];
        let packet = Packet {
            attachments: Cow::Borrowed(&bytes),
            ..packet(
                PacketType::Event,
                r#"["up",[{"_placeholder":true,"num":0}]]"#,
            )
        };
        let text = r#"{"type":2,"data":["up",[{"type":"Buffer","data":[1,255]}]],"nsp":"/"}"#;
        assert_eq!(encode(&packet, SocketRevision::V5), text);
        assert_eq!(decode(text).unwrap(), packet);
        let strict = Json::new().max_inline_bytes(1);
        assert!(strict.encode(&packet, SocketRevision::V5).is_err());
        let none = ConnectionConfig::default().max_attachments(0);
        let mut decoder = Json::new().decoder(SocketRevision::V5, &none);
        let error = decoder.decode(Message::Text(text.into())).unwrap_err();
        assert_eq!(error.to_string(), "more than 0 Buffers");
    }

    #[test]
    fn nobody_forges_a_placeholder() {
        let text = r#"{"type":2,"nsp":"/","data":["up",{"_placeholder":true,"num":0},{"type":"Buffer","data":[1]}]}"#;
        let packet = decode(text).unwrap();
        assert_eq!(
            packet.payload,
            r#"["up",{"_placeholder":false,"num":0},{"_placeholder":true,"num":0}]"#
        );
    }

    #[test]
    fn refusals_have_the_form_of_their_revision() {
        for (payload, four, five) in [
            (r#""no""#, r#""no""#, r#"{"message":"no"}"#),
            (
                r#"{"message":"no","data":1}"#,
                r#""no""#,
                r#"{"message":"no","data":1}"#,
            ),
            (r#"{"code":1}"#, r#""{\"code\":1}""#, r#"{"code":1}"#),
        ] {
            let packet = packet(PacketType::ConnectError, payload);
            for (revision, data) in [(SocketRevision::V4, four), (SocketRevision::V5, five)] {
                let text = format!(r#"{{"type":4,"data":{data},"nsp":"/"}}"#);
                assert_eq!(encode(&packet, revision), text);
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_an_error() {
        for text in [
            "",
            "2",
            "{}",
            r#"{"type":7,"nsp":"/"}"#,
            r#"{"type":-1,"nsp":"/"}"#,
            r#"{"type":2,"data":["a"]}"#,
            r#"{"type":2,"nsp":1,"data":["a"]}"#,
            r#"{"type":2,"nsp":"/","data":["a"],"id":-1}"#,
            r#"{"type":2,"nsp":"/","data":["a"],"id":"1"}"#,
            r#"{"type":2,"nsp":"/","data":{"type":"Buffer","data":[]}}"#,
            r#"{"type":2,"nsp":"/","data":["a"]}x"#,
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
        let mut decoder = Json::new().decoder(SocketRevision::V5, &ConnectionConfig::default());
        assert!(decoder.decode(Message::Binary(Bytes::new())).is_err());
    }
}
