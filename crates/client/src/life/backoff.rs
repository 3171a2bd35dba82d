use std::time::Duration;

use crate::Reconnection;

/// How long to wait before the next attempt to connect.
///
/// The delays are those of Socket.IO's clients: they double from attempt to attempt, and a random
/// part keeps the clients of a server that was restarted from coming back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How many delays there were since the last [`reset`](Self::reset).
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether there may be another attempt.
    pub(crate) fn goes_on(&self, config: &Reconnection) -> bool {
        config.attempts.is_none_or(|max| self.attempts < max)
    }

    pub(crate) const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The delay before the next attempt; `random` is uniform in `0.0..1.0`.
    pub(crate) fn next(&mut self, config: &Reconnection, random: f64) -> Duration {
        let doubled = 2_f64.powi(i32::try_from(self.attempts).unwrap_or(i32::MAX));
        let base = config.delay.as_secs_f64() * 1000.0 * doubled;
        self.attempts = self.attempts.saturating_add(1);
        let deviation = (random * config.randomization * base).floor();
        let jittered = match (random * 10.0).floor() % 2.0 {
            0.0 => base - deviation,
            _ => base + deviation,
        };
        let max = config.delay_max.as_secs_f64() * 1000.0;
        let delay = jittered.min(max).max(0.0).trunc() / 1000.0;
        // The longest one there is does not survive the way through a float.
        Duration::try_from_secs_f64(delay).unwrap_or(config.delay_max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(attempts: u32, random: f64) -> u128 {
        let mut backoff = Backoff { attempts };
        backoff.next(&Reconnection::default(), random).as_millis()
    }

    #[test]
    fn delays_double_up_to_the_limit() {
        assert_eq!(
            [0, 1, 2, 3, 40].map(|n| millis(n, 0.0)),
            [1000, 2000, 4000, 5000, 5000]
        );
    }

    #[test]
    fn second_digit_of_the_random_number_says_whether_the_deviation_is_taken_or_added() {
        // Ten times 0.25 is even, ten times 0.35 is odd.
        assert_eq!(millis(0, 0.25), 1000 - 125);
        assert_eq!(millis(0, 0.35), 1000 + 175);
    }

    #[test]
    fn without_randomization_the_delays_are_exact() {
        let config = Reconnection::default().randomization(0.0);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(&config, 0.77), Duration::from_secs(1));
        assert_eq!(backoff.next(&config, 0.13), Duration::from_secs(2));
        backoff.reset();
        assert_eq!(backoff.next(&config, 0.99), Duration::from_secs(1));
    }

    #[test]
    fn longest_delay_there_is_can_be_had() {
        let config = Reconnection::default()
            .delay(Duration::MAX)
            .delay_max(Duration::MAX);
        assert_eq!(Backoff::default().next(&config, 0.0), Duration::MAX);
    }

    proptest! {
        #[test]
        fn delays_stay_in_the_documented_ranges(attempts in 0_u32..2000, random in 0.0..1.0_f64) {
            let (low, high) = match attempts {
                0 => (500, 1500),
                1 => (1000, 3000),
                2 => (2000, 5000),
                _ => (4000, 5000),
            };
            let delay = millis(attempts, random);
            prop_assert!((low..=high).contains(&delay), "{delay}");
        }
    }
}
