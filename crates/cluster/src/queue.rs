//! What waits for the bus: in order, and within limits.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use sockeye_cluster_proto::{Message, NodeId};
use tokio::sync::Notify;

use crate::clock::after;
use crate::job::{Closing, Interest, Job, Opening};
use crate::profile::BusProfile;

/// How much may wait for the engine, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Bytes of messages; what is oldest is dropped for what is new.
    pub(crate) bytes: usize,
    /// How long a message may wait before it is dropped; `None` for what suits the bus.
    pub(crate) age: Option<Duration>,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            age: None,
        }
    }
}

impl QueueLimits {
    /// How long a message may wait for this bus. On one with a log, a message that is late still gets to everyone once.
    fn age_on(&self, bus: &BusProfile) -> Duration {
        self.age.unwrap_or(match bus.log {
            true => Duration::from_secs(60),
            false => Duration::from_secs(5),
        })
    }
}

/// The jobs of one bus.
///
/// Namespaces that open and close are not limited beyond what there are: one that closes before the bus has heard of it
/// leaves nothing behind. Nor are changes of interest, of which there is one for each room at most. All else has a size and a
/// time until which it is of use.
pub(crate) struct Queue {
    limits: QueueLimits,
    /// How long a message may wait.
    pub(crate) age: Duration,
    clock: fn() -> Instant,
    state: Mutex<Jobs>,
    woken: Notify,
    /// There may be more room.
    freed: Notify,
    ended: Notify,
}

#[derive(Default)]
struct Jobs {
    next: u64,
    /// What may be dropped.
    waiting: VecDeque<Waiting>,
    /// The same, of what is not [held](Queue::hold).
    passing: VecDeque<Waiting>,
    /// What is dropped for nothing else.
    saved: VecDeque<Waiting>,
    saved_bytes: usize,
    /// The bytes of all.
    bytes: usize,
    held: Option<Held>,
    /// Openings and closings.
    control: VecDeque<(u64, Control)>,
    /// A job that the bus has put back.
    returned: VecDeque<Job>,
    namespaces: HashMap<u64, Subscribed, RandomState>,
    interests: VecDeque<(u64, Arc<str>)>,
    is_ended: bool,
}

/// Messages wait even though they could be given out.
#[derive(Clone, Copy)]
struct Held {
    since: Instant,
    until: Instant,
}

struct Waiting {
    number: u64,
    until: Instant,
    bytes: usize,
    job: Job,
}

enum Control {
    Open(u64),
    Close(Closing),
}

/// A namespace that is open, or whose closing the bus has not heard of yet.
struct Subscribed {
    opening: Opening,
    /// The bus has been told to open it.
    is_told: bool,
    rooms: HashMap<Arc<str>, Room, RandomState>,
}

/// A room that has members, or had some when the bus was told last.
#[derive(Clone, Copy, Default)]
struct Room {
    is_wanted: bool,
    /// What the bus knows.
    is_told: bool,
    /// It is in the list of those that the bus is to be told of.
    is_listed: bool,
}

/// A namespace that the bus was told to open, with the rooms it was told of: what is to be subscribed to by a bus that has
/// lost all subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscription {
    /// The namespace.
    pub namespace: Arc<str>,
    /// What this server is called in it.
    pub uid: NodeId,
    /// The rooms that have members here, of those the bus has been told of. The others come as jobs.
    pub rooms: Vec<Arc<str>>,
}

/// Jobs that will not be done.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Dropped {
    /// They have waited too long.
    pub(crate) old: Vec<Job>,
    /// There was no room for them.
    pub(crate) large: Vec<Job>,
}

