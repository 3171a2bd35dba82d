//! What happens so often that nobody should have to look whether somebody listens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What happens to a connection with each message or pong of its peer, who may have asked for a thousand namespaces: if
/// nobody listens, none of them need be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// A packet has come, or goes.
    Packet,
    /// A pong, or a ping, is due.
    Heartbeat,
}

/// Whether some [`Listeners`](crate::Listeners) have handlers of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    what: Often,
    is_wanted: AtomicBool,
}

/// How many of this process's listeners have handlers of it.
static WANTING: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

impl Often {
    /// Whether any listeners of this process have handlers of it.
    #[inline]
    #[must_use]
    pub fn is_wanted(self) -> bool {
        self.wanting().load(Ordering::Acquire) > 0
    }

    fn wanting(self) -> &'static AtomicUsize {
        &WANTING[self as usize]
    }
}

impl Wanted {
    pub(crate) const fn new(what: Often) -> Self {
        Self {
            what,
            is_wanted: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> bool {
        self.is_wanted.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, is_wanted: bool) {
        match (self.is_wanted.swap(is_wanted, Ordering::AcqRel), is_wanted) {
            (false, true) => self.what.wanting().fetch_add(1, Ordering::Release),
            (true, false) => self.what.wanting().fetch_sub(1, Ordering::Release),
            _ => return,
        };
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other test of this crate listens to heartbeats.
    #[test]
    fn is_wanted_as_long_as_any_listeners_want_it() {
        let (one, other) = (Wanted::new(Often::Heartbeat), Wanted::new(Often::Heartbeat));
        assert!(!Often::Heartbeat.is_wanted());
        one.set(true);
        one.set(true);
        other.set(true);
        one.set(false);
        one.set(false);
        assert!(Often::Heartbeat.is_wanted() && other.get() && !one.get());
        drop(other);
        assert!(!Often::Heartbeat.is_wanted());
    }
}
