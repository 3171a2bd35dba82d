//! Joining namespaces: who is let in, who is refused and how, and what a handshake tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye_server::{
    Data, Handshake, Namespace, Next, Refusal, Revision, Server, ServerConfig, Socket, State,
    TransportKind,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

#[tokio::test]
async fn each_namespace_has_sockets_of_its_own() {
    let io = Server::new();
    let log = Log::new();
    for name in ["/", "/chat"] {
        let log = log.clone();
        io.of(name).on_connect(move |socket: Socket| {
            log.push((socket.namespace().name().to_owned(), socket.id().to_owned()));
        });
    }
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let root = peer.id.clone();
    peer.join("/chat").await;
    let chat = peer.id.clone();
    assert_ne!(root, chat);
    assert_ne!(root, peer.client.sid(), "the session's id is a secret");
    assert_eq!((root.len(), chat.len()), (20, 20));
    assert_eq!(log.next().await, ("/".to_owned(), root.clone()));
    assert_eq!(log.next().await, ("/chat".to_owned(), chat.clone()));
    assert!(io.socket(&root).is_some() && io.socket(&chat).is_none());
    assert!(io.of("/chat").socket(&chat).is_some());
    assert_eq!(io.connection_count(), 1);
    let mut names: Vec<_> = io
        .namespaces()
        .iter()
        .map(|n| n.name().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["/", "/chat"]);
}

#[tokio::test]
async fn namespace_names_get_their_slash() {
    let io = Server::new();
    assert_eq!(io.of("chat"), io.of("/chat"));
    assert_eq!(io.of("").name(), "/");
    let root: &Namespace = &io;
    assert_eq!(io.of("/"), *root);
}

