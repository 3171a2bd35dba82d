use std::collections::VecDeque;

use bytes::Bytes;
use sockeye_link::packet::Flags;
use sockeye_socket_proto::Args;

use crate::BufferPolicy;
use crate::config::BufferLimits;

/// An event that waits for a connection.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: Box<str>,
    pub(crate) args: Args,
    pub(crate) ack_id: Option<u64>,
    pub(crate) flags: Flags,
}

/// There is no room for an event.
#[derive(Debug)]
pub(crate) struct Full;

/// The events that were emitted while there was no connection, in order.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    events: VecDeque<Waiting>,
    bytes: usize,
}

impl Waiting {
    /// What it counts, in bytes.
    pub(crate) fn size(&self) -> usize {
        let attachments: usize = self.args.attachments().iter().map(Bytes::len).sum();
        self.name.len() + self.args.as_json().len() + attachments
    }
}

impl Buffer {
    /// Keeps an event; gives those that are dropped for it.
    pub(crate) fn push(
        &mut self,
        event: Waiting,
        limits: &BufferLimits,
    ) -> Result<Vec<Waiting>, Full> {
        let size = event.size();
        let mut dropped = Vec::new();
        while !self.has_room(size, limits) {
            match limits.policy {
                BufferPolicy::DropOldest if size <= limits.bytes => match self.pop() {
                    Some(oldest) => dropped.push(oldest),
                    // Nothing may be kept at all.
                    None => return Err(Full),
                },
                _ => return Err(Full),
            }
        }
        self.bytes += size;
        self.events.push_back(event);
        Ok(dropped)
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let event = self.events.pop_front()?;
        self.bytes -= event.size();
        if self.events.is_empty() {
            // A long outage should not cost memory for ever.
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// Puts back what could not be sent after all, in front of the others.
    pub(crate) fn put_back(&mut self, event: Waiting) {
        self.bytes += event.size();
        self.events.push_front(event);
    }

    /// Drops the events that nobody wants to be sent any more.
    pub(crate) fn retain(&mut self, mut is_wanted: impl FnMut(&Waiting) -> bool) {
        let bytes = &mut self.bytes;
        self.events.retain(|event| {
            let keep = is_wanted(event);
            if !keep {
                *bytes -= event.size();
            }
            keep
        });
    }

    /// Whether another event of this size has room.
    pub(crate) fn has_room(&self, size: usize, limits: &BufferLimits) -> bool {
        self.events.len() < limits.events && self.bytes + size <= limits.bytes
    }

    /// The ack ids of the events that are here.
    pub(crate) fn ack_ids(&self) -> impl Iterator<Item = u64> {
        self.events.iter().filter_map(|event| event.ack_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> Waiting {
        Waiting {
            name: name.into(),
            args: Args::empty(),
            ack_id: Some(7),
            flags: Flags::new(),
        }
    }

    fn limits(events: usize, policy: BufferPolicy) -> BufferLimits {
        BufferLimits {
            events,
            bytes: 1000,
            policy,
        }
    }

    fn names(buffer: &mut Buffer) -> String {
        std::iter::from_fn(|| buffer.pop())
            .map(|event| event.name)
            .collect()
    }

    #[test]
    fn full_buffer_refuses() {
        let mut buffer = Buffer::default();
        let limits = limits(2, BufferPolicy::Refuse);
        for name in ["a", "b"] {
            assert!(buffer.push(event(name), &limits).unwrap().is_empty());
        }
        assert!(buffer.push(event("c"), &limits).is_err());
        assert_eq!(names(&mut buffer), "ab");
    }

    #[test]
    fn oldest_events_make_room_if_they_may() {
        let mut buffer = Buffer::default();
        let limits = limits(2, BufferPolicy::DropOldest);
        for name in ["a", "b"] {
            buffer.push(event(name), &limits).unwrap();
        }
        let dropped = buffer.push(event("c"), &limits).unwrap();
        assert_eq!(&*dropped[0].name, "a");
        assert_eq!(names(&mut buffer), "bc");
    }

    #[test]
    fn event_that_is_too_large_by_itself_drops_no_others() {
        let mut buffer = Buffer::default();
        let limits = limits(2, BufferPolicy::DropOldest);
        buffer.push(event("a"), &limits).unwrap();
        assert!(buffer.push(event(&"x".repeat(1001)), &limits).is_err());
        assert_eq!(buffer.len(), 1);
        assert_eq!(buffer.ack_ids().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn bytes_are_counted() {
        let mut buffer = Buffer::default();
        let limits = limits(100, BufferPolicy::Refuse);
        let long = "x".repeat(400);
        buffer.push(event(&long), &limits).unwrap();
        buffer.push(event(&long), &limits).unwrap();
        assert!(buffer.push(event(&long), &limits).is_err());
        let first = buffer.pop().unwrap();
        buffer.push(event(&long), &limits).unwrap();
        buffer.pop().unwrap();
        buffer.put_back(first);
        assert!(buffer.push(event(&long), &limits).is_err());
    }
}
