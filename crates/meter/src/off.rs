//! The same without the feature: nothing.

use std::time::Instant;

use crate::Recovery;

/// Looks for a recorder.
pub const fn attach() {}

/// Events have come from peers.
#[inline(always)]
pub const fn events_received(_count: usize) {}

/// Events were sent to peers.
#[inline(always)]
pub const fn events_sent(_count: usize) {}

/// Bytes have come from the peer of a session, if that is a server's.
#[inline(always)]
pub fn received(_bytes: usize, _at_server: impl FnOnce() -> bool) {}

/// Bytes were written to a peer.
#[inline(always)]
pub const fn sent(_bytes: usize) {}

/// So many have not acknowledged in time.
pub const fn acks_timed_out(_count: usize) {}

/// Somebody does not get a session.
pub const fn refused(_reason: &'static str) {}

/// A socket was kept, or is back, or will not come back.
pub const fn recovery(_what: Recovery) {}

/// When a handler was called.
#[derive(Clone, Copy, Debug)]
pub struct Moment;

impl Moment {
    /// That of a handler which is not measured.
    pub const NONE: Self = Self;
}

/// The time, if it is wanted.
#[inline(always)]
pub fn moment(_now: impl FnOnce() -> Instant) -> Moment {
    Moment
}

/// A handler is done that was called at this moment.
#[inline(always)]
pub fn handled(_since: Moment, _now: impl FnOnce() -> Instant) {}

/// A share of a gauge.
#[derive(Debug, Default)]
pub struct Tally<const GAUGE: usize>;

impl<const GAUGE: usize> Tally<GAUGE> {
    /// A share of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// No share, whatever it is set to.
    #[must_use]
    pub const fn uncounted() -> Self {
        Self
    }

    /// Whether it has a share.
    #[inline(always)]
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        false
    }

    /// The share is so much from now on.
    #[inline(always)]
    pub const fn set(&mut self, _share: usize) {}
}

/// A session that is open.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// A session was opened; `None` if nobody counts.
    #[inline(always)]
    #[must_use]
    pub const fn open(_transport: &'static str, _revision: &'static str) -> Option<Self> {
        None
    }

    /// Another transport carries it from now on.
    pub const fn upgraded(&mut self, _to: &'static str) {}

    /// So many of its sockets are connected.
    pub const fn sockets(&mut self, _count: usize) {}

    /// It was closed.
    pub const fn closed(&mut self, _reason: &'static str) {}
}
