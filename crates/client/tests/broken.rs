//! Servers that break the protocol, or the connection. Time is virtual.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod peer;

use peer::Peer;
use sockeye_client::{Client, DisconnectDetail, DisconnectReason, Socket};
use tokio::sync::mpsc;

/// Tells of the ends of connections.
fn ends(socket: &Socket) -> mpsc::UnboundedReceiver<(String, Option<String>)> {
    let (sender, ends) = mpsc::unbounded_channel();
    socket.on_disconnect(
        move |reason: DisconnectReason, DisconnectDetail(detail): DisconnectDetail| {
            let detail = detail.map(|detail| detail.to_string());
            sender.send((reason.to_string(), detail)).unwrap();
        },
    );
    ends
}

async fn let_in(peer: &mut Peer) {
    assert_eq!(peer.receive().await, "40");
    peer.send(r#"40{"sid":"one"}"#).await;
}

#[tokio::test(start_paused = true)]
async fn packet_that_cannot_be_decoded_ends_the_connection_and_the_client_comes_back() {
    let (listener, url) = peer::listen();
    let socket = Client::builder(url).build().unwrap();
    let mut ends = ends(&socket);
    let (sender, mut errors) = mpsc::unbounded_channel();
    socket
        .client()
        .on_error(move |_, error| sender.send(error.to_string()).unwrap());
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on("late", move || sender.send("late").unwrap());
    socket.connect_lazy();
    // No outline of a packet, a binary packet without its attachment, and one out of the blue.
    for packets in [
        &["4nonsense"][..],
        &["451-[\"e\",{}]", "42[\"late\"]"],
        &["bAAAA"],
    ] {
        let mut peer = Peer::accept(&listener).await;
        let_in(&mut peer).await;
        for packet in packets {
            peer.send(packet).await;
        }
        peer.send(r#"42["late"]"#).await;
        let (reason, _) = ends.recv().await.unwrap();
        assert_eq!(reason, "parse error", "{packets:?}");
        let error = errors.recv().await.unwrap();
        assert!(error.contains("undecodable packet"), "{error}");
        assert!(socket.active() && !socket.connected());
    }
    let mut peer = Peer::accept(&listener).await;
    let_in(&mut peer).await;
    peer.send(r#"42["late"]"#).await;
    // Nothing counts that came behind what broke the connection.
    assert_eq!(heard.recv().await, Some("late"));
    assert!(heard.try_recv().is_err() && socket.connected());
}

#[tokio::test(start_paused = true)]
async fn handlers_of_the_end_hear_what_is_known_of_it() {
    let (listener, url) = peer::listen();
    let socket = Client::builder(url).build().unwrap();
    let mut ends = ends(&socket);
    socket.connect_lazy();
    let mut told = Vec::new();
    for last_words in [None, Some("1"), Some("41")] {
        let mut peer = Peer::accept(&listener).await;
        let_in(&mut peer).await;
        socket.connect().await.unwrap();
        if let Some(packet) = last_words {
            peer.send(packet).await;
        }
        drop(peer);
        told.push(ends.recv().await.unwrap());
    }
    let expected = [
        ("transport close", Some("the connection ended")),
        ("transport close", Some("transport closed by the server")),
        ("io server disconnect", None),
    ];
    let expected = expected.map(|(reason, detail)| (reason.to_owned(), detail.map(str::to_owned)));
    assert_eq!(told, expected);
}
