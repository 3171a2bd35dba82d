//! For drivers that do not always read, and peers whose packets take long.

use std::time::Instant;

use super::{Life, Session};

impl Session {
    /// The driver has not been reading, so that the peer's heartbeat could not be heard: the peer
    /// gets its time once more from `now` on.
    ///
    /// A driver that stops reading because its application is busy calls this before
    /// [`handle_timeout`](Self::handle_timeout).
    pub fn excuse(&mut self, now: Instant) {
        if matches!(self.state, Life::Open) {
            self.heartbeat.excuse(now);
            self.settle();
        }
    }

    /// Bytes have moved between the two ends at this time, in either direction: the peer was there then, however long
    /// a packet takes to come or to go, and may be silent for another ping timeout. Returns whether that gives it more
    /// time than it had.
    ///
    /// A driver need not say so each time: it is enough to do it when [`poll_timeout`](Self::poll_timeout) is due, before
    /// any other input. What counts is what says something about the peer: bytes that were read, if only of a part of a
    /// packet, and bytes that were written after the transport would take no more for a while. A transport's own buffer
    /// takes bytes for a peer that is gone, too.
    pub fn extend(&mut self, moved: Instant) -> bool {
        let extended = matches!(self.state, Life::Open) && self.heartbeat.extend(moved);
        if extended {
            self.settle();
        }
        extended
    }

    /// Whether [`poll_output`](Self::poll_output) has something to say.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }
}
