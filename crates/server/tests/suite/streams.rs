//! Bare streams: both dialects of one listener, beside each other and beside HTTP.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::time::Duration;

use sockeye_server::{
    AckError, Args, BadLines, Data, DisconnectReason, EmitError, EventName, Handshake, ListenError,
    ListenOptions, Listener, Namespace, Next, Refusal, Server, ServerConfig, Socket, TransportKind,
};
use sockeye_socket_proto::lines::RESERVED_LINE_EVENTS;
use sockeye_testkit::{Case, Log, ServerRig, SocketDir as Dir, StreamPeer as Peer};
use tokio::net::UnixStream;

fn echo(io: &Namespace) {
    io.on("echo", |socket: Socket, args: Args| {
        socket.emit("echo", args)
    });
    io.on("sum", |Data(numbers): Data<Vec<i64>>| {
        numbers.iter().sum::<i64>()
    });
}

async fn server(dir: &Dir) -> (Server, Listener) {
    let io = Server::new();
    echo(&io);
    let listener = io.listen(dir.url()).await.unwrap();
    (io, listener)
}

#[tokio::test]
async fn lines_carry_events_and_acknowledgements() {
    let dir = Dir::new("lines");
    let (_io, _listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"echo\",\"args\":[1,{\"a\":\"é😀\"},null]}\r\n")
        .await;
    let line = peer.line().await.unwrap();
    assert_eq!(
        line,
        r#"{"eventName":"echo","args":[1,{"a":"\u00e9\ud83d\ude00"},null]}"#
    );
    peer.write("{\"eventName\":\"sum\",\"args\":[[1,2,3]],\"id\":7}\n")
        .await;
    assert_eq!(peer.line().await.unwrap(), r#"{"ack":7,"args":[6]}"#);
    peer.write("\n \r\n{\"eventName\":\"echo\"}\n").await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"echo"}"#);
}

