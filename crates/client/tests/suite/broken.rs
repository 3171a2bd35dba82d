//! Servers that break the protocol, or the connection. Time is virtual.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use crate::peer::{self, Peer};
use bytes::Bytes;
use sockeye_client::{Args, Client, DisconnectDetail, DisconnectReason, EmitError, Socket};
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
        .on_error(move |_, error| sender.send(format!("{error:#}")).unwrap());
    let (sender, mut heard) = mpsc::unbounded_channel();
    socket.on("late", move || sender.send("late").unwrap());
    socket.connect_lazy();
    // No outline of a packet, a binary packet without its attachment, one out of the blue, none where
    // there must be one, and one that stands in two places.
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    for packets in [
        &["4nonsense"][..],
        &["451-[\"e\",{}]", "42[\"late\"]"],
        &["bAAAA"],
        &["450-[\"late\"]"],
        &[
            &format!(r#"451-["e",{placeholder},{placeholder}]"#),
            "bAAAA",
        ],
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

#[tokio::test(start_paused = true)]
async fn more_attachments_than_peers_take_are_an_error_of_the_emit() {
    let (listener, url) = peer::listen();
    let socket = Client::builder(url).build().unwrap();
    let (sender, mut errors) = mpsc::unbounded_channel();
    socket
        .client()
        .on_error(move |_, error| sender.send(format!("{error:#}")).unwrap());
    socket.on("ask", || vec![Bytes::new(); 11]);
    let refused = |socket: &Socket| {
        let many = vec![Bytes::new(); 11];
        let args = Args::new(&many).unwrap();
        for refused in [socket.emit("e", args), socket.emit("e", many)] {
            let error = refused.unwrap_err();
            let EmitError::Encode(error) = error else {
                panic!("{error}")
            };
            let text = "cannot encode event \"e\": more than 10 attachments";
            assert_eq!(error.to_string(), text);
        }
    };
    // Also before there is a connection.
    refused(&socket);
    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    let_in(&mut peer).await;
    socket.connect().await.unwrap();
    refused(&socket);
    peer.send(r#"421["ask"]"#).await;
    let error = errors.recv().await.unwrap();
    assert!(error.contains("acknowledgement was not sent"), "{error}");
    let refusal = r#"431[{"error":{"message":"internal error"}}]"#;
    assert_eq!(peer.receive().await, refusal);
    // Nor is anything binary that has no bytes.
    socket.binary(true).emit("e", 1).unwrap();
    assert_eq!(peer.receive().await, r#"42["e",1]"#);
    let many = vec![Bytes::from_static(&[1]); 2];
    socket.binary(false).emit("e", &many[..1]).unwrap();
    let text = r#"42["e",[{"type":"Buffer","data":[1]}]]"#;
    assert_eq!(peer.receive().await, text);
}

#[tokio::test(start_paused = true)]
async fn limit_of_attachments_can_be_changed() {
    let (listener, url) = peer::listen();
    let socket = Client::builder(url)
        .config(|config| config.connection(|connection| connection.max_attachments(1)))
        .build()
        .unwrap();
    let two = vec![Bytes::new(); 2];
    assert!(socket.emit("e", &two).is_err());
    socket.connect_lazy();
    let mut peer = Peer::accept(&listener).await;
    let_in(&mut peer).await;
    socket.connect().await.unwrap();
    assert!(socket.emit("e", &two).is_err());
    socket.emit("e", &two[..1]).unwrap();
    let text = r#"451-["e",[{"_placeholder":true,"num":0}]]"#;
    assert_eq!(peer.receive().await, text);
}
