//! Sockets on their way back in: not kept any more, and not connected yet.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use sockeye_adapter::{KeptSocket, LoggedEvent, Receivers, Restored};

use super::{Recovery, now};

/// Who is on the way in, and what goes out for them meanwhile.
#[derive(Default)]
pub(super) struct Holds {
    /// How many there are, for those who send: nearly always none.
    count: AtomicUsize,
    holds: Mutex<Vec<Arc<Hold>>>,
}

/// What goes out for one socket while it comes in.
pub(super) struct Hold {
    id: Arc<str>,
    rooms: Vec<Arc<str>>,
    max_bytes: usize,
    held: Mutex<Held>,
}

enum Held {
    Events {
        events: Vec<Arc<LoggedEvent>>,
        bytes: usize,
    },
    /// It was too much.
    Overflown,
}

impl Holds {
    pub(super) fn open(&self, socket: &KeptSocket, max_bytes: usize) -> Arc<Hold> {
        let hold = Arc::new(Hold {
            id: Arc::clone(&socket.id),
            rooms: socket.rooms.clone(),
            max_bytes,
            held: Mutex::new(Held::Events {
                events: Vec::new(),
                bytes: 0,
            }),
        });
        let mut holds = self.holds.lock();
        holds.push(Arc::clone(&hold));
        self.count.store(holds.len(), Ordering::Release);
        hold
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    fn close(&self, hold: &Arc<Hold>) {
        let mut holds = self.holds.lock();
        holds.retain(|other| !Arc::ptr_eq(other, hold));
        self.count.store(holds.len(), Ordering::Release);
    }

    pub(super) fn offer(&self, receivers: &Receivers, event: impl FnOnce() -> Arc<LoggedEvent>) {
        // Whoever opens one has the lock of the order, as the caller has, or comes between two events.
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let event = event();
        for hold in &*self.holds.lock() {
            if receivers.include(&hold.id, &hold.rooms) {
                hold.push(&event);
            }
        }
    }
}

impl Hold {
    fn push(&self, event: &Arc<LoggedEvent>) {
        let mut held = self.held.lock();
        if let Held::Events { events, bytes } = &mut *held {
            *bytes += event.bytes();
            if *bytes > self.max_bytes {
                *held = Held::Overflown;
            } else {
                events.push(Arc::clone(event));
            }
        }
    }
}

/// A socket that comes back. Dropped before it is in, it is kept on for the rest of its time.
pub(crate) struct Returning {
    recovery: Arc<Recovery>,
    /// `None` if it needs no keeping any more.
    restored: Option<Restored>,
    hold: Arc<Hold>,
    end: Instant,
}

impl Returning {
    pub(super) fn new(recovery: Arc<Recovery>, restored: Restored, hold: Arc<Hold>) -> Self {
        Self {
            end: now() + restored.left,
            recovery,
            restored: Some(restored),
            hold,
        }
    }

    /// What was kept of it.
    pub(crate) fn socket(&self) -> &KeptSocket {
        let restored = self.restored.as_ref();
        &restored.expect("it is taken by those who drop it").socket
    }

    /// How many bytes it has missed, as far as that is known now.
    pub(crate) fn missed_bytes(&self) -> usize {
        let missed = self.restored.iter().flat_map(|restored| &restored.missed);
        missed.map(|event| event.bytes()).sum()
    }

    /// Takes out what it has missed until now. What was held counts on for how much that may be in all.
    pub(crate) fn take_missed(&mut self) -> Vec<Arc<LoggedEvent>> {
        let restored = self.restored.as_mut();
        let missed = restored.map(|restored| mem::take(&mut restored.missed));
        let mut missed = missed.unwrap_or_default();
        if let Held::Events { events, .. } = &mut *self.hold.held.lock() {
            missed.append(events);
        }
        missed
    }

    /// Takes it in, under the lock of the order: what it has missed and was not taken out, or `None` if that is too much.
    pub(crate) fn admit(mut self) -> Option<Vec<Arc<LoggedEvent>>> {
        let mut missed = self.take()?.missed;
        let nothing = Held::Events {
            events: Vec::new(),
            bytes: 0,
        };
        match mem::replace(&mut *self.hold.held.lock(), nothing) {
            Held::Events { events, .. } => missed.extend(events),
            Held::Overflown => return None,
        }
        Some(missed)
    }

    /// Gives it up: nobody can come back as this socket any more.
    pub(crate) fn give_up(mut self) -> Option<KeptSocket> {
        Some(self.take()?.socket)
    }

    pub(super) fn take(&mut self) -> Option<Restored> {
        self.recovery.holds.close(&self.hold);
        self.restored.take()
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        let Some(restored) = self.restored.take() else {
            return;
        };
        // In this order, for whoever asks if there is anybody: those who sweep go on as long as there is.
        let left = self.end.saturating_duration_since(now());
        self.recovery.keep_on(restored.socket, left);
        self.recovery.holds.close(&self.hold);
    }
}
