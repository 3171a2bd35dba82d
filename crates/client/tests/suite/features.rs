//! What a socket of a client can do, one by one.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use sockeye_client::{
    Ack, AckError, Args, Client, ClientBuilder, ConnectError, ConnectorConfig, Data, Dialect,
    DisconnectReason, EmitError, EventError, EventErrorKind, EventName, Next, Refusal, Revision,
    Socket, SocketConfig, State, TransportKind, blocking,
};
use sockeye_server::{Handshake, Server, ServerConfig, Socket as Peer};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A place for a server.
fn place() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("unix:@sockeye-features-{}-{next}", std::process::id())
}

/// A server that sends back what it gets, and asks what it is told to ask.
fn server() -> Server {
    let config = ServerConfig::default().engine(|engine| engine.allow_v3(true));
    let io = Server::with_config(config).unwrap();
    for namespace in ["/", "/other"] {
        io.of(namespace)
            .on("echo", |args: Args| args)
            .on("back", |peer: Peer, name: EventName, args: Args| {
                peer.emit(name.0, args)
            })
            .on("ask", async |peer: Peer, args: Args| {
                let answer = peer.emit_with_ack::<Value>("question", args).await;
                answer.map_err(|error| error.to_string())
            });
    }
    io
}

async fn serve() -> (Server, String) {
    let io = server();
    let url = place();
    io.listen(&url).await.unwrap();
    (io, url)
}

async fn serve_http() -> (Server, String) {
    let io = server();
    let url = io.listen("http://127.0.0.1:0").await.unwrap();
    let url = url.url().to_string();
    (io, url)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.unwrap()
}

/// Waits until what the server sent before has been handled.
async fn settle(socket: &Socket) {
    let _: u32 = soon(socket.emit_with_ack("echo", 0)).await.unwrap();
}

/// Handlers that write down what they are called for.
fn notes() -> (impl Fn(&str) + Clone + Send + Sync, impl FnMut() -> String) {
    let (sender, mut notes) = mpsc::unbounded_channel::<String>();
    let note = move |text: &str| sender.send(text.to_owned()).unwrap();
    let read = move || {
        std::iter::from_fn(|| notes.try_recv().ok())
            .collect::<Vec<_>>()
            .join(" ")
    };
    (note, read)
}

#[tokio::test]
async fn handlers_come_and_go() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (note, mut read) = notes();
    let add = |text: &'static str| {
        let note = note.clone();
        move || note(text)
    };
    socket.once("back", add("once"));
    let on = socket.on("back", add("on")).id();
    socket.on("back", add("second"));
    socket.on_any(add("any"));
    socket.prepend_any(add("first"));
    socket.emit("back", ()).unwrap();
    settle(&socket).await;
    assert_eq!(read(), "first any once on second");
    assert!(socket.remove_listener(on) && !socket.remove_listener(on));
    socket.emit("back", ()).unwrap();
    settle(&socket).await;
    assert_eq!(read(), "first any second");
    assert_eq!(socket.event_names(), ["back"]);
    assert_eq!((socket.off("back"), socket.off("back")), (1, 0));
    socket.off_any();
    socket.emit("back", ()).unwrap();
    settle(&socket).await;
    assert_eq!(read(), "");
    let outgoing = socket.on_any_outgoing(add("out")).id();
    let before = socket.prepend_any_outgoing(add("before")).id();
    settle(&socket).await;
    assert_eq!(read(), "before out");
    assert!(socket.remove_listener(outgoing) && socket.remove_listener(before));
    settle(&socket).await;
    assert_eq!(read(), "");
}

#[tokio::test]
async fn events_of_the_connect_handler_come_after_those_that_were_kept() {
    let (io, url) = serve().await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    io.on("number", move |Data(n): Data<u32>| sender.send(n).unwrap());
    let socket = Client::builder(&url)
        .on("connect", |socket: Socket| socket.emit("number", 3))
        .build()
        .unwrap();
    socket.emit("number", 1).unwrap();
    socket.emit("number", 2).unwrap();
    socket.connect().await.unwrap();
    socket.emit("number", 4).unwrap();
    for n in 1..5 {
        assert_eq!(soon(heard.recv()).await, Some(n));
    }
}

