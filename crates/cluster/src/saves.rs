//! Sockets that are being kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::sync::{AtomicUsize, Notify};

/// How many of a namespace are on their way to where others find them.
#[derive(Debug, Default)]
pub(crate) struct Saves {
    count: AtomicUsize,
    none: Notify,
}

/// One of them, as long as this is there.
#[derive(Debug)]
pub(crate) struct Saving(Arc<Saves>);

impl Saves {
    pub(crate) fn begin(self: &Arc<Self>) -> Saving {
        self.count.fetch_add(1, Ordering::AcqRel);
        Saving(Arc::clone(self))
    }

    /// Waits until there is none.
    pub(crate) async fn done(&self) {
        loop {
            // Before the look, so that the last one is not missed.
            let none = self.none.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use loom::future::block_on;

    use super::*;
    use crate::sync::{model, spawn};

    #[test]
    fn whoever_waits_learns_of_the_last_one_in_any_order() {
        model(3, || {
            let saves = Arc::new(Saves::default());
            for saving in [saves.begin(), saves.begin()] {
                spawn(move || drop(saving));
            }
            block_on(saves.done());
            assert_eq!(saves.count.load(Ordering::Acquire), 0);
        });
    }

    #[test]
    fn one_that_begins_while_the_last_ends_holds_up_nobody_for_good() {
        model(3, || {
            let saves = Arc::new(Saves::default());
            let saving = saves.begin();
            let next = Arc::clone(&saves);
            spawn(move || drop(saving));
            spawn(move || drop(next.begin()));
            block_on(saves.done());
        });
    }
}
