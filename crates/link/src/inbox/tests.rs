use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::{Mutex, OnceLock};
use std::task::Waker;
use std::time::Instant;

use sockeye_events::{
    Data, EmitError, EventError, EventName, EventSocket, ExtractError, FromEvent, Listeners,
    Ordering, PeerSocket, Refusal, StateMap,
};
use sockeye_socket_proto::{Args, Connection, ConnectionConfig, Input, SocketRevision, ToArgs};
use tokio::sync::Semaphore;

use super::*;
use crate::{IntoVerdict, Own};

/// A socket that writes down what happens to it.
#[derive(Clone)]
struct Fake(Arc<FakeState>);

#[derive(Default)]
struct FakeState {
    away: AtomicBool,
    shared: Listeners<Fake>,
    own: OnceLock<Own<Fake>>,
    values: StateMap,
    log: Mutex<Vec<String>>,
    receipts: Mutex<String>,
}

impl Fake {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn own_or_new(&self) -> &Own<Self> {
        self.0.own.get_or_init(Own::default)
    }

    fn set_connected(&self, connected: bool) {
        self.0.away.store(!connected, Atomic::Relaxed);
    }

    /// Adds a middleware that lets one event pass for each permit.
    fn think_about_events(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&gate);
        self.middleware(move || {
            let permits = Arc::clone(&permits);
            async move { permits.acquire().await.unwrap().forget() }
        });
        gate
    }

    /// The arguments of the events that are through.
    fn receipts(&self) -> String {
        self.0.receipts.lock().unwrap().clone()
    }

    fn log(&self, entry: impl Into<String>) {
        self.0.log.lock().unwrap().push(entry.into());
    }

    /// What happened since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.log.lock().unwrap())
    }

    /// Writes down the numbers that come with the event `n`.
    fn log_numbers(&self) {
        let handler = |socket: Self, Data(n): Data<u32>| socket.log(n.to_string());
        self.0.shared.on("n", handler);
    }

    /// The same, but the handler then waits for a permit.
    fn wait_at_numbers(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&gate);
        let handler = move |socket: Self, Data(n): Data<u32>| {
            let permits = Arc::clone(&permits);
            async move {
                socket.log(format!("begun {n}"));
                permits.acquire().await.unwrap().forget();
                socket.log(format!("done {n}"));
            }
        };
        self.0.shared.on("n", handler);
        gate
    }

    fn middleware<M, F>(&self, middleware: F)
    where
        F: sockeye_events::Callback<Self, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        let middlewares = &self.own_or_new().middlewares;
        middlewares.update(|middlewares| middlewares.push(middleware));
    }
}

impl PeerSocket for Fake {}

impl EventSocket for Fake {
    fn acknowledge<A: ToArgs + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError> {
        self.log(format!("ack {id} {}", Args::new(args)?.as_json()));
        Ok(())
    }

    fn state(&self) -> &StateMap {
        &self.0.values
    }

    fn report(&self, error: EventError) {
        self.log(format!("error {error:#}"));
    }
}

impl Receiver for Fake {
    fn is_connected(&self) -> bool {
        !self.0.away.load(Atomic::Relaxed)
    }

    fn shared(&self) -> &Listeners<Self> {
        &self.0.shared
    }

    fn own(&self) -> Option<&Own<Self>> {
        self.0.own.get()
    }

    fn refuse_without_ack(&self, refusal: &Refusal) {
        self.log(format!("refused {}", refusal.message()));
    }

    fn receipt(&self, args: RawArgs<'_>, ack_id: Option<u64>) -> Option<Box<str>> {
        ack_id.is_none().then(|| args.as_json().into())
    }

    fn handle_receipt(&self, receipt: Box<str>) {
        self.0.receipts.lock().unwrap().push_str(&receipt);
    }
}

impl FromEvent<Self> for Fake {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        Ok(event.socket().clone())
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

/// An inbox with sockets, on a task that is polled by hand.
struct Rig {
    inbox: Inbox<Fake>,
    proto: Connection,
}

impl Rig {
    fn new(limits: InboxLimits) -> Self {
        let config = ConnectionConfig::default();
        Self {
            inbox: Inbox::new(Arc::new(limits)),
            proto: Connection::server(SocketRevision::V5, &config, Instant::now()),
        }
    }

