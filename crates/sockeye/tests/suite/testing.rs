//! What `sockeye::testing` promises.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use sockeye::testing::{self, Network, Peer, ScriptedServer};
use sockeye::{
    ConnectError, Data, DisconnectReason, Handshake, RecoveryConfig, Refusal, Revision, Server,
    ServerConfig, Socket, TransportKind, json,
};
use tokio::time::Instant;

const TRANSPORTS: [TransportKind; 4] = [
    TransportKind::Polling,
    TransportKind::WebSocket,
    TransportKind::Tcp,
    TransportKind::Unix,
];

fn app() -> testing::Server {
    with(ServerConfig::default())
}

fn with(config: ServerConfig) -> testing::Server {
    let io = Server::with_config(config).unwrap();
    for name in ["/", "/chat"] {
        io.of(name)
            .on("echo", |Data(data): Data<sockeye::Value>| {
                sockeye::Reply(data)
            })
            .on("say", |socket: Socket, Data(text): Data<String>| {
                socket.broadcast().emit("said", text)
            })
            .on("send bytes", |socket: Socket| {
                socket.emit("bytes", sockeye::Bytes::from_static(b"abc"))
            });
    }
    testing::Server::new(io)
}

/// How long it takes in virtual time, in milliseconds.
async fn millis(work: impl Future) -> u128 {
    let begin = Instant::now();
    work.await;
    begin.elapsed().as_millis()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn every_transport_carries_events_both_ways_in_no_time() {
    testing::run(async {
        for transport in TRANSPORTS {
            let app = app();
            let alice = app.connect("/chat").over(transport).await.unwrap();
            let bob = app.connect("/chat").over(transport).await.unwrap();
            let began = Instant::now();
            let answer: String = alice.emit_with_ack("echo", "hello").await.unwrap();
            assert_eq!(answer, "hello");
            alice.emit("say", "hello").unwrap();
            assert_eq!(bob.next::<String>("said").await, "hello");
            alice.hears_nothing().await;
            alice.emit("send bytes", ()).unwrap();
            assert_eq!(&alice.next::<sockeye::Bytes>("bytes").await[..], b"abc");
            assert!(began.elapsed() < Duration::from_millis(20), "{transport}");
            let sockets = app.of("/chat").sockets();
            assert!(sockets.iter().all(|socket| socket.transport() == transport));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn session_moves_to_a_websocket_where_both_transports_are_named() {
    let app = app();
    let kinds = [TransportKind::Polling, TransportKind::WebSocket];
    let alice = app
        .connect("/")
        .with(move |client| {
            client.config(move |config| config.connector(|connector| connector.transports(kinds)))
        })
        .await
        .unwrap();
    testing::settle().await;
    assert_eq!(alice.transport(), Some(TransportKind::WebSocket));
}

#[tokio::test(start_paused = true)]
async fn auth_and_refusal_are_the_real_ones() {
    let app = app();
    app.of("/admin").middleware(|handshake: Handshake| {
        let auth: Option<sockeye::Value> = handshake.auth().ok();
        match auth.is_some_and(|auth| auth["token"] == "t0") {
            true => Ok(()),
            false => Err(Refusal::new("a token is needed")),
        }
    });
    let admin = app.connect("/admin").auth(json!({ "token": "t0" })).await;
    assert!(admin.unwrap().connected());
    match app.connect("/admin").await.unwrap_err() {
        ConnectError::Refused(refusal) => assert_eq!(refusal.message(), "a token is needed"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn each_connection_has_an_address_of_its_own() {
    let app = app();
    app.on("where", |handshake: Handshake| {
        handshake.remote_addr().map(|at| at.to_string())
    });
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let client = app.connect("/").await.unwrap();
        addresses.push(client.emit_with_ack::<String>("where", ()).await.unwrap());
    }
    assert_eq!(addresses, ["127.0.0.1:49152", "127.0.0.1:49153"]);
}

#[tokio::test(start_paused = true)]
async fn events_are_there_until_they_are_asked_for() {
    let app = app();
    let alice = app
        .connect("/")
        .on("sum", |Data(numbers): Data<Vec<i64>>| {
            numbers.iter().sum::<i64>()
        })
        .await
        .unwrap();
    for n in 0..200 {
        app.emit("n", n).unwrap();
    }
    app.emit("other", "later").unwrap();
    assert_eq!(alice.next::<String>("other").await, "later");
    for n in 0..199 {
        assert_eq!(alice.next::<u32>("n").await, n);
    }
    let rest = alice.take_events();
    assert_eq!(rest.len(), 1);
    let socket = &app.sockets()[0];
    let sum: i64 = socket.emit_with_ack("sum", vec![1, 2]).await.unwrap();
    assert_eq!(sum, 3, "the handler answers");
    let question = tokio::spawn(socket.emit_with_ack::<String>("question", ()));
    let event = alice.next_event("question").await;
    event.answer("42").unwrap();
    assert_eq!(question.await.unwrap().unwrap(), "42", "the test does");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = r#"no event "news" came, only ["other"], within 60s"#)]
async fn event_that_does_not_come_is_told_of_with_those_that_did() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    app.emit("other", 1).unwrap();
    alice.next_event("news").await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = r#"nothing was to come, and ["other"] did"#)]
async fn event_that_was_not_to_come_is_noticed() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    app.emit("other", 1).unwrap();
    alice.hears_nothing().await;
}

#[test]
#[should_panic(expected = "within a day of virtual time")]
fn test_without_end_is_ended() {
    testing::run(async {
        let app = app();
        let _alice = app.connect("/").await.unwrap();
        std::future::pending::<()>().await;
    });
}

#[tokio::test(start_paused = true)]
async fn answer_that_does_not_come_is_waited_for_a_minute() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    let answer = alice.emit_with_ack::<u32>("nobody handles this", ());
    let waited = millis(async { assert!(answer.await.is_err()) }).await;
    assert!((60_000..60_100).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn cut_connection_comes_back_and_misses_nothing_with_recovery() {
    for transport in TRANSPORTS {
        let app = with(ServerConfig::default().recovery(RecoveryConfig::default()));
        let alice = app.connect("/chat").over(transport).await.unwrap();
        app.of("/chat").emit("news", 1).unwrap();
        assert_eq!(alice.next::<u32>("news").await, 1);
        alice.network().cut();
        let reason = alice.until_disconnected().await;
        assert!(
            matches!(
                reason,
                DisconnectReason::TransportClose | DisconnectReason::TransportError
            ),
            "{transport}: {reason}"
        );
        app.of("/chat").emit("news", 2).unwrap();
        // The first attempt is after a second, exactly.
        let waited = millis(alice.until_connected()).await;
        assert!((990..1100).contains(&waited), "{transport}: {waited}");
        assert!(alice.recovered(), "{transport}");
        assert_eq!(alice.next::<u32>("news").await, 2, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_network_is_found_out_by_heartbeats() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    alice.network().stall();
    // 25 s until a ping is due, 20 s for it to come.
    let waited = millis(alice.until_disconnected()).await;
    assert!((44_900..45_100).contains(&waited), "{waited}");
    testing::pass(secs(2)).await;
    assert!(app.sockets().is_empty(), "the server has found it, too");
    assert!(!alice.connected());
    alice.network().resume();
    alice.until_connected().await;
}

#[tokio::test(start_paused = true)]
async fn short_silence_loses_nothing() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    alice.network().stall();
    app.emit("news", 1).unwrap();
    testing::pass(secs(10)).await;
    alice.hears_nothing().await;
    alice.network().resume();
    assert_eq!(alice.next::<u32>("news").await, 1);
    assert!(alice.connected());
}

#[tokio::test(start_paused = true)]
async fn network_that_is_down_is_tried_again_and_again() {
    let app = app();
    let network = Network::new();
    let alice = app.connect("/").network(&network).await.unwrap();
    let bob = app.connect("/").network(&network).await.unwrap();
    network.down();
    alice.until_disconnected().await;
    bob.until_disconnected().await;
    testing::pass(secs(30)).await;
    assert!(!alice.connected() && !bob.connected());
    assert!(app.sockets().is_empty());
    network.up();
    let waited = millis(async {
        alice.until_connected().await;
        bob.until_connected().await;
    });
    assert!(waited.await <= 5_000);
}

#[tokio::test(start_paused = true)]
async fn client_that_is_dropped_disconnects() {
    let app = app();
    let alice = app.connect("/").await.unwrap();
    app.emit("news", 1).unwrap();
    testing::settle().await;
    assert_eq!(app.sockets().len(), 1);
    drop(alice);
    testing::settle().await;
    assert!(app.sockets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn client_of_the_applications_own_is_brought_here() {
    let app = app();
    let network = Network::new();
    let socket = sockeye::Client::builder("http://example.org/chat")
        .config(|config| config.connector(|connector| connector.dial(|_| app.dial(&network))))
        .connect()
        .await;
    assert!(socket.unwrap().connected());
}

#[tokio::test(start_paused = true)]
async fn script_of_packets_runs_on_every_transport() {
    for transport in TRANSPORTS {
        let app = app();
        let mut peer = app.peer(transport).await;
        assert!(peer.open_packet().contains("pingInterval"), "{transport}");
        let id = peer.join("/chat").await;
        assert_eq!(app.of("/chat").sockets()[0].id(), id);
        peer.send(r#"42/chat,7["echo",[1,"ä"]]"#).await;
        peer.expect(r#"43/chat,7[[1,"ä"]]"#).await;
        peer.send(r#"42/chat,["send bytes"]"#).await;
        peer.expect(r#"451-/chat,["bytes",{"_placeholder":true,"num":0}]"#)
            .await;
        peer.expect_binary(b"abc").await;
        peer.send(r#"451-/chat,8["echo",{"_placeholder":true,"num":0}]"#)
            .await;
        peer.send_binary(b"xyz").await;
        let answer = peer.packet().await;
        assert!(answer.starts_with("43/chat,8") || answer.starts_with("461-/chat,8"));
    }
}

#[tokio::test(start_paused = true)]
async fn script_answers_heartbeats_or_is_given_up() {
    let app = app();
    let mut peer = app.peer(TransportKind::WebSocket).await;
    peer.join("/").await;
    assert_eq!(millis(peer.expect("2")).await, 25_000);
    peer.send("3").await;
    assert_eq!(millis(peer.expect("2")).await, 25_000);
    let waited = millis(peer.closed()).await;
    assert!((20_000..20_100).contains(&waited), "{waited}");
    assert!(app.sockets().is_empty());
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_session_is_shown() {
    let engine =
        |config: sockeye::EngineConfig| config.allow_request(async |_| Err("not you".to_owned()));
    let app = with(ServerConfig::default().engine(engine));
    let (status, body) = app.peer(TransportKind::Polling).refused().await;
    assert_eq!(status, 403);
    assert!(body.contains("not you"), "{body}");
    let (status, body) = app.peer(TransportKind::WebSocket).refused().await;
    assert_eq!((status, &*body), (400, "not you"));
}

#[tokio::test(start_paused = true)]
async fn script_speaks_revision_3() {
    let app = with(ServerConfig::default());
    for transport in [TransportKind::Polling, TransportKind::WebSocket] {
        let mut peer = app.peer(transport).revision(Revision::V3).await;
        peer.expect("40").await;
        peer.send(r#"421["echo","ä"]"#).await;
        let answer = peer.packet().await;
        assert!(answer.starts_with(r#"431[""#), "{answer}");
        peer.send("2").await;
        peer.expect("3").await;
    }
}

#[tokio::test(start_paused = true)]
async fn script_has_its_own_query_and_headers() {
    let app = app();
    app.on("query", |handshake: Handshake| {
        let token = handshake
            .query_value("token")
            .map(|token| token.into_owned());
        let agent = handshake.header("user-agent").map(str::to_owned);
        (token, agent)
    });
    let peer = app.peer(TransportKind::WebSocket);
    let mut peer = peer.query("token=t0").header("user-agent", "script").await;
    peer.join("/").await;
    peer.send(r#"421["query"]"#).await;
    peer.expect(r#"431["t0","script"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn script_of_bytes_speaks_lines_and_http() {
    let app = app();
    let mut lines = app.pipe(TransportKind::Tcp);
    lines
        .send("{\"eventName\":\"echo\",\"args\":[1],\"id\":5}\r\n")
        .await;
    assert_eq!(lines.line().await, r#"{"ack":5,"args":[1]}"#);

    let mut http = app.pipe(TransportKind::Polling);
    http.send("GET /socket.io/?EIO=4&transport=carrier HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    http.expect("HTTP/1.1 400 Bad Request\r\n").await;
    let head = http.until("\r\n\r\n").await;
    assert!(head.contains("application/json"), "{head}");
    http.expect(r#"{"code":0,"message":"Transport unknown"}"#)
        .await;
}

async fn open(server: &mut ScriptedServer) -> Peer {
    let mut peer = server.accept().await;
    peer.send(r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)
        .await;
    peer
}

#[tokio::test(start_paused = true)]
async fn scripted_server_can_refuse_ask_and_go() {
    for transport in [TransportKind::WebSocket, TransportKind::Tcp] {
        let mut server = ScriptedServer::new();
        let client = server
            .connect("/chat")
            .over(transport)
            .auth(json!({ "name": "a" }))
            .on("question", || "answer")
            .lazy();
        let mut peer = server.accept().await;
        if transport == TransportKind::Tcp {
            peer.expect("0").await;
        }
        peer.send(r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)
            .await;
        peer.expect(r#"40/chat,{"name":"a"}"#).await;
        peer.send(r#"40/chat,{"sid":"id"}"#).await;
        client.until_connected().await;
        peer.send(r#"42/chat,1["question"]"#).await;
        peer.expect(r#"43/chat,1["answer"]"#).await;
        peer.send("41/chat,").await;
        assert_eq!(
            client.until_disconnected().await,
            DisconnectReason::IoServerDisconnect
        );
    }
    let mut server = ScriptedServer::new();
    let connecting = tokio::spawn(server.connect("/").into_future());
    let mut peer = open(&mut server).await;
    peer.expect("40").await;
    peer.send(r#"44{"message":"no"}"#).await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn silent_server_is_given_up_in_time() {
    let mut server = ScriptedServer::new();
    let connecting = tokio::spawn(server.connect("/").into_future());
    let mut peer = open(&mut server).await;
    peer.expect("40").await;
    let waited = millis(async {
        let error = connecting.await.unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Timeout), "{error:?}");
    });
    let waited = waited.await;
    assert!((19_900..20_100).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn scripted_polling_is_a_script_of_bytes() {
    let mut server = ScriptedServer::new();
    let connect = server.connect("/").over(TransportKind::Polling);
    let connecting = tokio::spawn(connect.into_future());
    let mut request = server.accept_pipe().await;
    let head = request.until("\r\n\r\n").await;
    assert!(head.starts_with("GET /socket.io/?"), "{head}");
    request
        .send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy")
        .await;
    let error = connecting.await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Open(_)), "{error:?}");
}
