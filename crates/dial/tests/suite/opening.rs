//! Opening sessions: with servers that refuse, that misbehave, and that are very old.

use std::time::Duration;

use http::StatusCode;
use sockeye_dial::{ConnectorConfig, OpenError};
use sockeye_engine::{CloseReason, Dialect, Revision, TransportKind};
use sockeye_listen::EngineConfig;
use sockeye_testkit::Seen;
use sockeye_websocket::OpCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{
    OPEN, Peer, accept, accept_websocket, answer, connector, open, polling, raw, read_head,
    request, send_frame, serve, until, websocket, within,
};

async fn refused(config: ConnectorConfig, url: &str) -> OpenError {
    match open(config, url).await {
        Ok(_) => panic!("it opened a session"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn refusal_of_the_application_has_its_status_and_message() {
    let config = EngineConfig::default().allow_request(async |_| Err("not you".to_owned()));
    let (_rig, url) = serve(config, "http://127.0.0.1:0").await;
    match refused(polling(), &url).await {
        OpenError::Status {
            status,
            code,
            message,
            ..
        } => {
            assert_eq!(status, StatusCode::FORBIDDEN);
            assert_eq!((code, &*message), (Some(4), "not you"));
        }
        other => panic!("{other:?}"),
    }
    match refused(websocket(), &url).await {
        OpenError::Status {
            status,
            code,
            message,
            ..
        } => {
            assert_eq!(status, StatusCode::BAD_REQUEST);
            assert_eq!((code, &*message), (None, "not you"));
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "idna")]
#[tokio::test]
async fn server_sees_the_host_as_resolvers_know_it() {
    let (listener, authority) = raw().await;
    let port = authority.rsplit(':').next().unwrap();
    let url = format!("http://ｌｏｃａｌｈｏｓｔ:{port}");
    let (_failure, head) = tokio::join!(refused(polling(), &url), async {
        let mut stream = accept(&listener).await;
        let head = read_head(&mut stream).await;
        answer(&mut stream, "404 Not Found", "").await;
        head
    });
    let host = format!("\r\nhost: localhost:{port}\r\n");
    assert!(head.contains(&host), "{head}");
}

#[tokio::test]
async fn other_statuses_are_errors_that_name_them() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    for status in ["404 Not Found", "302 Found", "500 Oops", "204 No Content"] {
        let (failure, ()) = tokio::join!(refused(polling(), &url), async {
            let mut stream = accept(&listener).await;
            read_head(&mut stream).await;
            answer(&mut stream, status, "").await;
        });
        let code = &status[..3];
        assert!(failure.to_string().contains(code), "{failure}");
        assert!(failure.is_retryable());
    }
}

#[tokio::test]
async fn server_without_revision_3_is_an_unsupported_protocol() {
    let config = EngineConfig::default().allow_v3(false);
    let (_rig, url) = serve(config, "http://127.0.0.1:0").await;
    for config in [polling(), websocket()] {
        let failure = refused(config.revision(Revision::V3), &url).await;
        assert!(
            matches!(failure, OpenError::UnsupportedRevision),
            "{failure:?}"
        );
    }
}

#[tokio::test]
async fn without_transports_there_is_none_available() {
    let failure = refused(
        ConnectorConfig::default().transports([]),
        "http://localhost",
    )
    .await;
    assert_eq!(failure.to_string(), "No transports available");
    assert!(!failure.is_retryable());
}

#[tokio::test]
async fn other_transports_are_tried_only_if_wanted() {
    let config = EngineConfig::default().transports([TransportKind::WebSocket]);
    let (_rig, url) = serve(config, "http://127.0.0.1:0").await;
    let failure = refused(ConnectorConfig::default(), &url).await;
    assert!(
        matches!(failure, OpenError::Status { code: Some(0), .. }),
        "{failure:?}"
    );
    let config = ConnectorConfig::default().try_all_transports(true);
    let mut peer = open(config, &url).await.unwrap();
    assert_eq!(peer.opened.transport, TransportKind::WebSocket);
    peer.text("hello");
    assert_eq!(peer.seen().await, Seen::Text("hello".into()));
}

#[tokio::test]
async fn transport_that_is_swallowed_leaves_time_for_the_next() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let transports = [TransportKind::WebSocket, TransportKind::Polling];
    let config = ConnectorConfig::default()
        .transports(transports)
        .try_all_transports(true)
        .transport_timeout(Duration::from_millis(20));
    let (opened, swallowed) = tokio::join!(within(open(config, &url)), async {
        // As a proxy that takes the request and never says a word.
        let swallowed = accept(&listener).await;
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        answer(&mut stream, "200 OK", OPEN).await;
        swallowed
    });
    let peer = opened.unwrap();
    assert_eq!(peer.opened.transport, TransportKind::Polling);
    drop(swallowed);
}

#[tokio::test]
async fn last_transport_is_not_cut_short() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let config = websocket()
        .try_all_transports(true)
        .transport_timeout(Duration::ZERO);
    let (failure, ()) = tokio::join!(within(refused(config, &url)), async {
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        answer(&mut stream, "500 Oops", "").await;
    });
    assert!(matches!(failure, OpenError::Status { .. }), "{failure:?}");
}

#[tokio::test]
async fn first_transport_that_is_named_is_begun_with() {
    let (_rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    let (polling, websocket) = (TransportKind::Polling, TransportKind::WebSocket);
    for order in [[polling, websocket], [websocket, polling]] {
        let config = ConnectorConfig::default().transports(order);
        let peer = open(config, &url).await.unwrap();
        assert_eq!(peer.opened.transport, order[0]);
        let session = peer.opened.session.clone();
        until(|| session.transport() == websocket).await;
    }
}

#[tokio::test]
async fn websocket_that_worked_is_begun_with_if_it_is_remembered() {
    let (_rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    for remember in [true, false] {
        let config = ConnectorConfig::default().remember_upgrade(remember);
        let connector = connector(config);
        let first = Peer::open(&connector, &url).await.unwrap();
        assert_eq!(first.opened.transport, TransportKind::Polling);
        let session = first.opened.session.clone();
        until(|| session.transport() == TransportKind::WebSocket).await;
        let second = Peer::open(&connector, &url).await.unwrap();
        assert_eq!(
            second.opened.transport == TransportKind::WebSocket,
            remember
        );
    }
}

#[tokio::test]
async fn query_and_headers_reach_the_server() {
    let (mut rig, url) = serve(EngineConfig::default(), "http://127.0.0.1:0").await;
    for config in [polling(), websocket()] {
        let connector = connector(config.force_base64(true));
        let mut request = request(&format!("{url}/chat?token=a%20b&x=1"))
            .query(vec![("x".to_owned(), "é&2".to_owned())]);
        request.headers.insert("x-who", "me".parse().unwrap());
        let _peer = Peer::open_with(&connector, request).await.unwrap();
        let handshake = rig.session().await.handshake;
        assert_eq!(handshake.query_value("token").as_deref(), Some("a b"));
        assert_eq!(handshake.query_value("x").as_deref(), Some("é&2"));
        assert_eq!(handshake.query_value("EIO").as_deref(), Some("4"));
        assert_eq!(handshake.query_value("b64").as_deref(), Some("1"));
        assert_eq!(handshake.header("x-who"), Some("me"));
        assert!(handshake.url().starts_with("/engine.io/?token="));
    }
}

#[tokio::test]
async fn server_of_revision_3_is_known_by_its_answer() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let (peer, next) = tokio::join!(open(polling(), &url), async {
        let mut stream = accept(&listener).await;
        let head = read_head(&mut stream).await;
        assert!(head.contains("EIO=4"), "{head}");
        let body = format!("{}:{OPEN}2:40", OPEN.len());
        answer(&mut stream, "200 OK", &body).await;
        // The next request may come on the same connection, or on another.
        let mut stream = tokio::select! {
            readable = stream.readable() => {
                readable.unwrap();
                stream
            }
            stream = accept(&listener) => stream,
        };
        (read_head(&mut stream).await, stream)
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V3);
    assert_eq!(peer.opened.sid, "abc");
    assert_eq!(peer.seen().await, Seen::Text("0".into()));
    let (head, mut stream) = next;
    assert!(head.contains("EIO=3&transport=polling&sid=abc"), "{head}");
    // An answer in the binary framing of the oldest servers.
    let body = b"\x00\x03\xff4hi\x01\x03\xff\x04\x0a\x0b";
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 12\r\n\r\n";
    stream.write_all(&[&head[..], body].concat()).await.unwrap();
    assert_eq!(peer.seen().await, Seen::Text("hi".into()));
    assert_eq!(peer.seen().await, Seen::Binary(vec![10, 11]));
}

#[tokio::test]
async fn text_of_revision_4_is_taken_whatever_it_is_called() {
    let (listener, authority) = raw().await;
    let url = format!("http://{authority}");
    let (peer, _stream) = tokio::join!(open(polling(), &url), async {
        let hi = "42[\"hi\"]\u{1e}4next".to_owned();
        for body in [OPEN.to_owned(), hi] {
            let mut stream = accept(&listener).await;
            read_head(&mut stream).await;
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\
                Content-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        // The next GET is left waiting.
        accept(&listener).await
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V4);
    assert_eq!(peer.seen().await, Seen::Text("2[\"hi\"]".into()));
    assert_eq!(peer.seen().await, Seen::Text("next".into()));
}

#[tokio::test]
async fn server_of_revision_3_is_known_by_what_it_sends_first() {
    let (listener, authority) = raw().await;
    let url = format!("ws://{authority}");
    let (peer, _stream) = tokio::join!(open(websocket(), &url), async {
        let mut stream = accept(&listener).await;
        accept_websocket(&mut stream).await;
        send_frame(&mut stream, OpCode::Text, OPEN.as_bytes()).await;
        send_frame(&mut stream, OpCode::Text, b"40").await;
        send_frame(&mut stream, OpCode::Text, b"4next").await;
        stream
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V3);
    assert_eq!(peer.seen().await, Seen::Text("0".into()));
    assert_eq!(peer.seen().await, Seen::Text("next".into()));
}

#[tokio::test]
async fn server_of_revision_3_that_refuses_at_once_is_known_too() {
    let (listener, authority) = raw().await;
    let url = format!("ws://{authority}");
    let (peer, _stream) = tokio::join!(open(websocket(), &url), async {
        let mut stream = accept(&listener).await;
        accept_websocket(&mut stream).await;
        send_frame(&mut stream, OpCode::Text, OPEN.as_bytes()).await;
        send_frame(&mut stream, OpCode::Text, b"44\"not you\"").await;
        stream
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V3);
    assert_eq!(peer.seen().await, Seen::Text("4\"not you\"".into()));
}

#[tokio::test]
async fn server_of_revision_3_is_known_whatever_its_format() {
    let (listener, authority) = raw().await;
    let url = format!("ws://{authority}");
    let (peer, _stream) = tokio::join!(open(websocket(), &url), async {
        let mut stream = accept(&listener).await;
        accept_websocket(&mut stream).await;
        send_frame(&mut stream, OpCode::Text, OPEN.as_bytes()).await;
        // That of socket.io-msgpack-parser.
        send_frame(&mut stream, OpCode::Text, br#"4{"type":0,"nsp":"/"}"#).await;
        stream
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V3);
    assert_eq!(
        peer.seen().await,
        Seen::Text(r#"{"type":0,"nsp":"/"}"#.into())
    );
}

#[tokio::test]
async fn silent_server_without_a_limit_is_of_revision_4() {
    let (listener, authority) = raw().await;
    let url = format!("ws://{authority}");
    let (peer, mut stream) = tokio::join!(open(websocket(), &url), async {
        let mut stream = accept(&listener).await;
        accept_websocket(&mut stream).await;
        send_frame(&mut stream, OpCode::Text, OPEN.as_bytes()).await;
        stream
    });
    let mut peer = peer.unwrap();
    assert_eq!(peer.opened.revision, Revision::V4);
    send_frame(&mut stream, OpCode::Binary, b"\x04data").await;
    assert_eq!(peer.seen().await, Seen::Binary(b"\x04data".to_vec()));
}

#[tokio::test]
async fn undecodable_open_packets_are_errors() {
    let (listener, authority) = raw().await;
    for body in ["", "4hi", "0{}", "0", "x", "0{\"sid\":1}", "\u{1e}"] {
        let url = format!("http://{authority}");
        let (failure, ()) = tokio::join!(refused(polling(), &url), async {
            let mut stream = accept(&listener).await;
            read_head(&mut stream).await;
            answer(&mut stream, "200 OK", body).await;
        });
        assert!(
            matches!(failure, OpenError::Handshake { .. }),
            "{body}: {failure:?}"
        );

        let (failure, _stream) = tokio::join!(refused(websocket(), &url), async {
            let mut stream = accept(&listener).await;
            accept_websocket(&mut stream).await;
            send_frame(&mut stream, OpCode::Text, body.as_bytes()).await;
            stream
        });
        assert!(
            matches!(failure, OpenError::Handshake { .. }),
            "{body}: {failure:?}"
        );

        let url = format!("tcp://{authority}");
        let (failure, _stream) = tokio::join!(refused(ConnectorConfig::default(), &url), async {
            let mut stream = accept(&listener).await;
            let mut frame = Vec::new();
            sockeye_engine_proto::frame::encode_frame(
                &mut frame,
                sockeye_engine_proto::WireKind::Text,
                body.as_bytes(),
            );
            stream.write_all(&frame).await.unwrap();
            stream
        });
        assert!(
            matches!(failure, OpenError::Handshake { .. }),
            "{body}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn server_that_hangs_up_closes_before_the_session_is_open() {
    let (listener, authority) = raw().await;
    for (config, scheme) in [(websocket(), "ws"), (websocket(), "tcp")] {
        let url = format!("{scheme}://{authority}");
        let (failure, ()) = tokio::join!(refused(config, &url), async {
            let mut stream = accept(&listener).await;
            if scheme == "ws" {
                accept_websocket(&mut stream).await;
                send_frame(&mut stream, OpCode::Close, &1011_u16.to_be_bytes()).await;
            } else {
                stream.read_u16().await.unwrap();
            }
        });
        assert!(matches!(failure, OpenError::Closed { .. }), "{failure:?}");
    }
}

#[tokio::test]
async fn native_client_opens_with_two_bytes() {
    let (listener, authority) = raw().await;
    let url = format!("tcp://{authority}/chat");
    let opening = tokio::spawn(async move { open(ConnectorConfig::default(), &url).await.is_ok() });
    let mut stream = accept(&listener).await;
    assert_eq!(stream.read_u16().await.unwrap(), 0x0130);
    assert!(!opening.is_finished());
    // Whoever gives up hangs up.
    opening.abort();
    assert_eq!(within(stream.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn abandoned_opening_over_http_hangs_up() {
    let (listener, authority) = raw().await;
    for config in [polling(), websocket()] {
        let url = format!("http://{authority}");
        let opening = tokio::spawn(async move { open(config, &url).await.is_ok() });
        let mut stream = accept(&listener).await;
        read_head(&mut stream).await;
        opening.abort();
        assert_eq!(within(stream.read(&mut [0; 8])).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn lines_are_spoken_if_asked_for() {
    let (mut rig, url) = serve(EngineConfig::default(), "tcp://127.0.0.1:0").await;
    let config = ConnectorConfig::default().dialect(Dialect::Lines);
    let mut peer = open(config, &url).await.unwrap();
    assert_eq!(peer.opened.dialect, Dialect::Lines);
    assert_eq!(peer.opened.sid, "");
    peer.text("{\"a\":1}\r\n");
    let mut server = rig.session().await;
    assert_eq!(
        server.seen().await,
        Some(Seen::Binary(b"{\"a\":1}".to_vec()))
    );
    server.text("{\"b\":2}\r\n");
    assert_eq!(peer.seen().await, Seen::Binary(b"{\"b\":2}".to_vec()));
    peer.opened.session.close();
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}

#[tokio::test]
async fn client_of_lines_tells_that_the_server_has_closed() {
    let (listener, authority) = raw().await;
    let config = ConnectorConfig::default().dialect(Dialect::Lines);
    let peer = open(config, &format!("tcp://{authority}")).await.unwrap();
    drop(accept(&listener).await);
    let expected = ["the connection ended", "transport closed by the server"];
    assert_eq!(peer.notes().await, expected);
}

/// If both ends waited for the other to read, neither would.
#[tokio::test]
async fn client_of_lines_reads_on_while_its_outbox_is_full() {
    let (listener, authority) = raw().await;
    let config = ConnectorConfig::default()
        .dialect(Dialect::Lines)
        .limits(|limits| limits.outbox_limit(100_000));
    let mut peer = open(config, &format!("tcp://{authority}")).await.unwrap();
    let mut server = accept(&listener).await;
    // More than the system takes over.
    peer.text(&format!("\"{}\"\r\n", "x".repeat(32 * 1024 * 1024)));
    server.write_all(b"{\"a\":1}\n").await.unwrap();
    assert_eq!(peer.seen().await, Seen::Binary(b"{\"a\":1}".to_vec()));
    assert!(peer.opened.session.queued() > 100_000);
}

#[tokio::test]
async fn automatic_dialect_prefers_packets() {
    let (_rig, url) = serve(EngineConfig::default(), "tcp://127.0.0.1:0").await;
    let config = ConnectorConfig::default().dialect(None);
    let peer = open(config, &url).await.unwrap();
    assert_eq!(peer.opened.dialect, Dialect::Packets);
}

/// A driver that waits for a time which is over goes round and round.
#[tokio::test]
async fn client_of_lines_rests_for_a_hundred_days() {
    let (mut rig, url) = serve(EngineConfig::default(), "tcp://127.0.0.1:0").await;
    let config = ConnectorConfig::default().dialect(Dialect::Lines);
    let peer = Peer::open(&connector(config), &url).await.unwrap();
    peer.text("{\"a\":1}\r\n");
    let mut server = rig.session().await;
    assert!(matches!(within(server.seen()).await, Some(Seen::Binary(_))));
    tokio::time::pause();
    let before = peer.polls();
    for days in [1, 49, 50] {
        tokio::time::advance(Duration::from_secs(days * 86_400)).await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    let polls = peer.polls() - before;
    assert!(polls < 20, "{polls} polls, and nothing to do");
    assert!(peer.is_quiet() && peer.opened.session.is_open());
}

#[tokio::test]
async fn refusal_on_a_stream_is_no_reason_to_speak_in_lines() {
    let config = EngineConfig::default().allow_request(async |_| Err("not you".to_owned()));
    let (_rig, url) = serve(config, "tcp://127.0.0.1:0").await;
    for dialect in [Some(Dialect::Packets), None] {
        let config = ConnectorConfig::default().dialect(dialect);
        match refused(config, &url).await {
            OpenError::Refused { code, message } => assert_eq!((code, &*message), (4, "not you")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn automatic_dialect_does_not_take_any_service_for_one_that_speaks_in_lines() {
    let config = ConnectorConfig::default().dialect(None);
    // One that hangs up whatever is said to it, and one that speaks HTTP.
    for answer in ["", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let (listener, authority) = raw().await;
        let service = tokio::spawn(async move {
            loop {
                let mut stream = accept(&listener).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let error = refused(config.clone(), &format!("tcp://{authority}")).await;
        match &error {
            OpenError::Handshake { source } if !answer.is_empty() => {
                let said = source.to_string();
                assert!(said.ends_with("\"HTTP/1.1 400 Bad Request\""), "{said}");
            }
            error => assert!(matches!(error, OpenError::Closed { .. }), "{error:?}"),
        }
        service.abort();
    }
}

#[tokio::test]
async fn automatic_dialect_falls_back_to_lines() {
    // A peer that sends a line, one that hangs up, and one that says nothing.
    for answer in [Some(&b"{\"eventName\":\"hi\"}\r\n"[..]), Some(b""), None] {
        let (listener, authority) = raw().await;
        let config = ConnectorConfig::default().dialect(None);
        let url = format!("tcp://{authority}");
        let (peer, _streams) = tokio::join!(open(config, &url), async {
            let mut first = accept(&listener).await;
            first.read_u16().await.unwrap();
            match answer {
                Some(b"") => drop(first),
                Some(line) => first.write_all(line).await.unwrap(),
                None => {
                    tokio::time::pause();
                    let begun = tokio::time::Instant::now();
                    assert_eq!(first.read(&mut [0; 8]).await.unwrap(), 0);
                    assert!(begun.elapsed() >= Duration::from_secs(3));
                    tokio::time::resume();
                }
            }
            accept(&listener).await
        });
        assert_eq!(peer.unwrap().opened.dialect, Dialect::Lines);
    }
}
