//! What tells the two ends of a session apart.

use std::time::Duration;

use crate::handle::SessionHandle;
use crate::limits::SessionLimits;

/// The end at which a driver runs its session, as far as the driver needs to know it.
pub trait Side: Send + 'static {
    /// Whether the peer is heard only while there is room for what it is answered. At a server it is: each packet may be
    /// answered, and whoever does not take the answers need not ask any more. A client reads on all the same: if both
    /// ends waited for the other to read, neither would.
    const WAITS_FOR_ROOM: bool;

    /// What the session may take.
    fn limits(&self) -> &SessionLimits;

    /// How much later than planned a timer may fire before the peer is excused for it.
    fn slack(&self) -> Duration;

    /// The session is over. May be called more than once.
    fn forget(&self, session: &SessionHandle);
}
