//! Connection state recovery.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use serde::Deserialize;
use sockeye_server::{
    Args, Data, EmitError, Handshake, RecoveryConfig, Refusal, Server, ServerConfig, Socket,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

/// A server with recovery that says what happens.
fn server(log: &Log<String>) -> Server {
    with(log, RecoveryConfig::default())
}

fn with(log: &Log<String>, recovery: RecoveryConfig) -> Server {
    let io = Server::with_config(ServerConfig::default().recovery(recovery)).unwrap();
    serve(&io, log);
    io
}

fn serve(io: &Server, log: &Log<String>) {
    io.on("echo", |args: Args| args);
    io.on("join", |socket: Socket, Data(rooms): Data<Vec<String>>| {
        socket.join(rooms);
        true
    });
    let told = log.clone();
    io.on_connect(move |socket: Socket| {
        told.push(match socket.recovered() {
            true => "again".to_owned(),
            false => "new".to_owned(),
        });
    });
    let told = log.clone();
    io.on_disconnect(move || told.push("gone".to_owned()));
    let told = log.clone();
    io.on_recovery_expired(move |_| told.push("expired".to_owned()));
}

async fn expect<const N: usize>(log: &Log<String>, entries: [&str; N]) {
    for entry in entries {
        assert_eq!(log.next().await, entry);
    }
}

/// A client that knows how to come back.
struct Guest {
    peer: Peer,
    answer: Answer,
    /// What came before the answer.
    missed: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    sid: String,
    pid: String,
    offset: Option<String>,
}

impl Guest {
    async fn new(rig: &ServerRig) -> Self {
        Self::join(rig, "").await
    }

    async fn join(rig: &ServerRig, auth: &str) -> Self {
        Self::join_as(rig, Case::WEBSOCKET, auth).await
    }

    async fn join_as(rig: &ServerRig, case: Case, auth: &str) -> Self {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.send(&format!("0{auth}")).await;
        let mut missed = Vec::new();
        loop {
            let text = peer.text().await;
            if let Some(json) = text.strip_prefix('0') {
                let answer = serde_json::from_str(json).unwrap();
                return Self {
                    peer,
                    answer,
                    missed,
                };
            }
            missed.push(text);
        }
    }

    /// Comes back with this offset, on a connection of its own.
    async fn back(&self, rig: &ServerRig, offset: Option<&str>) -> Self {
        Self::join(rig, &self.auth(offset)).await
    }

    fn auth(&self, offset: Option<&str>) -> String {
        let pid = &self.answer.pid;
        match offset {
            Some(offset) => format!(r#"{{"pid":"{pid}","offset":"{offset}"}}"#),
            None => format!(r#"{{"pid":"{pid}"}}"#),
        }
    }

    /// Waits for an event; gives its offset.
    async fn event(&mut self, name: &str, arg: u32) -> String {
        let text = self.peer.text().await;
        offset_of(&text, name, arg)
    }

    async fn enter(&mut self, rooms: &[&str]) {
        let rooms = serde_json::to_string(rooms).unwrap();
        self.peer.send(&format!(r#"2777["join",{rooms}]"#)).await;
        self.peer.expect("3777[true]").await;
    }
}

fn offset_of(text: &str, name: &str, arg: u32) -> String {
    let (found, number, offset): (String, u32, String) =
        serde_json::from_str(text.strip_prefix('2').unwrap()).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!((&*found, number), (name, arg), "{text}");
    offset
}

#[tokio::test]
async fn what_was_missed_comes_before_the_answer() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    assert_eq!(guest.answer.pid.len(), 20);
    guest.enter(&["room"]).await;
    let socket = io.socket(&guest.answer.sid).unwrap();
    socket
        .set_shared_data(serde_json::json!({"name": "Ann"}))
        .unwrap();
    io.to("room").emit("a", 1).unwrap();
    let offset = guest.event("a", 1).await;
    expect(&log, ["new"]).await;
    drop(guest.peer);
    expect(&log, ["gone"]).await;

    io.emit("all", 2).unwrap();
    io.to("room").emit("room", 3).unwrap();
    io.to("other").emit("no", 4).unwrap();
    io.except("room").emit("no", 5).unwrap();
    io.to(guest.answer.sid.as_str()).emit("own", 6).unwrap();
    // Through what is left of the socket, as well.
    socket.emit("direct", 7).unwrap();

    let auth = format!(r#"{{"pid":"{}","offset":"{offset}"}}"#, guest.answer.pid);
    let again = Guest::join(&rig, &auth).await;
    expect(&log, ["again"]).await;
    let expected = [("all", 2), ("room", 3), ("own", 6), ("direct", 7)];
    assert_eq!(again.missed.len(), expected.len(), "{:?}", again.missed);
    for (text, (name, arg)) in again.missed.iter().zip(expected) {
        offset_of(text, name, arg);
    }
    assert_eq!(again.answer.sid, guest.answer.sid);
    assert_eq!(again.answer.pid, guest.answer.pid);
    let now = io.socket(&guest.answer.sid).unwrap();
    assert_eq!(now.rooms(), [&*guest.answer.sid, "room"]);
    assert_eq!(now.shared_data().unwrap()["name"], "Ann");
    assert!(now.recovered() && !socket.connected());
    let mut again = again;
    // What is left of the old one reaches the new one.
    socket.emit("late", 8).unwrap();
    again.event("late", 8).await;
    io.to("room").emit("live", 9).unwrap();
    again.event("live", 9).await;
}

#[tokio::test]
async fn what_a_room_got_before_it_was_joined_does_not_come_whatever_is_asked_for() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    let first = guest.answer.offset.clone();
    io.to("board").emit("secret", 1).unwrap();
    io.emit("all", 2).unwrap();
    guest.event("all", 2).await;
    guest.enter(&["board"]).await;
    io.to("board").emit("board", 3).unwrap();
    guest.event("board", 3).await;
    // It is there already.
    guest.enter(&["board"]).await;
    drop(guest.peer);
    expect(&log, ["new", "gone"]).await;
    io.to("board").emit("board", 4).unwrap();
    let auth = {
        let pid = &guest.answer.pid;
        format!(r#"{{"pid":"{pid}","offset":"{}"}}"#, first.unwrap())
    };
    let is_missed = |missed: &[String], expected: &[(&str, u32)]| {
        assert_eq!(missed.len(), expected.len(), "{missed:?}");
        for (text, (name, arg)) in missed.iter().zip(expected) {
            offset_of(text, name, *arg);
        }
    };
    // After one loss, and after another.
    for _ in 0..2 {
        let again = Guest::join(&rig, &auth).await;
        is_missed(&again.missed, &[("all", 2), ("board", 3), ("board", 4)]);
        drop(again);
        expect(&log, ["again", "gone"]).await;
    }
    let mut again = Guest::join(&rig, &auth).await;
    let socket = io.socket(&again.answer.sid).unwrap();
    socket.leave("board");
    io.to("board").emit("secret", 5).unwrap();
    again.enter(&["board"]).await;
    drop(again);
    expect(&log, ["again", "gone"]).await;
    io.to("board").emit("board", 6).unwrap();
    let again = Guest::join(&rig, &auth).await;
    is_missed(&again.missed, &[("all", 2), ("board", 6)]);
    expect(&log, ["again"]).await;
}

#[tokio::test]
async fn who_has_got_nothing_comes_back_too() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    io.emit("before", 0).unwrap();
    for with_offset in [true, false] {
        let guest = Guest::new(&rig).await;
        expect(&log, ["new"]).await;
        let offset = guest.answer.offset.clone();
        assert!(offset.is_some());
        let auth = guest.auth(offset.as_deref().filter(|_| with_offset));
        drop(guest.peer);
        expect(&log, ["gone"]).await;
        io.emit("a", 1).unwrap();
        let again = Guest::join(&rig, &auth).await;
        expect(&log, ["again"]).await;
        assert_eq!(again.missed.len(), 1);
        assert_eq!(again.answer.offset, None);
        drop(again);
        expect(&log, ["gone"]).await;
    }
}

#[tokio::test]
async fn socket_comes_back_once_and_again_after_each_loss() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let guest = Guest::new(&rig).await;
    let (pid, sid) = (guest.answer.pid.clone(), guest.answer.sid.clone());
    let auth = format!(r#"{{"pid":"{pid}"}}"#);
    drop(guest);
    expect(&log, ["new", "gone"]).await;
    for round in 1..4 {
        io.emit("a", round).unwrap();
        let again = Guest::join(&rig, &auth).await;
        assert_eq!((&again.answer.sid, again.missed.len()), (&sid, round));
        drop(again);
        expect(&log, ["again", "gone"]).await;
    }
    // Two at once: the second throws out the first.
    let first = Guest::join(&rig, &auth).await;
    let mut second = Guest::join(&rig, &auth).await;
    assert_eq!((&first.answer.sid, &second.answer.sid), (&sid, &sid));
    expect(&log, ["again", "gone", "again"]).await;
    // It has left for good.
    second.peer.send("1").await;
    expect(&log, ["gone"]).await;
    let third = Guest::join(&rig, &auth).await;
    assert_ne!(third.answer.sid, sid);
    assert_ne!(third.answer.pid, pid);
    expect(&log, ["new"]).await;
}

#[tokio::test]
async fn who_is_broken_off_comes_back() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    io.socket(&guest.answer.sid).unwrap().abort();
    // Nobody has told it that it is disconnected.
    guest.peer.ended().await;
    expect(&log, ["new", "gone"]).await;
    let again = guest.back(&rig, None).await;
    assert_eq!(again.answer.sid, guest.answer.sid);
    expect(&log, ["again"]).await;
}

#[tokio::test]
async fn connection_that_is_dead_without_anybody_noticing_is_taken_over() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    io.emit("a", 1).unwrap();
    let offset = guest.event("a", 1).await;
    // This goes to the dead connection.
    io.emit("a", 2).unwrap();
    let again = guest.back(&rig, Some(&offset)).await;
    assert_eq!(again.answer.sid, guest.answer.sid);
    assert_eq!(again.missed.len(), 1);
    offset_of(&again.missed[0], "a", 2);
    expect(&log, ["new", "gone", "again"]).await;
    guest.event("a", 2).await;
    guest.peer.ended().await;
    assert_eq!(io.sockets().len(), 1);
}

#[tokio::test]
async fn events_that_are_answered_or_volatile_are_not_logged() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    let socket = io.socket(&guest.answer.sid).unwrap();
    io.volatile().emit("v", 1).unwrap();
    guest.peer.expect(r#"2["v",1]"#).await;
    socket.volatile().emit("v", 2).unwrap();
    guest.peer.expect(r#"2["v",2]"#).await;
    drop(socket.emit_with_ack::<()>("q", 3));
    guest.peer.expect(r#"21["q",3]"#).await;
    drop(io.emit_with_ack::<()>("q", 4).unwrap());
    assert!(guest.peer.text().await.ends_with(r#"["q",4]"#));
    let auth = guest.auth(None);
    drop(guest);
    expect(&log, ["new", "gone"]).await;
    io.volatile().emit("v", 5).unwrap();
    drop(io.emit_with_ack::<()>("q", 6).unwrap());
    assert!(matches!(
        socket.volatile().emit("v", 7),
        Err(EmitError::Disconnected)
    ));
    let again = Guest::join(&rig, &auth).await;
    assert_eq!(again.missed.len(), 0);
    expect(&log, ["again"]).await;
}

#[tokio::test]
async fn bytes_come_again_as_they_were_sent() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let guest = Guest::new(&rig).await;
    let auth = guest.auth(None);
    drop(guest);
    expect(&log, ["new", "gone"]).await;
    let bytes = sockeye_server::Args::new(&(bytes::Bytes::from_static(&[1, 2]),)).unwrap();
    io.emit("bytes", &bytes).unwrap();
    io.all()
        .binary(false)
        .emit("bytes", vec![bytes::Bytes::from_static(&[3]); 11])
        .unwrap();
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send(&format!("0{auth}")).await;
    let text = peer.text().await;
    assert!(
        text.starts_with(r#"51-["bytes",{"_placeholder":true,"num":0},""#),
        "{text}"
    );
    assert_eq!(peer.binary().await, [1, 2]);
    let text = peer.text().await;
    assert!(
        text.starts_with(r#"2["bytes",[{"type":"Buffer","data":[3]},"#),
        "{text}"
    );
    assert!(peer.text().await.starts_with('0'));
}

#[tokio::test(start_paused = true)]
async fn time_is_limited_and_its_end_is_told() {
    let log = Log::virtual_time();
    let config = RecoveryConfig::default().max_disconnection(Duration::from_secs(10));
    let io = with(&log, config);
    let rig = ServerRig::memory(&io);
    let guest = Guest::new(&rig).await;
    let socket = io.socket(&guest.answer.sid).unwrap();
    let auth = guest.auth(None);
    drop(guest.peer);
    expect(&log, ["new", "gone"]).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    socket.emit("a", 1).unwrap();
    let again = Guest::join(&rig, &auth).await;
    assert_eq!(again.missed.len(), 1);
    drop(again);
    expect(&log, ["again", "gone", "expired"]).await;
    assert!(matches!(socket.emit("a", 2), Err(EmitError::Disconnected)));
    let new = Guest::join(&rig, &auth).await;
    assert_ne!(new.answer.sid, guest.answer.sid);
    expect(&log, ["new"]).await;
}

#[tokio::test]
async fn who_is_sent_away_does_not_come_back() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    for close in [false, true] {
        let guest = Guest::new(&rig).await;
        let auth = guest.auth(None);
        let socket = io.socket(&guest.answer.sid).unwrap();
        match close {
            false => socket.disconnect(),
            true => socket.close(),
        }
        expect(&log, ["new", "gone"]).await;
        assert!(matches!(socket.emit("a", 1), Err(EmitError::Disconnected)));
        let other = Guest::join(&rig, &auth).await;
        assert_ne!(other.answer.sid, guest.answer.sid);
        drop(other);
        expect(&log, ["new", "gone"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_again_while_a_middleware_thinks_is_kept_on_and_no_longer() {
    let log = Log::virtual_time();
    let config = RecoveryConfig::default()
        .max_disconnection(Duration::from_secs(60))
        .skip_middlewares(false);
    let io = with(&log, config);
    let told = log.clone();
    io.middleware(move |socket: Socket| {
        let told = told.clone();
        async move {
            if socket.recovered() {
                told.push("asked".to_owned());
                std::future::pending::<()>().await;
            }
        }
    });
    let rig = ServerRig::memory(&io);
    let guest = Guest::new(&rig).await;
    let auth = guest.auth(None);
    drop(guest.peer);
    expect(&log, ["new", "gone"]).await;
    let begin = tokio::time::Instant::now();
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send(&format!("0{auth}")).await;
    expect(&log, ["asked"]).await;
    // Nobody is kept meanwhile, for longer than it takes to look.
    tokio::time::sleep(Duration::from_secs(40)).await;
    drop(peer);
    expect(&log, ["expired"]).await;
    let after = begin.elapsed();
    assert!(
        (60..80).contains(&after.as_secs()),
        "expired after {after:?}"
    );
}

#[tokio::test]
async fn middlewares_are_skipped_or_see_who_comes() {
    for skip in [true, false] {
        let log = Log::default();
        let io = with(&log, RecoveryConfig::default().skip_middlewares(skip));
        let told = log.clone();
        io.middleware(move |socket: Socket, handshake: Handshake| {
            let told = told.clone();
            async move {
                tokio::task::yield_now().await;
                told.push(format!("asked {}", socket.recovered()));
                match handshake.auth_json().contains("bad") {
                    true => Err(Refusal::new("no")),
                    false => Ok(()),
                }
            }
        });
        let rig = ServerRig::tcp(&io).await;
        let guest = Guest::new(&rig).await;
        let auth = guest.auth(None);
        drop(guest.peer);
        expect(&log, ["asked false", "new", "gone"]).await;
        io.emit("a", 1).unwrap();
        if !skip {
            // Who is refused may try again, with something better.
            let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
            peer.send(&format!("0{}", auth.replace('}', r#","bad":true}"#)))
                .await;
            peer.expect(r#"4{"message":"no"}"#).await;
            expect(&log, ["asked true"]).await;
        }
        let again = Guest::join(&rig, &auth).await;
        assert_eq!(again.missed.len(), 1);
        assert_eq!(again.answer.sid, guest.answer.sid);
        match skip {
            true => expect(&log, ["again"]).await,
            false => expect(&log, ["asked true", "again"]).await,
        }
    }
}

#[tokio::test]
async fn what_is_emitted_while_a_middleware_thinks_comes_once() {
    let log = Log::default();
    let io = with(&log, RecoveryConfig::default().skip_middlewares(false));
    io.middleware(async |socket: Socket, server: Server| {
        if socket.recovered() {
            server.emit("a", 2).unwrap();
            tokio::task::yield_now().await;
            server.to("room").emit("a", 3).unwrap();
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    guest.enter(&["room"]).await;
    let auth = guest.auth(None);
    drop(guest);
    expect(&log, ["new", "gone"]).await;
    io.emit("a", 1).unwrap();
    let mut again = Guest::join(&rig, &auth).await;
    io.emit("a", 4).unwrap();
    again.event("a", 4).await;
    assert_eq!(again.missed.len(), 3, "{:?}", again.missed);
    for (text, n) in again.missed.iter().zip(1..) {
        offset_of(text, "a", n);
    }
}

#[tokio::test]
async fn who_has_missed_too_much_is_new() {
    let log = Log::default();
    let io = with(&log, RecoveryConfig::default().max_room_bytes(2_000));
    let rig = ServerRig::tcp(&io).await;
    let mut guest = Guest::new(&rig).await;
    guest.enter(&["loud"]).await;
    let quiet = Guest::new(&rig).await;
    let (loud_auth, quiet_auth) = (guest.auth(None), quiet.auth(None));
    drop((guest, quiet));
    expect(&log, ["new", "new", "gone", "gone"]).await;
    io.emit("a", 0).unwrap();
    for n in 0..20 {
        io.to("loud").emit("a", n).unwrap();
    }
    let again = Guest::join(&rig, &quiet_auth).await;
    assert_eq!(again.missed.len(), 1);
    expect(&log, ["again"]).await;
    let new = Guest::join(&rig, &loud_auth).await;
    assert_eq!(new.missed.len(), 0);
    expect(&log, ["new"]).await;
}

#[tokio::test]
async fn who_has_missed_more_than_its_outbox_takes_is_new() {
    let log = Log::default();
    let config = ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.outbox_limit(10_000)))
        .recovery(RecoveryConfig::default());
    let io = Server::with_config(config).unwrap();
    serve(&io, &log);
    let rig = ServerRig::tcp(&io).await;
    let guest = Guest::new(&rig).await;
    let auth = guest.auth(None);
    drop(guest);
    expect(&log, ["new", "gone"]).await;
    for _ in 0..3 {
        io.emit("a", "x".repeat(5_000)).unwrap();
    }
    let new = Guest::join(&rig, &auth).await;
    assert_eq!(new.missed.len(), 0);
    expect(&log, ["expired", "new"]).await;
}

#[tokio::test]
async fn kept_sockets_are_bounded_and_junk_is_new() {
    let log = Log::default();
    let io = with(&log, RecoveryConfig::default().max_sockets(2));
    let rig = ServerRig::tcp(&io).await;
    let mut all = Vec::new();
    for _ in 0..3 {
        let guest = Guest::new(&rig).await;
        all.push(guest.auth(None));
        drop(guest);
        expect(&log, ["new", "gone"]).await;
    }
    expect(&log, ["expired"]).await;
    let junk = [
        all[0].clone(),
        r#"{"pid":"aaaaaaaaaaaaaaaaaaaa","offset":"x"}"#.to_owned(),
        r#"{"pid":7,"offset":[]}"#.to_owned(),
        format!(r#"{{"pid":"{}"}}"#, "x".repeat(10_000)),
    ];
    for auth in junk {
        let guest = Guest::join(&rig, &auth).await;
        drop(guest);
        // It takes the place of another one.
        expect(&log, ["new", "gone", "expired"]).await;
    }
}

#[tokio::test]
async fn without_recovery_nothing_is_added() {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    io.emit("a", 1).unwrap();
    peer.expect(r#"2["a",1]"#).await;
    assert!(!io.sockets()[0].recovered());
}

#[tokio::test]
async fn clients_that_cannot_come_back_are_served_all_the_same() {
    let log = Log::default();
    let io = server(&log);
    let rig = ServerRig::tcp(&io).await;
    let mut old = Peer::open(&rig.net, Case::WEBSOCKET_V3).await;
    old.join_answer().await;
    io.emit("a", 1).unwrap();
    assert!(old.text().await.starts_with(r#"2["a",1"#));
    io.sockets()[0].emit("b", 2).unwrap();
    old.expect(r#"2["b",2]"#).await;
}

/// Everything that goes out while a client loses its connection again and again arrives once and in order: to its room, to
/// everyone and to itself, from threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_between_two_threads() {
    const EVENTS: u32 = 2_000;
    let recovery = RecoveryConfig::default()
        .max_bytes(usize::MAX)
        .max_room_bytes(usize::MAX);
    for skip in [true, false] {
        let io =
            Server::with_config(ServerConfig::default().recovery(recovery.skip_middlewares(skip)))
                .unwrap();
        io.on_connect(|socket: Socket| {
            if !socket.recovered() {
                socket.join("room");
            }
        });
        io.middleware(async || tokio::task::yield_now().await);
        let rig = ServerRig::tcp(&io).await;
        let mut guest = Guest::new(&rig).await;
        let (sid, socket) = (guest.answer.sid.clone(), io.sockets().remove(0));
        let threads: Vec<_> = (0..4_usize)
            .map(|thread| {
                let (io, socket) = (io.clone(), socket.clone());
                std::thread::spawn(move || {
                    for n in 0..EVENTS {
                        match thread {
                            0 => io.to("room").emit("n", (thread, n)),
                            1 => io.emit("n", (thread, n)),
                            2 => io
                                .to(["room", socket.id()])
                                .except("x")
                                .emit("n", (thread, n)),
                            _ => socket.emit("n", (thread, n)),
                        }
                        .unwrap();
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        let mut offset = None;
        let (mut losses, mut random) = (0, 1_u32);
        while next.iter().any(|next| *next < EVENTS) {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let patience = (random >> 16) % 60;
            let mut read = |text: &str| {
                let (_, thread, n, place): (String, usize, u32, String) =
                    serde_json::from_str(text.strip_prefix('2').unwrap()).unwrap();
                assert_eq!(n, next[thread], "thread {thread} after {losses} losses");
                next[thread] += 1;
                offset = Some(place);
                next.iter().all(|next| *next == EVENTS)
            };
            let mut is_done = false;
            for text in std::mem::take(&mut guest.missed) {
                is_done |= read(&text);
            }
            for _ in 0..patience {
                if is_done {
                    break;
                }
                is_done = read(&guest.peer.text().await);
            }
            let again = guest.back(&rig, offset.as_deref()).await;
            assert_eq!(again.answer.sid, sid);
            guest = again;
            losses += 1;
        }
        assert!(guest.missed.is_empty());
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(losses > 2, "{losses}");
    }
}
