//! Kept sockets and their log, in the memory of a server that is alone.

mod budget;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::event_log::{EventLog, LogLimits};
use crate::recovery::{Claim, KeptSocket, LoggedEvent, Receivers, RecoveryStore, Restored, Resume};
use crate::secret_map::SecretMap;
use budget::Share;
pub use budget::{Budget, Budgeted};

/// The [`RecoveryStore`] of a server that is alone, with the log of what that has sent.
///
/// What does not fit is forgotten, oldest first. Whoever then asks for it is as good as new.
pub struct MemoryStore {
    limits: MemoryLimits,
    /// What offsets begin with, so that one of an earlier process, or of another namespace, is none of this one.
    epoch: String,
    clock: fn() -> Instant,
    state: Arc<Mutex<Contents>>,
}

/// How much a [`MemoryStore`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// What the log keeps.
    pub log: LogLimits,
    /// How many sockets.
    pub sockets: usize,
    /// Bytes of their ids, rooms and data.
    pub socket_bytes: usize,
}

struct Contents {
    share: Share,
    log: EventLog,
    kept: SecretMap<Kept>,
    /// Their private ids, in the order in which their time ends.
    ends: BTreeMap<(Instant, u64), Box<str>>,
    bytes: usize,
    next: u64,
    /// Those that nobody came back for, until somebody asks.
    expired: Vec<KeptSocket>,
}

struct Kept {
    socket: KeptSocket,
    end: (Instant, u64),
    bytes: usize,
}

/// What [`MemoryStore::sweep`] has found.
#[derive(Debug)]
pub struct Swept {
    /// Those that are kept no more, and have not come back.
    pub expired: Vec<KeptSocket>,
    /// When there will be something to sweep, if nothing happens meanwhile; `None` if there is nothing left.
    pub next: Option<Instant>,
}

/// What a kept socket takes beside its texts.
const OVERHEAD: usize = 400;

/// What a room's name takes beside its text.
const ROOM_OVERHEAD: usize = 32;

impl MemoryLimits {
    /// All of them.
    #[must_use]
    pub const fn new(log: LogLimits, sockets: usize, socket_bytes: usize) -> Self {
        Self {
            log,
            sockets,
            socket_bytes,
        }
    }
}

impl MemoryStore {
    /// An empty store. `epoch` is what its offsets begin with: a random text of always the same length; `clock` tells the
    /// time.
    #[must_use]
    pub fn new(limits: MemoryLimits, epoch: String, clock: fn() -> Instant) -> Self {
        Self::with_budget(limits, epoch, clock, None)
    }

    /// One that shares a budget with others, if there is one.
    #[must_use]
    pub fn with_budget(
        limits: MemoryLimits,
        epoch: String,
        clock: fn() -> Instant,
        budget: Option<Budgeted>,
    ) -> Self {
        let state = Arc::new_cyclic(|this| {
            Mutex::new(Contents {
                share: Share::new(budget, Weak::clone(this)),
                log: EventLog::new(limits.log),
                kept: SecretMap::new(),
                ends: BTreeMap::new(),
                bytes: 0,
                next: 0,
                expired: Vec::new(),
            })
        });
        Self {
            limits,
            epoch,
            clock,
            state,
        }
    }

    /// Changes what is there, and sees to it that all stores of the budget have room for it.
    fn change<R>(&self, change: impl FnOnce(&mut Contents) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        state.bill();
        let budget = state.share.budget().cloned();
        drop(state);
        if let Some(budget) = budget {
            budget.settle();
        }
        result
    }

    /// The number of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.state.lock().log.last()
    }

    /// The number of the event that will be logged next, if that happens before another one is, and its offset.
    #[must_use]
    pub fn next(&self) -> (u64, Box<str>) {
        let number = self.last() + 1;
        (number, self.offset_of(number))
    }

    /// Logs an event, which gets the number and the offset that [`next`](Self::next) has given.
    pub fn log(&self, event: LoggedEvent, receivers: Receivers) -> Arc<LoggedEvent> {
        let now = (self.clock)();
        self.change(|state| state.log.push(event, receivers, now))
    }

    /// Forgets what is too old, and says who has been forgotten since the last time.
    #[must_use]
    pub fn sweep(&self) -> Swept {
        let now = (self.clock)();
        self.change(|state| {
            while let Some((&end, _)) = state.ends.first_key_value()
                && end.0 <= now
            {
                state.forget_first();
            }
            state.log.forget_old(now);
            let ends = state.ends.keys().next().map(|end| end.0);
            let next = ends.into_iter().chain(state.log.oldest_until()).min();
            let expired = std::mem::take(&mut state.expired);
            Swept { expired, next }
        })
    }

    /// Forgets all sockets, and says who has been forgotten since the last [sweep](Self::sweep).
    #[must_use]
    pub fn forget_kept(&self) -> Vec<KeptSocket> {
        self.change(|state| {
            while !state.ends.is_empty() {
                state.forget_first();
            }
            std::mem::take(&mut state.expired)
        })
    }

    /// How many sockets are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.state.lock().kept.len()
    }

    fn offset_of(&self, number: u64) -> Box<str> {
        let mut text = String::with_capacity(self.epoch.len() + MAX_DIGITS);
        text.push_str(&self.epoch);
        let digits = (64 - number.leading_zeros()).div_ceil(6).max(1);
        for place in (0..digits).rev() {
            let digit = usize::try_from((number >> (6 * place)) & 63).unwrap_or_default();
            text.push(DIGITS[digit].into());
        }
        text.into()
    }

    fn number_of(&self, offset: &str) -> Option<u64> {
        let digits = offset.strip_prefix(&self.epoch)?;
        if digits.is_empty() || digits.len() > MAX_DIGITS {
            return None;
        }
        let mut number: u64 = 0;
        for digit in digits.bytes() {
            let value = DIGITS.iter().position(|other| *other == digit)?;
            number = number.checked_mul(64)?.checked_add(value as u64)?;
        }
        Some(number)
    }

    /// What a socket has missed. `None` if that is not all there, or the offset is none.
    fn missed(
        &self,
        log: &EventLog,
        socket: &KeptSocket,
        offset: Option<&str>,
    ) -> Option<Vec<Arc<LoggedEvent>>> {
        let progress = &socket.progress;
        let got = match offset {
            // Clients that have joined anew may show an offset from before.
            Some(offset) => self.number_of(offset)?.max(progress.joined),
            None => progress.joined,
        };
        if got > log.last() {
            return None;
        }
        let since = match got >= progress.sent {
            // All that it was sent it has got, however long ago that is.
            true => got.max(progress.left),
            false => got,
        };
        log.since(since, &socket.id, &socket.rooms, &socket.joined)
    }
}

