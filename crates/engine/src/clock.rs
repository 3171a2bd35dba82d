//! The one clock of a session, and of what begins sessions.

use std::time::Instant;

/// The time, on the clock that the runtime's timers follow.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