    /// With one socket.
    fn with_socket(limits: InboxLimits) -> (Self, NamespaceKey, Fake) {
        let mut rig = Self::new(limits);
        let (key, socket) = (rig.key("/"), Fake::new());
        rig.inbox.insert(key, socket.clone());
        (rig, key, socket)
    }

    fn key(&mut self, namespace: &str) -> NamespaceKey {
        let packet = format!("0{namespace},");
        match self.proto.handle_text(&packet) {
            Ok(Some(Input::Connect { key, .. })) => key,
            other => panic!("{other:?}"),
        }
    }

    fn deliver(&mut self, key: NamespaceKey, name: &str, args: &impl ToArgs) {
        self.ask(key, name, args, None);
    }

    fn ask(&mut self, key: NamespaceKey, name: &str, args: &impl ToArgs, ack_id: Option<u64>) {
        let args = incoming(args);
        self.inbox
            .deliver(key, name.into(), args, ack_id, &mut context());
    }

    fn numbers(&mut self, key: NamespaceKey, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            self.deliver(key, "n", &n);
        }
    }

    fn hold(&mut self, key: NamespaceKey, n: u32) -> Result<(), HoldOverflow> {
        self.inbox.hold(key, "n".into(), incoming(&n), None)
    }

    fn poll(&mut self) -> Poll<()> {
        self.inbox.poll(&mut context())
    }
}

fn incoming(args: &impl ToArgs) -> IncomingArgs<'static> {
    IncomingArgs::Owned(Args::new(args).unwrap())
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn limits() -> InboxLimits {
    InboxLimits::default()
}

#[test]
fn event_runs_its_handlers_at_once() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    rig.numbers(key, 0..2);
    assert_eq!(socket.take(), ["0", "1"]);
    assert!(rig.poll().is_ready());
}

#[test]
fn event_of_another_key_or_a_socket_that_is_away_goes_to_nobody() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    let other = rig.key("/other");
    rig.deliver(other, "n", &1);
    socket.set_connected(false);
    rig.deliver(key, "n", &2);
    assert!(socket.take().is_empty());
}

#[test]
fn key_of_a_removed_socket_is_not_its_successors() {
    let (mut rig, old, _) = Rig::with_socket(limits());
    rig.proto.refuse(old);
    assert!(rig.inbox.remove(old).is_some());
    let (new, socket) = (rig.key("/"), Fake::new());
    assert_eq!((new.index(), new == old), (old.index(), false));
    socket.log_numbers();
    rig.inbox.insert(new, socket.clone());
    rig.deliver(old, "n", &1);
    assert!(rig.inbox.remove(old).is_none());
    rig.deliver(new, "n", &2);
    assert_eq!(socket.take(), ["2"]);
}

#[test]
fn listener_that_is_added_later_is_seen() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    rig.deliver(key, "n", &1);
    socket.log_numbers();
    rig.deliver(key, "n", &2);
    assert_eq!(socket.take(), ["2"]);
}

#[test]
fn once_listener_is_taken_out_when_it_has_run() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    let handler = |socket: Fake| socket.log("once");
    let table = &socket.0.shared;
    table.once("e", handler);
    let own = &socket.own_or_new().listeners;
    own.once("e", handler);
    rig.deliver(key, "e", &());
    rig.deliver(key, "e", &());
    assert_eq!(socket.take(), ["once", "once"]);
    let left = |table: &Listeners<Fake>| table.load().reached_by("e").count();
    assert_eq!(left(table) + left(own), 0);
}

#[test]
fn only_the_first_answer_is_sent() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    let table = &socket.0.shared;
    table.on("e", || 1);
    table.on("e", || 2);
    rig.ask(key, "e", &(), Some(7));
    assert_eq!(socket.take(), ["ack 7 1"]);
    let own = &socket.own_or_new().listeners;
    own.on("e", || 3);
    rig.ask(key, "e", &(), Some(8));
    assert_eq!(socket.take(), ["ack 8 1"]);
}

