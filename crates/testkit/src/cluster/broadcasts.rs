//! Events for sockets.

use bytes::Bytes;

use super::{Engine, drain, settled};

/// A broadcast reaches whom it means on every server, and nobody twice.
///
/// # Panics
///
/// If it does not.
pub async fn broadcasts_reach_the_sockets_of_all_servers_once(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    let mut a = nodes[0].peer(&["all", "a"]).await;
    let mut b = nodes[1].peer(&["all", "b"]).await;
    let mut c = nodes[2].peer(&["all", "c"]).await;
    settled(&nodes).await;
    let io = &nodes[0].io;
    io.emit("x", 1).expect("sent");
    io.to("b").emit("x", 2).expect("sent");
    io.to(["b", "c", "all"]).emit("x", 3).expect("sent");
    io.except("b").emit("x", 4).expect("sent");
    io.to("all").except(["a", "c"]).emit("x", 5).expect("sent");
    io.to(c.id.as_str()).emit("x", 6).expect("sent");
    io.local().emit("x", 7).expect("sent");
    io.volatile().emit("x", 8).expect("sent");
    io.to("nobody").emit("x", 9).expect("sent");
    settled(&nodes).await;
    for (peer, numbers) in [
        (&mut a, vec![1, 3, 4, 7, 8]),
        (&mut b, vec![1, 2, 3, 5, 8]),
        (&mut c, vec![1, 3, 4, 6, 8]),
    ] {
        let mut texts = drain(peer).await;
        // Some engines keep no order between rooms.
        texts.sort_unstable();
        let is_number = |(text, number): (&String, &u8)| {
            let event = format!(r#"2["x",{number}"#);
            text.strip_prefix(&event)
                .is_some_and(|rest| rest.starts_with([',', ']']))
        };
        assert_eq!(
            texts.len(),
            numbers.len(),
            "{texts:?} instead of {numbers:?}"
        );
        assert!(texts.iter().zip(&numbers).all(is_number), "{texts:?}");
    }
}

/// Names of rooms are anything, also what is special to an engine, and what is as long as the id of a socket.
///
/// # Panics
///
/// If one is not.
pub async fn rooms_of_any_name_are_rooms(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let rooms = [
        "a#b",
        "#",
        "*",
        "[a-z]",
        "?",
        "\"quoted\" 'room'",
        "with space",
        "dotted.room.>",
        "\\",
        "né 🐟",
        "\n",
        "01234567890123456789",
        "",
        "-response",
        "{tag}",
    ];
    let mut peer = nodes[1].peer(&rooms).await;
    settled(&nodes).await;
    for room in rooms {
        nodes[0].io.to(room).emit("x", room).expect("sent");
        let text = peer.text().await;
        let name = serde_json::to_string(room).expect("a text is JSON");
        let event = format!(r#"2["x",{name}"#);
        assert!(text.starts_with(&event), "{text} instead of {event}");
    }
    settled(&nodes).await;
    assert_eq!(drain(&mut peer).await, [""; 0]);
}

/// Bytes are bytes on the other server.
///
/// # Panics
///
/// If they are not.
pub async fn bytes_arrive_as_bytes(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let bytes = Bytes::from_static(b"\x00\xff{\"bin");
    for target in [nodes[0].io.all(), nodes[0].io.to("room")] {
        target.emit("x", (1, &bytes, "né")).expect("sent");
        let text = peer.text().await;
        let event = r#"51-["x",1,{"_placeholder":true,"num":0},"né""#;
        assert!(text.starts_with(event), "{text}");
        assert_eq!(peer.binary().await, bytes);
    }
}

/// Also those that an engine has to treat otherwise.
///
/// # Panics
///
/// If one does not arrive, or in another order.
pub async fn messages_of_any_size_arrive(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&[]).await;
    settled(&nodes).await;
    // About 8,000 is where Postgres needs another way; the small ones must not overtake the large ones.
    let sizes = (7700..8100).step_by(7).chain([1, 100_000, 1, 500_000, 1]);
    for size in sizes.clone() {
        let text = "x".repeat(size);
        nodes[0].io.emit("x", text).expect("sent");
    }
    for size in sizes {
        let text = peer.text().await;
        let xs = text.bytes().filter(|byte| *byte == b'x').count();
        // With that of the name; an offset may have some, too.
        assert!(
            (size + 1..size + 20).contains(&xs),
            "{xs} instead of {size}"
        );
    }
}

/// What is emitted in one namespace stays there.
///
/// # Panics
///
/// If it does not.
pub async fn namespaces_are_apart(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    for node in &nodes {
        let _ = node.io.of("/other");
    }
    let mut root = nodes[1].peer(&[]).await;
    let mut other = crate::Peer::open(&nodes[1].rig.net, crate::Case::WEBSOCKET).await;
    other.join("/other").await;
    super::eventually("the namespace is open", async || {
        nodes[0].io.of("/other").server_count().await == 2
    })
    .await;
    settled(&nodes).await;
    nodes[0].io.of("/other").emit("x", 1).expect("sent");
    nodes[0].io.emit("x", 2).expect("sent");
    let text = other.text().await;
    assert!(text.starts_with(r#"2/other,["x",1"#), "{text}");
    let text = root.text().await;
    assert!(text.starts_with(r#"2["x",2"#), "{text}");
    settled(&nodes).await;
    assert_eq!(drain(&mut root).await, [""; 0]);
}

/// What one server emits to one room arrives in its order.
///
/// # Panics
///
/// If it does not.
pub async fn order_of_one_sender_is_kept(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    for number in 0..1000 {
        nodes[0].io.to("room").emit("x", number).expect("sent");
    }
    for number in 0..1000 {
        let text = peer.text().await;
        let event = format!(r#"2["x",{number}"#);
        assert!(text.starts_with(&event), "{text} instead of {number}");
    }
}

/// A server that is settled has been told by its engine of all that it has published before.
///
/// # Panics
///
/// If it has not.
pub async fn settled_server_has_published_all(engine: &Engine) {
    // So many that not all are answered when the last is sent.
    const EVENTS: u64 = 200;
    let nodes = engine.nodes::<2>().await;
    settled(&nodes).await;
    let cluster = nodes[0].io.cluster().expect("it is in a cluster");
    let before = cluster.counts().published;
    for number in 0..EVENTS {
        nodes[0].io.emit("x", number).expect("sent");
    }
    cluster.settled().await;
    let counts = cluster.counts();
    assert!(counts.published >= before + EVENTS, "{counts:?}");
}
