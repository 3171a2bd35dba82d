//! Which socket is in which room.

use std::{fmt, hash::BuildHasher, iter, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::{HashTable, hash_table};
use slab::Slab;
use sockeye_meter::{self as meter, Tally};

use crate::slot_set::SlotSet;

/// The members of one namespace and their rooms; `T` is the handle of a member, a cheap clone.
///
/// Every member has an id and, with it, a room of that name. That room is never stored: naming it finds the member
/// through its id. Other members may join a room that is named like an id, and the room then means them and the member
/// with that id. [`rooms`](Self::rooms) has stored rooms only.
///
/// Rooms come into being with their first member and go with their last.
///
/// # Cost
///
/// A member in up to three rooms takes 48 bytes with an 8-byte handle, and 5 to 11 for its entry in the id table; the id
/// itself is shared with the caller. A room with up to three members takes some 40 bytes and its name. Past three, the
/// set of a member's rooms, or that of a room's members, takes some 80 bytes more and up to 4 for each entry, less than
/// a byte in rooms that most of the namespace is in. The tables of members and rooms grow by doubling, and places of
/// those that are gone are used again, so the index is as large as its busiest moment needed.
///
/// Joining and leaving cost a hash of the room's name and at most a move of 8 KiB, in a room of any size.
///
/// Nothing here grows by what a peer sends: members and rooms are added by calls only. An application that joins rooms
/// whose names its clients choose decides how many by itself; [`room_count_of`](Self::room_count_of) is what it needs to
/// put a bound on them.
///
/// # Examples
///
/// ```
/// use sockeye_adapter::{Joined, Left, RoomIndex, Target};
///
/// let mut index = RoomIndex::new();
/// let anna = index.insert("id-a".into(), "Anna");
/// let bert = index.insert("id-b".into(), "Bert");
/// assert_eq!(index.join(anna, "chess"), Joined::Created);
/// assert_eq!(index.join(bert, "chess"), Joined::Joined);
///
/// let others = Target::all().to("chess").except("id-a");
/// assert_eq!(index.select(&others), ["Bert"]);
///
/// assert_eq!(index.leave(bert, "chess"), Left::Left);
/// assert_eq!(index.leave(anna, "chess"), Left::Deleted);
/// ```
pub struct RoomIndex<T> {
    pub(crate) members: Slab<Member<T>>,
    rooms: Slab<Room>,
    /// Places in `members`, found by the hash of the id. A table of numbers instead of a map by name: the names are in
    /// the slabs already.
    ids: HashTable<u32>,
    /// Places in `rooms`, found by the hash of the name.
    names: HashTable<u32>,
    hasher: RandomState,
    /// Serial number of the next member.
    next: u32,
    /// What is counted of the rooms.
    share: Tally<{ meter::ROOMS }>,
}

/// A member's place in a [`RoomIndex`], good until the member is removed.
///
/// Places are used again, slots are not: one that outlived its member finds nobody. (They are told apart by
/// a 32-bit serial number, so a stale slot would have to wait for four thousand million further members.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    place: u32,
    serial: u32,
}

/// What [`RoomIndex::join`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The member is new in the room.
    Joined,
    /// The member is the first one in the room: nobody had joined it, nor has anybody that id.
    Created,
    /// Nothing: the member was in the room already, or it is the room of its own id.
    Already,
    /// Nothing: the member is gone.
    Gone,
}

/// What [`RoomIndex::leave`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The member is no longer in the room.
    Left,
    /// The member was the last one in the room: nobody is left who had joined it, nor has anybody that id.
    Deleted,
    /// Nothing: the member was not in the room, is gone, or it is the room of its own id.
    NotIn,
}

/// One room that a removed member was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftRoom {
    /// The room's name.
    pub name: Arc<str>,
    /// Whether the member was the last one, as for [`Left::Deleted`].
    pub deleted: bool,
}

impl<T> RoomIndex<T> {
    /// An index with no members, which allocates nothing.
    pub fn new() -> Self {
        Self {
            members: Slab::new(),
            rooms: Slab::new(),
            ids: HashTable::new(),
            names: HashTable::new(),
            hasher: RandomState::default(),
            next: 0,
            share: Tally::new(),
        }
    }

