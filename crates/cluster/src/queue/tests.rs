mod orders;

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::*;
use crate::census::Census;
use crate::job::CountNodes;
use crate::sync::Mutex;

/// The clock of these tests, in milliseconds; each test has a thread of its own.
static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

thread_local! {
    static NOW: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn clock() -> Instant {
    *START + Duration::from_millis(NOW.get())
}

fn queue(bytes: usize) -> Queue {
    of(QueueLimits { bytes, age: None }, clock)
}

fn of(limits: QueueLimits, clock: fn() -> Instant) -> Queue {
    Queue::new(limits, &BusProfile::new("test"), clock)
}

/// A job that is known by its name again.
fn job(name: &str) -> Job {
    Job::CountNodes(CountNodes {
        namespace: name.into(),
        census: Arc::new(Mutex::new(Census::new(clock()))),
        asked: clock(),
        reply: oneshot::channel().0,
    })
}

fn opening(namespace: &str, uid: &str) -> Opening {
    Opening {
        namespace: namespace.into(),
        uid: NodeId::new(uid),
    }
}

fn closing(key: u64, namespace: &str) -> Closing {
    Closing {
        namespace: namespace.into(),
        uid: NodeId::new("u"),
        key,
        done: None,
    }
}

fn name(job: &Job) -> String {
    match job {
        Job::CountNodes(count) => count.namespace.to_string(),
        Job::Open(open) => format!("open {} {}", open.namespace, open.uid),
        Job::Close(close) => format!("close {}", close.namespace),
        Job::Interest(Interest { room, gained, .. }) => {
            format!("{}{room}", if *gained { '+' } else { '-' })
        }
        _ => format!("{job:?}"),
    }
}

fn names(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(name).collect()
}

/// All that is there.
fn drain(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.try_next().0)
        .map(|job| name(&job))
        .collect()
}

fn push(queue: &Queue, name: &str, bytes: usize) -> Dropped {
    queue.push(job(name), bytes)
}

#[test]
fn jobs_come_in_the_order_of_their_pushing() {
    let queue = queue(100);
    let _ = push(&queue, "a", 1);
    queue.open(1, opening("/x", "u"));
    let _ = push(&queue, "b", 1);
    assert_eq!(drain(&queue), ["a", "open /x u", "b"]);
    queue.close(closing(1, "/x"));
    let _ = push(&queue, "c", 1);
    assert_eq!(drain(&queue), ["close /x", "c"]);
}

#[test]
fn oldest_are_dropped_for_what_is_new() {
    let queue = queue(10);
    for name in ["a", "b", "c"] {
        let dropped = push(&queue, name, 4);
        let expected: &[&str] = if name == "c" { &["a"] } else { &[] };
        assert_eq!(names(&dropped.large), expected);
    }
    assert_eq!(queue.waiting(), (2, 8));
    assert_eq!(drain(&queue), ["b", "c"]);
    assert_eq!(queue.waiting(), (0, 0));
}

#[test]
fn message_that_could_never_fit_drops_no_other() {
    let queue = queue(10);
    let _ = push(&queue, "a", 10);
    assert_eq!(names(&push(&queue, "b", 11).large), ["b"]);
    assert_eq!(drain(&queue), ["a"]);
}

#[test]
fn what_has_waited_too_long_is_dropped() {
    let queue = queue(100);
    let _ = push(&queue, "a", 1);
    NOW.set(3000);
    let _ = push(&queue, "b", 1);
    NOW.set(5000);
    assert_eq!(names(&queue.expire()), ["a"]);
    NOW.set(8000);
    let (next, old) = queue.try_next();
    assert!(next.is_none());
    assert_eq!(names(&old), ["b"]);
    let _ = push(&queue, "c", 1);
    assert_eq!(drain(&queue), ["c"]);
}

