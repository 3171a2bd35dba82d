//! Values by name, of which some last as long as they are in use.

use std::collections::HashMap;
use std::ptr;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

/// The namespaces of a server, by their names.
///
/// What is [kept](Self::keep) stays. What is [lent](Self::lend) is there for as long as somebody has it, and has to
/// call [`forget`](Self::forget) when it is dropped: so nobody counts who uses it, and nothing has to agree with such a
/// count.
///
/// No value may be dropped while the table is locked, as it would lock it once more.
pub(crate) struct Directory<T> {
    table: RwLock<Table<T>>,
}

struct Table<T> {
    entries: HashMap<Box<str>, Entry<T>, foldhash::fast::RandomState>,
    /// How many entries were made by [`Directory::lend`].
    lent: usize,
}

enum Entry<T> {
    Kept(Arc<T>),
    /// Made on demand.
    Lent(Weak<T>),
    /// The same, and kept nevertheless.
    Settled(Arc<T>),
}

/// How long something lasts that is made on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    WhileUsed,
    ForEver,
}

/// A value was found or made.
#[derive(Debug)]
pub(crate) enum Lent<T> {
    Found(Arc<T>),
    Made(Arc<T>),
    /// There are as many as there may be.
    Full,
}

impl<T> Directory<T> {
    pub(crate) fn find(&self, name: &str) -> Option<Arc<T>> {
        self.table.read().entries.get(name)?.value()
    }

    /// Whether it is there, and is kept.
    pub(crate) fn is_kept(&self, name: &str) -> bool {
        matches!(self.table.read().entries.get(name), Some(Entry::Kept(_)))
    }

    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let table = self.table.read();
        table.entries.values().filter_map(Entry::value).collect()
    }

    /// The value of this name, which is made if there is none and stays from now on. The second is whether it was made.
    pub(crate) fn keep(&self, name: &str, make: impl FnOnce() -> T) -> (Arc<T>, bool) {
        let mut table = self.table.write();
        let there = table.entries.get(name).and_then(Entry::value);
        let is_new = there.is_none();
        let value = there.unwrap_or_else(|| Arc::new(make()));
        let entry = Entry::Kept(Arc::clone(&value));
        if let Some(Entry::Lent(_) | Entry::Settled(_)) = table.entries.insert(name.into(), entry) {
            table.lent -= 1;
        }
        (value, is_new)
    }

    /// The value of this name, which is made if there is none and fewer than `max` were made like this.
    pub(crate) fn lend(
        &self,
        name: &str,
        max: usize,
        lasting: Lasting,
        make: impl FnOnce() -> T,
    ) -> Lent<T> {
        let mut table = self.table.write();
        let there = table.entries.get(name);
        if let Some(value) = there.and_then(Entry::value) {
            return Lent::Found(value);
        }
        // One that has just come to its end is counted until it is forgotten.
        let is_counted = there.is_some();
        if !is_counted && table.lent >= max {
            return Lent::Full;
        }
        let value = Arc::new(make());
        let entry = match lasting {
            Lasting::WhileUsed => Entry::Lent(Arc::downgrade(&value)),
            Lasting::ForEver => Entry::Settled(Arc::clone(&value)),
        };
        table.entries.insert(name.into(), entry);
        table.lent += usize::from(!is_counted);
        Lent::Made(value)
    }

    /// This value, which was lent, is being dropped. Another one may have its name already.
    pub(crate) fn forget(&self, name: &str, value: &T) {
        let mut table = self.table.write();
        let is_it = |entry: &Entry<T>| match entry {
            Entry::Kept(_) | Entry::Settled(_) => false,
            Entry::Lent(lent) => ptr::eq(lent.as_ptr(), value),
        };
        if !table.entries.get(name).is_some_and(is_it) {
            return;
        }
        table.entries.remove(name);
        table.lent -= 1;
        // A crowd that came and went leaves no table of its size behind.
        if table.entries.len() < table.entries.capacity() / 8 {
            let len = table.entries.len();
            table.entries.shrink_to(len * 2);
        }
    }
}

