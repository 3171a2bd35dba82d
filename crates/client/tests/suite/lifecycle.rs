//! Connecting, losing the connection, coming back. Time is virtual: both ends run on one thread.
//!
//! What is decided then has scripts of its own, in `src/life/tests`; here it is seen to happen.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye_client::{
    AckError, BufferPolicy, Client, ClientConfig, ClientEvent, ConnectError, Dialect,
    DisconnectReason, EmitError, EnginePacket, OpenError, Reconnection, Socket, SocketConfig,
};
use sockeye_server::{Args, Data, Refusal, Server, Socket as Peer};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// A place for a server that comes and goes.
fn place() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("unix:@sockeye-lifecycle-{}-{next}", std::process::id())
}

async fn serve(url: &str) -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io.on("collect", |_: Peer| ());
    io.of("/admin")
        .middleware(|handshake: sockeye_server::Handshake| {
            let auth: Value = handshake.auth().unwrap();
            match auth["token"].as_str() {
                Some("good") => Ok(()),
                _ => Err(Refusal::new("not you").with_data(json!({ "code": 7 }))),
            }
        })
        .on("echo", |args: Args| args);
    io.listen(url).await.unwrap();
    io
}

/// What happened, as texts.
type Story = mpsc::UnboundedReceiver<String>;

/// Writes down what happens to a socket and its client.
fn story(socket: &Socket) -> Story {
    let (sender, story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_connect(move || tell.send("connect".to_owned()).unwrap());
    let tell = sender.clone();
    socket.on_disconnect(move |reason: DisconnectReason| {
        tell.send(format!("disconnect: {reason}")).unwrap();
    });
    let tell = sender.clone();
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        let active = if socket.active() { ", active" } else { "" };
        let error = error.to_string();
        // What the cause is has the name of the place in it.
        let known = "the server cannot be reached";
        let error = if error.starts_with(known) {
            known
        } else {
            &error
        };
        tell.send(format!("connect_error: {error}{active}"))
            .unwrap();
    });
    socket.client().on_client_event(move |event| {
        let text = match event {
            ClientEvent::ReconnectAttempt(n) => format!("attempt {n}"),
            ClientEvent::Reconnect(n) => format!("reconnect {n}"),
            ClientEvent::ReconnectFailed => "failed".to_owned(),
            _ => return,
        };
        let _ = sender.send(text);
    });
    story
}

async fn hears(story: &mut Story, expected: &str) {
    let heard = timeout(Duration::from_secs(3600), story.recv()).await;
    assert_eq!(heard.unwrap().as_deref(), Some(expected));
}

/// Waits for what is to come in between, too.
async fn hears_at_last(story: &mut Story, expected: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        let heard = timeout(Duration::from_secs(3600), story.recv())
            .await
            .unwrap()
            .unwrap();
        if heard == expected {
            return before;
        }
        before.push(heard);
    }
}

fn socket(url: &str) -> Socket {
    Client::builder(url).build().unwrap()
}

fn no_jitter() -> Reconnection {
    Reconnection::default().randomization(0.0)
}

#[tokio::test(start_paused = true)]
async fn server_gone_for_a_quarter_of_an_hour() {
    let url = place();
    let io = serve(&url).await;
    let socket = socket(&url);
    let mut story = story(&socket);
    socket.connect().await.unwrap();
    hears(&mut story, "connect").await;
    let first_id = socket.id();
    io.close().await;
    drop(io);
    hears(&mut story, "disconnect: transport close").await;
    assert!(socket.active() && !socket.connected());
    socket.emit("collect", 1).unwrap();

    tokio::time::sleep(Duration::from_secs(15 * 60)).await;
    let io = serve(&url).await;
    let (sender, mut collected) = mpsc::unbounded_channel();
    io.on("collect", move |Data(n): Data<u32>| sender.send(n).unwrap());
    let heard = hears_at_last(&mut story, "connect").await;
    let attempts = heard.iter().filter(|text| text.starts_with("attempt"));
    assert!((175..=230).contains(&attempts.count()));
    assert_eq!(collected.recv().await, Some(1));
    assert_ne!(socket.id(), first_id);

    // A server that disconnects the socket means it.
    for peer in io.sockets() {
        peer.close();
    }
    hears(&mut story, "disconnect: io server disconnect").await;
    assert!(!socket.active());
}

