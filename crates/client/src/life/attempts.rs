//! When a session is opened.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use crate::Reconnection;

/// What a client does about its session: open one, wait for longer and longer before it tries again, rest.
///
/// Whoever drives it asks for the [next](Self::next) step, takes it, and says what has become of it.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    phase: Phase,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// No socket wants to be connected, and nobody asks for the next step.
    #[default]
    Resting,
    /// An attempt can be made at once: it is a first one.
    Due,
    /// An attempt is under way.
    Opening,
    Open,
    /// The session was lost, or could not be had: the next attempt has to wait.
    Lost,
    /// For ever if it is a time that the clock does not reach.
    Waiting(Option<Instant>),
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Next {
    /// Nothing, until somebody [begins](Attempts::begin) anew.
    Rest,
    /// Open a session: the attempt of this number, counted from 1, to bring one back, or a first one if it is 0.
    Open { attempt: u32 },
    /// Tell that the next attempt is made after this delay.
    Schedule(Duration),
    /// Wait until then, or until there is [nothing to wait for](Attempts::is_under_way).
    Wait(Option<Instant>),
}

/// What an attempt that has failed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The number of the attempt, as in [`Next::Open`].
    pub(crate) attempt: u32,
    /// There will be another one, unless nobody wants it.
    pub(crate) will_retry: bool,
}

impl Attempts {
    /// A socket wants to be connected; whether somebody has to begin to ask what is [next](Self::next).
    pub(crate) fn begin(&mut self) -> bool {
        let rested = self.phase == Phase::Resting;
        if rested {
            self.phase = Phase::Due;
        }
        rested
    }

    pub(crate) fn is_resting(&self) -> bool {
        self.phase == Phase::Resting
    }

