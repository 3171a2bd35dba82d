//! What Node's server and client do as well, where no test of a single crate shows it.

use std::time::Duration;

use sockeye::{Client, ClientEvent, Handshake, Server, Socket, TransportKind, testing};

#[tokio::test(start_paused = true)]
async fn server_that_never_listened_can_be_closed_twice() {
    let io = Server::new();
    io.close().await;
    io.close().await;
    assert!(io.listen("http://127.0.0.1:0").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn send_is_the_event_message_at_both_ends() {
    let io = Server::new();
    io.on(
        "message",
        |socket: Socket, sockeye::Data(n): sockeye::Data<u32>| socket.send(n + 1),
    );
    let app = testing::Server::new(io);
    let alice = app.connect("/").await.unwrap();
    alice.send(1).unwrap();
    assert_eq!(alice.next::<u32>("message").await, 2);
    app.send("all").unwrap();
    assert_eq!(alice.next::<String>("message").await, "all");
}

#[tokio::test(start_paused = true)]
async fn operators_are_not_changed_by_what_is_made_of_them() {
    let io = Server::new();
    io.on(
        "join",
        |socket: Socket, sockeye::Data(room): sockeye::Data<String>| {
            socket.join(room);
            true
        },
    );
    let app = testing::Server::new(io);
    let a = app.connect("/").await.unwrap();
    let b = app.connect("/").await.unwrap();
    a.emit_with_ack::<bool>("join", "a").await.unwrap();
    b.emit_with_ack::<bool>("join", "b").await.unwrap();
    let to_a = app.to("a");
    let to_both = to_a.clone().to("b");
    let to_nobody = to_a.clone().except("a");
    to_a.emit("first", ()).unwrap();
    a.next_event("first").await;
    b.hears_nothing().await;
    to_both.emit("second", ()).unwrap();
    a.next_event("second").await;
    b.next_event("second").await;
    to_nobody.emit("third", ()).unwrap();
    a.hears_nothing().await;
    b.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn handshake_knows_other_origins_and_tls() {
    let io = Server::new();
    io.on("about", |handshake: Handshake| {
        sockeye::Reply((handshake.is_cross_domain(), handshake.is_secure()))
    });
    let app = testing::Server::new(io);
    for (origin, answer) in [
        (None, "[false,false]"),
        (Some("https://a.b"), "[true,false]"),
    ] {
        let mut open = app.peer(TransportKind::WebSocket);
        if let Some(origin) = origin {
            open = open.header("origin", origin);
        }
        let mut peer = open.await;
        peer.join("/").await;
        peer.send(r#"421["about"]"#).await;
        peer.expect(&format!("431{answer}")).await;
    }

    let (near, far) = testing::Pipe::pair();
    let info = sockeye::ConnectionInfo {
        remote_addr: None,
        secure: true,
    };
    app.serve_http(far, info, sockeye::ListenOptions::default());
    let near = std::sync::Mutex::new(Some(near));
    let open = move |_: sockeye::client::ConnectUrl| {
        let near = near.lock().unwrap().take();
        async { near.ok_or_else(|| std::io::Error::other("there is one")) }
    };
    let socket = Client::builder("http://server.test")
        .config(|config| {
            config.connector(|connector| {
                connector
                    .dial(|dial| dial.open_with(open))
                    .transports([TransportKind::WebSocket])
            })
        })
        .connect()
        .await
        .unwrap();
    let about: (bool, bool) = socket.emit_with_ack("about", ()).await.unwrap();
    assert_eq!(about, (false, true));
}

#[tokio::test(start_paused = true)]
async fn rooms_have_the_own_id_and_are_gone_with_the_socket() {
    let app = testing::Server::new(Server::new());
    let alice = app.connect("/").await.unwrap();
    let socket = app.sockets().remove(0);
    assert_eq!(socket.rooms(), [socket.id()]);
    socket.join("room");
    assert_eq!(socket.rooms().len(), 2);
    alice.disconnect();
    testing::settle().await;
    assert!(!socket.connected());
    assert!(socket.rooms().is_empty());
    socket.join("room");
    assert!(socket.rooms().is_empty() && app.room_names().is_empty());
}

#[tokio::test(start_paused = true)]
async fn path_of_requests_can_go_without_its_slash() {
    for (slash, path) in [(true, "/socket.io/?"), (false, "/socket.io?")] {
        let app = testing::Server::new(Server::new());
        app.on("url", |handshake: Handshake| handshake.url().to_owned());
        let alice = app
            .connect("/")
            .with(move |client| {
                client.config(move |config| {
                    config.connector(|connector| connector.add_trailing_slash(slash))
                })
            })
            .await
            .unwrap();
        let url: String = alice.emit_with_ack("url", ()).await.unwrap();
        assert!(url.starts_with(path), "{url}");
    }
}

#[tokio::test(start_paused = true)]
async fn socket_of_a_client_waits_if_it_is_told_to() {
    let app = testing::Server::new(Server::new());
    let network = testing::Network::new();
    for connects in [true, false] {
        let config = sockeye::ClientConfig::default()
            .auto_connect(connects)
            .connector(|connector| connector.dial(|_| app.dial(&network)));
        let client = Client::with_config("http://server.test", config).unwrap();
        let socket = client.socket("/");
        assert_eq!((socket.active(), socket.connected()), (connects, false));
        testing::pass(Duration::from_secs(1)).await;
        assert_eq!(socket.connected(), connects);
        assert_eq!(socket.id().is_some(), connects);
        socket.connect().await.unwrap();
        assert!(socket.active() && socket.connected());
        socket.disconnect();
        assert!(!socket.active() && !socket.connected());
    }
}

#[tokio::test(start_paused = true)]
async fn session_stays_on_polling_if_it_is_told_to() {
    let app = testing::Server::new(Server::new());
    let kinds = [TransportKind::Polling, TransportKind::WebSocket];
    for (upgrades, transport) in [(true, kinds[1]), (false, kinds[0])] {
        let alice = app
            .connect("/")
            .with(move |client| {
                client.config(move |config| {
                    config.connector(|connector| connector.transports(kinds).upgrade(upgrades))
                })
            })
            .lazy();
        let (sender, told) = std::sync::mpsc::channel();
        alice.client().on_client_event(move |event| match event {
            ClientEvent::Open => sender.send(None).unwrap(),
            ClientEvent::Upgrade(to) => sender.send(Some(*to)).unwrap(),
            _ => {}
        });
        testing::pass(Duration::from_secs(1)).await;
        assert_eq!(alice.transport(), Some(transport));
        let told: Vec<_> = told.try_iter().collect();
        match upgrades {
            true => assert_eq!(told, [None, Some(transport)]),
            false => assert_eq!(told, [None]),
        }
    }
}
