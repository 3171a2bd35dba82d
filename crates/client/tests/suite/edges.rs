//! What happens when the application changes its mind at the worst of times. Time is virtual.
//!
//! What is decided then has scripts of its own, in `src/life/tests`; here it is seen to happen.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sockeye_client::parser::Json;
use sockeye_client::{
    AckError, Client, ClientConfig, ClientEvent, ConnectError, DisconnectReason, EventError,
    Reconnection, Socket, SocketConfig,
};
use sockeye_server::{Args, Data, Refusal, Server, ServerConfig, Socket as Peer};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// A place for a server.
fn place() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("unix:@sockeye-edges-{}-{next}", std::process::id())
}

/// A server with a second namespace, which keeps the connection while the first one changes.
async fn serve(url: &str) -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io.of("/other").on("echo", |args: Args| args);
    io.listen(url).await.unwrap();
    io
}

fn client(url: &str) -> Client {
    let config = ClientConfig::default()
        .auto_connect(false)
        .connector(|connector| connector.limits(|limits| limits.outbox_limit(64 * 1024)));
    Client::with_config(url, config).unwrap()
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), work).await.unwrap()
}

/// Waits for something that only other tasks can bring about.
async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

const LARGE: usize = 1000;

/// Emits more than the outbox takes.
fn emit_much(socket: &Socket) {
    for n in 0..LARGE {
        socket.emit("much", (n, "x".repeat(1000))).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn socket_that_is_disconnected_while_kept_events_are_sent_is_disconnected() {
    let url = place();
    let io = serve(&url).await;
    let client = client(&url);
    client.socket("/").connect().await.unwrap();
    let other = client.socket("/other");
    other.on_any_outgoing(|socket: Socket| socket.disconnect());
    other.emit("echo", 1).unwrap();
    other.emit("echo", 2).unwrap();
    let result = soon(other.connect()).await;
    assert!(matches!(result, Err(ConnectError::Cancelled)), "{result:?}");
    assert!(!other.connected() && !other.active());
    until(|| io.of("/other").sockets().is_empty()).await;
    // What was not sent yet waits for the next time.
    assert_eq!(other.waiting_events(), 1);
    other.off_any_outgoing();
    soon(other.connect()).await.unwrap();
    assert_eq!(other.waiting_events(), 0);
    assert!(client.socket("/").connected());
}

#[tokio::test(start_paused = true)]
async fn many_kept_events_are_sent_as_fast_as_the_server_reads() {
    let url = place();
    let io = serve(&url).await;
    let (sender, mut numbers) = mpsc::unbounded_channel();
    io.on("much", move |Data((n, _)): Data<(usize, String)>| {
        sender.send(n).unwrap();
    });
    let socket = client(&url).socket("/");
    emit_much(&socket);
    let begun = Instant::now();
    socket.connect().await.unwrap();
    for n in 0..LARGE {
        assert_eq!(numbers.recv().await, Some(n));
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn event_that_comes_while_kept_events_are_sent_is_not_lost() {
    let url = place();
    let io = serve(&url).await;
    io.on_connect(|peer: Peer| peer.emit("welcome", 7));
    let socket = client(&url).socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on("welcome", move |Data(n): Data<u32>| tell.send(n).unwrap());
    socket.on_connect(move || sender.send(0).unwrap());
    emit_much(&socket);
    soon(socket.connect()).await.unwrap();
    assert_eq!(soon(story.recv()).await, Some(7));
    assert_eq!(soon(story.recv()).await, Some(0));
}

/// A socket whose events have one try of a second each, and another one that fills the outbox of both.
async fn retrying_beside_another(client: &Client) -> (Socket, Socket) {
    let config = SocketConfig::default()
        .retries(0)
        .ack_timeout(Duration::from_secs(1));
    let socket = client.socket_with("/", config).unwrap();
    let other = client.socket("/other");
    socket.connect().await.unwrap();
    other.connect().await.unwrap();
    (socket, other)
}

#[tokio::test(start_paused = true)]
async fn event_that_finds_the_outbox_full_waits_for_room_and_is_not_given_up() {
    let url = place();
    let io = serve(&url).await;
    let client = client(&url);
    let (socket, other) = retrying_beside_another(&client).await;
    let echo: u32 = socket.emit_with_ack("echo", 1).await.unwrap();
    assert_eq!(echo, 1);
    // The server does not read for longer than the only try may take.
    let peer = io.sockets().pop().unwrap();
    peer.pause();
    while other.emit("much", "x".repeat(1000)).is_ok() {}
    let answer = tokio::spawn(socket.emit_with_ack::<u32>("echo", 2));
    sleep(Duration::from_secs(5)).await;
    assert!(!answer.is_finished());
    peer.resume();
    assert_eq!(soon(answer).await.unwrap().unwrap(), 2);
    assert_eq!(socket.waiting_events(), 0);
}

#[tokio::test(start_paused = true)]
async fn event_that_waits_for_room_outlives_the_runtime_it_was_emitted_in() {
    let url = place();
    let io = serve(&url).await;
    let client = client(&url);
    let (socket, other) = retrying_beside_another(&client).await;
    let peer = io.sockets().pop().unwrap();
    peer.pause();
    while other.emit("much", "x".repeat(1000)).is_ok() {}
    let emitting = socket.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        emitting.emit_with_ack::<u32>("echo", 1)
    });
    let answer = thread.join().unwrap();
    peer.resume();
    assert_eq!(soon(answer).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn leaving_while_kept_events_are_sent_is_told_to_the_server() {
    let url = place();
    let io = serve(&url).await;
    let (sender, mut numbers) = mpsc::unbounded_channel();
    io.of("/other")
        .on("much", move |Data((n, _)): Data<(usize, String)>| {
            sender.send(n).unwrap();
        });
    let client = client(&url);
    let root = client.socket("/");
    let ends = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ends);
    root.on_disconnect(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    root.connect().await.unwrap();
    let other = client.socket("/other");
    emit_much(&other);
    other.connect_lazy();
    // Turn by turn, as no time passes.
    while other.waiting_events() == LARGE {
        tokio::task::yield_now().await;
    }
    assert!(other.waiting_events() > 0 && !other.connected());
    other.disconnect();
    until(|| io.of("/other").sockets().is_empty()).await;
    soon(other.connect()).await.unwrap();
    for n in 0..LARGE {
        assert_eq!(soon(numbers.recv()).await, Some(n));
    }
    let echo: u32 = root.emit_with_ack("echo", 1).await.unwrap();
    assert_eq!((echo, ends.load(Ordering::Relaxed)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn refusal_of_an_attempt_that_was_given_up_lets_the_next_one_begin() {
    let url = place();
    let io = serve(&url).await;
    let asked = AtomicU32::new(0);
    io.of("/slow").middleware(move || {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            sleep(Duration::from_secs(3)).await;
            match first {
                true => Err(Refusal::new("no")),
                false => Ok(()),
            }
        }
    });
    let client = client(&url);
    client.socket("/").connect().await.unwrap();
    let slow = client.socket("/slow");
    let result = timeout(Duration::from_secs(1), slow.connect()).await;
    assert!(result.is_err());
    soon(slow.connect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn event_that_is_emitted_when_the_connection_has_just_ended_is_kept() {
    let url = place();
    let io = serve(&url).await;
    let client = client(&url);
    let (root, other) = (client.socket("/"), client.socket("/other"));
    for socket in [&root, &other] {
        socket.connect().await.unwrap();
    }
    // Whichever is told first emits on the other one, which has not been told.
    let (sender, mut story) = mpsc::unbounded_channel();
    let told = Arc::new(AtomicU32::new(0));
    for (socket, next) in [(&root, &other), (&other, &root)] {
        let (next, sender, told) = (next.clone(), sender.clone(), Arc::clone(&told));
        let outgoing = Arc::clone(&told);
        socket.on_disconnect(move || {
            if told.fetch_add(1, Ordering::Relaxed) == 0 {
                sender.send(next.emit("last", ()).is_ok()).unwrap();
            }
        });
        socket.on_any_outgoing(move || {
            outgoing.fetch_add(10, Ordering::Relaxed);
        });
    }
    io.close().await;
    assert_eq!(soon(story.recv()).await, Some(true));
    assert_eq!(root.waiting_events() + other.waiting_events(), 1);
    let io = serve(&url).await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    for namespace in ["/", "/other"] {
        let sender = sender.clone();
        io.of(namespace)
            .on("last", move || sender.send(()).unwrap());
    }
    soon(heard.recv()).await.unwrap();
    assert!(heard.try_recv().is_err());
    assert_eq!(told.load(Ordering::Relaxed), 12, "told of once");
}

#[tokio::test(start_paused = true)]
async fn disconnecting_and_connecting_again_does_not_wait_for_the_backoff() {
    let url = place();
    let config = ClientConfig::default().auto_connect(false).reconnection(
        Reconnection::default()
            .delay(Duration::from_secs(60))
            .delay_max(Duration::from_secs(60)),
    );
    let client = Client::with_config(&url, config).unwrap();
    let socket = client.socket("/");
    let (sender, mut scheduled) = mpsc::unbounded_channel();
    client.on_client_event(move |event| {
        if let ClientEvent::ReconnectScheduled(_) = event {
            sender.send(()).unwrap();
        }
    });
    socket.connect_lazy();
    scheduled.recv().await.unwrap();
    let _io = serve(&url).await;
    socket.disconnect();
    soon(socket.connect()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn disconnecting_and_connecting_again_while_opening_begins_anew() {
    // A peer that accepts and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("tcp://{}", silent.local_addr().unwrap());
    let url = place();
    let _io = serve(&url).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let config = ClientConfig::default()
        .auto_connect(false)
        .before_connect(move |mut request| {
            let url = match counted.fetch_add(1, Ordering::Relaxed) {
                0 => silent.clone(),
                _ => url.clone(),
            };
            async move {
                request.url = url.parse().map_err(ConnectError::application)?;
                Ok(request)
            }
        });
    let client = Client::with_config("tcp://192.0.2.1:9", config).unwrap();
    let socket = client.socket("/");
    socket.connect_lazy();
    until(|| attempts.load(Ordering::Relaxed) == 1).await;
    let begun = Instant::now();
    socket.disconnect();
    soon(socket.connect()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn failure_is_not_told_to_a_socket_that_began_after_it() {
    let url = place();
    let config = ClientConfig::default().auto_connect(false);
    let client = Client::with_config(&url, config).unwrap();
    let (first, second) = (client.socket("/"), client.socket("/other"));
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    second.on_connect_error(move || tell.send("second failed").unwrap());
    second.on_connect(move || sender.send("second connected").unwrap());
    let next = second.clone();
    first.on_connect_error(move || next.connect_lazy());
    first.connect().await.unwrap_err();
    let _io = serve(&url).await;
    assert_eq!(soon(story.recv()).await, Some("second connected"));
}

#[tokio::test(start_paused = true)]
async fn hook_that_panics_costs_nothing_but_its_own_work() {
    let url = place();
    let io = serve(&url).await;
    let client = client(&url);
    client.on_client_event(|_| panic!("in a hook"));
    let socket = client.socket("/");
    soon(socket.connect()).await.unwrap();
    io.close().await;
    let _io = serve(&url).await;
    let echo: u32 = soon(socket.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(echo, 1);
}

#[tokio::test(start_paused = true)]
async fn panic_before_connecting_fails_the_attempt() {
    let url = place();
    let _io = serve(&url).await;
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let socket = Client::builder(&url)
        .auth_with(move || {
            assert!(count.fetch_add(1, Ordering::Relaxed) > 0, "no token");
            async { Ok(serde_json::Value::Null) }
        })
        .build()
        .unwrap();
    let waiting = socket.emit_with_ack::<u32>("echo", 1);
    assert!(soon(socket.connect()).await.is_err());
    assert!(!socket.active());
    soon(socket.connect()).await.unwrap();
    assert_eq!(soon(waiting).await.unwrap(), 1);
}

#[test]
fn socket_outlives_the_runtime_that_it_was_connected_on() {
    let url = place();
    let first = tokio::runtime::Runtime::new().unwrap();
    let second = tokio::runtime::Runtime::new().unwrap();
    let _io = second.block_on(serve(&url));
    let socket = client(&url).socket("/");
    first.block_on(socket.connect()).unwrap();
    let never = socket.emit_with_ack::<u32>("never", 1);
    drop(first);
    second.block_on(async {
        soon(socket.client().closed()).await;
        assert!(!socket.connected() && !socket.active());
        assert!(matches!(soon(never).await, Err(AckError::Disconnected)));
        soon(socket.connect()).await.unwrap();
        let echo: u32 = socket.emit_with_ack("echo", 1).await.unwrap();
        assert_eq!(echo, 1);
    });
}

#[tokio::test(start_paused = true)]
async fn handler_can_ask_for_the_client_when_the_application_has_let_go_of_it() {
    let url = place();
    let _io = serve(&url).await;
    let client = client(&url);
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    client.on_error(move |socket, error| {
        tell.send(format!("{error:#} {}", socket.client().url()))
            .unwrap();
    });
    let socket = client.socket("/");
    socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        let _ = socket.client().url();
        sender.send(reason.to_string()).unwrap();
        Err::<(), _>("told of")
    });
    socket.connect().await.unwrap();
    drop((client, socket));
    assert_eq!(soon(story.recv()).await.unwrap(), "io client disconnect");
    assert_eq!(
        soon(story.recv()).await.unwrap(),
        format!("event \"disconnect\": the handler failed: told of {url}")
    );
}

#[tokio::test]
async fn outgoing_handlers_run_whatever_thread_emits() {
    let url = place();
    let _io = serve(&url).await;
    let socket = client(&url).socket("/");
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on_any_outgoing(move |Data(n): Data<u32>| {
        let sender = sender.clone();
        async move {
            tokio::task::yield_now().await;
            sender.send(n).unwrap();
        }
    });
    socket.connect().await.unwrap();
    let emitting = socket.clone();
    std::thread::spawn(move || emitting.emit("echo", 5).unwrap())
        .join()
        .unwrap();
    assert_eq!(heard.recv().await, Some(5));
    // And who has been connected once can be again, from anywhere.
    socket.disconnect();
    socket.client().closed().await;
    let connecting = socket.clone();
    std::thread::spawn(move || connecting.connect_lazy())
        .join()
        .unwrap();
    let echo: u32 = soon(socket.emit_with_ack("echo", 6)).await.unwrap();
    assert_eq!(echo, 6);
}

#[tokio::test]
async fn event_that_cannot_be_sent_is_told_whatever_thread_emits_it() {
    let url = place();
    let io = Server::with_config(ServerConfig::default().parser(Json::new())).unwrap();
    io.listen(&url).await.unwrap();
    let socket = Client::builder(&url)
        .config(|config| config.parser(Json::new().max_inline_bytes(4)))
        .socket_config(|socket| socket.retries(1).ack_timeout(Duration::from_secs(9)))
        .connect()
        .await
        .unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on("error", move |error: Arc<EventError>| {
        let sender = sender.clone();
        async move {
            tokio::task::yield_now().await;
            sender.send(error.event().to_owned()).unwrap();
        }
    });
    let emitting = socket.clone();
    std::thread::spawn(move || emitting.emit("bytes", Bytes::from_static(&[0; 9])).unwrap())
        .join()
        .unwrap();
    assert_eq!(soon(heard.recv()).await.unwrap(), "bytes");
}

#[tokio::test(start_paused = true)]
async fn event_whose_answer_nobody_waits_for_takes_no_room_in_the_buffer() {
    let socket = Client::builder(place())
        .config(|config| config.buffer(2, 1000))
        .build()
        .unwrap();
    drop(socket.emit_with_ack::<u32>("a", 1));
    socket.emit("a", 2).unwrap();
    socket.emit("a", 3).unwrap();
    assert!(socket.emit("a", 4).is_err());
    assert_eq!(socket.waiting_events(), 2);
}

#[tokio::test(start_paused = true)]
async fn outgoing_handlers_are_not_told_of_volatile_events_that_are_dropped() {
    let url = place();
    let _io = serve(&url).await;
    let socket = client(&url).socket("/");
    socket.connect().await.unwrap();
    let heard = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&heard);
    socket.on_any_outgoing(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    // Nobody reads while this test does not wait: the second one finds the stream taken.
    let long = "x".repeat(1_000_000);
    socket.emit("much", long.as_str()).unwrap();
    socket.volatile().emit("much", 1).unwrap();
    assert_eq!(heard.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn server_that_falls_silent_does_not_delay_the_next_attempt() {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    // Packets in length-prefixed frames. It never closes a connection.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let config = ClientConfig::default()
        .reconnection(Reconnection::default().randomization(0.0))
        .auto_connect(false);
    let socket = Client::with_config(&url, config).unwrap().socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    socket.on_disconnect(move || tell.send(Instant::now()).unwrap());
    socket.client().on_client_event(move |event| {
        if let ClientEvent::ReconnectAttempt(_) = event {
            sender.send(Instant::now()).unwrap();
        }
    });
    socket.connect_lazy();
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = [0; 64];
    assert!(stream.read(&mut hello).await.unwrap() > 0);
    let open = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
    stream
        .write_all(&[u8::try_from(open.len()).unwrap()])
        .await
        .unwrap();
    stream.write_all(open.as_bytes()).await.unwrap();
    let lost = story.recv().await.unwrap();
    let tried = story.recv().await.unwrap();
    assert_eq!(tried.duration_since(lost).as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn handlers_may_connect_and_disconnect() {
    let url = place();
    let io = serve(&url).await;
    let socket = client(&url).socket("/");
    let (sender, mut story) = mpsc::unbounded_channel();
    let tell = sender.clone();
    let connects = AtomicU32::new(0);
    socket.on_connect(move |socket: Socket| {
        let n = connects.fetch_add(1, Ordering::Relaxed);
        tell.send(format!("connect {n}")).unwrap();
        if n < 2 {
            socket.disconnect();
        }
    });
    socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        sender.send(reason.to_string()).unwrap();
        socket.connect_lazy();
    });
    socket.connect_lazy();
    for expected in [
        "connect 0",
        "io client disconnect",
        "connect 1",
        "io client disconnect",
        "connect 2",
    ] {
        assert_eq!(soon(story.recv()).await.unwrap(), expected);
    }
    // The same if it is the server that wants it to go, or is gone.
    io.sockets().pop().unwrap().disconnect();
    assert_eq!(soon(story.recv()).await.unwrap(), "io server disconnect");
    assert_eq!(soon(story.recv()).await.unwrap(), "connect 3");
    io.sockets().pop().unwrap().close();
    assert_eq!(soon(story.recv()).await.unwrap(), "io server disconnect");
    // It asks over the connection that the server is about to close, and then over another one.
    assert_eq!(soon(story.recv()).await.unwrap(), "transport close");
    assert_eq!(soon(story.recv()).await.unwrap(), "connect 4");
}

#[tokio::test(start_paused = true)]
async fn refused_socket_may_try_again_with_something_else_from_its_handler() {
    let url = place();
    let io = serve(&url).await;
    io.middleware(
        |handshake: sockeye_server::Handshake| match handshake.auth_json() {
            r#"{"token":2}"# => Ok(()),
            other => Err(Refusal::new(other)),
        },
    );
    let token = Arc::new(AtomicU32::new(0));
    let (asked, next) = (Arc::clone(&token), Arc::clone(&token));
    let (sender, mut connected) = mpsc::unbounded_channel();
    let _socket = Client::builder(&url)
        .auth_with(move || {
            let token = asked.load(Ordering::Relaxed);
            async move { Ok(serde_json::json!({ "token": token })) }
        })
        .on("connect_error", move |socket: Socket| {
            next.fetch_add(1, Ordering::Relaxed);
            socket.connect_lazy();
        })
        .on("connect", move || sender.send(()).unwrap())
        .connect_lazy()
        .unwrap();
    soon(connected.recv()).await.unwrap();
    assert_eq!(token.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn last_handle_may_be_dropped_by_a_handler() {
    let url = place();
    let io = serve(&url).await;
    let (sender, mut gone) = mpsc::unbounded_channel();
    io.on_disconnect(move |reason: DisconnectReason| sender.send(reason).unwrap());
    let client = client(&url);
    let socket = client.socket("/");
    let (give, mut take) = mpsc::channel::<(Client, Socket)>(1);
    let take = std::sync::Mutex::new(Some(move || take.try_recv().unwrap()));
    socket.on("echo", move || {
        let take = take.lock().unwrap().take();
        drop(take.map(|mut take| take()));
    });
    socket.connect().await.unwrap();
    give.send((client, socket)).await.unwrap();
    io.emit("echo", ()).unwrap();
    assert_eq!(
        soon(gone.recv()).await.unwrap().to_string(),
        "client namespace disconnect"
    );
}

#[tokio::test(start_paused = true)]
async fn client_can_be_closed_at_any_time_and_twice() {
    let url = place();
    let client = client(&url);
    soon(client.close()).await;
    let socket = client.socket("/");
    // While it waits to try again, from two sides at once.
    let (sender, mut failed) = mpsc::unbounded_channel();
    socket.on_connect_error(move || sender.send(()).unwrap());
    socket.connect_lazy();
    failed.recv().await.unwrap();
    soon(async { tokio::join!(client.close(), client.close()) }).await;
    assert!(!socket.active());
    let _io = serve(&url).await;
    soon(socket.connect()).await.unwrap();
    soon(async { tokio::join!(client.close(), client.close()) }).await;
    assert!(!socket.connected());
    soon(client.closed()).await;
}
