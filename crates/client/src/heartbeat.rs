//! Whether the machine has slept through the server's heartbeat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When the server's next heartbeat is due, by the clock on the wall: the one that timers follow
/// stands still while the machine sleeps.
///
/// Servers of revision 3 have none: there it is the client that asks, and nothing is ever due here.
///
/// Somebody who emits right after a sleep would otherwise lose the event to a connection that the
/// server has given up long since. If the clock is put forward, this costs a reconnection for
/// nothing.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    /// Milliseconds since 1970; 0 if nothing is due.
    due: AtomicU64,
}

impl Heartbeat {
    pub(crate) fn expect(&self, due: Instant, now: Instant) {
        let left = due.saturating_duration_since(now);
        self.due
            .store(millis(SystemTime::now() + left), Ordering::Relaxed);
    }

    /// The session is over.
    pub(crate) fn forget(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    pub(crate) fn is_overdue(&self) -> bool {
        self.is_overdue_at(SystemTime::now())
    }

    /// As if the machine had slept through it.
    #[cfg(test)]
    pub(crate) fn lapse(&self) {
        self.due.store(1, Ordering::Relaxed);
    }

    fn is_overdue_at(&self, now: SystemTime) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        due != 0 && millis(now) > due.saturating_add(grace)
    }
}

/// How late a timer may be without having slept: it may be about to find that the heartbeat has more
/// time, as bytes have been moving.
const GRACE: Duration = Duration::from_millis(500);

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeat_is_overdue_once_its_time_is_over() {
        let heartbeat = Heartbeat::default();
        assert!(!heartbeat.is_overdue());
        let now = Instant::now();
        heartbeat.expect(now + Duration::from_secs(45), now);
        assert!(!heartbeat.is_overdue());
        assert!(!heartbeat.is_overdue_at(SystemTime::now() + Duration::from_secs(44)));
        assert!(heartbeat.is_overdue_at(SystemTime::now() + Duration::from_secs(46)));
        heartbeat.forget();
        assert!(!heartbeat.is_overdue_at(SystemTime::now() + Duration::from_secs(46)));
    }
}