#[tokio::test]
async fn middlewares_pass_change_drop_and_refuse_events() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (note, mut read) = notes();
    let noted = note.clone();
    socket
        .client()
        .on_error(move |_, error| noted(&format!("{error:#}")));
    socket.middleware(async |EventName(name): EventName, args: Args| {
        tokio::task::yield_now().await;
        match args.deserialize::<Value>() {
            Ok(Value::Null) => Next::Drop,
            Ok(Value::Bool(_)) => Next::Refuse(Refusal::new("no booleans")),
            Ok(Value::Number(n)) => Next::Rewrite(name.to_string(), Args::new(&(n, 1)).unwrap()),
            _ => Next::Pass,
        }
    });
    let noted = note.clone();
    socket.on("back", move |args: Args| noted(args.as_json()));
    socket.on("question", |Data((n, one)): Data<(u32, u32)>| n + one);
    socket.emit("back", "text").unwrap();
    socket.emit("back", (Value::Null,)).unwrap();
    socket.emit("back", true).unwrap();
    socket.emit("back", 5).unwrap();
    let answer: u32 = soon(socket.emit_with_ack("ask", 5)).await.unwrap();
    assert_eq!(answer, 6);
    assert_eq!(
        read(),
        r#""text" event "back": a middleware refused it: no booleans 5,1"#
    );
}

#[tokio::test]
async fn refusals_by_middlewares_are_told_to_servers_that_speak_lines() {
    let (io, url) = serve().await;
    let (note, mut read) = notes();
    io.on_error(move |_, error| note(&format!("{error:#}")));
    let socket = Client::builder(&url)
        .config(|config| config.connector(|connector| connector.dialect(Dialect::Lines)))
        .build()
        .unwrap();
    socket.middleware(|| Err::<(), _>(Refusal::new("not now").with_data(7)));
    socket.connect().await.unwrap();
    settle(&socket).await;
    socket.emit("back", 1).unwrap();
    let answer = soon(socket.emit_with_ack::<Value>("ask", 2)).await;
    assert_eq!(
        answer.unwrap_err().refusal(),
        Some(&Refusal::new("the peer refused: not now")),
        "who waits for an answer gets it as that"
    );
    assert_eq!(
        read(),
        r#"event "error": the peer refused: not now event "ask": the handler failed: the peer refused: not now"#
    );
}

#[tokio::test]
async fn refusals_by_middlewares_are_told_between_native_peers() {
    let (io, url) = serve().await;
    let (note, mut read) = notes();
    let noted = note.clone();
    io.on_error(move |_, error| noted(&format!("{error:#}")));
    io.on("refuse", |peer: Peer| {
        peer.middleware(|| Err::<(), _>(Refusal::new("not here").with_data(1)));
    });
    let socket = Client::connect(&url).await.unwrap();
    socket
        .middleware(|| Next::Pass)
        .middleware(|| Err::<(), _>(Refusal::new("not now").with_data(7)));
    socket.client().on_error(|_, _| {});
    settle(&socket).await;
    socket.emit("back", 1).unwrap();
    settle(&socket).await;
    settle(&socket).await;
    assert_eq!(read(), r#"event "error": the peer refused: not now"#);

    io.on_error(|_, _| {});
    let (told, mut heard) = mpsc::unbounded_channel();
    socket.on("error", move |error: Arc<EventError>| {
        if let EventErrorKind::Peer(refusal) = error.kind() {
            told.send(refusal.clone()).unwrap();
        }
    });
    socket.emit("refuse", ()).unwrap();
    socket.emit("anything", ()).unwrap();
    let refusal = soon(heard.recv()).await.unwrap();
    assert_eq!(refusal, Refusal::new("not here").with_data(1));
    assert!(socket.connected());
}

#[tokio::test]
async fn handlers_of_errors_that_wait_are_bounded() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (started, waiting) = (Arc::new(AtomicU32::new(0)), Arc::new(()));
    let (count, token) = (Arc::clone(&started), Arc::clone(&waiting));
    socket.on("back", |Data(_): Data<u32>| {});
    socket.on("error", move || {
        count.fetch_add(1, Ordering::Relaxed);
        let token = Arc::clone(&token);
        async move {
            std::future::pending::<()>().await;
            drop(token);
        }
    });
    for _ in 0..300 {
        socket.emit("back", "no number").unwrap();
    }
    settle(&socket).await;
    assert_eq!(started.load(Ordering::Relaxed), 300, "each is told");
    // Besides this test's own and the handler's.
    assert_eq!(Arc::strong_count(&waiting) - 2, 256);
    assert!(socket.connected());
}

