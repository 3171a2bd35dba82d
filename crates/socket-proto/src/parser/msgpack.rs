//! Packets as MessagePack. The format is read and written here: it is a page long, and the values are never more than
//! passed through.
//!
//! What else is written in this format, such as what servers of a cluster tell each other, is read with a [`Reader`] and
//! written with the functions of [`mod@write`]; the values of an application go from JSON to it and back without a tree in
//! between, by [`write_values`], [`read_event`] and their like.

mod date;
mod from_json;
mod head;
mod to_json;
mod values;
pub mod write;

use std::borrow::Cow;

use bytes::Bytes;

use super::json;
use super::{Decoder, Message, Packet, Parser, ParserError};
use crate::ConnectionConfig;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;

pub use head::{ExtensionForm, Head, Reader};
pub use values::{has_bytes, read_event, read_items, read_json, read_value, write_values};

use to_json::{BytesAs, Transcoded};

/// Each packet as one binary message of [MessagePack](https://msgpack.org), as `socket.io-msgpack-parser` writes it and
/// python-socketio with `serializer="msgpack"`.
///
/// Speaks to version 3 of that parser over `EIO=4`, and to version 2, which is for Socket.IO 2, over `EIO=3`.
///
/// Bytes are a part of the packet, rather than messages behind it. Of what JSON has no word for, dates are read as their
/// text in ISO 8601, numbers that are not finite as `null`, keys of maps as their text, and what is undefined is `null`
/// or, in a map, left out: as all of these are where JavaScript sends them in the standard format. Other extensions are
/// read as an array of their number and their bytes. 64-bit integers keep all of their digits, in both directions.
///
/// Values may be 128 inside each other, and a packet may have as many bytes objects as
/// [`max_attachments`](ConnectionConfig::max_attachments) says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessagePack;

impl Parser for MessagePack {
    fn encode(
        &self,
        packet: &Packet<'_>,
        revision: SocketRevision,
    ) -> Result<Vec<Message<'static>>, ParserError> {
        let has_args = matches!(packet.kind, PacketType::Event | PacketType::Ack);
        Ok(vec![match revision {
            // Only what has arguments is binary there.
            SocketRevision::V4 if !has_args => Message::Text(json::write(packet, revision)?.into()),
            SocketRevision::V4 | SocketRevision::V5 => Message::Binary(encode(packet)?.into()),
        }])
    }

    fn decoder(&self, revision: SocketRevision, limits: &ConnectionConfig) -> Box<dyn Decoder> {
        Box::new(MessagePackDecoder {
            revision,
            max_attachments: limits.max_attachments,
        })
    }
}

/// Each message is a packet, so that there is nothing to keep.
#[derive(Debug)]
struct MessagePackDecoder {
    revision: SocketRevision,
    max_attachments: usize,
}

impl Decoder for MessagePackDecoder {
    fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError> {
        match (message, self.revision) {
            (Message::Binary(data), _) => decode(&data, self.max_attachments).map(Some),
            (Message::Text(Cow::Borrowed(text)), SocketRevision::V4) => json::read(text).map(Some),
            (Message::Text(text), SocketRevision::V4) => Ok(Some(json::read(&text)?.into_owned())),
            (Message::Text(_), SocketRevision::V5) => Err(ParserError::new("a text message")),
        }
    }
}

fn encode(packet: &Packet<'_>) -> Result<Vec<u8>, ParserError> {
    let Packet {
        kind,
        namespace,
        ack_id,
        payload,
        attachments,
    } = packet;
    // The payload of an acknowledgement may be left out elsewhere.
    let payload = match (kind, payload.is_empty()) {
        (PacketType::Ack, true) => "[]",
        _ => payload,
    };
    let bytes: usize = attachments.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(payload.len() + bytes + namespace.len() + 32);
    let keys = 2 + usize::from(!payload.is_empty()) + usize::from(ack_id.is_some());
    write::map(&mut out, keys)?;
    write::text(&mut out, "type")?;
    write::unsigned(&mut out, *kind as u64);
    if !payload.is_empty() {
        write::text(&mut out, "data")?;
        from_json::transcode(payload, attachments, &mut out)?;
    }
    write::text(&mut out, "nsp")?;
    write::text(&mut out, namespace)?;
    if let Some(id) = ack_id {
        write::text(&mut out, "id")?;
        write::unsigned(&mut out, *id);
    }
    Ok(out)
}

