//! A mark that an outbox is full, for whoever asks with every packet.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether an outbox was full when something was appended, and nobody has seen room in it since.
///
/// It is set and cleared under the outbox's lock, so that whoever had that last has the last word, and read without it. A
/// thread sees at once what it has appended itself. What others have may show later: that costs a few packets more in an
/// outbox that is full, and is looked at under the lock before the next read.
pub(crate) struct FullMark<F = AtomicBool>(F);

/// A flag that threads share.
pub(crate) trait Flag {
    fn get(&self) -> bool;

    fn set(&self, is_set: bool);
}

impl Flag for AtomicBool {
    fn get(&self) -> bool {
        self.load(Ordering::Relaxed)
    }

    fn set(&self, is_set: bool) {
        self.store(is_set, Ordering::Relaxed);
    }
}

impl FullMark {
    pub(crate) const fn new() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl<F: Flag> FullMark<F> {
    /// Something was appended by whoever holds the lock.
    pub(crate) fn appended(&self, is_full: bool) {
        if is_full {
            self.0.set(true);
        }
    }

    /// Whether the outbox is full, as far as this thread has filled it. It is locked only if the mark is set.
    pub(crate) fn is_full<G>(
        &self,
        lock: impl FnOnce() -> G,
        is_full: impl FnOnce(&G) -> bool,
    ) -> bool {
        if !self.0.get() {
            return false;
        }
        let locked = lock();
        let is_full = is_full(&locked);
        self.0.set(is_full);
        is_full
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::sync::{Mutex, MutexGuard, atomic};
    use loom::thread;

    use super::*;

    impl Flag for atomic::AtomicBool {
        fn get(&self) -> bool {
            self.load(Ordering::Relaxed)
        }

        fn set(&self, is_set: bool) {
            self.store(is_set, Ordering::Relaxed);
        }
    }

    const LIMIT: usize = 2;

    struct Outbox {
        locked: Mutex<Locked>,
        mark: FullMark<atomic::AtomicBool>,
    }

    #[derive(Default)]
    struct Locked {
        waiting: usize,
        /// The driver has filled it, and nobody has made room since.
        is_filled: bool,
    }

    impl Outbox {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                locked: Mutex::default(),
                mark: FullMark(atomic::AtomicBool::new(false)),
            })
        }

        fn lock(&self) -> MutexGuard<'_, Locked> {
            self.locked.lock().unwrap()
        }

        fn append(&self, by_driver: bool) {
            let mut locked = self.lock();
            locked.waiting += 1;
            let is_full = locked.waiting >= LIMIT;
            locked.is_filled |= is_full && by_driver;
            self.mark.appended(is_full);
        }

        fn write(&self) {
            let mut locked = self.lock();
            locked.waiting = 0;
            locked.is_filled = false;
        }

        fn is_full(&self) -> bool {
            let look = |locked: &MutexGuard<'_, Locked>| locked.waiting >= LIMIT;
            self.mark.is_full(|| self.lock(), look)
        }
    }

    /// A driver that answers packets, beside one who does something else with its outbox.
    fn model(other: fn(&Outbox)) {
        loom::model(move || {
            let outbox = Outbox::new();
            let beside = Arc::clone(&outbox);
            let beside = thread::spawn(move || other(&beside));
            for _ in 0..2 {
                outbox.append(true);
                if !outbox.is_full() {
                    assert!(!outbox.lock().is_filled, "it goes on though it is full");
                }
            }
            beside.join().unwrap();
            let is_full = outbox.lock().waiting >= LIMIT;
            assert_eq!(outbox.is_full(), is_full, "all is seen in the end");
            outbox.write();
            assert!(!outbox.is_full());
            assert!(!outbox.mark.0.get(), "nobody locks it any more");
        });
    }

    #[test]
    fn what_a_driver_fills_is_full_for_it_while_others_append() {
        model(|outbox| {
            outbox.append(false);
            outbox.append(false);
        });
    }

    #[test]
    fn what_a_driver_fills_is_full_for_it_while_others_write() {
        model(|outbox| {
            outbox.write();
            outbox.append(false);
            outbox.write();
        });
    }

    #[test]
    fn what_a_driver_fills_is_full_for_it_while_others_look() {
        model(|outbox| {
            outbox.append(false);
            outbox.is_full();
            outbox.write();
        });
    }
}
