//! What all ends meet in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sockeye_adapter::KeptSocket;
use sockeye_cluster_proto::{Limits, NodeId, cluster};
use tokio::sync::{mpsc, watch};

use super::MemoryOptions;
use super::kept::Kept;
use crate::clock::now;
use crate::job::{Found, Publish, Restore, Route};
use crate::profile::NodeIds;
use crate::queue::Subscription;
use crate::replay::{Between, Logged};

/// The ends of all servers, and the log.
pub(super) struct Hub {
    pub(super) options: MemoryOptions,
    is_up: watch::Sender<bool>,
    state: Mutex<Traffic>,
}

struct Traffic {
    next: u64,
    ends: HashMap<u64, Connected>,
    log: Log,
    kept: Kept,
    delivered: u64,
}

struct Connected {
    frames: mpsc::UnboundedSender<Frame>,
    namespaces: HashMap<Arc<str>, Subscribed>,
}

struct Subscribed {
    uid: NodeId,
    rooms: HashSet<Arc<str>>,
}

struct Log {
    /// What offsets begin with, so that those of a log that was lost are none of this one.
    epoch: String,
    entries: VecDeque<Entry>,
    /// The number of the last.
    last: u64,
}

struct Entry {
    number: u64,
    namespace: Arc<str>,
    bytes: Bytes,
    /// Who has published it, and what the message is called there.
    from: NodeId,
    tag: Option<u64>,
}

/// A message on its way to one server.
pub(super) struct Frame {
    pub(super) namespace: Arc<str>,
    pub(super) bytes: Bytes,
    pub(super) offset: Option<Box<str>>,
    /// If it is that server's own.
    pub(super) tag: Option<u64>,
    /// Its number in the log; 0 outside of it.
    pub(super) number: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(MemoryOptions::default())
    }
}

impl Hub {
    pub(super) fn new(options: MemoryOptions) -> Self {
        Self {
            options,
            is_up: watch::Sender::new(true),
            state: Mutex::new(Traffic {
                next: 0,
                ends: HashMap::new(),
                log: Log::new(),
                kept: Kept::default(),
                delivered: 0,
            }),
        }
    }

    pub(super) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    pub(super) async fn up(&self) {
        let _ = self.is_up.subscribe().wait_for(|is_up| *is_up).await;
    }