#[tokio::test]
async fn byte_order_mark_in_front_of_lines_is_dropped() {
    let dir = Dir::new("mark");
    let (_io, _listener) = server(&dir).await;
    for start in [&b"\xef\xbb\xbf"[..], b"\xef", b"\xef\xbb\xbf{"] {
        let mut peer = Peer::unix(&dir).await;
        let text = "\u{feff}{\"eventName\":\"sum\",\"args\":[[1,2]],\"id\":0}\n";
        peer.write(start).await;
        tokio::task::yield_now().await;
        peer.write(&text.as_bytes()[start.len()..]).await;
        assert_eq!(peer.line().await.unwrap(), r#"{"ack":0,"args":[3]}"#);
    }
}

#[tokio::test]
async fn line_may_come_in_any_pieces() {
    let dir = Dir::new("pieces");
    let (_io, _listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    let text = "é😀".repeat(50_000);
    let line = format!("{{\"eventName\":\"echo\",\"args\":[\"{text}\"]}}\n");
    for piece in line.as_bytes().chunks(7001) {
        peer.write(piece).await;
        tokio::task::yield_now().await;
    }
    let back = peer.line().await.unwrap();
    assert!(back.is_ascii());
    let back: serde_json::Value = serde_json::from_str(&back).unwrap();
    assert_eq!(back["args"][0], text);
}

#[tokio::test]
async fn bytes_travel_to_plain_peers_as_buffer_json() {
    let dir = Dir::new("buffers");
    let (io, _listener) = server(&dir).await;
    io.on("size", |Data(bytes): Data<bytes::Bytes>| bytes.len());
    let mut peer = Peer::unix(&dir).await;
    let buffer = r#"{"type":"Buffer","data":[1,2,255]}"#;
    peer.write(format!(
        "{{\"eventName\":\"size\",\"args\":[{buffer}],\"id\":0}}\n"
    ))
    .await;
    assert_eq!(peer.line().await.unwrap(), r#"{"ack":0,"args":[3]}"#);
    io.emit("raw", bytes::Bytes::from_static(&[1, 2, 255]))
        .unwrap();
    let line = format!(r#"{{"eventName":"raw","args":[{buffer}]}}"#);
    assert_eq!(peer.line().await.unwrap(), line);
}

#[tokio::test]
async fn plain_peer_acknowledges_and_is_disconnected() {
    let dir = Dir::new("acks");
    let (io, _listener) = server(&dir).await;
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| note.push(reason.to_string()));
    io.on("ask", async |socket: Socket| -> Result<(), AckError> {
        let answer: String = socket.emit_with_ack("question", "?").await?;
        socket.emit("answer", answer)?;
        socket.disconnect();
        Ok(())
    });
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"ask\"}\n").await;
    assert_eq!(
        peer.line().await.unwrap(),
        r#"{"eventName":"question","args":["?"],"id":1}"#
    );
    peer.write("{\"ack\":1,\"args\":[\"!\"]}\n").await;
    assert_eq!(
        peer.line().await.unwrap(),
        r#"{"eventName":"answer","args":["!"]}"#
    );
    assert_eq!(peer.line().await, None);
    assert_eq!(
        log.next().await,
        DisconnectReason::ServerNamespaceDisconnect.to_string()
    );
}

#[tokio::test]
async fn reserved_names_and_nonsense_are_not_dispatched() {
    let dir = Dir::new("nonsense");
    let (io, _listener) = server(&dir).await;
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_error(move |_, error| note.push(format!("{error:#}")));
    let any = log.clone();
    io.on_any(move |name: EventName| any.push(format!("dispatched {}", name.0)));
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"close\"}\n{\"eventName\":\"disconnect\"}\nnull\n{]\n7\n")
        .await;
    for name in ["close", "disconnect"] {
        assert!(log.next().await.contains(name));
    }
    assert_eq!(io.sockets().len(), 1);
    peer.write("{\"error\":{\"message\":\"no\"}}\n").await;
    assert!(log.next().await.contains("the peer refused: no"));
}

#[tokio::test]
async fn plain_peers_are_not_sent_names_of_their_own_events() {
    let dir = Dir::new("reserved");
    let (io, listener) = server(&dir).await;
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_any_outgoing(move |name: EventName| note.push(name.0));
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"echo\"}\n").await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"echo"}"#);
    assert_eq!(log.next().await, "echo");
    let socket = io.sockets().remove(0);
    for name in RESERVED_LINE_EVENTS {
        let refused = socket.emit(name, ());
        assert!(
            matches!(&refused, Err(EmitError::ReservedName(said)) if **said == *name),
            "{name}: {refused:?}"
        );
        let refused = socket.emit_with_ack::<u32>(name, ()).await;
        assert!(
            matches!(refused, Err(AckError::Emit(EmitError::ReservedName(_)))),
            "{name}"
        );
    }
    socket.emit("after", ()).unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"after"}"#);
    assert_eq!(log.next().await, "after", "what is refused is not shown");
    drop(listener);
}

#[tokio::test]
async fn broadcast_does_not_wait_for_plain_peers_that_cannot_be_told() {
    let dir = Dir::new("untold");
    let (io, listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"echo\"}\n").await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"echo"}"#);
    let acks = io.emit_with_ack::<u32>("close", ()).unwrap();
    assert_eq!(acks.pending(), 0);
    let summary = acks.await;
    assert!(summary.answers.is_empty() && summary.missing.is_empty());
    io.emit("after", ()).unwrap();
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"after"}"#);
    drop(listener);
}

#[tokio::test]
async fn strict_server_closes_after_a_bad_line() {
    let dir = Dir::new("strict");
    let config = ServerConfig::default().lines(|lines| lines.bad_lines(BadLines::Close));
    let io = Server::with_config(config).unwrap();
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| note.push(reason.to_string()));
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    peer.write("{]\n").await;
    assert_eq!(peer.line().await, None);
    assert_eq!(log.next().await, "parse error");
}

#[tokio::test]
async fn overlong_line_closes_the_connection() {
    let dir = Dir::new("overlong");
    let config = ServerConfig::default()
        .engine(|engine| engine.limits(|limits| limits.max_line_bytes(1000)));
    let io = Server::with_config(config).unwrap();
    let log = Log::new();
    let errors = log.clone();
    io.on_error(move |_: &Socket, error| errors.push(format!("{error:#}")));
    let reasons = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| reasons.push(reason.to_string()));
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    peer.write(format!("{{\"eventName\":\"{}", "x".repeat(2000)))
        .await;
    assert_eq!(peer.line().await, None);
    let error = log.next().await;
    assert!(error.contains("1000 bytes"), "{error}");
    assert_eq!(log.next().await, "parse error");
}