#[test]
fn events_beyond_the_handlers_wait_for_a_free_one() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(2));
    let gate = socket.wait_at_numbers();
    rig.numbers(key, 0..4);
    assert!(rig.poll().is_pending());
    assert_eq!(socket.take(), ["begun 0", "begun 1"]);
    gate.add_permits(1);
    assert!(rig.poll().is_pending());
    assert_eq!(socket.take(), ["done 0", "begun 2"]);
    gate.add_permits(3);
    while rig.poll().is_pending() {}
    assert_eq!(socket.take(), ["done 1", "done 2", "begun 3", "done 3"]);
}

#[test]
fn serial_events_do_not_overlap() {
    let (mut rig, key, socket) = Rig::with_socket(limits().ordering(Ordering::Serial));
    let gate = socket.wait_at_numbers();
    rig.numbers(key, 0..2);
    assert!(rig.poll().is_pending());
    gate.add_permits(2);
    while rig.poll().is_pending() {}
    assert_eq!(socket.take(), ["begun 0", "done 0", "begun 1", "done 1"]);
}

#[test]
fn full_queue_has_no_room_until_an_event_has_left_it() {
    let limits = limits().max_handlers(1).max_queued_events(2);
    let (mut rig, key, socket) = Rig::with_socket(limits);
    let gate = socket.wait_at_numbers();
    rig.numbers(key, 0..2);
    assert!(rig.inbox.has_room());
    rig.numbers(key, 2..3);
    assert!(!rig.inbox.has_room());
    assert!(rig.poll().is_pending());
    gate.add_permits(1);
    assert!(rig.poll().is_pending());
    assert!(rig.inbox.has_room());
}

#[test]
fn queue_is_bounded_by_bytes_attachments_included() {
    let limits = limits().max_handlers(1).max_queued_bytes(100);
    let (mut rig, key, socket) = Rig::with_socket(limits);
    let _gate = socket.wait_at_numbers();
    rig.numbers(key, 0..2);
    assert!(rig.inbox.has_room());
    rig.deliver(key, "blob", &bytes::Bytes::from_static(&[0; 100]));
    assert!(!rig.inbox.has_room());
}

#[test]
fn started_future_counts_as_a_handler() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    socket.log_numbers();
    let gate = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&gate);
    let future = async move { permits.acquire().await.unwrap().forget() };
    rig.inbox.start(Box::pin(future), &mut context());
    rig.numbers(key, 0..1);
    assert!(rig.poll().is_pending());
    assert!(socket.take().is_empty());
    gate.add_permits(1);
    assert!(rig.poll().is_ready());
    assert_eq!(socket.take(), ["0"]);
}

#[test]
fn futures_that_no_event_has_asked_for_are_bounded() {
    let (mut rig, ..) = Rig::with_socket(limits());
    let mut started = 0;
    while rig.inbox.has_room() {
        rig.inbox
            .start(Box::pin(std::future::pending()), &mut context());
        started += 1;
        assert!(started < 10_000);
    }
    assert!(started >= UNASKED, "{started}");
}

#[test]
fn middlewares_change_drop_and_refuse_events() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    socket.middleware(|EventName(name): EventName| match &*name {
        "change" => Ok(Next::Rewrite("n".to_owned(), Args::new(&5).unwrap())),
        "drop" => Ok(Next::Drop),
        "refuse" => Err(Refusal::new("not you")),
        _ => Ok(Next::Pass),
    });
    rig.deliver(key, "change", &());
    rig.deliver(key, "n", &6);
    rig.deliver(key, "drop", &());
    assert_eq!(socket.take(), ["5", "6"]);
    rig.deliver(key, "refuse", &());
    let entries = socket.take();
    assert_eq!(entries[0], "refused not you");
    assert!(entries[1].contains("not you"), "{entries:?}");
    rig.ask(key, "refuse", &(), Some(1));
    let entries = socket.take();
    assert!(!entries.contains(&"refused not you".to_owned()));
}

