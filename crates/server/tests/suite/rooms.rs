//! Rooms and broadcasts.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use sockeye_server::{
    AckError, Args, Data, EmitError, Server, ServerConfig, SlowReceiver, Socket, batch,
};
use sockeye_testkit::{Case, Log, Peer, ServerRig};

/// A server whose `echo` answers with its first argument, and whose `join` joins rooms.
fn server() -> Server {
    with(ServerConfig::default())
}

fn with(config: ServerConfig) -> Server {
    let io = Server::with_config(config).expect("a valid configuration");
    io.on("echo", |args: Args| args);
    io.on("join", |socket: Socket, Data(rooms): Data<Vec<String>>| {
        socket.join(rooms);
        true
    });
    io
}

async fn join(peer: &mut Peer, rooms: &[&str]) {
    let rooms = serde_json::to_string(rooms).expect("text");
    peer.send(&format!(r#"2777["join",{rooms}]"#)).await;
    peer.expect("3777[true]").await;
}

#[tokio::test]
async fn socket_in_several_rooms_gets_one_copy() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let [mut a, mut b, mut c] = [
        rig.connect().await,
        rig.connect().await,
        rig.connect().await,
    ];
    join(&mut a, &["one", "two"]).await;
    join(&mut b, &["two"]).await;
    io.to("one")
        .to("two")
        .to(a.id.as_str())
        .emit("hello", 1)
        .unwrap();
    io.to(["one", "two", "nobody"]).emit("hello", 2).unwrap();
    for peer in [&mut a, &mut b] {
        peer.expect(r#"2["hello",1]"#).await;
        peer.expect(r#"2["hello",2]"#).await;
        peer.expect_nothing(1).await;
    }
    c.expect_nothing(1).await;
}

#[tokio::test]
async fn except_leaves_out_rooms_and_single_sockets() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let [mut a, mut b, mut c] = [
        rig.connect().await,
        rig.connect().await,
        rig.connect().await,
    ];
    join(&mut a, &["one", "muted"]).await;
    join(&mut b, &["one"]).await;
    io.to("one").except("muted").emit("x", 1).unwrap();
    io.except(["muted", b.id.as_str()]).emit("x", 2).unwrap();
    io.to("one").except("one").emit("x", 3).unwrap();
    io.to("unknown").emit("x", 4).unwrap();
    a.expect_nothing(1).await;
    b.expect(r#"2["x",1]"#).await;
    b.expect_nothing(1).await;
    c.expect(r#"2["x",2]"#).await;
    c.expect_nothing(1).await;
}

#[tokio::test]
async fn broadcasts_of_a_socket_leave_itself_out() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let [mut a, mut b, mut c] = [
        rig.connect().await,
        rig.connect().await,
        rig.connect().await,
    ];
    join(&mut a, &["room"]).await;
    join(&mut b, &["room"]).await;
    let socket = io.socket(&a.id).unwrap();
    socket.broadcast().emit("x", 1).unwrap();
    socket.to("room").emit("x", 2).unwrap();
    socket.to(["room"]).emit("x", 3).unwrap();
    socket.except("room").emit("x", 4).unwrap();
    // Even if it is named itself.
    socket.to(a.id.as_str()).emit("x", 5).unwrap();
    a.expect_nothing(1).await;
    for n in [1, 2, 3] {
        b.expect(&format!(r#"2["x",{n}]"#)).await;
    }
    b.expect_nothing(1).await;
    c.expect(r#"2["x",1]"#).await;
    c.expect(r#"2["x",4]"#).await;
    c.expect_nothing(1).await;
}

#[tokio::test]
async fn broadcast_reaches_every_kind_of_client() {
    let io = server();
    let _ = io.of("/other");
    let rig = ServerRig::tcp(&io).await;
    let mut peers = Vec::new();
    for case in [
        Case::POLLING,
        Case::WEBSOCKET,
        Case::POLLING_V3,
        Case::WEBSOCKET_V3,
    ] {
        peers.push(rig.connect_as(case).await);
    }
    let mut elsewhere = Peer::open(&rig.net, Case::WEBSOCKET).await;
    elsewhere.join("/other").await;
    io.emit("né 😀", ("ü", Bytes::from_static(b"\x01"), 1))
        .unwrap();
    io.send("a message").unwrap();
    let data = r#"{"_placeholder":true,"num":0}"#;
    for peer in &mut peers {
        let text = peer.text().await;
        let expected = match peer.client.case().is_v3() {
            false => format!(r#"51-["né 😀","ü",{data},1]"#),
            // Old clients disagree about text beyond ASCII, but all read escapes.
            true => format!(r#"51-["n\u00e9 \ud83d\ude00","\u00fc",{data},1]"#),
        };
        assert_eq!(text.to_ascii_lowercase(), expected.to_ascii_lowercase());
        assert_eq!(peer.binary().await, [1]);
        peer.expect(r#"2["message","a message"]"#).await;
    }
    io.of("/other").emit("there", ()).unwrap();
    elsewhere.expect(r#"2/other,["there"]"#).await;
}

#[tokio::test]
async fn rooms_are_joined_and_left() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    socket.join("one");
    socket.join(["two", "three"]);
    socket.join("one");
    let mut rooms = socket.rooms();
    rooms.sort();
    let mut expected = ["one", "two", "three", peer.id.as_str()];
    expected.sort_unstable();
    assert_eq!(rooms, expected);
    socket.leave(["one", "three", "never joined"]);
    let rooms: HashSet<_> = socket.rooms().into_iter().collect();
    assert_eq!(rooms, HashSet::from(["two".to_owned(), peer.id.clone()]));
    io.to("one").emit("x", ()).unwrap();
    io.to("two").emit("y", ()).unwrap();
    peer.expect(r#"2["y"]"#).await;
    assert!(!io.room_names().contains(&"one".to_owned()));
}

#[tokio::test]
async fn rooms_of_other_namespaces_are_other_rooms() {
    let io = server();
    io.of("/a").on_connect(|socket: Socket| socket.join("room"));
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.join("/a").await;
    io.to("room").emit("root", ()).unwrap();
    io.of("/a").to("room").emit("a", ()).unwrap();
    peer.expect(r#"2/a,["a"]"#).await;
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn sockets_can_be_fetched_moved_and_disconnected() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let [mut a, mut b, mut c] = [
        rig.connect().await,
        rig.connect().await,
        rig.connect().await,
    ];
    join(&mut a, &["one"]).await;
    let ids = |sockets: Vec<Socket>| -> HashSet<String> {
        sockets
            .iter()
            .map(|socket| socket.id().to_owned())
            .collect()
    };
    let set =
        |peers: &[&Peer]| -> HashSet<String> { peers.iter().map(|peer| peer.id.clone()).collect() };
    assert_eq!(ids(io.sockets()), set(&[&a, &b, &c]));
    assert_eq!(ids(io.to("one").sockets()), set(&[&a]));
    assert_eq!(ids(io.except("one").sockets()), set(&[&b, &c]));
    io.to(b.id.as_str()).sockets_join(["one", "two"]);
    assert_eq!(ids(io.to("one").sockets()), set(&[&a, &b]));
    io.to("two").sockets_leave("one");
    assert_eq!(ids(io.to("one").sockets()), set(&[&a]));
    io.sockets_join("all");
    io.sockets_leave("two");
    assert_eq!(ids(io.to("all").sockets()), set(&[&a, &b, &c]));
    assert!(io.to("two").sockets().is_empty());
    io.to("one").disconnect_sockets();
    a.expect("1").await;
    io.except(c.id.as_str()).close_sockets();
    b.expect("1").await;
    b.ended().await;
    c.expect_nothing(1).await;
    assert_eq!(ids(io.sockets()), set(&[&c]));
    // The first one has left the namespace only.
    a.join("/").await;
}

#[tokio::test]
async fn flags_do_not_change_who_is_ready() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    io.local().emit("local", ()).unwrap();
    io.compress(true).emit("compress", ()).unwrap();
    let socket = io.socket(&peer.id).unwrap();
    peer.expect(r#"2["local"]"#).await;
    peer.expect(r#"2["compress"]"#).await;
    socket.volatile().emit("volatile", ()).unwrap();
    socket.compress(false).emit("plain", ()).unwrap();
    peer.expect(r#"2["volatile"]"#).await;
    peer.expect(r#"2["plain"]"#).await;
}

#[tokio::test]
async fn volatile_broadcast_misses_those_who_do_not_poll() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut polling = rig.connect_as(Case::POLLING).await;
    let mut websocket = rig.connect().await;
    io.volatile().emit("now", ()).unwrap();
    io.emit("kept", ()).unwrap();
    websocket.expect(r#"2["now"]"#).await;
    websocket.expect(r#"2["kept"]"#).await;
    polling.expect(r#"2["kept"]"#).await;
    // Nor is a missed one an error for the socket itself.
    let socket = io.socket(&polling.id).unwrap();
    socket.volatile().emit("dropped", ()).unwrap();
    polling.expect_nothing(1).await;
}

#[tokio::test]
async fn receiver_that_is_too_slow_is_disconnected_or_skipped() {
    for policy in [SlowReceiver::Disconnect, SlowReceiver::Skip] {
        let config = ServerConfig::default()
            .engine(|engine| engine.limits(|limits| limits.outbox_limit(1000)))
            .slow_receiver(policy);
        let io = with(config);
        let log = Log::new();
        let entries = log.clone();
        io.on_disconnect(move |reason: sockeye_server::DisconnectReason| {
            entries.push(reason.to_string());
        });
        let rig = ServerRig::tcp(&io).await;
        let mut slow = rig.connect_as(Case::POLLING).await;
        let mut quick = rig.connect().await;
        for n in 0..20 {
            io.emit("fill", (n, "x".repeat(100))).unwrap();
        }
        for n in 0..20 {
            let text = quick.text().await;
            assert!(text.starts_with(&format!(r#"2["fill",{n},"#)), "{text}");
        }
        match policy {
            SlowReceiver::Disconnect => {
                assert_eq!(log.next().await, "transport error");
                assert_eq!(io.sockets().len(), 1);
            }
            SlowReceiver::Skip => {
                // It gets the first ones, and has room again.
                let first = slow.client.get().await;
                assert!(first.text().starts_with(r#"42["fill",0,"#), "{first:?}");
                assert!(!first.text().contains(r#"["fill",19,"#), "{first:?}");
                slow.expect_nothing(1).await;
                assert_eq!(io.sockets().len(), 2);
            }
        }
    }
}

#[tokio::test]
async fn answers_of_a_broadcast_are_collected() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peers = rig.connect_many(3).await;
    let acks = io
        .timeout(Duration::from_secs(20))
        .emit_with_ack::<String>("ask", 1)
        .unwrap();
    assert_eq!(acks.pending(), 3);
    for peer in &mut peers {
        let event = peer.text().await;
        let id = event
            .strip_prefix('2')
            .and_then(|rest| rest.strip_suffix(r#"["ask",1]"#))
            .unwrap();
        peer.send(&format!(r#"3{id}["{}","ignored"]"#, peer.id))
            .await;
    }
    let summary = acks.await;
    assert!(summary.missing.is_empty());
    let mut answers: Vec<_> = summary
        .answers
        .iter()
        .map(|(socket, answer)| (socket.id().unwrap(), answer.as_str()))
        .collect();
    answers.sort_unstable();
    let mut expected: Vec<_> = peers
        .iter()
        .map(|peer| (peer.id.as_str(), peer.id.as_str()))
        .collect();
    expected.sort_unstable();
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn broadcast_to_nobody_is_answered_by_nobody_at_once() {
    let io = server();
    let acks = io.to("nobody").emit_with_ack::<String>("ask", ()).unwrap();
    let summary = acks.await;
    assert!(summary.answers.is_empty() && summary.missing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn those_who_do_not_answer_a_broadcast_are_named() {
    use futures_util::StreamExt;
    let io = server();
    let rig = ServerRig::memory(&io);
    let mut peers = rig.connect_many(4).await;
    let start = tokio::time::Instant::now();
    let mut acks = io
        .timeout(Duration::from_secs(3))
        .emit_with_ack::<u32>("ask", ())
        .unwrap();
    let mut ids = Vec::new();
    for peer in &mut peers {
        let event = peer.text().await;
        ids.push(
            event
                .strip_prefix('2')
                .and_then(|rest| rest.strip_suffix(r#"["ask"]"#))
                .unwrap()
                .to_owned(),
        );
    }
    // One answers, one answers nonsense, one leaves, one is silent.
    peers[0].send(&format!("3{}[7]", ids[0])).await;
    let (socket, answer) = acks.next().await.unwrap();
    assert_eq!(
        (socket.id(), answer.unwrap()),
        (Some(peers[0].id.as_str()), 7)
    );
    peers[1].send(&format!(r#"3{}["seven"]"#, ids[1])).await;
    let (socket, answer) = acks.next().await.unwrap();
    assert_eq!(socket.id(), Some(peers[1].id.as_str()));
    assert!(matches!(answer, Err(AckError::Args(_))), "{answer:?}");
    peers[2].send("1").await;
    let (socket, answer) = acks.next().await.unwrap();
    assert_eq!(socket.id(), Some(peers[2].id.as_str()));
    assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
    assert_eq!(acks.pending(), 1);
    let summary = acks.await;
    assert!(summary.answers.is_empty());
    let [(socket, error)] = &summary.missing[..] else {
        panic!("{summary:?}")
    };
    assert_eq!(socket.id(), Some(peers[3].id.as_str()));
    assert!(matches!(error, AckError::Timeout), "{error:?}");
    assert!(start.elapsed() >= Duration::from_secs(3));
    assert!(start.elapsed() < Duration::from_secs(4));
    // An answer after all is of no interest to anybody.
    peers[3].send(&format!("3{}[7]", ids[3])).await;
    peers[3].expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn broadcast_with_acks_has_a_timeout_by_default() {
    let io = with(ServerConfig::default().ack_timeout(Duration::from_secs(2)));
    let rig = ServerRig::memory(&io);
    let _peer = rig.connect().await;
    let start = tokio::time::Instant::now();
    let summary = io.emit_with_ack::<()>("ask", ()).unwrap().await;
    assert_eq!(summary.missing.len(), 1);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn timeout_of_a_broadcast_removes_the_pending_ack_of_every_socket() {
    use futures_util::StreamExt;
    let io = with(ServerConfig::default().max_pending_acks(1));
    let rig = ServerRig::memory(&io);
    let _peers = rig.connect_many(3).await;
    let broadcast = || {
        let timeout = Duration::from_secs(1);
        io.timeout(timeout).emit_with_ack::<()>("ask", ()).unwrap()
    };
    let mut first = broadcast();
    // Each socket has as many as it may have.
    assert_eq!(broadcast().await.missing.len(), 3);
    let refused = |(_, error): &(_, AckError)| matches!(error, AckError::Emit(_));
    assert!(broadcast().await.missing.iter().all(refused));
    assert!(first.next().await.is_none());
    // It is not dropped yet, and stands in nobody's way.
    let again = broadcast().await;
    assert_eq!(again.missing.len(), 3);
    let late = |(_, error): &(_, AckError)| matches!(error, AckError::Timeout);
    assert!(again.missing.iter().all(late), "{again:?}");
    assert_eq!(first.await.missing.len(), 3);
}

#[tokio::test]
async fn broadcast_and_direct_acks_do_not_mix() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    let direct = socket.emit_with_ack::<String>("ask", ());
    let all = io.emit_with_ack::<String>("ask", ()).unwrap();
    let first = peer.text().await;
    let second = peer.text().await;
    assert_ne!(first, second);
    for (event, answer) in [(second, "all"), (first, "direct")] {
        let id = event
            .strip_prefix('2')
            .and_then(|rest| rest.strip_suffix(r#"["ask"]"#))
            .unwrap();
        peer.send(&format!(r#"3{id}["{answer}"]"#)).await;
    }
    assert_eq!(direct.await.unwrap(), "direct");
    assert_eq!(all.await.answers[0].1, "all");
}

#[tokio::test]
async fn reserved_name_is_refused_for_acks_too() {
    let io = server();
    let refused = io.emit_with_ack::<()>("disconnect", ());
    assert!(matches!(refused, Err(EmitError::ReservedName(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_broadcasts_reach_each_receiver_in_the_order_of_each_sender() {
    const SENDERS: usize = 4;
    const EACH: usize = 100;
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peers = rig.connect_many(12).await;
    peers.push(rig.connect_as(Case::POLLING).await);
    let tasks: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let io = io.clone();
            tokio::spawn(async move {
                for n in 0..EACH {
                    match n % 2 {
                        0 => io.emit("x", (sender, n)),
                        _ => batch(|| io.emit("x", (sender, n))),
                    }
                    .expect("a broadcast");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for peer in &mut peers {
        let mut next = [0; SENDERS];
        for _ in 0..SENDERS * EACH {
            let text = peer.text().await;
            let numbers = text
                .strip_prefix(r#"2["x","#)
                .and_then(|rest| rest.strip_suffix(']'));
            let (sender, n) = numbers
                .and_then(|numbers| numbers.split_once(','))
                .expect("two numbers");
            let (sender, n): (usize, usize) = (
                sender.parse().expect("a number"),
                n.parse().expect("a number"),
            );
            assert_eq!(n, next[sender]);
            next[sender] += 1;
        }
        peer.expect_nothing(1).await;
    }
    for task in tasks {
        task.await.expect("a sender");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_broadcast_comes_before_the_welcome() {
    let io = server();
    let rig = ServerRig::tcp(&io).await;
    let casting = {
        let io = io.clone();
        tokio::spawn(async move {
            loop {
                io.emit("x", ()).expect("a broadcast");
                tokio::task::yield_now().await;
            }
        })
    };
    for _ in 0..50 {
        let mut peer = Peer::open(&rig.net, Case::WEBSOCKET).await;
        // Anything else than the welcome fails here.
        peer.join("/").await;
    }
    casting.abort();
}
