//! What is counted and measured, by a recorder of the crate `metrics`: above all that gauges come back to zero.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "all of this is test code, and counts are small"
)]

mod recorder;

use std::time::Duration;

use sockeye_server::{AckError, Args, ListenOptions, RecoveryConfig, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig, SocketDir, StreamPeer, WebSocket};

use recorder::{Recorded, recorded};

const CASES: [Case; 4] = [
    Case::POLLING,
    Case::WEBSOCKET,
    Case::POLLING_V3,
    Case::WEBSOCKET_V3,
];

/// A server whose event `work` has something for each gauge: a room, an acknowledgement that never comes, and a handler
/// that never ends.
fn server() -> Server {
    let io = Server::new();
    io.on("work", async |socket: Socket| -> Result<(), AckError> {
        socket.join("work");
        socket.emit("begun", ())?;
        socket.emit_with_ack::<()>("question", ()).await
    });
    io.on("end me", |socket: Socket| socket.close());
    io
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "{what}");
}

/// Nothing is left of any gauge.
async fn all_is_zero(recorded: Recorded, after: &str) {
    let is_zero = || recorded.gauges().is_empty();
    let waiting = async {
        while !is_zero() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(waited.is_ok(), "{after}: {:?}", recorded.gauges());
    let (opened, closed) = (
        "sockeye_connections_opened_total",
        "sockeye_connections_closed_total",
    );
    assert_eq!(recorded.sum(opened), recorded.sum(closed), "{after}");
}

/// How a session comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// In good order.
    Leave,
    /// The peer breaks the protocol.
    Garbage,
    /// The network is lost.
    Lost,
    /// The application has had enough.
    Closed,
    /// The server is closed.
    Shutdown,
}

const ENDS: [(End, [&str; 2]); 5] = [
    (End::Leave, ["transport close", "transport close"]),
    (End::Garbage, ["forced close", "parse error"]),
    (End::Lost, ["transport close", "transport error"]),
    (End::Closed, ["forced close", "server namespace disconnect"]),
    (
        End::Shutdown,
        ["server shutting down", "server shutting down"],
    ),
];