#[tokio::test]
async fn million_bytes_of_anything_fit_into_a_line() {
    let dir = Dir::new("million");
    let (_io, _listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    for text in [
        "x".repeat(1 << 20),
        "é".repeat(500_000),
        "😀".repeat(250_000),
    ] {
        let said = format!(
            "{{\"eventName\":\"echo\",\"args\":[{}]}}\r\n",
            escaped(&text)
        );
        peer.write(&said).await;
        assert_eq!(peer.line().await.unwrap(), said.trim_end());
    }
}

/// A string in JSON and in ASCII.
fn escaped(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    });
    format!("\"{}\"", units.collect::<String>())
}

#[tokio::test]
async fn last_line_needs_no_end() {
    let dir = Dir::new("last");
    let (_io, _listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"sum\",\"args\":[[4,5]],\"id\":1}")
        .await;
    peer.shutdown().await;
    assert_eq!(peer.line().await.unwrap(), r#"{"ack":1,"args":[9]}"#);
    assert_eq!(peer.line().await, None);
}

#[tokio::test]
async fn line_that_was_cut_short_is_none() {
    let dir = Dir::new("cut");
    let config = ServerConfig::default().lines(|lines| lines.bad_lines(BadLines::Close));
    let io = Server::with_config(config).unwrap();
    let log = Log::new();
    let reasons = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| reasons.push(reason.to_string()));
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"sum\",\"args\":[[4,").await;
    drop(peer);
    assert_eq!(log.next().await, "transport close");
}

#[tokio::test]
async fn middleware_refusals_are_error_lines() {
    let dir = Dir::new("refusals");
    let (io, _listener) = server(&dir).await;
    io.on_connect(|socket: Socket| {
        socket.middleware(|name: EventName| match name.0.as_str() {
            "secret" => Next::Refuse(Refusal::new("not yours").with_data(7)),
            _ => Next::Pass,
        });
    });
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"secret\"}\n{\"eventName\":\"echo\"}\n")
        .await;
    let refusal = r#"{"error":{"message":"not yours","data":7}}"#;
    assert_eq!(peer.line().await.unwrap(), refusal);
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"echo"}"#);

    io.middleware(async || {
        tokio::task::yield_now().await;
        Err::<(), _>("closed today")
    });
    let mut late = Peer::unix(&dir).await;
    late.write("{\"eventName\":\"echo\"}\n").await;
    assert_eq!(
        late.line().await.unwrap(),
        r#"{"error":{"message":"closed today"}}"#
    );
    assert_eq!(late.line().await, None);
}

