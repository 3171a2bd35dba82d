//! Which sessions there are.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use parking_lot::RwLock;
use sockeye_engine::{SessionHandle, SessionId};

use crate::gate::Whence;

/// The open sessions by id, in shards, so that handshakes on many threads do not wait for each
/// other.
pub(super) struct Sessions {
    shards: [RwLock<Shard>; SHARDS],
}

type Shard = HashSet<ById, foldhash::fast::RandomState>;

/// A session, found by the id that it knows itself: a map would keep every id twice.
struct ById(SessionHandle, Whence);

impl Borrow<SessionId> for ById {
    fn borrow(&self) -> &SessionId {
        self.0.id()
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for ById {}

const SHARDS: usize = 16;

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }

    fn shard(&self, id: &SessionId) -> &RwLock<Shard> {
        // The first characters are random.
        &self.shards[usize::from(id.as_str().as_bytes()[0]) % SHARDS]
    }

    pub(super) fn find(&self, id: &SessionId) -> Option<SessionHandle> {
        let shard = self.shard(id).read();
        shard.get(id).map(|found| found.0.clone())
    }

    pub(super) fn insert(&self, session: SessionHandle, whence: Whence) {
        let mut shard = self.shard(session.id()).write();
        shard.insert(ById(session, whence));
    }

    /// From where it was, if it was there still.
    pub(super) fn remove(&self, id: &SessionId) -> Option<Whence> {
        let removed = self.shard(id).write().take(id)?;
        Some(removed.1)
    }

    pub(super) fn all(&self) -> Vec<SessionHandle> {
        self.shards
            .iter()
            .flat_map(|shard| {
                let shard = shard.read();
                shard
                    .iter()
                    .map(|session| session.0.clone())
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
