//! Sets of small numbers: the members of a room, and the rooms of a member.
//!
//! Most rooms hold one or two sockets and most sockets are in fewer than four rooms, so a set of up to [`FEW`] numbers
//! lives inline, without an allocation. A larger one is cut into chunks of 65,536 numbers, each a sorted list of `u16`
//! while it is sparse and a bitmap once it is not. That is the Roaring layout. The `roaring` crate was considered and
//! left out: its empty set is 24 bytes where this one is 16, its set of one needs two allocations where this one needs
//! none, and of its operations only the half dozen below are wanted here.
//!
//! Costs: a change moves at most 8 KiB (a full sorted chunk), whatever the size of the set. Past [`FEW`] numbers a set
//! takes some 80 bytes, 40 more for each further chunk, and 1 bit to 4 bytes for each number, growth room included.

use std::slice;

/// A set of `u32`, 16 bytes itself.
#[derive(Clone, Debug)]
pub(crate) struct SlotSet(Repr);

#[derive(Clone, Debug)]
enum Repr {
    /// In the order of insertion, which is the order in which a socket's rooms are then told.
    Few {
        len: u8,
        items: [u32; FEW],
    },
    Many(Box<Chunks>),
}

impl SlotSet {
    pub(crate) const fn new() -> Self {
        Self(Repr::Few {
            len: 0,
            items: [0; FEW],
        })
    }

    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Repr::Few { len, .. } => usize::from(*len),
            Repr::Many(chunks) => chunks.len,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn contains(&self, value: u32) -> bool {
        match &self.0 {
            Repr::Few { len, items } => items[..usize::from(*len)].contains(&value),
            Repr::Many(chunks) => chunks.contains(value),
        }
    }

    /// Returns whether the value is new.
    pub(crate) fn insert(&mut self, value: u32) -> bool {
        match &mut self.0 {
            Repr::Few { len, items } => {
                let used = usize::from(*len);
                if items[..used].contains(&value) {
                    return false;
                }
                if let Some(free) = items.get_mut(used) {
                    *free = value;
                    *len += 1;
                    return true;
                }
                let mut chunks = Chunks::default();
                for &item in items.iter() {
                    chunks.insert(item);
                }
                chunks.insert(value);
                self.0 = Repr::Many(Box::new(chunks));
                true
            }
            Repr::Many(chunks) => chunks.insert(value),
        }
    }

    /// Returns whether the value was there.
    pub(crate) fn remove(&mut self, value: u32) -> bool {
        match &mut self.0 {
            Repr::Few { len, items } => {
                let used = usize::from(*len);
                let Some(at) = items[..used].iter().position(|&item| item == value) else {
                    return false;
                };
                items.copy_within(at + 1..used, at);
                *len -= 1;
                true
            }
            Repr::Many(chunks) => {
                let removed = chunks.remove(value);
                // One below what made it large, or a set that swings around the border would allocate each time.
                if chunks.len < FEW {
                    *self = self.iter().collect();
                }
                removed
            }
        }
    }

    /// Adds every value of `other`, chunk by chunk.
    pub(crate) fn union_with(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Repr::Many(mine), Repr::Many(theirs)) => mine.union_with(theirs),
            (Repr::Few { .. }, Repr::Many(_)) => {
                let mut union = other.clone();
                for value in self.iter() {
                    union.insert(value);
                }
                *self = union;
            }
            (_, Repr::Few { .. }) => {
                for value in other.iter() {
                    self.insert(value);
                }
            }
        }
    }

    /// The values, ascending unless there are only a few.
    pub(crate) fn iter(&self) -> Iter<'_> {
        match &self.0 {
            Repr::Few { len, items } => Iter {
                few: items[..usize::from(*len)].iter(),
                chunks: [].iter(),
                base: 0,
                values: Values::Sorted([].iter()),
                left: usize::from(*len),
            },
            Repr::Many(chunks) => Iter {
                few: [].iter(),
                chunks: chunks.list.iter(),
                base: 0,
                values: Values::Sorted([].iter()),
                left: chunks.len,
            },
        }
    }
}

impl FromIterator<u32> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u32>>(values: I) -> Self {
        let mut set = Self::new();
        for value in values {
            set.insert(value);
        }
        set
    }
}

/// Iterator over a [`SlotSet`].
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    few: slice::Iter<'a, u32>,
    chunks: slice::Iter<'a, Chunk>,
    /// High half of the values of the chunk under way.
    base: u32,
    values: Values<'a>,
    left: usize,
}

