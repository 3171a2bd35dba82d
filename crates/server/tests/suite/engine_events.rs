//! What happens to the connection below a socket.

use std::time::Duration;

use bytes::Bytes;
use sockeye_engine_proto::Packet;
use sockeye_server::{Data, EnginePacket, Server, Socket};
use sockeye_testkit::{Case, Frame, Log, ServerRig};
use tokio::time::Instant;

#[tokio::test]
async fn upgrade_is_told_to_every_socket_of_the_connection() {
    let io = Server::new();
    let log = Log::new();
    let _ = io.of("/other");
    for name in ["/", "/other"] {
        let log = log.clone();
        io.of(name).on_upgrade(move |socket: Socket| {
            log.push((
                socket.namespace().name().to_owned(),
                socket.transport().name(),
            ));
        });
    }
    let own = log.clone();
    io.on_connect(move |socket: Socket| {
        let own = own.clone();
        socket
            .on_upgrade(move |socket: Socket| own.push(("own".into(), socket.transport().name())));
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::POLLING_V3] {
        let mut peer = rig.connect_as(case).await;
        peer.join("/other").await;
        peer.client.upgrade().await;
        let mut told = log.take(3).await;
        told.sort();
        let told: Vec<_> = told.iter().map(|(name, kind)| (&**name, *kind)).collect();
        assert_eq!(
            told,
            [
                ("/", "websocket"),
                ("/other", "websocket"),
                ("own", "websocket")
            ]
        );
    }
    // Where there is nothing to leave, nothing is told, and an event of that name is the peer's own.
    let mut direct = rig.connect().await;
    direct.send(r#"2["upgrade"]"#).await;
    direct.send("1").await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn every_packet_is_told_before_it_is_handled() {
    let io = Server::new();
    let log = Log::new();
    let told = log.clone();
    let id = io
        .on_packet(move |packet: EnginePacket| {
            let data = match packet.binary() {
                Some(bytes) => format!("{bytes:?}"),
                None => packet.text().unwrap_or_default().to_owned(),
            };
            told.push(format!("{} {data}", packet.kind()));
        })
        .id();
    let told = log.clone();
    io.on_heartbeat(move || told.push("heartbeat".into()));
    let told = log.clone();
    io.on("file", move |Data(file): Data<Bytes>| {
        told.push(format!("file of {} bytes", file.len()));
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = rig.connect_as(case).await;
        let packets = [
            Packet::text(r#"51-["file",{"_placeholder":true,"num":0}]"#),
            Packet::binary(&b"ab"[..]),
            Packet::PONG,
            Packet::text("31[]"),
        ];
        peer.client.send(&packets).await;
        let expected = [
            r#"message 51-["file",{"_placeholder":true,"num":0}]"#,
            r#"message b"ab""#,
            "file of 2 bytes",
            "pong ",
            "heartbeat",
            "message 31[]",
        ];
        assert_eq!(log.take(expected.len()).await, expected);
        peer.client.send(&[Packet::Close]).await;
        assert_eq!(log.next().await, "close ");
    }
    // Whoever speaks revision 3 pings. What is taken back is not told.
    assert!(io.remove_listener(id));
    for case in [Case::POLLING_V3, Case::WEBSOCKET_V3] {
        let mut peer = rig.connect_as(case).await;
        peer.client.send(&[Packet::PING]).await;
        assert_eq!(log.next().await, "heartbeat");
    }
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn packets_are_told_to_a_single_socket_that_asks() {
    let io = Server::new();
    let log = Log::new();
    let told = log.clone();
    io.on("watch", move |socket: Socket| {
        let told = told.clone();
        socket.on_packet(move |packet: EnginePacket| told.push(packet.text().unwrap().to_owned()));
    });
    io.on("x", || true);
    let rig = ServerRig::memory(&io);
    let mut watched = rig.connect().await;
    let mut other = rig.connect().await;
    watched.send(r#"2["watch"]"#).await;
    other.send(r#"2["x",1]"#).await;
    watched.send(r#"21["x",2]"#).await;
    assert_eq!(log.next().await, r#"21["x",2]"#);
    watched.expect("31[true]").await;
    assert!(log.rest().is_empty());
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_told_as_often_as_they_come() {
    let io = Server::new();
    let log = Log::new();
    let told = log.clone();
    let begin = Instant::now();
    io.on_heartbeat(move || told.push(begin.elapsed().as_secs()));
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    // Answers the server's pings until something comes, which is never.
    let _ = tokio::time::timeout(Duration::from_secs(80), peer.client.message()).await;
    assert_eq!(log.rest(), [25, 50, 75]);
}

#[tokio::test]
async fn upgrade_that_is_tried_is_told_whatever_becomes_of_it() {
    let io = Server::new();
    let log = Log::new();
    let told = log.clone();
    io.on_upgrading(move |socket: Socket| told.push(("upgrading", socket.transport().name())));
    let told = log.clone();
    io.on_upgrade(move |socket: Socket| told.push(("upgrade", socket.transport().name())));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect_as(Case::POLLING).await;
    let mut websocket = peer.client.open_websocket().await;
    websocket.text("2probe").await;
    assert_eq!(websocket.next_text().await, "3probe");
    assert_eq!(log.next().await, ("upgrading", "polling"));
    drop(websocket);
    // Until the server knows that the first is gone, it takes no other.
    loop {
        let mut websocket = peer.client.open_websocket().await;
        websocket.text("2probe").await;
        if websocket.next().await != Some(Frame::Text("3probe".to_owned())) {
            continue;
        }
        websocket.text("5").await;
        peer.client.set_websocket(websocket);
        assert_eq!(
            log.take(2).await,
            [("upgrading", "polling"), ("upgrade", "websocket")]
        );
        break;
    }
    peer.send("1").await;
}