#[tokio::test]
async fn unknown_namespace_is_refused_and_the_connection_stays() {
    let io = Server::new();
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.send("0/nowhere,").await;
        peer.expect(r#"4/nowhere,{"message":"Invalid namespace"}"#)
            .await;
        peer.send(r#"0/nowhere,{"token":1}"#).await;
        peer.expect(r#"4/nowhere,{"message":"Invalid namespace"}"#)
            .await;
        peer.join("/").await;
    }
}

#[tokio::test]
async fn handshake_has_request_and_auth() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on_connect(move |socket: Socket, handshake: Handshake| {
        let auth: serde_json::Value = handshake.auth().unwrap();
        assert_eq!(socket.handshake().auth_json(), handshake.auth_json());
        let age = handshake.time().elapsed().unwrap();
        assert!(age < Duration::from_secs(60), "{age:?}");
        entries.push((
            auth.to_string(),
            handshake.query_value("room").map(|room| room.into_owned()),
            handshake.header("host").map(str::to_owned),
            handshake.remote_addr().is_some(),
            (handshake.is_secure(), handshake.is_cross_domain()),
        ));
    });
    let rig = ServerRig::tcp(&io).await;
    let client = sockeye_testkit::Client::open_with(&rig.net, Case::POLLING, "&room=a%2Fb").await;
    let mut peer = Peer {
        client,
        id: String::new(),
    };
    peer.join_with("/", r#"{"token":"t","n":[1]}"#).await;
    let expected = (
        r#"{"n":[1],"token":"t"}"#.to_owned(),
        Some("a/b".to_owned()),
        Some("test".to_owned()),
        true,
        (false, false),
    );
    assert_eq!(log.next().await, expected);
    rig.connect().await;
    let (auth, room, ..) = log.next().await;
    assert_eq!((auth.as_str(), room), ("{}", None));
    // As JavaScript may send it, and no placeholder either: this packet has no attachments.
    let auth = r#"{"name":"half \ud83d","pic":{"_placeholder":true,"num":0}}"#;
    peer = Peer::open(&rig.net, Case::POLLING).await;
    peer.join_with("/", auth).await;
    let (auth, ..) = log.next().await;
    let expected = "{\"name\":\"half \u{fffd}\",\"pic\":{\"_placeholder\":true,\"num\":0}}";
    assert_eq!(auth, expected);
}

#[tokio::test]
async fn auth_of_the_wrong_shape_is_an_error_of_the_handler() {
    let io = Server::new();
    io.middleware(|handshake: Handshake| -> Result<(), String> {
        let auth: Result<std::collections::HashMap<String, u32>, _> = handshake.auth();
        auth.map(drop).map_err(|error| error.to_string())
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send(r#"0{"a":"text"}"#).await;
    let refused = peer.text().await;
    assert!(
        refused.starts_with(r#"4{"message":"invalid type"#),
        "{refused}"
    );
    peer.join_with("/", r#"{"a":7}"#).await;
}

#[tokio::test]
async fn middlewares_run_in_order_and_the_first_refusal_counts() {
    let io = Server::new();
    let log = Log::new();
    let (first, second, third) = (log.clone(), log.clone(), log.clone());
    io.middleware(move |socket: Socket| {
        assert!(!socket.connected());
        first.push("first");
    })
    .middleware(move |handshake: Handshake| {
        let second = second.clone();
        async move {
            tokio::task::yield_now().await;
            second.push("second");
            match handshake.query_value("token").is_some() {
                true => Ok(()),
                false => Err(Refusal::new("no token").with_data(serde_json::json!({"code": 7}))),
            }
        }
    })
    .middleware(move || third.push("third"));
    let connected = log.clone();
    io.on_connect(move |socket: Socket| {
        assert!(socket.connected());
        connected.push("connected");
    });
    let disconnected = log.clone();
    io.on_disconnect(move || disconnected.push("disconnected"));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send("0").await;
    peer.expect(r#"4{"message":"no token","data":{"code":7}}"#)
        .await;
    assert_eq!(log.rest(), ["first", "second"]);
    assert!(io.sockets().is_empty());
    assert!(
        io.room_names().is_empty(),
        "the refused one has left its room"
    );
    drop(peer);
    rig.net
        .until("no connection", || io.connection_count() == 0)
        .await;
    assert!(log.rest().is_empty(), "a refused socket never disconnects");

    let client = sockeye_testkit::Client::open_with(&rig.net, Case::WEBSOCKET, "&token=t").await;
    let mut peer = Peer {
        client,
        id: String::new(),
    };
    peer.join("/").await;
    assert_eq!(log.take(4).await, ["first", "second", "third", "connected"]);
}

#[tokio::test]
async fn middleware_may_drop_or_panic_which_are_refusals() {
    let io = Server::new();
    io.of("/drop").middleware(|| Next::Drop);
    io.of("/panic")
        .middleware(|| -> Next { panic!("a secret") });
    io.of("/later").middleware(async || -> Next {
        tokio::task::yield_now().await;
        panic!("a secret")
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    for name in ["/drop", "/panic", "/later"] {
        peer.send(&format!("0{name},")).await;
        let answer = peer.text().await;
        assert!(answer.starts_with(&format!("4{name},")), "{answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    assert!(io.of("/panic").sockets().is_empty());
}

#[tokio::test]
async fn middleware_listens_for_the_connection_of_its_socket() {
    let io = Server::new();
    let log = Log::new();
    let (own, shared) = (log.clone(), log.clone());
    io.middleware(move |socket: Socket| {
        let log = own.clone();
        socket.on_connect(move |socket: Socket| {
            assert!(socket.connected());
            log.push("own");
        });
    })
    .on_connect(move || shared.push("shared"));
    let rig = ServerRig::tcp(&io).await;
    rig.connect().await;
    assert_eq!(log.take(2).await, ["shared", "own"]);
}

#[tokio::test]
async fn socket_joins_rooms_in_a_middleware() {
    let io = Server::new();
    io.middleware(|socket: Socket| socket.join("early"));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    io.to("early").emit("hello", ()).unwrap();
    peer.expect(r#"2["hello"]"#).await;
}

#[tokio::test]
async fn socket_that_is_being_decided_about_is_not_there_yet() {
    let io = Server::new();
    let (open, gate) = tokio::sync::watch::channel(false);
    io.middleware(move || {
        let mut gate = gate.clone();
        async move { drop(gate.wait_for(|open| *open).await) }
    });
    io.on_connect(|socket: Socket| socket.emit("welcome", ()));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send("0").await;
    // Another namespace of the same connection is not held up by it.
    let _ = io.of("/quick");
    peer.join("/quick").await;
    io.emit("to nobody", ()).unwrap();
    assert!(io.sockets().is_empty());
    open.send_replace(true);
    peer.join_answer().await;
    peer.expect(r#"2["welcome"]"#).await;
    assert_eq!(io.sockets().len(), 1);
}

#[tokio::test]
async fn peer_that_leaves_while_a_middleware_never_decides_leaves_nothing_behind() {
    let io = Server::new();
    let log = Log::new();
    struct Dropped(Log<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    let entries = log.clone();
    io.middleware(move |socket: Socket| {
        let guard = Dropped(entries.clone());
        entries.push("asked");
        socket.join("room");
        async move {
            std::future::pending::<()>().await;
            drop(guard);
        }
    });
    let (connected, gone) = (log.clone(), log.clone());
    io.on_connect(move || connected.push("connected"));
    io.on_disconnect(move || gone.push("disconnected"));
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::WEBSOCKET, Case::POLLING] {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.send("0").await;
        assert_eq!(log.next().await, "asked");
        if case.is_polling() {
            peer.client.post("1").await;
        }
        drop(peer);
        assert_eq!(log.next().await, "dropped");
        rig.net
            .until("empty rooms", || {
                io.room_names().is_empty() && io.connection_count() == 0
            })
            .await;
    }
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn event_for_a_namespace_that_is_being_joined_closes_the_connection() {
    let io = Server::new();
    io.middleware(async || std::future::pending::<()>().await);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send("0").await;
    peer.send(r#"2["too early"]"#).await;
    peer.ended().await;
}

#[tokio::test(start_paused = true)]
async fn connection_that_joins_nothing_is_closed_in_time() {
    let config = ServerConfig::default()
        .connection(|config| config.connect_timeout(Duration::from_secs(10)));
    let io = Server::with_config(config).unwrap();
    let rig = ServerRig::memory(&io);
    for case in [Case::POLLING, Case::WEBSOCKET] {
        let start = tokio::time::Instant::now();
        let mut peer = Peer::open(&rig.net, case).await;
        peer.send("0/nowhere,").await;
        peer.ended().await;
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_secs(10), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(11), "{elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_that_has_joined_once_may_stay() {
    let config = ServerConfig::default()
        .connection(|config| config.connect_timeout(Duration::from_secs(10)));
    let io = Server::with_config(config).unwrap();
    io.on("ping me", |socket: Socket| socket.emit("pong", ()));
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    peer.send(r#"2["ping me"]"#).await;
    peer.expect(r#"2["pong"]"#).await;
}

#[tokio::test]
async fn second_connect_closes_the_connection() {
    let io = Server::new();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send("0").await;
    peer.ended().await;

    // On polling the end comes behind a noop.
    let peer = Peer::open(&rig.net, Case::POLLING).await;
    assert_eq!(peer.client.post("40\u{1e}40").await.status, 200);
    let first = peer.client.get().await;
    assert!(first.text().starts_with("40{"), "{first:?}");
    let last = match first.text().ends_with('1') {
        true => first,
        false => peer.client.get().await,
    };
    assert!(last.text().ends_with("6\u{1e}1"), "{last:?}");
}

#[tokio::test]
async fn event_before_any_connect_closes_the_connection() {
    let io = Server::new();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send(r#"2["hello"]"#).await;
    peer.ended().await;
    let peer = Peer::open(&rig.net, Case::POLLING).await;
    peer.client.post(r#"42["hello"]"#).await;
    assert_eq!(peer.client.get().await.brief(), (200, "6\u{1e}1"));
}

#[tokio::test]
async fn rejoining_after_leaving_gives_a_new_socket() {
    let io = Server::new();
    let count = Arc::new(AtomicUsize::new(0));
    let connections = Arc::clone(&count);
    io.on_connect(move || {
        connections.fetch_add(1, Ordering::SeqCst);
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let first = peer.id.clone();
    peer.send("1").await;
    peer.join("/").await;
    assert_ne!(peer.id, first);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(io.sockets().len(), 1);
}

#[tokio::test]
async fn handlers_see_state_transport_and_revision() {
    let io = Server::new();
    io.state(7_u32).state("text".to_owned()).state(8_u32);
    io.on("look", |socket: Socket, State(number): State<u32>| {
        let transport = match socket.transport() {
            TransportKind::Polling => "polling",
            _ => "other",
        };
        let revision = match socket.revision() {
            Revision::V3 => 3,
            Revision::V4 => 4,
        };
        (number, transport.to_owned(), revision)
    });
    let rig = ServerRig::tcp(&io).await;
    for (case, expected) in [
        (Case::POLLING, r#"30[8,"polling",4]"#),
        (Case::WEBSOCKET, r#"30[8,"other",4]"#),
        (Case::WEBSOCKET_V3, r#"30[8,"other",3]"#),
    ] {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"20["look"]"#).await;
        peer.expect(expected).await;
    }
}

#[tokio::test]
async fn sockets_keep_data_of_their_own() {
    let io = Server::new();
    io.on("set", |socket: Socket, Data(name): Data<String>| {
        socket.set_data(name);
    });
    io.on("get", |socket: Socket| socket.data::<String>());
    io.on("take", |socket: Socket| socket.take_data::<String>());
    let rig = ServerRig::tcp(&io).await;
    let mut one = rig.connect().await;
    let mut other = rig.connect().await;
    one.send(r#"2["set","one"]"#).await;
    one.send(r#"20["get"]"#).await;
    one.expect(r#"30["one"]"#).await;
    other.send(r#"20["get"]"#).await;
    other.expect("30[null]").await;
    one.send(r#"21["take"]"#).await;
    one.expect(r#"31["one"]"#).await;
    one.send(r#"22["get"]"#).await;
    one.expect("32[null]").await;
}

#[tokio::test]
async fn too_many_and_too_long_namespaces_close_the_connection() {
    let config =
        ServerConfig::default().connection(|config| config.max_namespaces(2).max_namespace_len(20));
    let io = Server::with_config(config).unwrap();
    for name in ["/a", "/b", "/c"] {
        let _ = io.of(name);
    }
    let rig = ServerRig::tcp(&io).await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.join("/a").await;
    peer.join("/b").await;
    peer.send("0/c,").await;
    peer.ended().await;
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    peer.send(&format!("0/{},", "x".repeat(30))).await;
    peer.ended().await;
}
