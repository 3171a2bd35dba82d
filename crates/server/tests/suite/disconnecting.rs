//! How sockets end: once, with the right reason, in the right order.

use std::time::Duration;

use sockeye_server::{
    DisconnectReason, EventErrorKind, Server, ServerConfig, Socket, StrayPackets,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

const ALL: [Case; 4] = [
    Case::POLLING,
    Case::WEBSOCKET,
    Case::POLLING_V3,
    Case::WEBSOCKET_V3,
];

/// What is noted of an end: which event, of which socket, its rooms, and the reason.
#[derive(Debug, PartialEq, Eq)]
struct End {
    event: &'static str,
    id: String,
    in_room: bool,
    connected: bool,
    reason: String,
}

/// Notes every end, in every namespace named.
fn note_ends(io: &Server, namespaces: &[&str], log: &Log<End>) {
    for name in namespaces {
        let namespace = io.of(name);
        namespace.on_connect(|socket: Socket| socket.join("room"));
        let note = |event: &'static str| {
            let log = log.clone();
            move |socket: Socket, reason: DisconnectReason| {
                log.push(End {
                    event,
                    id: socket.id().to_owned(),
                    in_room: socket.rooms().contains(&"room".to_owned()),
                    connected: socket.connected(),
                    reason: reason.to_string(),
                });
            }
        };
        namespace.on_disconnecting(note("disconnecting"));
        namespace.on_disconnect(note("disconnect"));
    }
}

/// Sees to it that the socket ends as it should, once, and that nothing is left.
async fn expect_end(io: &Server, log: &Log<End>, id: &str, reason: &str) {
    for (event, in_room) in [("disconnecting", true), ("disconnect", false)] {
        let end = log.next().await;
        let expected = End {
            event,
            id: id.to_owned(),
            in_room,
            connected: false,
            reason: reason.to_owned(),
        };
        assert_eq!(end, expected);
    }
    assert!(io.room_names().is_empty());
    assert!(io.sockets().is_empty());
}

struct Rig {
    io: Server,
    rig: ServerRig,
    log: Log<End>,
}

async fn start(config: ServerConfig) -> Rig {
    let io = Server::with_config(config).expect("a valid configuration");
    let log = Log::new();
    note_ends(&io, &["/"], &log);
    let rig = ServerRig::tcp(&io).await;
    Rig { io, rig, log }
}

impl Rig {
    /// The end of a session that the peer has caused, over every kind of transport.
    async fn expect(&self, id: &str, reason: &str) {
        expect_end(&self.io, &self.log, id, reason).await;
        let gone = || self.io.connection_count() == 0;
        self.rig.net.until("no connection", gone).await;
        assert!(self.log.rest().is_empty(), "only once");
    }
}

#[tokio::test]
async fn client_that_leaves_is_a_client_namespace_disconnect() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    for case in ALL {
        let mut peer = rig.connect_as(case).await;
        peer.send("1").await;
        expect_end(&io, &log, &peer.id, "client namespace disconnect").await;
        // The connection stays, and takes no part in what happens to the socket.
        assert_eq!(io.connection_count(), 1);
        if case.is_polling() {
            peer.client
                .post(if case.is_v3() { "1:1" } else { "1" })
                .await;
        }
        drop(peer);
        rig.net
            .until("no connection", || io.connection_count() == 0)
            .await;
        assert!(log.rest().is_empty(), "only once");
    }
}

#[tokio::test]
async fn events_behind_a_leave_are_ignored() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    io.on("x", || -> Result<(), String> { panic!("nobody is there") });
    let mut peer = rig.connect_as(Case::POLLING_V3).await;
    let packets = ["1", r#"2["x"]"#].map(sockeye_engine_proto::Packet::text);
    peer.client.send(&packets).await;
    expect_end(&io, &log, &peer.id, "client namespace disconnect").await;
}

