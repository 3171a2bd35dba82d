//! What tells the two ends of a session apart.

use std::time::Duration;

use crate::handle::SessionHandle;
use crate::limits::SessionLimits;

/// The end at which a driver runs its session, as far as the driver needs to know it.
pub trait Side: Send + 'static {
    /// What the session may take.
    fn limits(&self) -> &SessionLimits;

    /// How much later than planned a timer may fire before the peer is excused for it.
    fn slack(&self) -> Duration;

    /// The session is over. May be called more than once.
    fn forget(&self, session: &SessionHandle);
}