/// What becomes of a job that nothing is to be dropped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Entry {
    Taken,
    /// There is no room right now.
    Full,
    /// There never will be.
    Refused,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits, bus: &BusProfile, clock: fn() -> Instant) -> Self {
        Self {
            age: limits.age_on(bus),
            limits,
            clock,
            state: Mutex::default(),
            woken: Notify::new(),
            freed: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// Adds a message.
    pub(crate) fn push(&self, job: Job, bytes: usize) -> Dropped {
        self.push_for(job, bytes, self.age)
    }

    /// Adds what is of use for this long.
    pub(crate) fn push_for(&self, job: Job, bytes: usize, time: Duration) -> Dropped {
        let now = (self.clock)();
        let mut dropped = Dropped::default();
        let mut state = self.state.lock();
        if bytes > self.limits.bytes || state.is_ended {
            dropped.large.push(job);
            return dropped;
        }
        state.expire(now, &mut dropped.old);
        if state.saved_bytes + bytes > self.limits.bytes {
            dropped.large.push(job);
            return dropped;
        }
        while state.bytes + bytes > self.limits.bytes {
            let first = state.waiting.pop_front();
            let Some(first) = first.or_else(|| state.passing.pop_front()) else {
                break;
            };
            state.bytes -= first.bytes;
            dropped.large.push(first.job);
        }
        let is_passing = passes(&job);
        let waiting = state.admit(job, bytes, after(now, time));
        let list = match is_passing {
            true => &mut state.passing,
            false => &mut state.waiting,
        };
        list.push_back(waiting);
        drop(state);
        self.woken.notify_one();
        dropped
    }

    /// Adds what is of use for this long, if there is room, and drops it for nothing else. Says what became of it, and gives what
    /// has waited too long.
    pub(crate) fn save(&self, job: Job, bytes: usize, time: Duration) -> (Entry, Vec<Job>) {
        let now = (self.clock)();
        let mut old = Vec::new();
        let mut state = self.state.lock();
        if bytes > self.limits.bytes || state.is_ended {
            return (Entry::Refused, old);
        }
        state.expire(now, &mut old);
        if state.bytes + bytes > self.limits.bytes {
            return (Entry::Full, old);
        }
        let waiting = state.admit(job, bytes, after(now, time));
        state.saved_bytes += bytes;
        state.saved.push_back(waiting);
        drop(state);
        self.woken.notify_one();
        (Entry::Taken, old)
    }

    /// Waits until there is room for so much, or the end.
    pub(crate) async fn room(&self, bytes: usize) {
        loop {
            // Before the look, so that none is missed.
            let freed = self.freed.notified();
            if self.has_room(bytes) {
                return;
            }
            freed.await;
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        let state = self.state.lock();
        state.is_ended || state.bytes + bytes <= self.limits.bytes
    }

    /// A namespace has come into being, which is known as this key.
    pub(crate) fn open(&self, key: u64, opening: Opening) {
        let mut state = self.state.lock();
        let number = state.number();
        state.control.push_back((number, Control::Open(key)));
        let subscribed = Subscribed {
            opening,
            is_told: false,
            rooms: HashMap::default(),
        };
        state.namespaces.insert(key, subscribed);
        drop(state);
        self.woken.notify_one();
    }

    /// It is gone.
    pub(crate) fn close(&self, closing: Closing) {
        let mut state = self.state.lock();
        let key = closing.key;
        let is_told = state
            .namespaces
            .get(&key)
            .is_some_and(|known| known.is_told);
        if !is_told {
            state.namespaces.remove(&key);
            state
                .control
                .retain(|(_, control)| !matches!(control, Control::Open(open) if *open == key));
            return;
        }
        let number = state.number();
        state.control.push_back((number, Control::Close(closing)));
        drop(state);
        self.woken.notify_one();
    }

    /// A room has got its first member, or lost its last one.
    pub(crate) fn interest(&self, key: u64, room: &Arc<str>, gained: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(namespace) = state.namespaces.get_mut(&key) else {
            return;
        };
        let known = match namespace.rooms.get_mut(room) {
            Some(known) => known,
            None => namespace.rooms.entry(Arc::clone(room)).or_default(),
        };
        known.is_wanted = gained;
        if known.is_wanted == known.is_told {
            if !known.is_wanted && !known.is_listed {
                namespace.rooms.remove(room);
            }
            return;
        }
        if namespace.is_told && !known.is_listed {
            known.is_listed = true;
            state.interests.push_back((key, Arc::clone(room)));
            self.woken.notify_one();
        }
    }

    /// Waits for the next job; `None` when there will be none.
    pub(crate) async fn next(&self) -> (Option<Job>, Vec<Job>) {
        loop {
            // Before the look, so that what comes behind it is not missed.
            let woken = self.woken.notified();
            let (job, old, is_over) = self.look();
            if job.is_some() || !old.is_empty() || is_over {
                return (job, old);
            }
            woken.await;
        }
    }

    /// The next job, if there is one; and those that have waited too long.
    pub(crate) fn try_next(&self) -> (Option<Job>, Vec<Job>) {
        let (job, old, _) = self.look();
        (job, old)
    }

    /// The same, and whether there will be none any more: said under one lock, as the end may come right behind a last job.
    fn look(&self) -> (Option<Job>, Vec<Job>, bool) {
        let now = (self.clock)();
        let mut old = Vec::new();
        let mut state = self.state.lock();
        let job = state.pop(now, &mut old);
        let is_ended = state.is_ended;
        drop(state);
        if job.is_some() || !old.is_empty() {
            self.freed.notify_waiters();
        }
        if job.is_some() {
            // Somebody else may be waiting, too, who was not woken for what is left.
            self.woken.notify_one();
        }
        (job, old, is_ended)
    }

    /// The job is not done, and comes first again.
    pub(crate) fn put_back(&self, job: Job) {
        self.state.lock().returned.push_front(job);
        self.woken.notify_one();
    }

    /// Has messages wait for this long, or until they are [released](Self::release), for servers that were there before an
    /// outage and may not hear again yet. What such servers are found by is not held. When there will be no more, none waits.
    pub(crate) fn hold(&self, time: Duration) {
        let since = (self.clock)();
        let until = after(since, time);
        let mut state = self.state.lock();
        if !state.is_ended {
            state.held = Some(Held { since, until });
        }
    }

    /// Lets messages go.
    pub(crate) fn release(&self) {
        let is_news = self.state.lock().held.take().is_some();
        if is_news {
            self.woken.notify_one();
        }
    }

    /// Since when messages are held, if they are; when it is time, they are not any more.
    pub(crate) fn held_since(&self) -> Option<Instant> {
        let Held { since, until } = self.state.lock().held?;
        if until <= (self.clock)() {
            self.release();
            return None;
        }
        Some(since)
    }

    /// What has waited too long.
    pub(crate) fn expire(&self) -> Vec<Job> {
        let mut old = Vec::new();
        self.state.lock().expire((self.clock)(), &mut old);
        if !old.is_empty() {
            self.freed.notify_waiters();
        }
        old
    }

    /// There will be no more jobs, and what is there is given out still.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.is_ended = true;
        state.held = None;
        drop(state);
        self.ended.notify_waiters();
        self.freed.notify_waiters();
        self.woken.notify_waiters();
        self.woken.notify_one();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().is_ended
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.is_ended() {
                return;
            }
            ended.await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty()
            && state.passing.is_empty()
            && state.saved.is_empty()
            && state.control.is_empty()
            && state.returned.is_empty()
    }

    /// What the bus was told to subscribe to.
    pub(crate) fn subscriptions(&self) -> Vec<Subscription> {
        let state = self.state.lock();
        let told = state.namespaces.values().filter(|known| known.is_told);
        told.map(|known| Subscription {
            namespace: Arc::clone(&known.opening.namespace),
            uid: known.opening.uid.clone(),
            rooms: known
                .rooms
                .iter()
                .filter(|(_, room)| room.is_told)
                .map(|(name, _)| Arc::clone(name))
                .collect(),
        })
        .collect()
    }

    /// How many messages wait, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        let jobs = state.waiting.len() + state.passing.len() + state.saved.len();
        (jobs, state.bytes)
    }
}