#[tokio::test]
async fn server_that_disconnects_is_a_server_namespace_disconnect() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    for case in ALL {
        let mut peer = rig.connect_as(case).await;
        let socket = io.socket(&peer.id).unwrap();
        socket.emit("last words", ()).unwrap();
        socket.disconnect();
        assert!(!socket.connected());
        socket.disconnect();
        peer.expect(r#"2["last words"]"#).await;
        peer.expect("1").await;
        expect_end(&io, &log, &peer.id, "server namespace disconnect").await;
        if !case.is_v3() {
            peer.join("/").await;
            io.socket(&peer.id).unwrap().close();
            peer.expect("1").await;
            peer.ended().await;
            expect_end(&io, &log, &peer.id, "server namespace disconnect").await;
        }
        drop(peer);
    }
    assert!(log.rest().is_empty(), "only once");
}

#[tokio::test]
async fn disconnecting_with_close_ends_all_namespaces() {
    let io = Server::new();
    let log = Log::new();
    note_ends(&io, &["/", "/a", "/b"], &log);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let root = peer.id.clone();
    peer.join("/a").await;
    peer.join("/b").await;
    io.of("/a").sockets()[0].close();
    // In the order in which they were joined, whichever of them asks for it.
    for packet in ["1", "1/a,", "1/b,"] {
        peer.expect(packet).await;
    }
    peer.ended().await;
    let ends = log.take(6).await;
    assert!(
        ends.iter()
            .all(|end| end.reason == "server namespace disconnect")
    );
    assert_eq!(ends.iter().filter(|end| end.id == root).count(), 2);
    rig.net
        .until("no connection", || io.connection_count() == 0)
        .await;
    assert!(log.rest().is_empty(), "only once");
}

#[tokio::test]
async fn handler_may_disconnect_its_own_socket() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    io.on("kick me", |socket: Socket| socket.close());
    io.on("after", || -> Result<(), String> {
        panic!("nobody is there")
    });
    for case in ALL {
        let mut peer = rig.connect_as(case).await;
        let packets = [r#"2["kick me"]"#, r#"2["after"]"#].map(sockeye_engine_proto::Packet::text);
        peer.client.send(&packets).await;
        peer.expect("1").await;
        peer.ended().await;
        expect_end(&io, &log, &peer.id, "server namespace disconnect").await;
    }
}

#[tokio::test]
async fn connect_handler_may_disconnect_at_once() {
    let io = Server::new();
    let log = Log::new();
    note_ends(&io, &["/"], &log);
    io.on_connect(|socket: Socket| socket.disconnect());
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.expect("1").await;
    expect_end(&io, &log, &peer.id, "server namespace disconnect").await;
}

#[tokio::test]
async fn client_that_closes_is_a_transport_close() {
    let rig = start(ServerConfig::default()).await;
    for case in ALL {
        let mut peer = rig.rig.connect_as(case).await;
        let id = peer.id.clone();
        peer.client
            .send(&[sockeye_engine_proto::Packet::Close])
            .await;
        peer.client.hung_up().await;
        rig.expect(&id, "transport close").await;
    }
    for frame in [true, false] {
        let mut peer = rig.rig.connect().await;
        let id = peer.id.clone();
        if frame {
            peer.client.websocket().close(Some(1001)).await;
        }
        drop(peer);
        rig.expect(&id, "transport close").await;
    }
}

#[tokio::test]
async fn broken_rules_of_the_transport_are_a_transport_error() {
    let rig = start(
        ServerConfig::default().engine(|engine| engine.limits(|limits| limits.max_payload(1000))),
    )
    .await;
    // Two polls at a time.
    let peer = rig.rig.connect_as(Case::POLLING).await;
    let mut first = peer.client.begin_get().await;
    let mut second = peer.client.begin_get().await;
    first.response().await;
    second.response().await;
    rig.expect(&peer.id, "transport error").await;
    // A message that is too large.
    let mut peer = rig.rig.connect().await;
    let id = peer.id.clone();
    peer.send(&"x".repeat(1000)).await;
    assert_eq!(peer.client.websocket().closed().await, Some(Some(1009)));
    rig.expect(&id, "transport error").await;
    // A frame that is none.
    let mut peer = rig.rig.connect().await;
    let id = peer.id.clone();
    peer.client.websocket().write(b"\xff\xff\xff\xff").await;
    peer.client.hung_up().await;
    rig.expect(&id, "transport error").await;
    // A poll that is given up.
    let peer = rig.rig.connect_as(Case::POLLING).await;
    let polling = peer.client.begin_get().await;
    assert_eq!(peer.client.post("6").await.status, 200);
    drop(polling);
    rig.expect(&peer.id, "transport error").await;
}

