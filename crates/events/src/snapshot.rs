use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// A value that changes rarely and is read for every event.
///
/// Writers replace the whole value. Readers keep a [`Cached`] reference of their own and look
/// only at a version number, so that the table that all connections share is never written to
/// by a read: a reader-writer lock alone would make every event of every core fight for one
/// cache line.
#[derive(Debug, Default)]
pub struct Snapshot<T> {
    version: AtomicU64,
    current: RwLock<Arc<T>>,
}

/// A reader's own reference to the value of a [`Snapshot`].
#[derive(Debug)]
pub struct Cached<T> {
    version: u64,
    value: Arc<T>,
}

impl<T: Clone> Snapshot<T> {
    /// Replaces the value by a changed copy, which is made each time.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut current = self.current.write();
        // What the change takes out is dropped behind the lock: a handler may own what looks at this
        // very value when it goes.
        let before = Arc::clone(&current);
        let result = change(Arc::make_mut(&mut current));
        self.version.fetch_add(1, Ordering::Release);
        drop(current);
        drop(before);
        result
    }
}

impl<T> Snapshot<T> {
    /// The value as it stands.
    pub fn load(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }

    /// A reader's reference, to be kept and asked again with [`Cached::read`].
    pub fn cached(&self) -> Cached<T> {
        let current = self.current.read();
        Cached {
            version: self.version.load(Ordering::Acquire),
            value: Arc::clone(&current),
        }
    }
}

impl<T> Cached<T> {
    /// The value of `source`, which must be the snapshot that this came from.
    pub fn read(&mut self, source: &Snapshot<T>) -> &Arc<T> {
        if source.version.load(Ordering::Acquire) != self.version {
            *self = source.cached();
        }
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_reader_sees_an_update() {
        let source = Snapshot::<Vec<u8>>::default();
        let mut reader = source.cached();
        assert!(reader.read(&source).is_empty());
        source.update(|value| value.push(7));
        assert_eq!(**reader.read(&source), [7]);
    }

    /// Looks at the value that it was part of when it goes.
    #[derive(Debug)]
    struct Curious(std::sync::Weak<Snapshot<Vec<Arc<Self>>>>);

    impl Drop for Curious {
        fn drop(&mut self) {
            let source = self.0.upgrade().unwrap();
            assert!(source.current.try_read().is_some(), "it is not locked");
        }
    }

    #[test]
    fn what_is_taken_out_may_look_at_the_value_when_it_is_dropped() {
        let source = Arc::new(Snapshot::default());
        let curious = Arc::new(Curious(Arc::downgrade(&source)));
        source.update(|value| value.push(curious));
        source.update(Vec::clear);
        assert!(source.load().is_empty());
    }
}