impl Jobs {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Counts one that is about to be listed.
    fn admit(&mut self, job: Job, bytes: usize, until: Instant) -> Waiting {
        self.bytes += bytes;
        Waiting {
            number: self.number(),
            until,
            bytes,
            job,
        }
    }

    fn pop(&mut self, now: Instant, old: &mut Vec<Job>) -> Option<Job> {
        let is_held = self.held.is_some_and(|held| held.until > now);
        while let Some(first) = self.returned.front()
            && (!is_held || passes(first))
            && let Some(job) = self.returned.pop_front()
        {
            match &job {
                Job::Publish(publish) if publish.until.is_some_and(|until| until <= now) => {
                    old.push(job);
                }
                _ => return Some(job),
            }
        }
        if let Some(job) = self.pop_interest() {
            return Some(job);
        }
        loop {
            let number = |list: &VecDeque<Waiting>| list.front().map(|first| first.number);
            let control = self.control.front().map(|(number, _)| *number);
            let passing = number(&self.passing);
            let waiting = number(&self.waiting).filter(|_| !is_held);
            let saved = number(&self.saved).filter(|_| !is_held);
            let all = [control, passing, waiting, saved];
            let next = all.into_iter().flatten().min()?;
            if control == Some(next) {
                let (_, control) = self.control.pop_front()?;
                match self.control(control) {
                    Some(job) => return Some(job),
                    None => continue,
                }
            }
            let is_saved = saved == Some(next);
            let list = match passing == Some(next) {
                _ if is_saved => &mut self.saved,
                true => &mut self.passing,
                false => &mut self.waiting,
            };
            let mut first = list.pop_front()?;
            self.bytes -= first.bytes;
            if is_saved {
                self.saved_bytes -= first.bytes;
            }
            if let Job::Publish(publish) = &mut first.job {
                publish.until = Some(first.until);
            }
            match first.until > now {
                true => return Some(first.job),
                false => old.push(first.job),
            }
        }
    }

