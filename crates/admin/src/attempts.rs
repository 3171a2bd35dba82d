//! Who has offered wrong passwords lately.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sockeye_listen::PeerOrigin;
use tokio::time::Instant;

/// The addresses from which passwords are offered.
///
/// Each has few checked at a time, so that none takes all the places there are, and after some that were wrong it has to
/// wait, longer after each.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Table>);

#[derive(Default)]
struct Table {
    rows: HashMap<PeerOrigin, Row, foldhash::fast::RandomState>,
    /// When somebody was last said to guess.
    warned: Option<Instant>,
}

struct Row {
    /// How many are being checked, or wait for that.
    checks: usize,
    failures: u32,
    /// When the last one failed, or was begun.
    latest: Instant,
}

/// A password that is checked, or waits for that. It counts until it is dropped.
pub(crate) struct Attempt {
    attempts: Arc<Attempts>,
    origin: PeerOrigin,
}

/// Passwords of one address at a time: whoever reloads the page must not wait for the one before.
const CHECKS: usize = 2;

/// Wrong passwords of one address after which it does not have to wait. People mistype.
const FREE: u32 = 3;

/// The wait after the next one. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait: somebody may share the address with the one who guesses.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// When an address is new again.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// Addresses that are remembered.
const MAX_ROWS: usize = 4096;

/// How often the log says that somebody guesses.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

impl Attempts {
    /// Counts a password that is to be checked; `None` if it is not to be, as its address has to wait.
    pub(crate) fn begin(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        now: Instant,
    ) -> Option<Attempt> {
        let origin = origin_of(address);
        let mut table = self.0.lock();
        if !table.rows.contains_key(&origin) {
            table.make_room(now);
        }
        let row = table.rows.entry(origin).or_insert(Row {
            checks: 0,
            failures: 0,
            latest: now,
        });
        row.forget_if_old(now);
        let is_limited = origin != PeerOrigin::Local;
        if is_limited && (row.checks == CHECKS || now < row.latest + row.pause()) {
            return None;
        }
        row.checks += 1;
        if row.failures == 0 {
            row.latest = now;
        }
        Some(Attempt {
            attempts: Arc::clone(self),
            origin,
        })
    }
}

impl Table {
    /// Forgets who is new again, or else the one who has been silent for longest.
    fn make_room(&mut self, now: Instant) {
        if self.rows.len() < MAX_ROWS {
            return;
        }
        self.rows
            .retain(|_, row| row.checks > 0 || !row.is_old(now));
        if self.rows.len() < MAX_ROWS {
            return;
        }
        // Fewer are being checked than there is room for.
        let idle = self.rows.iter().filter(|(_, row)| row.checks == 0);
        let oldest = idle.min_by_key(|(_, row)| row.latest);
        if let Some(oldest) = oldest.map(|(origin, _)| *origin) {
            self.rows.remove(&oldest);
        }
    }

    fn warn(&mut self, origin: PeerOrigin, failures: u32, now: Instant) {
        let recently = |at: Instant| now < at + WARNING_PAUSE;
        if !self.warned.is_some_and(recently) {
            self.warned = Some(now);
            tracing::warn!(%origin, failures, "wrong passwords for the admin UI");
        }
    }
}

impl Row {
    fn is_old(&self, now: Instant) -> bool {
        now >= self.latest + FORGOTTEN_AFTER
    }

    fn forget_if_old(&mut self, now: Instant) {
        if self.is_old(now) {
            self.failures = 0;
        }
    }

    /// How long the address has to wait after the last failure.
    fn pause(&self) -> Duration {
        match self.failures.checked_sub(FREE) {
            None | Some(0) => Duration::ZERO,
            Some(more) => FIRST_PAUSE
                .saturating_mul(1 << (more - 1).min(16))
                .min(MAX_PAUSE),
        }
    }
}

