//! What tells the two ends of a session apart.

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

    /// How much later than planned a timer may fire before this end counts as having slept.
    fn slack(&self) -> Duration;

    /// The session is over. May be called more than once.
    fn forget(&self, session: &SessionHandle);
}