impl Iterator for Iter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if let Some(&value) = self.few.next() {
            self.left -= 1;
            return Some(value);
        }
        loop {
            if let Some(low) = self.values.next() {
                self.left -= 1;
                return Some(self.base | u32::from(low));
            }
            let chunk = self.chunks.next()?;
            self.base = u32::from(chunk.high) << 16;
            self.values = chunk.store.values();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

/// The representation of a larger set: non-empty chunks, ascending.
#[derive(Clone, Debug, Default)]
struct Chunks {
    len: usize,
    list: Vec<Chunk>,
}

impl Chunks {
    fn position(&self, high: u16) -> Result<usize, usize> {
        self.list.binary_search_by_key(&high, |chunk| chunk.high)
    }

    fn contains(&self, value: u32) -> bool {
        let (high, low) = split(value);
        self.position(high)
            .is_ok_and(|at| self.list[at].store.contains(low))
    }

    fn insert(&mut self, value: u32) -> bool {
        let (high, low) = split(value);
        let at = match self.position(high) {
            Ok(at) => at,
            Err(at) => {
                // Nearly every set has a single chunk: `Vec` would make room for four.
                if self.list.is_empty() {
                    self.list.reserve_exact(1);
                }
                let store = Store::Sorted(Vec::new());
                self.list.insert(at, Chunk { high, store });
                at
            }
        };
        let new = self.list[at].store.insert(low);
        self.len += usize::from(new);
        new
    }

    fn remove(&mut self, value: u32) -> bool {
        let (high, low) = split(value);
        let Ok(at) = self.position(high) else {
            return false;
        };
        let store = &mut self.list[at].store;
        let removed = store.remove(low);
        if store.len() == 0 {
            self.list.remove(at);
        }
        self.len -= usize::from(removed);
        removed
    }

    fn union_with(&mut self, other: &Self) {
        for chunk in &other.list {
            match self.position(chunk.high) {
                Ok(at) => self.list[at].store.union_with(&chunk.store),
                Err(at) => self.list.insert(at, chunk.clone()),
            }
        }
        self.len = self.list.iter().map(|chunk| chunk.store.len()).sum();
    }
}

#[derive(Clone, Debug)]
struct Chunk {
    high: u16,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Sorted(Vec<u16>),
    Bits { len: usize, words: Box<[u64]> },
}

impl Store {
    fn len(&self) -> usize {
        match self {
            Self::Sorted(values) => values.len(),
            Self::Bits { len, .. } => *len,
        }
    }

    fn contains(&self, value: u16) -> bool {
        match self {
            Self::Sorted(values) => values.binary_search(&value).is_ok(),
            Self::Bits { words, .. } => {
                let (word, bit) = place(value);
                words[word] & bit != 0
            }
        }
    }

    fn insert(&mut self, value: u16) -> bool {
        match self {
            Self::Sorted(values) => {
                let Err(at) = values.binary_search(&value) else {
                    return false;
                };
                if values.len() < DENSE {
                    values.insert(at, value);
                    return true;
                }
                *self = bits(values);
                self.insert(value)
            }
            Self::Bits { len, words } => {
                let (word, bit) = place(value);
                let new = words[word] & bit == 0;
                words[word] |= bit;
                *len += usize::from(new);
                new
            }
        }
    }

    fn remove(&mut self, value: u16) -> bool {
        match self {
            Self::Sorted(values) => {
                let Ok(at) = values.binary_search(&value) else {
                    return false;
                };
                values.remove(at);
                // Gives back what a large room held before, yet keeps room for the next few joins.
                if values.len() < values.capacity() / 4 {
                    values.shrink_to(values.len() * 2);
                }
                true
            }
            Self::Bits { len, words } => {
                let (word, bit) = place(value);
                let removed = words[word] & bit != 0;
                words[word] &= !bit;
                *len -= usize::from(removed);
                if *len < SPARSE {
                    *self = Self::Sorted(self.values().collect());
                }
                removed
            }
        }
    }

    fn union_with(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Bits { len, words }, Self::Bits { words: theirs, .. }) => {
                *len = 0;
                for (mine, theirs) in words.iter_mut().zip(theirs) {
                    *mine |= theirs;
                    *len += mine.count_ones() as usize;
                }
            }
            (Self::Sorted(mine), Self::Bits { .. }) => {
                let mine = std::mem::take(mine);
                *self = other.clone();
                for value in mine {
                    self.insert(value);
                }
            }
            (Self::Sorted(mine), Self::Sorted(theirs)) if mine.len() + theirs.len() <= DENSE => {
                // Two ascending runs, which is what the standard stable sort merges in linear time.
                mine.extend_from_slice(theirs);
                mine.sort();
                mine.dedup();
            }
            (Self::Sorted(mine), Self::Sorted(_)) => {
                *self = bits(mine);
                self.union_with(other);
            }
            (Self::Bits { .. }, Self::Sorted(theirs)) => {
                for &value in theirs {
                    self.insert(value);
                }
            }
        }
    }

    fn values(&self) -> Values<'_> {
        match self {
            Self::Sorted(values) => Values::Sorted(values.iter()),
            Self::Bits { words, .. } => Values::Bits {
                words,
                at: 0,
                word: words[0],
            },
        }
    }
}

