//! Every order in which threads can meet at a node: whoever asks, the bus that brings what others say, the time, and the end.
//!
//! The node is the real one, with its queue; the others, the engine and the server are played. Times are those of tests
//! beside the code: here they stand still, so that a request that nobody ends shows as a deadlock.

use std::sync::mpsc::{Receiver, Sender, channel};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use loom::future::block_on;
use sockeye_adapter::{Answer, AnswerTo, KeptSocket, Reception, SocketDetails, Target};
use sockeye_cluster_proto::{Envelope, RequestId, Value};

use super::*;
use crate::config::ClusterConfig;
use crate::job::Job;
use crate::profile::BusProfile;
use crate::sync::{model, spawn};

/// A server with one member in each room, which tells what it is sent.
pub(super) struct Here(Mutex<Sender<(String, Option<String>)>>);

pub(super) type Sent = Receiver<(String, Option<String>)>;

impl Local for Here {
    fn namespace(&self) -> &'static str {
        "/"
    }

    fn count(&self, _: &Target) -> usize {
        1
    }

    fn has_room(&self, _: &str) -> bool {
        true
    }

    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) {
        let offset = options.offset.as_deref().map(Into::into);
        let _ = self.0.lock().send((event.name.into(), offset));
    }

    /// Tells for how long as well.
    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer> {
        let time = options.timeout.map(|timeout| format!("{timeout:?}"));
        let _ = self.0.lock().send((event.name.into(), time));
        futures_util::stream::empty().boxed()
    }

    fn sockets(&self, _: &Target) -> Vec<SocketDetails> {
        Vec::new()
    }

    fn rooms(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    fn join(&self, _: &Target, _: &[Arc<str>]) {}

    fn leave(&self, _: &Target, _: &[Arc<str>]) {}

    fn disconnect(&self, _: &Target, _: bool) {}

    fn server_side_event(&self, _: &EventBody<'_>, _: Option<AnswerTo>) -> Reception {
        Reception::Started
    }

    fn recovery_expired(&self, _: KeptSocket) {}
}

/// A node in a cluster with such a bus.
pub(super) struct World {
    pub(super) node: Arc<Node>,
    /// The node does not hold it.
    pub(super) here: Arc<dyn Local>,
    pub(super) sent: Sent,
}

impl World {
    pub(super) fn new(profile: impl FnOnce(&mut BusProfile)) -> Self {
        let mut of_bus = BusProfile::new("test");
        profile(&mut of_bus);
        let post = Arc::new(Post::new(of_bus, ClusterConfig::default()));
        let (sender, sent) = channel();
        let here: Arc<dyn Local> = Arc::new(Here(Mutex::new(sender)));
        let moved = Arc::new(Moved::new(post.queue_age()));
        let node = Node::new(&here, NodeId::new("this"), &post, &moved);
        Self { node, here, sent }
    }
}

/// The next thing that the bus is to do.
pub(super) fn next_job(node: &Node) -> Option<Job> {
    block_on(node.post.next())
}

pub(super) fn says(node: &Arc<Node>, from: &str, message: Message) {
    let from = Some(NodeId::new(from));
    let namespace = None;
    let envelope = Envelope {
        from,
        namespace,
        message,
    };
    node.handle(envelope, None);
}

/// One that is asked by name for its sockets, and has none.
fn answer(node: &Arc<Node>, from: &str, request: RequestId) {
    let sockets = Value::new(&Vec::<SocketDetails>::new()).unwrap();
    says(node, from, Message::Sockets { request, sockets });
}

/// Waits for the question which sockets there are. So many servers are counted meanwhile.
fn question(node: &Node, servers: usize) -> RequestId {
    loop {
        match next_job(node) {
            Some(Job::Publish(publish)) => {
                node.post.status.published.fetch_add(1, Ordering::Relaxed);
                publish.fate.tell();
                if let Message::FetchSockets { request, .. } = publish.message {
                    return request;
                }
            }
            Some(Job::CountNodes(count)) => count.answer(servers),
            job => panic!("{job:?}"),
        }
    }
}

