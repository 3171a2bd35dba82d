//! Every order in which threads can meet at a log: whoever brings what is logged, a socket that comes back, servers that
//! emit, and the time.

use std::sync::mpsc::TryIter;

use futures_util::future::join;
use loom::future::block_on;
use sockeye_adapter::Target;
use sockeye_cluster_proto::{Envelope, NodeId};
use sockeye_socket_proto::Args;

use super::*;
use crate::job::Publish;
use crate::node::models::{Sent, World, next_job};
use crate::sync::{model, spawn};

type Seen = parking_lot::Mutex<Vec<u64>>;

impl World {
    /// One whose bus has a log.
    fn logged() -> Self {
        let world = Self::new(|profile| profile.log = true);
        assert!(world.node.recovery().is_some());
        world
    }
}

/// The log has an event for everyone.
fn arrives(node: &Arc<Node>, from: &NodeId, number: u64, tag: Option<u64>) {
    let offset = number.to_string();
    let message = Message::Broadcast {
        event: Event::new(&offset, Args::empty().as_raw()),
        opts: Opts::default(),
        request: None,
    };
    let envelope = Envelope {
        from: Some(from.clone()),
        namespace: None,
        message,
    };
    let offset = &*offset;
    node.handle(envelope, Some(Place { offset, tag }));
}

fn numbers(sent: TryIter<'_, (String, Option<String>)>) -> Vec<u64> {
    sent.map(|(name, _)| name.parse().unwrap()).collect()
}

/// Looks for a socket in the log, of which this server may have been brought less than another one.
async fn read(node: &Node) {
    let restore = loop {
        match node.post.next().await {
            Some(Job::Restore(restore)) => break restore,
            Some(Job::Publish(publish)) => publish.fate.tell(),
            job => panic!("{job:?}"),
        }
    };
    let [offset, until] = [&restore.offset, &restore.until].map(|at| at.parse::<u64>().unwrap());
    let logged = match offset > until {
        true => Between::Ahead,
        false => Between::Events(
            (offset + 1..=until)
                .map(|number| Logged {
                    offset: number.to_string().into(),
                    message: Message::Broadcast {
                        event: Event::new(&number.to_string(), Args::empty().as_raw()),
                        opts: Opts::default(),
                        request: None,
                    },
                })
                .collect(),
        ),
    };
    let found = Found {
        socket: KeptSocket::new("pid".into(), "id".into()),
        logged,
        left: Duration::from_secs(60),
    };
    assert!(restore.answer(Box::new(found)).is_ok());
}

/// Has a socket come back that has got this event, and says what it gets until the others are done.
fn come_back(node: &Node, sent: Sent, offset: u64, others: impl FnOnce()) -> Vec<u64> {
    let got = Arc::new(Seen::default());
    let missed = Arc::clone(&got);
    let sent = Arc::new(parking_lot::Mutex::new(sent));
    let before = Arc::clone(&sent);
    let search = node.search("pid".into(), offset.to_string().into());
    // When it is read makes no difference: all is in the log from the beginning.
    let (search, ()) = block_on(join(search, read(node)));
    let (found, search) = search.unwrap();
    let resume = move |restored: Restored| {
        // It was not there for these.
        drop(numbers(before.lock().try_iter()));
        let events = restored.missed.iter();
        missed
            .lock()
            .extend(events.map(|event| event.name.parse::<u64>().unwrap()));
        None
    };
    let log = node.log().unwrap();
    block_on(node.resume(log, *found, search, Box::new(resume)));
    others();
    let mut got = got.lock().clone();
    got.extend(numbers(sent.lock().try_iter()));
    got
}

/// What a socket gets that has got this event and comes back while others are brought.
fn comes_back_behind(offset: u64) {
    const LAST: u64 = 3;
    model(2, move || {
        let World { node, here, sent } = World::logged();
        let bus = Arc::clone(&node);
        let bus = spawn(move || {
            bus.opened(Some("1"));
            for number in 2..=LAST {
                arrives(&bus, &NodeId::new("a"), number, None);
            }
        });
        let got = come_back(&node, sent, offset, || bus.join().unwrap());
        assert_eq!(got, (offset + 1..=LAST).collect::<Vec<_>>());
        drop(here);
    });
}

#[test]
fn socket_that_comes_back_gets_each_event_once_in_any_order() {
    comes_back_behind(0);
    comes_back_behind(1);
}

#[test]
fn socket_that_knows_more_than_the_server_gets_each_event_once_in_any_order() {
    comes_back_behind(2);
    comes_back_behind(3);
}