#[test]
fn events_wait_behind_one_that_a_middleware_thinks_about() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    let gate = socket.think_about_events();
    rig.numbers(key, 0..3);
    assert!(rig.poll().is_pending());
    assert!(socket.take().is_empty());
    gate.add_permits(2);
    assert!(rig.poll().is_pending());
    assert_eq!(socket.take(), ["0", "1"]);
    // Who is gone when the verdict comes gets nothing.
    socket.set_connected(false);
    gate.add_permits(1);
    assert!(rig.poll().is_ready());
    assert!(socket.take().is_empty());
}

#[test]
fn event_has_a_receipt_once_it_has_reached_its_handlers() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    let gate = socket.wait_at_numbers();
    rig.numbers(key, 0..3);
    rig.ask(key, "n", &3, Some(7));
    rig.hold(key, 4).unwrap();
    assert_eq!(socket.receipts(), "0");
    gate.add_permits(1);
    assert!(rig.poll().is_pending());
    assert_eq!(socket.receipts(), "01");
    rig.inbox.close();
    assert_eq!(socket.receipts(), "012");
}

#[test]
fn event_that_a_middleware_thinks_about_to_the_end_has_no_receipt() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    let gate = socket.think_about_events();
    rig.numbers(key, 0..3);
    gate.add_permits(1);
    assert!(rig.poll().is_pending());
    rig.inbox.close();
    assert_eq!(
        (socket.take(), socket.receipts()),
        (vec!["0".to_owned()], "0".to_owned())
    );
}

#[test]
fn what_is_queued_has_its_turn_after_the_end() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    let gate = socket.wait_at_numbers();
    rig.numbers(key, 0..3);
    rig.hold(key, 3).unwrap();
    rig.inbox.close();
    socket.set_connected(false);
    rig.inbox.remove(key);
    for n in 0..3 {
        assert_eq!(socket.take(), [format!("begun {n}")]);
        assert!(rig.poll().is_pending());
        gate.add_permits(1);
        assert_eq!(rig.poll().is_ready(), n == 2);
        assert_eq!(socket.take()[0], format!("done {n}"));
        // Whether it begins in that poll or the next one.
        socket.log(format!("begun {}", n + 1));
    }
}

#[test]
fn who_leaves_has_its_queued_events_handled_and_hurries_nobody() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    let gate = socket.wait_at_numbers();
    let (other_key, other) = (rig.key("/other"), Fake::new());
    other.log_numbers();
    rig.inbox.insert(other_key, other.clone());
    rig.numbers(key, 0..2);
    rig.numbers(other_key, 2..4);
    // Its handlers may be others by then, and a new socket may have its place.
    rig.inbox.keep_queued(other_key);
    other.set_connected(false);
    assert_eq!(other.receipts(), "23");
    rig.inbox.remove(other_key);
    let new = Fake::new();
    new.log_numbers();
    rig.inbox.insert(other_key, new.clone());
    assert_eq!(socket.take(), ["begun 0"]);
    assert!(other.take().is_empty());
    gate.add_permits(2);
    assert!(rig.poll().is_ready());
    assert_eq!(socket.take(), ["done 0", "begun 1", "done 1"]);
    assert_eq!(other.take(), ["2", "3"]);
    assert_eq!((other.receipts().as_str(), new.take().len()), ("23", 0));
}

#[test]
fn middleware_is_asked_about_events_of_who_has_left() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    socket.log_numbers();
    let busy = socket.wait_at_numbers();
    rig.numbers(key, 0..3);
    let gate = socket.think_about_events();
    rig.inbox.close();
    rig.inbox.remove(key);
    socket.set_connected(false);
    busy.add_permits(3);
    assert!(rig.poll().is_pending());
    // That the connection is over is no reason to drop it now.
    rig.inbox.close();
    gate.add_permits(2);
    assert!(rig.poll().is_ready());
    let begun = socket.take();
    let begun = begun.iter().filter(|entry| entry.starts_with("begun"));
    assert_eq!(begun.collect::<Vec<_>>(), ["begun 0", "begun 1", "begun 2"]);
}

