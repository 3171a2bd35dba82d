//! How long an engine may say nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sync::{Mutex, MutexGuard};

/// How long an engine may say nothing on a connection, for a [`Bus`](crate::Bus): what it was asked for and has not answered,
/// and when it said something last.
///
/// Not how long one answer takes is what counts: it may wait behind much else, and the network may be slow. For each 64 KiB
/// that are on their way, a second is added.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When something came last, or something was asked for while nothing else was.
    moved: Instant,
    unanswered: usize,
    /// Bytes that are on their way to the engine, or have got there and are not answered.
    bytes: usize,
}

/// Something that an engine was asked for. Dropped, it is answered, or not waited for any more.
#[derive(Debug)]
pub struct Asked {
    patience: Arc<Patience>,
    bytes: usize,
}

impl Patience {
    /// For a connection that is about to be made. It is so long if nothing is on its way: 100 ms at least.
    #[must_use]
    pub fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            limit: Self::bounded(limit),
            state: Mutex::new(State {
                moved: Instant::now(),
                unanswered: 0,
                bytes: 0,
            }),
        })
    }

    /// So long if it can be: 100 ms at least, and a year at most.
    #[must_use]
    pub fn bounded(limit: Duration) -> Duration {
        limit.clamp(SHORTEST, LONGEST)
    }

    /// How long an answer may take behind which so many bytes are on their way, if it may take so long without them.
    #[must_use]
    pub fn behind(bytes: usize, limit: Duration) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        limit + Duration::from_secs(1) * bytes / SLOWEST
    }

    /// The engine is asked for something, in so many bytes.
    #[must_use]
    pub fn ask(self: &Arc<Self>, bytes: usize) -> Asked {
        let mut state = self.state();
        if state.unanswered == 0 {
            state.moved = Instant::now();
        }
        state.unanswered += 1;
        state.bytes += bytes;
        let patience = Arc::clone(self);
        Asked { patience, bytes }
    }

    /// Something has come from the engine.
    pub fn heard(&self) {
        self.state().moved = Instant::now();
    }

    /// How many bytes are not answered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Waits until it is at an end.
    ///
    /// # Cancel safety
    ///
    /// It can be waited for again.
    pub async fn end(&self) {
        loop {
            let mut left = self.left(Instant::now());
            if left.is_zero() {
                // If this process stood still itself, it has not looked yet at what came meanwhile.
                tokio::time::sleep(GRACE.min(self.limit)).await;
                left = self.left(Instant::now());
                if left.is_zero() {
                    return;
                }
            }
            tokio::time::sleep(left).await;
        }
    }

    /// For how long it lasts if nothing more comes; if nothing is asked for, for how long it would.
    fn left(&self, now: Instant) -> Duration {
        let state = self.state();
        if state.unanswered == 0 {
            return self.limit;
        }
        let until = state.moved + Self::behind(state.bytes, self.limit);
        until.saturating_duration_since(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let mut state = self.patience.state();
        state.unanswered -= 1;
        state.bytes -= self.bytes;
    }
}

/// Bytes a second. What is on its way through a network that is slower than this is not waited for.
const SLOWEST: u32 = 64 * 1024;

/// How long the task that reads has to do so.
const GRACE: Duration = Duration::from_millis(250);

/// Shorter, a machine that has much to do would be taken for a dead engine.
const SHORTEST: Duration = Duration::from_millis(100);

/// Longer, times could not be added up.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{model, spawn};

    const LIMIT: Duration = Duration::from_secs(5);

    #[test]
    fn lasts_again_when_all_is_answered_while_more_is_asked_for() {
        model(3, || {
            let patience = Patience::new(LIMIT);
            let (asked, other) = (patience.ask(7), Arc::clone(&patience));
            let answered = spawn(move || drop(asked));
            let more = spawn(move || {
                let asked = other.ask(5);
                assert!(other.bytes() >= 5);
                other.heard();
                drop(asked);
            });
            answered.join().unwrap();
            more.join().unwrap();
            assert_eq!(patience.bytes(), 0);
            assert_eq!(patience.left(Instant::now() + 10 * LIMIT), LIMIT);
        });
    }

    #[test]
    fn lasts_while_nothing_is_asked_for() {
        let patience = Patience::new(LIMIT);
        let later = Instant::now() + 10 * LIMIT;
        assert_eq!(patience.left(later), LIMIT);
        drop(patience.ask(7));
        assert_eq!(patience.left(later), LIMIT);
        assert_eq!(patience.bytes(), 0);
    }

    #[test]
    fn begins_again_with_what_is_heard() {
        let patience = Patience::new(LIMIT);
        let _asked = patience.ask(0);
        let asked = patience.state().moved;
        assert_eq!(patience.left(asked + LIMIT), Duration::ZERO);
        assert_eq!(patience.left(asked + LIMIT / 5), LIMIT * 4 / 5);
        let _more = patience.ask(0);
        assert_eq!(patience.state().moved, asked, "more is no answer");
        patience.heard();
        assert!(patience.left(Instant::now()) > LIMIT * 4 / 5);
    }

    #[test]
    fn much_takes_its_time() {
        let patience = Patience::new(LIMIT);
        let _asked = patience.ask(256 * 1024);
        let asked = patience.state().moved;
        assert_eq!(patience.left(asked), LIMIT + Duration::from_secs(4));
        let _much = patience.ask(usize::MAX / 2);
        assert!(patience.left(asked) < Duration::from_secs(24 * 3600));
    }

    #[tokio::test]
    async fn ends_where_nothing_comes() {
        let patience = Patience::new(SHORTEST);
        let _asked = patience.ask(0);
        patience.end().await;
    }
}