    /// Whether there is an attempt, or a time to wait before the next one.
    pub(crate) const fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Opening | Phase::Waiting(_))
    }

    /// Whether the next attempt has to wait.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Lost | Phase::Waiting(_))
    }

    /// What is to be done; `wanted` says whether a socket wants to be connected, `random` is uniform in `0.0..1.0`.
    pub(crate) fn next(
        &mut self,
        wanted: bool,
        reconnection: Option<&Reconnection>,
        now: Instant,
        random: f64,
    ) -> Next {
        match self.phase {
            _ if !wanted => {
                *self = Self::default();
                return Next::Rest;
            }
            Phase::Lost => {
                if let Some(reconnection) = reconnection {
                    let delay = self.backoff.next(reconnection, random);
                    self.phase = Phase::Waiting(now.checked_add(delay));
                    return Next::Schedule(delay);
                }
            }
            Phase::Waiting(until) if until.is_none_or(|until| now < until) => {
                return Next::Wait(until);
            }
            _ => {}
        }
        self.phase = Phase::Opening;
        let attempt = self.backoff.attempts();
        Next::Open { attempt }
    }

    /// A session is open. Gives the number of the attempt that has brought it back.
    pub(crate) const fn handle_opened(&mut self) -> u32 {
        self.phase = Phase::Open;
        let attempt = self.backoff.attempts();
        self.backoff.reset();
        attempt
    }

    /// The attempt has failed, with something that another one may mend or not.
    pub(crate) fn handle_failure(
        &mut self,
        is_retryable: bool,
        reconnection: Option<&Reconnection>,
    ) -> Failure {
        let goes_on = |reconnection| self.backoff.goes_on(reconnection);
        let failure = Failure {
            attempt: self.backoff.attempts(),
            will_retry: is_retryable && reconnection.is_some_and(goes_on),
        };
        // Whoever changed their mind while it failed begins anew in any case.
        if self.phase == Phase::Opening {
            self.phase = Phase::Lost;
            if !failure.will_retry {
                self.begin_anew();
            }
        }
        failure
    }

    /// The session is over. If it was this side that wanted it so, whoever wants a new one need not wait.
    pub(crate) const fn handle_ended(&mut self, wanted_so: bool) {
        self.phase = match wanted_so {
            true => Phase::Due,
            false => Phase::Lost,
        };
    }

    /// There was a moment in which no socket wanted to be connected. Whoever wants to be from then on begins anew; a
    /// session that is open is for its own driver to see to.
    pub(crate) fn handle_lapse(&mut self) {
        if !matches!(self.phase, Phase::Resting | Phase::Open) {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.phase = Phase::Due;
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(1);

    /// The machine after a first attempt has begun.
    fn opening() -> (Attempts, Instant) {
        let mut attempts = Attempts::default();
        assert!(attempts.begin() && !attempts.begin());
        let now = Instant::now();
        assert_eq!(next(&mut attempts, now), Next::Open { attempt: 0 });
        (attempts, now)
    }

    fn config() -> Reconnection {
        Reconnection::default().randomization(0.0)
    }

    fn next(attempts: &mut Attempts, now: Instant) -> Next {
        attempts.next(true, Some(&config()), now, 0.5)
    }

    #[test]
    fn delay_is_told_once_and_waited_for() {
        let (mut attempts, now) = opening();
        let failure = attempts.handle_failure(true, Some(&config()));
        assert_eq!((failure.attempt, failure.will_retry), (0, true));
        assert_eq!(next(&mut attempts, now), Next::Schedule(LATER));
        let until = now + LATER;
        for _ in 0..2 {
            assert_eq!(next(&mut attempts, now), Next::Wait(Some(until)));
            assert!(attempts.is_under_way());
        }
        assert_eq!(next(&mut attempts, until), Next::Open { attempt: 1 });
        assert_eq!(attempts.handle_opened(), 1);
        attempts.handle_ended(false);
        assert_eq!(next(&mut attempts, until), Next::Schedule(LATER));
    }

    #[test]
    fn lapse_begins_anew_whatever_is_under_way() {
        let (mut attempts, now) = opening();
        attempts.handle_failure(true, Some(&config()));
        for waits in [false, true, false] {
            next(&mut attempts, now);
            if waits {
                next(&mut attempts, now);
            }
            attempts.handle_lapse();
            assert!(!attempts.is_under_way() && !attempts.is_resting());
            assert_eq!(next(&mut attempts, now), Next::Open { attempt: 0 });
            attempts.handle_failure(true, Some(&config()));
        }
    }

    #[test]
    fn failure_that_is_told_after_a_lapse_delays_nobody() {
        let (mut attempts, now) = opening();
        attempts.handle_lapse();
        attempts.handle_failure(true, Some(&config()));
        assert_eq!(next(&mut attempts, now), Next::Open { attempt: 0 });
    }

    #[test]
    fn session_that_this_side_has_closed_delays_nobody() {
        let (mut attempts, now) = opening();
        attempts.handle_opened();
        attempts.handle_lapse();
        attempts.handle_ended(true);
        assert_eq!(next(&mut attempts, now), Next::Open { attempt: 0 });
    }

    #[test]
    fn who_wants_another_attempt_though_there_are_no_more_begins_anew() {
        for (retryable, reconnection) in [(false, Some(config())), (true, None)] {
            let (mut attempts, now) = opening();
            let failure = attempts.handle_failure(retryable, reconnection.as_ref());
            assert!(!failure.will_retry);
            assert_eq!(next(&mut attempts, now), Next::Open { attempt: 0 });
        }
        let (mut attempts, now) = opening();
        attempts.handle_opened();
        attempts.handle_ended(false);
        let next = attempts.next(true, None, now, 0.5);
        assert_eq!(next, Next::Open { attempt: 0 });
    }

    #[test]
    fn time_that_the_clock_does_not_reach_is_waited_for() {
        let (mut attempts, now) = opening();
        let config = config().delay(Duration::MAX).delay_max(Duration::MAX);
        attempts.handle_failure(true, Some(&config));
        let next = [(); 2].map(|()| attempts.next(true, Some(&config), now, 0.5));
        assert_eq!(next, [Next::Schedule(Duration::MAX), Next::Wait(None)]);
    }

    #[test]
    fn nobody_is_there_to_ask_once_nobody_wants_anything() {
        let (mut attempts, now) = opening();
        attempts.handle_failure(true, Some(&config()));
        assert_eq!(attempts.next(false, None, now, 0.5), Next::Rest);
        assert!(attempts.is_resting() && attempts.begin());
    }
}
