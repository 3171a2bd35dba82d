//! Values by name, of which some last as long as they are in use.

use std::collections::{BTreeMap, HashMap};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

/// The namespaces of a server, by their names.
///
/// What is [kept](Self::keep) stays. What is [lent](Self::lend) is there for as long as somebody has it, and has to
/// call [`forget`](Self::forget) when it is dropped: so nobody counts who uses it, and nothing has to agree with such a
/// count. Who has it for no other reason than that somebody might need it again is a [host](Self::host) and gives it up if
/// there is no room for others.
///
/// No value may be dropped while the table is locked, as it would lock it once more.
pub(crate) struct Directory<T> {
    table: RwLock<Table<T>>,
}

struct Table<T> {
    entries: HashMap<Box<str>, Entry<T>, foldhash::fast::RandomState>,
    /// How many entries were made by [`Directory::lend`].
    lent: usize,
    guests: Guests<T>,
}

/// What is hosted, in the order in which it is looked at for what nobody uses: by place, with its name.
struct Guests<T> {
    queue: BTreeMap<u64, (Box<str>, Arc<T>, Place)>,
    next: u64,
}

/// Where a guest stands. Changes under the lock of the table alone.
type Place = Arc<AtomicU64>;

/// Keeps a value until this is dropped, or there is no room.
pub(crate) struct Guest<T> {
    directory: Weak<Directory<T>>,
    place: Place,
}

/// How many guests are looked at for one that nobody uses. There may be very many that somebody does, and peers ask for room
/// as often as they like.
const LOOKS: usize = 64;

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
    /// What had to go for that was a guest.
    Made(Arc<T>, Option<Arc<T>>),
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

    /// The value of this name, which is made if there is none and fewer than `max` were made like this, or a guest can go
    /// for it. `None` if it must not be made.
    pub(crate) fn lend(
        &self,
        name: &str,
        max: Option<usize>,
        lasting: Lasting,
        make: impl FnOnce() -> T,
    ) -> Lent<T> {
        // Dropped behind the lock, whatever happens.
        let mut shed = None;
        let mut table = self.table.write();
        let there = table.entries.get(name);
        if let Some(value) = there.and_then(Entry::value) {
            return Lent::Found(value);
        }
        // One that has just come to its end is counted until it is forgotten.
        let is_counted = there.is_some();
        let has_room = |table: &Table<T>, max| is_counted || table.lent < max;
        match max {
            Some(max) if has_room(&table, max) => {}
            Some(1..) => {
                shed = table.shed();
                if shed.is_none() {
                    return Lent::Full;
                }
            }
            _ => return Lent::Full,
        }
        let value = Arc::new(make());
        let entry = match lasting {
            Lasting::WhileUsed => Entry::Lent(Arc::downgrade(&value)),
            Lasting::ForEver => Entry::Settled(Arc::clone(&value)),
        };
        table.entries.insert(name.into(), entry);
        table.lent += usize::from(!is_counted);
        Lent::Made(value, shed)
    }

    /// Keeps a value of this name for somebody who might need it again.
    pub(crate) fn host(self: &Arc<Self>, name: &str, value: Arc<T>) -> Guest<T> {
        let place = Place::default();
        let guests = &mut self.table.write().guests;
        guests.add(name.into(), value, Arc::clone(&place));
        Guest {
            directory: Arc::downgrade(self),
            place,
        }
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

impl<T> Table<T> {
    /// Takes out the first guest that nobody uses, if one is found soon. Nobody can get at it any more.
    fn shed(&mut self) -> Option<Arc<T>> {
        for _ in 0..LOOKS.min(self.guests.queue.len()) {
            let (_, (name, value, place)) = self.guests.queue.pop_first()?;
            // As the table is locked, nobody is just getting it by its name.
            if Arc::strong_count(&value) == 1 {
                self.entries.remove(&name);
                self.lent -= 1;
                return Some(value);
            }
            self.guests.add(name, value, place);
        }
        None
    }
}

impl<T> Guests<T> {
    /// Puts one behind the others.
    fn add(&mut self, name: Box<str>, value: Arc<T>, place: Place) {
        place.store(self.next, Ordering::Relaxed);
        self.queue.insert(self.next, (name, value, place));
        self.next += 1;
    }
}

impl<T> Drop for Guest<T> {
    fn drop(&mut self) {
        let Some(directory) = self.directory.upgrade() else {
            return;
        };
        let mut table = directory.table.write();
        let place = self.place.load(Ordering::Relaxed);
        let guest = table.guests.queue.remove(&place);
        drop(table);
        // Unlocked, as it may be the last one who has it.
        drop(guest);
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
                guests: Guests {
                    queue: BTreeMap::new(),
                    next: 0,
                },
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
        directory.lend(name, Some(max), Lasting::WhileUsed, || new(directory, name))
    }

    #[test]
    fn what_is_lent_is_there_while_it_is_used() {
        let directory = Arc::default();
        let Lent::Made(value, None) = lend(&directory, "a", 1) else {
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
        assert!(matches!(lend(&directory, "b", 1), Lent::Made(..)));
    }

    #[test]
    fn what_is_kept_stays_and_does_not_count() {
        let directory = Arc::default();
        let Lent::Made(lent, None) = lend(&directory, "a", 1) else {
            panic!("it was not there");
        };
        let (kept, is_new) = directory.keep("a", || unreachable!("it is there"));
        assert!(Arc::ptr_eq(&lent, &kept) && !is_new && directory.is_kept("a"));
        drop((lent, kept));
        assert!(directory.find("a").is_some());
        assert!(matches!(lend(&directory, "b", 1), Lent::Made(..)));
    }

    #[test]
    fn what_lasts_for_ever_counts() {
        let directory: Arc<Directory<Value>> = Arc::default();
        let made = directory.lend("a", Some(1), Lasting::ForEver, || new(&directory, "a"));
        assert!(matches!(made, Lent::Made(..)));
        drop(made);
        assert!(directory.find("a").is_some() && !directory.is_kept("a"));
        assert!(matches!(lend(&directory, "b", 1), Lent::Full));
    }

    #[test]
    fn guests_make_room_unless_somebody_uses_them() {
        let directory = Arc::default();
        let host = |name: &str| {
            let Lent::Made(value, shed) = lend(&directory, name, 3) else {
                panic!("there is room for {name}");
            };
            let guest = directory.host(name, Arc::clone(&value));
            (value, guest, shed.map(|shed| shed.name.clone()))
        };
        let (used, used_guest, _) = host("used");
        let (_, first, _) = host("first");
        let (_, second, _) = host("second");
        // Who is at its own limit makes nobody go.
        let none = directory.lend("x", None, Lasting::WhileUsed, || new(&directory, "x"));
        assert!(matches!(none, Lent::Full));
        let (third_value, third, shed) = host("third");
        assert_eq!(shed.as_deref(), Some("first"));
        assert!(directory.find("first").is_none() && directory.find("second").is_some());
        drop(first);
        drop(third_value);
        let (_, _fourth, shed) = host("fourth");
        assert_eq!(shed.as_deref(), Some("second"));
        let (_, _fifth, shed) = host("fifth");
        assert_eq!(shed.as_deref(), Some("third"));
        drop((second, third));
        assert!(directory.find("used").is_some());
        drop(used);
        let (_, _, shed) = host("last");
        assert_eq!(shed.as_deref(), Some("fourth"));
        drop(used_guest);
        assert!(directory.find("used").is_none());
        assert!(matches!(lend(&directory, "x", 0), Lent::Full));
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
                        let (Lent::Found(value) | Lent::Made(value, _)) = lent else {
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
