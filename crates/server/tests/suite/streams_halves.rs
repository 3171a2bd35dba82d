//! The ends of bare streams, one half at a time; and what may wait on them.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sockeye_server::{
    Data, DisconnectReason, EmitError, EventName, ListenError, ListenOptions, Listener, NetSocket,
    Server, ServerConfig, Socket, TransportKind,
};
use sockeye_testkit::{Case, Log, ServerRig, SocketDir as Dir, StreamPeer as Peer};

/// Notes what happens to sockets, in order.
fn note(io: &Server) -> Log<String> {
    let log = Log::<String>::new();
    let (connects, ends) = (log.clone(), log.clone());
    io.on_connect(move || connects.push("connect".to_owned()));
    io.on_end(move || ends.push("end".to_owned()));
    let (leaves, left) = (log.clone(), log.clone());
    io.on_disconnecting(move |reason: DisconnectReason| {
        leaves.push(format!("disconnecting {reason}"));
    });
    io.on_disconnect(move |reason: DisconnectReason| left.push(format!("disconnect {reason}")));
    let closed = log.clone();
    io.on_close(move |reason: DisconnectReason| closed.push(format!("close {reason}")));
    let said = log.clone();
    io.on("say", move |Data(text): Data<String>| said.push(text));
    log
}

/// Waits for these entries, and for no others between them.
async fn expect(log: &Log<String>, entries: &[&str]) {
    for entry in entries {
        assert_eq!(log.next().await, *entry);
    }
}

const CLOSED_BY_PEER: &[&str] = &[
    "disconnecting transport close",
    "disconnect transport close",
    "close transport close",
];

async fn listen(io: &Server, dir: &Dir, options: ListenOptions) -> Listener {
    io.listen_with(dir.url(), options).await.unwrap()
}

fn half_open() -> ListenOptions {
    ListenOptions::default().allow_half_open(true)
}

fn say(text: &str) -> String {
    format!("{{\"eventName\":\"say\",\"args\":[\"{text}\"]}}\n")
}

#[tokio::test]
async fn half_closing_peer_gets_what_waits_and_is_closed() {
    let dir = Dir::new("halves-default");
    let io = Server::new();
    let log = note(&io);
    // Far more than the system has room for.
    io.on_end(|socket: Socket| socket.emit("rest", "x".repeat(3_000_000)));
    let _listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    peer.shutdown().await;
    expect(&log, &["connect", "hello", "end"]).await;
    assert!(peer.line().await.unwrap().len() > 3_000_000);
    assert_eq!(peer.line().await, None);
    expect(&log, CLOSED_BY_PEER).await;
    assert_eq!(io.connection_count(), 0);
}

