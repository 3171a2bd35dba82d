//! What is known of the end of a connection beyond its reason.

use std::time::Duration;

use sockeye_engine_proto::Packet;
use sockeye_server::{
    DisconnectDetail, DisconnectReason, EngineConfig, Server, ServerConfig, SlowReceiver, Socket,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

/// The event, the reason, and what else is known.
type End = (&'static str, String, Option<String>);

struct Rig {
    io: Server,
    rig: ServerRig,
    log: Log<End>,
}

async fn start(config: ServerConfig) -> Rig {
    let io = Server::with_config(config).expect("a valid configuration");
    let log = Log::new();
    let note = |event: &'static str| {
        let log = log.clone();
        move |reason: DisconnectReason, detail: DisconnectDetail| {
            let detail = detail.0.as_deref().map(str::to_owned);
            log.push((event, reason.to_string(), detail));
        }
    };
    io.on_disconnecting(note("disconnecting"));
    io.on_disconnect(note("disconnect"));
    io.on_close(note("close"));
    let rig = ServerRig::tcp(&io).await;
    Rig { io, rig, log }
}

impl Rig {
    async fn connect(&self, case: Case) -> Peer {
        self.rig.connect_as(case).await
    }

    /// All handlers are told the same of this peer's end.
    async fn expect(&self, peer: Peer, reason: &str, detail: Option<&str>) {
        let (_, _, told) = self.begins(reason).await;
        assert_eq!(told.as_deref(), detail);
        self.goes_on(peer, (reason.to_owned(), told)).await;
    }

    async fn begins(&self, reason: &str) -> End {
        let end = self.log.next().await;
        assert_eq!((end.0, &*end.1), ("disconnecting", reason), "{end:?}");
        end
    }

    async fn goes_on(&self, peer: Peer, (reason, detail): (String, Option<String>)) {
        // The server waits a while for a peer to hang up.
        drop(peer);
        for event in ["disconnect", "close"] {
            let expected = (event, reason.clone(), detail.clone());
            assert_eq!(self.log.next().await, expected);
        }
    }

    /// The same where the text says more than is to be held here.
    async fn expect_text(&self, peer: Peer, reason: &str, is_it: impl Fn(&str) -> bool) {
        let (_, _, told) = self.begins(reason).await;
        let text = told.as_deref().unwrap_or_default();
        assert!(is_it(text), "{text:?}");
        self.goes_on(peer, (reason.to_owned(), told)).await;
    }
}

#[tokio::test]
async fn websocket_says_how_it_was_closed() {
    let rig = start(ServerConfig::default()).await;
    for (code, detail) in [
        (Some(1001), "websocket connection closed with code 1001"),
        (None, "websocket connection closed"),
    ] {
        let mut peer = rig.connect(Case::WEBSOCKET).await;
        peer.client.websocket().close(code).await;
        rig.expect(peer, "transport close", Some(detail)).await;
    }
    let mut peer = rig.connect(Case::WEBSOCKET).await;
    peer.client.websocket().shutdown().await;
    rig.expect(peer, "transport close", Some("the connection ended"))
        .await;
}

#[tokio::test]
async fn client_that_closes_is_told_of_on_every_transport() {
    let rig = start(ServerConfig::default()).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = rig.connect(case).await;
        peer.client.send(&[Packet::Close]).await;
        rig.expect(
            peer,
            "transport close",
            Some("transport closed by the client"),
        )
        .await;
    }
}

#[tokio::test]
async fn what_the_peer_did_wrong_is_named() {
    let engine = |engine: EngineConfig| engine.limits(|limits| limits.max_payload(1000));
    let rig = start(ServerConfig::default().engine(engine)).await;
    let mut peer = rig.connect(Case::WEBSOCKET).await;
    peer.client.websocket().text("9").await;
    let detail = "undecodable packet: unknown packet type '9'";
    rig.expect(peer, "parse error", Some(detail)).await;

    let mut peer = rig.connect(Case::WEBSOCKET).await;
    peer.client.send(&[Packet::PING]).await;
    let detail = "a heartbeat came in the wrong direction";
    rig.expect(peer, "transport error", Some(detail)).await;

    let mut peer = rig.connect(Case::WEBSOCKET).await;
    peer.client.send_text(&"x".repeat(2000)).await;
    rig.expect_text(peer, "transport error", |text| {
        text.starts_with("the client broke the protocol: ")
    })
    .await;

    let mut peer = rig.connect(Case::WEBSOCKET).await;
    peer.send("9").await;
    rig.expect_text(peer, "forced close", |text| text.contains('9'))
        .await;
}

#[tokio::test]
async fn what_went_wrong_with_polling_is_named() {
    let engine = |engine: EngineConfig| engine.limits(|limits| limits.max_payload(1000));
    let rig = start(ServerConfig::default().engine(engine)).await;
    let peer = rig.connect(Case::POLLING).await;
    assert_eq!(peer.client.post("9").await.status, 400);
    let detail = "undecodable payload: unknown packet type '9'";
    rig.expect(peer, "parse error", Some(detail)).await;

    let peer = rig.connect(Case::POLLING).await;
    let first = peer.client.begin_get().await;
    let detail = "request overlap from client";
    assert_eq!(peer.client.get().await.status, 400);
    rig.expect(peer, "transport error", Some(detail)).await;
    drop(first);

    let peer = rig.connect(Case::POLLING).await;
    drop(peer.client.begin_get().await);
    let detail = "a poll was given up before it had its answer";
    rig.expect(peer, "transport error", Some(detail)).await;

    // Too large a body is refused, and the session goes on as if nothing had been, unless it is left unread.
    let peer = rig.connect(Case::POLLING).await;
    assert_eq!(peer.client.post("4".repeat(2000)).await.status, 413);
    rig.expect(peer, "transport error", Some("payload too large"))
        .await;
}

#[tokio::test]
async fn slow_receiver_is_told_of_as_such() {
    let engine = |engine: EngineConfig| engine.limits(|limits| limits.outbox_limit(10));
    let config = ServerConfig::default()
        .engine(engine)
        .slow_receiver(SlowReceiver::Disconnect);
    let rig = start(config).await;
    let peer = rig.connect(Case::POLLING).await;
    for _ in 0..2 {
        let _ = rig.io.emit("news", "more than ten bytes");
    }
    rig.expect(peer, "transport error", Some("the outbox is full"))
        .await;
}

#[tokio::test(start_paused = true)]
async fn where_the_reason_says_all_there_is_no_detail() {
    let rig = start(ServerConfig::default()).await;
    let mut peer = Peer::open(&rig.rig.net, Case::WEBSOCKET).await;
    peer.join("/").await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    rig.expect(peer, "ping timeout", None).await;

    let peer = rig.connect(Case::WEBSOCKET).await;
    let socket: Socket = rig.io.socket(&peer.id).expect("a socket");
    socket.close();
    rig.expect(peer, "server namespace disconnect", None).await;
}
