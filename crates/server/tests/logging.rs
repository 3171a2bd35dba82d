//! What the server logs: who comes and goes and what happens, and no secrets.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use sockeye_server::{Args, Refusal, Server, Socket};
use sockeye_testkit::{Case, Log, ServerRig};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps what is logged, a line each, in front of which are the spans that it is in.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Logged>>);

#[derive(Default)]
struct Logged {
    lines: Vec<(Level, String)>,
    spans: u64,
    /// Those that somebody has: how many, and what is in them.
    open: HashMap<u64, (usize, String)>,
    entered: Vec<u64>,
}

impl Lines {
    /// Those from this level on.
    fn up_to(&self, level: Level) -> Vec<String> {
        let logged = self.lock();
        let lines = logged.lines.iter().filter(|(its, _)| *its <= level);
        lines.map(|(_, line)| line.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Logged> {
        self.0.lock().expect("nobody panics with it")
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("strings take everything");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut line = Line(format!("{} ", span.metadata().name()));
        span.record(&mut line);
        let logged = &mut *self.lock();
        logged.spans += 1;
        logged.open.insert(logged.spans, (1, line.0));
        span::Id::from_u64(logged.spans)
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        let logged = &mut *self.lock();
        let open = logged.open.get_mut(&id.into_u64());
        open.expect("it is open").0 += 1;
        id.clone()
    }

    fn try_close(&self, id: span::Id) -> bool {
        let logged = &mut *self.lock();
        let open = logged.open.get_mut(&id.into_u64());
        let owners = &mut open.expect("it is open").0;
        *owners -= 1;
        let is_over = *owners == 0;
        if is_over {
            logged.open.remove(&id.into_u64());
        }
        is_over
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let logged = &mut *self.lock();
        let spans = logged.entered.iter().map(|id| &*logged.open[id].1);
        let line = spans.collect::<String>() + &line.0;
        logged.lines.push((*event.metadata().level(), line));
    }

    fn enter(&self, id: &span::Id) {
        self.lock().entered.push(id.into_u64());
    }

    fn exit(&self, id: &span::Id) {
        assert_eq!(self.lock().entered.pop(), Some(id.into_u64()));
    }
}

/// A client of this kind comes, has an event answered, joins rooms and goes.
async fn visit(case: Case) -> (Lines, String, String) {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let io = Server::new();
    let log = Log::new();
    let gone = log.clone();
    io.on("enter", |socket: Socket, args: Args| {
        // A careless application might put a socket into another one's room.
        socket.join(["lobby", socket.id(), &format!("/x#{}", socket.id())]);
        let told = socket.namespace().to("lobby").emit("entered", ());
        told.expect("an emit");
        args
    })
    .on_disconnect(move || gone.push(()));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect_as(case).await;
    let (id, session) = (peer.id.clone(), peer.client.sid().to_owned());
    peer.send(r#"21["enter","the payload"]"#).await;
    peer.expect(r#"2["entered"]"#).await;
    peer.expect(r#"31["the payload"]"#).await;
    peer.send("1").await;
    log.next().await;
    (lines, id, session)
}

#[tokio::test]
async fn who_comes_and_goes_is_logged_as_info() {
    let (lines, id, _) = visit(Case::WEBSOCKET).await;
    let told = lines.up_to(Level::INFO).concat();
    let connected = format!(r#"id="{id}" namespace="/" transport="websocket" "#);
    assert!(told.contains(&connected), "{told}");
    assert!(told.contains("message=disconnected"), "{told}");
    let reason = "reason=client namespace disconnect";
    assert!(told.contains(reason), "{told}");
    assert!(!told.contains("enter"), "{told}");
}

#[tokio::test]
async fn peer_that_comes_and_goes_without_end_does_not_fill_the_log() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let io = Server::new();
    let _ = io.of("/there");
    io.of("/closed")
        .middleware(|| Err::<(), _>(Refusal::new("no")));
    let rig = ServerRig::tcp(&io).await;
    for name in ["/nowhere", "/closed", "/there"] {
        let before = lines.lock().lines.len();
        // In which it is in `/`.
        let mut peer = rig.connect().await;
        for _ in 0..150 {
            peer.send(&format!("0{name},")).await;
            let answer = peer.text().await;
            assert!(answer[1..].starts_with(name), "{answer}");
            if answer.starts_with('0') {
                peer.send(&format!("1{name},")).await;
            }
        }
        peer.send("1").await;
        peer.client
            .net()
            .until("it is gone", || io.sockets().is_empty())
            .await;
        let told = lines.lock().lines[before..].to_vec();
        let count = |level, messages: [&str; 2]| {
            let is_one = |line: &str| messages.iter().any(|one| line.contains(one));
            let lines = told
                .iter()
                .filter(|(its, line)| *its == level && is_one(line));
            lines.count()
        };
        let comes = ["message=connected", "message=refused"];
        assert_eq!(count(Level::INFO, comes), 100, "{name}");
        assert_eq!(count(Level::DEBUG, comes), 51, "{name}");
        let goes = ["message=disconnected"; 2];
        let gone = if name == "/there" { [100, 51] } else { [1, 0] };
        assert_eq!(
            [Level::INFO, Level::DEBUG].map(|level| count(level, goes)),
            gone
        );
    }
}

#[tokio::test]
async fn rooms_and_events_are_logged_for_debugging() {
    let (lines, ..) = visit(Case::POLLING).await;
    let told = lines.up_to(Level::DEBUG);
    let has = |parts: &[&str]| {
        let found = told
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?}: {told:#?}");
    };
    has(&[
        "message=session opened",
        "transport=\"polling\"",
        "remote=127.0.0.1:",
    ]);
    has(&[
        "message=event ",
        "event=enter ",
        "bytes=13 ",
        "wants_ack=true",
    ]);
    has(&["message=joined a room", "room=lobby "]);
    let all = lines.up_to(Level::TRACE).concat();
    assert!(all.contains("message=broadcast"), "{all}");
}

#[tokio::test]
async fn neither_secrets_nor_payloads_are_logged() {
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        let (lines, _, session) = visit(case).await;
        let told = lines.up_to(Level::TRACE);
        assert!(told.len() > 5, "{told:#?}");
        for line in told {
            assert!(!line.contains(&session), "{line}");
            assert!(!line.contains("payload"), "{line}");
        }
    }
}

#[tokio::test]
async fn what_happens_on_a_connection_is_logged_in_its_span() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let io = Server::new();
    let log = Log::new();
    let gone = log.clone();
    io.on("shout", async |args: Args| {
        tracing::info!("the handler begins");
        tokio::task::yield_now().await;
        tracing::info!("the handler goes on");
        args
    })
    .on_disconnect(move || gone.push(()));
    let rig = ServerRig::tcp(&io).await;
    let mut connections = Vec::new();
    for case in [Case::WEBSOCKET, Case::POLLING, Case::WEBSOCKET_V3] {
        let before = lines.lock().lines.len();
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"21["shout"]"#).await;
        peer.expect("31[]").await;
        let told = lines.lock().lines[before..].to_vec();
        let span = |line: &str| {
            let span = line.strip_prefix("connection n=")?;
            let (n, rest) = span.split_once(' ')?;
            rest.starts_with("remote=127.0.0.1:").then(|| n.to_owned())
        };
        let of = |message: &str| {
            let message = format!("message={message} ");
            let mut lines = told.iter().map(|(_, line)| line);
            let line = lines.find(|line| line.contains(&message));
            let line = line.unwrap_or_else(|| panic!("{message}: {told:#?}"));
            span(line).unwrap_or_else(|| panic!("{line}"))
        };
        let n = of("session opened");
        for message in [
            "connected",
            "event",
            "the handler begins",
            "the handler goes on",
        ] {
            assert_eq!(of(message), n);
        }
        connections.push(n);
        // Some go in good order, and some do not.
        match connections.len() {
            1 => peer.send("1").await,
            _ => drop(peer),
        }
    }
    connections.dedup();
    assert_eq!(connections.len(), 3);
    log.next().await;
    io.close().await;
    assert!(lines.lock().open.is_empty(), "{:?}", lines.lock().open);
    let closed = lines.up_to(Level::DEBUG);
    let closed = closed
        .iter()
        .filter(|line| line.contains("message=session closed"));
    assert_eq!(closed.count(), 3);
}