#[test]
fn held_events_come_before_later_ones_when_they_are_released() {
    let mut rig = Rig::new(limits());
    let (key, socket) = (rig.key("/"), Fake::new());
    socket.log_numbers();
    // It need not be in yet.
    rig.hold(key, 0).unwrap();
    rig.hold(key, 1).unwrap();
    assert!(rig.poll().is_ready());
    rig.inbox.insert(key, socket.clone());
    rig.inbox.release(key, &mut context());
    rig.numbers(key, 2..3);
    assert_eq!(socket.take(), ["0", "1", "2"]);
}

#[test]
fn released_events_keep_to_the_limit_of_handlers_and_to_their_order() {
    let (mut rig, key, socket) = Rig::with_socket(limits().max_handlers(1));
    let gate = socket.wait_at_numbers();
    rig.hold(key, 0).unwrap();
    rig.hold(key, 1).unwrap();
    rig.inbox.release(key, &mut context());
    rig.numbers(key, 2..3);
    assert_eq!(socket.take(), ["begun 0"]);
    gate.add_permits(3);
    while rig.poll().is_pending() {}
    let begun = socket.take();
    assert_eq!(begun, ["done 0", "begun 1", "done 1", "begun 2", "done 2"]);
}

#[test]
fn held_events_do_not_delay_other_sockets() {
    let (mut rig, key, socket) = Rig::with_socket(limits());
    socket.log_numbers();
    let other = rig.key("/other");
    rig.hold(other, 0).unwrap();
    rig.numbers(key, 1..2);
    rig.inbox.release(key, &mut context());
    assert_eq!(socket.take(), ["1"]);
    let second = Fake::new();
    second.log_numbers();
    rig.inbox.insert(other, second.clone());
    rig.inbox.release(other, &mut context());
    assert_eq!((socket.take().len(), second.take().len()), (0, 1));
}

#[test]
fn held_events_are_bounded_but_do_not_stop_the_reading() {
    // Each event counts for some more than 256 bytes.
    let mut rig = Rig::new(limits().max_held_bytes(512));
    let key = rig.key("/");
    assert!(rig.inbox.may_hold());
    rig.hold(key, 0).unwrap();
    rig.hold(key, 1).unwrap();
    assert!(!rig.inbox.may_hold());
    assert_eq!(rig.hold(key, 2), Err(HoldOverflow));
    assert!(rig.inbox.has_room());
}

#[test]
fn held_events_do_not_count_for_the_queue() {
    let limits = limits().max_queued_events(1).max_queued_bytes(1);
    let mut rig = Rig::new(limits.max_handlers(1));
    let (key, socket) = (rig.key("/"), Fake::new());
    socket.log_numbers();
    for n in 0..5000 {
        rig.hold(key, n).unwrap();
    }
    assert!(rig.inbox.may_hold() && rig.inbox.has_room());
    rig.inbox.insert(key, socket.clone());
    rig.inbox.release(key, &mut context());
    assert_eq!(socket.take().len(), 5000);
}

#[test]
fn removing_drops_what_is_held_and_frees_its_room() {
    let mut rig = Rig::new(limits().max_held_bytes(1));
    let (key, socket) = (rig.key("/"), Fake::new());
    socket.log_numbers();
    rig.hold(key, 0).unwrap();
    assert!(rig.inbox.remove(key).is_none());
    rig.inbox.insert(key, socket.clone());
    rig.hold(key, 1).unwrap();
    rig.inbox.release(key, &mut context());
    assert_eq!(socket.take(), ["1"]);
}

#[test]
fn local_event_runs_shared_handlers_then_own_ones() {
    let (mut rig, _, socket) = Rig::with_socket(limits());
    let (shared, own) = (&socket.0.shared, &socket.own_or_new().listeners);
    own.on("e", |socket: Fake| socket.log("own"));
    shared.on("e", |socket: Fake| socket.log("shared"));
    let event = Event::local(&socket, "e");
    rig.inbox.dispatch(&event, &mut context());
    assert_eq!(socket.take(), ["shared", "own"]);
}
