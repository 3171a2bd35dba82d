//! Sockets that are kept while they are there, for the case that their server ends without a word.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sockeye_adapter::RoomEvent;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval};

/// Which of a namespace's sockets are to be kept next.
#[derive(Debug)]
pub(crate) struct Early {
    /// How long changes are put together.
    pause: Duration,
    /// How often a part of all is kept again.
    period: Duration,
    /// The ids of those that have changed.
    changed: Mutex<HashSet<Arc<str>>>,
    woken: Notify,
    turns: RandomState,
    is_running: AtomicBool,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Those that have changed.
    Changed,
    /// Those whose turn it is.
    Turn(u64),
}

impl Early {
    pub(super) fn new(pause: Duration, max_disconnection: Duration) -> Self {
        Self {
            pause,
            period: (max_disconnection / 2 / TURNS).max(MIN_PERIOD),
            changed: Mutex::default(),
            woken: Notify::new(),
            turns: RandomState::default(),
            is_running: AtomicBool::new(false),
        }
    }

    /// The rooms or the data of a socket have changed. Before one was let in nobody takes out what is put in here, and those who
    /// are refused would stay.
    pub(crate) fn changed(&self, id: &Arc<str>) {
        if self.is_running.load(Ordering::Acquire) && self.changed.lock().insert(Arc::clone(id)) {
            self.woken.notify_one();
        }
    }

    pub(crate) fn room_changed(&self, event: &RoomEvent) {
        if let RoomEvent::Joined { id, .. } | RoomEvent::Left { id, .. } = event {
            self.changed(id);
        }
    }

    pub(crate) fn take_changed(&self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.changed.lock())
    }

    /// When the turns are.
    pub(crate) fn turns(&self) -> Interval {
        tokio::time::interval_at(Instant::now() + self.period, self.period)
    }

    /// Waits until something is due; the turn is the one that comes next.
    pub(crate) async fn due(&self, turns: &mut Interval, turn: u64) -> Due {
        tokio::select! {
            () = self.woken.notified() => {
                tokio::time::sleep(self.pause).await;
                Due::Changed
            }
            _ = turns.tick() => Due::Turn(turn % u64::from(TURNS)),
        }
    }

    /// Whether it is a socket's turn. All have theirs in half the time that they are kept.
    pub(crate) fn is_turn(&self, turn: u64, id: &str) -> bool {
        self.turns.hash_one(id) % u64::from(TURNS) == turn
    }

    /// Says once that there is nobody who waits for what is due. Changes are noted from then on.
    pub(crate) fn begin(&self) -> bool {
        !self.is_running.swap(true, Ordering::AcqRel)
    }
}

/// In how many parts all sockets are kept again, so that not all are at once.
const TURNS: u32 = 64;

/// A period in which there is hardly time to do anything is one in which nothing else is done.
const MIN_PERIOD: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn early() -> Early {
        let early = Early::new(Duration::from_millis(100), Duration::from_secs(120));
        early.changed(&"nobody is let in yet".into());
        assert!(early.take_changed().is_empty());
        assert!(early.begin() && !early.begin());
        early
    }

    #[test]
    fn each_socket_has_its_turn_once() {
        let early = early();
        for id in 0..1000 {
            let id = id.to_string();
            let turns = (0..u64::from(TURNS)).filter(|turn| early.is_turn(*turn, &id));
            assert_eq!(turns.count(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_put_together() {
        let early = early();
        let ids = ["a", "b", "a"].map(Arc::from);
        for id in &ids {
            early.changed(id);
        }
        let (start, mut turns) = (Instant::now(), early.turns());
        assert_eq!(early.due(&mut turns, 0).await, Due::Changed);
        assert_eq!(start.elapsed(), Duration::from_millis(100));
        assert_eq!(early.take_changed().len(), 2);
        assert!(early.take_changed().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_kept_again_in_half_the_time() {
        let early = early();
        let (start, mut turns) = (Instant::now(), early.turns());
        for turn in 0..u64::from(TURNS) {
            early.changed(&"changes do not put it off".into());
            assert_eq!(early.due(&mut turns, turn).await, Due::Changed);
            assert_eq!(early.due(&mut turns, turn).await, Due::Turn(turn));
            early.take_changed();
        }
        assert_eq!(start.elapsed().as_secs(), 60);
        assert_eq!(early.due(&mut turns, u64::from(TURNS)).await, Due::Turn(0));
    }
}