    /// Adds a member, in no room but that of its id.
    ///
    /// Ids are meant to be unique. Of two members with one id, the later answers to it, and the earlier can be reached
    /// only by its slot and its rooms.
    ///
    /// # Panics
    ///
    /// If there were more than 2³² members at once.
    pub fn insert(&mut self, id: Arc<str>, member: T) -> Slot {
        let serial = self.next;
        self.next = serial.wrapping_add(1);
        let hash = self.hasher.hash_one(&*id);
        let place = narrow(self.members.insert(Member {
            id,
            rooms: SlotSet::new(),
            serial,
            handle: member,
        }));
        let Self {
            members, hasher, ..
        } = self;
        let id_at = |place: u32| &*members[place as usize].id;
        let entry = self.ids.entry(
            hash,
            |&other| id_at(other) == id_at(place),
            |&other| hasher.hash_one(id_at(other)),
        );
        match entry {
            hash_table::Entry::Occupied(mut entry) => *entry.get_mut() = place,
            hash_table::Entry::Vacant(entry) => drop(entry.insert(place)),
        }
        Slot { place, serial }
    }

    /// Takes a member out of the index and of its rooms, and tells which they were, less that of its own id.
    ///
    /// `None` if the member is gone already.
    pub fn remove(&mut self, slot: Slot) -> Option<(T, Vec<LeftRoom>)> {
        self.member(slot)?;
        let member = self.members.remove(slot.place as usize);
        let hash = self.hasher.hash_one(&*member.id);
        // By place, not by id: a later member with the same id keeps its entry.
        if let Ok(entry) = self.ids.find_entry(hash, |&place| place == slot.place) {
            entry.remove();
        }
        let rooms = member.rooms.iter().map(|number| {
            self.rooms[number as usize].members.remove(slot.place);
            let name = Arc::clone(&self.rooms[number as usize].name);
            let deleted = self.delete_if_empty(number) && self.place_of(&name).is_none();
            LeftRoom { name, deleted }
        });
        let rooms = rooms.collect();
        Some((member.handle, rooms))
    }

    /// The member in this slot, unless it is gone.
    pub fn get(&self, slot: Slot) -> Option<&T> {
        self.member(slot).map(|member| &member.handle)
    }

    /// The id of the member in this slot.
    pub fn id_of(&self, slot: Slot) -> Option<&Arc<str>> {
        self.member(slot).map(|member| &member.id)
    }

    /// The member with this id.
    pub fn by_id(&self, id: &str) -> Option<&T> {
        let place = self.place_of(id)?;
        Some(&self.members[place as usize].handle)
    }

    /// The slot of the member with this id.
    pub fn slot_of(&self, id: &str) -> Option<Slot> {
        let place = self.place_of(id)?;
        let serial = self.members[place as usize].serial;
        Some(Slot { place, serial })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Every member with its slot, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.members.iter().map(|(place, member)| {
            let slot = Slot {
                place: narrow(place),
                serial: member.serial,
            };
            (slot, &member.handle)
        })
    }

    /// Puts a member into a room, which is created if need be.
    ///
    /// Once the member is gone this does nothing, so a join that lost the race against a disconnect leaves nothing
    /// behind.
    ///
    /// # Panics
    ///
    /// If there were more than 2³² rooms at once.
    pub fn join(&mut self, slot: Slot, room: &str) -> Joined {
        let Some(member) = self.member_mut(slot) else {
            return Joined::Gone;
        };
        if *member.id == *room {
            return Joined::Already;
        }
        let (number, created) = match self.number_of(room) {
            Some(number) => (number, false),
            None => (self.create(room), self.place_of(room).is_none()),
        };
        if !self.members[slot.place as usize].rooms.insert(number) {
            return Joined::Already;
        }
        self.rooms[number as usize].members.insert(slot.place);
        if created {
            Joined::Created
        } else {
            Joined::Joined
        }
    }

    /// Takes a member out of a room, which is deleted if it was the last one there.
    ///
    /// The room of its own id cannot be left: it lasts as long as the member.
    pub fn leave(&mut self, slot: Slot, room: &str) -> Left {
        let Some(number) = self.number_of(room) else {
            return Left::NotIn;
        };
        let Some(member) = self.member_mut(slot) else {
            return Left::NotIn;
        };
        if !member.rooms.remove(number) {
            return Left::NotIn;
        }
        self.rooms[number as usize].members.remove(slot.place);
        if self.delete_if_empty(number) && self.place_of(room).is_none() {
            Left::Deleted
        } else {
            Left::Left
        }
    }

    /// Whether a member is in a room; it always is in that of its own id.
    pub fn is_in(&self, slot: Slot, room: &str) -> bool {
        self.member(slot).is_some_and(|member| {
            *member.id == *room
                || self
                    .number_of(room)
                    .is_some_and(|number| member.rooms.contains(number))
        })
    }

