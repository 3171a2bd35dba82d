//! Events that are sent until they are acknowledged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::buffer::{Full, Waiting};
use crate::config::BufferLimits;

/// The events of a socket with `retries`: one at a time is on its way, in order.
///
/// It knows no socket and no clock; what is to be sent comes out of
/// [`next`](Self::next), and who gave up is told by the caller.
#[derive(Debug)]
pub(crate) struct RetryQueue {
    retries: u32,
    entries: VecDeque<Entry>,
    bytes: usize,
    head: Head,
    /// The head waits for the outbox to have room.
    waits_for_room: bool,
}

/// Whether the first event is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Waits,
    /// Its answer must be there by this time; with `None` it may take for ever.
    OnItsWay(Option<Instant>),
}

#[derive(Debug)]
struct Entry {
    event: Waiting,
    ack_id: u64,
    timeout: Duration,
    tries: u32,
}

impl RetryQueue {
    pub(crate) const fn new(retries: u32) -> Self {
        Self {
            retries,
            entries: VecDeque::new(),
            bytes: 0,
            head: Head::Waits,
            waits_for_room: false,
        }
    }

    /// Appends an event, whose acknowledgement is asked for under this id.
    pub(crate) fn push(
        &mut self,
        event: Waiting,
        ack_id: u64,
        timeout: Duration,
        limits: &BufferLimits,
    ) -> Result<(), Full> {
        let size = event.size();
        if self.entries.len() >= limits.events || self.bytes + size > limits.bytes {
            return Err(Full);
        }
        self.bytes += size;
        self.entries.push_back(Entry {
            event,
            ack_id,
            timeout,
            tries: 0,
        });
        Ok(())
    }

