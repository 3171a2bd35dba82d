//! The time.

use std::time::Instant;

/// What the clock says that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