    /// The rooms of a member: its own id first, then the others, in the order of joining while they are three at
    /// most. Empty if the member is gone.
    pub fn rooms_of(&self, slot: Slot) -> impl Iterator<Item = &str> {
        self.member(slot).into_iter().flat_map(|member| {
            let joined = member.rooms.iter();
            let joined = joined.map(|number| &*self.rooms[number as usize].name);
            iter::once(&*member.id).chain(joined)
        })
    }

    /// How many rooms a member joined, that of its own id not counted.
    pub fn room_count_of(&self, slot: Slot) -> usize {
        self.member(slot).map_or(0, |member| member.rooms.len())
    }

    /// The members of a room, each once; none if there is no such room.
    pub fn members(&self, room: &str) -> impl Iterator<Item = &T> {
        let (joined, own) = self.resolve(room);
        let joined = joined.into_iter().flat_map(SlotSet::iter);
        joined
            .chain(own)
            .map(|place| &self.members[place as usize].handle)
    }

    /// How many members a room has; 0 if there is no such room.
    pub fn room_len(&self, room: &str) -> usize {
        let (joined, own) = self.resolve(room);
        joined.map_or(0, SlotSet::len) + usize::from(own.is_some())
    }

    /// The names of the rooms that members joined, in no particular order.
    pub fn rooms(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rooms.iter().map(|(_, room)| &*room.name)
    }

    /// Who a room is: the members that joined it, and the one with that id. They never overlap, because nobody joins
    /// the room of its own id.
    pub(crate) fn resolve(&self, room: &str) -> (Option<&SlotSet>, Option<u32>) {
        let hash = self.hasher.hash_one(room);
        let joined = self
            .names
            .find(hash, |&number| *self.rooms[number as usize].name == *room);
        let own = self
            .ids
            .find(hash, |&place| *self.members[place as usize].id == *room);
        let joined = joined.map(|&number| &self.rooms[number as usize].members);
        (joined, own.copied())
    }

    fn member(&self, slot: Slot) -> Option<&Member<T>> {
        let member = self.members.get(slot.place as usize);
        member.filter(|member| member.serial == slot.serial)
    }

    fn member_mut(&mut self, slot: Slot) -> Option<&mut Member<T>> {
        let member = self.members.get_mut(slot.place as usize);
        member.filter(|member| member.serial == slot.serial)
    }

    fn place_of(&self, id: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(id);
        let found = self
            .ids
            .find(hash, |&place| *self.members[place as usize].id == *id);
        found.copied()
    }

    fn number_of(&self, room: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(room);
        let found = self
            .names
            .find(hash, |&number| *self.rooms[number as usize].name == *room);
        found.copied()
    }

    fn create(&mut self, room: &str) -> u32 {
        let number = narrow(self.rooms.insert(Room {
            name: Arc::from(room),
            members: SlotSet::new(),
        }));
        let Self { rooms, hasher, .. } = self;
        self.names
            .insert_unique(hasher.hash_one(room), number, |&other| {
                hasher.hash_one(&*rooms[other as usize].name)
            });
        self.share.set(self.rooms.len());
        number
    }

    fn delete_if_empty(&mut self, number: u32) -> bool {
        let room = &self.rooms[number as usize];
        if !room.members.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one(&*room.name);
        if let Ok(entry) = self.names.find_entry(hash, |&other| other == number) {
            entry.remove();
        }
        self.rooms.remove(number as usize);
        self.share.set(self.rooms.len());
        true
    }
}

impl<T> Default for RoomIndex<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for RoomIndex<T> {
    /// Counts only: the whole of an index is too long to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomIndex")
            .field("members", &self.members.len())
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}

pub(crate) struct Member<T> {
    id: Arc<str>,
    /// Numbers of the rooms it joined.
    rooms: SlotSet,
    serial: u32,
    pub(crate) handle: T,
}

struct Room {
    name: Arc<str>,
    /// Places of the members that joined it.
    members: SlotSet,
}