impl Attempt {
    /// What has come of it. With the right password an address is new again.
    pub(crate) fn finish(self, is_right: bool, now: Instant) {
        let mut table = self.attempts.0.lock();
        let Some(row) = table.rows.get_mut(&self.origin) else {
            return;
        };
        if is_right {
            row.failures = 0;
            return;
        }
        row.failures = row.failures.saturating_add(1);
        row.latest = now;
        let failures = row.failures;
        if failures > FREE {
            table.warn(self.origin, failures, now);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut table = self.attempts.0.lock();
        if let Some(row) = table.rows.get_mut(&self.origin) {
            row.checks -= 1;
            if row.checks == 0 && row.failures == 0 {
                table.rows.remove(&self.origin);
            }
        }
    }
}

/// Where a password comes from. A proxy on this machine stands for everybody behind it.
fn origin_of(address: Option<IpAddr>) -> PeerOrigin {
    PeerOrigin::of(address.filter(|address| !address.to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn fail(attempts: &Arc<Attempts>, from: &str, now: Instant) {
        let attempt = attempts.begin(address(from), now);
        attempt.expect("it may").finish(false, now);
    }

    fn may(attempts: &Arc<Attempts>, from: &str, now: Instant) -> bool {
        attempts.begin(address(from), now).is_some()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_address_has_few_passwords_checked_at_a_time() {
        let (attempts, now) = (Arc::default(), Instant::now());
        let first = Attempts::begin(&attempts, address("2001:db8::1"), now);
        let second = attempts.begin(address("2001:db8::2"), now);
        assert!(first.is_some() && second.is_some());
        assert!(!may(&attempts, "2001:db8::3", now));
        assert!(may(&attempts, "2001:db8:0:1::1", now));
        drop(first);
        assert!(may(&attempts, "2001:db8::3", now));
        drop(second);
        assert!(attempts.0.lock().rows.is_empty());
    }

    #[test]
    fn address_of_wrong_passwords_has_to_wait_longer_after_each() {
        let (attempts, mut now) = (Arc::default(), Instant::now());
        for _ in 0..FREE {
            fail(&attempts, "192.0.2.1", now);
        }
        for pause in [0, 1, 2, 4, 8, 16, 32, 60, 60] {
            let due = now + pause * SECOND;
            if pause > 0 {
                assert!(!may(&attempts, "192.0.2.1", due - SECOND / 2), "{pause}");
            }
            assert!(may(&attempts, "192.0.2.2", now));
            now = due;
            fail(&attempts, "::ffff:192.0.2.1", now);
        }
    }

    #[test]
    fn address_is_new_again_after_the_right_password_and_after_a_while() {
        let (attempts, now) = (Arc::default(), Instant::now());
        let forgotten = now + FORGOTTEN_AFTER;
        for _ in 0..=FREE {
            fail(&attempts, "192.0.2.1", now);
        }
        assert!(!may(&attempts, "192.0.2.1", now));
        let right = attempts.begin(address("192.0.2.1"), now + SECOND).unwrap();
        right.finish(true, now + SECOND);
        for _ in 0..=FREE {
            fail(&attempts, "192.0.2.1", now);
        }
        for _ in 0..=FREE {
            fail(&attempts, "192.0.2.1", forgotten);
        }
        assert!(!may(&attempts, "192.0.2.1", forgotten));
    }

    #[test]
    fn those_behind_a_proxy_of_this_machine_do_not_wait_for_each_other() {
        let (attempts, now) = (Arc::default(), Instant::now());
        for local in [address("127.0.0.1"), address("::1"), None] {
            for _ in 0..10 {
                let attempt = Attempts::begin(&attempts, local, now);
                attempt.expect("it may").finish(false, now);
            }
        }
        assert_eq!(attempts.0.lock().rows.len(), 1);
    }

    #[test]
    fn addresses_that_are_remembered_are_bounded() {
        let (attempts, now) = (Arc::default(), Instant::now());
        fail(&attempts, "192.0.2.1", now);
        let busy = attempts.begin(address("192.0.2.1"), now).unwrap();
        fail(&attempts, "192.0.2.2", now);
        let kept = u32::try_from(MAX_ROWS).unwrap() - 1;
        for n in 0..kept {
            let from = Ipv4Addr::from(0x0a00_0000 + n);
            fail(&attempts, &from.to_string(), now + SECOND);
        }
        let table = attempts.0.lock();
        let has = |text: &str| table.rows.contains_key(&origin_of(address(text)));
        assert_eq!(table.rows.len(), MAX_ROWS);
        assert!(has("192.0.2.1") && !has("192.0.2.2") && has("10.0.0.0"));
        drop(table);
        drop(busy);
    }
}
