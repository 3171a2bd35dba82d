//! Attempts to reach an engine.

use std::fmt::Display;
use std::time::Duration;

use crate::link::Link;

/// Says for a [`Bus`](crate::Bus) how its attempts to connect go, and waits between them.
#[derive(Debug)]
pub struct Attempts<'l> {
    link: &'l Link,
    was_connected: bool,
    /// How many have failed, one after the other.
    failed: u32,
}

impl<'l> Attempts<'l> {
    /// Nothing has been tried yet.
    #[must_use]
    pub const fn new(link: &'l Link) -> Self {
        Self {
            link,
            was_connected: false,
            failed: 0,
        }
    }

    /// The engine is reached, and all is subscribed to. If it was before, it is [again](Link::up_again).
    pub fn connected(&mut self) {
        match self.was_connected {
            true => self.link.up_again(),
            false => self.link.up(),
        }
        (self.was_connected, self.failed) = (true, 0);
    }

    /// The same where it is known from a log that nothing was missed, or where the gap was told already.
    pub fn resumed(&mut self) {
        self.was_connected = false;
        self.connected();
    }

    /// The engine could not be reached, or is lost: [says](Link::degraded) so, and waits before the next attempt.
    pub async fn failed(&mut self, error: &impl Display) {
        self.link.degraded(&error.to_string());
        tokio::time::sleep(Self::pause(self.failed)).await;
        self.failed = self.failed.saturating_add(1);
    }

    /// How long to wait after so many failures before this one: 100 ms after the first, twice as long each time, and 1 s at
    /// most, so that all servers are back soon after their engine.
    #[must_use]
    pub fn pause(failed: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failed);
        MIN_PAUSE.saturating_mul(doubled).min(MAX_PAUSE)
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses = [0, 1, 2, 4, 5, 6, u32::MAX].map(|failed| Attempts::pause(failed).as_millis());
        assert_eq!(pauses, [100, 200, 400, 1000, 1000, 1000, 1000]);
    }
}
