use proptest::prelude::*;
use sockeye_socket_proto::Args;

use super::*;
use crate::Target;

const TIME: Duration = Duration::from_secs(10);

fn log(bytes: usize, room_bytes: usize) -> EventLog {
    EventLog::new(LogLimits {
        bytes: bytes * (OVERHEAD + 1),
        room_bytes: room_bytes * (OVERHEAD + 1),
        time: TIME,
    })
}

/// An event that takes one unit of the limits.
fn push(log: &mut EventLog, receivers: Receivers, now: Instant) {
    log.push(
        LoggedEvent::new("".into(), "e", Args::empty()),
        receivers,
        now,
    );
}

fn room(name: &str) -> Receivers {
    Receivers::Target(Target::all().to(name))
}

fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn since(log: &EventLog, number: u64, id: &str, rooms: &[&str]) -> Option<Vec<u64>> {
    since_joined(log, number, id, rooms, &[])
}

fn since_joined(
    log: &EventLog,
    number: u64,
    id: &str,
    rooms: &[&str],
    joined: &[(&str, u64)],
) -> Option<Vec<u64>> {
    let joined: Vec<_> = joined
        .iter()
        .map(|(room, at)| (Arc::from(*room), *at))
        .collect();
    let events = log.since(number, id, &names(rooms), &joined)?;
    Some(events.iter().map(|event| event.number).collect())
}

#[test]
fn events_are_found_by_those_they_are_for() {
    let (mut log, now) = (log(100, 100), Instant::now());
    push(&mut log, Receivers::Target(Target::all()), now);
    push(&mut log, room("r"), now);
    push(&mut log, Receivers::Socket("a".into()), now);
    push(&mut log, Receivers::Target(Target::all().except("r")), now);
    let both = Target::all().to(["r", "s", "r"]).except("b");
    push(&mut log, Receivers::Target(both), now);
    push(&mut log, room("a"), now);
    assert_eq!(since(&log, 0, "a", &["a"]), Some(vec![1, 3, 4, 6]));
    assert_eq!(
        since(&log, 0, "a", &["a", "r", "s"]),
        Some(vec![1, 2, 3, 5, 6])
    );
    assert_eq!(since(&log, 2, "b", &["r"]), Some(vec![]));
    // What is for a socket alone is not for those in a room of its name.
    assert_eq!(since(&log, 1, "b", &["a"]), Some(vec![4, 6]));
    assert_eq!(since(&log, 6, "a", &[]), Some(vec![]));
    assert_eq!(since(&log, 7, "a", &[]), None);
}

#[test]
fn what_a_room_got_before_it_was_joined_is_not_for_the_socket() {
    let (mut log, now) = (log(100, 2), Instant::now());
    for _ in 0..3 {
        push(&mut log, room("r"), now);
    }
    push(
        &mut log,
        Receivers::Target(Target::all().to(["r", "s"])),
        now,
    );
    push(&mut log, room("r"), now);
    // The room has lost the first three, which matters only to those who may have had them.
    assert_eq!(since(&log, 2, "a", &["r"]), None);
    let rooms = ["q", "r", "s"];
    let from = |joined: &[(&str, u64)]| since_joined(&log, 2, "a", &rooms, joined);
    assert_eq!(from(&[("q", 0), ("r", 3), ("s", 4)]), Some(vec![4, 5]));
    assert_eq!(from(&[("q", 9), ("r", 4), ("s", 0)]), Some(vec![4, 5]));
    assert_eq!(from(&[("r", 4), ("s", 4)]), Some(vec![5]));
    assert_eq!(from(&[("r", 1)]), None);
}

#[test]
fn a_room_that_has_too_much_loses_its_own_only() {
    let (mut log, now) = (log(100, 2), Instant::now());
    push(&mut log, room("quiet"), now);
    for _ in 0..3 {
        push(&mut log, room("loud"), now);
    }
    assert_eq!(since(&log, 0, "a", &["quiet"]), Some(vec![1]));
    assert_eq!(since(&log, 0, "a", &["loud"]), None);
    assert_eq!(since(&log, 1, "a", &["loud"]), None);
    assert_eq!(since(&log, 2, "a", &["loud"]), Some(vec![3, 4]));
    assert_eq!(log.bytes(), 3 * (OVERHEAD + 1));
}

#[test]
fn the_log_loses_its_oldest_for_all() {
    let (mut log, now) = (log(3, 100), Instant::now());
    for name in ["a", "b", "c", "d"] {
        push(&mut log, room(name), now);
    }
    assert_eq!(since(&log, 0, "x", &["d"]), None);
    assert_eq!(since(&log, 1, "x", &["d", "a"]), Some(vec![4]));
    assert_eq!(log.rooms.len(), 3);
}

