//! The order in which handlers run, and what happens when they do not keep up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::time::Duration;

use bytes::Bytes;
use sockeye_engine_proto::Packet;
use sockeye_server::{Args, Data, Ordering, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig, WebSocket};
use sockeye_websocket::OpCode;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};

const BOTH: [Case; 2] = [Case::POLLING, Case::WEBSOCKET];

fn with(config: ServerConfig) -> Server {
    let io = Server::with_config(config).expect("a valid configuration");
    io.on("echo", |args: Args| args);
    io
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_start_in_order_and_run_up_to_their_first_wait() {
    const EVENTS: usize = 300;
    let io = with(ServerConfig::default().inbox(|inbox| inbox.max_handlers(usize::MAX)));
    let log = Log::new();
    let entries = log.clone();
    let active = Arc::new(AtomicUsize::new(0));
    io.on("n", move |Data(n): Data<usize>| {
        let (log, active) = (entries.clone(), Arc::clone(&active));
        async move {
            // Nobody else may be between these lines: there is no wait.
            assert_eq!(active.fetch_add(1, Atomic::SeqCst), 0, "{n}");
            log.push(n);
            std::thread::yield_now();
            assert_eq!(active.fetch_sub(1, Atomic::SeqCst), 1, "{n}");
            for _ in 0..(n * 7) % 5 {
                tokio::task::yield_now().await;
            }
        }
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        let texts: Vec<_> = (0..EVENTS).map(|n| format!(r#"2["n",{n}]"#)).collect();
        let packets: Vec<_> = texts
            .iter()
            .map(|text| Packet::text(text.as_str()))
            .collect();
        for packets in packets.chunks(50) {
            peer.client.send(packets).await;
        }
        assert_eq!(log.take(EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
        peer.expect_nothing(1).await;
    }
}

#[tokio::test]
async fn events_overlap_after_their_first_wait() {
    let io = with(ServerConfig::default());
    let log = Log::new();
    let entries = log.clone();
    let (open, gate) = watch::channel(false);
    io.on("slow", move |Data(n): Data<u32>| {
        let (log, mut gate) = (entries.clone(), gate.clone());
        async move {
            log.push(format!("begun {n}"));
            let _ = gate.wait_for(|open| *open).await;
            log.push(format!("done {n}"));
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    for n in 0..3 {
        peer.send(&format!(r#"2["slow",{n}]"#)).await;
    }
    assert_eq!(log.take(3).await, ["begun 0", "begun 1", "begun 2"]);
    // Other events go on meanwhile.
    peer.expect_nothing(1).await;
    open.send_replace(true);
    let mut done = log.take(3).await;
    done.sort();
    assert_eq!(done, ["done 0", "done 1", "done 2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn serial_events_do_not_overlap() {
    const EVENTS: usize = 100;
    let io = with(ServerConfig::default().inbox(|inbox| inbox.ordering(Ordering::Serial)));
    let log = Log::new();
    let entries = log.clone();
    let active = Arc::new(AtomicUsize::new(0));
    io.on("n", move |Data(n): Data<usize>| {
        let (log, active) = (entries.clone(), Arc::clone(&active));
        async move {
            assert_eq!(active.fetch_add(1, Atomic::SeqCst), 0, "{n}");
            for _ in 0..(n * 7) % 5 {
                tokio::task::yield_now().await;
            }
            log.push(n);
            assert_eq!(active.fetch_sub(1, Atomic::SeqCst), 1, "{n}");
        }
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        for n in 0..EVENTS {
            peer.send(&format!(r#"2["n",{n}]"#)).await;
        }
        assert_eq!(log.take(EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
        peer.expect_nothing(1).await;
    }
}

/// How a peer goes.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    Namespace,
    OtherNamespace,
    Connection,
}

#[tokio::test]
async fn peer_cannot_make_serial_events_overlap_by_leaving() {
    for leaving in [
        Leaving::Namespace,
        Leaving::OtherNamespace,
        Leaving::Connection,
    ] {
        let io = with(ServerConfig::default().inbox(|inbox| inbox.ordering(Ordering::Serial)));
        let log = Log::new();
        let entries = log.clone();
        let (permits, active) = (Arc::new(Semaphore::new(0)), AtomicUsize::new(0));
        let shared = Arc::new((Arc::clone(&permits), active));
        io.on("n", move |Data(n): Data<u32>| {
            let (log, shared) = (entries.clone(), Arc::clone(&shared));
            async move {
                let (gate, active) = &*shared;
                assert_eq!(active.fetch_add(1, Atomic::SeqCst), 0, "{n}");
                gate.acquire().await.expect("an open gate").forget();
                active.fetch_sub(1, Atomic::SeqCst);
                log.push(n.to_string());
            }
        });
        let entries = log.clone();
        io.on_disconnect(move || entries.push("gone".to_owned()));
        let entries = log.clone();
        io.of("/other")
            .on_disconnect(move || entries.push("gone".to_owned()));
        let rig = ServerRig::tcp(&io).await;
        let mut peer = rig.connect().await;
        peer.join("/other").await;
        for n in 0..5 {
            peer.send(&format!(r#"2["n",{n}]"#)).await;
        }
        match leaving {
            Leaving::Namespace => peer.send("1").await,
            Leaving::OtherNamespace => peer.send("1/other,").await,
            Leaving::Connection => drop(peer),
        }
        assert_eq!(log.next().await, "gone", "{leaving:?}");
        permits.add_permits(5);
        let rest = log.take(5).await;
        let rest: Vec<_> = rest.into_iter().filter(|entry| entry != "gone").collect();
        assert_eq!(rest[..4], ["0", "1", "2", "3"], "{leaving:?}");
    }
}

#[tokio::test]
async fn serial_order_is_of_one_connection_only() {
    let io = with(ServerConfig::default().inbox(|inbox| inbox.ordering(Ordering::Serial)));
    io.on("hang", async || std::future::pending::<()>().await);
    let rig = ServerRig::tcp(&io).await;
    let mut hanging = rig.connect().await;
    hanging.send(r#"2["hang"]"#).await;
    let mut other = rig.connect().await;
    other.expect_nothing(1).await;
}

#[tokio::test]
async fn handlers_beyond_the_limit_wait_for_a_free_one() {
    let io = with(ServerConfig::default().inbox(|inbox| inbox.max_handlers(2)));
    let log = Log::new();
    let entries = log.clone();
    let permits = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&permits);
    io.on("n", move |Data(n): Data<u32>| {
        let (log, gate) = (entries.clone(), Arc::clone(&gate));
        async move {
            log.push(n);
            gate.acquire().await.expect("an open gate").forget();
        }
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.socket(&peer.id).unwrap();
    for n in 0..6 {
        peer.send(&format!(r#"2["n",{n}]"#)).await;
    }
    // An answer overtakes what is queued: it is no event.
    let asked = socket.emit_with_ack::<u8>("ask", ());
    peer.expect(r#"21["ask"]"#).await;
    peer.send("31[7]").await;
    assert_eq!(asked.await.unwrap(), 7);
    assert_eq!(log.rest(), [0, 1]);
    for n in 2..6 {
        permits.add_permits(1);
        assert_eq!(log.next().await, n);
        assert!(log.rest().is_empty());
    }
    permits.add_permits(2);
    peer.expect_nothing(1).await;
}

/// A client sends more than is queued: its sending waits, nothing is lost, and it goes on.
#[tokio::test(start_paused = true)]
async fn full_queue_makes_the_peer_wait() {
    const EVENTS: usize = 500;
    for case in BOTH {
        let config =
            ServerConfig::default().inbox(|inbox| inbox.max_handlers(1).max_queued_events(5));
        let io = with(config);
        let log = Log::virtual_time();
        let entries = log.clone();
        let (open, gate) = watch::channel(false);
        io.on("n", move |Data((n, _)): Data<(usize, String)>| {
            let (log, mut gate) = (entries.clone(), gate.clone());
            async move {
                let _ = gate.wait_for(|open| *open).await;
                log.push(n);
            }
        });
        let rig = ServerRig::memory(&io);
        let mut peer = rig.connect_as(case).await;
        let sending = tokio::spawn(async move {
            let filler = "x".repeat(1000);
            for n in 0..EVENTS {
                peer.send(&format!(r#"2["n",{n},"{filler}"]"#)).await;
            }
            peer
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!sending.is_finished(), "{case:?}: the peer waits");
        assert!(log.rest().is_empty());
        open.send_replace(true);
        assert_eq!(log.take(EVENTS).await, (0..EVENTS).collect::<Vec<_>>());
        let mut peer = sending.await.unwrap();
        peer.expect_nothing(1).await;
    }
}

/// Sends more than any queue here takes: fifty numbers, each with 20 kB.
fn send_large_numbers(mut peer: Peer) -> tokio::task::JoinHandle<Peer> {
    tokio::spawn(async move {
        let filler = "x".repeat(20_000);
        for n in 0..50 {
            peer.send(&format!(r#"2["n",{n},"{filler}"]"#)).await;
        }
        peer
    })
}

#[tokio::test(start_paused = true)]
async fn queue_is_bounded_in_bytes_too() {
    let config =
        ServerConfig::default().inbox(|inbox| inbox.max_handlers(1).max_queued_bytes(100_000));
    let io = with(config);
    let log = Log::virtual_time();
    let entries = log.clone();
    let (open, gate) = watch::channel(false);
    io.on("n", move |Data((n, _)): Data<(usize, String)>| {
        let (log, mut gate) = (entries.clone(), gate.clone());
        async move {
            let _ = gate.wait_for(|open| *open).await;
            log.push(n);
        }
    });
    let rig = ServerRig::memory(&io);
    let sending = send_large_numbers(rig.connect().await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!sending.is_finished(), "the peer waits");
    open.send_replace(true);
    assert_eq!(log.take(50).await, (0..50).collect::<Vec<_>>());
    sending.await.unwrap().expect_nothing(1).await;
}

#[tokio::test]
async fn serial_handler_may_wait_for_an_answer_of_its_own_client() {
    let io = with(ServerConfig::default().inbox(|inbox| inbox.ordering(Ordering::Serial)));
    ask_on_event(&io);
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"27["ask me"]"#).await;
        peer.expect(r#"21["what"]"#).await;
        peer.send(r#"28["echo","after"]"#).await;
        peer.send(r#"31["this"]"#).await;
        peer.expect(r#"37["this"]"#).await;
        peer.expect(r#"38["after"]"#).await;
    }
}

/// The answer that the handler waits for is behind more events than are queued.
#[tokio::test(start_paused = true)]
async fn handler_that_waits_for_an_answer_behind_a_full_queue_does_not_hang_for_ever() {
    for case in BOTH {
        let config = ServerConfig::default()
            .inbox(|inbox| inbox.ordering(Ordering::Serial).max_queued_events(2));
        let io = with(config);
        ask_on_event(&io);
        let ended = Log::virtual_time();
        let entries = ended.clone();
        io.on_disconnect(move || entries.push(()));
        let rig = ServerRig::memory(&io);
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"27["ask me"]"#).await;
        peer.expect(r#"21["what"]"#).await;
        let packets = [
            r#"2["echo",1]"#,
            r#"2["echo",2]"#,
            r#"2["echo",3]"#,
            r#"2["echo",4]"#,
            r#"31["this"]"#,
            r#"28["echo","last"]"#,
        ]
        .map(Packet::text);
        let outcome = async {
            match case.is_polling() {
                true => assert_eq!(peer.client.post_packets(&packets).await.status, 200),
                false => peer.client.send(&packets).await,
            }
            peer.expect(r#"37["this"]"#).await;
            peer.expect(r#"38["last"]"#).await;
        };
        // Either it is answered, or the session ends in bounded time; it must not hang.
        tokio::select! {
            biased;
            () = ended.next() => {}
            () = outcome => {}
            () = tokio::time::sleep(Duration::from_secs(600)) => panic!("{case:?}: it hangs"),
        }
    }
}

fn ask_on_event(io: &Server) {
    io.on("ask me", async |socket: Socket| {
        let answer = socket.emit_with_ack::<String>("what", ()).await;
        answer.map_err(|error| error.to_string())
    });
}

#[tokio::test]
async fn attachments_keep_their_place_among_queued_events() {
    let io = with(ServerConfig::default().inbox(|inbox| inbox.ordering(Ordering::Serial)));
    let log = Log::new();
    let entries = log.clone();
    io.on("n", move |args: Args| {
        let log = entries.clone();
        async move {
            tokio::task::yield_now().await;
            log.push((args.len(), args.attachments().len()));
        }
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2["n"]"#).await;
        peer.send(r#"51-["n",{"_placeholder":true,"num":0}]"#).await;
        peer.send_binary(b"x").await;
        peer.send(r#"2["n",1,2]"#).await;
        assert_eq!(log.take(3).await, [(0, 0), (1, 1), (2, 0)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn emits_of_a_handler_and_of_tasks_keep_their_own_order() {
    const EACH: usize = 200;
    let io = with(ServerConfig::default());
    io.on("go", |socket: Socket| {
        let spawned = socket.clone();
        tokio::spawn(async move {
            for n in 0..EACH {
                spawned.emit("task", n).expect("an emit");
                if n % 10 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
        async move {
            for n in 0..EACH {
                socket.emit("handler", n).expect("an emit");
                if n % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    let rig = ServerRig::tcp(&io).await;
    for case in BOTH {
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2["go"]"#).await;
        let mut next = [0, 0];
        while next != [EACH, EACH] {
            let text = peer.text().await;
            let (who, n) = text
                .strip_prefix(r#"2[""#)
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|rest| rest.split_once(r#"","#))
                .expect("a name and a number");
            let which = usize::from(who == "task");
            assert_eq!(n.parse(), Ok(next[which]), "{text}");
            next[which] += 1;
        }
    }
}

#[tokio::test]
async fn answer_of_a_plain_handler_comes_before_what_follows() {
    let io = with(ServerConfig::default());
    io.on("both", |socket: Socket| {
        socket.emit("first", ()).expect("an emit");
        "second"
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"21["both"]"#).await;
    peer.expect(r#"2["first"]"#).await;
    peer.expect(r#"31["second"]"#).await;
}

/// The peer answers every heartbeat meanwhile, and so is there; the event is not.
#[tokio::test(start_paused = true)]
async fn attachments_that_are_owed_do_not_keep_a_connection() {
    let patience = Duration::from_secs(30);
    for case in BOTH {
        let io = with(ServerConfig::default());
        let log = Log::virtual_time();
        let entries = log.clone();
        io.on("two", move |Data(both): Data<(Bytes, Bytes)>| {
            entries.push(both);
        });
        let rig = ServerRig::memory(&io);
        let mut peer = rig.connect_as(case).await;
        let event = r#"52-["two",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        peer.send(event).await;
        for data in [b"a", b"b"] {
            tokio::time::sleep(patience - Duration::from_secs(11)).await;
            peer.send_binary(data).await;
        }
        assert_eq!(log.next().await, (Bytes::from("a"), Bytes::from("b")));
        peer.send(event).await;
        peer.send_binary(b"a").await;
        let start = tokio::time::Instant::now();
        peer.ended().await;
        let elapsed = start.elapsed();
        assert!(elapsed >= patience, "{case:?}: {elapsed:?}");
        assert!(
            elapsed < patience + Duration::from_secs(6),
            "{case:?}: {elapsed:?}"
        );
    }
}

/// What comes in pieces between attachments is no attachment.
#[tokio::test(start_paused = true)]
async fn heartbeats_and_bytes_do_not_stand_for_an_attachment() {
    let (patience, pause) = (Duration::from_secs(30), Duration::from_secs(7));
    let pong = WebSocket::encoded(OpCode::Text, b"3");
    let attachment = WebSocket::encoded(OpCode::Binary, &[7; 300]);
    let cases: [Vec<&[u8]>; 2] = [
        [&pong[..1], &pong[1..]].repeat(10),
        attachment.chunks(1).collect(),
    ];
    for pieces in cases {
        let io = with(ServerConfig::default());
        let rig = ServerRig::memory(&io);
        let mut peer = rig.connect().await;
        let event = r#"52-["two",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
        peer.send(event).await;
        peer.send_binary(&[7; 1000]).await;
        let mut websocket = peer.client.into_websocket();
        let start = Instant::now();
        for piece in pieces {
            if start.elapsed() + pause > patience {
                break;
            }
            sleep(pause).await;
            websocket.write(piece).await;
        }
        websocket.closed().await;
        let elapsed = start.elapsed();
        assert!(elapsed >= patience, "{elapsed:?}");
        assert!(elapsed < patience + Duration::from_secs(6), "{elapsed:?}");
    }
}

/// An attachment may take its time, as long as it comes.
#[tokio::test(start_paused = true)]
async fn attachment_that_comes_slowly_is_waited_for() {
    let io = with(ServerConfig::default());
    let log = Log::virtual_time();
    let entries = log.clone();
    io.on("one", move |Data((data,)): Data<(Bytes,)>| {
        entries.push(data);
    });
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    peer.send(r#"51-["one",{"_placeholder":true,"num":0}]"#)
        .await;
    let mut websocket = peer.client.into_websocket();
    let attachment = WebSocket::encoded(OpCode::Binary, &[7; 6000]);
    for piece in attachment.chunks(600) {
        sleep(Duration::from_secs(19)).await;
        websocket.write(piece).await;
    }
    assert_eq!(log.next().await, Bytes::from(vec![7; 6000]));
}

#[tokio::test(start_paused = true)]
async fn arguments_of_waiting_handlers_count_for_the_queue() {
    let config = ServerConfig::default().inbox(|inbox| inbox.max_queued_bytes(100_000));
    let io = with(config);
    let log = Log::virtual_time();
    let entries = log.clone();
    let (open, gate) = watch::channel(false);
    io.on("n", move |Data((n, _)): Data<(usize, String)>| {
        let (log, mut gate) = (entries.clone(), gate.clone());
        async move {
            log.push(n);
            let _ = gate.wait_for(|open| *open).await;
        }
    });
    let rig = ServerRig::memory(&io);
    let sending = send_large_numbers(rig.connect().await);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!sending.is_finished(), "the peer waits");
    // One event may go beyond.
    assert_eq!(log.rest(), [0, 1, 2, 3, 4]);
    open.send_replace(true);
    assert_eq!(log.take(45).await, (5..50).collect::<Vec<_>>());
    sending.await.unwrap().expect_nothing(1).await;
}
