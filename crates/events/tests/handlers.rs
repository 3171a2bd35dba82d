//! Handlers without a server: what they are given, and what becomes of what they return.

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use sockeye_events::{
    Ack, AckError, AckFuture, AckTable, Callback, Data, DisconnectReason, EmitError, Event,
    EventError, EventErrorKind, EventName, EventSocket, ExtractError, FromEvent, IntoRefusal,
    IntoReply, ListenerTable, Listeners, PeerSocket, Refusal, Reply, Running, State, StateMap,
    Waiter, erase,
};
use sockeye_socket_proto::{Args, FromArgs, RawArgs, ToArgs};

/// A socket that keeps what it is told.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: StateMap,
    answers: Mutex<Vec<(u64, String)>>,
    errors: Mutex<Vec<EventError>>,
    closed: Mutex<bool>,
}

impl PeerSocket for Fake {}

impl EventSocket for Fake {
    fn acknowledge<A: ToArgs + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError> {
        if *self.0.closed.lock() {
            return Err(EmitError::Disconnected);
        }
        let args = Args::new(args)?;
        let json = format!("[{}]", args.as_json());
        self.0.answers.lock().push((id, json));
        Ok(())
    }

    fn state(&self) -> &StateMap {
        &self.0.state
    }

    fn report(&self, error: EventError) {
        self.0.errors.lock().push(error);
    }
}

impl FromEvent<Self> for Fake {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        Ok(event.socket().clone())
    }
}

impl Fake {
    fn answers(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.0.answers.lock())
    }

    fn errors(&self) -> Vec<String> {
        let errors = self.originals();
        errors.iter().map(|error| format!("{error:#}")).collect()
    }

    fn originals(&self) -> Vec<EventError> {
        std::mem::take(&mut self.0.errors.lock())
    }

    /// What the handler answers, which is called alone as the connection would call it.
    fn answer<M: 'static, H>(&self, handler: H) -> Option<String>
    where
        H: Callback<Self, M>,
        H::Output: IntoReply,
    {
        let mut listeners = ListenerTable::default();
        listeners.on("event", erase(handler));
        let event = Event::incoming(self, "event", RawArgs::empty(), Some(1));
        let mut running = Running::default();
        let mut cx = Context::from_waker(Waker::noop());
        listeners.dispatch(&event, &mut running, &mut cx);
        while running.poll(&mut cx).is_pending() {}
        let mut answers = self.answers();
        assert!(answers.len() <= 1, "{answers:?}");
        answers.pop().map(|(_, answer)| answer)
    }

    /// Runs one handler for an event with these arguments, which waits for an answer.
    fn run<M: 'static, H>(&self, handler: H, args: &str)
    where
        H: Callback<Self, M>,
        H::Output: IntoReply + Send,
    {
        let mut listeners = ListenerTable::default();
        listeners.on("event", erase(handler));
        dispatch(&listeners, self, "event", args, Some(1));
    }
}

/// Runs the handlers of an event; true if a `once` handler was used up.
fn dispatch(
    listeners: &ListenerTable<Fake>,
    socket: &Fake,
    name: &str,
    args: &str,
    ack: Option<u64>,
) -> bool {
    let args = RawArgs::from_array(args).expect("an array");
    let event = Event::incoming(socket, name, args, ack);
    event.share_ack();
    let mut running = Running::default();
    let mut cx = Context::from_waker(Waker::noop());
    listeners.dispatch_any(&event, &mut running, &mut cx);
    let used_up = listeners.dispatch(&event, &mut running, &mut cx);
    event.all_called();
    // The handlers of these tests only ever yield.
    while running.poll(&mut cx).is_pending() {}
    used_up
}

