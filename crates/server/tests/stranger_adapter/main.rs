//! Two and three servers whose adapters are a stranger's, joined by channels.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod hub;
mod recovery;
mod store;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};
use sockeye_server::{
    AckError, Answerer, Args, Data, EmitError, EventName, Handshake, Incomplete, Refusal,
    RoomEvent, Server, ServerConfig, ServerSide, ServerSideError, Socket, State,
};
use sockeye_testkit::{Log, Peer, ServerRig};

use hub::Hub;

/// A server with a name, in which sockets can be asked for.
fn server(hub: &Arc<Hub>, name: &'static str) -> Server {
    let io = Server::with_config(ServerConfig::default().cluster(hub.server(name)));
    let io = io.expect("a valid configuration");
    io.state(name);
    io.on("echo", |args: Args| args);
    io.on("join", |socket: Socket, Data(rooms): Data<Vec<String>>| {
        socket.join(rooms);
        true
    });
    io
}

/// Two servers of a cluster, and a peer of each that is in the room `all` and in one named like its server.
async fn two() -> (Arc<Hub>, [ServerRig; 2], [Peer; 2]) {
    let hub = Arc::new(Hub::default());
    let (rigs, peers) = with(&hub).await;
    (hub, rigs, peers)
}

async fn with(hub: &Arc<Hub>) -> ([ServerRig; 2], [Peer; 2]) {
    let rigs = ["a", "b"].map(|name| ServerRig::memory(&server(hub, name)));
    let mut a = rigs[0].connect().await;
    let mut b = rigs[1].connect().await;
    join(&mut a, &["all", "a"]).await;
    join(&mut b, &["all", "b"]).await;
    (rigs, [a, b])
}

