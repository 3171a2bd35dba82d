//! What goes wrong on bare streams, and who hears of it.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::sync::Arc;

use sockeye_server::{
    Args, DisconnectReason, EmitError, EventError, EventErrorKind, EventName, Next, Refusal,
    Server, Socket,
};
use sockeye_testkit::{Case, Log, ServerRig, StreamPeer as Peer};

/// A server whose sockets refuse the event `secret`.
fn server() -> (Server, Log<String>) {
    let io = Server::new();
    for name in ["/", "/admin"] {
        io.of(name).on_connect(|socket: Socket| {
            socket.middleware(|name: EventName| match name.0.as_str() {
                "secret" => Next::Refuse(Refusal::new("not yours").with_data(7)),
                _ => Next::Pass,
            });
        });
    }
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_error(move |_, error| note.push(format!("{error:#}")));
    let note = log.clone();
    io.on("hello", move || note.push("hello".to_owned()));
    (io, log)
}

async fn native(io: &Server) -> Peer {
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.open().await;
    peer
}

#[tokio::test]
async fn refusals_reach_native_peers_that_asked_for_no_acknowledgement() {
    let (io, log) = server();
    let mut peer = native(&io).await;
    peer.send_text(r#"42["secret"]"#).await;
    let refusal = r#"{"message":"not yours","data":7}"#;
    assert_eq!(peer.text().await, format!("44{refusal}"));
    peer.send_text("40/admin,").await;
    assert!(peer.text().await.starts_with("40/admin,"));
    peer.send_text(r#"42/admin,["secret"]"#).await;
    assert_eq!(peer.text().await, format!("44/admin,{refusal}"));
    // Who waits for an answer has it there, and nobody has lost anything.
    peer.send_text(r#"421["secret"]"#).await;
    assert_eq!(peer.text().await, format!(r#"431[{{"error":{refusal}}}]"#));
    peer.send_text(r#"42["hello"]"#).await;
    while log.next().await != "hello" {}
}

#[tokio::test]
async fn refusals_do_not_reach_peers_that_would_take_them_for_the_end() {
    for case in [Case::WEBSOCKET, Case::POLLING] {
        let (io, _log) = server();
        io.on("echo", |args: Args| args);
        let rig = ServerRig::tcp(&io).await;
        let mut peer = rig.connect_as(case).await;
        peer.send(r#"2["secret"]"#).await;
        peer.expect_nothing(2).await;
    }
}

#[tokio::test]
async fn native_peers_report_errors_to_the_server() {
    let (io, log) = server();
    let mut peer = native(&io).await;
    peer.send_text(r#"44{"message":"no","data":1}"#).await;
    assert_eq!(log.next().await, r#"event "error": the peer refused: no"#);
    peer.send_text(r#"42["hello"]"#).await;
    assert_eq!(log.next().await, "hello");
}

#[tokio::test]
async fn error_is_no_event_between_native_peers() {
    let (io, log) = server();
    let note = log.clone();
    io.on("error", move || note.push("dispatched".to_owned()));
    let note = log.clone();
    io.on("emit", move |socket: Socket| {
        let refused = socket.emit("error", 1);
        assert!(matches!(refused, Err(EmitError::ReservedName(_))));
        note.push("refused".to_owned());
    });
    let mut peer = native(&io).await;
    peer.send_text(r#"42["error","mine"]"#).await;
    let reported = log.next().await;
    assert!(reported.contains("reserved"), "{reported}");
    peer.send_text(r#"42["emit"]"#).await;
    assert_eq!(log.next().await, "refused");
    // A broadcast reaches those only who can be told.
    io.emit("error", 2).unwrap();
    io.emit("next", 3).unwrap();
    assert_eq!(peer.text().await, r#"42["next",3]"#);
}

#[tokio::test]
async fn error_is_an_event_like_any_other_in_browsers() {
    let (io, log) = server();
    let note = log.clone();
    io.on_connect(move |socket: Socket| {
        let note = note.clone();
        socket.on("error", move |error: Arc<EventError>| match error.kind() {
            EventErrorKind::Peer(refusal) => note.push(refusal.message().to_owned()),
            other => note.push(format!("unexpected {other}")),
        });
    });
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    peer.send(r#"2["error","mine"]"#).await;
    assert_eq!(log.next().await, "mine");
    peer.send(r#"2["error",{"message":"ours","data":1}]"#).await;
    assert_eq!(log.next().await, "ours");
    io.emit("error", 2).unwrap();
    peer.expect(r#"2["error",2]"#).await;
}

#[tokio::test]
async fn sockets_are_told_of_their_own_errors() {
    let io = Server::new();
    let log = Log::<String>::new();
    let note = log.clone();
    io.on("watch", move |socket: Socket| {
        let (first, later) = (note.clone(), note.clone());
        socket.once("error", move |error: Arc<EventError>| {
            first.push(format!("once {error:#}"));
        });
        socket.on("error", move |error: Arc<EventError>| {
            let later = later.clone();
            async move {
                tokio::task::yield_now().await;
                later.push(format!("{error:#}"));
                // What goes wrong here is not told here again.
                Err::<(), _>("once more")
            }
        });
    });
    io.on("fail", || Err::<(), _>("no"));
    let note = log.clone();
    io.on_error(move |_, error| note.push(format!("hook {error:#}")));
    let mut watcher = native(&io).await;
    watcher.send_text(r#"42["watch"]"#).await;
    let mut other = native(&io).await;
    other.send_text(r#"42["fail"]"#).await;
    let failed = r#"hook event "fail": the handler failed: no"#;
    assert_eq!(log.next().await, failed);
    for text in [r#"42["fail"]"#, r#"44{"message":"mine"}"#] {
        watcher.send_text(text).await;
    }
    let mut told = log.take(7).await;
    told.sort();
    let mut expected = [
        r#"once event "fail": the handler failed: no"#,
        failed,
        r#"event "fail": the handler failed: no"#,
        r#"hook event "error": the handler failed: once more"#,
        r#"hook event "error": the peer refused: mine"#,
        r#"event "error": the peer refused: mine"#,
        r#"hook event "error": the handler failed: once more"#,
    ];
    expected.sort_unstable();
    assert_eq!(told, expected);
}

/// Whoever closes, and however: the end of the connection is told once.
#[tokio::test]
async fn close_is_told_after_every_kind_of_disconnection() {
    for way in [
        "close",
        "disconnect",
        "leave",
        "peer leaves",
        "peer leaves, plain",
    ] {
        let io = Server::new();
        let log = Log::<String>::new();
        let note = log.clone();
        io.on_disconnect(move |reason: DisconnectReason| note.push(reason.to_string()));
        let note = log.clone();
        io.on_close(move |reason: DisconnectReason| note.push(format!("close {reason}")));
        io.on("close me", |socket: Socket| socket.close());
        io.on("disconnect me", |socket: Socket| socket.close());
        io.on("leave me", |socket: Socket| socket.disconnect());
        let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
        let mut peer = Peer::tcp(&listener).await;
        if way == "peer leaves, plain" {
            peer.write("{}\n").await;
            while io.sockets().is_empty() {
                tokio::task::yield_now().await;
            }
        } else {
            peer.open().await;
        }
        let reason = match way {
            "peer leaves, plain" => DisconnectReason::TransportClose,
            "peer leaves" => {
                peer.send_text("41").await;
                DisconnectReason::ClientNamespaceDisconnect
            }
            way => {
                peer.send_text(&format!(r#"42["{way} me"]"#)).await;
                DisconnectReason::ServerNamespaceDisconnect
            }
        };
        if way != "peer leaves, plain" {
            assert_eq!(log.next().await, reason.to_string(), "{way}");
        }
        drop(peer);
        if way == "peer leaves, plain" {
            assert_eq!(log.next().await, reason.to_string(), "{way}");
        }
        assert_eq!(log.next().await, format!("close {reason}"), "{way}");
        while io.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(log.rest().is_empty(), "{way}");
    }
}

#[tokio::test]
async fn close_is_told_to_the_last_stay_in_each_namespace() {
    let io = Server::new();
    let log = Log::<String>::new();
    for name in ["/", "/other"] {
        let note = log.clone();
        io.of(name)
            .on_close(move |socket: Socket| note.push(socket.id().to_owned()));
    }
    let mut peer = native(&io).await;
    let mut last = String::new();
    for _ in 0..3 {
        peer.send_text("41").await;
        peer.send_text("40").await;
        last = peer.text().await;
    }
    peer.send_text("40/other,").await;
    let other = peer.text().await;
    peer.send_text("41/other,").await;
    peer.send_text("41").await;
    while !io.of("/other").sockets().is_empty() || !io.sockets().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(peer);
    let told = log.take(2).await;
    assert!(other.contains(&told[0]), "{told:?}");
    assert!(last.contains(&told[1]), "{told:?}");
    assert!(log.rest().is_empty());
}