impl<T> Entry<T> {
    fn value(&self) -> Option<Arc<T>> {
        match self {
            Self::Kept(value) | Self::Settled(value) => Some(Arc::clone(value)),
            Self::Lent(value) => value.upgrade(),
        }
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Self {
            table: RwLock::new(Table {
                entries: HashMap::default(),
                lent: 0,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// As namespaces do.
    struct Value {
        name: String,
        directory: Weak<Directory<Self>>,
    }

    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(directory) = self.directory.upgrade() {
                directory.forget(&self.name, self);
            }
        }
    }

    fn new(directory: &Arc<Directory<Value>>, name: &str) -> Value {
        Value {
            name: name.to_owned(),
            directory: Arc::downgrade(directory),
        }
    }

    fn lend(directory: &Arc<Directory<Value>>, name: &str, max: usize) -> Lent<Value> {
        directory.lend(name, max, Lasting::WhileUsed, || new(directory, name))
    }

    #[test]
    fn what_is_lent_is_there_while_it_is_used() {
        let directory = Arc::default();
        let Lent::Made(value) = lend(&directory, "a", 1) else {
            panic!("it was not there");
        };
        let Lent::Found(again) = lend(&directory, "a", 1) else {
            panic!("it is there");
        };
        assert!(Arc::ptr_eq(&value, &again));
        assert!(matches!(lend(&directory, "b", 1), Lent::Full));
        drop(value);
        assert!(directory.find("a").is_some());
        drop(again);
        assert!(directory.find("a").is_none() && directory.all().is_empty());
        assert!(matches!(lend(&directory, "b", 1), Lent::Made(_)));
    }

    #[test]
    fn what_is_kept_stays_and_does_not_count() {
        let directory = Arc::default();
        let Lent::Made(lent) = lend(&directory, "a", 1) else {
            panic!("it was not there");
        };
        let (kept, is_new) = directory.keep("a", || unreachable!("it is there"));
        assert!(Arc::ptr_eq(&lent, &kept) && !is_new && directory.is_kept("a"));
        drop((lent, kept));
        assert!(directory.find("a").is_some());
        assert!(matches!(lend(&directory, "b", 1), Lent::Made(_)));
    }

    #[test]
    fn what_lasts_for_ever_counts() {
        let directory: Arc<Directory<Value>> = Arc::default();
        let made = directory.lend("a", 1, Lasting::ForEver, || new(&directory, "a"));
        assert!(matches!(made, Lent::Made(_)));
        drop(made);
        assert!(directory.find("a").is_some() && !directory.is_kept("a"));
        assert!(matches!(lend(&directory, "b", 1), Lent::Full));
    }

    #[test]
    fn a_crowd_leaves_nothing_behind() {
        let directory = Arc::default();
        let crowd: Vec<_> = (0..10_000)
            .map(|n| lend(&directory, &n.to_string(), usize::MAX))
            .collect();
        assert_eq!(directory.all().len(), 10_000);
        drop(crowd);
        let table = directory.table.read();
        assert!(table.lent == 0 && table.entries.is_empty());
        assert!(
            table.entries.capacity() < 16,
            "{}",
            table.entries.capacity()
        );
    }

    #[test]
    fn threads_that_lend_and_give_back_agree() {
        let directory = Arc::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..5_000 {
                        let name = if round % 2 == 0 { "a" } else { "b" };
                        let lent = lend(&directory, name, 2);
                        let (Lent::Found(value) | Lent::Made(value)) = lent else {
                            panic!("there are two names");
                        };
                        assert_eq!(value.name, name);
                    }
                });
            }
        });
        let table = directory.table.read();
        assert!(table.lent == 0 && table.entries.is_empty());
    }
}
