//! The times of a session.

use std::time::{Duration, Instant};

/// The times that rule a session.
///
/// All of them are kept to the millisecond and to 49 days at most.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Time between two heartbeats. Default 25 s.
    pub ping_interval: Duration,
    /// How long a peer may take to answer a heartbeat before it counts as gone. Default 20 s.
    ///
    /// It may take longer while [bytes move](crate::Session::extend) between the two ends.
    pub ping_timeout: Duration,
    /// How long an upgrade may take from the new transport's opening to the commit. Default 10 s.
    pub upgrade_timeout: Duration,
    /// How long a closed polling session waits for a GET that takes its last packets, and a client's for an upgrade to
    /// finish. Default 30 s.
    pub close_timeout: Duration,
}

impl SessionConfig {
    /// Sets [`ping_interval`](Self::ping_interval).
    #[must_use]
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// Sets [`ping_timeout`](Self::ping_timeout).
    #[must_use]
    pub const fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.ping_timeout = timeout;
        self
    }

    /// Sets [`upgrade_timeout`](Self::upgrade_timeout).
    #[must_use]
    pub const fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.upgrade_timeout = timeout;
        self
    }

    /// Sets [`close_timeout`](Self::close_timeout).
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
        }
    }
}

/// A duration in a quarter of the space: there is one session for each connection, and each keeps four of these. The
/// bound also keeps what a server announces from overflowing the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Millis(u32);

impl Millis {
    /// The time this long after `now`.
    pub(super) fn after(self, now: Instant) -> Instant {
        now + self.duration()
    }

    pub(super) fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }
}