#[tokio::test]
async fn gauges_return_to_zero_however_sessions_end() {
    let (recorded, _turn) = recorded().await;
    for case in CASES {
        for (end, reasons) in ENDS {
            let what = format!("{case:?}, {end:?}");
            let io = server();
            let rig = ServerRig::tcp(&io).await;
            let mut peer = rig.connect_as(case).await;
            peer.send(r#"2["work"]"#).await;
            peer.expect(r#"2["begun"]"#).await;
            let revision = if case.is_v3() { 3 } else { 4 };
            let transport = case.transport.name();
            let mine = format!("{{transport={transport},revision={revision}}}");
            let open = format!("sockeye_connections{mine}");
            assert_eq!(recorded.sum(&open), 1.0, "{what}");
            for gauge in ["sockeye_sockets", "sockeye_rooms", "sockeye_acks_pending"] {
                assert_eq!(recorded.sum(gauge), 1.0, "{what}: {gauge}");
            }
            assert_eq!(recorded.sum("sockeye_namespaces"), 1.0);
            let closed = reasons
                .map(|reason| format!("sockeye_connections_closed_total{{reason={reason}}}"));
            let count =
                |closed: &[String; 2]| closed.iter().map(|of| recorded.sum(of)).sum::<f64>();
            let before = count(&closed);
            finish(&rig, peer, case, end).await;
            all_closed(recorded, &what).await;
            assert!(count(&closed) > before, "{what}: {:?}", recorded.gauges());
            io.close().await;
            drop((rig, io));
            all_is_zero(recorded, &what).await;
        }
    }
}

async fn all_closed(recorded: Recorded, what: &str) {
    let left = [
        "sockeye_connections",
        "sockeye_sockets",
        "sockeye_rooms",
        "sockeye_acks_pending",
    ];
    until(what, || left.iter().all(|gauge| recorded.sum(gauge) == 0.0)).await;
}

async fn finish(rig: &ServerRig, mut peer: Peer, case: Case, end: End) {
    match end {
        End::Leave if case.is_polling() => {
            let body = if case.is_v3() { "1:1" } else { "1" };
            peer.client.post(body).await;
        }
        End::Leave => peer.client.websocket().close(Some(1000)).await,
        End::Garbage => {
            peer.send("2[garbage").await;
            peer.ended().await;
        }
        End::Lost if case.is_polling() => {
            // What waits is fetched first, so that the next poll waits.
            peer.expect(r#"21["question"]"#).await;
            let poll = peer.client.begin_get().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(poll);
        }
        End::Lost => drop(peer),
        End::Closed => {
            peer.send(r#"2["end me"]"#).await;
            peer.ended().await;
        }
        End::Shutdown => rig.io.close().await,
    }
}

#[tokio::test]
async fn bare_streams_are_counted_as_well() {
    let (recorded, _turn) = recorded().await;
    for end in ["half", "drop", "garbage", "close"] {
        let dir = SocketDir::new("metrics");
        let io = server();
        let listener = io.listen(dir.url()).await.unwrap();
        let mut plain = StreamPeer::unix(&dir).await;
        plain.write("{\"eventName\":\"work\"}\n").await;
        assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"begun"}"#);
        let mut native = StreamPeer::unix(&dir).await;
        native.open().await;
        native.send_text(r#"42["work"]"#).await;
        assert_eq!(native.text().await, r#"42["begun"]"#);
        for revision in ["lines", "4"] {
            let open = format!("sockeye_connections{{transport=unix,revision={revision}}}");
            assert_eq!(recorded.sum(&open), 1.0, "{revision}");
        }
        match end {
            "half" => {
                plain.shutdown().await;
                native.shutdown().await;
            }
            "garbage" => {
                plain.write("garbage\n").await;
                native.write([0xff; 20]).await;
            }
            "close" => io.close().await,
            _ => drop((plain, native)),
        }
        if end != "garbage" {
            // One line that makes no sense does not end a plain peer's session.
            all_closed(recorded, end).await;
        }
        io.close().await;
        drop((io, listener));
        all_is_zero(recorded, end).await;
    }
}

#[tokio::test]
async fn session_that_goes_over_to_a_websocket_is_counted_there() {
    let (recorded, _turn) = recorded().await;
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect_as(Case::POLLING).await;
    let upgrades = recorded.sum("sockeye_upgrades_total");
    let of = |transport| {
        recorded.sum(&format!(
            "sockeye_connections{{transport={transport},revision=4}}"
        ))
    };
    assert_eq!((of("polling"), of("websocket")), (1.0, 0.0));
    peer.client.upgrade().await;
    until("it is over there", || of("polling") == 0.0).await;
    assert_eq!(of("websocket"), 1.0);
    assert_eq!(recorded.sum("sockeye_upgrades_total"), upgrades + 1.0);
    drop(peer);
    io.close().await;
    drop((rig, io));
    all_is_zero(recorded, "an upgrade").await;
}

#[test]
fn runtime_that_is_shut_down_leaves_nothing() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let outer = runtime();
    let (recorded, _turn) = outer.block_on(recorded());
    let inner = runtime();
    let io = inner.block_on(async {
        let io = server();
        let rig = ServerRig::tcp(&io).await;
        for case in CASES {
            let mut peer = rig.connect_as(case).await;
            peer.send(r#"2["work"]"#).await;
            peer.expect(r#"2["begun"]"#).await;
            std::mem::forget(peer);
        }
        io
    });
    assert_eq!(recorded.sum("sockeye_connections"), 4.0);
    let dropped = "sockeye_connections_closed_total{reason=dropped}";
    let before = recorded.sum(dropped);
    drop(inner);
    drop(io);
    assert_eq!(recorded.sum(dropped), before + 4.0);
    outer.block_on(all_is_zero(recorded, "a runtime"));
}

#[tokio::test]
async fn what_waits_is_counted_until_it_is_taken() {
    let (recorded, _turn) = recorded().await;
    let waiting = || recorded.sum("sockeye_outbox_bytes");
    for case in [Case::WEBSOCKET, Case::POLLING] {
        for takes_it in [true, false] {
            let io = server();
            let rig = ServerRig::tcp(&io).await;
            let mut peer = rig.connect_as(case).await;
            let sent = recorded.sum("sockeye_sent_bytes_total");
            let (socket, text) = (io.sockets().pop().unwrap(), "x".repeat(100_000));
            for _ in 0..70 {
                socket.emit("much", &text).unwrap();
            }
            until("it waits", || waiting() > 100_000.0).await;
            assert!(waiting() < 7_100_000.0, "{}", waiting());
            if takes_it {
                for _ in 0..70 {
                    assert!(peer.text().await.len() > 100_000);
                }
                until("it is taken", || waiting() == 0.0).await;
                let sent = recorded.sum("sockeye_sent_bytes_total") - sent;
                assert!((7_000_000.0..7_100_000.0).contains(&sent), "{sent}");
            } else {
                drop(peer);
            }
            drop(socket);
            io.close().await;
            drop((rig, io));
            all_is_zero(recorded, "what has waited").await;
        }
    }
}

#[tokio::test]
async fn events_and_bytes_are_counted_both_ways() {
    let (recorded, _turn) = recorded().await;
    for case in CASES {
        let io = server();
        io.on("echo", async |args: Args| {
            tokio::task::yield_now().await;
            args
        });
        io.on("now", |args: Args| args);
        let rig = ServerRig::tcp(&io).await;
        let mut peers = [rig.connect_as(case).await, rig.connect_as(case).await];
        let names = [
            "sockeye_events_received_total",
            "sockeye_events_sent_total",
            "sockeye_received_bytes_total",
            "sockeye_sent_bytes_total",
            "sockeye_handler_seconds",
        ];
        let before = names.map(|name| recorded.sum(name));
        let text = "x".repeat(1000);
        for (id, name) in ["echo", "now"].iter().enumerate() {
            peers[0].send(&format!(r#"2{id}["{name}","{text}"]"#)).await;
            peers[0].expect(&format!(r#"3{id}["{text}"]"#)).await;
        }
        io.emit("to all", &text).unwrap();
        for peer in &mut peers {
            peer.expect(&format!(r#"2["to all","{text}"]"#)).await;
        }
        let after = names.map(|name| recorded.sum(name));
        let [received, sent, bytes_in, bytes_out, handled] =
            std::array::from_fn(|n| after[n] - before[n]);
        assert_eq!((received, sent, handled), (2.0, 2.0, 2.0), "{case:?}");
        assert!((2000.0..2200.0).contains(&bytes_in), "{bytes_in}");
        assert!((4000.0..4200.0).contains(&bytes_out), "{bytes_out}");
        drop(peers);
        io.close().await;
        drop((rig, io));
        all_is_zero(recorded, "events").await;
    }
}

#[tokio::test]
async fn acknowledgements_that_do_not_come_in_time_are_counted() {
    let (recorded, _turn) = recorded().await;
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let peers = rig.connect_many(3).await;
    let late = || recorded.sum("sockeye_acks_timed_out_total");
    let before = late();
    let socket = io.sockets().pop().unwrap();
    let moment = Duration::from_millis(20);
    let answer = socket.timeout(moment).emit_with_ack::<()>("who", ()).await;
    assert!(matches!(answer, Err(AckError::Timeout)));
    assert_eq!(late() - before, 1.0);
    let asking = io.timeout(moment).emit_with_ack::<()>("who", ()).unwrap();
    assert_eq!(recorded.sum("sockeye_acks_pending"), 3.0);
    assert_eq!(asking.summary().await.missing.len(), 3);
    assert_eq!(late() - before, 4.0);
    assert_eq!(recorded.sum("sockeye_acks_pending"), 0.0);
    // Whoever does not want to know it any more is not late.
    drop(socket.emit_with_ack::<()>("who", ()));
    assert_eq!(late() - before, 4.0);
    drop((peers, socket));
    io.close().await;
    drop((rig, io));
    all_is_zero(recorded, "acknowledgements").await;
}

#[tokio::test]
async fn refusals_are_counted_by_reasons_that_nobody_else_chooses() {
    let (recorded, _turn) = recorded().await;
    let config = ServerConfig::default().engine(|engine| {
        engine
            .allow_v3(false)
            .max_sessions(1)
            .allow_request(async |handshake| match handshake.query_value("why") {
                Some(why) => Err(why.into_owned()),
                None => Ok(()),
            })
    });
    let io = Server::with_config(config).unwrap();
    let dir = SocketDir::new("refused");
    let _listener = io
        .listen_with(dir.url(), ListenOptions::default())
        .await
        .unwrap();
    let rig = ServerRig::tcp(&io).await;
    let refused = |reason: &str| {
        recorded.sum(&format!(
            "sockeye_handshakes_refused_total{{reason={reason}}}"
        ))
    };
    let reasons = [
        ("EIO=4&transport=polling&why=secret%201", "forbidden"),
        ("EIO=4&transport=polling&why=secret%202", "forbidden"),
        ("EIO=4&transport=carrier-pigeon", "unknown transport"),
        ("EIO=3&transport=polling", "unsupported revision"),
        ("EIO=4&transport=polling&sid=nobody", "unknown session"),
        ("EIO=4&transport=websocket", "TRANSPORT_HANDSHAKE_ERROR"),
    ];
    for (query, reason) in reasons {
        let before = refused(reason);
        assert!(rig.net.get(query).await.status >= 400);
        assert_eq!(refused(reason), before + 1.0, "{query}");
    }
    assert!(rig.net.post("EIO=4&transport=polling", "").await.status >= 400);
    assert_eq!(refused("bad method"), 1.0);
    let peer = rig.connect().await;
    assert!(
        WebSocket::connect(&rig.net, "EIO=4&transport=websocket")
            .await
            .is_err()
    );
    let mut plain = StreamPeer::unix(&dir).await;
    plain.write("{\"eventName\":\"a\"}\n").await;
    while plain.fill().await {}
    assert_eq!(refused("too many sessions"), 2.0);
    let mut http = StreamPeer::unix(&dir).await;
    http.write("\0\0\0").await;
    while http.fill().await {}
    assert_eq!(refused("garbled"), 1.0);
    drop((peer, plain, http));
    io.close().await;
    drop((rig, io, _listener));
    all_is_zero(recorded, "refusals").await;
}

#[tokio::test]
async fn names_that_peers_make_up_are_no_labels() {
    let (recorded, _turn) = recorded().await;
    let io = server();
    io.of_pattern("/room/{name}").unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/room/a").await;
    peer.send(r#"2["a"]"#).await;
    peer.send(r#"2["work"]"#).await;
    peer.expect(r#"2["begun"]"#).await;
    peer.expect(r#"21["question"]"#).await;
    let before = recorded.len();
    for n in 0..50 {
        peer.join(&format!("/room/{n}")).await;
        peer.send(&format!(r#"2["event {n}"]"#)).await;
    }
    until("they are there", || {
        recorded.sum("sockeye_namespaces") == 52.0
    })
    .await;
    assert_eq!(recorded.sum("sockeye_sockets"), 52.0);
    assert_eq!(recorded.len(), before);
    drop(peer);
    until("they are gone", || {
        recorded.sum("sockeye_namespaces") == 1.0
    })
    .await;
    io.close().await;
    drop((rig, io));
    all_is_zero(recorded, "names").await;
}

#[tokio::test]
async fn what_becomes_of_sockets_that_may_come_back_is_counted() {
    let (recorded, _turn) = recorded().await;
    let recovery = RecoveryConfig::default().max_disconnection(Duration::from_millis(300));
    let io = Server::with_config(ServerConfig::default().recovery(recovery)).unwrap();
    let log = Log::new();
    let told = log.clone();
    io.on_disconnect(move || told.push("gone"));
    let told = log.clone();
    io.on_recovery_expired(move |_| told.push("expired"));
    let rig = ServerRig::tcp(&io).await;
    let outcomes = || {
        ["kept", "recovered", "expired"]
            .map(|outcome| recorded.sum(&format!("sockeye_recovery_total{{outcome={outcome}}}")))
    };
    let [kept, recovered, expired] = outcomes();
    let join = async |auth: &str| {
        let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
        peer.send(&format!("0{auth}")).await;
        let mut answer = peer.text().await;
        while !answer.starts_with('0') {
            answer = peer.text().await;
        }
        let answer: serde_json::Value = serde_json::from_str(&answer[1..]).unwrap();
        (peer, answer)
    };
    let (peer, answer) = join("").await;
    drop(peer);
    log.next().await;
    let auth = serde_json::json!({ "pid": answer["pid"], "offset": answer["offset"] });
    let (peer, again) = join(&auth.to_string()).await;
    assert_eq!(answer["sid"], again["sid"]);
    assert_eq!(outcomes(), [kept + 1.0, recovered + 1.0, expired]);
    drop(peer);
    log.next().await;
    assert_eq!(log.next().await, "expired");
    assert_eq!(outcomes(), [kept + 2.0, recovered + 1.0, expired + 1.0]);
    io.close().await;
    drop((rig, io));
    all_is_zero(recorded, "recovery").await;
}
