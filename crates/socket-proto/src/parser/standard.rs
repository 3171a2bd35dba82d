use bytes::Bytes;

use super::{Decoder, Message, Packet, Parser, ParserError};
use crate::ConnectionConfig;
use crate::ascii::escape_packet;
use crate::encode::write_packet;
use crate::packet::decode;
use crate::revision::SocketRevision;

/// The standard format, for parsers that build on it: a text, and each attachment as a binary message behind it.
///
/// Where no parser is set, the same is spoken without the detour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standard;

impl Parser for Standard {
    fn encode(
        &self,
        packet: &Packet<'_>,
        revision: SocketRevision,
    ) -> Result<Vec<Message<'static>>, ParserError> {
        let mut text = write_packet(packet);
        if revision == SocketRevision::V4 && !text.is_ascii() {
            // Peers disagree about how such text is sent over polling, but all of them read JSON escapes.
            text = escape_packet(&text).into_owned();
        }
        let attachments = packet.attachments.iter().cloned();
        Ok(std::iter::once(Message::Text(text.into()))
            .chain(attachments.map(Message::Binary))
            .collect())
    }

    fn decoder(&self, revision: SocketRevision, limits: &ConnectionConfig) -> Box<dyn Decoder> {
        Box::new(StandardDecoder {
            revision,
            max_attachments: limits.max_attachments,
            max_bytes: limits.max_attachment_bytes,
            pending: None,
        })
    }
}

#[derive(Debug)]
struct StandardDecoder {
    revision: SocketRevision,
    max_attachments: usize,
    max_bytes: usize,
    /// What lacks attachments.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    packet: Packet<'static>,
    owed: usize,
    /// How many bytes more there may be.
    room: usize,
}

impl Decoder for StandardDecoder {
    fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError> {
        match message {
            Message::Text(_) if self.pending.is_some() => {
                Err(ParserError::new("text instead of an attachment"))
            }
            Message::Text(text) => {
                let raw =
                    decode(&text, self.revision, self.max_attachments).map_err(ParserError::new)?;
                // A text that is lent is gone before its packet is.
                let packet = Packet::of_raw(&raw).into_owned();
                if raw.attachments == 0 {
                    return Ok(Some(packet));
                }
                self.pending = Some(Pending {
                    packet,
                    owed: raw.attachments,
                    room: self.max_bytes,
                });
                Ok(None)
            }
            Message::Binary(data) => self.attach(data),
        }
    }

    fn is_unfinished(&self) -> bool {
        self.pending.is_some()
    }
}

impl StandardDecoder {
    fn attach(&mut self, data: Bytes) -> Result<Option<Packet<'static>>, ParserError> {
        let Some(mut pending) = self.pending.take() else {
            return Err(ParserError::new("binary message that is no attachment"));
        };
        let room = pending.room.checked_sub(data.len());
        pending.room = room.ok_or_else(|| ParserError::new("attachments are too large"))?;
        pending.owed -= 1;
        pending.packet.attachments.to_mut().push(data);
        if pending.owed == 0 {
            return Ok(Some(pending.packet));
        }
        self.pending = Some(pending);
        Ok(None)
    }
}
