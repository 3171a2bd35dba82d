//! Turns: what makes many small writes one.
//!
//! While a driver task handles what it read, everything that is emitted (on whichever
//! connection) is only appended to the outboxes; the writes happen when the turn ends. So a
//! batch of events that broadcasts ten times costs each receiver one system call instead of
//! ten. Code that runs outside a turn, such as a task of the application, writes directly.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::runtime::RuntimeFlavor;

thread_local! {
    /// The outboxes that the running turn has appended to; `None` outside a turn.
    static TURN: RefCell<Option<Vec<Arc<dyn Deferred>>>> = const { RefCell::new(None) };
}

/// An outbox whose flushing was put off to the end of a turn.
pub(crate) trait Deferred: Send + Sync {
    fn flush_deferred(&self);
}

/// How many connections one worker flushes itself at the end of a turn. More are cut into
/// slices of this size that other workers can take: at some 5 µs a write, a slice is about a
/// millisecond, in which this worker's other connections wait.
const FLUSH_SLICE: usize = 256;

/// A turn in progress on this thread; ends when dropped.
#[derive(Debug)]
#[must_use = "the turn ends when this is dropped"]
pub(crate) struct Turn {
    /// Whether this began the turn; one inside another does nothing.
    outermost: bool,
}

impl Turn {
    /// Begins a turn, if there is none on this thread yet.
    pub(crate) fn begin() -> Self {
        let outermost = TURN.with_borrow_mut(|turn| match turn {
            Some(_) => false,
            None => {
                *turn = Some(Vec::new());
                true
            }
        });
        Self { outermost }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.outermost {
            return;
        }
        // The list is taken out first, so that nothing that happens below can find it borrowed.
        let waiting = TURN.with_borrow_mut(Option::take).unwrap_or_default();
        flush_all(waiting);
    }
}

/// Leaves the flushing of an outbox to the running turn; false if this thread is in none.
pub(crate) fn defer(outbox: Arc<dyn Deferred>) -> bool {
    TURN.with_borrow_mut(|turn| {
        let Some(list) = turn else { return false };
        list.push(outbox);
        true
    })
}

/// Runs `work` so that everything it emits is flushed together at its end.
///
/// Inside a turn, as every handler is, this is just a call. It is how a broadcast from an
/// ordinary task gets its writes spread over the workers.
pub fn batch<R>(work: impl FnOnce() -> R) -> R {
    let _turn = Turn::begin();
    work()
}

fn flush_all(waiting: Vec<Arc<dyn Deferred>>) {
    let mut own = Slice(waiting);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    // Another runtime has nobody else to do it; and one that is not run any more would do it never.
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    while own.0.len() > FLUSH_SLICE {
        let mut slice = Slice(own.0.split_off(own.0.len() - FLUSH_SLICE));
        runtime.spawn(async move { slice.flush() });
    }
}

/// Outboxes whose flushing was promised. They are flushed at the latest when this is dropped, be it with the
/// runtime: others rely on it.
struct Slice(Vec<Arc<dyn Deferred>>);

impl Slice {
    fn flush(&mut self) {
        for outbox in self.0.drain(..) {
            outbox.flush_deferred();
        }
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        self.flush();
    }
}
