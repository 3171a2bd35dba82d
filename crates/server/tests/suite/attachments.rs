//! Bytes in events: how many come in and go out, and what is never taken for them.

use bytes::Bytes;
use serde_json::Value;
use sockeye_server::{Ack, Args, Data, EmitError, Server, ServerConfig, Socket};
use sockeye_testkit::{Case, Log, Peer, ServerRig, SocketDir, StreamPeer};

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

const CASES: [Case; 4] = [
    Case::POLLING,
    Case::WEBSOCKET,
    Case::POLLING_V3,
    Case::WEBSOCKET_V3,
];

/// A server that answers `echo`, and passes on to all others what comes as `cast`.
fn server() -> (Server, Log<String>) {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io.on("cast", |socket: Socket, args: Args| {
        socket.broadcast().emit("cast", args)
    });
    let errors = Log::new();
    let entries = errors.clone();
    io.on_error(move |_, error| entries.push(format!("{error:#}")));
    (io, errors)
}

/// The event is refused, and whoever would have got it is as well as before.
async fn refused(peers: &mut [Peer], errors: &Log<String>, why: &str) {
    let error = errors.next().await;
    assert!(error.contains(why), "{error}");
    for peer in peers {
        peer.expect_nothing(7).await;
    }
}

#[tokio::test]
async fn second_reference_to_one_attachment_ends_the_connection_of_its_sender_alone() {
    let (io, errors) = server();
    let dir = SocketDir::new("shared-attachment");
    let _listener = io.listen(dir.url()).await.unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut other = [rig.connect().await];
    let mut plain = StreamPeer::unix(&dir).await;
    plain.write("{\"eventName\":\"echo\",\"id\":1}\n").await;
    assert_eq!(plain.line().await.unwrap(), r#"{"ack":1}"#);
    for kind in ["51-", "61-5"] {
        let mut offender = rig.connect().await;
        let many = vec![PLACEHOLDER; 1000].join(",");
        let packet = format!(r#"{kind}["cast",[{many}]]"#);
        offender.send(&packet).await;
        offender.ended().await;
        refused(&mut other, &errors, "two placeholders for attachment 0").await;
    }
    io.emit("still", ()).unwrap();
    other[0].expect(r#"2["still"]"#).await;
    assert_eq!(plain.line().await.unwrap(), r#"{"eventName":"still"}"#);
}

#[tokio::test]
async fn binary_packet_without_attachments_ends_the_connection() {
    let (io, errors) = server();
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        for packet in [r#"50-1["echo","x"]"#, "60-1[]", r#"51.5-["echo"]"#] {
            let mut peer = rig.connect_as(case).await;
            peer.send(packet).await;
            peer.ended().await;
            assert!(errors.next().await.contains("attachment count"), "{packet}");
        }
    }
}

#[tokio::test]
async fn line_with_more_buffers_than_peers_take_attachments_disconnects_nobody() {
    let (io, errors) = server();
    let dir = SocketDir::new("eleven-buffers");
    let _listener = io.listen(dir.url()).await.unwrap();
    let rig = ServerRig::tcp(&io).await;
    let mut peers = Vec::new();
    for case in CASES {
        peers.push(rig.connect_as(case).await);
    }
    let mut plain = StreamPeer::unix(&dir).await;
    let buffer = r#"{"type":"Buffer","data":[1]}"#;
    let eleven = [buffer; 11].join(",");
    plain
        .write(format!("{{\"eventName\":\"cast\",\"args\":[{eleven}]}}\n"))
        .await;
    refused(&mut peers, &errors, "the handler failed").await;
    let ten = [buffer; 10].join(",");
    plain
        .write(format!("{{\"eventName\":\"cast\",\"args\":[{ten}]}}\n"))
        .await;
    for peer in &mut peers {
        assert!(peer.text().await.starts_with(r#"510-["cast","#));
        for _ in 0..10 {
            assert_eq!(peer.binary().await, [1]);
        }
    }
}

#[tokio::test]
async fn more_attachments_than_the_limit_are_an_error_of_the_emit() {
    let (io, errors) = server();
    io.on("many", |Data(count): Data<usize>| vec![Bytes::new(); count]);
    io.on(
        "later",
        async |Data(count): Data<usize>, ack: Ack<Vec<Bytes>>| {
            assert!(ack.send(vec![Bytes::new(); count]).is_err());
        },
    );
    let rig = ServerRig::tcp(&io).await;
    let mut peers = [rig.connect().await];
    let socket = io.sockets().remove(0);
    let eleven = vec![Bytes::new(); 11];
    let too_many = |result: Result<(), EmitError>| {
        let error = result.unwrap_err();
        let EmitError::Encode(source) = error else {
            panic!("{error}")
        };
        let text = "cannot encode event \"e\": more than 10 attachments";
        assert_eq!(source.to_string(), text);
    };
    too_many(socket.emit("e", &eleven));
    too_many(socket.emit("e", Args::new(&eleven).unwrap()));
    too_many(io.emit("e", &eleven));
    too_many(io.emit_with_ack::<()>("e", &eleven).map(drop));
    assert!(socket.emit_with_ack::<()>("e", &eleven).await.is_err());
    // Whoever waits for the answer is told at once that there is none.
    let internal = r#"[{"error":{"message":"internal error"}}]"#;
    peers[0].send(r#"21["many",11]"#).await;
    peers[0].expect(&format!("31{internal}")).await;
    refused(&mut peers, &errors, "the acknowledgement was not sent").await;
    peers[0].send(r#"23["later",11]"#).await;
    peers[0].expect(&format!("33{internal}")).await;
    peers[0].send(r#"22["many",10]"#).await;
    assert!(peers[0].text().await.starts_with("610-2[["));
}

#[tokio::test]
async fn ten_attachments_are_taken_and_eleven_end_the_connection_of_their_sender() {
    let (io, errors) = server();
    io.on("count", |Data(parts): Data<Vec<Bytes>>| parts.len());
    let rig = ServerRig::tcp(&io).await;
    let mut others = [rig.connect().await];
    let packet = |count: usize| {
        let places = (0..count).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#));
        let places: Vec<_> = places.collect();
        format!(r#"5{count}-1["count",[{}]]"#, places.join(","))
    };
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        peer.send(&packet(10)).await;
        for _ in 0..10 {
            peer.send_binary(b"x").await;
        }
        let counted = if case.is_v3() { "30-1[10]" } else { "31[10]" };
        let answer = peer.text().await;
        assert!(answer == counted || answer == "31[10]", "{answer}");
        peer.send(&packet(11)).await;
        peer.ended().await;
        refused(&mut others, &errors, "attachment").await;
    }
}

#[tokio::test]
async fn limit_of_attachments_can_be_changed() {
    let config = ServerConfig::default().connection(|connection| connection.max_attachments(11));
    let io = Server::with_config(config).unwrap();
    io.on("echo", |args: Args| args);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    io.emit("e", vec![Bytes::new(); 11]).unwrap();
    assert!(peer.text().await.starts_with(r#"511-["e",["#));
    for _ in 0..11 {
        assert!(peer.binary().await.is_empty());
    }
    assert!(io.emit("e", vec![Bytes::new(); 12]).is_err());
    peer.expect_nothing(1).await;
}

#[tokio::test]
async fn events_without_bytes_are_never_binary() {
    let (io, _) = server();
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut peer = rig.connect_as(case).await;
        let socket = io.sockets().remove(0);
        socket.binary(true).emit("e", "x").unwrap();
        peer.expect(r#"2["e","x"]"#).await;
        io.to(socket.id()).binary(true).emit("e", ()).unwrap();
        peer.expect(r#"2["e"]"#).await;
        socket.close();
        peer.ended().await;
    }
}

#[tokio::test]
async fn bytes_stay_inside_of_the_text_if_asked_to() {
    let (io, _) = server();
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let socket = io.sockets().remove(0);
    let bytes = Bytes::from_static(&[1, 255]);
    let buffer = r#"{"type":"Buffer","data":[1,255]}"#;
    socket.binary(false).emit("e", &bytes).unwrap();
    peer.expect(&format!(r#"2["e",{buffer}]"#)).await;
    let many = vec![bytes; 11];
    io.to(socket.id()).binary(false).emit("e", &many).unwrap();
    let buffers = [buffer; 11].join(",");
    peer.expect(&format!(r#"2["e",[{buffers}]]"#)).await;
}

#[tokio::test]
async fn forged_placeholder_beside_bytes_reaches_others_as_a_plain_object() {
    let (io, _) = server();
    io.on("say", |socket: Socket, Data(said): Data<Value>| {
        let beside = (&said, Bytes::from_static(b"ours"), vec![&said]);
        socket.broadcast().emit("said", &beside)?;
        socket.emit("told", &beside)
    });
    io.on("ask", |Data(said): Data<Value>| {
        (said, Bytes::from_static(b"ours"))
    });
    let rig = ServerRig::tcp(&io).await;
    for case in CASES {
        let mut offender = rig.connect().await;
        let mut other = rig.connect_as(case).await;
        for num in ["0", "7"] {
            let forged = format!(r#"{{"_placeholder":true,"num":{num}}}"#);
            let harmless = format!(r#"{{"_placeholder":false,"num":{num}}}"#);
            offender.send(&format!(r#"2["say",{forged}]"#)).await;
            let said = format!("{harmless},{PLACEHOLDER},[{harmless}]]");
            other.expect(&format!(r#"51-["said",{said}"#)).await;
            assert_eq!(other.binary().await, b"ours");
            offender.expect(&format!(r#"51-["told",{said}"#)).await;
            assert_eq!(offender.binary().await, b"ours");
            offender.send(&format!(r#"25["ask",{forged}]"#)).await;
            let answer = format!("61-5[{harmless},{PLACEHOLDER}]");
            offender.expect(&answer).await;
            assert_eq!(offender.binary().await, b"ours");
            // Alone it is an object like any other.
            offender.send(&format!(r#"2["cast",{forged}]"#)).await;
            other.expect(&format!(r#"2["cast",{forged}]"#)).await;
        }
        io.close_sockets();
        other.ended().await;
        offender.ended().await;
    }
}

#[tokio::test]
async fn bytes_that_would_make_a_line_too_long_leave_plain_peers_out() {
    let (io, _) = server();
    let dir = SocketDir::new("inline-bytes");
    let _listener = io.listen(dir.url()).await.unwrap();
    let mut plain = StreamPeer::unix(&dir).await;
    plain.write("{\"eventName\":\"echo\",\"id\":1}\n").await;
    assert_eq!(plain.line().await.unwrap(), r#"{"ack":1}"#);
    let socket = io.sockets().remove(0);
    let rig = ServerRig::tcp(&io).await;
    let mut peer = rig.connect().await;
    let large = Bytes::from(vec![255; 1_000_001]);
    io.emit("large", &large).unwrap();
    io.emit("small", large.slice(..2)).unwrap();
    assert!(peer.text().await.starts_with(r#"51-["large""#));
    assert_eq!(peer.binary().await.len(), large.len());
    let line = r#"{"eventName":"small","args":[{"type":"Buffer","data":[255,255]}]}"#;
    assert_eq!(plain.line().await.unwrap(), line);
    let error = socket.emit("large", &large).unwrap_err();
    assert!(matches!(error, EmitError::Encode(_)), "{error}");
}
