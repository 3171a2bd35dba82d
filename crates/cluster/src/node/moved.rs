//! Rooms that sockets of other servers were put into a moment ago.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::clock::after;
use crate::sync::{AtomicBool, Mutex};

/// Where each server subscribes to the rooms that have members on it, one that is told to put a socket into a new room
/// subscribes only then. What is emitted to the room right behind that would go by, so it takes the way by which all servers
/// hear until they have had the time.
#[derive(Debug)]
pub(super) struct Moved {
    time: Duration,
    /// There may be some, so that whoever broadcasts and has moved nobody takes no lock.
    is_any: AtomicBool,
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    until: HashMap<Arc<str>, Instant, RandomState>,
    /// There were too many; until then it may be any room.
    all_until: Option<Instant>,
    /// Behind this, it is none.
    last: Option<Instant>,
}

impl Moved {
    /// None yet. A message waits for the engine for so long at most.
    pub(super) fn new(age: Duration) -> Self {
        Self {
            time: age.min(MAX_AGE) + SUBSCRIBING,
            is_any: AtomicBool::new(false),
            rooms: Mutex::default(),
        }
    }

    /// Sockets are put into these; to be said before the others are told so.
    pub(super) fn insert(&self, names: &[Arc<str>], now: Instant) {
        let until = after(now, self.time);
        let mut rooms = self.rooms.lock();
        for name in names {
            if rooms.until.len() >= MAX_ROOMS && !rooms.until.contains_key(name) {
                rooms.until.retain(|_, until| *until > now);
            }
            if rooms.until.len() >= MAX_ROOMS && !rooms.until.contains_key(name) {
                // None of those that are forgotten has more time.
                rooms.until.clear();
                rooms.all_until = Some(until);
            }
            rooms.until.insert(Arc::clone(name), until);
        }
        if !names.is_empty() {
            rooms.last = Some(until);
            self.is_any.store(true, Ordering::Release);
        }
    }

    /// Whether somebody may not have subscribed to this room yet who has been told to put sockets into it.
    pub(super) fn contains(&self, room: &str, now: impl FnOnce() -> Instant) -> bool {
        if !self.is_any.load(Ordering::Acquire) {
            return false;
        }
        let now = now();
        let mut rooms = self.rooms.lock();
        if rooms.last.is_none_or(|last| last <= now) {
            *rooms = Rooms::default();
            self.is_any.store(false, Ordering::Release);
            return false;
        }
        let is_over = |until: &Instant| *until <= now;
        !rooms.all_until.as_ref().is_none_or(is_over) || !rooms.until.get(room).is_none_or(is_over)
    }
}

/// How long another server needs to hear of its new members and to subscribe.
const SUBSCRIBING: Duration = Duration::from_secs(5);

/// Messages that wait longer for the engine are not waited for.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How many rooms are kept apart.
const MAX_ROOMS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn names(names: impl IntoIterator<Item = usize>) -> Vec<Arc<str>> {
        names
            .into_iter()
            .map(|name| name.to_string().into())
            .collect()
    }

    #[test]
    fn rooms_are_known_until_the_others_have_subscribed() {
        let (moved, start) = (Moved::new(AGE), Instant::now());
        let has =
            |room: &str, seconds| moved.contains(room, || start + Duration::from_secs(seconds));
        assert!(!has("1", 0));
        moved.insert(&names([1, 2]), start);
        moved.insert(&names([2, 3]), start + Duration::from_secs(2));
        assert!(has("1", 9) && has("2", 9) && !has("4", 9));
        assert!(!has("1", 10) && has("2", 11) && has("3", 11));
        assert!(!has("2", 12) && !has("3", 12));
        assert!(!moved.is_any.load(Ordering::Acquire), "nothing is kept");
        assert!(moved.rooms.lock().until.is_empty());
    }

    #[test]
    fn too_many_rooms_are_all_rooms() {
        let (moved, start) = (Moved::new(AGE), Instant::now());
        let has =
            |room: &str, seconds| moved.contains(room, || start + Duration::from_secs(seconds));
        moved.insert(&names(0..MAX_ROOMS), start);
        assert!(has("0", 1) && !has("x", 1));
        moved.insert(&names([MAX_ROOMS]), start + Duration::from_secs(1));
        assert!(has("0", 10) && has("x", 10) && has(&MAX_ROOMS.to_string(), 10));
        assert_eq!(moved.rooms.lock().until.len(), 1);
        assert!(!has("0", 11) && !has("x", 11));
    }
}
