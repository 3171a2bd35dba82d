//! Bytes that several stores share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Contents;

/// How many bytes several [`MemoryStore`](super::MemoryStore)s may take together.
///
/// If it is more, those forget their oldest that have more than an equal part: so whoever fills one, or makes many of them,
/// takes nothing from those that have less.
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
    holders: Mutex<Holders>,
}

/// A store's part in a budget.
pub struct Budgeted {
    /// The budget.
    pub budget: Arc<Budget>,
    /// Told when the store has forgotten a socket for the sake of others: somebody should
    /// [sweep](super::MemoryStore::sweep) it soon. Must be quick, and do nothing with the store.
    pub nudge: Box<dyn Fn() + Send + Sync>,
}

/// The stores that have anything.
#[derive(Default)]
struct Holders {
    by_number: BTreeMap<u64, Holder>,
    last: u64,
    /// Whose turn it is.
    turn: u64,
}

struct Holder {
    store: Weak<Mutex<Contents>>,
    billed: Arc<AtomicUsize>,
}

/// One store's part.
pub(super) struct Share {
    of: Option<Budgeted>,
    store: Weak<Mutex<Contents>>,
    billed: Arc<AtomicUsize>,
    /// Among the holders, if it has anything.
    number: Option<u64>,
}

impl Budget {
    /// So many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            holders: Mutex::default(),
        }
    }

    /// How many bytes are taken.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Lets stores forget something, for as long as all take too much. No store may be locked.
    pub(super) fn settle(&self) {
        while self.used() > self.limit {
            let Some(store) = self.next() else { return };
            store.lock().shed();
        }
    }

    /// One that has more than its part: the same as the last time, while it has.
    pub(super) fn next(&self) -> Option<Arc<Mutex<Contents>>> {
        let mut holders = self.holders.lock();
        loop {
            let Holders {
                by_number, turn, ..
            } = &mut *holders;
            let part = self.limit / by_number.len().max(1);
            let from_turn = by_number.range(*turn..).chain(by_number.range(..*turn));
            let has_more = |holder: &Holder| holder.billed.load(Ordering::Relaxed) > part;
            let next = from_turn.clone().find(|(_, holder)| has_more(holder));
            // Nobody has, where one has just become less than was read before.
            let (number, holder) = next.or_else(|| from_turn.clone().next())?;
            *turn = *number;
            if let Some(store) = holder.store.upgrade() {
                return Some(store);
            }
            // It is just being dropped.
            by_number.remove(&*turn);
        }
    }

    fn enter(&self, store: &Weak<Mutex<Contents>>, billed: &Arc<AtomicUsize>) -> u64 {
        let mut holders = self.holders.lock();
        holders.last += 1;
        let number = holders.last;
        let holder = Holder {
            store: Weak::clone(store),
            billed: Arc::clone(billed),
        };
        holders.by_number.insert(number, holder);
        number
    }

    fn leave(&self, number: u64) {
        self.holders.lock().by_number.remove(&number);
    }
}

impl Share {
    pub(super) fn new(of: Option<Budgeted>, store: Weak<Mutex<Contents>>) -> Self {
        Self {
            of,
            store,
            billed: Arc::default(),
            number: None,
        }
    }

    pub(super) fn budget(&self) -> Option<&Arc<Budget>> {
        self.of.as_ref().map(|of| &of.budget)
    }

    pub(super) fn nudge(&self) {
        if let Some(of) = &self.of {
            (of.nudge)();
        }
    }

    /// The store takes so much now.
    pub(super) fn bill(&mut self, bytes: usize) {
        let Some(Budgeted { budget, .. }) = &self.of else {
            return;
        };
        budget.used.fetch_add(bytes, Ordering::Relaxed);
        let before = self.billed.swap(bytes, Ordering::Relaxed);
        budget.used.fetch_sub(before, Ordering::Relaxed);
        match self.number {
            None if bytes > 0 => self.number = Some(budget.enter(&self.store, &self.billed)),
            Some(number) if bytes == 0 => {
                budget.leave(number);
                self.number = None;
            }
            _ => {}
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.bill(0);
    }
}

impl fmt::Debug for Budgeted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budgeted").field(&self.budget).finish()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit", &self.limit)
            .field("used", &self.used())
            .finish_non_exhaustive()
    }
}
