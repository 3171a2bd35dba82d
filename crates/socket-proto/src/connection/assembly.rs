//! How both ends read packets: texts are decoded, and wait here until their attachments have come.

use std::borrow::Cow;

use bytes::Bytes;

use super::delivery::Delivery;
use super::pending::{Pending, Target};
use super::{ConnectionConfig, NamespaceKey, Violation};
use crate::args::placeholder::{self, PlaceholderError};
use crate::args::{IncomingArgs, RawArgs};
use crate::decode_error::DecodeError;
use crate::packet::{RawPacket, decode};
use crate::revision::SocketRevision;
use crate::whole::Packet;

/// The packets of one connection as they come in, and the one that waits for its attachments.
#[derive(Debug)]
pub(crate) struct Assembly {
    revision: SocketRevision,
    counted_acks: bool,
    // Both fit into what is left of a word, of which every idle connection has one less then.
    max_attachments: u16,
    max_attachment_bytes: u32,
    // Boxed because most connections never see an attachment.
    pending: Option<Box<Pending>>,
}

impl Assembly {
    pub(crate) fn new(revision: SocketRevision, config: &ConnectionConfig) -> Self {
        Self {
            revision,
            counted_acks: config.counted_acks && revision == SocketRevision::V4,
            max_attachments: u16::try_from(config.max_attachments).unwrap_or(u16::MAX),
            max_attachment_bytes: u32::try_from(config.max_attachment_bytes).unwrap_or(u32::MAX),
            pending: None,
        }
    }

    pub(crate) fn revision(&self) -> SocketRevision {
        self.revision
    }

    /// Whether the peer was seen acknowledging in the form of revision 3, or is to get it in any case.
    pub(crate) fn has_counted_acks(&self) -> bool {
        self.counted_acks
    }

    /// Whether attachments are owed.
    pub(crate) const fn is_unfinished(&self) -> bool {
        self.pending.is_some()
    }

    /// Finds the parts of the next packet, which must not come while attachments are owed.
    #[inline]
    pub(crate) fn decode<'a>(&self, text: &'a str) -> Result<RawPacket<'a>, Violation> {
        if let Some(pending) = &self.pending {
            return Err(Violation::TextDuringAttachments {
                owed: pending.owed(),
            });
        }
        Ok(decode(text, self.revision, self.max_attachments.into())?)
    }

    /// The parts of a packet that a parser has read. Its attachments are to be handed over one by one.
    pub(crate) fn parts_of<'a>(&self, packet: &'a Packet<'_>) -> Result<RawPacket<'a>, Violation> {
        Ok(packet.parts(self.revision, self.max_attachments.into())?)
    }

    /// Delivers an event to `key`, or keeps it until its attachments have come. If it is for nobody they are taken
    /// all the same.
    #[inline]
    pub(crate) fn event<'a, D: Delivery<'a>>(
        &mut self,
        packet: &RawPacket<'a>,
        (name, args): (Cow<'a, str>, RawArgs<'a>),
        key: Option<NamespaceKey>,
    ) -> Result<Option<D>, Violation> {
        let ack_id = packet.ack_id;
        if packet.attachments > 0 {
            check_placeholders(&args, packet.attachments)?;
            let target = key.map(|key| Target::event(key, name.into_owned(), ack_id, args));
            self.pending = Some(Pending::new(packet.attachments, target));
            return Ok(None);
        }
        Ok(key.map(|key| D::event(key, name, IncomingArgs::Borrowed(args), ack_id)))
    }

    /// The same for an acknowledgement. Without an id nobody waits for it.
    #[inline]
    pub(crate) fn ack<'a, D: Delivery<'a>>(
        &mut self,
        packet: &RawPacket<'a>,
        args: RawArgs<'a>,
        key: Option<NamespaceKey>,
    ) -> Result<Option<D>, Violation> {
        self.counted_acks |= packet.counted;
        let receiver = key.zip(packet.ack_id);
        if packet.attachments > 0 {
            check_placeholders(&args, packet.attachments)?;
            let target = receiver.map(|(key, id)| Target::ack(key, id, args));
            self.pending = Some(Pending::new(packet.attachments, target));
            return Ok(None);
        }
        Ok(receiver.map(|(key, id)| D::ack(key, id, IncomingArgs::Borrowed(args))))
    }

    /// Takes the next attachment. The last one completes the packet; `is_wanted` is asked whether the namespace that
    /// it is for still has a use for it.
    pub(crate) fn attach<D: Delivery<'static>>(
        &mut self,
        data: Bytes,
        is_wanted: impl FnOnce(NamespaceKey) -> bool,
    ) -> Result<Option<D>, Violation> {
        let pending = self.pending.as_mut().ok_or(Violation::UnexpectedBinary)?;
        let max = self.max_attachment_bytes as usize;
        if !pending.push(data, max) {
            return Err(Violation::AttachmentsTooLarge { max });
        }
        if pending.owed() > 0 {
            return Ok(None);
        }
        Ok(self
            .pending
            .take()
            .and_then(|pending| pending.finish(is_wanted)))
    }
}

/// Every placeholder of a packet must stand for one of its attachments and no other one for the same, or the packet makes
/// no sense.
fn check_placeholders(args: &RawArgs<'_>, attachments: usize) -> Result<(), DecodeError> {
    match placeholder::find(args.as_json(), attachments) {
        Ok(_) => Ok(()),
        Err(PlaceholderError::Missing) => Err(DecodeError::Placeholder { attachments }),
        Err(PlaceholderError::Shared { num }) => Err(DecodeError::SharedAttachment { num }),
        Err(PlaceholderError::TooDeep) => Err(DecodeError::TooDeep),
    }
}
