use std::cell::Cell;

use sockeye_socket_proto::Args;

use super::*;
use crate::{Progress, Target};

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn now() -> Instant {
    NOW.get().unwrap_or_else(|| {
        let now = Instant::now();
        NOW.set(Some(now));
        now
    })
}

fn wait(seconds: u64) {
    NOW.set(Some(now() + Duration::from_secs(seconds)));
}

const KEEP: Duration = Duration::from_secs(10);

fn store() -> MemoryStore {
    with(100, 100_000)
}

fn with(sockets: usize, socket_bytes: usize) -> MemoryStore {
    let log = LogLimits {
        bytes: 100_000,
        room_bytes: 100_000,
        time: Duration::from_secs(20),
    };
    let limits = MemoryLimits::new(log, sockets, socket_bytes);
    MemoryStore::new(limits, "EPOCH".to_owned(), now)
}

fn sharing(budget: &Arc<Budget>) -> MemoryStore {
    let limits = store().limits;
    let budgeted = Budgeted {
        budget: Arc::clone(budget),
        nudge: Box::new(|| ()),
    };
    MemoryStore::with_budget(limits, "EPOCH".to_owned(), now, Some(budgeted))
}

fn log(store: &MemoryStore, room: &str) -> Box<str> {
    let (_, offset) = store.next();
    let receivers = Receivers::Target(Target::all().to(room));
    let event = LoggedEvent::new(offset.clone(), "e", Args::empty());
    store.log(event, receivers);
    offset
}

fn kept(pid: &str, progress: Progress) -> KeptSocket {
    let mut socket = KeptSocket::new(pid.into(), "id".into());
    socket.rooms = vec!["id".into(), "room".into()];
    socket.progress = progress;
    socket
}

fn progress(joined: u64, sent: u64, left: u64) -> Progress {
    Progress { joined, sent, left }
}

/// The numbers of what is missed, if the socket is there.
fn restore(store: &MemoryStore, pid: &str, offset: Option<&str>) -> Option<Vec<u64>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let resume: Resume = Box::new(move |restored| {
        sender.send(restored).unwrap();
        None
    });
    store.restore(Claim { pid, offset }, resume);
    let restored = receiver.recv().ok()?;
    Some(restored.missed.iter().map(|event| event.number).collect())
}

#[test]
fn offsets_are_read_back() {
    let store = store();
    for number in [0, 1, 63, 64, 4095, 4096, u64::MAX] {
        let offset = store.offset_of(number);
        assert_eq!(store.number_of(&offset), Some(number), "{offset}");
    }
    for none in [
        "",
        "EPOCH",
        "EPOC1",
        "EPOCH!",
        "OTHER1",
        "EPOCH____________",
    ] {
        assert_eq!(store.number_of(none), None, "{none}");
    }
}

#[test]
fn what_was_missed_comes_once() {
    let store = store();
    let first = log(&store, "room");
    store.keep(kept("pid", progress(0, 1, 1)), KEEP);
    log(&store, "room");
    log(&store, "other");
    log(&store, "id");
    assert_eq!(restore(&store, "pad", Some(&first)), None);
    assert_eq!(restore(&store, "pid", Some(&first)), Some(vec![2, 4]));
    assert_eq!(restore(&store, "pid", Some(&first)), None);
}

#[test]
fn who_has_got_nothing_needs_no_offset() {
    let store = store();
    log(&store, "room");
    let joined = store.offset().unwrap();
    // One was sent and did not arrive, another came when it was gone.
    log(&store, "room");
    log(&store, "room");
    store.keep(kept("pid", progress(1, 2, 2)), KEEP);
    assert_eq!(restore(&store, "pid", None), Some(vec![2, 3]));
    store.keep(kept("pid", progress(1, 2, 2)), KEEP);
    assert_eq!(restore(&store, "pid", Some(&joined)), Some(vec![2, 3]));
    // An offset of an earlier stay.
    store.keep(kept("pid", progress(1, 2, 2)), KEEP);
    let earlier = store.offset_of(0);
    assert_eq!(restore(&store, "pid", Some(&earlier)), Some(vec![2, 3]));
}

#[test]
fn who_has_got_all_comes_back_however_old_its_last_event_is() {
    let store = store();
    let first = log(&store, "room");
    wait(100);
    for _ in 0..3 {
        log(&store, "other");
    }
    store.keep(kept("pid", progress(0, 1, 4)), KEEP);
    log(&store, "room");
    assert_eq!(restore(&store, "pid", Some(&first)), Some(vec![5]));
    // One that has not got all of it does not, as it is not there any more.
    store.keep(kept("pid", progress(0, 4, 4)), KEEP);
    assert_eq!(restore(&store, "pid", None), None);
    let gone: Vec<_> = store.sweep().expired;
    assert_eq!(gone.len(), 1);
}

#[test]
fn offsets_that_make_no_sense_restore_nothing() {
    let store = store();
    log(&store, "room");
    for offset in ["hello", "EPOCH9", "OTHER1"] {
        store.keep(kept("pid", progress(0, 1, 1)), KEEP);
        assert_eq!(restore(&store, "pid", Some(offset)), None, "{offset}");
        assert_eq!(restore(&store, "pid", Some("EPOCH1")), None);
    }
}

