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
pub(crate) struct Moved {
    time: Duration,
    /// There may be some, so that whoever broadcasts and has moved nobody takes no lock.
    is_any: AtomicBool,
    rooms: Mutex<Rooms>,
}

#[derive(Debug, Default)]
struct Rooms {
    until: HashMap<Room, Instant, RandomState>,
    /// There were too many; until then it may be any room.
    all_until: Option<Instant>,
    /// Behind this, it is none.
    last: Option<Instant>,
}

/// A namespace, and a room in it.
type Room = (Arc<str>, Arc<str>);

impl Moved {
    /// None yet. A message waits for the engine for so long at most.
    pub(crate) fn new(age: Duration) -> Self {
        Self {
            time: age.min(MAX_AGE) + SUBSCRIBING,
            is_any: AtomicBool::new(false),
            rooms: Mutex::default(),
        }
    }

    /// Sockets of a namespace are put into these; to be said before the others are told so.
    pub(super) fn insert(&self, namespace: &Arc<str>, names: &[Arc<str>], now: Instant) {
        let until = after(now, self.time);
        let mut rooms = self.rooms.lock();
        for name in names {
            let room = (Arc::clone(namespace), Arc::clone(name));
            if rooms.until.len() >= MAX_ROOMS && !rooms.until.contains_key(&room) {
                rooms.until.retain(|_, until| *until > now);
            }
            if rooms.until.len() >= MAX_ROOMS && !rooms.until.contains_key(&room) {
                // None of those that are forgotten has more time.
                rooms.until.clear();
                rooms.all_until = Some(until);
            }
            rooms.until.insert(room, until);
        }
        if !names.is_empty() {
            rooms.last = Some(until);
            self.is_any.store(true, Ordering::Release);
        }
    }

    /// Whether somebody may not have subscribed to this room yet who has been told to put sockets into it.
    pub(super) fn contains(
        &self,
        namespace: &Arc<str>,
        room: &Arc<str>,
        now: impl FnOnce() -> Instant,
    ) -> bool {
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
        let room = (Arc::clone(namespace), Arc::clone(room));
        !rooms.all_until.as_ref().is_none_or(is_over) || !rooms.until.get(&room).is_none_or(is_over)
    }
}

/// How long another server needs to hear of its new members and to subscribe.
const SUBSCRIBING: Duration = Duration::from_secs(5);

/// Messages that wait longer for the engine are not waited for.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How many rooms are kept apart, of all namespaces.
const MAX_ROOMS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(5);

    fn has(moved: &Moved, room: &str, now: Instant) -> bool {
        assert!(!moved.contains(&"/other".into(), &room.into(), || now));
        moved.contains(&"/".into(), &room.into(), || now)
    }

    fn names(names: impl IntoIterator<Item = usize>) -> Vec<Arc<str>> {
        names
            .into_iter()
            .map(|name| name.to_string().into())
            .collect()
    }

    #[test]
    fn rooms_are_known_until_the_others_have_subscribed() {
        let (moved, start) = (Moved::new(AGE), Instant::now());
        let has = |room: &str, seconds| has(&moved, room, start + Duration::from_secs(seconds));
        assert!(!has("1", 0));
        moved.insert(&"/".into(), &names([1, 2]), start);
        moved.insert(&"/".into(), &names([2, 3]), start + Duration::from_secs(2));
        assert!(has("1", 9) && has("2", 9) && !has("4", 9));
        assert!(!has("1", 10) && has("2", 11) && has("3", 11));
        assert!(!has("2", 12) && !has("3", 12));
        assert!(!moved.is_any.load(Ordering::Acquire), "nothing is kept");
        assert!(moved.rooms.lock().until.is_empty());
    }

    #[test]
    fn too_many_rooms_are_all_rooms() {
        let (moved, start) = (Moved::new(AGE), Instant::now());
        let has = |room: &str, seconds| {
            moved.contains(&"/".into(), &room.into(), || {
                start + Duration::from_secs(seconds)
            })
        };
        moved.insert(&"/".into(), &names(0..MAX_ROOMS), start);
        assert!(has("0", 1) && !has("x", 1));
        moved.insert(
            &"/".into(),
            &names([MAX_ROOMS]),
            start + Duration::from_secs(1),
        );
        assert!(has("0", 10) && has("x", 10) && has(&MAX_ROOMS.to_string(), 10));
        assert_eq!(moved.rooms.lock().until.len(), 1);
        assert!(!has("0", 11) && !has("x", 11));
    }
}