#[test]
fn what_lives_longer_keeps_nothing_alive_behind_it() {
    let queue = queue(100);
    let _ = queue.push_for(job("session"), 1, Duration::from_secs(120));
    let _ = push(&queue, "event", 1);
    NOW.set(6000);
    let (next, old) = queue.try_next();
    assert_eq!(next.as_ref().map(name).as_deref(), Some("session"));
    assert!(old.is_empty());
    let (next, old) = queue.try_next();
    assert!(next.is_none());
    assert_eq!(names(&old), ["event"]);
}

#[test]
fn job_that_was_put_back_comes_first() {
    let queue = queue(100);
    for name in ["a", "b"] {
        let _ = push(&queue, name, 1);
    }
    let first = queue.try_next().0.unwrap();
    queue.put_back(first);
    assert_eq!(drain(&queue), ["a", "b"]);
}

#[test]
fn namespace_that_closes_before_it_was_told_of_leaves_nothing() {
    let queue = queue(100);
    for key in 0..1000 {
        queue.open(key, opening("/x", "u"));
        queue.interest(key, &"room".into(), true);
        queue.close(closing(key, "/x"));
    }
    let state = queue.state.lock();
    assert!(state.control.is_empty() && state.namespaces.is_empty());
    assert!(state.interests.is_empty());
}

#[test]
fn namespace_that_comes_again_is_closed_before_it_is_opened() {
    let queue = queue(100);
    queue.open(1, opening("/x", "first"));
    assert_eq!(drain(&queue), ["open /x first"]);
    queue.close(closing(1, "/x"));
    queue.open(2, opening("/x", "second"));
    assert_eq!(drain(&queue), ["close /x", "open /x second"]);
    let told = queue.subscriptions();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].uid.as_str(), "second");
}

#[test]
fn interest_is_told_once_the_namespace_is_open_and_only_what_is_news() {
    let queue = queue(100);
    queue.open(1, opening("/x", "u"));
    queue.interest(1, &"a".into(), true);
    queue.interest(1, &"b".into(), true);
    queue.interest(1, &"b".into(), false);
    assert_eq!(drain(&queue), ["open /x u", "+a"]);
    for _ in 0..1000 {
        queue.interest(1, &"a".into(), false);
        queue.interest(1, &"a".into(), true);
        queue.interest(1, &"c".into(), true);
        queue.interest(1, &"c".into(), false);
    }
    assert!(queue.state.lock().interests.len() <= 2);
    assert_eq!(drain(&queue), [""; 0]);
    queue.interest(1, &"a".into(), false);
    assert_eq!(drain(&queue), ["-a"]);
    assert!(queue.state.lock().namespaces[&1].rooms.is_empty());
}

#[test]
fn subscriptions_are_what_was_told_and_is_not_over() {
    let queue = queue(100);
    queue.open(1, opening("/x", "u"));
    queue.open(2, opening("/y", "v"));
    queue.interest(1, &"a".into(), true);
    assert!(queue.subscriptions().is_empty());
    let _ = drain(&queue);
    queue.interest(1, &"b".into(), true);
    queue.close(closing(2, "/y"));
    let _ = drain(&queue);
    let told = queue.subscriptions();
    let [x] = &told[..] else { panic!("{told:?}") };
    let mut rooms = x.rooms.clone();
    rooms.sort_unstable();
    assert_eq!(rooms, ["a".into(), "b".into()]);
}

#[test]
fn messages_are_held_for_a_time_but_for_those_that_servers_are_found_by() {
    let queue = queue(100);
    let messages = |queue: &Queue| drain(queue).len();
    let hold = || {
        queue.hold(Duration::from_secs(2));
        let _ = queue.push(orders::message(1), 1);
    };
    hold();
    let _ = push(&queue, "count", 1);
    assert_eq!(queue.waiting(), (2, 2));
    assert_eq!(drain(&queue), ["count"]);
    assert_eq!(queue.held_since(), Some(clock()));
    queue.put_back(orders::message(2));
    assert_eq!(messages(&queue), 0);
    NOW.set(2000);
    assert_eq!((queue.held_since(), messages(&queue)), (None, 2));
    hold();
    queue.release();
    assert_eq!((queue.held_since(), messages(&queue)), (None, 1));
    hold();
    queue.end();
    assert_eq!(messages(&queue), 1);
    queue.put_back(orders::message(3));
    queue.hold(Duration::from_secs(2));
    assert_eq!(messages(&queue), 1, "nobody would let it go");
}