/// Asks which sockets there are; how many servers have not answered.
fn missing(node: &Node) -> usize {
    let sockets = block_on(node.fetch_sockets(&Target::all(), None));
    sockets.map_or_else(|incomplete| incomplete.missing, |_| 0)
}

/// A node that knows two others.
fn one_of_three() -> World {
    let world = World::new(|_| {});
    for other in ["a", "b"] {
        says(&world.node, other, Message::Heartbeat);
    }
    world
}

#[test]
fn request_waits_for_nobody_who_goes_in_any_order() {
    model(3, || {
        let World { node, here, .. } = one_of_three();
        let others = Arc::clone(&node);
        let others = spawn(move || {
            says(&others, "a", Message::Close);
            let request = question(&others, 3);
            answer(&others, "b", request);
        });
        assert_eq!(missing(&node), 0);
        others.join().unwrap();
        assert_eq!(node.pending(), 0);
        drop(here);
    });
}

#[test]
fn request_waits_for_nobody_who_is_not_heard_any_more_in_any_order() {
    model(3, || {
        let World { node, here, .. } = one_of_three();
        let clock = Arc::clone(&node);
        let day = std::time::Duration::from_secs(86_400);
        let clock = spawn(move || clock.handle_timeout(now() + day));
        assert_eq!(missing(&node), 0);
        clock.join().unwrap();
        drop(here);
    });
}

#[test]
fn request_that_the_engine_counts_for_ends_in_any_order() {
    model(2, || {
        let World { node, here, .. } = World::new(|profile| profile.counting = Counting::Engine);
        let (others, clock) = (Arc::clone(&node), Arc::clone(&node));
        let others = spawn(move || {
            let request = question(&others, 3);
            answer(&others, "a", request.clone());
            answer(&others, "b", request);
        });
        // One of two is gone, as the engine says then.
        let clock = spawn(move || clock.requests.counted(1, &Arc::default(), now()));
        assert_eq!(missing(&node), 0);
        others.join().unwrap();
        clock.join().unwrap();
        drop(here);
    });
}

#[test]
fn request_waits_for_who_is_not_back_after_an_outage_in_any_order() {
    model(2, || {
        let World { node, here, .. } = World::new(|profile| profile.counting = Counting::Engine);
        node.census.lock().counted(3, now());
        let away = ClusterState::Degraded("away".into());
        node.post.status.set(away);
        node.post.status.set(ClusterState::Up);
        node.begin_again(false);
        let is_back = Arc::new(AtomicBool::new(false));
        let (others, comes) = (Arc::clone(&node), Arc::clone(&is_back));
        let others = spawn(move || {
            // One of two is there again, and the other one comes.
            let request = question(&others, 2);
            answer(&others, "a", request.clone());
            comes.store(true, Ordering::SeqCst);
            answer(&others, "b", request);
        });
        assert_eq!(missing(&node), 0);
        assert!(is_back.load(Ordering::SeqCst), "it was not waited for");
        others.join().unwrap();
        drop(here);
    });
}

#[test]
fn request_ends_with_the_node_in_any_order() {
    model(3, || {
        let World { node, here, .. } = one_of_three();
        let end = Arc::clone(&node);
        let end = spawn(move || drop(end.close()));
        assert_eq!(missing(&node), 2);
        end.join().unwrap();
        assert_eq!(node.pending(), 0);
        drop(here);
    });
}

#[test]
fn what_was_moved_is_known_to_the_next_namespace_of_a_name() {
    let World { node, here, .. } = World::new(|profile| profile.interest = true);
    node.join(Opts::default(), &["blue".into()]);
    let moved = node.moved.as_ref().unwrap();
    let again = Node::new(&here, NodeId::new("again"), &node.post, moved);
    let to = |room: &str| BroadcastOptions::new(Target::all().to(room));
    assert_eq!(again.route_of(&to("blue")), Route::All);
    assert_eq!(again.route_of(&to("red")), Route::Room("red".into()));
}
