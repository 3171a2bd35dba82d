//! The sockets of other servers.

use serde_json::{Value, json};

use super::{Engine, asked, drain, eventually, settled};

/// Sockets are found wherever they are, with their rooms and their data.
///
/// # Panics
///
/// If they are not.
pub async fn sockets_of_all_servers_are_found(engine: &Engine) {
    let nodes = engine.nodes::<3>().await;
    let mut ids = Vec::new();
    let mut peers = Vec::new();
    for node in &nodes {
        let peer = node.peer(&["room"]).await;
        let socket = node.io.socket(&peer.id).expect("it is there");
        let data = json!({ "of": node.name, "list": [1, null, "né"] });
        socket.set_shared_data(&data).expect("it is JSON");
        ids.push(peer.id.clone());
        peers.push((peer, node.peer(&["other"]).await));
    }
    settled(&nodes).await;
    let found = nodes[1].io.to("room").fetch_sockets().await;
    let mut found = found.expect("all answer");
    found.sort_by_key(|socket| ids.iter().position(|id| *id == socket.id()));
    assert_eq!(found.len(), 3);
    for ((socket, id), node) in found.iter().zip(&ids).zip(&nodes) {
        assert_eq!(socket.id(), id);
        assert_eq!(
            *socket.data(),
            json!({ "of": node.name, "list": [1, null, "né"] })
        );
        let mut rooms = socket.rooms().to_vec();
        rooms.sort_unstable_by_key(|room| room != id);
        assert_eq!(rooms, [id.as_str(), "room"]);
        assert!(
            socket.handshake().url.contains("EIO=4"),
            "{:?}",
            socket.handshake().url
        );
    }
    let nobody = nodes[1].io.to("nobody").fetch_sockets().await;
    assert!(nobody.expect("all answer").is_empty());
    assert_eq!(
        nodes[0].io.fetch_sockets().await.expect("all answer").len(),
        6
    );
}

/// Sockets are put into rooms and taken out of them, wherever they are.
///
/// # Panics
///
/// If they are not.
pub async fn sockets_join_and_leave_on_all_servers(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let (mut a, mut b) = (nodes[0].peer(&["red"]).await, nodes[1].peer(&["red"]).await);
    let mut blue = nodes[1].peer(&["blue"]).await;
    settled(&nodes).await;
    nodes[0].io.to("red").sockets_join(["one", "two"]);
    let joined = |room: &'static str| {
        let io = nodes[1].io.clone();
        move || io.to(room).sockets().len()
    };
    let (one, two) = (joined("one"), joined("two"));
    eventually("it has joined", async || one() == 1 && two() == 1).await;
    settled(&nodes).await;
    nodes[0].io.to("one").emit("x", 1).expect("sent");
    settled(&nodes).await;
    for peer in [&mut a, &mut b] {
        let texts = drain(peer).await;
        assert!(
            texts.len() == 1 && texts[0].starts_with(r#"2["x",1"#),
            "{texts:?}"
        );
    }
    assert!(drain(&mut blue).await.is_empty());
    nodes[1].io.except("blue").sockets_leave("one");
    let here = nodes[0].io.clone();
    eventually("it has left", async || here.to("one").sockets().is_empty()).await;
    assert_eq!((one(), two()), (0, 1));
}

/// What is emitted to a room right after sockets were put into it gets to them once, wherever they are.
///
/// # Panics
///
/// If it does not.
pub async fn sockets_hear_what_is_emitted_right_after_they_are_put_into_a_room(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&["all"]).await;
    settled(&nodes).await;
    let io = &nodes[0].io;
    for number in 0..100 {
        let room = format!("room-{number}");
        io.to("all").sockets_join(&*room);
        io.to(&*room).emit("x", number).expect("sent");
        let text = peer.text().await;
        assert!(text.starts_with(&format!(r#"2["x",{number}"#)), "{text}");
    }
    let emitter = engine.emitter();
    for number in 100..110 {
        let room = format!("room-{number}");
        emitter.to("all").sockets_join(&*room);
        emitter.to(&*room).emit("x", number).expect("sent");
        let text = peer.text().await;
        assert!(text.starts_with(&format!(r#"2["x",{number}"#)), "{text}");
    }
    settled(&nodes).await;
    assert!(drain(&mut peer).await.is_empty());
}

/// Sockets are disconnected wherever they are.
///
/// # Panics
///
/// If they are not.
pub async fn sockets_are_disconnected_on_all_servers(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let (mut a, mut b) = (nodes[0].peer(&["out"]).await, nodes[1].peer(&["out"]).await);
    let (mut closed, mut stays) = (nodes[1].peer(&["close"]).await, nodes[1].peer(&[]).await);
    settled(&nodes).await;
    nodes[0].io.to("out").disconnect_sockets();
    a.expect("1").await;
    b.expect("1").await;
    nodes[0].io.to("close").close_sockets();
    closed.ended().await;
    settled(&nodes).await;
    assert!(drain(&mut stays).await.is_empty());
    assert_eq!(
        nodes[0].io.fetch_sockets().await.expect("all answer").len(),
        1
    );
}

/// A socket that was found on another server can be emitted to, and answers.
///
/// # Panics
///
/// If it does not.
pub async fn remote_socket_answers(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&["room"]).await;
    settled(&nodes).await;
    let found = nodes[0].io.to("room").fetch_sockets().await;
    let socket = found.expect("all answer").remove(0);
    socket.emit("x", 1).expect("sent");
    let text = peer.text().await;
    assert!(text.starts_with(r#"2["x",1"#), "{text}");
    let answering = async {
        let id = asked(&mut peer, r#"["q",2]"#).await;
        peer.send(&format!(r#"3{id}[{{"a":[1]}}]"#)).await;
    };
    let (answer, ()) = tokio::join!(socket.emit_with_ack::<Value>("q", 2), answering);
    assert_eq!(answer.expect("it answers"), json!({ "a": [1] }));
    socket.join("new");
    let io = &nodes[1].io;
    eventually("it has joined", async || io.to("new").sockets().len() == 1).await;
    socket.disconnect();
    peer.expect("1").await;
}