#[tokio::test]
async fn native_peer_has_namespaces_acks_and_attachments() {
    let dir = Dir::new("native");
    let (io, _listener) = server(&dir).await;
    echo(&io.of("/x"));
    let mut peer = Peer::unix(&dir).await;
    let open = peer.open().await;
    assert!(open.upgrades.is_empty());
    peer.send_text("40/x,{\"token\":1}").await;
    assert!(peer.text().await.starts_with("40/x,"));
    peer.send_text("42/x,5[\"sum\",[1,2]]").await;
    assert_eq!(peer.text().await, "43/x,5[3]");
    let data = vec![9; 70_000];
    peer.send_text(r#"451-["echo",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.send_binary(&data).await;
    assert_eq!(
        peer.text().await,
        r#"451-["echo",{"_placeholder":true,"num":0}]"#
    );
    assert_eq!(peer.frame().await, Some(Err(data)));
    assert_eq!(io.sockets()[0].transport(), TransportKind::Unix);
}

#[tokio::test]
async fn heartbeat_ends_a_silent_native_peer() {
    let dir = Dir::new("silent");
    let config = ServerConfig::default().engine(|engine| {
        engine.session(|session| {
            session
                .ping_interval(Duration::from_millis(50))
                .ping_timeout(Duration::from_millis(50))
        })
    });
    let io = Server::with_config(config).unwrap();
    let log = Log::<String>::new();
    let note = log.clone();
    io.on_disconnect(move |reason: DisconnectReason| note.push(reason.to_string()));
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    peer.open().await;
    assert_eq!(peer.text().await, "2");
    assert_eq!(log.next().await, "ping timeout");
    assert_eq!(peer.frame().await, None);
}

#[tokio::test]
async fn peers_of_every_stream_share_a_room() {
    let dir = Dir::new("room");
    let (io, _unix) = server(&dir).await;
    io.on("join", |socket: Socket| {
        socket.join("room");
        socket.emit("joined", ())
    });
    let tcp = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut native = Peer::tcp(&tcp).await;
    native.open().await;
    native.send_text(r#"42["join"]"#).await;
    assert_eq!(native.text().await, r#"42["joined"]"#);
    let mut plain = Peer::unix(&dir).await;
    plain.write("{\"eventName\":\"join\"}\n").await;
    assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"joined"}"#);
    io.to("room").emit("news", ("é", 1)).unwrap();
    io.to("room").emit("end", ()).unwrap(); // cannot travel on lines
    io.to("room").emit("last", ()).unwrap();
    for text in ["42[\"news\",\"é\",1]", r#"42["end"]"#, r#"42["last"]"#] {
        assert_eq!(native.text().await, text);
    }
    for line in [
        r#"{"eventName":"news","args":["\u00e9",1]}"#,
        r#"{"eventName":"last"}"#,
    ] {
        assert_eq!(plain.line().await.unwrap(), line);
    }
}

#[tokio::test]
async fn peers_of_every_transport_in_one_room_get_a_broadcast_once() {
    let dir = Dir::new("mixed");
    let (io, _unix) = server(&dir).await;
    io.on("join", |socket: Socket| {
        socket.join("room");
        socket.emit("joined", ())
    });
    let rig = ServerRig::tcp(&io).await;
    let mut websocket = rig.connect_as(Case::WEBSOCKET).await;
    let mut polling = rig.connect_as(Case::POLLING).await;
    for peer in [&mut websocket, &mut polling] {
        peer.send(r#"2["join"]"#).await;
        peer.expect(r#"2["joined"]"#).await;
    }
    let mut native = Peer::unix(&dir).await;
    native.open().await;
    native.send_text(r#"42["join"]"#).await;
    assert_eq!(native.text().await, r#"42["joined"]"#);
    let mut plain = Peer::unix(&dir).await;
    plain.write("{\"eventName\":\"join\"}\n").await;
    assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"joined"}"#);
    let mut stranger = rig.connect().await;

    io.to("room").emit("news", ("é", 1)).unwrap();
    // What comes next to each of them shows that the news came no second time.
    io.emit("last", ()).unwrap();
    for peer in [&mut websocket, &mut polling] {
        peer.expect("2[\"news\",\"é\",1]").await;
        peer.expect(r#"2["last"]"#).await;
    }
    assert_eq!(native.text().await, "42[\"news\",\"é\",1]");
    assert_eq!(native.text().await, r#"42["last"]"#);
    let news = r#"{"eventName":"news","args":["\u00e9",1]}"#;
    assert_eq!(plain.line().await.unwrap(), news);
    assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"last"}"#);
    stranger.expect(r#"2["last"]"#).await;
}

#[tokio::test]
async fn stray_http_request_is_told_what_this_is() {
    let io = Server::new();
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    peer.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(peer.line().await.unwrap(), "HTTP/1.1 400 Bad Request");
    while peer.fill().await {}
    let text = String::from_utf8(peer.read.clone()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_bytes_open_nothing() {
    let io = Server::new();
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    for beginning in ["\u{7f}", "\u{1}4", "\u{2}0x"] {
        let mut peer = Peer::tcp(&listener).await;
        peer.write(beginning).await;
        assert_eq!(peer.line().await, None, "{beginning:?}");
    }
    assert_eq!(io.connection_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn silent_peer_has_until_the_connect_timeout_where_silence_means_nothing() {
    let patience = Duration::from_secs(3);
    let config =
        ServerConfig::default().connection(|connection| connection.connect_timeout(patience));
    let io = Server::with_config(config).unwrap();
    let options = ListenOptions::default().plain_after(None);
    let listener = io.listen_with("tcp://127.0.0.1:0", options).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut peer = Peer::tcp(&listener).await;
    assert_eq!(peer.line().await, None);
    assert_eq!(io.connection_count(), 0);
    let waited = start.elapsed();
    assert!((patience..patience * 2).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn closed_listener_does_not_wait_for_silent_peers() {
    let io = Server::new();
    let mut listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = Peer::tcp(&listener).await;
    let mut other = Peer::tcp(&listener).await;
    other.open().await;
    let start = tokio::time::Instant::now();
    listener.close();
    listener.closed().await;
    assert_eq!(peer.line().await, None);
    assert!(start.elapsed() < Duration::from_secs(1));
    // The session that is open goes on.
    other.send_text(r#"40/none,"#).await;
    assert!(other.text().await.starts_with("44/none,"));
}

#[tokio::test]
async fn half_closed_peer_still_gets_its_answers() {
    let dir = Dir::new("half");
    let (_io, _listener) = server(&dir).await;
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"sum\",\"args\":[[4,5]],\"id\":1}\n")
        .await;
    peer.shutdown().await;
    assert_eq!(peer.line().await.unwrap(), r#"{"ack":1,"args":[9]}"#);
    assert_eq!(peer.line().await, None);
}

#[tokio::test]
async fn peer_credentials_are_in_the_handshake() {
    let dir = Dir::new("credentials");
    let (io, _listener) = server(&dir).await;
    io.on("who", |handshake: Handshake| {
        let credentials = handshake.peer_credentials().unwrap();
        (credentials.uid, credentials.pid)
    });
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"who\",\"id\":0}\n").await;
    let line = peer.line().await.unwrap();
    assert!(
        line.ends_with(&format!(",{}]}}", std::process::id())),
        "{line}"
    );
}

#[tokio::test]
async fn refused_peer_is_told_why_and_dropped() {
    let dir = Dir::new("refused");
    let config = ServerConfig::default()
        .engine(|engine| engine.allow_request(async |_| Err("nobody".to_owned())));
    let io = Server::with_config(config).unwrap();
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"echo\"}\n").await;
    let line = peer.line().await.unwrap();
    assert_eq!(line, r#"{"error":{"message":"nobody"}}"#);
    assert_eq!(peer.line().await, None);
    let mut peer = Peer::unix(&dir).await;
    peer.write(b"\x010").await;
    assert_eq!(peer.text().await, r#"1{"code":4,"message":"nobody"}"#);
    assert_eq!(peer.line().await, None);
}

#[tokio::test]
async fn stale_socket_file_is_replaced_and_goes_with_the_listener() {
    let dir = Dir::new("stale");
    // A listener that is dropped without care leaves its file.
    drop(std::os::unix::net::UnixListener::bind(dir.socket()).unwrap());
    assert!(dir.socket().exists());
    let (io, mut listener) = server(&dir).await;
    let failed = Server::new().listen(dir.url()).await;
    let error = failed.unwrap_err();
    assert!(
        matches!(&error, ListenError::Bind { source, .. }
        if source.kind() == std::io::ErrorKind::AddrInUse),
        "{error:?}"
    );
    let mut peer = Peer::unix(&dir).await;
    peer.write("{\"eventName\":\"echo\"}\n").await;
    assert!(peer.line().await.is_some());
    drop(peer);
    io.close().await;
    listener.closed().await;
    assert!(!dir.socket().exists());
}

#[tokio::test]
async fn regular_file_in_the_way_stays() {
    let dir = Dir::new("file");
    std::fs::write(dir.socket(), "precious").unwrap();
    let error = Server::new().listen(dir.url()).await.unwrap_err();
    assert!(format!("{error:?}").contains("not a socket"), "{error:?}");
    assert_eq!(std::fs::read_to_string(dir.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn socket_file_gets_the_mode_that_is_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("mode");
    let io = Server::new();
    let options = ListenOptions::default()
        .readable_all(true)
        .writable_all(true);
    let _listener = io.listen_with(dir.url(), options).await.unwrap();
    let mode = std::fs::metadata(dir.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o666, 0o666, "{mode:o}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn abstract_socket_needs_no_file() {
    let io = Server::new();
    echo(&io);
    let name = format!("sockeye-test-{}", std::process::id());
    let _listener = io.listen(format!("unix:@{name}")).await.unwrap();
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let stream = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut peer = Peer::new(UnixStream::from_std(stream).unwrap());
    peer.write("{\"eventName\":\"echo\"}\n").await;
    assert_eq!(peer.line().await.unwrap(), r#"{"eventName":"echo"}"#);
}
