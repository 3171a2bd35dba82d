//! Whom a target means among the members of an index.

use std::borrow::Cow;

use crate::{RoomIndex, Target, index::narrow, slot_set::SlotSet};

impl<T> RoomIndex<T> {
    /// Every member that the target means, once each, as a snapshot to send to after the index is unlocked.
    ///
    /// The order says nothing. Cost: a lookup for each name, a clone of the handle for each member, and for several
    /// rooms the union of their sets, which are at most bitmaps of one bit for each place in the index.
    pub fn select(&self, target: &Target) -> Vec<T>
    where
        T: Clone,
    {
        let mut selected = Vec::with_capacity(self.most(target));
        self.for_each(target, |member| selected.push(member.clone()));
        selected
    }

    /// Calls `f` with every member that the target means, once each, in no particular order.
    pub fn for_each(&self, target: &Target, mut f: impl FnMut(&T)) {
        let except = self.union(target.excepted());
        if target.rooms().len() == 0 {
            for (place, member) in &self.members {
                if !except.contains(narrow(place)) {
                    f(&member.handle);
                }
            }
        } else {
            for place in self.union(target.rooms()).iter() {
                if !except.contains(place) {
                    f(&self.members[place as usize].handle);
                }
            }
        }
    }

    /// How many members the target means, each counted once.
    pub fn count(&self, target: &Target) -> usize {
        if target.is_all() {
            return self.len();
        }
        let mut count = 0;
        self.for_each(target, |_| count += 1);
        count
    }

    /// An upper bound of [`count`](Self::count) that is cheap to have.
    fn most(&self, target: &Target) -> usize {
        if target.rooms().len() == 0 {
            return self.len();
        }
        let sum: usize = target.rooms().map(|room| self.room_len(room)).sum();
        sum.min(self.len())
    }

    /// The members of all these rooms. For a single room this is the room's own set, not a copy, and it stays small
    /// for a single id, which are the two that nearly every target consists of.
    fn union<'a>(&self, rooms: impl Iterator<Item = &'a str>) -> Cow<'_, SlotSet> {
        let mut union = Cow::Borrowed(&EMPTY);
        for room in rooms {
            let (joined, own) = self.resolve(room);
            if let Some(joined) = joined {
                if union.is_empty() {
                    union = Cow::Borrowed(joined);
                } else {
                    union.to_mut().union_with(joined);
                }
            }
            if let Some(own) = own {
                union.to_mut().insert(own);
            }
        }
        union
    }
}

static EMPTY: SlotSet = SlotSet::new();

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Members 0 to 9; "even" and "odd" are rooms, "low" those below 4.
    fn index() -> RoomIndex<u32> {
        let mut index = RoomIndex::new();
        for n in 0..10 {
            let slot = index.insert(Arc::from(format!("#{n}")), n);
            index.join(slot, if n % 2 == 0 { "even" } else { "odd" });
            if n < 4 {
                index.join(slot, "low");
            }
        }
        index
    }

    fn select(target: &Target) -> Vec<u32> {
        let index = index();
        let mut selected = index.select(target);
        assert_eq!(selected.len(), index.count(target));
        selected.sort_unstable();
        selected
    }

    #[test]
    fn no_rooms_means_everybody() {
        assert_eq!(select(&Target::all()), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn one_room_means_its_members() {
        assert_eq!(select(&Target::all().to("low")), [0, 1, 2, 3]);
    }

    #[test]
    fn overlapping_rooms_mean_each_member_once() {
        assert_eq!(
            select(&Target::all().to(["low", "even", "low", "#0", "#9"])),
            [0, 1, 2, 3, 4, 6, 8, 9]
        );
    }

    #[test]
    fn unknown_rooms_mean_nobody() {
        assert!(select(&Target::all().to("nowhere")).is_empty());
        assert_eq!(select(&Target::all().to(["nowhere", "#3"])), [3]);
    }

    #[test]
    fn except_takes_rooms_and_ids() {
        assert_eq!(select(&Target::all().except("even")), [1, 3, 5, 7, 9]);
        assert_eq!(
            select(&Target::all().to("odd").except(["low", "#9", "nowhere"])),
            [5, 7]
        );
        assert!(select(&Target::all().except(["even", "odd"])).is_empty());
    }

    #[test]
    fn for_each_needs_no_clone() {
        struct Handle(u8);
        let mut index = RoomIndex::new();
        index.insert(Arc::from("a"), Handle(7));
        let mut seen = Vec::new();
        index.for_each(&Target::all(), |member| seen.push(member.0));
        assert_eq!(seen, [7]);
    }
}
