//! The client against our own server, over every transport.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use bytes::Bytes;
use sockeye_client::{Args, Client, ClientBuilder, Data, Dialect, DisconnectReason, TransportKind};
use sockeye_server::{Server, ServerConfig, Socket as Peer};
use tokio::sync::mpsc;

/// The ways to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Polling,
    WebSocket,
    Upgrade,
    Tcp,
    Unix,
    Lines,
}

fn server() -> Server {
    let config = ServerConfig::default();
    let io = Server::with_config(config).unwrap();
    for namespace in ["/", "/custom"] {
        io.of(namespace)
            .on("echo", |args: Args| args)
            .on("back", |peer: Peer, args: Args| peer.emit("back", args))
            .on("ask", async |peer: Peer, args: Args| {
                let answer: Args = peer.emit_with_ack("question", args).await.unwrap();
                answer
            })
            .on("kick", |peer: Peer| peer.disconnect());
    }
    io
}

async fn listen(io: &Server, way: Way) -> String {
    let url = match way {
        Way::Polling | Way::WebSocket | Way::Upgrade => "http://127.0.0.1:0".to_owned(),
        Way::Tcp | Way::Lines => "tcp://127.0.0.1:0".to_owned(),
        Way::Unix => format!(
            "unix:@sockeye-client-test-{}-{}",
            std::process::id(),
            next()
        ),
    };
    io.listen(&url).await.unwrap().url().to_string()
}

fn next() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn builder(url: &str, way: Way) -> ClientBuilder {
    Client::builder(url).config(|config| {
        config.connector(|connector| match way {
            Way::Polling => connector.transports([TransportKind::Polling]),
            Way::WebSocket => connector.transports([TransportKind::WebSocket]),
            Way::Lines => connector.dialect(Dialect::Lines),
            _ => connector,
        })
    })
}

async fn talk(way: Way) {
    let io = server();
    let url = listen(&io, way).await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let socket = builder(&url, way)
        .on("back", move |args: Args| sender.send(args).unwrap())
        .on("question", |Data(n): Data<i64>| n + 1)
        .connect()
        .await
        .unwrap();
    assert!(socket.connected() && socket.active());
    assert!(socket.id().is_some());

    let sum: (i64, String) = socket.emit_with_ack("echo", (7, "né€😀")).await.unwrap();
    assert_eq!(sum, (7, "né€😀".to_owned()));
    let answer: i64 = socket.emit_with_ack("ask", 41).await.unwrap();
    assert_eq!(answer, 42);
    let bytes = Bytes::from_static(&[0, 1, 255]);
    let back: Bytes = socket.emit_with_ack("echo", bytes.clone()).await.unwrap();
    assert_eq!(back, bytes);
    let long = "x".repeat(150_000);
    let back: String = socket.emit_with_ack("echo", long.as_str()).await.unwrap();
    assert_eq!(back, long);
    for n in 0..1000 {
        socket.emit("back", n).unwrap();
    }
    for n in 0..1000 {
        let args = events.recv().await.unwrap();
        assert_eq!(args.deserialize::<i32>().unwrap(), n, "{way:?}");
    }
    if way == Way::Upgrade {
        assert_eq!(socket.transport(), Some(TransportKind::WebSocket));
    }
    socket.client().close().await;
    assert!(!socket.connected() && !socket.active());
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
}

macro_rules! over_every_way {
    ($($name:ident: $way:ident),*) => {$(
        #[tokio::test]
        async fn $name() {
            tokio::time::timeout(Duration::from_secs(20), talk(Way::$way)).await.unwrap();
        }
    )*};
}

over_every_way!(
    events_and_acks_over_polling: Polling,
    events_and_acks_over_websocket: WebSocket,
    events_and_acks_across_an_upgrade: Upgrade,
    events_and_acks_over_tcp: Tcp,
    events_and_acks_over_a_unix_socket: Unix,
    events_and_acks_over_lines: Lines
);

#[tokio::test]
async fn server_that_disconnects_a_socket_is_obeyed() {
    let io = server();
    let url = listen(&io, Way::Unix).await;
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let socket = builder(&url, Way::Unix)
        .on("disconnect", move |reason: DisconnectReason| {
            sender.send(reason).unwrap();
        })
        .connect()
        .await
        .unwrap();
    socket.emit("kick", ()).unwrap();
    assert_eq!(
        reasons.recv().await,
        Some(DisconnectReason::IoServerDisconnect)
    );
    assert!(!socket.active());
    socket.client().closed().await;
    socket.connect().await.unwrap();
    assert!(socket.connected());
}
