//! Clients of Socket.IO 1.x and 2.x, which speak Engine.IO 3.

use sockeye_server::{Data, Handshake, Refusal, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig, WebSocket};

const BOTH: [Case; 2] = [Case::POLLING_V3, Case::WEBSOCKET_V3];

#[tokio::test]
async fn old_client_is_in_the_main_namespace_at_once() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |socket: Socket| {
        entries.push(socket.id().to_owned());
        socket.emit("welcome", ())
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.expect("0").await;
        peer.expect(r#"2["welcome"]"#).await;
        // Its id is the session's, because that is what it computes itself.
        assert_eq!(log.next().await, peer.client.sid());
    }
}

#[tokio::test]
async fn welcome_is_not_merged_into_the_handshake() {
    let io = Server::new();
    let rig = ServerRig::tcp(&io).await;
    let opened = rig.net.get(&Case::POLLING_V3.query()).await;
    let (length, packet) = opened.text().split_once(':').unwrap();
    assert_eq!(length.parse(), Ok(packet.len()), "one packet only");
    let sid = packet.split('"').nth(3).unwrap();
    let query = format!("{}&sid={sid}", Case::POLLING_V3.query());
    assert_eq!(rig.net.get(&query).await.brief(), (200, "2:40"));
}

#[tokio::test]
async fn welcome_is_merged_into_the_handshake_if_that_is_configured() {
    let config = ServerConfig::default().engine(|engine| engine.merge_first_packets(true));
    let io = Server::with_config(config).unwrap();
    io.on_connect(|socket: Socket| socket.emit("welcome", "é"));
    io.on("echo", |Data(text): Data<String>| text);
    let rig = ServerRig::tcp(&io).await;
    let opened = rig.net.get(&Case::POLLING_V3.query()).await;
    let (_, rest) = opened.text().split_once('}').unwrap();
    assert_eq!(rest, r#"2:4022:42["welcome","\u00e9"]"#);
    let sid = opened.text().split('"').nth(3).unwrap();
    let query = format!("{}&sid={sid}", Case::POLLING_V3.query());
    let posted = rig.net.post(&query, r#"19:421["echo","again"]"#).await;
    assert_eq!(posted.brief(), (200, "ok"));
    assert_eq!(
        rig.net.get(&query).await.brief(),
        (200, r#"12:431["again"]"#)
    );

    // Others have nothing to be sent before they have asked, and WebSockets have frames.
    let opened = rig.net.get(&Case::POLLING.query()).await;
    assert!(opened.text().ends_with('}'));
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET_V3).await;
    peer.expect("0").await;
}

#[tokio::test]
async fn welcome_that_has_to_wait_comes_after_the_handshake() {
    let config = ServerConfig::default().engine(|engine| engine.merge_first_packets(true));
    let io = Server::with_config(config).unwrap();
    io.middleware(async || tokio::task::yield_now().await);
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.expect("0").await;
    }
}

#[tokio::test]
async fn old_client_joins_namespaces_with_a_query() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.of("/chat")
        .on_connect(move |socket: Socket, handshake: Handshake| {
            entries.push((socket.id().to_owned(), handshake.auth_json().to_owned()));
        });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send("0/chat?token=a%20b&n=1,").await;
        let welcome = peer.text().await;
        assert!(
            ["0/chat", "0/chat,"].contains(&welcome.as_str()),
            "{welcome}"
        );
        let (id, auth) = log.next().await;
        assert_eq!(id, format!("/chat#{}", peer.client.sid()));
        let auth: serde_json::Value = serde_json::from_str(&auth).unwrap();
        assert_eq!(auth, serde_json::json!({"token": "a b", "n": "1"}));
    }
    // The oldest ones leave the comma out.
    let mut peer = rig.connect_as(Case::WEBSOCKET_V3).await;
    peer.send("0/chat").await;
    assert!(peer.text().await.starts_with("0/chat"));
}