    pub(super) async fn down(&self) {
        let _ = self.is_up.subscribe().wait_for(|is_up| !*is_up).await;
    }

    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.log = Log::new();
        state.kept = Kept::default();
    }

    pub(super) fn join(&self) -> (u64, mpsc::UnboundedReceiver<Frame>) {
        let (frames, receiver) = mpsc::unbounded_channel();
        let mut state = self.state.lock();
        state.next += 1;
        let id = state.next;
        let namespaces = HashMap::new();
        state.ends.insert(id, Connected { frames, namespaces });
        (id, receiver)
    }

    pub(super) fn leave(&self, id: u64) {
        self.state.lock().ends.remove(&id);
    }

    /// Says where the log ends.
    pub(super) fn subscribe(
        &self,
        id: u64,
        namespace: &Arc<str>,
        uid: &NodeId,
    ) -> Option<Box<str>> {
        let mut state = self.state.lock();
        let subscribed = Subscribed {
            uid: uid.clone(),
            rooms: HashSet::new(),
        };
        let namespaces = &mut state.ends.get_mut(&id)?.namespaces;
        namespaces.insert(Arc::clone(namespace), subscribed);
        self.options.log?;
        Some(state.log.offset(state.log.last))
    }

    pub(super) fn unsubscribe(&self, id: u64, namespace: &str) {
        if let Some(end) = self.state.lock().ends.get_mut(&id) {
            end.namespaces.remove(namespace);
        }
    }

    pub(super) fn interest(&self, id: u64, namespace: &str, room: Arc<str>, gained: bool) {
        let mut state = self.state.lock();
        let namespaces = state.ends.get_mut(&id).map(|end| &mut end.namespaces);
        if let Some(subscribed) = namespaces.and_then(|all| all.get_mut(namespace)) {
            match gained {
                true => drop(subscribed.rooms.insert(room)),
                false => drop(subscribed.rooms.remove(&room)),
            }
        }
    }

    /// How many servers have this namespace.
    pub(super) fn nodes(&self, namespace: &str) -> usize {
        let state = self.state.lock();
        let ends = state.ends.values();
        ends.filter(|end| end.namespaces.contains_key(namespace))
            .count()
    }

    /// Whether one of them has this id there.
    pub(super) fn has_node(&self, namespace: &str, node: &NodeId) -> bool {
        let state = self.state.lock();
        let mut ends = state.ends.values();
        ends.any(|end| {
            let subscribed = end.namespaces.get(namespace);
            subscribed.is_some_and(|subscribed| subscribed.uid == *node)
        })
    }

    /// The number of the last message in the log.
    pub(super) fn last(&self) -> u64 {
        self.state.lock().log.last
    }

    /// Subscribes again, and hands over what has come into the log behind that number: in one step, so that what comes
    /// meanwhile is behind that, and is handed over once. Says where the log ends, and whether nothing is missing.
    pub(super) fn resume(
        &self,
        id: u64,
        subscriptions: &[Subscription],
        since: u64,
    ) -> (Option<Box<str>>, bool) {
        let mut state = self.state.lock();
        let Traffic {
            ends,
            log,
            delivered,
            ..
        } = &mut *state;
        let Some(end) = ends.get_mut(&id) else {
            return (None, false);
        };
        for told in subscriptions {
            let subscribed = Subscribed {
                uid: told.uid.clone(),
                rooms: told.rooms.iter().cloned().collect(),
            };
            let namespace = Arc::clone(&told.namespace);
            end.namespaces.insert(namespace, subscribed);
        }
        if self.options.log.is_none() {
            return (None, false);
        }
        for entry in log.entries.iter().filter(|entry| entry.number > since) {
            let Some(subscribed) = end.namespaces.get(&entry.namespace) else {
                continue;
            };
            *delivered += 1;
            let _ = end.frames.send(Frame {
                namespace: Arc::clone(&entry.namespace),
                bytes: entry.bytes.clone(),
                offset: Some(log.offset(entry.number)),
                tag: entry.tag.filter(|_| subscribed.uid == entry.from),
                number: entry.number,
            });
        }
        // A log that was lost has begun again.
        let is_whole = since <= log.last && since + 1 >= log.last - log.entries.len() as u64;
        (Some(log.offset(log.last)), is_whole)
    }

    pub(super) fn publish(&self, from: u64, publish: &Publish, bytes: &Bytes) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let offset = match (publish.route.clone(), self.options.log) {
            (Route::All | Route::Room(_), Some(max)) => Some(state.log.push(publish, bytes, max)),
            _ => None,
        };
        let number = offset.as_ref().map_or(0, |_| state.log.last);
        for (&id, end) in &state.ends {
            let Some(subscribed) = end.namespaces.get(&publish.namespace) else {
                continue;
            };
            let is_meant = match &publish.route {
                Route::Response(Some(to)) => subscribed.uid == *to,
                // Whoever follows the log gets all of it.
                _ if offset.is_some() => true,
                Route::Room(room) if self.options.interest => subscribed.rooms.contains(room),
                _ => true,
            };
            if !is_meant || (id == from && offset.is_none()) {
                continue;
            }
            state.delivered += 1;
            let _ = end.frames.send(Frame {
                namespace: Arc::clone(&publish.namespace),
                bytes: bytes.clone(),
                offset: offset.clone(),
                tag: publish.tag.filter(|_| id == from),
                number,
            });
        }
    }

    pub(super) fn inject(&self, namespace: &str, bytes: &Bytes) {
        let state = self.state.lock();
        for end in state.ends.values() {
            let _ = end.frames.send(Frame {
                namespace: namespace.into(),
                bytes: bytes.clone(),
                offset: None,
                tag: None,
                number: 0,
            });
        }
    }

    pub(super) fn keep(&self, socket: KeptSocket, time: Duration) {
        self.state.lock().kept.keep(socket, now(), time);
    }

    pub(super) fn forget_kept(&self, pid: &str) {
        self.state.lock().kept.take(pid, now());
    }

    pub(super) fn restore(&self, restore: Restore, limits: &Limits) {
        let mut state = self.state.lock();
        let Some(since) = state.log.find(&restore.offset) else {
            return;
        };
        let Some(until) = state.log.number(&restore.until) else {
            return;
        };
        let Some((socket, left)) = state.kept.take(&restore.pid, now()) else {
            return;
        };
        let logged = match since > until {
            true => Between::Ahead,
            false => Between::Events(state.log.between(&restore.namespace, since, until, limits)),
        };
        let found = Box::new(Found {
            socket,
            logged,
            left,
        });
        if let Err(found) = restore.answer(found) {
            state.kept.keep(found.socket, now(), found.left);
        }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.state.lock().delivered
    }
}

impl Log {
    fn new() -> Self {
        Self {
            epoch: NodeIds::Short.some(),
            entries: VecDeque::new(),
            last: 0,
        }
    }

    fn push(&mut self, publish: &Publish, bytes: &Bytes, max: usize) -> Box<str> {
        self.last += 1;
        self.entries.push_back(Entry {
            number: self.last,
            namespace: Arc::clone(&publish.namespace),
            bytes: bytes.clone(),
            from: publish.uid.clone(),
            tag: publish.tag,
        });
        // The last one that was forgotten is still known, as whoever has got it misses nothing.
        while self.entries.len() > max {
            self.entries.pop_front();
        }
        self.offset(self.last)
    }

    fn offset(&self, number: u64) -> Box<str> {
        format!("{}-{number}", self.epoch).into()
    }

    fn number(&self, offset: &str) -> Option<u64> {
        let number = offset.strip_prefix(&*self.epoch)?.strip_prefix('-')?;
        number.parse().ok()
    }

    /// The number of an offset behind which all is there still.
    fn find(&self, offset: &str) -> Option<u64> {
        let number = self.number(offset)?;
        let first = self.last - self.entries.len() as u64;
        (first..=self.last).contains(&number).then_some(number)
    }

    fn between(&self, namespace: &str, since: u64, until: u64, limits: &Limits) -> Vec<Logged> {
        let entries = self.entries.iter();
        let entries = entries.filter(|entry| {
            entry.number > since && entry.number <= until && *entry.namespace == *namespace
        });
        let logged = |entry: &Entry| {
            Some(Logged {
                offset: self.offset(entry.number),
                message: cluster::decode(&entry.bytes, limits).ok()?.message,
            })
        };
        entries.filter_map(logged).collect()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("options", &self.options)
            .field("is_up", &*self.is_up.borrow())
            .finish_non_exhaustive()
    }
}