#[tokio::test]
async fn undecodable_engine_packet_is_a_parse_error() {
    let rig = start(ServerConfig::default()).await;
    let peer = rig.rig.connect_as(Case::POLLING).await;
    assert_eq!(peer.client.post("x").await.status, 400);
    rig.expect(&peer.id, "parse error").await;
    let mut peer = rig.rig.connect().await;
    let id = peer.id.clone();
    peer.client.websocket().text("x").await;
    peer.client.hung_up().await;
    rig.expect(&id, "parse error").await;
}

#[tokio::test]
async fn undecodable_socket_packet_is_reported_and_a_forced_close() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    let errors = Log::new();
    let entries = errors.clone();
    io.on_error(move |socket, error| {
        let undecodable = matches!(error.kind(), EventErrorKind::Undecodable(_));
        entries.push((
            socket.id().to_owned(),
            error.event().to_owned(),
            undecodable,
        ));
    });
    for packet in [
        "",
        "x",
        "5",
        "5woooot",
        "51",
        "7",
        "2",
        "2[]",
        "2{}",
        r#"2["x""#,
        r#"2abc["x"]"#,
        r#"51-["x",{"_placeholder":true,"num":7}]"#,
        "3[",
        "599-[\"x\"]",
    ] {
        let mut peer = rig.connect().await;
        peer.send(packet).await;
        if packet.starts_with("51-[") {
            peer.send_binary(b"x").await;
        }
        peer.ended().await;
        let expected = (peer.id.clone(), "error".to_owned(), true);
        assert_eq!(errors.next().await, expected, "{packet}");
        expect_end(&io, &log, &peer.id, "forced close").await;
    }
    for case in [Case::WEBSOCKET, Case::POLLING] {
        // Binary that nobody has announced, and text where binary is owed.
        let mut peer = rig.connect_as(case).await;
        peer.send_binary(b"x").await;
        peer.ended().await;
        errors.next().await;
        expect_end(&io, &log, &peer.id, "forced close").await;
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"51-["x",{"_placeholder":true,"num":0}]"#).await;
        peer.send(r#"2["y"]"#).await;
        peer.ended().await;
        errors.next().await;
        expect_end(&io, &log, &peer.id, "forced close").await;
    }
}

#[tokio::test]
async fn packets_at_the_wrong_moment_are_a_forced_server_close() {
    let config = ServerConfig::default()
        .connection(|connection| connection.stray_packets(StrayPackets::Close));
    let Rig { io, rig, log } = start(config).await;
    for packet in [
        "0",
        r#"4{"message":"x"}"#,
        r#"2/other,["x"]"#,
        "3/other,1[]",
        "1/other,",
    ] {
        let mut peer = rig.connect().await;
        peer.send(packet).await;
        peer.ended().await;
        expect_end(&io, &log, &peer.id, "forced server close").await;
    }
    assert!(log.rest().is_empty(), "only once");
}

#[tokio::test]
async fn leaving_and_then_talking_closes_the_connection() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    let mut peer = rig.connect().await;
    peer.send("1").await;
    peer.send(r#"2["x"]"#).await;
    peer.ended().await;
    expect_end(&io, &log, &peer.id, "client namespace disconnect").await;
}

