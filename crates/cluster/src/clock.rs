//! The time.

use std::time::{Duration, Instant};

/// What the clock says that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// When so much time has passed, which may be as much as never.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now + time.min(NEVER)
}

/// Longer than any server runs, and short enough that times can be added up.
pub(crate) const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