/// The values of one chunk, ascending.
#[derive(Clone, Debug)]
enum Values<'a> {
    Sorted(slice::Iter<'a, u16>),
    /// `word` is what is left of `words[at]`.
    Bits {
        words: &'a [u64],
        at: u16,
        word: u64,
    },
}

impl Iterator for Values<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        match self {
            Self::Sorted(values) => values.next().copied(),
            Self::Bits { words, at, word } => {
                while *word == 0 {
                    *word = *words.get(usize::from(*at) + 1)?;
                    *at += 1;
                }
                let bit = word.trailing_zeros() & 63;
                *word &= *word - 1;
                Some((*at << 6) | (bit & 63) as u16)
            }
        }
    }
}

fn bits(values: &[u16]) -> Store {
    let mut words = vec![0u64; WORDS].into_boxed_slice();
    for &value in values {
        let (word, bit) = place(value);
        words[word] |= bit;
    }
    Store::Bits {
        len: values.len(),
        words,
    }
}

fn split(value: u32) -> (u16, u16) {
    ((value >> 16) as u16, (value & 0xffff) as u16)
}

fn place(value: u16) -> (usize, u64) {
    (usize::from(value >> 6), 1 << (value & 63))
}

/// How many numbers a set holds inline: as many as fit beside the pointer of the larger form.
const FEW: usize = 3;

/// 64-bit words in the bitmap of one chunk.
const WORDS: usize = 65_536 / 64;

/// A sorted chunk that would grow past this becomes a bitmap: there both take 8 KiB.
const DENSE: usize = 4_096;

/// A bitmap that falls below this becomes a sorted chunk, well under [`DENSE`] so that a room whose size swings
/// around the border does not change its form each time.
const SPARSE: usize = 2_048;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sorted(set: &SlotSet) -> Vec<u32> {
        let mut values: Vec<u32> = set.iter().collect();
        values.sort_unstable();
        values
    }

    #[test]
    fn set_is_two_words() {
        assert_eq!(size_of::<SlotSet>(), 16);
    }

    #[test]
    fn few_keep_order_of_insertion() {
        let mut set: SlotSet = [9, 4, 7].into_iter().collect();
        assert!(!set.insert(4));
        assert_eq!(set.iter().collect::<Vec<_>>(), [9, 4, 7]);
        assert!(set.remove(4));
        assert!(!set.remove(4));
        assert_eq!(set.iter().collect::<Vec<_>>(), [9, 7]);
    }

    #[test]
    fn grows_dense_and_shrinks_back() {
        let mut set = SlotSet::new();
        for value in 0..100_000 {
            assert!(set.insert(value));
            assert!(!set.insert(value));
        }
        let Repr::Many(chunks) = &set.0 else {
            panic!("a large set is chunked");
        };
        assert!(
            chunks
                .list
                .iter()
                .all(|chunk| matches!(chunk.store, Store::Bits { .. }))
        );
        assert!(set.iter().eq(0..100_000));
        assert_eq!(set.iter().len(), 100_000);
        for value in 2..100_000 {
            assert!(set.remove(value));
        }
        assert_eq!(sorted(&set), [0, 1]);
        assert!(matches!(set.0, Repr::Few { .. }));
    }

    #[test]
    fn emptied_chunks_are_dropped() {
        let mut set: SlotSet = (0..40).map(|n| n << 16).collect();
        for n in 5..40 {
            assert!(set.remove(n << 16));
        }
        let Repr::Many(chunks) = &set.0 else {
            panic!("five values are chunked");
        };
        assert_eq!(chunks.list.len(), 5);
        assert_eq!(set.len(), 5);
    }

    /// Runs of numbers, so that all representations come up: a lone number, a sparse chunk, a dense one, several.
    fn run() -> impl Strategy<Value = Vec<u32>> {
        (
            prop_oneof![0..200_000u32, Just(u32::MAX - 70_000)],
            1..5u32,
            prop_oneof![0..5u32, 0..300u32, 3_000..9_000u32],
        )
            .prop_map(|(start, step, count)| (0..count).map(|n| start + n * step).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), run()), 1..6)) {
            let mut set = SlotSet::new();
            let mut model = BTreeSet::new();
            for (add, values) in steps {
                for value in values {
                    if add {
                        prop_assert_eq!(set.insert(value), model.insert(value));
                    } else {
                        prop_assert_eq!(set.remove(value), model.remove(&value));
                    }
                }
                prop_assert_eq!(set.len(), model.len());
                prop_assert!(sorted(&set).into_iter().eq(model.iter().copied()));
                prop_assert!((0..200_100).step_by(37).all(|n| set.contains(n) == model.contains(&n)));
            }
        }

        #[test]
        fn union_is_every_value_of_both(a in run(), b in run(), c in run()) {
            let mut set: SlotSet = a.iter().copied().collect();
            set.union_with(&b.iter().copied().collect());
            set.union_with(&c.iter().copied().collect());
            let model: BTreeSet<u32> = a.into_iter().chain(b).chain(c).collect();
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(sorted(&set).into_iter().eq(model));
        }
    }
}
