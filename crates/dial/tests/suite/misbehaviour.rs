//! Sessions with servers that fail, fall silent, and break the protocol.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sockeye_dial::ConnectorConfig;
use sockeye_engine::{CloseReason, Message, Revision, SendOptions, TransportKind};
use sockeye_listen::EngineConfig;
use sockeye_testkit::Seen;
use sockeye_websocket::OpCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{
    Ended, OPEN, Peer, accept, accept_websocket, agree, answer, native, open, polling, raw,
    read_head, read_text, send_frame, serve, until, websocket, within,
};

#[tokio::test]
async fn silent_server_is_a_ping_timeout() {
    let (listener, authority) = raw().await;
    let url = format!("tcp://{authority}");
    let (peer, _stream) = tokio::join!(open(ConnectorConfig::default(), &url), native(&listener));
    let peer = peer.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(peer.ended_whenever().await.reason, CloseReason::PingTimeout);
    let waited = begun.elapsed();
    // The interval and the timeout of the open packet, and the time that last words have.
    assert!(waited >= Duration::from_secs(44), "{waited:?}");
    assert!(waited <= Duration::from_secs(52), "{waited:?}");
}

#[tokio::test]
async fn reset_is_a_transport_error() {
    let (listener, authority) = raw().await;
    let url = format!("tcp://{authority}");
    let (peer, stream) = tokio::join!(open(ConnectorConfig::default(), &url), native(&listener));
    let peer = peer.unwrap();
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    let ended = peer.ended().await;
    assert_eq!(ended.reason, CloseReason::TransportError);
    assert!(ended.detail.unwrap().contains("reset"));
}

#[tokio::test]
async fn failed_poll_is_a_transport_error_with_its_status() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let (peer, ()) = tokio::join!(open(polling(), &url), async {
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{OPEN}",
            OPEN.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        answer(&mut stream, "502 Bad Gateway", "sorry").await;
    });
    let ended = peer.unwrap().ended().await;
    assert_eq!(ended.reason, CloseReason::TransportError);
    assert_eq!(ended.detail.as_deref(), Some("xhr poll error: status 502"));
}