#[tokio::test(start_paused = true)]
async fn attempt_that_cannot_succeed_later_is_the_last_one() {
    let url = place();
    let asked = AtomicU32::new(0);
    let socket = Client::builder(&url)
        .config(|config| {
            config.before_connect(move |mut request| {
                let place = match asked.fetch_add(1, Ordering::Relaxed) {
                    0 => request.url.clone(),
                    // No system has room for such a path.
                    _ => format!("unix:/{}", "x".repeat(1000)).parse().unwrap(),
                };
                request.url = place;
                async { Ok(request) }
            })
        })
        .build()
        .unwrap();
    let mut story = story(&socket);
    socket.connect_lazy();
    let failed = "connect_error: the server cannot be reached";
    hears(&mut story, &format!("{failed}, active")).await;
    hears(&mut story, "attempt 1").await;
    hears(&mut story, failed).await;
    hears(&mut story, "failed").await;
    socket.client().closed().await;
    assert!(!socket.active());
}

#[tokio::test(start_paused = true)]
async fn socket_that_is_given_up_is_not_active_and_comes_back_by_itself_alone() {
    let url = place();
    let socket = Client::builder(&url)
        .reconnection(Reconnection::default().attempts(1))
        .build()
        .unwrap();
    let mut story = story(&socket);
    socket.connect_lazy();
    let failed = "connect_error: the server cannot be reached";
    hears(&mut story, &format!("{failed}, active")).await;
    hears(&mut story, "attempt 1").await;
    hears(&mut story, failed).await;
    hears(&mut story, "failed").await;
    socket.client().closed().await;
    assert!(!socket.active());

    let io = Server::new();
    let _ = io.of("/other");
    io.listen(&url).await.unwrap();
    let other = socket.client().socket("/other");
    other.connect().await.unwrap();
    assert!(!socket.active() && !socket.connected());
    socket.connect().await.unwrap();
    assert!(socket.active() && socket.connected());
}

#[tokio::test(start_paused = true)]
async fn attempt_that_nobody_waits_for_any_more_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = socket(&url);
    let result = timeout(Duration::from_secs(1), socket.connect()).await;
    assert!(result.is_err());
    socket.client().closed().await;
    assert!(!socket.active());
}

#[tokio::test(start_paused = true)]
async fn server_on_a_stream_that_says_nothing_may_speak_lines_says_the_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    let error = Client::connect(&url).await.unwrap_err();
    let ConnectError::Open(error) = error else {
        panic!("{error:?}");
    };
    assert!(matches!(*error, OpenError::Silent), "{error:?}");
    assert!(error.to_string().contains("lines"), "{error}");
    assert_eq!(begun.elapsed().as_secs_f64().round(), 20.0);
}

#[tokio::test(start_paused = true)]
async fn events_wait_for_the_connection_in_order() {
    let url = place();
    let socket = socket(&url);
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on_any_outgoing(move |Data(n): Data<u32>| sender.send(n).unwrap());
    for n in 0..100 {
        socket.emit("collect", n).unwrap();
    }
    let answer = socket.emit_with_ack::<u32>("echo", 100);
    assert_eq!(socket.waiting_events(), 101);
    assert!(heard.try_recv().is_err(), "they are not sent yet");
    socket.volatile().emit("collect", 7).unwrap();
    let io = serve(&url).await;
    let (collect, mut collected) = mpsc::unbounded_channel();
    io.on("collect", move |Data(n): Data<u32>| {
        collect.send(n).unwrap();
    });
    socket.connect().await.unwrap();
    assert_eq!(answer.await.unwrap(), 100);
    for n in 0..100 {
        assert_eq!(heard.try_recv().unwrap(), n);
        assert_eq!(collected.recv().await, Some(n));
    }
    assert_eq!(socket.waiting_events(), 0);
}