#[test]
fn handlers_take_any_number_of_extractors() {
    let socket = Fake::default();
    socket.0.state.insert(7_u8);
    socket.run(|| 0, "[]");
    socket.run(|Data(a): Data<u8>| a, "[1]");
    socket.run(
        |_: Fake,
         Data((a, b)): Data<(u8, u8)>,
         State(c): State<u8>,
         EventName(name): EventName,
         args: Args| { format!("{} {name} {}", a + b + c, args.len()) },
        "[1,2]",
    );
    socket.run(
        |_: Fake, _: Fake, _: Fake, _: Fake, _: Fake, _: Fake, _: Fake, ack: Ack<Fake, u8>| {
            ack.send(8)
        },
        "[]",
    );
    let expected = ["[0]", "[1]", r#"["10 event 2"]"#, "[8]"];
    assert_eq!(
        socket.answers(),
        expected.map(|answer| (1, answer.to_owned()))
    );
    assert!(socket.errors().is_empty());
}

#[test]
fn first_failure_to_extract_is_the_event_s_error() {
    let socket = Fake::default();
    socket.run(
        |_: State<u8>, _: Data<u8>| -> u8 { panic!("it must not run") },
        r#"["text"]"#,
    );
    let [error] = &socket.errors()[..] else {
        panic!("one error")
    };
    assert!(error.contains("no state of type u8"), "{error}");
    let [(1, answer)] = &socket.answers()[..] else {
        panic!("one answer")
    };
    assert!(answer.starts_with(r#"[{"error":{"message":"#), "{answer}");
    socket.run(|_: DisconnectReason| (), "[]");
    let error = socket.errors().remove(0);
    assert!(error.contains("a disconnect reason"), "{error}");
}

#[test]
fn disconnect_reason_is_there_when_there_is_one() {
    let socket = Fake::default();
    let mut listeners = ListenerTable::default();
    let seen = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&seen);
    listeners.on(
        "disconnect",
        erase(move |reason: DisconnectReason| *kept.lock() = Some(reason)),
    );
    let event = Event::disconnect(&socket, "disconnect", DisconnectReason::PingTimeout);
    let mut cx = Context::from_waker(Waker::noop());
    listeners.dispatch(&event, &mut Running::default(), &mut cx);
    assert_eq!(*seen.lock(), Some(DisconnectReason::PingTimeout));
}

#[test]
fn results_become_answers() {
    #[derive(serde::Serialize)]
    struct Point {
        x: u8,
    }
    let socket = Fake::default();
    socket.run(|| (), "[]");
    assert!(socket.answers().is_empty());
    socket.run(|| "text", "[]");
    socket.run(|| (1, 2), "[]");
    socket.run(|| vec![1, 2], "[]");
    socket.run(|| None::<u8>, "[]");
    socket.run(|| Reply(Point { x: 1 }), "[]");
    socket.run(|| Ok::<_, String>(3), "[]");
    socket.run(|| Ok::<Result<u8, String>, Refusal>(Ok(4)), "[]");
    socket.run(|args: Args| args, r#"[1,{"a":2}]"#);
    socket.run(async || "later", "[]");
    let answers: Vec<_> = socket
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    let expected = [
        r#"["text"]"#,
        "[1,2]",
        "[[1,2]]",
        "[null]",
        r#"[{"x":1}]"#,
        "[3]",
        "[4]",
        r#"[1,{"a":2}]"#,
        r#"["later"]"#,
    ];
    assert_eq!(answers, expected);
    assert!(socket.errors().is_empty());
}

#[test]
fn errors_and_panics_are_answered_and_reported() {
    let socket = Fake::default();
    socket.run(|| Err::<u8, _>("broken"), "[]");
    socket.run(
        || Err::<(), _>(Refusal::new("no").with_data(serde_json::json!([1]))),
        "[]",
    );
    socket.run(|| -> u8 { panic!("at once") }, "[]");
    socket.run(async || -> u8 { panic!("later") }, "[]");
    let answers: Vec<_> = socket
        .answers()
        .into_iter()
        .map(|(_, answer)| answer)
        .collect();
    let expected = [
        r#"[{"error":{"message":"broken"}}]"#,
        r#"[{"error":{"message":"no","data":[1]}}]"#,
        r#"[{"error":{"message":"internal error"}}]"#,
        r#"[{"error":{"message":"internal error"}}]"#,
    ];
    assert_eq!(answers, expected);
    let expected = [
        r#"event "event": the handler failed: broken"#,
        r#"event "event": the handler failed: no"#,
        r#"event "event": the handler panicked: at once"#,
        r#"event "event": the handler panicked: later"#,
    ];
    assert_eq!(socket.errors(), expected);
}

#[test]
fn handler_that_can_fail_says_that_it_has_not() {
    let socket = Fake::default();
    let nothing = Some("[]".to_owned());
    assert_eq!(socket.answer(|| ()), None);
    assert_eq!(socket.answer(async || ()), None);
    assert_eq!(socket.answer(|| Ok::<(), String>(())), nothing);
    assert_eq!(socket.answer(async || Ok::<(), Refusal>(())), nothing);
    assert_eq!(
        socket.answer(|| Ok::<Result<(), String>, String>(Ok(()))),
        nothing
    );
    assert!(socket.errors().is_empty());
}

#[test]
fn that_nothing_failed_is_no_answer_where_there_is_a_better_one() {
    fn fine() -> Result<(), String> {
        Ok(())
    }
    let socket = Fake::default();
    let answer = |listeners: &ListenerTable<Fake>| {
        dispatch(listeners, &socket, "x", "[]", Some(1));
        let answers = socket.answers().into_iter();
        answers.map(|(_, answer)| answer).collect::<Vec<_>>()
    };

    let mut listeners = ListenerTable::default();
    listeners.on_any(erase(fine));
    listeners.on("x", erase(fine));
    listeners.on("x", erase(async || fine()));
    listeners.on("x", erase(|| ()));
    assert_eq!(answer(&listeners), ["[]"]);
    listeners.once("x", erase(async || 7));
    assert_eq!(answer(&listeners), ["[7]"]);
    // It is spent.
    assert_eq!(answer(&listeners), ["[]"]);
    listeners.on("x", erase(async || Err::<(), _>("no")));
    assert_eq!(answer(&listeners), [r#"[{"error":{"message":"no"}}]"#]);

    let mut listeners = ListenerTable::default();
    listeners.on_any(erase(fine));
    assert!(answer(&listeners).is_empty(), "it was for nobody");
}

#[test]
fn that_nothing_failed_is_no_answer_while_somebody_has_the_ack() {
    let socket = Fake::default();
    let answer = socket.answer(|ack: Ack<Fake, u8>| -> Result<(), EmitError> { ack.send(1) });
    assert_eq!(answer, Some("[1]".to_owned()));
    let answer = socket.answer(|ack: Ack<Fake, u8>| {
        ack.send(1).unwrap();
        Err::<(), _>("too late")
    });
    assert_eq!(answer, Some("[1]".to_owned()));
    assert_eq!(socket.errors().len(), 1);
    let answer = socket.answer(|ack: Ack<Fake, u8>| ack.refuse("not now"));
    assert_eq!(
        answer,
        Some(r#"[{"error":{"message":"not now"}}]"#.to_owned())
    );

    let kept = Arc::new(Mutex::new(None));
    let keeper = Arc::clone(&kept);
    let keep = move |ack: Ack<Fake, u8>| -> Result<(), EmitError> {
        *keeper.lock() = Some(ack);
        Ok(())
    };
    assert_eq!(socket.answer(keep.clone()), None);
    kept.lock().take().unwrap().send(2).unwrap();
    assert_eq!(socket.answers(), [(1, "[2]".to_owned())]);
    assert_eq!(socket.answer(keep), None);
    kept.lock().take();
    assert_eq!(
        socket.answers(),
        [(1, "[]".to_owned())],
        "it was let go of unused"
    );
    assert!(socket.errors().is_empty());
}

/// An error of the application.
#[derive(Debug, thiserror::Error)]
enum ShopError {
    #[error("shelf {0} is empty")]
    Empty(u8),
    #[error("the database says: password 1234 is wrong")]
    Database,
}

impl IntoRefusal for ShopError {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Empty(_) => Refusal::new("sold out").with_data(7),
            Self::Database => Refusal::internal(),
        }
    }
}

#[test]
fn peer_sees_of_an_error_what_it_is_meant_to_and_the_hook_all_of_it() {
    fn io() -> std::io::Error {
        std::io::Error::other("/etc/secret")
    }
    let socket = Fake::default();
    let hidden = r#"[{"error":{"message":"internal error"}}]"#;
    let sold_out = r#"[{"error":{"message":"sold out","data":7}}]"#;
    let said = |answer: Option<String>| {
        let [error] = &socket.originals()[..] else {
            panic!("one error")
        };
        let is_io = error.downcast_ref::<std::io::Error>().is_some();
        let shop = error.downcast_ref::<ShopError>().is_some();
        (answer.unwrap(), format!("{error:#}"), is_io, shop)
    };
    let expect = |answer: &str, text: &str, is_io, is_shop| {
        let text = format!("event \"event\": the handler failed: {text}");
        (answer.to_owned(), text, is_io, is_shop)
    };

    let answer = socket.answer(|| Err::<(), _>(io()));
    assert_eq!(said(answer), expect(hidden, "/etc/secret", true, false));
    let answer = socket.answer(|| -> Result<u8, Refusal> { Err(io())? });
    assert_eq!(said(answer), expect(hidden, "/etc/secret", true, false));
    let answer = socket.answer(async || -> Result<u8, Box<dyn Error + Send + Sync>> { Err(io())? });
    assert_eq!(said(answer), expect(hidden, "/etc/secret", true, false));
    // One that is bound to its thread is kept as text.
    let answer = socket.answer(|| -> Result<u8, Box<dyn Error>> { Err(io())? });
    assert_eq!(said(answer), expect(hidden, "/etc/secret", false, false));
    let answer = socket.answer(|| -> Result<(), ShopError> { Err(ShopError::Empty(3)) });
    let expected = expect(sold_out, "shelf 3 is empty", false, true);
    assert_eq!(said(answer), expected);
    let answer = socket.answer(|| -> Result<(), ShopError> { Err(ShopError::Database) });
    let text = "the database says: password 1234 is wrong";
    assert_eq!(said(answer), expect(hidden, text, false, true));
    let answer = socket
        .answer(|| -> Result<(), Box<dyn Error>> { Err(Refusal::new("sold out").with_data(7))? });
    assert_eq!(said(answer), expect(sold_out, "sold out", false, false));
    let answer = socket.answer(|| Err::<(), _>("in my own words"));
    let own = r#"[{"error":{"message":"in my own words"}}]"#;
    assert_eq!(said(answer), expect(own, "in my own words", false, false));
    let answer = socket.answer(|| Err::<(), _>(EmitError::OutboxFull));
    assert_eq!(
        said(answer),
        expect(hidden, "the outbox is full", false, false)
    );
}

#[test]
fn state_that_is_missing_is_none_of_the_peer_s_business() {
    let socket = Fake::default();
    let answer = socket.answer(|_: State<ShopConfig>| ());
    assert_eq!(
        answer.unwrap(),
        r#"[{"error":{"message":"internal error"}}]"#
    );
    assert!(socket.errors()[0].contains("ShopConfig"));
}

#[derive(Clone)]
struct ShopConfig;

#[test]
fn answer_that_cannot_be_sent_is_reported() {
    let socket = Fake::default();
    *socket.0.closed.lock() = true;
    socket.run(|| 1, "[]");
    let expected =
        r#"event "event": the acknowledgement was not sent: the socket is not connected"#;
    assert_eq!(socket.errors(), [expected]);
}

#[test]
fn only_the_first_answer_of_an_event_is_sent() {
    let socket = Fake::default();
    let mut listeners = ListenerTable::default();
    listeners.on("x", erase(|| ()));
    listeners.on("x", erase(|| 1));
    listeners.on("x", erase(|ack: Ack<Fake, u8>| ack.send(2)));
    listeners.on("x", erase(async || 3));
    dispatch(&listeners, &socket, "x", "[]", Some(5));
    assert_eq!(socket.answers(), [(5, "[1]".to_owned())]);
    // Nobody waits: nobody is answered.
    dispatch(&listeners, &socket, "x", "[]", None);
    assert!(socket.answers().is_empty());
    assert!(socket.errors().is_empty());
}

#[test]
fn bytes_come_out_of_attachments() {
    let socket = Fake::default();
    let attachments = [Bytes::from_static(b"\x01\x02")];
    let args = RawArgs::from_array(r#"[{"_placeholder":true,"num":0},1]"#)
        .unwrap()
        .with_attachments(&attachments);
    let event = Event::incoming(&socket, "x", args, None);
    let data: Result<Data<(Bytes, u8)>, ExtractError> = FromEvent::from_event(&event);
    assert_eq!(data.unwrap().0, (attachments[0].clone(), 1));
}

#[test]
fn names_are_in_the_order_of_their_oldest_handlers() {
    let mut listeners = ListenerTable::<Fake>::default();
    let names = ["z", "close", "b", "y", "a", "x", "c"];
    for name in names {
        listeners.on(name, erase(|| ()));
    }
    for name in names.iter().rev() {
        listeners.once(name, erase(|| ()));
    }
    listeners.on_stream("close", erase(|| ()));
    listeners.on_stream("end", erase(|| ()));
    assert_eq!(
        listeners.event_names(),
        ["z", "close", "b", "y", "a", "x", "c", "end"]
    );
}

#[test]
fn handlers_are_listed_in_the_order_in_which_they_run() {
    let listeners = Listeners::<Fake>::default();
    let any = listeners.on_any(|| ()).id();
    let first = listeners.prepend_any(|| ()).id();
    let outgoing = listeners.on_any_outgoing(|| ()).id();
    let before = listeners.prepend_any_outgoing(|| ()).id();
    assert_eq!(listeners.listeners_any(), [first, any]);
    assert_eq!(listeners.listeners_any_outgoing(), [before, outgoing]);

    let one = listeners.on("a", || ()).id();
    let two = listeners.once("a", || ()).id();
    listeners.on("b", || ());
    assert_eq!(listeners.listeners("a"), [one, two]);
    assert_eq!(listeners.listeners("c"), []);
    let close = [
        listeners.on("close", || ()).id(),
        listeners.on_close(|| ()).id(),
    ];
    assert_eq!(listeners.listeners("close"), close);

    // Each is what removes it.
    for id in listeners.listeners_any() {
        assert!(listeners.remove_listener(id));
    }
    listeners.remove_listener(before);
    assert_eq!(listeners.listeners_any(), []);
    assert_eq!(listeners.listeners_any_outgoing(), [outgoing]);
}

#[test]
fn handlers_of_the_connection_are_removed_as_others_are() {
    let socket = Fake::default();
    let mut listeners = ListenerTable::default();
    listeners.on("close", erase(|| 1));
    let first = listeners.on_stream("close", erase(|| ()));
    listeners.on_stream("close", erase(|| async {}));
    let event = Event::local(&socket, "close");
    let mut futures = 0;
    listeners.dispatch_stream(&event, |_| futures += 1);
    assert_eq!(futures, 1);
    assert_eq!(listeners.reached_by("close").count(), 1, "the peer's own");
    assert_eq!(listeners.count("close"), 3);
    assert!(listeners.remove(first) && !listeners.remove(first));
    assert_eq!(listeners.off("close"), 2);
    listeners.on_stream("end", erase(|| ()));
    listeners.off_all();
    assert!(listeners.event_names().is_empty());
}

#[test]
fn no_text_has_its_cause_in_it() {
    let timeout = || AckError::Emit(EmitError::OutboxFull);
    let shape = || {
        let text = Args::new(&"x").unwrap();
        u8::from_args(text).unwrap_err()
    };
    let refusal = || Refusal::new("not now").caused_by("the disk is full");
    let kinds = [
        EventErrorKind::Extract(ExtractError::Args(shape())),
        EventErrorKind::Refused(refusal()),
        EventErrorKind::Refused(Refusal::new("closed")),
        EventErrorKind::Middleware(refusal()),
        EventErrorKind::Reply(EmitError::Disconnected),
        EventErrorKind::Undecodable("no type".into()),
        EventErrorKind::Peer(refusal()),
        EventErrorKind::NotSent(EmitError::TooManyPendingAcks),
        EventErrorKind::GivenUp(timeout()),
    ];
    for kind in kinds {
        let error = EventError::new("e", kind);
        let whole = format!("{error:#}");
        let mut next: &dyn Error = &error;
        while let Some(cause) = next.source() {
            let (text, why) = (next.to_string(), cause.to_string());
            assert!(!text.contains(&why), "{text}");
            // What a refusal says, its cause says better.
            let is_told = cause.source().is_none() || !cause.is::<Refusal>();
            assert_eq!(whole.matches(&why).count(), usize::from(is_told), "{whole}");
            next = cause;
        }
    }
    let error = EventError::new("e", EventErrorKind::Refused(refusal()));
    assert_eq!(error.to_string(), r#"event "e": the handler failed"#);
    let whole = r#"event "e": the handler failed: the disk is full"#;
    assert_eq!(format!("{error:#}"), whole);
}

#[test]
fn adding_gives_an_id_and_goes_on() {
    let listeners = Listeners::<Fake>::default();
    let added = [
        listeners.on("a", || 1).id(),
        listeners.once("b", || 2).once("a", || 3).id(),
        listeners.on_any(|| ()).id(),
        listeners.prepend_any(|| ()).id(),
        listeners.on_any_outgoing(|| ()).id(),
        listeners.prepend_any_outgoing(async || ()).id(),
        listeners.on_connect(|| ()).id(),
        listeners.on_disconnecting(|| ()).id(),
        listeners.on_disconnect(|_: DisconnectReason| ()).id(),
        listeners.on_end(|| ()).id(),
        listeners.on_drain(|| ()).id(),
        listeners.on_close(|| ()).id(),
    ];
    let library = ["connect", "disconnecting", "disconnect"];
    let stream = ["end", "drain", "close"];
    let names = [&["a", "b"], &library[..], &stream].concat();
    assert_eq!(listeners.event_names(), names);
    assert_eq!(listeners.listener_count("a"), 2);
    assert!(listeners.load_outgoing().is_some());
    for id in added {
        assert!(listeners.remove_listener(id) && !listeners.remove_listener(id));
    }
    assert_eq!(listeners.event_names(), ["b"], "added first of two at once");
    assert!(listeners.load_outgoing().is_none());
}

#[test]
fn names_that_are_others_words_are_those_everywhere() {
    let listeners = Listeners::<Fake>::with_own_names(|name| match name {
        "connection" => "connect",
        other => other,
    });
    listeners
        .on("connection", || ())
        .once("connection", || ())
        .on_connect(|| ());
    assert_eq!(listeners.event_names(), ["connect"]);
    assert_eq!(listeners.listener_count("connection"), 3);
    assert_eq!(
        (listeners.off("connection"), listeners.off("connect")),
        (3, 0)
    );
}

#[test]
fn listeners_are_found_removed_and_used_up() {
    let socket = Fake::default();
    let mut listeners = ListenerTable::default();
    let first = listeners.on("a", erase(|| 1));
    listeners.once("b", erase(|| 2));
    let any = listeners.on_any(erase(|| ()));
    listeners.prepend_any(erase(|| ()));
    assert_eq!(listeners.reached_by("a").count(), 3);
    assert_eq!(listeners.reached_by("other").count(), 2);
    assert!(listeners.remove(any) && !listeners.remove(any));
    assert_eq!(listeners.event_names(), ["a", "b"]);
    assert_eq!((listeners.count("a"), listeners.count("b")), (1, 1));

    assert!(!dispatch(&listeners, &socket, "a", "[]", Some(1)));
    assert!(dispatch(&listeners, &socket, "b", "[]", Some(2)));
    // It is spent, even where the table has not been swept yet.
    dispatch(&listeners.clone(), &socket, "b", "[]", Some(3));
    let expected = [(1, "[1]".to_owned()), (2, "[2]".to_owned())];
    assert_eq!(socket.answers(), expected);
    assert_eq!(listeners.count("b"), 0);
    listeners.sweep("b");
    assert_eq!(listeners.event_names(), ["a"]);
    assert!(listeners.remove(first));
    assert!(listeners.event_names().is_empty());
    assert_eq!(listeners.off("a"), 0);
    assert_eq!(listeners.reached_by("a").count(), 1);
    listeners.off_any();
    assert_eq!(listeners.reached_by("a").count(), 0);
    listeners.on_any_outgoing(erase(|| ()));
    assert!(listeners.has_outgoing());
    listeners.off_all();
    assert!(listeners.has_outgoing());
    listeners.off_any_outgoing();
    assert!(!listeners.has_outgoing());
}

#[test]
fn once_handler_runs_once_however_many_events_race() {
    let socket = Fake::default();
    for _ in 0..50 {
        let mut listeners = ListenerTable::default();
        listeners.once("x", erase(|| 1));
        std::thread::scope(|scope| {
            for id in 0..4 {
                let (listeners, socket) = (&listeners, &socket);
                scope.spawn(move || dispatch(listeners, socket, "x", "[]", Some(id)));
            }
        });
        assert_eq!(socket.answers().len(), 1);
    }
}

/// What holds a table of acknowledgements, as a socket does.
#[derive(Default)]
struct Owner(AckTable);

impl AsRef<AckTable> for Owner {
    fn as_ref(&self) -> &AckTable {
        &self.0
    }
}

fn owner() -> (Arc<Owner>, Arc<dyn AsRef<AckTable> + Send + Sync>) {
    let owner = Arc::new(Owner::default());
    (Arc::clone(&owner), owner)
}

#[tokio::test]
async fn ack_future_gets_its_answer_and_cleans_up() {
    let (owner, shared) = owner();
    let answered = AckFuture::<u8>::register(&shared, 1, 10, None, || Ok(()));
    let dropped = AckFuture::<u8>::register(&shared, 2, 10, None, || Ok(()));
    let refused = AckFuture::<u8>::register(&shared, 3, 10, None, || Err(EmitError::OutboxFull));
    assert_eq!(owner.0.len(), 2);
    assert!(owner.0.answer(1, || Args::new(&7).unwrap()));
    assert!(!owner.0.answer(1, || panic!("nobody waits")));
    assert_eq!(answered.await.unwrap(), 7);
    drop(dropped);
    assert!(owner.0.is_empty());
    let error = refused.await.unwrap_err();
    assert!(matches!(error, AckError::Emit(EmitError::OutboxFull)));
}

/// What an acknowledgement of these arguments is to one who waits for this type.
fn read<T: FromArgs>(args: &str) -> Result<T, AckError> {
    let args = RawArgs::from_array(args).expect("an array").to_args();
    AckError::read(Ok(args))
}

/// A struct that can be read from almost anything.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
struct Defaults {
    error: Option<Value>,
    name: String,
}

#[test]
fn refused_acknowledgement_is_an_error_whatever_type_is_waited_for() {
    fn check<T: FromArgs + Debug>() {
        for (answer, data) in [
            (
                r#"[{"error":{"message":"zero","data":[1]}}]"#,
                Some(json!([1])),
            ),
            (
                r#"[ { "error" : { "data" : null, "message":"zero"} } ]"#,
                None,
            ),
            (r#"[{"error":{"message":"zero"}}]"#, None),
        ] {
            let error = read::<T>(answer).unwrap_err();
            let refusal = error.refusal().unwrap_or_else(|| panic!("{error}"));
            assert_eq!((refusal.message(), refusal.data()), ("zero", data.as_ref()));
            assert_eq!(error.to_string(), "the peer refused: zero");
        }
    }
    check::<()>();
    check::<Value>();
    check::<Args>();
    check::<HashMap<String, Value>>();
    check::<Defaults>();
    check::<Option<u8>>();
    check::<(Value, Option<u8>)>();
    check::<u8>();
    check::<serde::de::IgnoredAny>();
}

#[test]
fn no_other_answer_is_a_refusal() {
    for answer in [
        r#"[{"error":"no such room"}]"#,
        r#"[{"error":["zero"]}]"#,
        r#"[{"error":{"message":1}}]"#,
        r#"[{"error":{"data":1}}]"#,
        r#"[{"error":{"message":"zero","code":7}}]"#,
        r#"[{"error":{"message":"zero"},"ok":false}]"#,
        r#"[{"error":{"message":"zero"}},1]"#,
        r#"[[{"error":{"message":"zero"}}]]"#,
        r#"["error"]"#,
        r#"[null]"#,
        "[]",
    ] {
        read::<()>(answer).unwrap_or_else(|error| panic!("{answer}: {error}"));
        read::<Args>(answer).unwrap();
    }
    assert!(matches!(read::<u8>("[null]"), Err(AckError::Args(_))));
}

#[tokio::test]
async fn failing_all_tells_every_waiter() {
    let (owner, shared) = owner();
    let waiting = AckFuture::<u8>::register(&shared, 1, 10, None, || Ok(()));
    let told = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&told);
    let waiter = Waiter::new(move |answer| *kept.lock() = Some(answer.is_err()));
    owner.0.insert(2, waiter, 10).unwrap();
    owner.0.fail_all();
    assert!(owner.0.is_empty());
    assert!(matches!(waiting.await, Err(AckError::Disconnected)));
    assert_eq!(*told.lock(), Some(true));
}

#[tokio::test]
async fn ack_table_has_a_limit() {
    let (owner, shared) = owner();
    let _first = AckFuture::<u8>::register(&shared, 1, 1, None, || Ok(()));
    let second = AckFuture::<u8>::register(&shared, 2, 1, None, || panic!("it must not emit"));
    let error = second.await.unwrap_err();
    assert!(matches!(
        error,
        AckError::Emit(EmitError::TooManyPendingAcks)
    ));
    assert_eq!(owner.0.len(), 1);
}