#[tokio::test]
async fn unknown_namespace_and_refusals_have_their_old_shapes() {
    let io = Server::new();
    io.of("/text").middleware(|| Err::<(), _>("no way"));
    io.of("/data").middleware(|| {
        Err::<(), _>(Refusal::new("no way").with_data(serde_json::json!({"code": 7})))
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        for (packet, answer) in [
            ("0/nowhere,", r#"4/nowhere,{"message":"Invalid namespace"}"#),
            ("0/text,", r#"4/text,"no way""#),
            ("0/data,", r#"4/data,{"code":7}"#),
        ] {
            peer.send(packet).await;
            peer.expect(answer).await;
        }
    }
}

#[tokio::test]
async fn refused_main_namespace_leaves_the_connection() {
    let io = Server::new();
    io.middleware(|| Err::<(), _>("not here"));
    io.of("/chat").on("x", || "y");
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.expect(r#"4"not here""#).await;
        peer.join("/chat").await;
        peer.send(r#"2/chat,5["x"]"#).await;
        peer.expect(r#"3/chat,5["y"]"#).await;
    }
}

#[tokio::test]
async fn text_beyond_ascii_is_escaped_for_old_clients_only() {
    let io = Server::new();
    io.on("echo", |socket: Socket, Data(text): Data<String>| {
        socket.emit("ü", &text).expect("an emit");
        text
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"21["echo","né 😀"]"#).await;
        let event = peer.text().await.to_ascii_lowercase();
        assert_eq!(event, r#"2["\u00fc","n\u00e9 \ud83d\ude00"]"#);
        let ack = peer.text().await.to_ascii_lowercase();
        assert_eq!(ack, r#"31["n\u00e9 \ud83d\ude00"]"#);
    }
    let mut peer = rig.connect().await;
    peer.send(r#"21["echo","né 😀"]"#).await;
    peer.expect(r#"2["ü","né 😀"]"#).await;
    peer.expect(r#"31["né 😀"]"#).await;
}

#[tokio::test]
async fn double_encoded_text_of_1_x_clients_is_read() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on("x", move |Data(text): Data<String>| entries.push(text));
    let rig = ServerRig::tcp(&io).await;
    let peer = rig.connect_as(Case::POLLING_V3).await;
    // `42["x","né"]`, each UTF-8 byte of it as a character, encoded once more.
    let packet = "42[\"x\",\"n\u{c3}\u{a9}\"]";
    let body = format!("{}:{packet}", packet.chars().count());
    assert_eq!(peer.client.post(body).await.brief(), (200, "ok"));
    assert_eq!(log.next().await, "né");
}

#[tokio::test]
async fn stray_packets_of_old_clients_are_ignored() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2/nowhere,["x"]"#).await;
        peer.send("1/nowhere,").await;
        peer.expect_nothing(1).await;
    }
}

#[tokio::test]
async fn old_clients_can_be_turned_away() {
    let config = ServerConfig::default().engine(|engine| engine.allow_v3(false));
    let io = Server::with_config(config).unwrap();
    let rig = ServerRig::tcp(&io).await;
    let refused = rig.net.get(&Case::POLLING_V3.query()).await;
    let body = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    assert_eq!(refused.brief(), (400, body));
    rig.connect().await;
}

#[tokio::test]
async fn old_client_upgrades_and_goes_on() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect_as(Case::POLLING_V3).await;
    peer.send(r#"21["echo","by polling"]"#).await;
    peer.expect(r#"31["by polling"]"#).await;
    peer.client.upgrade().await;
    peer.send(r#"22["echo","by websocket"]"#).await;
    peer.expect(r#"32["by websocket"]"#).await;
}

#[tokio::test]
async fn acks_to_the_oldest_clients_are_counted_if_that_is_configured() {
    let config = ServerConfig::default().connection(|connection| connection.counted_acks(true));
    let io = Server::with_config(config).unwrap();
    io.on("echo", |Data(text): Data<String>| text);
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"21["echo","x"]"#).await;
        peer.expect(r#"30-1["x"]"#).await;
    }
    let mut peer = rig.connect().await;
    peer.send(r#"21["echo","x"]"#).await;
    peer.expect(r#"31["x"]"#).await;
}

#[tokio::test]
async fn ack_that_comes_after_the_client_has_left_is_ignored() {
    let io = Server::new();
    io.on("echo", |Data(text): Data<String>| text);
    io.of("/x").on_connect(|socket: Socket| {
        let asked = socket.emit_with_ack::<()>("ask", ());
        async move {
            asked
                .await
                .map_err(|error| error.to_string())
                .err()
                .map(drop)
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/x").await;
    peer.expect(r#"2/x,1["ask"]"#).await;
    peer.send("1/x,").await;
    peer.send("3/x,1[]").await;
    peer.send(r#"22["echo","still here"]"#).await;
    peer.expect(r#"32["still here"]"#).await;
}

#[tokio::test]
async fn double_encoded_text_on_websockets_of_1_0_clients_is_read() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on("x", move |Data(text): Data<String>| entries.push(text));
    let rig = ServerRig::tcp(&io).await;
    let doubled = "42[\"x\",\"n\u{c3}\u{a9}\"]";
    // Who says 2 is such a client in a browser. Otherwise it may be what it looks like.
    for (revision, read) in [("2", "né"), ("3", "nÃ©")] {
        let query = format!("EIO={revision}&transport=websocket");
        let mut websocket = WebSocket::connect(&rig.net, &query).await.unwrap();
        websocket.text(doubled).await;
        assert_eq!(log.next().await, read);
        websocket.text("42[\"x\",\"né€\"]").await;
        assert_eq!(log.next().await, "né€");
    }
}

#[tokio::test]
async fn namespace_beyond_ascii_works_for_1_x_clients_over_polling() {
    let io = Server::new();
    io.of("/é").on("x", || "y");
    let rig = ServerRig::tcp(&io).await;
    // In Node all of them ask for base64.
    let query = format!("{}&b64=1", Case::POLLING_V3.query());
    let opened = rig.net.get(&query).await;
    let sid = opened.text().split('"').nth(3).unwrap().to_owned();
    let query = format!("{query}&sid={sid}");
    assert_eq!(rig.net.get(&query).await.brief(), (200, "2:40"));
    // `40/é`, encoded twice; so is the answer.
    let joined = rig.net.post(&query, "5:40/\u{c3}\u{a9}").await;
    assert_eq!(joined.brief(), (200, "ok"));
    let answer = rig.net.get(&query).await;
    assert_eq!(answer.brief(), (200, "6:40/\u{c3}\u{a9},"));
}
