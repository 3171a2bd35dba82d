//! The seam for other formats: what goes through it is what the standard path makes of the same.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use sockeye_socket_proto::parser::{Message, Packet, PacketType, Parser, Standard, translate};
use sockeye_socket_proto::{
    Attachments, ClientConnection, Connection, ConnectionConfig, Input, SocketRevision, Violation,
    encode_ack, encode_connect_accepted, encode_connect_error, encode_connect_request,
    encode_disconnect, encode_event,
};

use SocketRevision::{V4, V5};

/// Texts that one of the encoders has written, with their attachments.
fn encoded(revision: SocketRevision) -> Vec<(String, Vec<Bytes>)> {
    let mut all = Vec::new();
    let (mut buf, mut out) = (Vec::new(), Attachments::default());
    let bytes = Bytes::from_static(&[0, 255]);
    for namespace in ["/", "/a"] {
        let mut keep = |buf: &[u8], start: usize, attachments: &[Bytes]| {
            let text = std::str::from_utf8(&buf[start..]).unwrap();
            all.push((text.to_owned(), attachments.to_vec()));
        };
        for id in [None, Some(0), Some(u64::MAX)] {
            let args = (1, "é", json!({"k": [null]}));
            let start = encode_event(&mut buf, 9, namespace, id, "né", &args, &mut out).unwrap();
            keep(&buf, start, &out);
            let args = (&bytes, [&bytes]);
            let start = encode_event(&mut buf, 9, namespace, id, "b", &args, &mut out).unwrap();
            keep(&buf, start, &out);
        }
        let start = encode_ack(&mut buf, 9, namespace, 7, &(&bytes, 1), &mut out).unwrap();
        keep(&buf, start, &out);
        let start = encode_ack(&mut buf, 9, namespace, 8, &(), &mut out).unwrap();
        keep(&buf, start, &out);
        let start =
            encode_connect_accepted(&mut buf, 9, revision, namespace, "S", Some(("P", None)));
        keep(&buf, start, &[]);
        let start = encode_disconnect(&mut buf, 9, namespace);
        keep(&buf, start, &[]);
        for data in [None, Some(&json!(12)), Some(&json!({"a": 1}))] {
            let start = encode_connect_error(&mut buf, 9, revision, namespace, "no", data).unwrap();
            keep(&buf, start, &[]);
        }
        let auth = json!({"token": "a,b?c"});
        let (query, recovery) = (Some("q=1,2&r"), None);
        let start = encode_connect_request(
            &mut buf,
            9,
            revision,
            namespace,
            query,
            Some(&auth),
            recovery,
        );
        keep(&buf, start.unwrap(), &[]);
    }
    all
}

#[test]
fn standard_parser_writes_what_the_standard_path_does() {
    for revision in [V4, V5] {
        for (text, attachments) in encoded(revision) {
            let messages = translate(&Standard, &text, &attachments, revision).unwrap();
            let written = match revision {
                V4 => sockeye_socket_proto::escape_packet(&text).into_owned(),
                V5 => text,
            };
            let mut expected = vec![Message::Text(written.into())];
            expected.extend(attachments.into_iter().map(Message::Binary));
            assert_eq!(messages, expected);
        }
    }
}

#[test]
fn both_ends_take_from_the_seam_what_they_take_from_the_standard_path() {
    let config = ConnectionConfig::default();
    for revision in [V4, V5] {
        let mut server = [(); 2].map(|()| Connection::server(revision, &config, Instant::now()));
        let mut client = [(); 2].map(|()| ClientConnection::new(revision, &config));
        for client in &mut client {
            client.join("/").unwrap();
            client.join("/a").unwrap();
        }
        for text in ["0", "0/a,"] {
            for server in &mut server {
                if let Some(Input::Connect { key, .. }) = server.handle_text(text).unwrap() {
                    server.accept(key);
                }
            }
        }
        let mut decoder = Standard.decoder(revision, &config);
        let [plain_server, server] = &mut server;
        let [plain_client, client] = &mut client;
        for (text, attachments) in encoded(revision) {
            let mut packet = decoder.decode(Message::Text((&*text).into())).unwrap();
            for data in &attachments {
                assert!(packet.is_none() && decoder.is_unfinished());
                packet = decoder.decode(Message::Binary(data.clone())).unwrap();
            }
            assert!(!decoder.is_unfinished());
            let packet = packet.unwrap();

            let mut expected = plain_client.handle_text(&text);
            for data in &attachments {
                expected = plain_client.handle_binary(data.clone());
            }
            assert_eq!(client.handle_packet(&packet), expected, "{text}");

            if let PacketType::Connect | PacketType::ConnectError = packet.kind {
                continue;
            }
            let mut expected = plain_server.handle_text(&text);
            for data in &attachments {
                expected = plain_server.handle_binary(data.clone());
            }
            assert_eq!(server.handle_packet(&packet), expected, "{text}");
        }
    }
}