#[tokio::test]
async fn half_open_stream_is_written_to_until_it_is_ended() {
    let dir = Dir::new("halves-open");
    let io = Server::new();
    let log = note(&io);
    let _listener = listen(&io, &dir, half_open()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    peer.shutdown().await;
    expect(&log, &["connect", "hello", "end"]).await;
    let socket = io.sockets().remove(0);
    for count in 0..3 {
        socket.emit("late", count).unwrap();
        let line = format!(r#"{{"eventName":"late","args":[{count}]}}"#);
        assert_eq!(peer.line().await.unwrap(), line);
    }
    assert!(socket.connected() && log.rest().is_empty());
    socket.emit("last", ()).unwrap();
    socket.end();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"last"}"#);
    assert_eq!(peer.line().await, None);
    expect(&log, CLOSED_BY_PEER).await;
}

#[tokio::test]
async fn half_open_stream_is_disconnected_with_what_waits() {
    let dir = Dir::new("halves-disconnect");
    let io = Server::new();
    let log = note(&io);
    let _listener = listen(&io, &dir, half_open()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    peer.shutdown().await;
    expect(&log, &["connect", "hello", "end"]).await;
    let socket = io.sockets().remove(0);
    socket.emit("rest", "x".repeat(3_000_000)).unwrap();
    socket.close();
    assert!(peer.line().await.unwrap().len() > 3_000_000);
    assert_eq!(peer.line().await, None);
    let left = "server namespace disconnect";
    expect(
        &log,
        &[
            &format!("disconnecting {left}"),
            &format!("disconnect {left}"),
            &format!("close {left}"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn half_open_native_peer_needs_no_heartbeat() {
    let io = Server::new();
    let log = note(&io);
    let listener = io.listen_with("tcp://127.0.0.1:0", half_open()).await;
    let mut peer = Peer::tcp(&listener.unwrap()).await;
    peer.open().await;
    peer.shutdown().await;
    expect(&log, &["connect", "end"]).await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    let socket = io.sockets().remove(0);
    socket.emit("late", ()).unwrap();
    assert_eq!(peer.text().await, r#"42["late"]"#);
    socket.end();
    assert_eq!(peer.frame().await, None);
    expect(&log, CLOSED_BY_PEER).await;
}

#[tokio::test]
async fn vanished_half_open_peer_is_noticed_by_a_write() {
    let dir = Dir::new("halves-vanished");
    let io = Server::new();
    let log = note(&io);
    let _listener = listen(&io, &dir, half_open()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    drop(peer);
    expect(&log, &["connect", "hello", "end"]).await;
    io.sockets()[0].emit("anyone there?", ()).unwrap();
    assert_eq!(log.next().await, "disconnecting transport error");
    assert_eq!(log.next().await, "disconnect transport error");
    assert_eq!(log.next().await, "close transport error");
}

#[tokio::test]
async fn ended_socket_still_hears_the_peer() {
    let io = Server::new();
    let log = note(&io);
    let emitted = log.clone();
    io.on("end", move |socket: Socket| {
        socket.emit("last", "x".repeat(1_000_000)).unwrap();
        socket.end();
        socket.end(); // once is enough
        assert!(matches!(
            socket.emit("more", ()),
            Err(EmitError::Disconnected)
        ));
        emitted.push(format!("ended {}", socket.connected()));
    });
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    // A client's own event of that name is none of the library's.
    peer.send_text(r#"42["end"]"#).await;
    expect(&log, &["connect", "ended true"]).await;
    assert!(peer.text().await.len() > 1_000_000);
    assert_eq!(peer.frame().await, None);
    peer.send_text(r#"42["say","still here"]"#).await;
    expect(&log, &["still here"]).await;
    drop(peer);
    expect(&log, &["end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
}

#[tokio::test]
async fn end_closes_transports_without_halves() {
    let io = Server::new();
    let log = note(&io);
    io.on("bye", |socket: Socket| {
        socket.emit("last", ()).unwrap();
        socket.end();
    });
    let rig = ServerRig::tcp(&io).await;
    for case in [Case::WEBSOCKET, Case::POLLING] {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2["bye"]"#).await;
        peer.expect(r#"2["last"]"#).await;
        peer.ended().await;
        expect(&log, &["connect", "disconnecting forced close"]).await;
        expect(&log, &["disconnect forced close", "close forced close"]).await;
    }
}

#[tokio::test]
async fn paused_on_connect_delivers_nothing_until_resumed() {
    let dir = Dir::new("halves-pause");
    let io = Server::new();
    let log = note(&io);
    io.on("echo", |socket: Socket| socket.emit("echo", ()));
    let options = ListenOptions::default().pause_on_connect(true);
    let _listener = listen(&io, &dir, options).await;
    let other = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    // More than the system takes for a peer that is not read from.
    let lines = say(&"x".repeat(10_000)).repeat(1000);
    let writing = tokio::spawn(async move {
        peer.write(lines).await;
        peer
    });
    expect(&log, &["connect"]).await;
    let socket = io.sockets().remove(0);
    assert!(socket.is_paused());
    // The server is at work, but not for this peer.
    let mut busy = Peer::tcp(&other).await;
    busy.open().await;
    expect(&log, &["connect"]).await;
    for _ in 0..100 {
        busy.send_text(r#"42["echo"]"#).await;
        assert_eq!(busy.text().await, r#"42["echo"]"#);
    }
    assert!(log.rest().is_empty());
    assert!(!writing.is_finished());
    // It can be written to all the same.
    socket.emit("welcome", ()).unwrap();
    socket.resume();
    assert!(!socket.is_paused());
    log.take(1000).await;
    let mut peer = writing.await.unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"welcome"}"#);
}

#[tokio::test]
async fn paused_on_connect_is_resumed_by_the_connect_handler() {
    let io = Server::new();
    let log = note(&io);
    io.on_connect(|socket: Socket| {
        assert!(socket.is_paused());
        socket.resume();
    });
    let _ = io.of("/second");
    let options = ListenOptions::default().pause_on_connect(true);
    let listener = io.listen_with("tcp://127.0.0.1:0", options).await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    // Only the first socket of a connection pauses it.
    peer.send_text("40/second,").await;
    assert!(peer.text().await.starts_with("40/second,"));
    peer.send_text(r#"42["say","hello"]"#).await;
    expect(&log, &["connect", "hello"]).await;
}

#[tokio::test]
async fn pause_in_a_handler_holds_back_what_came_with_its_event() {
    let io = Server::new();
    let log = note(&io);
    io.on("pause", |socket: Socket| {
        socket.pause();
        socket.emit("paused", ())
    });
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut plain = Peer::tcp(&listener).await;
    let pause = "{\"eventName\":\"pause\"}\n";
    plain
        .write(format!("{}{pause}{}", say("before"), say("after")))
        .await;
    expect(&log, &["connect", "before"]).await;
    assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"paused"}"#);
    assert!(log.rest().is_empty());
    io.sockets()[0].resume();
    expect(&log, &["after"]).await;

    let rig = ServerRig::tcp(&io).await;
    let mut peers = Vec::new();
    for case in [Case::WEBSOCKET, Case::POLLING] {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2["pause"]"#).await;
        peer.expect(r#"2["paused"]"#).await;
        let socket = io.sockets().pop().unwrap();
        let say = tokio::spawn(async move {
            // On polling this waits for its answer.
            peer.send(r#"2["say","after"]"#).await;
            peer
        });
        io.emit("round", ()).unwrap();
        assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"round"}"#);
        expect(&log, &["connect"]).await;
        assert!(log.rest().is_empty());
        socket.resume();
        expect(&log, &["after"]).await;
        peers.push(say.await.unwrap());
    }
}

#[tokio::test]
async fn drain_is_told_when_a_slow_peer_has_taken_everything() {
    let dir = Dir::new("halves-drain");
    let io = Server::new();
    let log = note(&io);
    let drained = log.clone();
    io.on_drain(move |socket: Socket| {
        drained.push(format!("drain {}", socket.queued_bytes()));
        socket.emit("after", ())
    });
    let _listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    expect(&log, &["connect", "hello"]).await;
    let socket = io.sockets().remove(0);
    socket.emit("small", ()).unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"small"}"#);
    for _ in 0..2 {
        socket.emit("large", "x".repeat(3_000_000)).unwrap();
        assert!(socket.queued_bytes() > 16 * 1024);
        // What may be dropped is, while so much waits.
        socket.volatile().emit("dropped", ()).unwrap();
        assert!(peer.line().await.unwrap().len() > 3_000_000);
        expect(&log, &["drain 0"]).await;
        assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"after"}"#);
        socket.volatile().emit("kept", ()).unwrap();
        assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"kept"}"#);
    }
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn volatile_events_wait_below_the_high_water_mark() {
    let dir = Dir::new("halves-volatile");
    let config = ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.high_water_mark(4_000_000)));
    let io = Server::with_config(config).unwrap();
    let log = note(&io);
    let _listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    expect(&log, &["connect", "hello"]).await;
    let socket = io.sockets().remove(0);
    socket.emit("large", "x".repeat(3_000_000)).unwrap();
    assert!(socket.queued_bytes() > 0);
    socket.volatile().emit("kept", ()).unwrap();
    socket.emit("large", "x".repeat(3_000_000)).unwrap();
    socket.volatile().emit("dropped", ()).unwrap();
    assert!(peer.line().await.unwrap().len() > 3_000_000);
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"kept"}"#);
    assert!(peer.line().await.unwrap().len() > 3_000_000);
    socket.emit("last", ()).unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"last"}"#);
}

#[tokio::test]
async fn net_socket_tells_addresses_and_takes_options() {
    let io = Server::new();
    let log = note(&io);
    let nets = Log::<NetSocket>::new();
    let seen = nets.clone();
    io.on_connect(move |socket: Socket| seen.push(socket.net_socket()));
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    let net = nets.next().await;
    assert_eq!(net.transport(), TransportKind::Tcp);
    assert_eq!(net.local_addr(), listener.local_addr());
    assert_eq!(
        net.remote_addr().unwrap().ip(),
        std::net::Ipv4Addr::LOCALHOST
    );
    assert!(net.local_path().is_none() && net.peer_credentials().is_none() && !net.is_secure());
    net.set_nodelay(false).unwrap();
    net.set_nodelay(true).unwrap();
    net.set_keep_alive(Some(Duration::from_secs(60))).unwrap();
    net.set_keep_alive(None).unwrap();
    drop(peer);
    expect(&log, &["connect", "end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
    assert!(net.local_addr().is_none() && net.set_nodelay(true).is_err());

    let dir = Dir::new("halves-net");
    let _listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.open().await;
    let net = nets.next().await;
    assert_eq!(net.transport(), TransportKind::Unix);
    assert_eq!(net.local_path(), Some(dir.socket()));
    assert_eq!(net.remote_path(), None);
    assert!(net.local_addr().is_none() && net.remote_addr().is_none());
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!(net.peer_credentials().unwrap().pid, Some(pid));
    let error = net.set_nodelay(true).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);

    let rig = ServerRig::tcp(&io).await;
    let _websocket = rig.connect_as(Case::WEBSOCKET).await;
    let net = nets.next().await;
    assert_eq!(net.local_addr(), Some(rig.net.address()));
    let _polling = rig.connect_as(Case::POLLING).await;
    let net = nets.next().await;
    assert!(net.local_addr().is_none() && net.remote_addr().is_some());
}

#[tokio::test]
async fn sockets_are_in_the_order_of_their_coming() {
    let io = Server::new();
    let log = note(&io);
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peers = Vec::new();
    for _ in 0..5 {
        let mut peer = Peer::tcp(&listener).await;
        peer.open().await;
        peers.push(peer);
    }
    let mut ids: Vec<_> = io.sockets().iter().map(|s| s.id().to_owned()).collect();
    log.take(5).await;
    peers.remove(1);
    ids.remove(1);
    expect(&log, &["end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
    // This one takes the place that has become free.
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    let now: Vec<_> = io.sockets().iter().map(|s| s.id().to_owned()).collect();
    assert_eq!(now[..4], ids);
    assert_eq!(now.len(), 5);
}

#[tokio::test]
async fn server_that_closes_when_idle_waits_for_its_peers() {
    let dir = Dir::new("halves-idle");
    let io = Server::new();
    let log = note(&io);
    let mut listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write(say("hello")).await;
    expect(&log, &["connect", "hello"]).await;
    let mut closing = pin!(io.close_when_idle());
    poll_fn(|cx| {
        assert!(closing.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    // Nobody else gets in, but who is there stays.
    let mut late = Peer::unix(&dir).await;
    late.write(say("too late")).await;
    let refusal = r#"{"error":{"message":"the server takes no more sessions"}}"#;
    assert_eq!(late.line().await.as_deref(), Some(refusal));
    assert_eq!(late.line().await, None);
    peer.write(say("still here")).await;
    expect(&log, &["still here"]).await;
    drop(peer);
    closing.await;
    listener.closed().await;
    assert!(!dir.socket().exists());
    expect(&log, &["end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
}

#[test]
fn closing_cancels_a_pending_bind() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        // Names are looked up by the runtime's one blocking thread, which has other things to do.
        let blocked = tokio::task::spawn_blocking(move || held.recv());
        let io = Server::new();
        let mut pending = pin!(io.listen("tcp://localhost:0"));
        poll_fn(|cx| {
            assert!(pending.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        io.close().await;
        let error = pending.await.unwrap_err();
        assert!(matches!(error, ListenError::Closed { .. }), "{error:?}");
        let error = io.listen("tcp://127.0.0.1:0").await.unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
        drop(release);
        blocked.await.unwrap().unwrap_err();
    });
}

#[tokio::test]
async fn host_option_is_for_urls_without_one() {
    let io = Server::new();
    let options = || ListenOptions::default().host("127.0.0.1");
    let bare = io.listen_with(0, options()).await.unwrap();
    assert_eq!(
        bare.local_addr().unwrap().ip(),
        std::net::Ipv4Addr::LOCALHOST
    );
    let named = io.listen_with("tcp://[::1]:0", options()).await;
    if let Ok(named) = named {
        assert!(named.local_addr().unwrap().is_ipv6());
    }
}

#[tokio::test]
async fn sockets_are_told_of_their_own_connection_only() {
    let dir = Dir::new("halves-own");
    let io = Server::new();
    let log = note(&io);
    let own = log.clone();
    io.on("watch", move |socket: Socket| {
        let (end, close) = (own.clone(), own.clone());
        let removed = own.clone();
        let removed = socket
            .on_close(move || removed.push("removed".to_owned()))
            .id();
        socket.on_end(move |socket: Socket| {
            end.push("own end".to_owned());
            socket.emit("bye", ())
        });
        socket.on_drain(|| ());
        socket.on_close(move |reason: DisconnectReason| {
            close.push(format!("own close {reason}"));
        });
        assert_eq!(socket.event_names(), ["close", "end", "drain"]);
        assert_eq!(socket.listener_count("close"), 2);
        assert!(socket.remove_listener(removed) && socket.has_listeners("close"));
        assert_eq!(socket.off("drain"), 1);
    });
    let _listener = listen(&io, &dir, ListenOptions::default()).await;
    let mut other = Peer::unix(&dir).await;
    other.write(say("other")).await;
    expect(&log, &["connect", "other"]).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"watch\"}\n").await;
    peer.write(say("peer")).await;
    expect(&log, &["connect", "peer"]).await;
    peer.shutdown().await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"bye"}"#);
    expect(&log, &["end", "own end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
    expect(&log, &["own close transport close"]).await;
    drop(other);
    expect(&log, &["end"]).await;
    expect(&log, CLOSED_BY_PEER).await;
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn own_names_are_free_for_events_of_clients() {
    let io = Server::new();
    let log = note(&io);
    let any = log.clone();
    io.on_any(move |name: EventName| any.push(format!("event {}", name.0)));
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    for name in ["end", "drain", "close"] {
        peer.send_text(&format!("42[\"{name}\"]")).await;
    }
    expect(
        &log,
        &["connect", "event end", "event drain", "event close"],
    )
    .await;
    io.off_all();
    drop(peer);
    while io.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(log.rest().is_empty());
}
