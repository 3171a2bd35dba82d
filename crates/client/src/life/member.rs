//! One socket, and what it has to send.

use std::collections::HashSet;

use super::buffer::{Buffer, Full, Waiting};
use super::membership::Membership;
use super::retry::RetryQueue;
use crate::config::BufferLimits;

/// A socket of a client: whether it is in its namespace, and the events that wait for that, or for their
/// acknowledgement.
///
/// Whoever sends and keeps events under one lock with this lets nothing overtake anything.
#[derive(Debug)]
pub(crate) struct Member<S, W> {
    pub(crate) membership: Membership<S, W>,
    buffer: Buffer,
    pub(crate) retry: Option<RetryQueue>,
    next_ack: u64,
    /// The ack ids of events that are being emitted right now, neither sent nor kept yet.
    emitting: Vec<u64>,
}

/// What is next of a socket that the server has let in.
#[derive(Debug)]
pub(crate) enum Flush {
    /// This is to be sent; if it cannot be yet, it is to be [put back](Member::put_back).
    Send(Waiting),
    /// Nothing waits any more: the socket is connected.
    Entered,
    /// It does not want to be any more, which its session finds out by itself.
    Unwanted,
}

/// Why an event is not kept.
#[derive(Debug)]
pub(crate) enum NotKept<S> {
    /// There is no room for it.
    Full,
    /// The socket came to be connected meanwhile, over this session.
    Connected(S, Waiting),
}

/// What is lost with a connection, or left behind by this side.
#[derive(Debug)]
pub(crate) struct Lost {
    /// An event that was sent as often as may be.
    pub(crate) given_up: Option<Waiting>,
    /// Later ids are those of events that are none of the connection's.
    fresh: u64,
    waiting: HashSet<u64>,
}

impl Lost {
    /// Whether the acknowledgement of this id was lost, and is not waited for by an event that is still to be sent.
    pub(crate) fn has(&self, ack_id: u64) -> bool {
        ack_id < self.fresh && !self.waiting.contains(&ack_id)
    }
}

impl<S, W> Member<S, W> {
    /// A new socket; with `retries`, its events are sent until they are acknowledged.
    pub(crate) fn new(retries: Option<u32>) -> Self {
        Self {
            membership: Membership::default(),
            buffer: Buffer::default(),
            retry: retries.map(RetryQueue::new),
            next_ack: 0,
            emitting: Vec::new(),
        }
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len() + self.retry.as_ref().map_or(0, RetryQueue::len)
    }

    /// An id for an acknowledgement. They go on through reconnections: an answer that was meant for an earlier
    /// connection cannot be taken for another's.
    pub(crate) const fn next_ack_id(&mut self) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        id
    }

    /// The same, for an event that is about to be emitted: until it is sent or kept, its acknowledgement cannot have
    /// been lost with a connection.
    pub(crate) fn begin_emit(&mut self) -> u64 {
        let id = self.next_ack_id();
        self.emitting.push(id);
        id
    }

    /// The event with this ack id is sent or kept, or will not be.
    pub(crate) fn end_emit(&mut self, ack_id: Option<u64>) {
        if let Some(id) = ack_id {
            self.emitting.retain(|other| *other != id);
        }
    }

    /// Keeps an event until there is a connection, which is another than one that is gone without the socket having
    /// been told. Gives the events that were dropped for it.
    ///
    /// Events that nobody waits for any more make room first.
    pub(crate) fn keep(
        &mut self,
        event: Waiting,
        limits: &BufferLimits,
        is_gone: impl FnOnce(&S) -> bool,
        is_awaited: impl FnMut(&Waiting) -> bool,
    ) -> Result<Vec<Waiting>, NotKept<S>>
    where
        S: Clone,
    {
        if let Some(session) = self.membership.session()
            && !is_gone(session)
        {
            return Err(NotKept::Connected(session.clone(), event));
        }
        if !self.buffer.has_room(event.size(), limits) {
            self.buffer.retain(is_awaited);
        }
        let ack_id = event.ack_id;
        let dropped = self.buffer.push(event, limits);
        let dropped = dropped.map_err(|Full| NotKept::Full)?;
        self.end_emit(ack_id);
        Ok(dropped)
    }

    /// What is to be sent before the socket is connected over this session.
    pub(crate) fn flush(
        &mut self,
        session: &S,
        mut is_awaited: impl FnMut(&Waiting) -> bool,
    ) -> Flush
    where
        S: Clone,
    {
        if !self.membership.is_joining() {
            return Flush::Unwanted;
        }
        while let Some(event) = self.buffer.pop() {
            if is_awaited(&event) {
                return Flush::Send(event);
            }
        }
        self.membership.enter(session.clone());
        Flush::Entered
    }

    /// The event that came last by [`flush`](Self::flush) could not be sent yet.
    pub(crate) fn put_back(&mut self, event: Waiting) {
        self.buffer.put_back(event);
    }

    /// The connection is over for the socket: what was sent and not acknowledged is lost, but not what waits to be
    /// sent, or to be sent again.
    pub(crate) fn handle_end(&mut self) -> Lost {
        let given_up = self.retry.as_mut().and_then(RetryQueue::handle_failure);
        let retried = self.retry.iter().flat_map(RetryQueue::ack_ids);
        let kept = self.buffer.ack_ids().chain(retried);
        Lost {
            given_up,
            fresh: self.next_ack,
            waiting: kept.chain(self.emitting.iter().copied()).collect(),
        }
    }
}
