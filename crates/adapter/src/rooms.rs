//! Rooms as several threads use them.

use std::ops::Deref;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::feed::{Feed, RoomEvent};
use crate::{Joined, Left, RoomIndex, Slot};

/// A [`RoomIndex`] behind a lock, and watchers who are told what happens to its rooms.
///
/// The lock is held for no longer than one of these methods takes, and never while a watcher runs. Without a watcher, what
/// can be watched costs one look at an atomic for each change.
#[derive(Debug, Default)]
pub struct Rooms<T> {
    index: RwLock<RoomIndex<T>>,
    feed: Feed,
}

impl<T> Rooms<T> {
    /// No members, no rooms, nobody who watches.
    pub fn new() -> Self {
        Self {
            index: RwLock::new(RoomIndex::new()),
            feed: Feed::default(),
        }
    }

    /// The index, to look at. Whoever wants to change it meanwhile waits until this is dropped.
    pub fn read(&self) -> impl Deref<Target = RoomIndex<T>> + '_ {
        self.index.read()
    }

    /// Has `watcher` told of all that happens from now on.
    ///
    /// It is called by whoever has changed something, after the change, or by another thread that is at it already: one
    /// event at a time, in the order in which they happened. So it must not block, and what it is told may be over when it
    /// looks. It may change rooms itself; it is told of that when it has returned. A panic of its is logged.
    pub fn watch(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) {
        self.feed.watch(Arc::new(watcher));
    }

    /// Adds a member; see [`RoomIndex::insert`].
    ///
    /// # Panics
    ///
    /// As there.
    pub fn insert(&self, id: Arc<str>, member: T) -> Slot {
        let mut index = self.index.write();
        if !self.feed.is_watched() {
            return index.insert(id, member);
        }
        let created = index.room_len(&id) == 0;
        let slot = index.insert(Arc::clone(&id), member);
        self.feed.push_joined(&id, &id, created);
        drop(index);
        self.feed.tell();
        slot
    }

    /// Takes a member out of its rooms and of the index; see [`RoomIndex::remove`].
    pub fn remove(&self, slot: Slot) -> Option<T> {
        let mut index = self.index.write();
        let id = index.id_of(slot).map(Arc::clone)?;
        let (member, rooms) = index.remove(slot)?;
        if self.feed.is_watched() {
            for room in rooms {
                self.feed.push_left(&room.name, &id, room.deleted);
            }
            self.feed.push_left(&id, &id, index.room_len(&id) == 0);
        }
        drop(index);
        self.feed.tell();
        Some(member)
    }

    /// Puts a member into rooms; see [`RoomIndex::join`].
    ///
    /// # Panics
    ///
    /// As there.
    pub fn join(&self, slot: Slot, rooms: &[Arc<str>]) {
        let mut index = self.index.write();
        for room in rooms {
            let joined = index.join(slot, room);
            if matches!(joined, Joined::Joined | Joined::Created)
                && self.feed.is_watched()
                && let Some(id) = index.id_of(slot)
            {
                self.feed.push_joined(room, id, joined == Joined::Created);
            }
        }
        drop(index);
        self.feed.tell();
    }

    /// Takes a member out of rooms; see [`RoomIndex::leave`].
    pub fn leave(&self, slot: Slot, rooms: &[Arc<str>]) {
        let mut index = self.index.write();
        for room in rooms {
            let left = index.leave(slot, room);
            if matches!(left, Left::Left | Left::Deleted)
                && self.feed.is_watched()
                && let Some(id) = index.id_of(slot)
            {
                self.feed.push_left(room, id, left == Left::Deleted);
            }
        }
        drop(index);
        self.feed.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Barrier;
    use std::thread;

    use parking_lot::Mutex;

    use super::*;

    fn watched() -> (Arc<Rooms<()>>, Arc<Mutex<Vec<String>>>) {
        let rooms = Arc::new(Rooms::new());
        let log = Arc::new(Mutex::new(Vec::new()));
        let entries = Arc::clone(&log);
        rooms.watch(move |event| entries.lock().push(text(event)));
        (rooms, log)
    }

    fn text(event: &RoomEvent) -> String {
        match event {
            RoomEvent::Created { room } => format!("+{room}"),
            RoomEvent::Joined { room, id } => format!("{id}>{room}"),
            RoomEvent::Left { room, id } => format!("{id}<{room}"),
            RoomEvent::Deleted { room } => format!("-{room}"),
        }
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn watcher_hears_of_rooms_that_come_and_go() {
        let (rooms, log) = watched();
        let a = rooms.insert("a".into(), ());
        rooms.join(a, &names(&["r", "s", "r", "a"]));
        let b = rooms.insert("b".into(), ());
        rooms.join(b, &names(&["r"]));
        rooms.leave(a, &names(&["r", "never joined", "s"]));
        rooms.remove(b);
        rooms.remove(b);
        assert_eq!(
            *log.lock(),
            [
                "+a", "a>a", "+r", "a>r", "+s", "a>s", "+b", "b>b", "b>r", "a<r", "a<s", "-s",
                "b<r", "-r", "b<b", "-b"
            ]
        );
    }

    #[test]
    fn room_of_an_id_lasts_as_long_as_anybody_is_in_it() {
        let (rooms, log) = watched();
        let a = rooms.insert("a".into(), ());
        let b = rooms.insert("b".into(), ());
        log.lock().clear();
        rooms.join(b, &names(&["a"]));
        rooms.remove(a);
        rooms.leave(b, &names(&["a"]));
        rooms.join(b, &names(&["c"]));
        let c = rooms.insert("c".into(), ());
        rooms.remove(b);
        rooms.remove(c);
        assert_eq!(
            *log.lock(),
            [
                "b>a", "a<a", "b<a", "-a", "+c", "b>c", "c>c", "b<c", "b<b", "-b", "c<c", "-c"
            ]
        );
    }

    #[test]
    fn watcher_may_change_rooms_and_panic() {
        let rooms = Arc::new(Rooms::new());
        let a = rooms.insert("a".into(), ());
        let (weak, log) = (Arc::downgrade(&rooms), Arc::new(Mutex::new(Vec::new())));
        let entries = Arc::clone(&log);
        rooms.watch(move |event| {
            entries.lock().push(text(event));
            let rooms = weak.upgrade().expect("it is being used");
            match event {
                RoomEvent::Created { room } if &**room == "r" => {
                    rooms.join(a, &names(&["s"]));
                    assert_eq!(rooms.read().room_len("s"), 1);
                    panic!("it is logged, no more");
                }
                _ => {}
            }
        });
        rooms.join(a, &names(&["r"]));
        assert_eq!(*log.lock(), ["+r", "a>r", "+s", "a>s"]);
    }

    #[test]
    fn events_of_many_threads_come_in_the_order_in_which_they_happened() {
        let rooms = Arc::new(Rooms::new());
        let members: Arc<Mutex<HashMap<Arc<str>, usize>>> = Arc::default();
        let counted = Arc::clone(&members);
        rooms.watch(move |event| {
            let mut members = counted.try_lock().expect("one at a time");
            match event {
                RoomEvent::Created { room } => {
                    assert_eq!(members.insert(Arc::clone(room), 0), None);
                }
                RoomEvent::Joined { room, .. } => *members.get_mut(room).expect("created") += 1,
                RoomEvent::Left { room, .. } => *members.get_mut(room).expect("there") -= 1,
                RoomEvent::Deleted { room } => assert_eq!(members.remove(room), Some(0)),
            }
        });
        let start = Arc::new(Barrier::new(4));
        let threads = (0..4).map(|thread| {
            let (rooms, start) = (Arc::clone(&rooms), Arc::clone(&start));
            thread::spawn(move || {
                let shared = names(&["one", "two"]);
                start.wait();
                for round in 0..2_000 {
                    let slot = rooms.insert(format!("{thread}").into(), ());
                    rooms.join(slot, &shared);
                    if round % 2 == 0 {
                        rooms.leave(slot, &shared[..1]);
                    }
                    rooms.remove(slot);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().expect("no panic");
        }
        assert!(members.lock().is_empty());
    }
}