async fn join(peer: &mut Peer, rooms: &[&str]) {
    let rooms = serde_json::to_string(rooms).unwrap();
    peer.send(&format!(r#"2777["join",{rooms}]"#)).await;
    peer.expect("3777[true]").await;
}

/// Everything that was sent before has been received by the other servers.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The id under which a peer is asked something.
async fn asked(peer: &mut Peer, event: &str) -> String {
    let text = peer.text().await;
    let id = text.strip_prefix('2').and_then(|id| id.strip_suffix(event));
    id.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test(start_paused = true)]
async fn broadcasts_reach_the_sockets_of_all_servers() {
    let (_hub, [a, b], [mut pa, mut pb]) = two().await;
    a.io.emit("x", 1).unwrap();
    a.io.to("b").emit("x", 2).unwrap();
    b.io.to(["all", "a"]).emit("x", ("né", 3)).unwrap();
    a.io.except("a").emit("x", 4).unwrap();
    a.io.to("all").except(pb.id.as_str()).emit("x", 5).unwrap();
    a.io.to(pb.id.as_str()).emit("x", 6).unwrap();
    a.io.local().emit("x", 7).unwrap();
    let socket = a.io.socket(&pa.id).unwrap();
    socket.broadcast().emit("x", 8).unwrap();
    settled().await;
    // What comes from elsewhere comes later.
    for text in ["1", "5", "7", r#""né",3"#] {
        pa.expect(&format!(r#"2["x",{text}]"#)).await;
    }
    for text in [r#""né",3"#, "1", "2", "4", "6", "8"] {
        pb.expect(&format!(r#"2["x",{text}]"#)).await;
    }
    pa.expect_nothing(1).await;
    pb.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn attachments_and_flags_travel() {
    let (_hub, [a, b], [mut pa, mut pb]) = two().await;
    let log = Log::new();
    let entries = log.clone();
    b.io.on_any_outgoing(move |Data((_, bytes)): Data<(u8, Bytes)>| {
        entries.push(format!("{bytes:?}"));
    });
    a.io.emit("x", (1, Bytes::from_static(b"bin"))).unwrap();
    a.io.all()
        .binary(false)
        .emit("x", (2, Bytes::from_static(b"\x07")))
        .unwrap();
    settled().await;
    for peer in [&mut pa, &mut pb] {
        peer.expect(r#"51-["x",1,{"_placeholder":true,"num":0}]"#)
            .await;
        assert_eq!(peer.binary().await, b"bin");
        peer.expect(r#"2["x",2,{"type":"Buffer","data":[7]}]"#)
            .await;
    }
    assert_eq!(log.next().await, r#"b"bin""#);
    assert_eq!(log.next().await, r#"b"\x07""#);
}

#[tokio::test(start_paused = true)]
async fn servers_without_members_of_a_room_are_left_alone() {
    let (hub, [a, b], [mut pa, mut pb]) = two().await;
    a.io.to("a").emit("x", 1).unwrap();
    a.io.to(["nobody", pa.id.as_str()]).emit("x", 2).unwrap();
    settled().await;
    assert_eq!(hub.delivered.load(Ordering::Relaxed), 0);
    b.io.sockets_join("new");
    settled().await;
    b.io.local().sockets_leave("new");
    b.io.to("new").emit("x", 3).unwrap();
    settled().await;
    a.io.to("new").emit("x", 4).unwrap();
    settled().await;
    assert_eq!(hub.delivered.load(Ordering::Relaxed), 1);
    for text in ["1", "2", "3", "4"] {
        pa.expect(&format!(r#"2["x",{text}]"#)).await;
    }
    pb.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn answers_of_all_servers_are_collected() {
    let (_hub, [a, _b], [mut pa, mut pb]) = two().await;
    let acks = a.io.emit_with_ack::<String>("ask", ()).unwrap();
    let id = asked(&mut pa, r#"["ask"]"#).await;
    pa.send(&format!(r#"3{id}["from a"]"#)).await;
    let id = asked(&mut pb, r#"["ask"]"#).await;
    pb.send(&format!(r#"3{id}["from b","ignored"]"#)).await;
    let mut summary = acks.await;
    assert!(summary.missing.is_empty() && summary.missing_servers == 0);
    summary.answers.sort_by(|(_, a), (_, b)| a.cmp(b));
    let [(local, from_a), (remote, from_b)] = &summary.answers[..] else {
        panic!("{summary:?}")
    };
    assert_eq!([from_a, from_b], ["from a", "from b"]);
    assert_eq!(local.socket(), a.io.socket(&pa.id).as_ref());
    assert_eq!(remote, &Answerer::Remote(Some(pb.id.as_str().into())));
    // Nobody is there, on any server.
    let summary =
        a.io.to("nobody")
            .emit_with_ack::<u8>("ask", ())
            .unwrap()
            .await;
    assert!(summary.answers.is_empty() && summary.missing.is_empty());
    // And those of this server only.
    let acks = a.io.local().emit_with_ack::<u8>("ask", ()).unwrap();
    assert_eq!(acks.pending(), 1);
    pb.expect_nothing(1).await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_told_by_kind() {
    let (hub, [a, b], [mut pa, mut pb]) = two().await;
    let _c = ServerRig::memory(&server(&hub, "c"));
    let mut silent = b.connect().await;
    let second = Duration::from_secs(1);
    // One leaves, one answers nonsense, one is silent, and a server says nothing at all.
    hub.freeze("c");
    let mut acks = a.io.timeout(second).emit_with_ack::<u8>("ask", ()).unwrap();
    asked(&mut pb, r#"["ask"]"#).await;
    pb.send("1").await;
    let (who, answer) = acks.next().await.unwrap();
    assert_eq!(who.id(), Some(pb.id.as_str()));
    assert!(matches!(answer, Err(AckError::Disconnected)), "{answer:?}");
    let id = asked(&mut pa, r#"["ask"]"#).await;
    pa.send(&format!(r#"3{id}["text"]"#)).await;
    let (_, answer) = acks.next().await.unwrap();
    assert!(matches!(answer, Err(AckError::Args(_))), "{answer:?}");
    assert_eq!(acks.pending(), 1);
    let start = tokio::time::Instant::now();
    let summary = acks.await;
    assert!(start.elapsed() <= second);
    assert!(summary.answers.is_empty());
    let [(who, AckError::Timeout)] = &summary.missing[..] else {
        panic!("{summary:?}")
    };
    assert_eq!(who, &Answerer::Remote(None));
    assert_eq!(summary.missing_servers, 1);
    asked(&mut silent, r#"["ask"]"#).await;
}

#[tokio::test(start_paused = true)]
async fn server_that_dies_ends_what_waits_for_it() {
    let (hub, [a, _b], [mut pa, _pb]) = two().await;
    let _c = ServerRig::memory(&server(&hub, "c"));
    hub.freeze("c");
    let start = tokio::time::Instant::now();
    let acks = a.io.emit_with_ack::<u8>("ask", ()).unwrap();
    let id = asked(&mut pa, r#"["ask"]"#).await;
    pa.send(&format!("3{id}[7]")).await;
    settled().await;
    // The one has said that it has a socket, the other has said nothing.
    hub.kill("b");
    hub.kill("c");
    let summary = acks.await;
    assert_eq!(summary.answers.len(), 1);
    assert_eq!(summary.missing_servers, 1);
    let [(Answerer::Remote(None), AckError::Disconnected)] = &summary.missing[..] else {
        panic!("{summary:?}")
    };
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(a.io.server_count().await, 1);
    assert_eq!(a.io.fetch_sockets().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sockets_of_all_servers_are_fetched_with_their_details() {
    let (_hub, [a, b], [pa, mut pb]) = two().await;
    b.io.on("name", |socket: Socket, Data(name): Data<String>| {
        assert_eq!(socket.shared_data(), None);
        socket.set_shared_data(json!({ "name": name }))
    });
    pb.send(r#"21["name","Bert"]"#).await;
    pb.expect("31[]").await;
    let mut sockets = a.io.fetch_sockets().await.unwrap();
    assert_eq!(sockets[0].id(), pa.id, "those of this server come first");
    assert_eq!(sockets[0].data(), &json!({}));
    let bert = sockets.pop().unwrap();
    assert_eq!((bert.id(), sockets.len()), (pb.id.as_str(), 1));
    assert_eq!(bert.data(), &json!({ "name": "Bert" }));
    let rooms: BTreeSet<_> = bert.rooms().iter().map(String::as_str).collect();
    assert_eq!(rooms, BTreeSet::from([pb.id.as_str(), "all", "b"]));
    let handshake = bert.handshake();
    assert!(
        handshake.url.starts_with("/socket.io/?EIO=4"),
        "{}",
        handshake.url
    );
    assert_eq!(handshake.query["transport"], "websocket");
    assert_eq!(handshake.headers["upgrade"], "websocket");
    assert!(handshake.time.ends_with("GMT") && handshake.issued > 0);
    let ids = |sockets: Vec<sockeye_server::RemoteSocket>| -> Vec<String> {
        sockets
            .iter()
            .map(|socket| socket.id().to_owned())
            .collect()
    };
    assert_eq!(
        ids(a.io.to("b").fetch_sockets().await.unwrap()),
        [pb.id.as_str()]
    );
    assert_eq!(
        ids(a.io.local().fetch_sockets().await.unwrap()),
        [pa.id.as_str()]
    );
    assert_eq!(
        ids(a.io.except("a").fetch_sockets().await.unwrap()),
        [pb.id.as_str()]
    );
    let sockets = a.io.sockets();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
}

#[tokio::test(start_paused = true)]
async fn details_have_the_form_of_nodes_servers() {
    let hub = Arc::new(Hub::default());
    let io = server(&hub, "a");
    io.of("/chat")
        .on_connect(|socket: Socket, handshake: Handshake| {
            assert_eq!(handshake.auth_json(), r#"{"token":1}"#);
            socket.set_shared_data(7)
        });
    let rig = ServerRig::memory(&io);
    let mut peer = rig.connect().await;
    peer.join_with("/chat", r#"{"token":1}"#).await;
    let [socket] = &io.of("/chat").fetch_sockets().await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(
        (socket.data(), &socket.handshake().auth),
        (&json!(7), &json!({ "token": 1 }))
    );
    // What another kind of server says more is kept, and what it does not say is left empty.
    let text = r#"{"id":"x","handshake":{"auth":{},"session":5},"rooms":["x"],"data":{"k":1}}"#;
    let details: sockeye_adapter::SocketDetails = serde_json::from_str(text).unwrap();
    assert_eq!(details.handshake.other["session"], 5);
    let back: Value = serde_json::to_value(&details).unwrap();
    assert_eq!(back["handshake"]["session"], 5);
    assert_eq!(back["handshake"]["address"], "");
}

#[tokio::test(start_paused = true)]
async fn remote_sockets_can_be_told_moved_and_disconnected() {
    let (_hub, [a, b], [mut pa, mut pb]) = two().await;
    for (room, peer) in [("a", &mut pa), ("b", &mut pb)] {
        let [socket] = &a.io.to(room).fetch_sockets().await.unwrap()[..] else {
            panic!("one")
        };
        socket.emit("hello", room).unwrap();
        peer.expect(&format!(r#"2["hello","{room}"]"#)).await;
        let asking = socket.timeout(Duration::from_secs(2));
        let answer = tokio::spawn(async move { asking.emit_with_ack::<u8>("ask", 1).await });
        let id = asked(peer, r#"["ask",1]"#).await;
        peer.send(&format!("3{id}[9]")).await;
        assert_eq!(answer.await.unwrap().unwrap(), 9);
        let late = socket.timeout(Duration::from_secs(2));
        let late = late.emit_with_ack::<u8>("late", ()).await;
        assert!(matches!(late, Err(AckError::Timeout)), "{late:?}");
        asked(peer, r#"["late"]"#).await;
        socket.join(["moved", "away"]);
        socket.leave("all");
        settled().await;
        let io = if room == "a" { &a.io } else { &b.io };
        let rooms: BTreeSet<_> = io
            .socket(socket.id())
            .unwrap()
            .rooms()
            .into_iter()
            .collect();
        let expected = [socket.id(), room, "moved", "away"].map(str::to_owned);
        assert_eq!(rooms, BTreeSet::from(expected));
        socket.disconnect();
        peer.expect("1").await;
        let gone = socket.emit_with_ack::<u8>("ask", 1).await;
        assert!(matches!(gone, Err(AckError::Disconnected)), "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn joins_leaves_and_disconnects_reach_all_servers() {
    let (_hub, [a, b], [mut pa, mut pb]) = two().await;
    a.io.to("all").sockets_join(["one", "two"]);
    a.io.except("a").sockets_leave("two");
    a.io.local().sockets_join("three");
    settled().await;
    assert_eq!(a.io.to("one").fetch_sockets().await.unwrap().len(), 2);
    assert_eq!(b.io.to("two").fetch_sockets().await.unwrap()[0].id(), pa.id);
    assert_eq!(b.io.to("three").fetch_sockets().await.unwrap().len(), 1);
    b.io.to("a").disconnect_sockets();
    pa.expect("1").await;
    a.io.close_sockets();
    pb.expect("1").await;
    pb.ended().await;
    assert!(a.io.fetch_sockets().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn servers_emit_to_each_other() {
    let (hub, [a, b], _peers) = two().await;
    let c = server(&hub, "c");
    let log = Log::new();
    for io in [&a.io, &b.io, &c] {
        let entries = log.clone();
        io.server_side().on(
            "note",
            move |State(name): State<&'static str>, Data((text, bytes)): Data<(String, Bytes)>| {
                entries.push(format!("{name}: {text} {bytes:?}"));
            },
        );
        io.server_side().on(
            "who",
            async |from: ServerSide, State(name): State<&'static str>, io: Server| {
                tokio::time::sleep(Duration::from_millis(10)).await;
                format!("{name}{} {}", from.namespace(), io.sockets().len())
            },
        );
    }
    a.io.server_side_emit("note", ("né", Bytes::from_static(b"1")))
        .unwrap();
    let mut notes = [log.next().await, log.next().await];
    notes.sort();
    assert_eq!(notes, [r#"b: né b"1""#, r#"c: né b"1""#]);
    let mut names =
        a.io.server_side_emit_with_ack::<String>("who", ())
            .await
            .unwrap();
    names.sort();
    assert_eq!(names, ["b/ 1", "c/ 0"]);
    // In another namespace nobody else is.
    let alone = a.io.of("/alone");
    assert!(
        alone
            .server_side_emit_with_ack::<u8>("who", ())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        (a.io.server_count().await, alone.server_count().await),
        (3, 1)
    );
    let reserved = a.io.server_side_emit("new_namespace", ());
    assert!(
        matches!(reserved, Err(EmitError::ReservedName(_))),
        "{reserved:?}"
    );
    // Whoever has no handler does not answer.
    assert_eq!(c.server_side().off("who"), 1);
    let answers = a.io.server_side_emit_with_ack::<String>("who", ()).await;
    let Err(ServerSideError::Incomplete(Incomplete {
        answers,
        missing: 1,
    })) = answers
    else {
        panic!("{answers:?}")
    };
    assert_eq!(answers, ["b/ 1"]);
    // And an answer may be a refusal.
    c.server_side()
        .on("who", || Err::<String, _>(Refusal::new("not now")));
    let refused = a.io.server_side_emit_with_ack::<String>("who", ()).await;
    let Err(ServerSideError::Answer(AckError::Refused(refusal))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(refusal.message(), "not now");
}

#[tokio::test(start_paused = true)]
async fn handlers_of_other_servers_events_are_as_those_of_peers() {
    let (_hub, [a, b], _peers) = two().await;
    let log = Log::new();
    let note = |text: &'static str| {
        let entries = log.clone();
        move |EventName(name): EventName| entries.push(format!("{text} {name}"))
    };
    let handlers = b.io.server_side();
    let every = handlers.on_any(note("every")).id();
    let kept = handlers.once("x", note("once")).on("x", note("kept")).id();
    for _ in 0..2 {
        a.io.server_side_emit("x", ()).unwrap();
    }
    for expected in ["every x", "once x", "kept x", "every x", "kept x"] {
        assert_eq!(log.next().await, expected);
    }
    assert_eq!(handlers.listeners("x"), [kept]);
    assert!(handlers.remove_listener(every) && handlers.remove_listener(kept));
    a.io.server_side_emit("x", ()).unwrap();
    handlers.on("y", note("last"));
    a.io.server_side_emit("y", ()).unwrap();
    assert_eq!(log.next().await, "last y");
}

#[tokio::test(start_paused = true)]
async fn server_that_says_nothing_makes_fetching_incomplete() {
    let (hub, [a, _b], [_pa, pb]) = two().await;
    let _c = server(&hub, "c");
    hub.freeze("c");
    let start = tokio::time::Instant::now();
    let second = Duration::from_secs(1);
    let Err(Incomplete { answers, missing }) = a.io.timeout(second).fetch_sockets().await else {
        panic!("one is missing")
    };
    assert_eq!((answers.len(), missing), (2, 1));
    assert!(answers.iter().any(|socket| socket.id() == pb.id));
    assert_eq!(start.elapsed(), second);
}

#[tokio::test(start_paused = true)]
async fn adapter_may_deliver_a_broadcast_later_and_changed() {
    let hub = Arc::new(Hub::with_log());
    let ([a, _b], [mut pa, mut pb]) = with(&hub).await;
    a.io.emit("x", 1).unwrap();
    a.io.local().emit("x", 2).unwrap();
    pa.expect(r#"2["x",2]"#).await;
    for peer in [&mut pa, &mut pb] {
        peer.expect(r#"2["x",1,"offset"]"#).await;
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_closes_leaves_the_cluster() {
    let (_hub, [a, b], [mut pa, mut pb]) = two().await;
    assert_eq!(a.io.server_count().await, 2);
    b.io.close().await;
    pb.ended().await;
    assert_eq!(a.io.server_count().await, 1);
    a.io.emit("x", 1).unwrap();
    pa.expect(r#"2["x",1]"#).await;
    assert_eq!(a.io.fetch_sockets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn server_alone_does_it_all_by_itself() {
    let io = Server::new();
    let log = Log::new();
    let entries = log.clone();
    io.on_room_event(move |event| {
        entries.push(match event {
            RoomEvent::Created { room } => format!("+{room}"),
            RoomEvent::Joined { room, .. } => format!(">{room}"),
            RoomEvent::Left { room, .. } => format!("<{room}"),
            RoomEvent::Deleted { room } => format!("-{room}"),
            _ => String::new(),
        });
    });
    let rig = ServerRig::memory(&io);
    let peer = rig.connect().await;
    assert_eq!(io.server_count().await, 1);
    io.server_side_emit("note", 1).unwrap();
    assert!(
        io.server_side_emit_with_ack::<u8>("note", 1)
            .await
            .unwrap()
            .is_empty()
    );
    let [socket] = &io.fetch_sockets().await.unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(socket.id(), peer.id);
    socket.join("room");
    socket.leave("room");
    io.sockets_join("other");
    socket.close();
    let id = &peer.id;
    let expected = [
        format!("+{id}"),
        format!(">{id}"),
        "+room".to_owned(),
        ">room".to_owned(),
        "<room".to_owned(),
        "-room".to_owned(),
        "+other".to_owned(),
        ">other".to_owned(),
        "<other".to_owned(),
        "-other".to_owned(),
        format!("<{id}"),
        format!("-{id}"),
    ];
    for entry in expected {
        assert_eq!(log.next().await, entry);
    }
}