#[tokio::test]
async fn end_gives_out_what_is_there_and_then_nothing() {
    let queue = queue(100);
    let _ = push(&queue, "a", 1);
    queue.end();
    assert_eq!(names(&push(&queue, "b", 1).large), ["b"]);
    assert_eq!(
        queue.next().await.0.as_ref().map(name).as_deref(),
        Some("a")
    );
    assert!(queue.next().await.0.is_none());
}

/// Several threads push, some job is put back now and then: all arrive, each thread's in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stress_nothing_is_lost_or_reordered_between_threads() {
    const THREADS: usize = 4;
    const JOBS: usize = 5_000;
    static PUT_BACK: AtomicU64 = AtomicU64::new(0);
    let queue = Arc::new(of(
        QueueLimits {
            bytes: usize::MAX,
            age: Some(Duration::from_secs(600)),
        },
        Instant::now,
    ));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                for number in 0..JOBS {
                    let _ = push(&queue, &format!("{thread} {number}"), 1);
                }
            })
        })
        .collect();
    let mut seen = [0; THREADS];
    let mut count = 0;
    while count < THREADS * JOBS {
        let job = queue.next().await.0.unwrap();
        if PUT_BACK.fetch_add(1, Ordering::Relaxed) % 7 == 3 {
            queue.put_back(job);
            continue;
        }
        let name = name(&job);
        let (thread, number) = name.split_once(' ').unwrap();
        let next = &mut seen[thread.parse::<usize>().unwrap()];
        assert_eq!(number.parse::<usize>().unwrap(), *next);
        *next += 1;
        count += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    queue.end();
    assert!(queue.next().await.0.is_none());
}

#[test]
fn what_never_gets_too_old_waits() {
    let limits = QueueLimits {
        bytes: 100,
        age: Some(Duration::MAX),
    };
    let queue = of(limits, clock);
    let _ = queue.push(job("a"), 1);
    queue.hold(Duration::MAX);
    let _ = queue.push_for(job("b"), 1, Duration::MAX);
    NOW.set(1_000_000_000);
    assert!(queue.held_since().is_some());
    queue.release();
    assert!(queue.expire().is_empty());
    let (first, old) = queue.try_next();
    assert_eq!((name(&first.unwrap()), old.len()), ("a".to_owned(), 0));
}

#[tokio::test]
async fn whoever_saves_waits_for_room_or_the_end() {
    let queue = queue(10);
    let save = |name, bytes| queue.save(job(name), bytes, Duration::from_secs(5)).0;
    assert_eq!(save("a", 11), Entry::Refused);
    assert_eq!(save("a", 6), Entry::Taken);
    assert_eq!(save("b", 6), Entry::Full);
    assert_eq!(names(&push(&queue, "c", 5).large), ["c"]);
    let room = queue.room(6);
    tokio::pin!(room);
    assert!(room.as_mut().now_or_never().is_none());
    assert_eq!(drain(&queue), ["a"]);
    room.await;
    assert_eq!(save("b", 6), Entry::Taken);
    let room = queue.room(6);
    tokio::pin!(room);
    assert!(room.as_mut().now_or_never().is_none());
    queue.end();
    room.await;
    assert_eq!(save("c", 1), Entry::Refused);
    assert_eq!(drain(&queue), ["b"]);
}

#[test]
fn messages_may_wait_longer_for_a_bus_with_a_log() {
    let mut bus = BusProfile::new("test");
    let mut limits = QueueLimits::default();
    let age = |limits, bus: &BusProfile| Queue::new(limits, bus, clock).age.as_secs();
    assert_eq!(age(limits, &bus), 5);
    bus.log = true;
    assert_eq!(age(limits, &bus), 60);
    limits.age = Some(Duration::from_secs(7));
    assert_eq!(age(limits, &bus), 7);
}
