//! Those who are no servers.

use bytes::Bytes;

use super::{Engine, drain, eventually, settled};
use crate::{Case, Peer};

/// An emitter does all that it can on every server, and is no server itself.
///
/// # Panics
///
/// If it does not.
pub async fn emitter_tells_all_servers(engine: &Engine) {
    let nodes = engine.nodes::<2>().await;
    for node in &nodes {
        let _ = node.io.of("/other");
    }
    let (mut a, mut b) = (
        nodes[0].peer(&["room", "a"]).await,
        nodes[1].peer(&["room"]).await,
    );
    let mut other = Peer::open(&nodes[1].rig.net, Case::WEBSOCKET).await;
    other.join("/other").await;
    eventually("the namespace is open", async || {
        nodes[0].io.of("/other").server_count().await == 2
    })
    .await;
    settled(&nodes).await;
    let emitter = engine.emitter();
    emitter.emit("x", (1, "né")).expect("sent");
    for peer in [&mut a, &mut b] {
        let text = peer.text().await;
        assert!(text.starts_with(r#"2["x",1,"né""#), "{text}");
    }
    emitter
        .to("room")
        .except("a")
        .emit("x", Bytes::from_static(b"\xff"))
        .expect("sent");
    let text = b.text().await;
    assert!(
        text.starts_with(r#"51-["x",{"_placeholder":true,"num":0}"#),
        "{text}"
    );
    assert_eq!(b.binary().await, b"\xff");
    emitter
        .to(b.id.as_str())
        .volatile()
        .compress(false)
        .emit("x", 3)
        .expect("sent");
    assert!(b.text().await.starts_with(r#"2["x",3"#));
    emitter.of("other").emit("x", 4).expect("sent");
    assert!(other.text().await.starts_with(r#"2/other,["x",4"#));
    emitter.server_side_emit("note", (5, [6])).expect("sent");
    for node in &nodes {
        assert_eq!(node.notes.next().await, "5,[6]");
    }
    emitter.to("a").sockets_join("new");
    let io = &nodes[0].io;
    eventually("it has joined", async || io.to("new").sockets().len() == 1).await;
    emitter.sockets_leave("new");
    eventually("it has left", async || io.to("new").sockets().is_empty()).await;
    assert_eq!(io.server_count().await, 2, "it is no server");
    assert_eq!(io.fetch_sockets().await.expect("all answer").len(), 2);
    assert!(drain(&mut a).await.is_empty() && drain(&mut b).await.is_empty());
    emitter.to("a").disconnect_sockets();
    a.expect("1").await;
    emitter.to("room").close_sockets();
    b.ended().await;
    // What was said right before its end gets out.
    emitter.server_side_emit("note", "last").expect("sent");
    emitter.close().await;
    for node in &nodes {
        assert_eq!(node.notes.next().await, r#""last""#);
    }
    assert!(emitter.emit("connect", ()).is_err(), "the name is reserved");
}