#[tokio::test]
async fn states_of_the_builder_are_there_before_the_first_event() {
    let (io, url) = serve().await;
    io.on_connect(|peer: Peer| peer.emit("early", 2));
    let (sender, mut sums) = mpsc::unbounded_channel();
    let _socket = Client::builder(&url)
        .state(7_u64)
        .on("early", move |State(n): State<u64>, Data(m): Data<u64>| {
            sender.send(n + m).unwrap();
        })
        .connect()
        .await
        .unwrap();
    assert_eq!(soon(sums.recv()).await, Some(9));
}

#[tokio::test]
async fn failed_connect_says_why_if_all_is_asked_for() {
    let url = place();
    let error = Client::connect(&url).await.unwrap_err();
    assert_eq!(error.to_string(), "the server cannot be reached");
    let text = format!("{error:#}");
    assert!(text.starts_with("the server cannot be reached: "), "{text}");
    assert!(text.contains("cannot connect to unix:"), "{text}");
    assert!(text.contains("os error"), "{text}");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(format!("http://{address}/?token=secret")).await;
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("refused (os error"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

#[tokio::test]
async fn states_and_errors_reach_who_asks_for_them() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let (note, mut read) = notes();
    let noted = note.clone();
    socket
        .client()
        .state(7_u64)
        .on_error(move |_, error| noted(&format!("{error:#}")));
    socket.on("back", move |State(n): State<u64>, Data(m): Data<u64>| {
        note(&(n + m).to_string());
        match m {
            1 => Err("unwanted"),
            _ => Ok(()),
        }
    });
    socket.emit("back", 2).unwrap();
    socket.emit("back", 1).unwrap();
    socket.emit("back", "text").unwrap();
    settle(&socket).await;
    let heard = read();
    assert!(
        heard.starts_with(r#"9 8 event "back": the handler failed: unwanted event "back": "#),
        "{heard}"
    );
    assert!(heard.len() > 70, "{heard}");
}

#[tokio::test]
async fn question_is_answered_once_by_whoever_is_first() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    socket.on("question", async |ack: Ack<u32>| {
        assert!(ack.is_wanted());
        ack.send(1).unwrap();
    });
    socket.on("question", |ack: Ack<u32>| ack.send(2).unwrap());
    let answer: u32 = soon(socket.emit_with_ack("ask", ())).await.unwrap();
    assert_eq!(answer, 1);
}

#[tokio::test]
async fn reserved_names_are_refused_over_packets_and_lines() {
    let (_io, url) = serve().await;
    for (dialect, name) in [
        (Dialect::Packets, "connect_error"),
        (Dialect::Packets, "error"),
        (Dialect::Lines, "disconnect"),
        (Dialect::Lines, "close"),
    ] {
        let socket = Client::builder(&url)
            .config(|config| config.connector(|connector| connector.dialect(dialect)))
            .build()
            .unwrap();
        for connected in [false, true] {
            if connected {
                socket.connect().await.unwrap();
            }
            let refused = socket.emit(name, ());
            assert!(matches!(refused, Err(EmitError::ReservedName(_))));
            let refused = socket.emit_with_ack::<u32>(name, ()).await;
            assert!(matches!(
                refused,
                Err(AckError::Emit(EmitError::ReservedName(_)))
            ));
        }
    }
}

#[test]
fn settings_that_cannot_work_are_found_before_anything_is_tried() {
    let refused = |builder: ClientBuilder| builder.build().unwrap_err().to_string();
    let base = || Client::builder("http://localhost");
    let connector = |change: fn(ConnectorConfig) -> ConnectorConfig| {
        refused(base().config(|config| config.connector(change)))
    };
    assert_eq!(
        connector(|to| to.transports([])),
        "there is no transport to use"
    );
    assert_eq!(
        connector(|to| to.path("/a b")),
        r#"the path "/a b" cannot be written into a request"#
    );
    assert_eq!(
        connector(|to| to.sub_protocols(["a,b"])),
        r#""a,b" is no name of a sub-protocol"#
    );
    assert_eq!(
        refused(base().socket_config(|socket| socket.ack_timeout(Duration::ZERO))),
        "the ack timeout must not be zero"
    );
    let too_long = "x".repeat(2000);
    for name in ["a,b", "/a\u{1e}b", &too_long] {
        let expected = format!("{name:?} cannot be the name of a namespace");
        assert_eq!(refused(base().namespace(name)), expected);
        let client = Client::new("http://localhost").unwrap();
        let error = client.socket_with(name, SocketConfig::default());
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    // Who asks before connecting may still be told of another server.
    let asking = base().config(|config| {
        config
            .connector(|to| to.transports([]))
            .before_connect(async |request| Ok(request))
    });
    asking.build().unwrap();
}

#[tokio::test]
async fn namespace_that_cannot_be_named_is_refused_without_being_asked_for() {
    let (_io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let error = soon(socket.client().socket("a,b").connect()).await;
    assert!(
        matches!(error, Err(ConnectError::Namespace(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn kept_event_that_cannot_travel_on_lines_fails_by_name() {
    for retries in [None, Some(3)] {
        let (_io, url) = serve().await;
        let socket = Client::builder(&url)
            .config(|config| {
                // The URL may turn out to be another one, so that the dialect is not known before.
                config
                    .before_connect(async |request| Ok(request))
                    .connector(|connector| connector.dialect(Dialect::Lines))
            })
            .socket_config(|socket| match retries {
                Some(retries) => socket.retries(retries).ack_timeout(Duration::from_secs(9)),
                None => socket,
            })
            .build()
            .unwrap();
        let (note, mut read) = notes();
        let client = socket.client();
        client.on_error(move |_, error| note(&format!("{error:#}")));
        socket.emit("ready", 1).unwrap();
        let refused = socket.emit_with_ack::<u32>("close", 2);
        let echo = socket.emit_with_ack::<u32>("echo", 3);
        socket.connect().await.unwrap();
        let refused = soon(refused).await.unwrap_err();
        assert!(
            matches!(&refused, AckError::Emit(EmitError::ReservedName(name)) if &**name == "close"),
            "{refused:?}"
        );
        assert_eq!(soon(echo).await.unwrap(), 3);
        assert_eq!(
            read(),
            r#"event "ready": it was not sent: the event name "ready" is reserved"#
        );
    }
}

#[tokio::test]
async fn peer_that_speaks_lines_has_no_namespaces() {
    let (_io, url) = serve().await;
    let error = Client::builder(&url)
        .namespace("/other")
        .config(|config| config.connector(|connector| connector.dialect(Dialect::Lines)))
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(error, ConnectError::Namespace(_)), "{error}");
}

#[tokio::test]
async fn connection_over_http_that_is_ended_comes_back() {
    let (_io, url) = serve_http().await;
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_disconnect(move |reason: DisconnectReason| tell.send(reason.to_string()).unwrap());
    socket.on_connect(move || sender.send("connect".to_owned()).unwrap());
    socket.end();
    assert_eq!(soon(story.recv()).await.unwrap(), "forced close");
    assert_eq!(soon(story.recv()).await.unwrap(), "connect");
    settle(&socket).await;
}

#[tokio::test]
async fn flags_change_how_events_travel_but_not_what_they_are() {
    let (_io, url) = serve_http().await;
    let socket = Client::connect(&url).await.unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on("back", move |args: Args| sender.send(args).unwrap());
    let long = "long ".repeat(1000);
    socket.compress(true).emit("back", long.as_str()).unwrap();
    socket.compress(false).emit("back", long.as_str()).unwrap();
    socket
        .compress(true)
        .binary(true)
        .emit("back", long.as_str())
        .unwrap();
    for _ in 0..3 {
        let text: String = soon(heard.recv()).await.unwrap().deserialize().unwrap();
        assert_eq!(text, long);
    }
    let bytes = Bytes::from_static(b"\0\xff");
    socket
        .volatile()
        .timeout(Duration::from_secs(9))
        .emit("back", bytes.clone())
        .unwrap();
    let back: Bytes = soon(heard.recv()).await.unwrap().deserialize().unwrap();
    assert_eq!(back, bytes);
    socket.client().close().await;
    socket.volatile().emit("back", 1).unwrap();
    let refused = socket.volatile().emit_with_ack::<u32>("echo", 1).await;
    assert!(matches!(refused, Err(AckError::Emit(EmitError::NotReady))));
    assert_eq!(socket.waiting_events(), 0);
}

#[tokio::test]
async fn each_attempt_can_go_elsewhere_and_with_other_headers() {
    let (io, url) = serve_http().await;
    let (sender, mut handshakes) = mpsc::unbounded_channel();
    io.middleware(move |handshake: Handshake| {
        let header = handshake.header("x-token").unwrap_or_default().to_owned();
        let query = handshake
            .query_value("room")
            .unwrap_or_default()
            .into_owned();
        sender.send((header, query)).unwrap();
        Ok::<_, Refusal>(())
    });
    let attempts = AtomicU32::new(0);
    let socket = Client::builder("http://127.0.0.1:1")
        .config(|config| {
            config
                .query([("room", "red")])
                .before_connect(move |mut request| {
                    let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
                    let url = url.clone();
                    async move {
                        if first {
                            return Err(ConnectError::application("no token yet"));
                        }
                        request.url = url.parse().map_err(ConnectError::application)?;
                        request.headers.insert("x-token", "t1".parse().unwrap());
                        Ok(request)
                    }
                })
        })
        .build()
        .unwrap();
    let error = soon(socket.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "no token yet");
    soon(socket.connect()).await.unwrap();
    assert_eq!(
        soon(handshakes.recv()).await,
        Some(("t1".to_owned(), "red".to_owned()))
    );
}

#[tokio::test]
async fn auth_that_cannot_be_had_is_the_connect_error() {
    let (io, url) = serve().await;
    io.middleware(|handshake: Handshake| match handshake.auth_json() {
        r#"{"token":"good"}"# => Ok(()),
        other => Err(Refusal::new(other)),
    });
    let asked = AtomicU32::new(0);
    let socket = Client::builder(&url)
        .auth_with(move || {
            let n = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                match n {
                    0 => Err(ConnectError::application("no token")),
                    1 => Ok(json!("no object")),
                    2 => Ok(json!({ "token": "bad" })),
                    _ => Ok(json!({ "token": "good" })),
                }
            }
        })
        .build()
        .unwrap();
    let (note, mut read) = notes();
    socket.on_connect_error(move |socket: Socket, error: ConnectError| {
        assert!(!socket.active());
        note(&error.to_string());
    });
    for expected in ["no token", "auth must be an object", r#"{"token":"bad"}"#] {
        let error = soon(socket.connect()).await.unwrap_err();
        assert_eq!(
            (error.to_string(), read()),
            (expected.to_owned(), expected.to_owned())
        );
    }
    soon(socket.connect()).await.unwrap();
}

#[tokio::test]
async fn stream_of_events_has_all_of_them_in_order_however_slowly_it_is_read() {
    let (io, url) = serve().await;
    let socket = Client::connect(&url).await.unwrap();
    let mut numbers = socket.events::<u32>("number");
    let mut all = socket.all_events();
    for n in 0..1000 {
        io.emit("number", n).unwrap();
    }
    io.emit("last", "x").unwrap();
    for n in 0..1000_u32 {
        let event = soon(numbers.next()).await.unwrap();
        assert_eq!((&*event.name, event.data().unwrap()), ("number", n));
        assert_eq!(
            soon(all.next()).await.unwrap().args.as_json(),
            n.to_string()
        );
    }
    assert_eq!(&*soon(all.next()).await.unwrap().name, "last");
    drop(all);
    assert_eq!(socket.event_names(), ["number"]);
    drop(numbers);
    assert!(socket.event_names().is_empty());
    // A stream that nobody reads any more holds up nothing.
    let abandoned = socket.events::<u32>("number");
    for n in 0..300 {
        io.emit("number", n).unwrap();
    }
    settle(&socket).await;
    drop(abandoned);
    settle(&socket).await;
    let mut answers = socket.events::<u32>("question");
    let asking = socket.emit_with_ack::<u32>("ask", 5);
    let event = soon(answers.next()).await.unwrap();
    let data = event.data().unwrap();
    event.answer(data + 1).unwrap();
    assert_eq!(soon(asking).await.unwrap(), 6);
    assert!(answers.next().now_or_never().is_none());
}

#[test]
fn blocking_client_connects_talks_and_closes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_io, url) = runtime.block_on(serve());
    let (sender, heard) = std::sync::mpsc::channel();
    let builder = Client::builder(&url).on("back", move |Data(n): Data<u32>| {
        sender.send(n).unwrap();
    });
    let socket = blocking::Client::connect_with(builder).unwrap();
    let echo: u32 = socket.emit_with_ack("echo", 5).unwrap();
    assert_eq!(echo, 5);
    socket.emit("back", 6).unwrap();
    assert_eq!(heard.recv().unwrap(), 6);
    let late = socket.emit_with_ack_within::<u32>(Duration::from_millis(1), "nobody", ());
    assert!(matches!(late, Err(AckError::Timeout)));
    let late = socket
        .timeout(Duration::from_millis(1))
        .compress(false)
        .emit_with_ack::<u32>("nobody", ());
    assert!(matches!(late, Err(AckError::Timeout)));
    let mut numbers = socket.events::<u32>("back");
    socket.binary(true).emit("back", 1).unwrap();
    socket.volatile().emit("back", 2).unwrap();
    for n in 1..3 {
        assert_eq!(numbers.next().unwrap().data().unwrap(), n);
        assert_eq!(heard.recv().unwrap(), n);
    }
    socket.ready().unwrap();
    socket.close();
    socket.wait_closed();
    assert!(!socket.connected());
    socket.connect().unwrap();
    socket.disconnect();
    // The background is known from the first time.
    socket.connect_lazy();
    let echo: u32 = socket.emit_with_ack("echo", 7).unwrap();
    assert_eq!(echo, 7);
    let other = blocking::Socket::from(socket.client().socket("/other"));
    let echo: u32 = other.emit_with_ack("echo", 8).unwrap();
    assert_eq!(echo, 8);
}

async fn lose_the_server(transport: TransportKind) -> DisconnectReason {
    let (io, url) = serve_http().await;
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let socket = Client::builder(&url)
        .reconnection(None)
        .config(|config| config.connector(|connector| connector.transports([transport])))
        .on("disconnect", move |reason: DisconnectReason| {
            sender.send(reason).unwrap();
        })
        .connect()
        .await
        .unwrap();
    io.close().await;
    let reason = soon(reasons.recv()).await.unwrap();
    assert!(!socket.active());
    soon(socket.client().closed()).await;
    reason
}

#[tokio::test]
async fn loss_of_the_server_has_a_reason_on_every_transport() {
    assert_eq!(
        lose_the_server(TransportKind::Polling).await,
        DisconnectReason::TransportClose
    );
    assert_eq!(
        lose_the_server(TransportKind::WebSocket).await,
        DisconnectReason::TransportClose
    );
}

async fn talk_to_an_old_server(change: impl FnOnce(ClientBuilder) -> ClientBuilder) {
    let (io, url) = serve_http().await;
    let socket = change(Client::builder(&url)).connect().await.unwrap();
    let client = socket.client();
    let other = client.socket("/other");
    soon(other.connect()).await.unwrap();
    assert!(!socket.recovered() && !other.recovered());
    let sid = socket.id().unwrap();
    assert_eq!(*other.id().unwrap(), format!("/other#{sid}"));
    for (socket, namespace) in [(&socket, "/"), (&other, "/other")] {
        let ids: Vec<_> = io
            .of(namespace)
            .sockets()
            .iter()
            .map(|peer| peer.id().to_owned())
            .collect();
        assert_eq!(ids, [socket.id().unwrap().to_string()]);
        let echo: (String, Bytes) =
            soon(socket.emit_with_ack("echo", ("é€😀", Bytes::from_static(b"\x04"))))
                .await
                .unwrap();
        assert_eq!(echo, ("é€😀".to_owned(), Bytes::from_static(b"\x04")));
    }
    other.disconnect();
    settle(&socket).await;
    soon(other.connect()).await.unwrap();
    let missing = client.socket("/missing");
    let error = soon(missing.connect()).await.unwrap_err();
    assert_eq!(error.to_string(), "Invalid namespace");
    soon(client.close()).await;
}

#[tokio::test]
async fn old_protocol_is_spoken_over_polling() {
    talk_to_an_old_server(|builder| {
        builder.config(|config| {
            config.auto_connect(false).connector(|connector| {
                connector
                    .revision(Revision::V3)
                    .transports([TransportKind::Polling])
            })
        })
    })
    .await;
}

#[tokio::test]
async fn old_protocol_is_spoken_over_websocket_and_across_an_upgrade() {
    for transports in [
        vec![TransportKind::WebSocket],
        vec![TransportKind::Polling, TransportKind::WebSocket],
    ] {
        talk_to_an_old_server(|builder| {
            builder.config(|config| {
                config
                    .auto_connect(false)
                    .connector(|connector| connector.revision(Revision::V3).transports(transports))
            })
        })
        .await;
    }
}