/// Places are kept in 32 bits: half the memory, and what the sets are made for.
pub(crate) fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("an index has at most 2^32 members and rooms")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index<const N: usize>(ids: [&'static str; N]) -> (RoomIndex<&'static str>, [Slot; N]) {
        let mut index = RoomIndex::new();
        let slots = ids.map(|id| index.insert(Arc::from(id), id));
        (index, slots)
    }

    fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn member_is_48_bytes() {
        assert_eq!(size_of::<Member<Arc<()>>>(), 48);
        // The slab's mark for a vacant place hides in a pointer, as that of `Option` does.
        assert_eq!(size_of::<Option<Member<Arc<()>>>>(), 48);
    }

    #[test]
    fn first_join_creates_and_last_leave_deletes() {
        let (mut index, [a, b]) = index(["a", "b"]);
        assert_eq!(index.join(a, "r"), Joined::Created);
        assert_eq!(index.join(a, "r"), Joined::Already);
        assert_eq!(index.join(b, "r"), Joined::Joined);
        assert_eq!(index.room_len("r"), 2);
        assert_eq!(index.leave(a, "r"), Left::Left);
        assert_eq!(index.leave(a, "r"), Left::NotIn);
        assert_eq!(index.leave(b, "r"), Left::Deleted);
        assert_eq!(index.leave(b, "r"), Left::NotIn);
        assert_eq!(index.rooms().len(), 0);
    }

    #[test]
    fn own_id_is_a_room_that_is_not_stored() {
        let (mut index, [a]) = index(["a"]);
        assert!(index.is_in(a, "a"));
        assert_eq!(index.room_len("a"), 1);
        assert_eq!(index.join(a, "a"), Joined::Already);
        assert_eq!(index.leave(a, "a"), Left::NotIn);
        assert_eq!(index.rooms().len(), 0);
        index.join(a, "r");
        assert_eq!(index.rooms_of(a).collect::<Vec<_>>(), ["a", "r"]);
        assert_eq!(index.room_count_of(a), 1);
    }

    #[test]
    fn room_named_like_an_id_means_both() {
        let (mut index, [a, b]) = index(["a", "b"]);
        assert_eq!(index.join(b, "a"), Joined::Joined);
        assert_eq!(sorted(index.members("a").copied()), ["a", "b"]);
        assert_eq!(index.room_len("a"), 2);
        // Whoever joined stays in the room when the one it is named after goes, and the other way round.
        assert_eq!(index.remove(a), Some(("a", vec![])));
        assert_eq!(sorted(index.members("a").copied()), ["b"]);
        index.insert(Arc::from("a"), "a again");
        assert_eq!(index.leave(b, "a"), Left::Left);
        assert_eq!(sorted(index.members("a").copied()), ["a again"]);
    }

    #[test]
    fn removed_member_leaves_its_rooms() {
        let (mut index, [a, b]) = index(["a", "b"]);
        index.join(a, "shared");
        index.join(b, "shared");
        index.join(a, "alone");
        let left = |name, deleted| LeftRoom {
            name: Arc::from(name),
            deleted,
        };
        let rooms = vec![left("shared", false), left("alone", true)];
        assert_eq!(index.remove(a), Some(("a", rooms)));
        assert_eq!(index.remove(a), None);
        assert_eq!(index.rooms().collect::<Vec<_>>(), ["shared"]);
        assert_eq!(index.by_id("a"), None);
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn stale_slot_finds_nobody() {
        let (mut index, [a]) = index(["a"]);
        index.remove(a);
        let b = index.insert(Arc::from("b"), "b");
        assert_eq!(a.place, b.place);
        assert_eq!(index.join(a, "r"), Joined::Gone);
        assert_eq!(index.leave(a, "r"), Left::NotIn);
        assert_eq!(index.get(a), None);
        assert_eq!(index.rooms_of(a).count(), 0);
        assert!(!index.is_in(a, "b"));
        assert_eq!(index.rooms().len(), 0);
        assert_eq!(index.slot_of("b"), Some(b));
    }

    #[test]
    fn later_member_answers_to_a_doubled_id() {
        let mut index = RoomIndex::new();
        let first = index.insert(Arc::from("x"), 1);
        let second = index.insert(Arc::from("x"), 2);
        assert_eq!(index.by_id("x"), Some(&2));
        assert_eq!(index.get(first), Some(&1));
        index.remove(first);
        assert_eq!(index.slot_of("x"), Some(second));
        index.remove(second);
        assert_eq!(index.by_id("x"), None);
    }

    #[test]
    fn places_and_rooms_are_used_again() {
        let mut index = RoomIndex::new();
        for round in 0..1_000 {
            let slot = index.insert(Arc::from(format!("id{round}")), ());
            index.join(slot, &format!("room{round}"));
            index.remove(slot);
        }
        assert_eq!(index.members.capacity(), 4);
        assert_eq!(index.rooms.capacity(), 4);
        assert!(index.ids.is_empty() && index.names.is_empty());
    }
}