fn emits(node: &Node, number: u64) {
    let (name, args) = (number.to_string(), Args::empty());
    let body = EventBody {
        name: &name,
        args: args.as_raw(),
    };
    let options = BroadcastOptions::new(Target::all());
    assert_eq!(node.broadcast(&body, &options), Delivery::Later);
}

/// The next message, and what it is called.
fn next_message(node: &Node) -> (Publish, u64) {
    match next_job(node) {
        Some(Job::Publish(publish)) => {
            let Message::Broadcast { event, .. } = &publish.message else {
                panic!("{publish:?}");
            };
            let (name, _) = event.decode(&node.post.limits).unwrap();
            let number = name.parse().unwrap();
            (publish, number)
        }
        job => panic!("{job:?}"),
    }
}

/// Brings back what this server has published. What is refused was not.
fn brings_back(node: &Arc<Node>, refused: usize) -> Vec<u64> {
    let mut order = Vec::new();
    for message in 0..2 {
        let (publish, number) = next_message(node);
        publish.fate.tell();
        order.push(number);
        if message >= refused {
            arrives(node, &publish.uid, number, publish.tag);
        }
    }
    order
}

/// Two threads emit, and what was refused is not in the log; the time may come for what waits.
fn emitted(refused: usize, is_late: bool) {
    model(2, move || {
        let World { node, here, sent } = World::logged();
        node.post.status.set(ClusterState::Up);
        let (other, clock) = (Arc::clone(&node), Arc::clone(&node));
        let other = spawn(move || emits(&other, 2));
        let clock = is_late.then(|| {
            let day = Duration::from_secs(86_400);
            spawn(move || clock.handle_timeout(now() + day))
        });
        emits(&node, 1);
        let order = brings_back(&node, refused);
        other.join().unwrap();
        if let Some(clock) = clock {
            clock.join().unwrap();
        }
        assert_eq!(numbers(sent.try_iter()), order);
        drop(here);
    });
}

#[test]
fn own_events_are_delivered_once_in_the_order_of_the_log_in_any_order() {
    emitted(0, false);
    emitted(1, false);
}

#[test]
fn own_events_that_are_late_are_delivered_once_in_their_order_in_any_order() {
    emitted(0, true);
    emitted(1, true);
}

#[test]
fn own_event_that_is_late_has_the_place_of_what_was_before_it() {
    model(1, || {
        let World { node, here, sent } = World::logged();
        node.post.status.set(ClusterState::Up);
        node.log().unwrap().opened(Some("1"));
        // One is late, the next one is refused, and the one behind it is not.
        emits(&node, 2);
        node.deliver_overdue(node.log().unwrap(), now() + node.post.config.max_local_wait);
        emits(&node, 3);
        emits(&node, 4);
        for arrived in [false, false, true] {
            let (publish, number) = next_message(&node);
            publish.fate.tell();
            if arrived {
                arrives(&node, &publish.uid, number, publish.tag);
            }
        }
        let with_places: Vec<_> = sent.try_iter().collect();
        let place = |name: &str, place: &str| (name.to_owned(), Some(place.to_owned()));
        assert_eq!(
            with_places,
            [place("2", "1"), place("3", "1"), place("4", "4")]
        );
        drop(here);
    });
}

/// What a socket gets that has got event 1 and comes back while 2 and 3, which this server has emitted, are on their way to
/// the log and back; the time may come for what waits.
fn comes_back_amid_own_events(is_late: bool) {
    model(2, move || {
        let World { node, here, sent } = World::logged();
        node.post.status.set(ClusterState::Up);
        node.log().unwrap().opened(Some("1"));
        emits(&node, 2);
        emits(&node, 3);
        let published = [next_message(&node), next_message(&node)];
        let (bus, clock) = (Arc::clone(&node), Arc::clone(&node));
        let clock = is_late.then(|| {
            let wait = node.post.config.max_local_wait;
            spawn(move || clock.handle_timeout(now() + wait))
        });
        let bus = spawn(move || {
            for (publish, number) in published {
                publish.fate.tell();
                arrives(&bus, &publish.uid, number, publish.tag);
            }
        });
        let got = come_back(&node, sent, 1, || {
            bus.join().unwrap();
            if let Some(clock) = clock {
                clock.join().unwrap();
            }
        });
        assert_eq!(got, [2, 3]);
        drop(here);
    });
}

#[test]
fn socket_that_comes_back_gets_each_own_event_once_in_any_order() {
    comes_back_amid_own_events(false);
}

#[test]
fn socket_that_comes_back_gets_each_own_event_that_is_late_once_in_any_order() {
    comes_back_amid_own_events(true);
}
