//! What tells the two ends of a session apart.

use std::fmt;
use std::time::Duration;

use sockeye_engine_proto::Limits;

use crate::handle::SessionHandle;

/// The end at which a driver runs its session, as far as the driver needs to know it.
pub(crate) trait Side: Send + 'static {
    /// Bounds on what the peer may send at once.
    fn limits(&self) -> &Limits;

    /// How many bytes may wait before the peer is not read from any more.
    fn outbox_limit(&self) -> usize;

    /// How long the last words of a session, and the peer's, may take.
    fn linger(&self) -> Duration;

    /// How long a peer is excused from its heartbeat while this end does not read.
    fn stall_timeout(&self) -> Duration;

    /// How much later than planned a timer may fire before the peer is excused for it.
    fn slack(&self) -> Duration;

    /// Takes note of why the session is about to end. Servers are not interested.
    fn note(&mut self, cause: fmt::Arguments<'_>) {
        let _ = cause;
    }

    /// The first cause that was noted.
    fn noted(&self) -> Option<&str> {
        None
    }

    /// The session is over. May be called more than once.
    fn forget(&self, session: &SessionHandle);
}