/// Longer than any server runs, and short enough that times can be added up.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The digits of offsets.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Of the largest number.
const MAX_DIGITS: usize = 11;

impl RecoveryStore for MemoryStore {
    fn keep(&self, socket: KeptSocket, time: Duration) {
        let end = (self.clock)() + time.min(LONGEST);
        self.change(|state| state.keep(socket, end, &self.limits));
    }

    fn restore(&self, claim: Claim<'_>, resume: Resume) {
        let now = (self.clock)();
        self.change(|state| {
            let Some(kept) = state.take(claim.pid) else {
                return;
            };
            let missed = match kept.end.0 > now {
                true => self.missed(&state.log, &kept.socket, claim.offset),
                false => None,
            };
            let Some(missed) = missed else {
                state.expired.push(kept.socket);
                return;
            };
            let restored = Restored {
                socket: kept.socket,
                missed,
                left: kept.end.0 - now,
            };
            if let Some(restored) = resume(restored) {
                state.keep(restored.socket, now + restored.left, &self.limits);
            }
        });
    }

    fn offset(&self) -> Option<String> {
        Some(self.offset_of(self.last()).into())
    }
}

impl Contents {
    fn keep(&mut self, socket: KeptSocket, end: Instant, limits: &MemoryLimits) {
        let bytes = bytes_of(&socket);
        if let Some(earlier) = self.take(&socket.pid) {
            self.expired.push(earlier.socket);
        }
        if bytes > limits.socket_bytes || limits.sockets == 0 {
            self.expired.push(socket);
            return;
        }
        while self.kept.len() >= limits.sockets || self.bytes + bytes > limits.socket_bytes {
            self.forget_first();
        }
        let end = (end, self.next);
        self.next += 1;
        self.bytes += bytes;
        self.ends.insert(end, socket.pid.clone());
        let kept = Kept { socket, end, bytes };
        self.kept.insert(kept.socket.pid.clone(), kept);
    }

    fn take(&mut self, pid: &str) -> Option<Kept> {
        let kept = self.kept.remove(pid)?;
        self.ends.remove(&kept.end);
        self.bytes -= kept.bytes;
        Some(kept)
    }

    /// Forgets the oldest of that of which there is more, events or sockets.
    fn shed(&mut self) {
        match self.log.bytes() >= self.bytes {
            true => self.log.forget_oldest(),
            false => {
                self.forget_first();
                self.share.nudge();
            }
        }
        self.bill();
    }

    /// Takes account of what is there.
    fn bill(&mut self) {
        self.share.bill(self.bytes + self.log.bytes());
    }

    /// Forgets the one whose time ends first.
    fn forget_first(&mut self) {
        let Some((_, pid)) = self.ends.pop_first() else {
            return;
        };
        if let Some(kept) = self.kept.remove(&pid) {
            self.bytes -= kept.bytes;
            self.expired.push(kept.socket);
        }
    }
}

fn bytes_of(socket: &KeptSocket) -> usize {
    let rooms = socket.rooms.iter();
    let rooms: usize = rooms.map(|room| room.len() + ROOM_OVERHEAD).sum();
    let data = socket.data.as_ref().map_or(0, bytes_of_value);
    let joined = size_of_val(&*socket.joined);
    OVERHEAD + 3 * socket.pid.len() + socket.id.len() + rooms + joined + data
}

/// About what a value takes in memory, which is more than its text.
fn bytes_of_value(value: &Value) -> usize {
    let own = size_of::<Value>();
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => own,
        Value::String(text) => own + text.len(),
        Value::Array(values) => own + values.iter().map(bytes_of_value).sum::<usize>(),
        Value::Object(members) => {
            let members = members.iter();
            own + members
                .map(|(key, value)| ROOM_OVERHEAD + key.len() + bytes_of_value(value))
                .sum::<usize>()
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("MemoryStore")
            .field("kept", &state.kept.len())
            .field("log_bytes", &state.log.bytes())
            .finish_non_exhaustive()
    }
}