#[tokio::test]
async fn packets_that_crossed_the_servers_disconnect_are_tolerated() {
    let Rig { io, rig, log } = start(ServerConfig::default()).await;
    let mut peer = rig.connect().await;
    io.socket(&peer.id).unwrap().disconnect();
    peer.send(r#"2["crossed"]"#).await;
    peer.send("1").await;
    peer.expect("1").await;
    expect_end(&io, &log, &peer.id, "server namespace disconnect").await;
    peer.join("/").await;
}

#[tokio::test(start_paused = true)]
async fn missed_heartbeat_is_a_ping_timeout() {
    let io = Server::new();
    let log = Log::virtual_time();
    note_ends(&io, &["/"], &log);
    let rig = ServerRig::memory(&io);
    for case in ALL {
        let start = tokio::time::Instant::now();
        let peer = rig.connect_as(case).await;
        expect_end(&io, &log, &peer.id, "ping timeout").await;
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_secs(45), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(46), "{elapsed:?}");
        drop(peer);
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(io.connection_count(), 0);
    assert!(log.rest().is_empty(), "only once");
}

#[tokio::test(start_paused = true)]
async fn answered_heartbeats_keep_a_connection() {
    let io = Server::new();
    let log = Log::virtual_time();
    note_ends(&io, &["/"], &log);
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    let waiting = tokio::time::timeout(Duration::from_secs(300), peer.text());
    assert!(waiting.await.is_err());
    assert!(log.rest().is_empty());
    assert!(io.socket(&peer.id).is_some());
}

#[tokio::test(start_paused = true)]
async fn closing_server_tells_everyone_and_waits() {
    let io = Server::new();
    let log = Log::virtual_time();
    note_ends(&io, &["/", "/a"], &log);
    let rig = ServerRig::memory(&io);
    let mut websocket = rig.connect().await;
    websocket.join("/a").await;
    let mut polling = rig.connect_as(Case::POLLING).await;
    let mut legacy = rig.connect_as(Case::WEBSOCKET_V3).await;
    let silent = Peer::open(&rig.net, Case::WEBSOCKET).await;
    io.emit("last words", ()).unwrap();
    let closing = {
        let io = io.clone();
        tokio::spawn(async move { io.close().await })
    };
    for peer in [&mut websocket, &mut polling, &mut legacy] {
        peer.expect(r#"2["last words"]"#).await;
        peer.ended().await;
        peer.client.hung_up().await;
    }
    let start = tokio::time::Instant::now();
    closing.await.unwrap();
    // The one that does not even hang up is waited for, but not long.
    assert!(
        start.elapsed() <= Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    let ends = log.take(8).await;
    assert!(
        ends.iter().all(|end| end.reason == "server shutting down"),
        "{ends:?}"
    );
    assert!(log.rest().is_empty(), "only once");
    assert_eq!(io.connection_count(), 0);
    assert_eq!(rig.net.get(&Case::POLLING.query()).await.status, 403);
    drop(silent);
}

#[tokio::test]
async fn socket_handlers_of_the_end_run_too() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |socket: Socket| {
        socket.join("room");
        for event in ["disconnecting", "disconnect"] {
            let log = entries.clone();
            socket.on(event, move |socket: Socket, reason: DisconnectReason| {
                log.push(format!(
                    "{event} in {} rooms: {reason}",
                    socket.rooms().len()
                ));
            });
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.client.websocket().close(None).await;
    assert_eq!(
        log.next().await,
        "disconnecting in 2 rooms: transport close"
    );
    assert_eq!(log.next().await, "disconnect in 0 rooms: transport close");
    drop(peer);
    rig.net
        .until("no connection", || io.connection_count() == 0)
        .await;
    assert!(log.rest().is_empty(), "only once");
}

#[tokio::test]
async fn disconnect_handlers_may_still_broadcast() {
    let io = Server::new();
    io.on_disconnecting(|socket: Socket| {
        let rooms = socket.rooms();
        socket.to(rooms).emit("left", socket.id())
    });
    io.on_connect(|socket: Socket| socket.join("room"));
    let rig = ServerRig::tcp(&io).await;
    let mut stays = rig.connect().await;
    let goes = rig.connect().await;
    let id = goes.id.clone();
    drop(goes);
    stays.expect(&format!(r#"2["left","{id}"]"#)).await;
}

#[tokio::test]
async fn async_disconnect_handlers_finish_after_the_session() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    let (open, gate) = tokio::sync::watch::channel(false);
    io.on_disconnect(move |socket: Socket| {
        let (log, mut gate) = (entries.clone(), gate.clone());
        async move {
            log.push("begun");
            let _ = gate.wait_for(|open| *open).await;
            assert!(!socket.connected());
            log.push("done");
        }
    });
    let rig = ServerRig::tcp(&io).await;
    drop(rig.connect().await);
    assert_eq!(log.next().await, "begun");
    rig.net
        .until("no connection", || io.connection_count() == 0)
        .await;
    open.send_replace(true);
    assert_eq!(log.next().await, "done");
}