#[test]
fn what_is_larger_than_its_room_is_lost_at_once() {
    let (mut log, now) = (log(100, 0), Instant::now());
    push(&mut log, room("r"), now);
    assert_eq!(since(&log, 0, "a", &["r"]), None);
    assert_eq!(since(&log, 0, "a", &["s"]), Some(vec![]));
    assert_eq!((log.bytes(), log.last()), (0, 1));
}

#[test]
fn old_events_are_forgotten_and_nothing_of_them_stays() {
    let (mut log, now) = (log(100, 1), Instant::now());
    for name in ["r", "r", "s"] {
        push(&mut log, room(name), now);
    }
    push(&mut log, Receivers::Socket("a".into()), now + TIME / 2);
    assert_eq!(log.oldest_until(), Some(now + TIME));
    log.forget_old(now + TIME);
    assert_eq!(since(&log, 3, "a", &["r"]), Some(vec![4]));
    assert_eq!(since(&log, 2, "a", &[]), None);
    log.forget_old(now + TIME * 2);
    assert_eq!((log.is_empty(), log.bytes()), (true, 0));
    assert_eq!((log.rooms.len(), log.sockets.len()), (0, 0));
    assert_eq!(since(&log, 4, "a", &["r"]), Some(vec![]));
    assert_eq!(since(&log, 3, "a", &["r"]), None);
}

#[test]
fn rooms_that_have_lost_all_do_not_pile_up() {
    let (mut log, now) = (log(2, 0), Instant::now());
    for n in 0..4 * CLEAN_EVERY {
        push(&mut log, room(&format!("r{n}")), now);
        push(&mut log, Receivers::Target(Target::all()), now);
    }
    assert!(log.rooms.len() <= usize::try_from(CLEAN_EVERY).unwrap());
}

#[test]
fn what_a_room_has_lost_takes_no_place_behind_an_old_event_of_another() {
    let (mut log, now) = (log(100, 3), Instant::now());
    push(&mut log, room("quiet"), now);
    for _ in 0..10_000 {
        push(&mut log, room("loud"), now);
    }
    let places = log.events.len();
    assert!(places <= 8, "{places} places");
    assert!(log.events.capacity() <= 32);
    assert_eq!(since(&log, 0, "a", &["quiet"]), Some(vec![1]));
    let loud = since(&log, 9998, "a", &["quiet", "loud"]);
    assert_eq!(loud, Some(vec![9999, 10_000, 10_001]));
    assert_eq!(since(&log, 9997, "a", &["loud"]), None);
    log.forget_old(now + TIME);
    assert_eq!((log.is_empty(), log.bytes(), log.holes), (true, 0, 0));
}

/// One step of the model.
#[derive(Clone, Debug)]
enum Step {
    /// An event to these rooms (bits), but for these, to a socket or to a target.
    Push(u8, u8, bool),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..16_u8, 0..16_u8, any::<bool>()).prop_map(|(to, except, own)| Step::Push(to, except & !to, own)),
        1 => (0..6_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..80)
}

const ROOMS: [&str; 4] = ["a", "b", "c", "d"];

fn chosen(bits: u8) -> impl Iterator<Item = &'static str> {
    (0..4)
        .filter(move |n| bits & (1 << n) != 0)
        .map(|n| ROOMS[n])
}

proptest! {
    /// Who asks gets all that was for it, or hears that it is not there; and what has never been too much is there.
    #[test]
    fn nothing_is_missing_unless_it_is_said(steps in steps(), bytes in 0..30_usize, of_room in 0..12_usize) {
        let mut log = log(bytes, of_room);
        let mut now = Instant::now();
        let mut all: Vec<(Receivers, Instant)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Push(to, except, own) => {
                    let receivers = match own {
                        true => Receivers::Socket(ROOMS[usize::from(to & 3)].into()),
                        false => Receivers::Target(Target::all().to(chosen(to)).except(chosen(except))),
                    };
                    push(&mut log, receivers.clone(), now);
                    all.push((receivers, now));
                }
            }
        }
        log.forget_old(now);
        prop_assert!(log.bytes() <= bytes * (OVERHEAD + 1));
        for bits in 0..16 {
            let rooms: Vec<&str> = chosen(bits).collect();
            let rooms = names(&rooms);
            let fresh = all.iter().all(|(_, at)| *at + TIME > now);
            let fits = all.len() <= bytes.min(of_room);
            for number in 0..=all.len() {
                let expected: Vec<u64> = (1..).zip(&all).skip(number)
                    .filter(|(_, (receivers, _))| receivers.include("a", &rooms))
                    .map(|(number, _)| number)
                    .collect();
                match log.since(number as u64, "a", &rooms, &[]) {
                    Some(events) => {
                        let found: Vec<u64> = events.iter().map(|event| event.number).collect();
                        prop_assert_eq!(found, expected);
                    }
                    None => prop_assert!(!fresh || !fits, "{number} of {} was there", all.len()),
                }
            }
        }
    }
}
