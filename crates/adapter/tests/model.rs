//! The room index against a naive model: the same operations must give the same answers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use proptest::prelude::*;
use sockeye_adapter::{Joined, Left, RoomIndex, Slot, Target};

/// Few members and rooms, so that operations meet; room names 0 to 7 are also ids, so that both kinds of room mix.
const IDS: u8 = 24;
const ROOMS: u8 = 16;

#[derive(Clone, Debug)]
enum Op {
    Insert(u8),
    Remove(u8),
    Join(u8, u8),
    Leave(u8, u8),
    /// Joins by a slot that may be stale.
    JoinStale(u8),
    Select(Vec<u8>, Vec<u8>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..IDS).prop_map(Op::Insert),
        2 => (0..IDS).prop_map(Op::Remove),
        8 => (0..IDS, 0..ROOMS).prop_map(|(id, room)| Op::Join(id, room)),
        4 => (0..IDS, 0..ROOMS).prop_map(|(id, room)| Op::Leave(id, room)),
        1 => (0..ROOMS).prop_map(Op::JoinStale),
        4 => (rooms(), rooms()).prop_map(|(rooms, except)| Op::Select(rooms, except)),
    ];
    prop::collection::vec(op, 1..150)
}

fn rooms() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..IDS, 0..4)
}

fn name(number: u8) -> String {
    format!("name-{number}")
}

/// Rooms as Node's in-memory adapter keeps them, own-id rooms apart.
#[derive(Default)]
struct Model {
    rooms: HashMap<String, HashSet<String>>,
    slots: BTreeMap<String, Slot>,
}

impl Model {
    fn members(&self, room: &str) -> BTreeSet<String> {
        let joined = self.rooms.get(room).into_iter().flatten().cloned();
        let own = self.slots.contains_key(room).then(|| room.to_owned());
        joined.chain(own).collect()
    }

    fn rooms_of(&self, id: &str) -> BTreeSet<String> {
        let joined = self
            .rooms
            .iter()
            .filter(|(_, members)| members.contains(id));
        joined.map(|(room, _)| room.clone()).collect()
    }

    fn join(&mut self, id: &str, room: &str) -> Joined {
        if !self.slots.contains_key(id) {
            return Joined::Gone;
        }
        if id == room {
            return Joined::Already;
        }
        let created = self.members(room).is_empty();
        let members = self.rooms.entry(room.to_owned()).or_default();
        match (members.insert(id.to_owned()), created) {
            (true, true) => Joined::Created,
            (true, false) => Joined::Joined,
            (false, _) => Joined::Already,
        }
    }

    fn leave(&mut self, id: &str, room: &str) -> Left {
        let Some(members) = self.rooms.get_mut(room) else {
            return Left::NotIn;
        };
        if !members.remove(id) {
            return Left::NotIn;
        }
        if members.is_empty() {
            self.rooms.remove(room);
        }
        match self.members(room).is_empty() {
            true => Left::Deleted,
            false => Left::Left,
        }
    }

    fn select(&self, rooms: &[String], except: &[String]) -> BTreeSet<String> {
        let mut selected: BTreeSet<String> = if rooms.is_empty() {
            self.slots.keys().cloned().collect()
        } else {
            rooms.iter().flat_map(|room| self.members(room)).collect()
        };
        for room in except {
            for id in self.members(room) {
                selected.remove(&id);
            }
        }
        selected
    }
}

