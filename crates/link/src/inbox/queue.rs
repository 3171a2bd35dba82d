//! Events that cannot be dispatched yet.

use std::collections::VecDeque;

use bytes::Bytes;
use sockeye_socket_proto::{Args, NamespaceKey};

use super::InboxLimits;

/// An event that has left the read buffer.
pub(super) struct QueuedEvent {
    pub(super) key: NamespaceKey,
    pub(super) name: String,
    pub(super) args: Args,
    pub(super) ack_id: Option<u64>,
}

/// Events in the order in which they came.
#[derive(Default)]
pub(super) struct EventQueue {
    events: VecDeque<QueuedEvent>,
    bytes: usize,
}

impl QueuedEvent {
    fn size(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(Bytes::len).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }
}

impl EventQueue {
    pub(super) fn push(&mut self, event: QueuedEvent) {
        self.bytes += event.size();
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<QueuedEvent> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        Some(event)
    }

    /// Takes the events of one namespace out.
    pub(super) fn take_of(&mut self, key: NamespaceKey) -> Self {
        let mut taken = Self::default();
        for event in std::mem::take(self).events {
            if event.key == key {
                taken.push(event);
            } else {
                self.push(event);
            }
        }
        taken
    }

    /// Adds the events of another queue behind those of this one.
    pub(super) fn append(&mut self, mut later: Self) {
        self.bytes += later.bytes;
        self.events.append(&mut later.events);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether another event may be queued, if so many bytes are held by others.
    pub(super) fn has_room(&self, limits: &InboxLimits, held: usize) -> bool {
        let bytes = self.bytes.saturating_add(held);
        self.events.len() < limits.max_queued_events && bytes < limits.max_queued_bytes
    }
}
