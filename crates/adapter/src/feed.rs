//! What happens to rooms, and the order in which watchers are told of it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

/// Something that has happened to a room.
///
/// The room of a member's own id is one of them: it is created when the member comes and nobody else has joined a room of
/// that name, and deleted when it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// It has got its first member, whose joining follows.
    Created {
        /// The room.
        room: Arc<str>,
    },
    /// A member has joined it.
    Joined {
        /// The room.
        room: Arc<str>,
        /// The member's id.
        id: Arc<str>,
    },
    /// A member has left it.
    Left {
        /// The room.
        room: Arc<str>,
        /// The member's id.
        id: Arc<str>,
    },
    /// The member that has just left was its last one.
    Deleted {
        /// The room.
        room: Arc<str>,
    },
}

impl RoomEvent {
    /// The room's name.
    #[must_use]
    pub const fn room(&self) -> &Arc<str> {
        match self {
            Self::Created { room }
            | Self::Joined { room, .. }
            | Self::Left { room, .. }
            | Self::Deleted { room } => room,
        }
    }
}

type Watcher = Arc<dyn Fn(&RoomEvent) + Send + Sync>;

/// What has happened to rooms and was not told yet, and who is to be told.
///
/// Events are pushed while the index is locked, which puts them into the order in which they happened, and told afterwards,
/// by one thread at a time. Telling them unlocked and unqueued would be simpler, but then a room's end could be heard of
/// before its beginning, and whoever subscribes to rooms would be left with a subscription too many or too few.
#[derive(Default)]
pub(crate) struct Feed {
    is_watched: AtomicBool,
    watchers: RwLock<Vec<Watcher>>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<RoomEvent>,
    /// A thread is telling them. It looks once more before it stops, so that all others can leave theirs to it.
    is_told: bool,
}

impl Feed {
    /// Whether events need to be pushed.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    pub(crate) fn watch(&self, watcher: Watcher) {
        self.watchers.write().push(watcher);
        self.is_watched.store(true, Ordering::Release);
    }

    /// A member has joined a room, and created it or not.
    pub(crate) fn push_joined(&self, room: &Arc<str>, id: &Arc<str>, created: bool) {
        let events = &mut self.queue.lock().events;
        let (room, id) = (Arc::clone(room), Arc::clone(id));
        if created {
            let room = Arc::clone(&room);
            events.push_back(RoomEvent::Created { room });
        }
        events.push_back(RoomEvent::Joined { room, id });
    }

    /// A member has left a room, which has no other or still has some.
    pub(crate) fn push_left(&self, room: &Arc<str>, id: &Arc<str>, deleted: bool) {
        let events = &mut self.queue.lock().events;
        let (room, id) = (Arc::clone(room), Arc::clone(id));
        let left = Arc::clone(&room);
        events.push_back(RoomEvent::Left { room: left, id });
        if deleted {
            events.push_back(RoomEvent::Deleted { room });
        }
    }

    /// Tells what was pushed, unless somebody is at it. The index must not be locked by this thread.
    pub(crate) fn tell(&self) {
        if !self.is_watched() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.is_told {
            return;
        }
        while let Some(event) = queue.events.pop_front() {
            queue.is_told = true;
            drop(queue);
            self.tell_one(&event);
            queue = self.queue.lock();
        }
        queue.is_told = false;
    }

    fn tell_one(&self, event: &RoomEvent) {
        let watchers = self.watchers.read().clone();
        for watcher in watchers {
            // Whose change this is may be another's thread, and a connection's task is none that may panic.
            if catch_unwind(AssertUnwindSafe(|| watcher(event))).is_err() {
                tracing::error!("a watcher of rooms panicked");
            }
        }
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("watchers", &self.watchers.read().len())
            .finish_non_exhaustive()
    }
}
