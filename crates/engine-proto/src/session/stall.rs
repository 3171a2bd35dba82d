//! For drivers that do not always read.

use std::time::Instant;

use super::Session;

impl Session {
    /// The driver has not been reading, so that the peer's heartbeat could not be heard: the peer
    /// gets its time once more from `now` on.
    ///
    /// A driver that stops reading because its application is busy calls this before
    /// [`handle_timeout`](Self::handle_timeout).
    pub fn excuse(&mut self, now: Instant) {
        if self.is_open() {
            self.heartbeat.excuse(now);
            self.settle();
        }
    }

    /// Whether [`poll_output`](Self::poll_output) has something to say.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }
}
