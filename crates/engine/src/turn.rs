//! Turns: what makes many small writes one.
//!
//! While a driver task handles what it read, everything that is emitted (on whichever
//! connection) is only appended to the outboxes; the writes happen when the turn ends. So a
//! batch of events that broadcasts ten times costs each receiver one system call instead of
//! ten. Code that runs outside a turn, such as a task of the application, writes directly.

use std::cell::RefCell;
use std::fmt;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

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

    /// Ends the turn without flushing. `None` if it is over, or goes on around this.
    fn end(&mut self) -> Option<Vec<Arc<dyn Deferred>>> {
        if !mem::take(&mut self.outermost) {
            return None;
        }
        // The list is taken out first, so that nothing that happens afterwards can find it borrowed.
        TURN.with_borrow_mut(Option::take)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(waiting) = self.end() {
            flush_all(waiting);
        }
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

/// Batches that are flushed together: for what comes piece by piece, from somebody who does not say which piece is the last
/// one for now.
///
/// A task flushes them when whoever brings the pieces lets it have its turn, which is when there are no more.
#[derive(Default)]
pub struct LateBatch(Arc<Late>);

#[derive(Default)]
struct Late(Mutex<Gathered>);

#[derive(Default)]
struct Gathered {
    outboxes: Vec<Arc<dyn Deferred>>,
    /// How much has been emitted, to whomever.
    bytes: usize,
}

/// How much is emitted before it is flushed at once, so that no outbox gets full of what its peer would have taken.
const LATE_BYTES: usize = 16 * 1024;

impl LateBatch {
    /// Runs `work`, which emits about so many bytes to each receiver. Inside a turn this is just a call.
    pub fn add<R>(&self, bytes: usize, work: impl FnOnce() -> R) -> R {
        let mut turn = Turn::begin();
        let result = work();
        if let Some(waiting) = turn.end() {
            self.flush_soon(waiting, bytes);
        }
        result
    }

    fn flush_soon(&self, waiting: Vec<Arc<dyn Deferred>>, bytes: usize) {
        let Some(runtime) = other_workers() else {
            return flush_all(waiting);
        };
        let Late(gathered) = &*self.0;
        let mut gathered = gathered.lock();
        let is_first = gathered.outboxes.is_empty() && !waiting.is_empty();
        gathered.outboxes.extend(waiting);
        gathered.bytes += bytes;
        if gathered.bytes >= LATE_BYTES {
            let Gathered { outboxes, .. } = mem::take(&mut *gathered);
            drop(gathered);
            flush_all(outboxes);
        } else if is_first {
            drop(gathered);
            let promise = Promise(Arc::clone(&self.0));
            runtime.spawn(async move { drop(promise) });
        }
    }
}

impl fmt::Debug for LateBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateBatch").finish_non_exhaustive()
    }
}

/// Flushes what was gathered when it is dropped, be it with the runtime.
struct Promise(Arc<Late>);

impl Drop for Promise {
    fn drop(&mut self) {
        let Late(gathered) = &*self.0;
        let Gathered { outboxes, .. } = mem::take(&mut *gathered.lock());
        flush_all(outboxes);
    }
}

/// The runtime of this thread, if it has others that can do something for it. One of another kind has nobody else; and if it
/// is not run any more, it would do it never.
fn other_workers() -> Option<Handle> {
    let runtime = Handle::try_current().ok()?;
    (runtime.runtime_flavor() == RuntimeFlavor::MultiThread).then_some(runtime)
}

fn flush_all(waiting: Vec<Arc<dyn Deferred>>) {
    let mut own = Slice(waiting);
    if own.0.len() <= FLUSH_SLICE {
        return;
    }
    let Some(runtime) = other_workers() else {
        return;
    };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;

    /// Counts how often it is flushed.
    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Deferred for Counted {
        fn flush_deferred(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Counted {
        fn flushed(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        /// Something emits to it; what is promised twice is flushed twice here.
        fn append(self: &Arc<Self>) {
            assert!(defer(Arc::clone(self) as Arc<dyn Deferred>));
        }
    }

    /// Its only worker has one turn at a time.
    fn one_worker() -> tokio::runtime::Runtime {
        Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap()
    }

    fn run(work: impl Future<Output = ()> + Send + 'static) {
        let runtime = one_worker();
        runtime.block_on(runtime.spawn(work)).unwrap();
    }

    #[test]
    fn late_batches_are_flushed_when_no_more_of_them_come() {
        run(async {
            let (late, outbox) = (LateBatch::default(), Arc::new(Counted::default()));
            for _ in 0..3 {
                late.add(100, || outbox.append());
            }
            assert_eq!(outbox.flushed(), 0);
            while outbox.flushed() < 3 {
                yield_now().await;
            }
            late.add(100, || outbox.append());
            assert_eq!(outbox.flushed(), 3);
            while outbox.flushed() < 4 {
                yield_now().await;
            }
        });
    }

    #[test]
    fn late_batches_do_not_wait_behind_much() {
        run(async {
            let (late, outbox) = (LateBatch::default(), Arc::new(Counted::default()));
            late.add(LATE_BYTES - 1, || outbox.append());
            assert_eq!(outbox.flushed(), 0);
            late.add(1, || ());
            assert_eq!(outbox.flushed(), 1);
        });
    }

    #[test]
    fn late_batches_end_with_the_turn_around_them_and_without_other_workers_at_once() {
        let (late, outbox) = (LateBatch::default(), Arc::new(Counted::default()));
        batch(|| {
            late.add(100, || outbox.append());
            assert_eq!(outbox.flushed(), 0);
        });
        assert_eq!(outbox.flushed(), 1);
        late.add(100, || outbox.append());
        assert_eq!(outbox.flushed(), 2);
        let alone = Builder::new_current_thread().build().unwrap();
        alone.block_on(async { late.add(100, || outbox.append()) });
        assert_eq!(outbox.flushed(), 3);
    }

    #[test]
    fn late_batches_are_flushed_when_the_runtime_ends() {
        let (late, outbox) = (LateBatch::default(), Arc::new(Counted::default()));
        let runtime = one_worker();
        {
            let _entered = runtime.enter();
            late.add(100, || outbox.append());
        }
        drop(runtime);
        assert_eq!(outbox.flushed(), 1);
    }
}