#[tokio::test]
async fn failed_upgrade_leaves_the_session_on_polling() {
    let (listener, authority) = raw().await;
    let (mut rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    let server = url.strip_prefix("http://").unwrap().to_owned();
    // In front of the engine stands something that knows no WebSockets.
    let refused = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&refused);
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let (server, count) = (server.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let head = read_head(&mut near).await;
                if head.contains("transport=websocket") {
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(&mut near, "502 Bad Gateway", "").await;
                    return;
                }
                let mut far = TcpStream::connect(server).await.unwrap();
                far.write_all(head.as_bytes()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let mut peer = open(ConnectorConfig::default(), &format!("http://{authority}"))
        .await
        .unwrap();
    let mut server = rig.session().await;
    peer.text("one");
    assert_eq!(peer.seen().await, Seen::Text("one".into()));
    until(|| refused.load(Ordering::SeqCst) == 1).await;
    peer.text("two");
    assert_eq!(peer.seen().await, Seen::Text("two".into()));
    assert_eq!(peer.opened.session.transport(), TransportKind::Polling);
    peer.opened.session.close();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}

/// A client whose application has become unready while a poll was out, and that has been told that it may move to the
/// WebSocket: the listener, the poll's connection, and the WebSocket.
async fn unready_while_it_moves() -> (Peer, TcpListener, TcpStream, TcpStream) {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let (peer, ()) = tokio::join!(open(ConnectorConfig::default(), &url), async {
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        let body = OPEN.replace("[]", r#"["websocket"]"#);
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
        let opened = format!("{head}{length}\r\n\r\n{body}");
        stream.write_all(opened.as_bytes()).await.unwrap();
    });
    let peer = peer.unwrap();
    let (mut poll, mut websocket) = (None, None);
    while poll.is_none() || websocket.is_none() {
        let mut stream = accept(&listener).await;
        let head = read_head(&mut stream).await;
        match head.contains("transport=websocket") {
            true => websocket = Some((stream, head)),
            false => poll = Some(stream),
        }
    }
    peer.set_ready(false);
    let (mut websocket, head) = websocket.unwrap();
    agree(&mut websocket, &head).await;
    assert_eq!(read_text(&mut websocket).await, "2probe");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let turns = peer.polls();
    send_frame(&mut websocket, OpCode::Text, b"3probe").await;
    // It has nothing else to do, so that this is its turn with the answer.
    until(|| peer.polls() > turns).await;
    (peer, listener, poll.unwrap(), websocket)
}

#[tokio::test]
async fn unready_client_still_moves_to_the_websocket() {
    let (peer, _listener, mut poll, mut websocket) = unready_while_it_moves().await;
    answer(&mut poll, "200 OK", "6").await;
    assert_eq!(read_text(&mut websocket).await, "5");
    peer.text("out");
    assert_eq!(read_text(&mut websocket).await, "4out");
}

#[tokio::test]
async fn unready_client_that_cannot_move_yet_still_sends() {
    let (mut peer, listener, mut poll, mut websocket) = unready_while_it_moves().await;
    answer(&mut poll, "200 OK", "4in").await;
    peer.text("out");
    let mut post = accept(&listener).await;
    let head = read_head(&mut post).await;
    assert!(head.starts_with("POST "), "{head}");
    let mut body = [0; 4];
    post.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"4out");
    assert!(peer.is_quiet());
    answer(&mut post, "200 OK", "ok").await;
    peer.set_ready(true);
    assert_eq!(peer.seen().await, Seen::Text("in".into()));
    assert_eq!(read_text(&mut websocket).await, "5");
}

/// How a session on a WebSocket ends after these frames.
async fn after(frames: &[(OpCode, &[u8])]) -> Ended {
    let (listener, authority) = raw().await;
    let url = format!("ws://{authority}");
    let config = websocket().revision(Revision::V4);
    let (peer, _stream) = tokio::join!(open(config, &url), async {
        let mut stream = accept(&listener).await;
        accept_websocket(&mut stream).await;
        send_frame(&mut stream, OpCode::Text, OPEN.as_bytes()).await;
        for (op, payload) in frames {
            send_frame(&mut stream, *op, payload).await;
        }
        stream.shutdown().await.unwrap();
        stream
    });
    peer.unwrap().ended().await
}

#[tokio::test]
async fn undecodable_packet_on_a_websocket_is_a_parse_error() {
    for text in ["", "x", "7", "b!"] {
        let ended = after(&[(OpCode::Text, text.as_bytes())]).await;
        assert_eq!(ended.reason, CloseReason::ParseError, "{text}");
        assert!(ended.detail.unwrap().starts_with("undecodable packet"));
    }
}

#[tokio::test]
async fn undecodable_packet_on_polling_is_a_parse_error() {
    for body in ["", "x", "4hi\u{1e}7"] {
        let (listener, authority) = raw().await;
        let url = format!("http://{authority}");
        let (peer, ()) = tokio::join!(open(polling(), &url), async {
            serve_once(&listener, OPEN).await;
            serve_once(&listener, body).await;
            // The client says goodbye.
            let mut stream = accept(&listener).await;
            assert!(read_head(&mut stream).await.starts_with("POST "));
            answer(&mut stream, "200 OK", "ok").await;
        });
        let ended = peer.unwrap().ended().await;
        assert_eq!(ended.reason, CloseReason::ParseError, "{body}");
        assert!(ended.detail.unwrap().starts_with("undecodable payload"));
    }
}

#[tokio::test]
async fn close_frame_is_told_with_its_code() {
    let ended = after(&[(OpCode::Close, &1011_u16.to_be_bytes())]).await;
    assert_eq!(ended.reason, CloseReason::TransportClose);
    let detail = "websocket connection closed with code 1011";
    assert_eq!(ended.detail.as_deref(), Some(detail));
    let ended = after(&[(OpCode::Close, b"")]).await;
    let detail = "websocket connection closed";
    assert_eq!(ended.detail.as_deref(), Some(detail));
}

#[tokio::test]
async fn close_packet_is_told_as_what_it_is() {
    let ended = after(&[(OpCode::Text, b"1")]).await;
    assert_eq!(ended.reason, CloseReason::TransportClose);
    let detail = "transport closed by the server";
    assert_eq!(ended.detail.as_deref(), Some(detail));
}

#[tokio::test]
async fn end_of_the_stream_is_told_as_what_it_is() {
    let ended = after(&[]).await;
    assert_eq!(ended.reason, CloseReason::TransportClose);
    assert_eq!(ended.detail.as_deref(), Some("the connection ended"));
}

#[tokio::test]
async fn requests_are_no_larger_than_the_server_takes() {
    let config = EngineConfig::default()
        .limits(|limits| limits.max_payload(1000).max_packets_per_payload(10));
    let (mut rig, url) = serve(config, "http://127.0.0.1:0").await;
    let config = polling().limits(|limits| limits.max_packets_per_payload(10));
    let peer = open(config, &url).await.unwrap();
    let mut server = rig.session().await;
    let mut count = 0;
    for size in [0, 1, 100, 300, 480, 600, 990]
        .into_iter()
        .cycle()
        .take(100)
    {
        peer.text(&format!("{count:03}{}", "é".repeat(size / 2)));
        count += 1;
    }
    for expected in 0..count {
        let seen = server.seen().await;
        let Some(Seen::Text(text)) = seen else {
            panic!("{seen:?}")
        };
        assert!(text.starts_with(&format!("{expected:03}")));
    }
    // A packet that is too large by itself is sent all the same.
    peer.text(&"x".repeat(1001));
    let ended = peer.ended().await;
    assert_eq!(ended.reason, CloseReason::TransportError);
    assert_eq!(ended.detail.as_deref(), Some("xhr poll error: status 413"));
}

#[tokio::test]
async fn requests_to_servers_without_a_limit_have_a_million_bytes() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let (peer, head) = tokio::join!(
        async {
            let peer = open(polling(), &url).await.unwrap();
            let text = "x".repeat(400_000);
            peer.send(&[text.clone(), text.clone(), text].map(|text| Message::text(&text)));
            peer
        },
        async {
            serve_once(&listener, OPEN).await;
            let mut streams = [accept(&listener).await, accept(&listener).await];
            let mut heads = [
                read_head(&mut streams[0]).await,
                read_head(&mut streams[1]).await,
            ];
            heads.sort();
            let [_get, post] = heads;
            post
        }
    );
    drop(peer);
    let head = head.to_lowercase();
    assert!(head.starts_with("post "), "{head}");
    // Two packets of 400,001 bytes, and what separates them.
    assert!(head.contains("content-length: 800003\r\n"), "{head}");
}

/// Opens a session that may move to a WebSocket, up to the handshake of that: the client's end, the
/// connection of its GET, and the WebSocket.
async fn upgrading(
    config: ConnectorConfig,
    listener: &TcpListener,
) -> (Peer, TcpStream, TcpStream) {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let open_packet = OPEN.replace("[]", "[\"websocket\"]");
    let (peer, (get, websocket)) = tokio::join!(open(config, &url), async {
        serve_once(listener, &open_packet).await;
        let mut streams = [accept(listener).await, accept(listener).await];
        let mut heads = [
            read_head(&mut streams[0]).await,
            read_head(&mut streams[1]).await,
        ];
        if heads[0].contains("transport=websocket") {
            streams.swap(0, 1);
            heads.swap(0, 1);
        }
        let [get, mut websocket] = streams;
        agree(&mut websocket, &heads[1]).await;
        assert_eq!(read_text(&mut websocket).await, "2probe");
        (get, websocket)
    });
    (peer.unwrap(), get, websocket)
}

#[tokio::test]
async fn probe_that_is_not_answered_leaves_the_session_on_polling() {
    let (listener, _) = raw().await;
    let config = ConnectorConfig::default();
    let (mut peer, mut get, mut websocket) = upgrading(config, &listener).await;
    // The answer to the probe should come first.
    send_frame(&mut websocket, OpCode::Text, b"4too early").await;
    assert_eq!(within(websocket.read(&mut [0; 1])).await.unwrap(), 0);
    answer(&mut get, "200 OK", "4hello").await;
    assert_eq!(peer.seen().await, Seen::Text("hello".into()));
    assert_eq!(peer.opened.session.transport(), TransportKind::Polling);
    assert!(peer.is_quiet());
}

#[tokio::test]
async fn full_outbox_does_not_hold_up_an_upgrade() {
    let (listener, _) = raw().await;
    let config = ConnectorConfig::default().limits(|limits| limits.outbox_limit(1000));
    let (peer, mut get, mut websocket) = upgrading(config, &listener).await;
    peer.text("one");
    let mut post = accept(&listener).await;
    assert!(read_head(&mut post).await.starts_with("POST "));
    let long = "x".repeat(2000);
    peer.text(&long);
    // Both requests have to end before the session moves, and what waits has to wait for that.
    send_frame(&mut websocket, OpCode::Text, b"3probe").await;
    answer(&mut post, "200 OK", "ok").await;
    answer(&mut get, "200 OK", "6").await;
    assert_eq!(read_text(&mut websocket).await, "5");
    assert_eq!(read_text(&mut websocket).await, format!("4{long}"));
}

#[tokio::test]
async fn answer_may_hold_as_many_packets_as_servers_put_there() {
    let (mut rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    let mut peer = open(polling(), &url).await.unwrap();
    let server = rig.session().await;
    let burst: Vec<_> = (0..30_000).map(|n| Message::text(&n.to_string())).collect();
    server.handle.send(&burst, SendOptions::default()).unwrap();
    for n in 0..30_000 {
        assert_eq!(peer.seen().await, Seen::Text(n.to_string()));
    }
}

/// Answers one request of the next connection, and closes that.
async fn serve_once(listener: &TcpListener, body: &str) {
    let mut stream = accept(listener).await;
    read_head(&mut stream).await;
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
}
