//! Peers that misbehave: the others do not notice, and nothing of them is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockeye_engine_proto::Packet;
use sockeye_server::{Args, DisconnectReason, NamespaceRequest, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Net, Peer, Request, ServerRig, WebSocket};
use tokio::sync::Semaphore;
use tokio::time::Instant;

const ALL: [Case; 4] = [
    Case::POLLING,
    Case::WEBSOCKET,
    Case::POLLING_V3,
    Case::WEBSOCKET_V3,
];

/// The heartbeat, and the time for the last words.
const BOUND: Duration = Duration::from_secs(25 + 20 + 5 + 1);

/// A server that counts.
struct Counted {
    io: Server,
    /// How many sockets have connected.
    connects: Arc<AtomicUsize>,
    /// The reasons of those that have gone.
    ends: Log<(String, String)>,
    /// Every socket that is still in memory holds one.
    alive: Arc<()>,
}

fn counted(config: ServerConfig, ends: Log<(String, String)>) -> Counted {
    let io = Server::with_config(config).expect("a valid configuration");
    let connects = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(());
    let (count, guard) = (Arc::clone(&connects), Arc::clone(&alive));
    io.on_connect(move |socket: Socket| {
        count.fetch_add(1, Ordering::SeqCst);
        socket.set_data(Arc::clone(&guard));
        socket.join(["everyone", "some room"]);
    });
    let entries = ends.clone();
    io.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
        entries.push((socket.id().to_owned(), reason.to_string()));
    });
    io.on("echo", |args: Args| args);
    Counted {
        io,
        connects,
        ends,
        alive,
    }
}

