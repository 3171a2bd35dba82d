//! A table whose keys are secrets.

use std::fmt;
use std::hash::BuildHasher;
use std::hint::black_box;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Values by secret texts, of which nobody learns a thing by how long it takes to look for one.
///
/// Where a key lies depends on a random number of the table's own, and what lies there is compared in a time that depends
/// on the lengths alone.
pub struct SecretMap<T> {
    table: HashTable<(Box<str>, T)>,
    hasher: RandomState,
}

impl<T> SecretMap<T> {
    /// A table with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: HashTable::new(),
            hasher: RandomState::default(),
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        let hash = self.hasher.hash_one(key);
        let found = self.table.find(hash, |(other, _)| is_same(other, key))?;
        Some(&found.1)
    }

    /// Sets the value of a key; gives the earlier one.
    pub fn insert(&mut self, key: Box<str>, value: T) -> Option<T> {
        let Self { table, hasher } = self;
        let hash = hasher.hash_one(&*key);
        let entry = table.entry(
            hash,
            |(other, _)| is_same(other, &key),
            |(other, _)| hasher.hash_one(&**other),
        );
        match entry {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().1, value)),
            Entry::Vacant(entry) => {
                entry.insert((key, value));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &str) -> Option<T> {
        let hash = self.hasher.hash_one(key);
        let entry = self
            .table
            .find_entry(hash, |(other, _)| is_same(other, key));
        let ((_, value), _) = entry.ok()?.remove();
        Some(value)
    }
}

/// Compares all bytes, wherever the first difference is.
fn is_same(a: &str, b: &str) -> bool {
    let difference = a.bytes().zip(b.bytes());
    let difference = difference.fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    a.len() == b.len() && difference == 0
}

impl<T> Default for SecretMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many, and none of them.
impl<T> fmt::Debug for SecretMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretMap")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_whole_key() {
        let mut map = SecretMap::new();
        assert_eq!(map.insert("abc".into(), 1), None);
        assert_eq!(map.insert("abd".into(), 2), None);
        assert_eq!(map.insert("abc".into(), 3), Some(1));
        assert_eq!(map.get("abc"), Some(&3));
        for other in ["", "ab", "abcd", "xbc"] {
            assert_eq!(map.get(other), None);
            assert_eq!(map.remove(other), None);
        }
        assert_eq!(map.remove("abc"), Some(3));
        assert_eq!((map.len(), map.is_empty()), (1, false));
        assert_eq!(format!("{map:?}"), "SecretMap { len: 1, .. }");
    }
}