    /// The event that is to be sent now, if none is on its way.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(&Waiting, u64)> {
        if self.head != Head::Waits {
            return None;
        }
        let head = self.entries.front_mut()?;
        head.tries += 1;
        self.head = Head::OnItsWay(now.checked_add(head.timeout));
        Some((&head.event, head.ack_id))
    }

    /// The head could not be written after all, so that it is not on its way, and was not tried.
    pub(crate) fn put_off(&mut self) {
        self.head = Head::Waits;
        if let Some(head) = self.entries.front_mut() {
            head.tries -= 1;
        }
    }

    /// The head has found no room; whether that is new, so that somebody has to look after it.
    pub(crate) const fn wait_for_room(&mut self) -> bool {
        !std::mem::replace(&mut self.waits_for_room, true)
    }

    /// Whether the head waits for the outbox to have room.
    pub(crate) const fn waits_for_room(&self) -> bool {
        self.waits_for_room
    }

    /// There is room; whether the head has waited for it.
    pub(crate) const fn found_room(&mut self) -> bool {
        std::mem::replace(&mut self.waits_for_room, false)
    }

    /// An acknowledgement came; whether it was the head's, so that the next one can go.
    pub(crate) fn handle_ack(&mut self, ack_id: u64) -> bool {
        let is_head = self
            .entries
            .front()
            .is_some_and(|head| head.ack_id == ack_id);
        if is_head {
            self.drop_head();
        }
        is_head
    }

    /// When [`handle_failure`](Self::handle_failure) is due, if there is such a time.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.head {
            Head::OnItsWay(deadline) => deadline,
            Head::Waits => None,
        }
    }

    /// The head was not answered, or the connection was lost while it was on its way. Gives it if
    /// it was given up.
    pub(crate) fn handle_failure(&mut self) -> Option<Waiting> {
        if std::mem::replace(&mut self.head, Head::Waits) == Head::Waits {
            return None;
        }
        if self.entries.front()?.tries <= self.retries {
            return None;
        }
        self.drop_head()
    }

    /// The ack ids of all events here.
    pub(crate) fn ack_ids(&self) -> impl Iterator<Item = u64> {
        self.entries.iter().map(|entry| entry.ack_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes the head out, which need not be sent any more.
    pub(crate) fn drop_head(&mut self) -> Option<Waiting> {
        self.head = Head::Waits;
        let head = self.entries.pop_front()?;
        self.bytes -= head.event.size();
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
        Some(head.event)
    }
}

#[cfg(test)]
mod tests {
    use sockeye_link::packet::Flags;
    use sockeye_socket_proto::Args;

    use super::*;
    use crate::BufferPolicy;

    const LIMITS: BufferLimits = BufferLimits {
        events: 3,
        bytes: 1000,
        policy: BufferPolicy::Refuse,
    };
    const TIMEOUT: Duration = Duration::from_secs(1);

    fn queue(retries: u32, ids: impl IntoIterator<Item = u64>) -> RetryQueue {
        let mut queue = RetryQueue::new(retries);
        for id in ids {
            let event = Waiting {
                name: "e".into(),
                args: Args::empty(),
                ack_id: Some(id),
                flags: Flags::new(),
            };
            queue.push(event, id, TIMEOUT, &LIMITS).unwrap();
        }
        queue
    }

    fn failure(queue: &mut RetryQueue) -> Option<u64> {
        queue.handle_failure().and_then(|event| event.ack_id)
    }

    fn next(queue: &mut RetryQueue, now: Instant) -> Option<u64> {
        queue.next(now).map(|(_, id)| id)
    }

    #[test]
    fn one_event_at_a_time_is_on_its_way() {
        let now = Instant::now();
        let mut queue = queue(1, [4, 5]);
        assert_eq!(next(&mut queue, now), Some(4));
        assert_eq!(queue.deadline(), Some(now + TIMEOUT));
        assert_eq!(next(&mut queue, now), None);
        assert!(!queue.handle_ack(5), "not its turn yet");
        assert!(queue.handle_ack(4));
        assert_eq!(next(&mut queue, now), Some(5));
        assert!(queue.handle_ack(5));
        assert_eq!(
            (next(&mut queue, now), queue.deadline(), queue.len()),
            (None, None, 0)
        );
    }

    #[test]
    fn event_is_sent_once_more_for_each_retry_and_then_given_up() {
        let now = Instant::now();
        let mut queue = queue(2, [4, 5]);
        for _ in 0..2 {
            assert_eq!(next(&mut queue, now), Some(4));
            assert_eq!(failure(&mut queue), None);
        }
        assert_eq!(next(&mut queue, now), Some(4));
        assert_eq!(failure(&mut queue), Some(4));
        assert_eq!(next(&mut queue, now), Some(5));
    }

    #[test]
    fn what_was_not_written_was_not_tried() {
        let now = Instant::now();
        let mut queue = queue(0, [4]);
        for _ in 0..3 {
            assert_eq!(next(&mut queue, now), Some(4));
            queue.put_off();
            assert_eq!((queue.deadline(), failure(&mut queue)), (None, None));
        }
        assert!(queue.wait_for_room() && !queue.wait_for_room());
        assert!(queue.found_room() && !queue.found_room());
        assert!(queue.wait_for_room());
        next(&mut queue, now);
        assert_eq!(failure(&mut queue), Some(4));
    }

    #[test]
    fn nothing_fails_that_is_not_on_its_way() {
        let mut queue = queue(0, [4]);
        assert_eq!(failure(&mut queue), None);
        assert_eq!(queue.ack_ids().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn late_answer_to_an_earlier_try_counts() {
        let now = Instant::now();
        let mut queue = queue(3, [4]);
        next(&mut queue, now);
        queue.handle_failure();
        assert!(queue.handle_ack(4));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn endless_timeout_has_no_deadline() {
        let now = Instant::now();
        let mut queue = queue(0, [4]);
        queue.entries[0].timeout = Duration::MAX;
        next(&mut queue, now);
        assert_eq!(queue.deadline(), None);
    }

    #[test]
    fn queue_is_bounded() {
        let mut queue = queue(0, [1, 2, 3]);
        let event = Waiting {
            name: "e".into(),
            args: Args::empty(),
            ack_id: None,
            flags: Flags::new(),
        };
        let refused = queue.push(event, 9, TIMEOUT, &LIMITS);
        assert!(matches!(refused, Err(Full)));
    }
}
