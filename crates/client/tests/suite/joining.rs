//! Servers that do not let a socket into its namespace, or not at once.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::peer::{self, Peer};
use sockeye_client::{
    AckError, Client, ClientConfig, ConnectError, DisconnectReason, Revision, Socket, SocketConfig,
    TransportKind,
};
use sockeye_server::{Args, Refusal, Server, ServerConfig};
use sockeye_websocket::handshake::accept_key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

/// A place for a server.
fn place() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("unix:@sockeye-joining-{}-{next}", std::process::id())
}

/// A server that lets nobody into `/admin` before it has a permit for that.
async fn serve(url: &str) -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&gate);
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io.of("/admin")
        .middleware(move || {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.unwrap().forget();
                Ok::<_, Refusal>(())
            }
        })
        .on("echo", |args: Args| args);
    io.listen(url).await.unwrap();
    (io, gate)
}

fn client(url: &str) -> Client {
    Client::with_config(url, ClientConfig::default().auto_connect(false)).unwrap()
}

/// Tells of failures, and whether the socket is still active then.
fn failures(socket: &Socket) -> mpsc::UnboundedReceiver<String> {
    let (sender, failures) = mpsc::unbounded_channel();
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        let active = if socket.active() { ", active" } else { "" };
        sender.send(format!("{error}{active}")).unwrap();
    });
    failures
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(3600), work).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_server_that_never_answers_ends() {
    let url = place();
    let (_io, _gate) = serve(&url).await;
    let admin = client(&url).socket("/admin");
    let mut failures = failures(&admin);
    let begun = Instant::now();
    let error = soon(admin.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert!(!admin.active());
    assert_eq!(failures.recv().await.unwrap(), "timeout");
    // Nobody else wants the session.
    soon(admin.client().closed()).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_once_more_over_the_same_session_ends_too() {
    let url = place();
    let (_io, gate) = serve(&url).await;
    let client = client(&url);
    let root = client.socket("/");
    root.connect().await.unwrap();
    let admin = client.socket("/admin");
    for _ in 0..2 {
        let begun = Instant::now();
        let error = soon(admin.connect()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Timeout), "{error}");
        assert_eq!(begun.elapsed().as_secs(), 20);
    }
    assert!(root.connected());
    // The answer to the first request lets the next one go.
    gate.add_permits(2);
    soon(admin.connect()).await.unwrap();
    let echo: u32 = soon(admin.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(echo, 1);
}

#[tokio::test(start_paused = true)]
async fn time_of_an_attempt_that_was_given_up_does_not_count_for_the_next_one() {
    let url = place();
    let (_io, _gate) = serve(&url).await;
    let client = client(&url);
    client.socket("/").connect().await.unwrap();
    let admin = client.socket("/admin");
    // The first one asks the server, whose answer the others have to wait for.
    for _ in 0..3 {
        let given_up = timeout(Duration::from_secs(19), admin.connect()).await;
        assert!(given_up.is_err());
    }
    let begun = Instant::now();
    let error = soon(admin.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn lazy_socket_waits_for_the_answer_and_is_told_how_long_it_takes() {
    let url = place();
    let (_io, gate) = serve(&url).await;
    let client = client(&url);
    // The server has no patience with sessions that nobody is in.
    client.socket("/").connect().await.unwrap();
    let admin = client.socket("/admin");
    let mut failures = failures(&admin);
    let (sender, mut connected) = mpsc::unbounded_channel();
    admin.on_connect(move || sender.send(()).unwrap());
    let begun = Instant::now();
    admin.connect_lazy();
    for n in 1..4 {
        assert_eq!(soon(failures.recv()).await.unwrap(), "timeout, active");
        assert_eq!(begun.elapsed().as_secs(), n * 20);
    }
    // Whoever waits for it meanwhile is told as well.
    let error = soon(admin.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout), "{error}");
    gate.add_permits(1);
    soon(connected.recv()).await.unwrap();
    assert!(admin.connected());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(failures.recv().await.unwrap(), "timeout, active");
    assert!(failures.try_recv().is_err(), "it has its answer");
}

#[tokio::test(start_paused = true)]
async fn server_that_gives_no_id_is_too_old_but_the_next_one_need_not_be() {
    let (listener, url) = peer::listen();
    let socket = client(&url).socket("/");
    let mut story = failures(&socket);
    let connecting = socket.clone();
    let connecting = tokio::spawn(async move { connecting.connect().await });
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send("40").await;
    let error = connecting.await.unwrap().unwrap_err();
    let too_old = "the server speaks Socket.IO 2 or older: its connect packet has no socket id";
    assert_eq!(error.to_string(), too_old);
    assert_eq!(soon(story.recv()).await.unwrap(), too_old);
    soon(socket.client().closed()).await;

    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send("40").await;
    let still_active = format!("{too_old}, active");
    assert_eq!(soon(story.recv()).await.unwrap(), still_active);
    assert!(socket.active() && !socket.connected());
    // It hears no more of this server, but whoever waits is told once more.
    let error = soon(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), too_old);
    assert_eq!(soon(story.recv()).await.unwrap(), still_active);
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one"}"#).await;
    soon(socket.connect()).await.unwrap();
    assert!(story.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn refusal_is_one_whatever_the_server_says() {
    let (listener, url) = peer::listen();
    let socket = client(&url).socket("/");
    let connecting = socket.clone();
    let connecting = tokio::spawn(async move { connecting.connect().await });
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    let said = "the server speaks Socket.IO 2 or older: its connect packet has no socket id";
    peer.send(&format!(r#"44{{"message":"{said}"}}"#)).await;
    let error = connecting.await.unwrap().unwrap_err();
    assert_eq!(error.refusal().unwrap().message(), said);
}

/// Breaks the connection: what the client has sent is not read to its end.
async fn reset(mut peer: Peer) {
    peer.0.read_u8().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn socket_that_waits_for_the_answer_hears_of_the_error_of_the_connection() {
    let (listener, url) = peer::listen();
    let socket = client(&url).socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        assert!(socket.active());
        tell.send(error.to_string()).unwrap();
    });
    socket.on_disconnect(move |reason: DisconnectReason| sender.send(reason.to_string()).unwrap());
    socket.connect_lazy();
    reset(Peer::accept(&listener).await).await;
    let error = "the connection ended: transport error";
    assert_eq!(soon(story.recv()).await.unwrap(), error);
    assert_eq!(soon(story.recv()).await.unwrap(), "transport error");
    // An end without an error is none, and a socket that was connected is not in the dark.
    drop(Peer::accept(&listener).await);
    assert_eq!(soon(story.recv()).await.unwrap(), "transport close");
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one"}"#).await;
    soon(socket.connect()).await.unwrap();
    socket.emit("unread", ()).unwrap();
    reset(peer).await;
    assert_eq!(soon(story.recv()).await.unwrap(), "transport error");
}

#[tokio::test(start_paused = true)]
async fn only_a_socket_that_was_connected_is_disconnecting() {
    let (listener, url) = peer::listen();
    let socket = client(&url).socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_disconnecting(move || tell.send("disconnecting").unwrap());
    let tell = sender.clone();
    socket.on_disconnect(move || tell.send("disconnect").unwrap());
    socket.on_connect(move || sender.send("connect").unwrap());
    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    drop(peer);
    assert_eq!(soon(story.recv()).await.unwrap(), "disconnect");
    let mut peer = Peer::accept(&listener).await;
    peer.receive().await;
    peer.send(r#"40{"sid":"one"}"#).await;
    assert_eq!(soon(story.recv()).await.unwrap(), "connect");
    drop(peer);
    assert_eq!(soon(story.recv()).await.unwrap(), "disconnecting");
    assert_eq!(soon(story.recv()).await.unwrap(), "disconnect");
}

/// A server that plays its part by hand over a WebSocket: only there is a refusal of who is in more than an error.
struct WebSocketPeer(TcpStream);

impl WebSocketPeer {
    async fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let request = String::from_utf8(request).unwrap();
        let headers = request.lines().filter_map(|line| line.split_once(": "));
        let is_key = |name: &str| name.eq_ignore_ascii_case("sec-websocket-key");
        let key = headers.clone().find(|(name, _)| is_key(name)).unwrap().1;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {}\r\n\r\n",
            accept_key(key)
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        Self(stream)
    }

    async fn send(&mut self, packet: &str) {
        let len = u8::try_from(packet.len()).unwrap();
        assert!(len < 126);
        let frame = [&[0x81, len], packet.as_bytes()].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    async fn receive(&mut self) -> String {
        let mut head = [0; 6];
        self.0.read_exact(&mut head).await.unwrap();
        let [_, len, mask @ ..] = head;
        assert!(len & 0x7f < 126);
        let mut packet = vec![0; usize::from(len & 0x7f)];
        self.0.read_exact(&mut packet).await.unwrap();
        for (index, byte) in packet.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        String::from_utf8(packet).unwrap()
    }
}

#[tokio::test]
async fn refusal_of_a_connected_socket_is_the_end_of_its_stay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = ClientConfig::default()
        .auto_connect(false)
        .connector(|connector| connector.transports([TransportKind::WebSocket]));
    let socket = Client::with_config(&url, config).unwrap().socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_disconnecting(move || tell.send("disconnecting".to_owned()).unwrap());
    let tell = sender.clone();
    socket.on_disconnect(move |reason: DisconnectReason| {
        tell.send(format!("disconnect: {reason}")).unwrap();
    });
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        let active = if socket.active() { ", active" } else { "" };
        sender
            .send(format!("connect_error: {error}{active}"))
            .unwrap();
    });
    let connecting = socket.connect();
    let opening = async {
        let mut peer = WebSocketPeer::accept(&listener).await;
        peer.send(r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)
            .await;
        assert_eq!(peer.receive().await, "40");
        peer.send(r#"40{"sid":"one"}"#).await;
        peer
    };
    let (connected, mut peer) = soon(async { tokio::join!(connecting, opening) }).await;
    connected.unwrap();
    let answer = socket.emit_with_ack::<Args>("question", 1);
    let refusing = async {
        assert_eq!(peer.receive().await, r#"420["question",1]"#);
        peer.send(r#"44{"message":"no more"}"#).await;
    };
    let (answer, ()) = soon(async { tokio::join!(answer, refusing) }).await;
    assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
    for expected in [
        "disconnecting",
        "disconnect: io server disconnect",
        "connect_error: no more",
    ] {
        assert_eq!(soon(story.recv()).await.unwrap(), expected);
    }
    assert!(!socket.connected() && !socket.active());
}

#[tokio::test(start_paused = true)]
async fn auth_that_takes_too_long_is_given_up_and_asked_for_anew() {
    let url = place();
    let (io, _gate) = serve(&url).await;
    let client = client(&url);
    client.socket("/").connect().await.unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let given_up = Arc::new(AtomicU32::new(0));
    let (asks, drops) = (Arc::clone(&asked), Arc::clone(&given_up));
    let config = SocketConfig::default().auth_with(move || {
        let (n, drops) = (asks.fetch_add(1, Ordering::Relaxed), Arc::clone(&drops));
        let on_drop = OnDrop(drops);
        async move {
            let _held = on_drop;
            if n < 3 {
                std::future::pending::<()>().await;
            }
            Ok(serde_json::json!({ "n": n }))
        }
    });
    let _there = io.of("/slow");
    let slow = client.socket_with("/slow", config).unwrap();
    let mut failures = failures(&slow);
    let begun = Instant::now();
    let error = soon(slow.connect()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 20);
    assert_eq!(failures.recv().await.unwrap(), "timeout");
    assert!(!slow.active());
    assert_eq!(given_up.load(Ordering::Relaxed), 1);
    let (sender, mut connected) = mpsc::unbounded_channel();
    slow.on_connect(move || sender.send(()).unwrap());
    slow.connect_lazy();
    for n in 2..4 {
        assert_eq!(soon(failures.recv()).await.unwrap(), "timeout, active");
        assert_eq!(begun.elapsed().as_secs(), n * 20);
    }
    soon(connected.recv()).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

/// Counts what is dropped.
struct OnDrop(Arc<AtomicU32>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A server that speaks revision 3, and lets nobody into `/`.
async fn serve_old() -> (Server, String) {
    let config = ServerConfig::default().engine(|engine| engine.allow_v3(true));
    let io = Server::with_config(config).unwrap();
    io.middleware(|| Err::<(), _>(Refusal::new("closed today")));
    io.of("/admin").on("echo", |args: Args| args);
    // As all are behind `/` for the servers of Socket.IO 1 and 2.
    io.of("/behind")
        .middleware(std::future::pending::<Result<(), Refusal>>);
    let url = io.listen("http://127.0.0.1:0").await.unwrap();
    let url = url.url().to_string();
    (io, url)
}

fn old_client(url: &str) -> Client {
    let config = ClientConfig::default()
        .auto_connect(false)
        .connector(|connector| {
            connector
                .revision(Revision::V3)
                .transports([TransportKind::WebSocket])
        });
    Client::with_config(url, config).unwrap()
}

#[tokio::test]
async fn refusal_of_the_main_namespace_by_an_old_server_is_that_of_all() {
    let (_io, url) = serve_old().await;
    // Whether anybody wants to be in `/` or not.
    for with_main in [false, true] {
        let client = old_client(&url);
        let main = client.socket("/");
        if with_main {
            main.connect_lazy();
        }
        let behind = client.socket("/behind");
        let mut failures = failures(&behind);
        let error = soon(behind.connect()).await.unwrap_err();
        assert_eq!(error.refusal().unwrap().message(), "closed today");
        assert_eq!(failures.recv().await.unwrap(), "closed today");
        assert!(!behind.active() && !main.active());
        soon(client.closed()).await;
    }
}

#[tokio::test]
async fn later_server_that_speaks_the_old_revision_lets_in_by_namespace() {
    let (_io, url) = serve_old().await;
    let client = old_client(&url);
    let main = client.socket("/");
    main.connect_lazy();
    let admin = client.socket("/admin");
    soon(admin.connect()).await.unwrap();
    let echo: u32 = soon(admin.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(echo, 1);
    let error = soon(main.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "closed today");
    assert!(admin.connected());
}
