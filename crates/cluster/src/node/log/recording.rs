//! What comes from the log while a kept socket is looked for.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use sockeye_cluster_proto::{Event, Opts};

use crate::replay::ENTRY;
use crate::sync::{AtomicUsize, Mutex, Notify};

/// All that are going on in a namespace: nearly always none.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    count: AtomicUsize,
    going: Mutex<Vec<Weak<Taken>>>,
}

/// One of them, which ends when this is dropped.
pub(super) struct Recording {
    recordings: Arc<Recordings>,
    taken: Arc<Taken>,
}

struct Taken {
    max_bytes: usize,
    /// `None` if it was too much.
    entries: Mutex<Option<(Vec<Arc<Recorded>>, usize)>>,
    more: Notify,
}

/// Something that has come from the log.
pub(super) struct Recorded {
    pub(super) offset: Box<str>,
    /// A broadcast, not decoded; `None` if it is there for its offset alone.
    pub(super) event: Option<(Event, Opts)>,
}

impl Recordings {
    pub(super) fn begin(self: &Arc<Self>, max_bytes: usize) -> Recording {
        let taken = Arc::new(Taken {
            max_bytes,
            entries: Mutex::new(Some((Vec::new(), 0))),
            more: Notify::new(),
        });
        let mut going = self.going.lock();
        going.push(Arc::downgrade(&taken));
        self.count.store(going.len(), Ordering::Release);
        Recording {
            recordings: Arc::clone(self),
            taken,
        }
    }

    pub(super) fn record(&self, event: Option<(&Event, &Opts)>, offset: &str) {
        // Whoever begins one has the lock that the caller has.
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let recorded = Arc::new(Recorded {
            offset: offset.into(),
            event: event.map(|(event, opts)| (event.clone(), opts.clone())),
        });
        for taken in self.going.lock().iter().filter_map(Weak::upgrade) {
            taken.push(&recorded);
        }
    }
}

impl Taken {
    fn push(&self, recorded: &Arc<Recorded>) {
        let mut entries = self.entries.lock();
        let Some((list, bytes)) = &mut *entries else {
            return;
        };
        let event = recorded.event.as_ref();
        *bytes += event.map_or(0, |(event, _)| event.size()) + ENTRY;
        if *bytes > self.max_bytes {
            *entries = None;
        } else {
            list.push(Arc::clone(recorded));
        }
        drop(entries);
        self.more.notify_one();
    }

    /// Whether nothing needs to be waited for any more.
    fn has(&self, offset: &str) -> bool {
        let entries = self.entries.lock();
        entries
            .as_ref()
            .is_none_or(|(list, _)| list.iter().any(|entry| *entry.offset == *offset))
    }
}

impl Recording {
    /// Waits for the event with this offset, or until it is too much.
    pub(super) async fn arrived(&self, offset: &str) {
        while !self.taken.has(offset) {
            self.taken.more.notified().await;
        }
    }

    /// What has come until now; `None` if it was too much.
    pub(super) fn take(&self) -> Option<Vec<Arc<Recorded>>> {
        let entries = self.taken.entries.lock().take();
        entries.map(|(entries, _)| entries)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut going = self.recordings.going.lock();
        going.retain(|other| !std::ptr::eq(other.as_ptr(), Arc::as_ptr(&self.taken)));
        self.recordings.count.store(going.len(), Ordering::Release);
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}