/// Runs one operation on both and compares the answers.
fn step(index: &mut RoomIndex<Arc<str>>, model: &mut Model, gone: &mut Vec<Slot>, op: &Op) {
    match op {
        Op::Insert(id) => {
            let id: Arc<str> = Arc::from(name(*id));
            if !model.slots.contains_key(&*id) {
                let slot = index.insert(Arc::clone(&id), Arc::clone(&id));
                model.slots.insert(id.to_string(), slot);
            }
        }
        Op::Remove(id) => {
            let id = name(*id);
            let Some(slot) = model.slots.get(&id).copied() else {
                return;
            };
            let (member, left) = index.remove(slot).expect("the model has this member");
            assert_eq!(*member, *id);
            let mut names = BTreeSet::new();
            for room in left {
                let expected = model.leave(&id, &room.name);
                assert_eq!(expected == Left::Deleted, room.deleted);
                assert_ne!(expected, Left::NotIn);
                assert!(names.insert(room.name));
            }
            assert!(model.rooms_of(&id).is_empty());
            model.slots.remove(&id);
            gone.push(slot);
        }
        Op::Join(id, room) => {
            let (id, room) = (name(*id), name(*room));
            if let Some(&slot) = model.slots.get(&id) {
                assert_eq!(index.join(slot, &room), model.join(&id, &room));
            }
        }
        Op::Leave(id, room) => {
            let (id, room) = (name(*id), name(*room));
            if let Some(&slot) = model.slots.get(&id) {
                assert_eq!(index.leave(slot, &room), model.leave(&id, &room));
            }
        }
        Op::JoinStale(room) => {
            for &slot in gone.iter() {
                assert_eq!(index.join(slot, &name(*room)), Joined::Gone);
            }
        }
        Op::Select(rooms, except) => {
            let rooms: Vec<String> = rooms.iter().copied().map(name).collect();
            let except: Vec<String> = except.iter().copied().map(name).collect();
            let target = Target::all().to(&rooms).except(&except);
            let selected = index.select(&target);
            let expected = model.select(&rooms, &except);
            assert_eq!(selected.len(), expected.len(), "each member once");
            assert_eq!(index.count(&target), expected.len());
            let selected: BTreeSet<String> = selected.iter().map(ToString::to_string).collect();
            assert_eq!(selected, expected);
        }
    }
}

fn compare(index: &RoomIndex<Arc<str>>, model: &Model) {
    assert_eq!(index.len(), model.slots.len());
    let rooms: BTreeSet<&str> = index.rooms().collect();
    assert_eq!(rooms, model.rooms.keys().map(String::as_str).collect());
    for number in 0..IDS {
        let name = name(number);
        let members: Vec<&Arc<str>> = index.members(&name).collect();
        let expected = model.members(&name);
        assert_eq!(members.len(), expected.len());
        assert_eq!(index.room_len(&name), expected.len());
        assert!(members.iter().all(|member| expected.contains(&***member)));

        let Some(&slot) = model.slots.get(&name) else {
            assert_eq!(index.slot_of(&name), None);
            continue;
        };
        assert_eq!(index.slot_of(&name), Some(slot));
        assert_eq!(index.by_id(&name).map(|id| &**id), Some(&*name));
        let mut rooms = index.rooms_of(slot);
        assert_eq!(rooms.next(), Some(&*name), "own id first");
        let rooms: Vec<&str> = rooms.collect();
        let expected = model.rooms_of(&name);
        assert_eq!(rooms.len(), expected.len());
        assert_eq!(index.room_count_of(slot), expected.len());
        assert!(rooms.iter().all(|&room| expected.contains(room)));
        assert!(rooms.iter().all(|&room| index.is_in(slot, room)));
    }
}

proptest! {
    #[test]
    fn index_agrees_with_the_naive_model(ops in ops()) {
        let mut index = RoomIndex::new();
        let mut model = Model::default();
        let mut gone = Vec::new();
        for op in &ops {
            step(&mut index, &mut model, &mut gone, op);
        }
        compare(&index, &model);
    }
}

#[test]
fn large_rooms_join_leave_and_combine() {
    let mut index = RoomIndex::new();
    let slots: Vec<Slot> = (0..100_000u32)
        .map(|n| index.insert(Arc::from(n.to_string()), n))
        .collect();
    for (n, &slot) in slots.iter().enumerate() {
        index.join(slot, "all");
        index.join(slot, if n % 2 == 0 { "even" } else { "odd" });
        if n % 100 == 0 {
            index.join(slot, "hundredth");
        }
    }
    assert_eq!(index.room_len("all"), 100_000);
    assert_eq!(index.count(&Target::all().to(["even", "odd"])), 100_000);
    assert_eq!(index.count(&Target::all().to("all").except("even")), 50_000);
    assert_eq!(
        index.count(&Target::all().to(["odd", "hundredth"]).except("0")),
        50_999
    );
    for &slot in &slots[10..] {
        index.remove(slot);
    }
    assert_eq!(index.room_len("all"), 10);
    assert_eq!(index.select(&Target::all().to("hundredth")), [0]);
}
