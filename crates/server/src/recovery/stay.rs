use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use sockeye_adapter::{KeptSocket, Progress};

/// One stay of a socket that may come back: under which secret, and how far it is in the log.
///
/// All but the constants and the rooms changes under the lock of the order alone.
#[derive(Debug)]
pub(crate) struct Stay {
    pid: Box<str>,
    recovered: bool,
    /// It was kept already, as the server is being closed.
    saved: AtomicBool,
    joined: AtomicU64,
    sent: AtomicU64,
    /// [`GOING_ON`] as long as it is sent to.
    left: AtomicU64,
    /// When it has joined the rooms that it is in, in the order of their names; see [`KeptSocket::joined`].
    rooms: Mutex<Vec<(Arc<str>, u64)>>,
    /// It is kept until then.
    kept_until: OnceLock<Instant>,
}

const GOING_ON: u64 = u64::MAX;

impl Stay {
    /// The first stay of a socket.
    pub(crate) fn first(pid: &str) -> Self {
        Self::new(pid.into(), false, Progress::default(), Vec::new())
    }

    /// That of a socket that comes back.
    pub(crate) fn again(kept: &KeptSocket) -> Self {
        Self::new(kept.pid.clone(), true, kept.progress, kept.joined.clone())
    }

    const fn new(
        pid: Box<str>,
        recovered: bool,
        progress: Progress,
        rooms: Vec<(Arc<str>, u64)>,
    ) -> Self {
        Self {
            pid,
            recovered,
            saved: AtomicBool::new(false),
            joined: AtomicU64::new(progress.joined),
            sent: AtomicU64::new(progress.sent),
            left: AtomicU64::new(GOING_ON),
            rooms: Mutex::new(rooms),
            kept_until: OnceLock::new(),
        }
    }

    pub(crate) fn pid(&self) -> &str {
        &self.pid
    }

    pub(crate) const fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// It connects for the first time, when this was the last event.
    pub(crate) fn begin(&self, last: u64) {
        self.joined.store(last, Ordering::Relaxed);
        self.sent.store(last, Ordering::Relaxed);
    }

    /// An event has been sent to it.
    pub(crate) fn sent(&self, number: u64) {
        self.sent.store(number, Ordering::Relaxed);
    }

    /// Nothing behind this event is sent to it any more.
    pub(crate) fn stop(&self, last: u64) {
        self.left.fetch_min(last, Ordering::Relaxed);
    }

    /// Whether it is not sent to any more.
    pub(crate) fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) != GOING_ON
    }

    /// It is about to join a room, when this was the last event. Before it has, so that none is too many that it misses from
    /// then on.
    pub(crate) fn joins(&self, room: &Arc<str>, last: u64) {
        let mut rooms = self.rooms.lock();
        if let Err(index) = rooms.binary_search_by(|(other, _)| other.cmp(room)) {
            rooms.insert(index, (Arc::clone(room), last));
        }
    }

    /// It has left a room.
    pub(crate) fn leaves(&self, room: &Arc<str>) {
        let mut rooms = self.rooms.lock();
        if let Ok(index) = rooms.binary_search_by(|(other, _)| other.cmp(room)) {
            rooms.remove(index);
        }
    }

    /// When it has joined its rooms.
    pub(crate) fn joined(&self) -> Vec<(Arc<str>, u64)> {
        self.rooms.lock().clone()
    }

    /// It is kept.
    pub(crate) fn keep_until(&self, end: Instant) {
        let _ = self.kept_until.set(end);
    }

    pub(crate) fn set_saved(&self) {
        self.saved.store(true, Ordering::Release);
    }

    pub(crate) fn is_saved(&self) -> bool {
        self.saved.load(Ordering::Acquire)
    }

    /// Whether it may still come back, as far as that is known here.
    pub(crate) fn is_awaited(&self, now: Instant) -> bool {
        self.kept_until.get().is_some_and(|end| *end > now)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            joined: self.joined.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            left: self.left.load(Ordering::Relaxed),
        }
    }
}
