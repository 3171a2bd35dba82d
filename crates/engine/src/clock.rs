//! The one clock of this crate.

use std::time::Instant;

/// The time, on the clock that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
