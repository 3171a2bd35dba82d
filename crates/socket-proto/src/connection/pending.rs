//! A packet that waits for its attachments.

use std::sync::Arc;

use bytes::Bytes;

use super::NamespaceKey;
use super::delivery::Delivery;
use crate::args::{Args, IncomingArgs, RawArgs};

/// The attachments that have come so far, and what they are for.
#[derive(Debug)]
pub(crate) struct Pending {
    /// `None` if the packet is for nobody; its attachments must be taken all the same.
    target: Option<Target>,
    owed: usize,
    bytes: usize,
    attachments: Vec<Bytes>,
}

/// What becomes of the packet once it is complete.
#[derive(Debug)]
pub(crate) struct Target {
    key: NamespaceKey,
    kind: Kind,
    list: Arc<str>,
    len: usize,
}

#[derive(Debug)]
enum Kind {
    Event { name: String, ack_id: Option<u64> },
    Ack { id: u64 },
}

impl Target {
    pub(crate) fn event(
        key: NamespaceKey,
        name: String,
        ack_id: Option<u64>,
        args: RawArgs<'_>,
    ) -> Self {
        Self::new(key, Kind::Event { name, ack_id }, args)
    }

    pub(crate) fn ack(key: NamespaceKey, id: u64, args: RawArgs<'_>) -> Self {
        Self::new(key, Kind::Ack { id }, args)
    }

    fn new(key: NamespaceKey, kind: Kind, args: RawArgs<'_>) -> Self {
        Self {
            key,
            kind,
            list: args.as_json().into(),
            len: args.len(),
        }
    }
}

impl Pending {
    pub(crate) fn new(owed: usize, target: Option<Target>) -> Box<Self> {
        Box::new(Self {
            target,
            owed,
            bytes: 0,
            // The count is the peer's claim, so it earns only a small reservation.
            attachments: Vec::with_capacity(owed.min(16)),
        })
    }

    /// How many attachments are still to come.
    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    /// Takes the next attachment; `false` if all of them together exceed `max` bytes.
    pub(crate) fn push(&mut self, data: Bytes, max: usize) -> bool {
        self.owed = self.owed.saturating_sub(1);
        self.bytes = self.bytes.saturating_add(data.len());
        if self.target.is_some() {
            self.attachments.push(data);
        }
        self.bytes <= max
    }

    /// The complete packet, if it is for somebody and still `is_wanted` there.
    pub(crate) fn finish<D: Delivery<'static>>(
        self,
        is_wanted: impl FnOnce(NamespaceKey) -> bool,
    ) -> Option<D> {
        let Target {
            key,
            kind,
            list,
            len,
        } = self.target.filter(|target| is_wanted(target.key))?;
        let args = IncomingArgs::Owned(Args::received(list, len, self.attachments));
        Some(match kind {
            Kind::Event { name, ack_id } => D::event(key, name.into(), args, ack_id),
            Kind::Ack { id } => D::ack(key, id, args),
        })
    }
}