/// Reads a packet: its keys come in any order, and there are more of them than it takes.
fn decode(message: &Bytes, max_attachments: usize) -> Result<Packet<'static>, ParserError> {
    let mut input = Reader::new(message);
    let Head::Map(pairs) = input.head()? else {
        return Err(ParserError::new("no map"));
    };
    let (mut kind, mut namespace, mut id) = (None, None, None);
    let mut data = None;
    for _ in 0..pairs {
        let key = match input.head()? {
            Head::Text(len) => input.take(len)?,
            _ => return Err(ParserError::new("a key that is no text")),
        };
        match key {
            b"type" => kind = Some(json::kind_of(whole(&mut input, "type")?)?),
            b"nsp" => namespace = Some(read_namespace(&mut input)?),
            b"id" if is_nothing(&input) => {
                id = None;
                input.skip()?;
            }
            b"id" => id = Some(whole(&mut input, "id")?),
            // How it is read depends on the type, which may be behind it.
            b"data" => {
                data = Some(input.clone()).filter(|data| !is_nothing(data));
                input.skip()?;
            }
            _ => input.skip()?,
        }
    }
    if !input.rest().is_empty() {
        return Err(ParserError::new("more behind the packet"));
    }
    let kind = kind.ok_or_else(|| ParserError::new("no type"))?;
    let namespace = namespace.ok_or_else(|| ParserError::new("no namespace"))?;
    let bytes = match kind {
        PacketType::Event | PacketType::Ack => BytesAs::Attachments {
            max: max_attachments,
        },
        _ => BytesAs::Buffers,
    };
    let Transcoded { json, attachments } = match data {
        Some(data) => to_json::transcode(message, data, bytes)?,
        None => Transcoded::default(),
    };
    Ok(Packet {
        kind,
        namespace,
        ack_id: id,
        payload: json.into(),
        attachments: attachments.into(),
    })
}

/// Whether `nil` comes next, which Python writes for what is not there, or what JavaScript calls undefined.
fn is_nothing(input: &Reader<'_>) -> bool {
    matches!(input.rest(), [0xc0, ..] | [0xd4, 0, ..])
}

fn read_namespace(input: &mut Reader<'_>) -> Result<Cow<'static, str>, ParserError> {
    let Head::Text(len) = input.head()? else {
        return Err(ParserError::new("a namespace that is no text"));
    };
    Ok(match std::str::from_utf8(input.take(len)?) {
        // That of most packets.
        Ok("/") => Cow::Borrowed("/"),
        Ok(name) => Cow::Owned(name.to_owned()),
        Err(error) => return Err(ParserError::new(error)),
    })
}

/// A whole number from 0 on. Where all numbers are alike, one of these may be written as any of them.
fn whole(input: &mut Reader<'_>, what: &str) -> Result<u64, ParserError> {
    const EXACT: f64 = (1u64 << 53) as f64;
    let number = match input.head()? {
        Head::Unsigned(number) => Some(number),
        Head::Signed(number) => u64::try_from(number).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, not below zero, and small enough"
        )]
        Head::Float(number) if number.fract() == 0.0 && (0.0..=EXACT).contains(&number) => {
            Some(number as u64)
        }
        _ => None,
    };
    number.ok_or_else(|| ParserError::new(format_args!("{what} is no whole number")))
}

#[cfg(test)]
mod tests;