impl Counted {
    /// Sees to it that nothing is left but these many sockets.
    async fn expect_only(&self, net: &Net, sockets: usize) {
        let gone = || {
            self.io.connection_count() == sockets
                && self.io.sockets().len() == sockets
                // One is the server's own, another the handler's.
                && Arc::strong_count(&self.alive) == 2 + sockets
        };
        net.until("nothing left", gone).await;
        if sockets == 0 {
            assert!(self.io.room_names().is_empty());
        }
        assert!(self.ends.rest().is_empty(), "only once");
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_stops_reading_is_disconnected_and_the_others_are_not_held_up() {
    let config = ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.outbox_limit(500_000)));
    let server = counted(config, Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let deaf = rig.connect().await;
    let mut others = rig.connect_many(3).await;
    let start = Instant::now();
    let filler = "x".repeat(10_000);
    for n in 0..200 {
        server.io.emit("news", (n, filler.as_str())).unwrap();
        for other in &mut others {
            let text = other.text().await;
            assert!(text.starts_with(&format!(r#"2["news",{n},"#)));
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody has waited");
    let end = server.ends.next().await;
    assert_eq!(end, (deaf.id.clone(), "transport error".to_owned()));
    for (other, n) in others.iter_mut().zip(1..) {
        other.expect_nothing(n).await;
    }
    // It does not even take the close frame, and is given up.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.io.connection_count(), 3);
    drop(deaf);
    for other in &mut others {
        other.client.send(&[Packet::Close]).await;
        other.client.hung_up().await;
    }
    server.ends.take(3).await;
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test(start_paused = true)]
async fn client_that_stops_reading_a_little_is_timed_out() {
    let server = counted(ServerConfig::default(), Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let deaf = rig.connect().await;
    let socket = server.io.socket(&deaf.id).unwrap();
    while socket.queued_bytes() == 0 {
        socket.emit("fill", "x".repeat(10_000)).unwrap();
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let end = server.ends.next().await;
    assert_eq!(end, (deaf.id.clone(), "ping timeout".to_owned()));
    drop(socket);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(start.elapsed() <= BOUND, "{:?}", start.elapsed());
    server.expect_only(&rig.net, 0).await;
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn client_that_asks_without_taking_the_answers_is_stopped() {
    let limit = 300_000;
    let config =
        ServerConfig::default().engine(|engine| engine.limits(|limits| limits.outbox_limit(limit)));
    let server = counted(config, Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let mut other = rig.connect().await;
    for what in ["events", "pings", "heartbeats", "joins"] {
        let case = match what {
            "heartbeats" => Case::WEBSOCKET_V3,
            _ => Case::WEBSOCKET,
        };
        let peer = rig.connect_as(case).await;
        let id = peer.id.clone();
        let socket = server.io.socket(&id).unwrap();
        let mut websocket = peer.client.into_websocket();
        let asking = tokio::spawn(async move {
            let frame = match what {
                "events" => {
                    let event = format!(r#"421["echo","{}"]"#, "x".repeat(1000));
                    WebSocket::encoded(sockeye_websocket::OpCode::Text, event.as_bytes())
                }
                "pings" => WebSocket::encoded(sockeye_websocket::OpCode::Ping, &[7; 125]),
                "joins" => WebSocket::encoded(sockeye_websocket::OpCode::Text, b"40/x,"),
                _ => WebSocket::encoded(sockeye_websocket::OpCode::Text, b"2"),
            };
            let frames = frame.repeat(1 + 65_536 / frame.len());
            for _ in 0..500 {
                websocket.write(&frames).await;
            }
            websocket
        });
        let start = Instant::now();
        let mut most = 0;
        let (ended, reason) = loop {
            tokio::select! {
                end = server.ends.next() => break end,
                // It answers its heartbeats meanwhile.
                text = other.text() => panic!("{text}"),
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    most = most.max(socket.queued_bytes());
                }
            }
        };
        assert_eq!(ended, id);
        assert!(
            ["ping timeout", "transport error"].contains(&reason.as_str()),
            "{what}: {reason}"
        );
        assert!(start.elapsed() <= BOUND, "{what}: {:?}", start.elapsed());
        assert!(
            most <= limit + 300_000,
            "{what}: {most} bytes in the outbox"
        );
        other.expect_nothing(1).await;
        drop(socket);
        drop(asking.await.unwrap());
    }
    server.expect_only(&rig.net, 1).await;
}

#[tokio::test(start_paused = true)]
async fn client_that_posts_without_polling_is_stopped() {
    let limit = 300_000;
    let config =
        ServerConfig::default().engine(|engine| engine.limits(|limits| limits.outbox_limit(limit)));
    let server = counted(config, Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let echo = format!(r#"421["echo","{}"]"#, "x".repeat(40));
    for (case, what) in [
        (Case::POLLING, "40/x,"),
        (Case::POLLING, echo.as_str()),
        (Case::POLLING_V3, "40/x"),
    ] {
        let mut peer = Peer::open(&rig.net, case).await;
        peer.join("/").await;
        let socket = server.io.socket(&peer.id).unwrap();
        let asks = match case.is_v3() {
            true => format!("{}:{what}", what.len()).repeat(10_000),
            false => vec![what; 10_000].join("\u{1e}"),
        };
        let net = rig.net.clone();
        let query = peer.client.query();
        let asking = tokio::spawn(async move {
            for n in 0.. {
                if net.post(&query, asks.clone()).await.status != 200 {
                    return n;
                }
            }
            unreachable!("it is stopped at some time")
        });
        let start = Instant::now();
        let mut most = 0;
        let (ended, reason) = loop {
            tokio::select! {
                end = server.ends.next() => break end,
                () = tokio::time::sleep(Duration::from_millis(100)) => {
                    most = most.max(socket.queued_bytes());
                }
            }
        };
        assert_eq!((ended, reason.as_str()), (peer.id.clone(), "ping timeout"));
        assert!(start.elapsed() <= BOUND, "{what}: {:?}", start.elapsed());
        assert!(most >= limit, "{what}: {most} bytes in the outbox");
        assert!(most <= limit + 1000, "{what}: {most} bytes in the outbox");
        asking.await.unwrap();
    }
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test(start_paused = true)]
async fn answers_to_one_post_wait_for_room_instead_of_being_lost() {
    let config = ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.outbox_limit(10_000).max_payload(50_000)));
    let server = counted(config, Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let mut peer = rig.connect_as(Case::POLLING).await;
    let asks: Vec<_> = (0..1000).map(|n| format!(r#"42{n}["echo",{n}]"#)).collect();
    let net = rig.net.clone();
    let query = peer.client.query();
    let posting = tokio::spawn(async move { net.post(&query, asks.join("\u{1e}")).await });
    for n in 0..1000 {
        assert_eq!(peer.text().await, format!("3{n}[{n}]"));
    }
    assert_eq!(posting.await.unwrap().brief(), (200, "ok"));
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn auth_of_all_sockets_of_a_connection_is_limited() {
    let io = Server::with_config(ServerConfig::default().max_auth_bytes(100)).unwrap();
    for name in ["/a", "/b", "/c"] {
        let _ = io.of(name);
    }
    io.of("/closed").middleware(|| Err::<(), _>("no"));
    io.of_fn(async |request: NamespaceRequest| request.name().starts_with("/made"));
    let rig = ServerRig::memory(&io);
    let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
    let auth = |bytes: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(bytes - 8));
    let ask = async |peer: &mut Peer, name: &str, bytes: usize| {
        peer.send(&format!("0{name},{}", auth(bytes))).await;
        peer.text().await
    };
    let too_much = |name: &str| format!(r#"4{name},{{"message":"Too much auth data"}}"#);
    assert_eq!(ask(&mut peer, "/a", 101).await, too_much("/a"));
    // What is not let in does not count.
    for name in ["/closed", "/nowhere"] {
        for _ in 0..3 {
            assert!(ask(&mut peer, name, 60).await.starts_with("4/"));
        }
    }
    assert!(ask(&mut peer, "/a", 60).await.starts_with("0/a,"));
    assert_eq!(ask(&mut peer, "/b", 41).await, too_much("/b"));
    assert_eq!(ask(&mut peer, "/made", 41).await, too_much("/made"));
    assert!(ask(&mut peer, "/b", 40).await.starts_with("0/b,"));
    peer.send("0/c,").await;
    assert!(peer.text().await.starts_with("0/c,"));
    peer.send("1/a,").await;
    assert!(ask(&mut peer, "/made", 60).await.starts_with("0/made,"));
    assert_eq!(ask(&mut peer, "/a", 60).await, too_much("/a"));
}

#[tokio::test]
async fn peer_waits_while_as_many_joins_are_decided_about_as_may_be() {
    let io = Server::with_config(ServerConfig::default().inbox(|inbox| inbox.max_handlers(10)));
    let io = io.unwrap();
    let (permits, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (gate, count) = (Arc::clone(&permits), Arc::clone(&asked));
    io.of_fn(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            true
        }
    });
    let rig = ServerRig::memory(&io);
    for case in [Case::WEBSOCKET, Case::POLLING] {
        asked.store(0, Ordering::SeqCst);
        let mut peer = Peer::open(&rig.net, case).await;
        let joins: Vec<_> = (0..30).map(|n| format!("0/{n},")).collect();
        let packets: Vec<_> = joins.iter().map(Packet::text).collect();
        let (net, query) = (rig.net.clone(), peer.client.query());
        let _posting = match case.is_polling() {
            true => {
                let joins: Vec<_> = joins.iter().map(|join| format!("4{join}")).collect();
                let body = joins.join("\u{1e}");
                Some(tokio::spawn(async move { net.post(&query, body).await }))
            }
            false => {
                peer.client.send(&packets).await;
                None
            }
        };
        let begun = || asked.load(Ordering::SeqCst);
        rig.net.until("ten", || begun() == 10).await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
            assert_eq!(begun(), 10);
        }
        permits.add_permits(30);
        for _ in 0..30 {
            assert!(peer.text().await.starts_with("0/"));
        }
        assert_eq!(begun(), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_sends_a_byte_a_second_is_timed_out() {
    let server = counted(ServerConfig::default(), Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let mut other = rig.connect().await;
    for case in [Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let peer = rig.connect_as(case).await;
        let id = peer.id.clone();
        let mut websocket = peer.client.into_websocket();
        let start = Instant::now();
        let dribbling = tokio::spawn(async move {
            let event = format!(r#"42["echo","{}"]"#, "x".repeat(1000));
            let frame = WebSocket::encoded(sockeye_websocket::OpCode::Text, event.as_bytes());
            for byte in frame {
                websocket.write(&[byte]).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        // The other one answers its heartbeats meanwhile.
        let end = tokio::select! {
            end = server.ends.next() => end,
            text = other.text() => panic!("{text}"),
        };
        assert_eq!(end, (id, "ping timeout".to_owned()));
        assert!(start.elapsed() <= BOUND, "{:?}", start.elapsed());
        other.expect_nothing(1).await;
        dribbling.abort();
        let _ = dribbling.await;
    }
    server.expect_only(&rig.net, 1).await;
}

#[tokio::test(start_paused = true)]
async fn post_that_comes_a_byte_a_second_is_given_up() {
    let server = counted(ServerConfig::default(), Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    for case in [Case::POLLING, Case::POLLING_V3] {
        let peer = rig.connect_as(case).await;
        let head = rig
            .net
            .to_get(&peer.client.query())
            .method("POST")
            .header("content-length", "1000");
        let mut http = rig.net.http().await;
        let start = Instant::now();
        let dribbling = tokio::spawn(async move {
            http.write(&head.to_bytes()).await;
            loop {
                tokio::select! {
                    answer = http.response() => return answer,
                    () = tokio::time::sleep(Duration::from_secs(1)) => http.write(b"4").await,
                }
            }
        });
        let (id, reason) = server.ends.next().await;
        assert_eq!(id, peer.id);
        assert!(
            ["ping timeout", "transport error"].contains(&reason.as_str()),
            "{reason}"
        );
        assert!(start.elapsed() <= BOUND, "{:?}", start.elapsed());
        let answer = dribbling.await.unwrap();
        assert!(answer.is_none_or(|answer| answer.status == 408));
    }
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test(start_paused = true)]
async fn client_that_vanishes_is_timed_out() {
    let server = counted(ServerConfig::default(), Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    for case in ALL {
        for polling in [true, false] {
            let peer = rig.connect_as(case).await;
            let start = Instant::now();
            // Nothing more is heard of it; its connections are never closed.
            let pending = match case.is_polling() && polling {
                true => Some(peer.client.begin_get().await),
                false => None,
            };
            let end = server.ends.next().await;
            assert_eq!(end, (peer.id.clone(), "ping timeout".to_owned()));
            tokio::time::sleep(Duration::from_secs(6)).await;
            assert!(start.elapsed() <= BOUND, "{:?}", start.elapsed());
            assert_eq!(server.io.connection_count(), 0);
            drop((peer, pending));
        }
    }
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test(start_paused = true)]
async fn handshake_without_any_join_leaves_nothing_behind() {
    let server = counted(ServerConfig::default(), Log::virtual_time());
    let rig = ServerRig::memory(&server.io);
    let mut peers = Vec::new();
    for _ in 0..100 {
        for case in [Case::POLLING, Case::WEBSOCKET] {
            peers.push(Peer::open(&rig.net, case).await);
        }
    }
    assert_eq!(server.io.connection_count(), 200);
    tokio::time::sleep(BOUND + Duration::from_secs(30)).await;
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test]
async fn crashed_clients_are_noticed_at_once() {
    let server = counted(ServerConfig::default(), Log::new());
    let rig = ServerRig::tcp(&server.io).await;
    let net = rig.net.resetting();
    for case in [Case::WEBSOCKET, Case::WEBSOCKET_V3] {
        let mut peer = Peer::open(&net, case).await;
        peer.join("/").await;
        let id = peer.id.clone();
        drop(peer);
        let (ended, reason) = server.ends.next().await;
        assert_eq!(ended, id);
        assert!(
            ["transport close", "transport error"].contains(&reason.as_str()),
            "{reason}"
        );
    }
    let mut peer = Peer::open(&net, Case::POLLING).await;
    peer.join("/").await;
    let polling = peer.client.begin_get().await;
    assert_eq!(peer.client.post("6").await.status, 200);
    drop(polling);
    let end = server.ends.next().await;
    assert_eq!(end, (peer.id.clone(), "transport error".to_owned()));
    server.expect_only(&rig.net, 0).await;
}

/// Comes, says hello, and goes in one of several ways.
async fn come_and_go(net: &Net, n: usize) {
    let net = match n % 7 {
        6 => &net.resetting(),
        _ => net,
    };
    let mut peer = Peer::open(net, ALL[n % 4]).await;
    peer.join("/").await;
    ask(&mut peer, 1).await;
    match n % 5 {
        // Leaves the namespace first.
        0 => {
            peer.send("1").await;
            peer.client.send(&[Packet::Close]).await;
        }
        // Is thrown out in the middle of something.
        1 if !peer.client.case().is_polling() => peer.client.websocket().text("4x").await,
        2 if peer.client.case().is_polling() => {
            peer.client.upgrade().await;
            ask(&mut peer, 2).await;
        }
        // Goes without a word, while an event is on its way.
        3 if !peer.client.case().is_polling() => peer.send(r#"23["echo",3]"#).await,
        _ => peer.client.send(&[Packet::Close]).await,
    }
}

/// Waits for an answer, whatever broadcasts come before it.
async fn ask(peer: &mut Peer, n: u32) {
    peer.send(&format!(r#"2{n}["echo",{n}]"#)).await;
    let answer = format!("3{n}[{n}]");
    while peer.text().await != answer {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_comings_and_goings_leave_nothing_behind() {
    const PEERS: usize = 1000;
    const AT_ONCE: usize = 20;
    let server = counted(ServerConfig::default(), Log::new());
    let rig = ServerRig::tcp(&server.io).await;
    let mut steady = rig.connect().await;
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (net, next) = (rig.net.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::SeqCst);
                    if n >= PEERS {
                        return;
                    }
                    come_and_go(&net, n).await;
                }
            })
        })
        .collect();
    for n in 0..50 {
        steady.expect_nothing(n).await;
        server
            .io
            .to("some room")
            .except(steady.id.as_str())
            .emit("news", n)
            .unwrap();
    }
    for task in tasks {
        task.await.expect("a peer that is served");
    }
    assert_eq!(server.connects.load(Ordering::SeqCst), PEERS + 1);
    let ends = server.ends.take(PEERS).await;
    let ids: std::collections::HashSet<_> = ends.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), PEERS, "each of them once");
    server.expect_only(&rig.net, 1).await;
    steady.expect_nothing(99).await;
    drop(steady);
    server.ends.next().await;
    server.expect_only(&rig.net, 0).await;
}

#[tokio::test]
async fn requests_that_lead_nowhere_do_not_stop_the_others() {
    let server = counted(ServerConfig::default(), Log::new());
    let rig = ServerRig::tcp(&server.io).await;
    let mut steady = rig.connect().await;
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut http = rig.net.http().await;
        if n % 2 == 0 {
            http.write(b"GET /socket.io/?EIO=4&transport=pol").await;
        }
        silent.push(http);
        let sid = format!("{n:020}");
        let unknown = rig
            .net
            .get(&format!("{}&sid={sid}", Case::POLLING.query()))
            .await;
        assert_eq!(unknown.status, 400);
    }
    assert_eq!(rig.net.request(&Request::get("/")).await.status, 404);
    steady.expect_nothing(1).await;
    assert_eq!(server.io.connection_count(), 1);
    drop(silent);
    drop(steady);
    server.ends.next().await;
    server.expect_only(&rig.net, 0).await;
}
