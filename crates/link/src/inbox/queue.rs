//! Events that cannot be dispatched yet.

use std::collections::VecDeque;

use bytes::Bytes;
use sockeye_socket_proto::{Args, NamespaceKey};

use super::{EventLimits, InboxLimits};

/// An event that has left the read buffer.
pub(super) struct QueuedEvent<S> {
    pub(super) key: NamespaceKey,
    /// The socket that it is for, if this has left since.
    pub(super) gone: Option<S>,
    pub(super) name: String,
    pub(super) args: Args,
    pub(super) ack_id: Option<u64>,
}

/// Events in the order in which they came.
pub(super) struct EventQueue<S> {
    events: VecDeque<QueuedEvent<S>>,
    bytes: usize,
}

impl<S> Default for EventQueue<S> {
    fn default() -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<S> QueuedEvent<S> {
    fn size(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(Bytes::len).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }
}

impl<S> EventQueue<S> {
    pub(super) fn push(&mut self, event: QueuedEvent<S>) {
        self.bytes += event.size();
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<QueuedEvent<S>> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        Some(event)
    }

    /// Takes the events of one namespace out.
    pub(super) fn take_of(&mut self, key: NamespaceKey) -> Self {
        self.take_if(|event| event.key == key)
    }

    /// Drops all events but those of sockets that have left.
    pub(super) fn drop_unkept(&mut self) {
        self.take_if(|event| event.gone.is_none());
    }

    fn take_if(&mut self, is_meant: impl Fn(&QueuedEvent<S>) -> bool) -> Self {
        let mut taken = Self::default();
        for event in std::mem::take(self).events {
            if is_meant(&event) {
                taken.push(event);
            } else {
                self.push(event);
            }
        }
        taken
    }

    /// The events of the socket that is in under this key.
    pub(super) fn of(&mut self, key: NamespaceKey) -> impl Iterator<Item = &mut QueuedEvent<S>> {
        self.events.iter_mut().filter(move |event| event.key == key)
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

    /// Whether another event may be held until its socket is connected. They are counted in bytes alone: how many there
    /// are depends on how long the socket was away.
    pub(super) fn may_hold(&self, limits: &InboxLimits) -> bool {
        let overhead = self.events.len().saturating_mul(OVERHEAD);
        self.bytes.saturating_add(overhead) < limits.max_held_bytes
    }

    /// Whether another event may be queued, if so many bytes are held by others.
    pub(super) fn has_room(&self, limits: &EventLimits, held: usize) -> bool {
        limits.has_room(self.events.len(), self.bytes.saturating_add(held))
    }
}

/// What an event that is held takes beside its name and arguments: its place here, and the allocations of both. It is
/// what servers count for it in their logs, so that all that one of them keeps can be held in as many bytes.
const OVERHEAD: usize = 256;
