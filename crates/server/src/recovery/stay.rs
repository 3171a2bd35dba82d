use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use sockeye_adapter::{KeptSocket, Progress};

/// One stay of a socket that may come back: under which secret, and how far it is in the log.
///
/// All but the constants changes under the lock of the order alone.
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
    /// It is kept until then.
    kept_until: OnceLock<Instant>,
}

const GOING_ON: u64 = u64::MAX;

impl Stay {
    /// The first stay of a socket.
    pub(crate) fn first(pid: &str) -> Self {
        Self::new(pid.into(), false, Progress::default())
    }

    /// That of a socket that comes back.
    pub(crate) fn again(kept: &KeptSocket) -> Self {
        Self::new(kept.pid.clone(), true, kept.progress)
    }

    const fn new(pid: Box<str>, recovered: bool, progress: Progress) -> Self {
        Self {
            pid,
            recovered,
            saved: AtomicBool::new(false),
            joined: AtomicU64::new(progress.joined),
            sent: AtomicU64::new(progress.sent),
            left: AtomicU64::new(GOING_ON),
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