#[test]
fn what_a_parser_reads_is_not_believed() {
    let config = ConnectionConfig::default()
        .max_attachments(1)
        .max_attachment_bytes(2);
    let mut server = Connection::server(V5, &config, Instant::now());
    let Some(Input::Connect { key, .. }) = server.handle_text("0").unwrap() else {
        panic!("a connect")
    };
    server.accept(key);
    let mut refused =
        |kind, namespace: &'static str, payload: &'static str, parts: &[&'static [u8]]| {
            let attachments: Vec<_> = parts.iter().map(|part| Bytes::from_static(part)).collect();
            let packet = Packet {
                kind,
                namespace: namespace.into(),
                ack_id: None,
                payload: payload.into(),
                attachments: attachments.into(),
            };
            server.handle_packet(&packet).unwrap_err()
        };
    let event = PacketType::Event;
    let one = r#"["e",{"_placeholder":true,"num":0}]"#;
    let other = r#"["e",{"_placeholder":true,"num":1}]"#;
    for (error, text) in [
        (
            refused(event, "", "[\"e\"]", &[]),
            "\"\" is not a namespace",
        ),
        (
            refused(event, "/a,b", "[\"e\"]", &[]),
            "\"/a,b\" is not a namespace",
        ),
        (
            refused(event, "/b", "[\"e\"]", &[]),
            "Event for /b, which is not joined",
        ),
        (
            refused(event, "/", "{}", &[]),
            "the payload is not an array",
        ),
        (
            refused(event, "/", "[[]]", &[]),
            "the first item of an event is not its name",
        ),
        (
            refused(event, "/", r#"["disconnect"]"#, &[]),
            "the event name \"disconnect\" is reserved",
        ),
        (
            refused(event, "/", one, &[b"", b""]),
            "more than 1 attachments",
        ),
        (
            refused(event, "/", other, &[b""]),
            "a placeholder for none of the 1 attachments",
        ),
        (
            refused(PacketType::Disconnect, "/", "1", &[]),
            "a Disconnect packet cannot carry this payload",
        ),
    ] {
        assert_eq!(error.to_string(), text);
    }
    let error = refused(event, "/", one, &[b"abc"]);
    assert_eq!(error, Violation::AttachmentsTooLarge { max: 2 });
}

#[test]
fn standard_decoder_bounds_what_it_keeps() {
    let config = ConnectionConfig::default()
        .max_attachments(2)
        .max_attachment_bytes(3);
    let event = |count: usize| Message::Text(format!(r#"5{count}-["e"]"#).into());
    let bytes = |len: usize| Message::Binary(vec![0; len].into());
    let said = |messages: Vec<Message<'static>>| {
        let mut decoder = Standard.decoder(V5, &config);
        messages
            .into_iter()
            .find_map(|message| decoder.decode(message).err())
            .map(|error| error.to_string())
    };
    assert_eq!(said(vec![event(2), bytes(1), bytes(2)]), None);
    let large = said(vec![event(2), bytes(2), bytes(2)]);
    assert_eq!(large.unwrap(), "attachments are too large");
    assert_eq!(said(vec![event(3)]).unwrap(), "more than 2 attachments");
    let early = said(vec![event(2), bytes(1), event(1)]);
    assert_eq!(early.unwrap(), "text instead of an attachment");
    let stray = said(vec![bytes(1)]);
    assert_eq!(stray.unwrap(), "binary message that is no attachment");
}
