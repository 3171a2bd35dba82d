use super::*;

fn bytes(hex: &str) -> Bytes {
    let hex: String = hex.split_whitespace().collect();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn packet<'a>(kind: PacketType, namespace: &'a str, payload: &'a str) -> Packet<'a> {
    Packet {
        kind,
        namespace: namespace.into(),
        ack_id: None,
        payload: payload.into(),
        attachments: Cow::Borrowed(&[]),
    }
}

fn read(message: &Bytes) -> Result<Packet<'static>, ParserError> {
    decode(message, 10)
}

fn written(packet: &Packet<'_>) -> Bytes {
    encode(packet).unwrap().into()
}

/// An event named `e` with this value, which the JSON is that comes out.
fn value(hex: &str) -> Result<Packet<'static>, ParserError> {
    read(&event(&bytes(hex)))
}

fn event(value: &[u8]) -> Bytes {
    let mut message =
        bytes("83 a4 74 79 70 65 02 a3 6e 73 70 a1 2f a4 64 61 74 61 92 a1 65").to_vec();
    message.extend_from_slice(value);
    message.into()
}

#[test]
fn examples_of_the_reference_are_written_and_read() {
    let ack = Packet {
        ack_id: Some(0),
        ..packet(PacketType::Ack, "/", r#"["ok"]"#)
    };
    for (hex, packet) in [
        (
            "83 a4 74 79 70 65 02 a4 64 61 74 61 92 a4 70 69 6e 67 07 a3 6e 73 70 a1 2f",
            packet(PacketType::Event, "/", r#"["ping",7]"#),
        ),
        (
            "82 a4 74 79 70 65 01 a3 6e 73 70 a5 2f 63 68 61 74",
            packet(PacketType::Disconnect, "/chat", ""),
        ),
        (
            "83 a4 74 79 70 65 04 a4 64 61 74 61 82 a7 6d 65 73 73 61 67 65 a4 6e 6f 70 65 a4 64 61 74 61 81 a4 63 6f 64 \
             65 07 a3 6e 73 70 a5 2f 63 68 61 74",
            packet(
                PacketType::ConnectError,
                "/chat",
                r#"{"message":"nope","data":{"code":7}}"#,
            ),
        ),
    ] {
        assert_eq!(written(&packet), bytes(hex));
        assert_eq!(read(&bytes(hex)).unwrap(), packet);
    }
    // The id is in front there.
    let hex = "84 a2 69 64 00 a4 74 79 70 65 03 a4 64 61 74 61 91 a2 6f 6b a3 6e 73 70 a1 2f";
    assert_eq!(read(&bytes(hex)).unwrap(), ack);
    assert_eq!(read(&written(&ack)).unwrap(), ack);
    let nothing = packet(PacketType::Ack, "/", "");
    assert_eq!(read(&written(&nothing)).unwrap().payload, "[]");
}

#[test]
fn undefined_and_nil_are_no_data() {
    for (hex, kind) in [
        (
            "83 a4 74 79 70 65 00 a4 64 61 74 61 d4 00 00 a3 6e 73 70 a1 2f",
            PacketType::Connect,
        ),
        (
            "84 a4 74 79 70 65 01 a2 69 64 c0 a4 64 61 74 61 c0 a3 6e 73 70 a1 2f",
            PacketType::Disconnect,
        ),
    ] {
        assert_eq!(read(&bytes(hex)).unwrap(), packet(kind, "/", ""));
    }
    let accepted = "83 a4 74 79 70 65 00 a4 64 61 74 61 82 a3 73 69 64 a1 61 a3 70 69 64 d4 00 00 a3 6e 73 70 a1 2f";
    assert_eq!(
        read(&bytes(accepted)).unwrap(),
        packet(PacketType::Connect, "/", r#"{"sid":"a"}"#)
    );
}

/// What socket.io-msgpack-parser 3.0.2 writes for an event with all that JSON does not know.
#[test]
fn what_javascript_sends_reads_as_its_json() {
    let hex = "85a47479706502a4646174619fa171d40000d700000001a224441b8fd700ffffffffffffffffcb7ff8000000000000cbfff00000000000\
               00cb3ff8000000000000cf002000000000000084a161d40000a16201a163d40000a8746f537472696e67d40000c702000102c7080000\
               00000000000000c40103a4f09f9080d92b78787878787878787878787878787878787878787878787878787878787878787878787878\
               787878efbfbd81a13304a76f7074696f6e7381a8636f6d7072657373c3a2696400a36e7370a12f";
    let packet = read(&bytes(hex)).unwrap();
    assert_eq!(
        packet.payload,
        [
            r#"["q",null,"2026-11-28T22:26:13.007Z","1969-12-31T23:59:59.999Z",null,null,1.5,9007199254740992,{"b":1}"#,
            r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}"#,
            "\"\u{1f400}\",\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\u{fffd}\"",
            r#"{"3":4}]"#
        ]
        .join(",")
    );
    assert_eq!(packet.attachments[..], [&[1, 2][..], &[0; 8], &[3]]);
    assert_eq!((packet.kind, packet.ack_id), (PacketType::Event, Some(0)));
}

#[test]
fn values_of_others_read_as_javascript_reads_them() {
    for (hex, json) in [
        // Any number for a whole one.
        ("ca 40 00 00 00", "2.0"),
        ("d3 ff ff ff ff ff ff ff ff", "-1"),
        ("cf ff ff ff ff ff ff ff ff", "18446744073709551615"),
        // Keys that are no text.
        (
            "86 01 01 ff 02 c0 03 c2 04 cb 40 00 00 00 00 00 00 00 05 c4 01 6b 06",
            r#"{"1":1,"-1":2,"null":3,"false":4,"2":5,"k":6}"#,
        ),
        // Timestamps of the format's own.
        ("d6 ff 00 00 00 00", r#""1970-01-01T00:00:00.000Z""#),
        (
            "d7 ff 00 00 00 04 00 00 00 01",
            r#""1970-01-01T00:00:01.000000001Z""#,
        ),
        (
            "c7 0c ff 00 00 00 00 ff ff ff ff ff ff ff ff",
            r#""1969-12-31T23:59:59.000Z""#,
        ),
        ("d7 00 7f ff ff ff ff ff ff ff", "null"),
        // Other extensions.
        ("d4 05 aa", r#"[5,{"_placeholder":true,"num":0}]"#),
        ("d5 00 aa bb", r#"[0,{"_placeholder":true,"num":0}]"#),
        ("c7 01 ff aa", r#"[-1,{"_placeholder":true,"num":0}]"#),
        ("a2 c3 28", "\"\u{fffd}(\""),
    ] {
        let packet = value(hex).unwrap();
        assert_eq!(packet.payload, format!(r#"["e",{json}]"#), "{hex}");
    }
}

#[test]
fn nobody_forges_a_placeholder() {
    let object = "82 ac 5f 70 6c 61 63 65 68 6f 6c 64 65 72 c3 a3 6e 75 6d 00";
    assert_eq!(
        value(object).unwrap().payload,
        r#"["e",{"_placeholder":true,"num":0}]"#
    );
    assert_eq!(
        value(&format!("93 {object} c4 00 {object}"))
            .unwrap()
            .payload,
        r#"["e",[{"_placeholder":false,"num":0},{"_placeholder":true,"num":0},{"_placeholder":false,"num":0}]]"#
    );
}

#[test]
fn as_many_forged_placeholders_as_a_message_has_room_for_are_disarmed() {
    const MARKS: u32 = 60_000;
    let object = bytes("81 ac 5f 70 6c 61 63 65 68 6f 6c 64 65 72 c3");
    let head = [&[0xdd][..], &(MARKS + 1).to_be_bytes(), &[0xc4, 0]].concat();
    let items = object.repeat(MARKS as usize);
    let packet = read(&event(&[head, items].concat())).unwrap();
    let disarmed = r#",{"_placeholder":false}"#.repeat(MARKS as usize);
    let expected = format!(r#"["e",[{{"_placeholder":true,"num":0}}{disarmed}]]"#);
    // Said without the values, which would fill the screen.
    assert!(packet.payload == expected);
}

#[test]
fn attachments_are_parts_of_the_message_if_they_are_most_of_it() {
    let mut large = vec![0xc5, 1, 0];
    large.extend([7; 256]);
    large.extend([0xc4, 1, 8]);
    let message = event(&[&[0x92][..], &large].concat());
    let packet = read(&message).unwrap();
    let [large, small] = &packet.attachments[..] else {
        panic!("{packet:?}")
    };
    assert_eq!((large.len(), &small[..]), (256, &[8][..]));
    let range = message.as_ptr_range();
    assert!(range.contains(&large.as_ptr()));
    assert!(!range.contains(&small.as_ptr()));
}

#[test]
fn bytes_of_other_packets_are_buffers() {
    // Node calls it `auth`, and puts it into JSON in the standard format.
    let hex = "83 a4 64 61 74 61 81 a1 6b c4 02 01 ff a4 74 79 70 65 00 a3 6e 73 70 a1 2f";
    assert_eq!(
        read(&bytes(hex)).unwrap(),
        packet(
            PacketType::Connect,
            "/",
            r#"{"k":{"type":"Buffer","data":[1,255]}}"#
        )
    );
}

#[test]
fn types_and_ids_may_be_any_number_that_is_whole() {
    let hex = "84 a4 74 79 70 65 cb 40 14 00 00 00 00 00 00 a2 69 64 d3 00 00 00 00 00 00 00 07 a3 6e 73 70 a1 2f a4 64 61 74 61 \
               91 a1 65";
    let packet = read(&bytes(hex)).unwrap();
    assert_eq!((packet.kind, packet.ack_id), (PacketType::Event, Some(7)));
}

#[test]
fn what_is_no_packet_is_an_error() {
    for hex in [
        "",
        "c0",
        "90",
        "80",
        // No type, no namespace, no number, one that is not whole, one below 0, one too many.
        "82 a3 6e 73 70 a1 2f a4 64 61 74 61 91 a1 65",
        "82 a4 74 79 70 65 02 a4 64 61 74 61 91 a1 65",
        "82 a4 74 79 70 65 a1 32 a3 6e 73 70 a1 2f",
        "82 a4 74 79 70 65 cb 3f f8 00 00 00 00 00 00 a3 6e 73 70 a1 2f",
        "82 a4 74 79 70 65 ff a3 6e 73 70 a1 2f",
        "82 a4 74 79 70 65 07 a3 6e 73 70 a1 2f",
        "83 a4 74 79 70 65 01 a3 6e 73 70 a1 2f a2 69 64 ff",
        // A namespace that is no text; one that is not UTF-8; a key that is no text.
        "82 a4 74 79 70 65 01 a3 6e 73 70 01",
        "82 a4 74 79 70 65 01 a3 6e 73 70 a1 ff",
        "83 a4 74 79 70 65 01 a3 6e 73 70 a1 2f 01 01",
        // More behind it.
        "82 a4 74 79 70 65 01 a3 6e 73 70 a1 2f c0",
    ] {
        assert!(read(&bytes(hex)).is_err(), "{hex}");
    }
    assert!(value("81 91 01 01").is_err(), "a key that is an array");
    assert!(value("c1").is_err());
    let whole = event(&[0xc0]);
    for len in 0..whole.len() {
        assert!(read(&whole.slice(..len)).is_err(), "{len}");
    }
}

#[test]
fn depth_and_attachments_are_bounded() {
    let nested = |depth: usize| event(&[vec![0x91; depth], vec![0xc0]].concat());
    assert!(read(&nested(127)).is_ok());
    let error = read(&nested(128)).unwrap_err().to_string();
    assert_eq!(error, "more than 128 values inside each other");
    assert!(read(&nested(1_000_000)).is_err());
    let bytes = |count: u8| event(&[vec![0x90 | count], [0xc4, 0].repeat(count.into())].concat());
    assert_eq!(read(&bytes(10)).unwrap().attachments.len(), 10);
    let error = read(&bytes(11)).unwrap_err().to_string();
    assert_eq!(error, "more than 10 attachments");
}

#[test]
fn what_is_not_json_cannot_be_written() {
    let nested = |depth| [vec!["["; depth], vec!["]"; depth]].concat().concat();
    assert!(encode(&packet(PacketType::Event, "/", &nested(128))).is_ok());
    for payload in [
        "[",
        "]",
        "[1,]",
        "[1 2]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":1,2}",
        "{1:2}",
        "[1}",
        "[\"a]",
        "[tru]",
        "[01]",
        "[1]]",
        "[]1",
        "[\"\u{1}\"]",
        "[}[",
        &nested(129),
        &"[".repeat(1_000_000),
    ] {
        assert!(
            encode(&packet(PacketType::Event, "/", payload)).is_err(),
            "{payload:.20}"
        );
    }
    let spaced = " [ \"e\" , { \"a\" : [ ] , \"b\" : { } } ] ";
    let event = packet(PacketType::Event, "/", spaced);
    assert_eq!(
        read(&written(&event)).unwrap().payload,
        r#"["e",{"a":[],"b":{}}]"#
    );
}

#[test]
fn attachments_stand_where_their_placeholders_do() {
    let attachments = [Bytes::from_static(&[1]), Bytes::from_static(&[2])];
    let of = |payload: &'static str| Packet {
        attachments: Cow::Borrowed(&attachments),
        ..packet(PacketType::Event, "/", payload)
    };
    let event = of(
        r#"["e",{"num":1,"x":[{"a":0}],"_placeholder":true},[{"_placeholder":true,"num":0}],{"a":1}]"#,
    );
    let read = read(&written(&event)).unwrap();
    assert_eq!(
        read.payload,
        r#"["e",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}],{"a":1}]"#
    );
    assert_eq!(read.attachments[..], [&[2][..], &[1]]);
    for payload in [
        r#"["e",{"_placeholder":true,"num":2}]"#,
        r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
    ] {
        assert!(encode(&of(payload)).is_err());
    }
}

#[test]
fn peers_of_socket_io_2_get_texts_where_there_are_no_arguments() {
    let limits = ConnectionConfig::default();
    let mut decoder = MessagePack.decoder(SocketRevision::V4, &limits);
    for (packet, text) in [
        (
            packet(PacketType::Connect, "/", ""),
            r#"{"type":0,"nsp":"/"}"#,
        ),
        (
            packet(PacketType::Connect, "/x?a=b", ""),
            r#"{"type":0,"nsp":"/x?a=b"}"#,
        ),
        (
            packet(PacketType::Disconnect, "/x", ""),
            r#"{"type":1,"nsp":"/x"}"#,
        ),
        (
            packet(PacketType::ConnectError, "/x", r#""no""#),
            r#"{"type":4,"data":"no","nsp":"/x"}"#,
        ),
    ] {
        let messages = MessagePack.encode(&packet, SocketRevision::V4).unwrap();
        assert_eq!(messages, [Message::Text(text.into())]);
        assert_eq!(decoder.decode(messages[0].clone()).unwrap(), Some(packet));
    }
    // These are binary, whatever bytes are in them.
    let hex = "84 a4 74 79 70 65 05 a3 6e 73 70 a1 2f a2 69 64 01 a4 64 61 74 61 92 a1 65 c4 01 07";
    let event = decoder
        .decode(Message::Binary(bytes(hex)))
        .unwrap()
        .unwrap();
    assert_eq!(
        (event.kind, event.attachments.len()),
        (PacketType::Event, 1)
    );
    let messages = MessagePack.encode(&event, SocketRevision::V4).unwrap();
    assert!(matches!(messages[..], [Message::Binary(_)]));
    let mut decoder = MessagePack.decoder(SocketRevision::V5, &limits);
    let text = Message::Text(r#"{"type":0,"nsp":"/"}"#.into());
    assert!(decoder.decode(text).is_err());
}
