//! Packets as all formats have them.

use std::borrow::Cow;

use bytes::Bytes;

use crate::decode_error::DecodeError;
use crate::packet::{RawPacket, check_payload, decode};
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;

/// A packet as all formats have it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever writes a decoder makes one of its parts, and must notice a new one"
)]
pub struct Packet<'a> {
    /// What it is. [`PacketType::BinaryEvent`] and [`PacketType::BinaryAck`] do not occur in what is encoded; decoded,
    /// they are the same as the types without attachments.
    pub kind: PacketType,
    /// The namespace, with its slash. It has no comma; behind a `?` may be the query of a revision 4 CONNECT.
    pub namespace: Cow<'a, str>,
    /// The id under which the sender expects, or sends, an acknowledgement.
    pub ack_id: Option<u64>,
    /// JSON, or empty if there is none. Of an event an array of its name and its arguments, of an acknowledgement one
    /// of the arguments; [`split_event`](crate::split_event) and [`RawArgs::from_array`](crate::RawArgs::from_array)
    /// take these apart. Other types have an object, or a text.
    pub payload: Cow<'a, str>,
    /// What the placeholders in the payload, `{"_placeholder":true,"num":0}`, stand for: each for one of these.
    pub attachments: Cow<'a, [Bytes]>,
}

impl<'a> Packet<'a> {
    /// The packet that stands in a text of the standard format, without reading its payload.
    pub(crate) fn read(
        text: &'a str,
        attachments: &'a [Bytes],
        revision: SocketRevision,
    ) -> Result<Self, DecodeError> {
        let raw = decode(text, revision, attachments.len())?;
        Ok(Self {
            attachments: Cow::Borrowed(attachments),
            ..Self::of_raw(&raw)
        })
    }

    /// Without its attachments.
    pub(crate) fn of_raw(raw: &RawPacket<'a>) -> Self {
        Self {
            kind: match raw.kind {
                PacketType::BinaryEvent => PacketType::Event,
                PacketType::BinaryAck => PacketType::Ack,
                kind => kind,
            },
            namespace: match raw.query {
                Some(query) => format!("{}?{query}", raw.namespace).into(),
                None => raw.namespace.into(),
            },
            ack_id: raw.ack_id,
            payload: raw.payload.into(),
            attachments: Cow::Borrowed(&[]),
        }
    }

    /// The same, kept for longer than what it was read from.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        Packet {
            kind: self.kind,
            namespace: self.namespace.into_owned().into(),
            ack_id: self.ack_id,
            payload: self.payload.into_owned().into(),
            attachments: self.attachments.into_owned().into(),
        }
    }

    /// Its parts, checked as [`decode`] checks those that it finds.
    pub(crate) fn parts(
        &self,
        revision: SocketRevision,
        max_attachments: usize,
    ) -> Result<RawPacket<'_>, DecodeError> {
        let attachments = self.attachments.len();
        if attachments > max_attachments {
            return Err(DecodeError::TooManyAttachments {
                max: max_attachments,
            });
        }
        let kind = self.kind;
        let (namespace, query) = match self.namespace.split_once('?') {
            Some((path, query))
                if kind == PacketType::Connect && revision == SocketRevision::V4 =>
            {
                (path, Some(query))
            }
            _ => (&*self.namespace, None),
        };
        if !namespace.starts_with('/') || namespace.contains(',') {
            return Err(DecodeError::Namespace(namespace.into()));
        }
        let parts = RawPacket {
            kind,
            attachments,
            counted: false,
            namespace,
            query,
            ack_id: self.ack_id,
            payload: &self.payload,
        };
        check_payload(&parts, revision)?;
        Ok(parts)
    }
}