/// As with socket.io-client 4.8, whose `sendBuffer` keeps such events, and their acknowledgements with them.
#[tokio::test(start_paused = true)]
async fn event_that_waits_when_reconnecting_is_given_up_is_answered_after_the_next_connect() {
    for was_connected in [false, true] {
        let url = place();
        let socket = Client::builder(&url)
            .reconnection(no_jitter().attempts(2))
            .build()
            .unwrap();
        let mut story = story(&socket);
        let sent = if was_connected {
            let io = serve(&url).await;
            io.on("never", |_: sockeye_server::Ack<u32>| ());
            socket.connect().await.unwrap();
            let sent = socket.emit_with_ack::<u32>("never", ());
            let _: u32 = socket.emit_with_ack("echo", 0).await.unwrap();
            io.close().await;
            Some(sent)
        } else {
            socket.connect_lazy();
            None
        };
        let kept = socket.emit_with_ack::<u32>("echo", 1);
        let timed = socket.timeout(Duration::from_secs(3600));
        let timed = timed.emit_with_ack::<u32>("echo", 2);
        hears_at_last(&mut story, "failed").await;
        socket.client().closed().await;
        assert!(!socket.active());
        assert_eq!(socket.waiting_events(), 2);
        // What was sent is lost with the connection that it was sent over.
        if let Some(sent) = sent {
            assert!(matches!(sent.await, Err(AckError::Disconnected)));
        }
        let _io = serve(&url).await;
        socket.connect().await.unwrap();
        assert_eq!((kept.await.unwrap(), timed.await.unwrap()), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn event_whose_answer_nobody_waits_for_any_more_is_not_sent_late() {
    let url = place();
    let socket = socket(&url);
    let timed_out = socket
        .timeout(Duration::from_secs(1))
        .emit_with_ack::<u32>("echo", 1)
        .await;
    assert!(matches!(timed_out, Err(AckError::Timeout)));
    let io = serve(&url).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    io.on_any(move |Data(n): Data<u32>| sender.send(n).unwrap());
    socket.connect().await.unwrap();
    assert_eq!(socket.emit_with_ack::<u32>("echo", 2).await.unwrap(), 2);
    assert_eq!(heard.recv().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn buffer_is_bounded() {
    let socket = Client::builder(place())
        .config(|config| config.buffer(2, 1000))
        .build()
        .unwrap();
    socket.emit("a", 1).unwrap();
    socket.emit("a", 2).unwrap();
    assert!(matches!(socket.emit("a", 3), Err(EmitError::BufferFull)));
    let socket = Client::builder(place())
        .config(|config| {
            config
                .buffer(2, 1000)
                .buffer_policy(BufferPolicy::DropOldest)
        })
        .build()
        .unwrap();
    let first = socket.emit_with_ack::<u32>("a", 1);
    socket.emit("a", 2).unwrap();
    socket.emit("a", 3).unwrap();
    assert!(matches!(first.await, Err(AckError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn refused_socket_leaves_the_other_alone_and_may_try_again() {
    let url = place();
    let _io = serve(&url).await;
    let config = ClientConfig::default().auto_connect(false);
    let client = Client::with_config(&url, config).unwrap();
    let root = client.socket("/");
    let token = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&token);
    let config = SocketConfig::default().auth_with(move || {
        let good = asked.fetch_add(1, Ordering::Relaxed) > 0;
        async move { Ok(json!({ "token": if good { "good" } else { "bad" } })) }
    });
    let admin = client.socket_with("admin", config).unwrap();
    let mut story = story(&admin);
    root.connect().await.unwrap();
    let error = admin.connect().await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!(
        (refusal.message(), refusal.data()),
        ("not you", Some(&json!({ "code": 7 })))
    );
    hears(&mut story, "connect_error: not you").await;
    assert!(!admin.active() && root.connected());
    admin.connect().await.unwrap();
    let echo: u32 = admin.emit_with_ack("echo", 5).await.unwrap();
    assert_eq!(echo, 5);
    assert_eq!(token.load(Ordering::Relaxed), 2);
    // One leaves, the other stays; both share one connection.
    admin.disconnect();
    hears_at_last(&mut story, "disconnect: io client disconnect").await;
    let echo: u32 = root.emit_with_ack("echo", 6).await.unwrap();
    assert_eq!(echo, 6);
}

#[tokio::test(start_paused = true)]
async fn namespace_that_does_not_exist_is_refused() {
    let url = place();
    let _io = serve(&url).await;
    let error = Client::builder(&url)
        .namespace("/nowhere")
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Invalid namespace");
}

#[tokio::test(start_paused = true)]
async fn socket_can_be_disconnected_and_connected_again_at_once() {
    let url = place();
    let _io = serve(&url).await;
    let socket = socket(&url);
    for n in 0..20_u32 {
        socket.connect().await.unwrap();
        let echo: u32 = socket.emit_with_ack("echo", n).await.unwrap();
        assert_eq!(echo, n);
        socket.disconnect();
        assert!(!socket.connected());
    }
}

#[tokio::test(start_paused = true)]
async fn pending_acknowledgements_fail_on_disconnect() {
    let url = place();
    let io = serve(&url).await;
    io.on("never", std::future::pending::<()>);
    let socket = socket(&url);
    socket.connect().await.unwrap();
    let answer = socket.emit_with_ack::<u32>("never", ());
    socket.disconnect();
    assert!(matches!(answer.await, Err(AckError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_sends_what_was_emitted_and_disconnects() {
    let url = place();
    let io = serve(&url).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let tell = sender.clone();
    io.on("last", move || tell.send("last".to_owned()).unwrap());
    io.on_disconnect(move |reason: DisconnectReason| sender.send(reason.to_string()).unwrap());
    let socket = Client::connect(&url).await.unwrap();
    socket.emit("last", ()).unwrap();
    drop(socket);
    assert_eq!(heard.recv().await.as_deref(), Some("last"));
    assert_eq!(
        heard.recv().await.as_deref(),
        Some("client namespace disconnect")
    );
}

#[tokio::test(start_paused = true)]
async fn retries_send_until_the_server_answers() {
    let url = place();
    let io = serve(&url).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let tries = AtomicU32::new(0);
    io.on(
        "work",
        move |Data(n): Data<u32>, ack: sockeye_server::Ack<u32>| {
            sender.send(n).unwrap();
            // The first two tries are lost.
            if tries.fetch_add(1, Ordering::Relaxed) >= 2 {
                ack.send(n).unwrap();
            }
        },
    );
    let config = SocketConfig::default()
        .retries(3)
        .ack_timeout(Duration::from_secs(1));
    let client = Client::new(&url).unwrap();
    let socket = client.socket_with("/", config).unwrap();
    let answer = socket.emit_with_ack::<u32>("work", 1);
    socket.emit("work", 2).unwrap();
    assert_eq!(answer.await.unwrap(), 1);
    for expected in [1, 1, 1, 2] {
        assert_eq!(heard.recv().await, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn event_that_is_never_answered_is_given_up_by_name() {
    let url = place();
    let io = serve(&url).await;
    io.on("void", |_: sockeye_server::Ack<u32>| ());
    let config = SocketConfig::default()
        .retries(2)
        .ack_timeout(Duration::from_secs(1));
    let client = Client::new(&url).unwrap();
    let socket = client.socket_with("/", config).unwrap();
    socket.connect().await.unwrap();
    let begun = Instant::now();
    let answer = socket.emit_with_ack::<u32>("void", 1).await;
    assert!(matches!(answer, Err(AckError::Timeout)), "{answer:?}");
    assert_eq!(begun.elapsed().as_secs(), 3);
    let echo: u32 = socket.emit_with_ack("echo", 6).await.unwrap();
    assert_eq!(echo, 6);
}

#[tokio::test(start_paused = true)]
async fn event_that_nobody_waits_for_is_reported_when_it_is_given_up() {
    let url = place();
    let io = serve(&url).await;
    io.on("void", |_: sockeye_server::Ack<u32>| ());
    io.on("fatal", |peer: Peer, _: sockeye_server::Ack<u32>| {
        peer.close();
    });
    let config = SocketConfig::default()
        .retries(0)
        .ack_timeout(Duration::from_secs(1));
    let client = Client::new(&url).unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    client.on_error(move |_, error| sender.send(format!("{error:#}")).unwrap());
    let socket = client.socket_with("/", config).unwrap();
    socket.connect().await.unwrap();
    socket.emit("void", 1).unwrap();
    drop(socket.emit_with_ack::<u32>("void", 2));
    socket.emit("fatal", 3).unwrap();
    for expected in [
        r#"event "void": it was given up: operation has timed out"#,
        r#"event "void": it was given up: operation has timed out"#,
        r#"event "fatal": it was given up: socket has been disconnected"#,
    ] {
        assert_eq!(heard.recv().await.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn retries_without_a_time_are_refused() {
    let client = Client::new(place()).unwrap();
    let error = client
        .socket_with("/", SocketConfig::default().retries(1))
        .unwrap_err();
    assert_eq!(error.to_string(), "retries need an ack timeout");
}

#[tokio::test(start_paused = true)]
async fn network_socket_tells_of_the_connection() {
    let url = place();
    let _io = serve(&url).await;
    let socket = socket(&url);
    assert!(socket.net_socket().is_none());
    socket.connect().await.unwrap();
    let net = socket.net_socket().unwrap();
    assert!(!net.is_secure());
    assert_eq!(
        net.peer_credentials().unwrap().pid,
        i32::try_from(std::process::id()).ok()
    );

    let io = Server::new();
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let tcp = Client::connect(listener.url()).await.unwrap();
    let net = tcp.net_socket().unwrap();
    let address = net.remote_addr().unwrap();
    assert_eq!(format!("tcp://{address}"), listener.url().to_string());
    net.set_nodelay(false).unwrap();
}

#[tokio::test(start_paused = true)]
async fn ended_socket_still_hears_and_then_comes_back() {
    let url = place();
    let io = Server::new();
    io.on("bye", async |peer: Peer| {
        peer.emit("last words", ()).unwrap();
    });
    let options = sockeye_server::ListenOptions::default().allow_half_open(true);
    io.listen_with(&url, options).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    io.on_end(|peer: Peer| {
        peer.emit("last words", ()).unwrap();
        peer.end();
    });
    let socket = socket(&url);
    for name in ["last words", "connect", "disconnect"] {
        let sender = sender.clone();
        socket.on(name, move || sender.send(name).unwrap());
    }
    let tell = sender.clone();
    socket.on_end(move || tell.send("end").unwrap());
    socket.on_close(move || sender.send("close").unwrap());
    socket.connect().await.unwrap();
    assert_eq!(heard.recv().await, Some("connect"));
    socket.end();
    socket.emit("kept", ()).unwrap();
    assert_eq!(socket.waiting_events(), 1);
    for expected in ["last words", "end", "disconnect", "close", "connect"] {
        assert_eq!(heard.recv().await, Some(expected));
    }
    assert_eq!(socket.waiting_events(), 0);
}

#[tokio::test(start_paused = true)]
async fn disconnecting_is_told_while_everything_is_still_there() {
    let url = place();
    let io = serve(&url).await;
    io.on("never", |_: sockeye_server::Ack<u32>| ());
    let (collect, mut collected) = mpsc::unbounded_channel();
    io.on("collect", move |Data(text): Data<String>| {
        collect.send(text).unwrap();
    });
    let (sender, mut heard) = mpsc::unbounded_channel();
    let socket = socket(&url);
    let tell = sender.clone();
    socket.on_disconnecting(move |socket: Socket, reason: DisconnectReason| {
        assert!(socket.id().is_some());
        socket.emit("collect", reason.to_string()).unwrap();
        tell.send(format!("disconnecting {reason}")).unwrap();
    });
    let tell = sender.clone();
    socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        assert!(socket.id().is_none());
        tell.send(format!("disconnect {reason}")).unwrap();
    });
    let ends: [(&str, &dyn Fn()); 3] = [
        ("io client disconnect", &|| socket.disconnect()),
        ("io server disconnect", &|| io.disconnect_sockets()),
        ("transport close", &|| io.sockets()[0].end()),
    ];
    for (reason, end) in ends {
        socket.connect().await.unwrap();
        let answer = socket.emit_with_ack::<u32>("never", ());
        let told = sender.clone();
        let waiting = tokio::spawn(async move {
            assert!(matches!(answer.await, Err(AckError::Disconnected)));
            told.send("failed".to_owned()).unwrap();
        });
        let _: u32 = socket.emit_with_ack("echo", 1).await.unwrap();
        end();
        assert_eq!(heard.recv().await, Some(format!("disconnecting {reason}")));
        assert_eq!(heard.recv().await, Some(format!("disconnect {reason}")));
        assert_eq!(heard.recv().await.as_deref(), Some("failed"));
        waiting.await.unwrap();
        // What was emitted meanwhile has waited for the next connection.
        assert!(collected.try_recv().is_err());
        socket.connect().await.unwrap();
        hears(&mut collected, reason).await;
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_while_a_stay_ends_begins_the_next_one() {
    type Connect = fn(&Socket);
    let lazily: Connect = Socket::connect_lazy;
    let once: Connect = |socket| {
        let socket = socket.clone();
        let attempt = async move { socket.connect().await.unwrap() };
        let mut attempt = Box::pin(attempt);
        // It counts from its first poll on.
        let _ = std::pin::Pin::new(&mut attempt).poll(&mut Context::from_waker(Waker::noop()));
        tokio::spawn(attempt);
    };
    for connect in [lazily, once] {
        for in_namespace in [true, false] {
            let url = place();
            let io = serve(&url).await;
            let client = Client::builder(&url).config(|config| config.reconnection(None));
            let socket = client.build().unwrap();
            let mut story = story(&socket);
            socket.on_disconnecting(move |socket: Socket| connect(&socket));
            socket.connect().await.unwrap();
            hears(&mut story, "connect").await;
            let reason = match in_namespace {
                true => {
                    io.disconnect_sockets();
                    "io server disconnect"
                }
                false => {
                    io.sockets()[0].end();
                    "transport close"
                }
            };
            hears(&mut story, &format!("disconnect: {reason}")).await;
            hears(&mut story, "connect").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_keep_what_the_application_gives_them() {
    #[derive(Clone, Debug, PartialEq)]
    struct Name(&'static str);

    let url = place();
    let _io = serve(&url).await;
    let socket = socket(&url);
    let other = socket.client().socket("/other");
    socket.set_data(Name("first"));
    socket.set_data(Name("second"));
    socket.connect().await.unwrap();
    socket.disconnect();
    let again = socket.client().socket("/");
    assert_eq!(again.data(), Some(Name("second")));
    assert_eq!(other.data::<Name>(), None);
    assert_eq!(again.take_data(), Some(Name("second")));
    assert_eq!(socket.data::<Name>(), None);
    socket.binary(true).emit("collect", 1).unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_of_the_connection_are_removed_as_others_are() {
    let url = place();
    let _io = serve(&url).await;
    let socket = socket(&url);
    let (sender, mut heard) = mpsc::unbounded_channel::<()>();
    let close = socket.on_close(move || sender.send(()).unwrap()).id();
    socket.on_end(|| ());
    socket.on_drain(|| ());
    assert_eq!(socket.event_names(), ["close", "end", "drain"]);
    assert_eq!(socket.listener_count("close"), 1);
    assert!(socket.remove_listener(close) && !socket.remove_listener(close));
    assert_eq!(socket.off("end"), 1);
    socket.off_all();
    assert!(!socket.has_listeners("drain") && socket.event_names().is_empty());
    assert_eq!(heard.recv().await, None, "it is gone");
}

#[tokio::test(start_paused = true)]
async fn server_that_hangs_does_not_hold_up_the_next_connection() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let socket = Client::builder(&url)
        .reconnection(no_jitter())
        .build()
        .unwrap();
    let mut story = story(&socket);
    socket.connect_lazy();
    let (mut hanging, _) = listener.accept().await.unwrap();
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":1000,"pingTimeout":1000}"#;
    let frame = [&[u8::try_from(open.len()).unwrap()], open.as_bytes()].concat();
    tokio::io::AsyncWriteExt::write_all(&mut hanging, &frame)
        .await
        .unwrap();
    hears(&mut story, "disconnect: ping timeout").await;
    let lost = Instant::now();
    hears(&mut story, "attempt 1").await;
    assert_eq!(lost.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn close_does_not_wait_for_a_server_that_never_hangs_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = Client::builder(format!("tcp://{}", listener.local_addr().unwrap()))
        .config(|config| config.connector(|to| to.dialect(Dialect::Lines)))
        .build()
        .unwrap();
    socket.connect().await.unwrap();
    let _hanging = listener.accept().await.unwrap();
    let closing = socket.client();
    timeout(Duration::from_secs(10), closing.close())
        .await
        .unwrap();
}

/// Everything that happens, with the second in which it does.
fn annals(socket: &Socket) -> Story {
    let (sender, story) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let tell = move |text: &str| {
        let _ = sender.send(format!("{} {text}", begun.elapsed().as_secs()));
    };
    let told = tell.clone();
    socket.on_connect(move || told("connect"));
    let told = tell.clone();
    socket.on_disconnect(move || told("disconnect"));
    let told = tell.clone();
    socket.on_connect_error(move || told("connect_error"));
    socket.client().on_client_event(move |event| match event {
        ClientEvent::Open => tell("open"),
        ClientEvent::Close(reason) => tell(&format!("close: {reason}")),
        ClientEvent::Error(_) => tell("error"),
        ClientEvent::ReconnectScheduled(delay) => tell(&format!("again in {delay:?}")),
        ClientEvent::ReconnectAttempt(n) => tell(&format!("attempt {n}")),
        ClientEvent::ReconnectError(_) => tell("attempt failed"),
        ClientEvent::Reconnect(n) => tell(&format!("back after {n}")),
        ClientEvent::ReconnectFailed => tell("given up"),
        _ => {}
    });
    story
}

#[tokio::test(start_paused = true)]
async fn everything_that_happens_to_the_connection_is_told_in_order() {
    let url = place();
    let socket = Client::builder(&url)
        .reconnection(no_jitter().attempts(2))
        .build()
        .unwrap();
    let mut story = annals(&socket);
    socket.connect_lazy();
    for expected in [
        "0 error",
        "0 connect_error",
        "0 again in 1s",
        "1 attempt 1",
        "1 error",
        "1 connect_error",
        "1 attempt failed",
        "1 again in 2s",
    ] {
        hears(&mut story, expected).await;
    }
    let io = serve(&url).await;
    for expected in ["3 attempt 2", "3 open", "3 back after 2", "3 connect"] {
        hears(&mut story, expected).await;
    }
    io.close().await;
    drop(io);
    for expected in [
        "3 disconnect",
        "3 close: transport close",
        "3 again in 1s",
        "4 attempt 1",
        "4 error",
        "4 connect_error",
        "4 attempt failed",
        "4 again in 2s",
        "6 attempt 2",
        "6 error",
        "6 connect_error",
        "6 attempt failed",
        "6 given up",
    ] {
        hears(&mut story, expected).await;
    }
    socket.client().closed().await;
    let _io = serve(&url).await;
    socket.connect().await.unwrap();
    socket.client().close().await;
    for expected in [
        "6 open",
        "6 connect",
        "6 disconnect",
        "6 close: forced close",
    ] {
        hears(&mut story, expected).await;
    }
    assert!(story.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn socket_s_time_to_answer_counts_unless_an_emit_has_its_own() {
    let url = place();
    let io = serve(&url).await;
    io.on("never", std::future::pending::<()>);
    let socket = Client::builder(&url)
        .socket_config(|socket| socket.ack_timeout(Duration::from_secs(2)))
        .connect()
        .await
        .unwrap();
    let begun = Instant::now();
    let answer = socket.emit_with_ack::<u32>("never", ()).await;
    assert!(matches!(answer, Err(AckError::Timeout)), "{answer:?}");
    assert_eq!(begun.elapsed().as_secs(), 2);
    let own = socket.timeout(Duration::from_secs(5));
    let answer = own.emit_with_ack::<u32>("never", ()).await;
    assert!(matches!(answer, Err(AckError::Timeout)), "{answer:?}");
    assert_eq!(begun.elapsed().as_secs(), 7);
    // One that cannot be sent has no more time either.
    io.close().await;
    let answer = socket.emit_with_ack::<u32>("echo", ()).await;
    assert!(matches!(answer, Err(AckError::Timeout)), "{answer:?}");
    assert_eq!((begun.elapsed().as_secs(), socket.connected()), (9, false));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_waited_for_are_limited() {
    let url = place();
    let io = serve(&url).await;
    io.on("never", std::future::pending::<()>);
    let socket = Client::builder(&url)
        .config(|config| config.max_pending_acks(2))
        .connect()
        .await
        .unwrap();
    let waiting = [(); 2].map(|()| socket.emit_with_ack::<u32>("never", ()));
    let refused = socket.emit_with_ack::<u32>("echo", 1).await;
    assert!(
        matches!(refused, Err(AckError::Emit(EmitError::TooManyPendingAcks))),
        "{refused:?}"
    );
    drop(waiting);
    assert_eq!(socket.emit_with_ack::<u32>("echo", 2).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn end_of_a_connection_is_told_once_to_a_socket_that_came_and_went() {
    let url = place();
    let io = serve(&url).await;
    let _ = io.of("/other");
    let first = Client::connect(&url).await.unwrap();
    let second = first.client().socket("/other");
    let (sender, mut closes) = mpsc::unbounded_channel();
    second.on_close(move || sender.send(()).unwrap());
    for _ in 0..3 {
        second.connect().await.unwrap();
        second.disconnect();
        first.emit_with_ack::<()>("echo", ()).await.unwrap();
    }
    first.client().close().await;
    assert_eq!(closes.recv().await, Some(()));
    drop((first, second));
    assert_eq!(closes.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn lines_are_heard_without_waiting_for_what_nobody_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let _socket = Client::builder(format!("tcp://{}", listener.local_addr().unwrap()))
        .config(|config| config.connector(|to| to.dialect(Dialect::Lines)))
        .auth_with(async || std::future::pending().await)
        .on("hello", move || sender.send(()).unwrap())
        .connect_lazy()
        .unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let line = b"{\"eventName\":\"hello\"}\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut peer, line)
        .await
        .unwrap();
    assert_eq!(heard.recv().await, Some(()));
}

#[tokio::test(start_paused = true)]
async fn server_that_says_much_waits_until_kept_events_are_sent() {
    const SAID: usize = 100;
    const KEPT: usize = 50;
    let url = place();
    let io = Server::new();
    io.on_connect(|peer: Peer| {
        for n in 0..SAID {
            peer.emit("said", n).unwrap();
        }
    });
    let (sender, mut kept) = mpsc::unbounded_channel();
    io.on("kept", move |Data((n, _)): Data<(usize, String)>| {
        sender.send(n).unwrap();
    });
    io.listen(&url).await.unwrap();
    let (sender, mut said) = mpsc::unbounded_channel();
    let socket = Client::builder(&url)
        .config(|config| {
            config
                .connector(|connector| connector.limits(|limits| limits.outbox_limit(20_000)))
                .inbox(|inbox| inbox.max_queued_events(8))
        })
        .on("said", move |Data(n): Data<usize>| sender.send(n).unwrap())
        .build()
        .unwrap();
    let mut story = story(&socket);
    for n in 0..KEPT {
        socket.emit("kept", (n, "x".repeat(5000))).unwrap();
    }
    socket.connect().await.unwrap();
    for n in 0..KEPT {
        assert_eq!(kept.recv().await, Some(n));
    }
    for n in 0..SAID {
        assert_eq!(said.recv().await, Some(n));
    }
    hears(&mut story, "connect").await;
    assert!(story.try_recv().is_err(), "it stays connected");
}

#[tokio::test(start_paused = true)]
async fn reconnection_is_changed_while_it_goes_on() {
    let url = place();
    let socket = Client::builder(&url)
        .reconnection(no_jitter())
        .build()
        .unwrap();
    let client = socket.client();
    let mut story = annals(&socket);
    socket.connect_lazy();
    for expected in ["0 error", "0 connect_error", "0 again in 1s"] {
        hears(&mut story, expected).await;
    }
    let other = client.reconnection().unwrap();
    let other = other
        .delay(Duration::from_secs(20))
        .delay_max(Duration::from_secs(30));
    client.set_reconnection(other.attempts(2)).unwrap();
    for expected in [
        "1 attempt 1",
        "1 error",
        "1 connect_error",
        "1 attempt failed",
        // The second delay, by the new measure.
        "1 again in 30s",
        "31 attempt 2",
        "31 error",
        "31 connect_error",
        "31 attempt failed",
        "31 given up",
    ] {
        hears(&mut story, expected).await;
    }
    // What cannot work changes nothing.
    let wrong = client.reconnection().unwrap().randomization(2.0);
    assert!(client.set_reconnection(wrong).is_err());
    assert!(client.set_timeout(Duration::ZERO).is_err());
    let delay = client.reconnection();
    assert!(format!("{delay:?}").contains("delay: 20s"), "{delay:?}");
    assert_eq!(client.timeout(), Some(Duration::from_secs(20)));
}

#[tokio::test(start_paused = true)]
async fn reconnection_that_is_switched_off_is_waited_for_no_longer() {
    let url = place();
    let io = serve(&url).await;
    let socket = socket(&url);
    let client = socket.client();
    let mut story = story(&socket);
    socket.connect().await.unwrap();
    hears(&mut story, "connect").await;

    // While it is connected: it stays so, and does not come back.
    client.set_reconnection(None).unwrap();
    assert!(client.reconnection().is_none() && socket.connected());
    io.close().await;
    drop(io);
    hears(&mut story, "disconnect: transport close").await;
    client.closed().await;
    assert!(!socket.active());

    // While it waits for the next attempt.
    client.set_reconnection(Reconnection::default()).unwrap();
    socket.connect_lazy();
    hears(
        &mut story,
        "connect_error: the server cannot be reached, active",
    )
    .await;
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { socket.connect().await }
    });
    // Between two attempts, which last no time.
    hears(&mut story, "attempt 1").await;
    hears(
        &mut story,
        "connect_error: the server cannot be reached, active",
    )
    .await;
    assert!(waiting.await.unwrap().is_err());
    let waiting = tokio::spawn({
        let socket = socket.clone();
        async move { socket.connect().await }
    });
    tokio::task::yield_now().await;
    socket.emit("collect", 1).unwrap();
    client.set_reconnection(None).unwrap();
    hears(&mut story, "failed").await;
    assert!(matches!(
        waiting.await.unwrap(),
        Err(ConnectError::Cancelled)
    ));
    client.closed().await;
    assert!(!socket.active());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(story.try_recv().is_err());

    // What was kept is for whoever connects.
    assert_eq!(socket.waiting_events(), 1);
    let io = serve(&url).await;
    let (sender, mut collected) = mpsc::unbounded_channel();
    io.on("collect", move |Data(n): Data<u32>| sender.send(n).unwrap());
    socket.connect().await.unwrap();
    assert_eq!(collected.recv().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn time_of_an_attempt_is_changed() {
    // A server that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let socket = socket(&url);
    let client = socket.client();
    for seconds in [3, 50] {
        client.set_timeout(Duration::from_secs(seconds)).unwrap();
        let begun = Instant::now();
        let error = socket.connect().await.unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), seconds, "{error:?}");
    }
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn packets_and_pings_of_the_server_are_told() {
    let url = place();
    let io = serve(&url).await;
    io.on("send back", |socket: Peer| socket.emit("back", ()));
    let socket = socket(&url);
    socket.connect().await.unwrap();
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_packet(move |packet: EnginePacket| {
        let text = packet.text().unwrap_or_default();
        tell.send(format!("packet {} {text}", packet.kind()))
            .unwrap();
    });
    let tell = sender.clone();
    socket.on_heartbeat(move || tell.send("heartbeat".to_owned()).unwrap());
    let tell = sender.clone();
    socket.on("back", move || tell.send("event".to_owned()).unwrap());
    socket.client().on_client_event(move |event| {
        if matches!(event, ClientEvent::Ping) {
            sender.send("ping".to_owned()).unwrap();
        }
    });
    let answer: u32 = socket.emit_with_ack("echo", 7).await.unwrap();
    assert_eq!(answer, 7);
    hears(&mut story, "packet message 30[7]").await;
    socket.emit("send back", ()).unwrap();
    // Before anything else is done with them.
    hears(&mut story, r#"packet message 2["back"]"#).await;
    hears(&mut story, "event").await;
    for expected in ["packet ping ", "ping", "heartbeat"] {
        hears(&mut story, expected).await;
    }
}