    fn control(&mut self, control: Control) -> Option<Job> {
        match control {
            Control::Open(key) => {
                let known = self.namespaces.get_mut(&key)?;
                known.is_told = true;
                for (name, room) in &mut known.rooms {
                    room.is_listed = true;
                    self.interests.push_back((key, Arc::clone(name)));
                }
                Some(Job::Open(known.opening.clone()))
            }
            Control::Close(closing) => {
                self.namespaces.remove(&closing.key);
                Some(Job::Close(closing))
            }
        }
    }

    fn pop_interest(&mut self) -> Option<Job> {
        while let Some((key, room)) = self.interests.pop_front() {
            let Some(namespace) = self.namespaces.get_mut(&key) else {
                continue;
            };
            let Some(known) = namespace.rooms.get_mut(&room) else {
                continue;
            };
            known.is_listed = false;
            let is_news = known.is_wanted != known.is_told;
            known.is_told = known.is_wanted;
            let gained = known.is_wanted;
            if !gained {
                namespace.rooms.remove(&room);
            }
            if is_news {
                return Some(Job::Interest(Interest {
                    namespace: Arc::clone(&namespace.opening.namespace),
                    room,
                    gained,
                }));
            }
        }
        None
    }

    /// Takes out what is of no use any more, as far as it stands in front.
    fn expire(&mut self, now: Instant, old: &mut Vec<Job>) {
        let lists = [&mut self.waiting, &mut self.passing, &mut self.saved];
        for (list, is_saved) in lists.into_iter().zip([false, false, true]) {
            while let Some(first) = list.front()
                && first.until <= now
            {
                self.bytes -= first.bytes;
                if is_saved {
                    self.saved_bytes -= first.bytes;
                }
                old.extend(list.pop_front().map(|first| first.job));
            }
        }
    }
}

/// Whether a job is about who is there, and of use while messages are held.
const fn passes(job: &Job) -> bool {
    match job {
        Job::CountNodes(_) | Job::FindNodes(_) => true,
        Job::Publish(publish) => {
            matches!(publish.message, Message::Hello | Message::Heartbeat)
        }
        _ => false,
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (waiting, bytes) = self.waiting();
        f.debug_struct("Queue")
            .field("waiting", &waiting)
            .field("bytes", &bytes)
            .finish_non_exhaustive()
    }
}
