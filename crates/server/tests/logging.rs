//! What the server logs: who comes and goes and what happens, and no secrets.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use sockeye_server::{Args, Server, Socket};
use sockeye_testkit::{Case, Log, ServerRig};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps what is logged, a line each.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Lines {
    /// Those from this level on.
    fn up_to(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().expect("nobody panics with it");
        let lines = lines.iter().filter(|(its, _)| *its <= level);
        lines.map(|(_, line)| line.clone()).collect()
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

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let lines = &mut self.0.lock().expect("nobody panics with it");
        lines.push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
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