#[test]
fn sockets_expire_and_are_told_of() {
    let store = store();
    store.keep(kept("a", progress(0, 0, 0)), KEEP);
    wait(4);
    store.keep(kept("b", progress(0, 0, 0)), KEEP);
    let swept = store.sweep();
    assert_eq!(
        (swept.expired.len(), swept.next),
        (0, Some(now() + KEEP - Duration::from_secs(4)))
    );
    wait(6);
    let swept = store.sweep();
    assert_eq!(swept.expired.len(), 1);
    assert_eq!(&*swept.expired[0].pid, "a");
    // Before anybody sweeps, too.
    wait(4);
    assert_eq!(restore(&store, "b", None), None);
    let swept = store.sweep();
    assert_eq!((swept.expired.len(), swept.next), (1, None));
    assert_eq!(store.state.lock().bytes, 0);
}

#[test]
fn oldest_sockets_make_room() {
    let store = with(2, 100_000);
    for pid in ["a", "b", "c"] {
        store.keep(kept(pid, progress(0, 0, 0)), KEEP);
    }
    assert_eq!(&*store.sweep().expired[0].pid, "a");
    assert_eq!(store.kept(), 2);
    let size = bytes_of(&kept("x", progress(0, 0, 0)));
    let store = with(100, 2 * size);
    for pid in ["a", "b", "c"] {
        store.keep(kept(pid, progress(0, 0, 0)), KEEP);
    }
    assert_eq!(store.kept(), 2);
    let mut large = kept("d", progress(0, 0, 0));
    large.data = Some("x".repeat(2 * size).into());
    store.keep(large, KEEP);
    let gone: Vec<_> = store
        .sweep()
        .expired
        .iter()
        .map(|kept| kept.pid.clone())
        .collect();
    assert_eq!(gone, ["a".into(), Box::from("d")]);
}

#[test]
fn socket_that_nobody_waits_for_is_kept_for_the_rest_of_its_time() {
    let store = store();
    store.keep(kept("a", progress(0, 0, 0)), KEEP);
    wait(6);
    store.restore(
        Claim {
            pid: "a",
            offset: None,
        },
        Box::new(Some),
    );
    wait(3);
    assert_eq!(store.sweep().expired.len(), 0);
    wait(1);
    assert_eq!(store.sweep().expired.len(), 1);
}

#[test]
fn debug_shows_no_secrets() {
    let store = store();
    store.keep(kept("secret", progress(0, 0, 0)), KEEP);
    assert!(!format!("{store:?} {:?}", kept("secret", progress(0, 0, 0))).contains("secret"));
}

#[test]
fn store_that_has_most_of_a_budget_makes_room_for_the_others() {
    let limit = 10 * 1024;
    let budget = Arc::new(Budget::new(limit));
    let stores = [sharing(&budget), sharing(&budget)];
    let [many, few] = &stores;
    log(few, "room");
    few.keep(kept("first", progress(0, 0, 1)), KEEP);
    for _ in 0..100 {
        log(many, "room");
    }
    assert!((limit - 1024..=limit).contains(&budget.used()));
    for n in 0..6 {
        few.keep(kept(&n.to_string(), progress(1, 1, 1)), KEEP);
    }
    assert!(budget.used() <= limit);
    assert_eq!(few.kept(), 7);
    assert_eq!(restore(few, "first", None), Some(vec![]));
    // Beyond its part it is its own oldest that go, and somebody is told of them.
    for n in 6..40 {
        few.keep(kept(&n.to_string(), progress(1, 1, 1)), KEEP);
    }
    assert!(budget.used() <= limit);
    assert!(many.state.lock().log.bytes() > limit / 3);
    assert_eq!(restore(few, "0", None), None);
    assert_eq!(restore(few, "39", None), Some(vec![]));
    assert_eq!(few.sweep().expired.len() + few.kept(), 39);
    drop(stores);
    assert_eq!(budget.used(), 0);
    assert!(budget.next().is_none());
}

#[test]
fn what_is_too_much_for_a_budget_is_not_kept() {
    let budget = Arc::new(Budget::new(100));
    let store = sharing(&budget);
    store.keep(kept("a", progress(0, 0, 0)), KEEP);
    log(&store, "room");
    assert_eq!((budget.used(), store.kept()), (0, 0));
    assert_eq!(restore(&store, "a", None), None);
}

#[test]
fn what_is_kept_for_ever_stays() {
    let mut limits = store().limits;
    limits.log.time = Duration::MAX;
    let store = MemoryStore::new(limits, "EPOCH".to_owned(), now);
    let first = log(&store, "room");
    store.keep(kept("pid", progress(0, 1, 1)), Duration::MAX);
    wait(1_000_000);
    log(&store, "room");
    assert!(store.sweep().expired.is_empty());
    assert_eq!(restore(&store, "pid", Some(&first)), Some(vec![2]));
}
