//! What Node's adapters and emitters have written is read, and written again as it was.

use sockeye_socket_proto::Args;

use super::*;
use crate::legacy::{LegacyAnswer, LegacyId, LegacyPeer};
use crate::testing::{hex, made_here};
use crate::{RequestId, Value};

/// Broadcasts of version 8.
const BROADCASTS: &[&str] = &[
    "93a63968345f546483a47479706502a46461746194a568656c6c6f01a17882a161c0a16296c3cb3ff8000000000000ffcd012cce00011170cf000000012a05f200a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746193a175c080a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7391a5726f6f6d31a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7392a5726f6f6d31a5726f6f6d32a665786365707491a5726f6f6d33a5666c61677380",
    "93a63968345f546483a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7391b4366e555a713172485333514d4245544541414141a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2",
    "93a63968345f546483a47479706502a46461746192a362696ec403010203a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746192a362696ec4020102a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
    "93a63968345f546483a47479706502a46461746191a27362a36e7370a12f83a5726f6f6d7390a665786365707491b435383834485f69316b6c49614970725041414142a5666c61677380",
    "93a6326d4f55615283a47479706502a46461746191a361646da36e7370a62f61646d696e83a5726f6f6d7390a665786365707490a5666c61677380",
];

const DATE_OF_8: &str = "93a63968345f546483a47479706502a46461746192a164d7ff1d5353006553f100a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380";

/// What `notepack.io` 2 has forms of its own for, with which version 7 writes.
const OF_7: &[(&str, &str)] = &[
    (
        "93a678537635773683a47479706502a46461746193a175d4000081a16bd40000a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
        "null,{}",
    ),
    (
        "93a678537635773683a47479706502a46461746192a164d7000000018bcfe5687ba36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
        r#""2023-11-14T22:13:20.123Z""#,
    ),
    (
        "93a678537635773683a47479706502a46461746192a362696ec702000102a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380",
        r#"{"_placeholder":true,"num":0}"#,
    ),
];

/// Of Socket.IO 2: without `except`, one with a type for bytes; and of emitters, which have another order.
const OF_OTHERS: &[(&str, &str, &str)] = &[
    (
        "93a6786d514a497283a47479706502a46461746193a1610181a164d7000000018bcfe5687ba36e7370a12f82a5726f6f6d7390a5666c61677380",
        "xmQJIr",
        r#"1,{"d":"2023-11-14T22:13:20.123Z"}"#,
    ),
    (
        "93a6786d514a497283a47479706505a46461746192a362696ec4020102a36e7370a12f82a5726f6f6d7390a5666c61677380",
        "xmQJIr",
        r#"{"_placeholder":true,"num":0}"#,
    ),
    (
        "93a7656d697474657283a47479706502a46461746192a16581a17801a36e7370a12f82a5726f6f6d7391a5726f6f6d31a5666c61677380",
        "emitter",
        r#"{"x":1}"#,
    ),
    (
        "93a7656d697474657283a47479706502a46461746192a3616c6c01a36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490",
        "emitter",
        "1",
    ),
    (
        "93a7656d697474657283a47479706502a46461746192a3736964c40101a36e7370a12f83a5726f6f6d7391b4436f59305059314a4b39796c5265792d41414141a5666c61677380a665786365707490",
        "emitter",
        r#"{"_placeholder":true,"num":0}"#,
    ),
];

const REQUESTS: &[&str] = &[
    r#"{"uid":"9h4_Td","requestId":"1BpwmT","type":5,"opts":{"rooms":["room1"],"except":[]}}"#,
    r#"{"uid":"9h4_Td","type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["room9"]}"#,
    r#"{"uid":"9h4_Td","type":3,"opts":{"rooms":["room1"],"except":[]},"rooms":["room9","r10"]}"#,
    r#"{"uid":"9h4_Td","type":4,"opts":{"rooms":["room1"],"except":[]},"close":true}"#,
    r#"{"uid":"9h4_Td","type":6,"data":["ev",1,"a"]}"#,
    r#"{"uid":"9h4_Td","requestId":"c_6F9M","type":6,"data":["ping1"]}"#,
    r#"{"uid":"9h4_Td","requestId":"ELK3bB","type":6,"data":["pingbin",{"type":"Buffer","data":[7]}]}"#,
    r#"{"uid":"emitter","type":6,"data":["sse",1]}"#,
];

const BINARY_REQUESTS: &[&str] = &[
    "85a3756964a63968345f5464a9726571756573744964a64c646e586575a47479706507a67061636b657483a47479706502a46461746192a17101a36e7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8",
    "85a3756964a63968345f5464a9726571756573744964a6755331512d36a47479706507a67061636b657483a47479706502a46461746192a17101a36e7370a12fa46f70747383a5726f6f6d7391b4366e555a713172485333514d4245544541414141a665786365707490a5666c61677382b465787065637453696e676c65526573706f6e7365c3a774696d656f7574cd03e8",
];

const RESPONSES: &[&str] = &[
    r#"{"type":8,"requestId":"LdnXeu","clientCount":1}"#,
    r#"{"type":8,"requestId":"LdnXeu","clientCount":0}"#,
    r#"{"requestId":"1BpwmT","sockets":[{"id":"6nUZq1rHS3QMBETEAAAA","handshake":{"headers":{"upgrade":"websocket"},"issued":1795317949541,"auth":{}},"rooms":["6nUZq1rHS3QMBETEAAAA","room1"],"data":{"u":1}}]}"#,
    r#"{"type":6,"requestId":"c_6F9M","data":"pong"}"#,
    r#"{"type":6,"requestId":"c_6F9M"}"#,
    r#"{"type":6,"requestId":"ELK3bB","data":{"type":"Buffer","data":[9,8]}}"#,
    r#"{"requestId":"-jRZf-","rooms":["6nUZq1rHS3QMBETEAAAA","room1"]}"#,
    r#"{"requestid":"gOfpnL","clients":["a0BfIlREY7SmJQm1AAAA"]}"#,
    r#"{"requestId":"done"}"#,
];

const BINARY_RESPONSES: &[&str] = &[
    "83a47479706509a9726571756573744964a64c646e586575a67061636b6574a3616e73",
    "83a47479706509a9726571756573744964a66f4762444867a67061636b6574c403010203",
];

type Decode = fn(&Bytes, &Limits) -> Result<Envelope, DecodeError>;

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn request(text: &'static str) -> Message {
    let frame = Bytes::from_static(text.as_bytes());
    decode_request(&frame, &Limits::default()).unwrap().message
}

fn args_of(frame: &Bytes) -> Args {
    let envelope = decode_broadcast(frame, &Limits::default()).unwrap();
    let Message::Broadcast { event, .. } = envelope.message else {
        panic!("{envelope:?}");
    };
    event.decode(&Limits::default()).unwrap().1
}

#[test]
fn what_node_writes_is_read_and_written_again() {
    let all: [(Decode, Vec<Bytes>); 3] = [
        (
            decode_broadcast,
            BROADCASTS.iter().map(|frame| hex(frame)).collect(),
        ),
        (
            decode_request,
            REQUESTS
                .iter()
                .map(|frame| text(frame))
                .chain(BINARY_REQUESTS.iter().map(|frame| hex(frame)))
                .collect(),
        ),
        (
            decode_response,
            RESPONSES
                .iter()
                .map(|frame| text(frame))
                .chain(BINARY_RESPONSES.iter().map(|frame| hex(frame)))
                .collect(),
        ),
    ];
    for (decode, frames) in all {
        for frame in frames {
            let envelope = decode(&frame, &Limits::default());
            let envelope = envelope.unwrap_or_else(|error| panic!("{frame:?}: {error}"));
            let from = envelope.from.unwrap_or_else(|| NodeId::new("nobody"));
            let namespace = envelope.namespace.unwrap_or_else(|| "/".into());
            for message in [envelope.message.clone(), made_here(envelope.message)] {
                let mut out = Vec::new();
                encode(&mut out, &from, &namespace, &message).unwrap();
                assert_eq!(frame, out, "{message:?}");
            }
        }
    }
}

#[test]
fn answers_of_ours_say_who_gives_them() {
    let frames = RESPONSES.iter().map(|frame| text(frame));
    for frame in frames.chain(BINARY_RESPONSES.iter().map(|frame| hex(frame))) {
        let envelope = decode_response(&frame, &Limits::default()).unwrap();
        assert_eq!(envelope.from, None);
        let (from, mut out) = (NodeId::new("9h4_Td"), Vec::new());
        encode_answer(&mut out, &from, &envelope.message).unwrap();
        let ours = decode_response(&out.into(), &Limits::default()).unwrap();
        assert_eq!(ours.from, Some(from));
        let mut again = Vec::new();
        encode(&mut again, &NodeId::new("x"), "/", &ours.message).unwrap();
        assert_eq!(frame, again);
    }
}

#[test]
fn extensions_of_all_ages_are_read_and_passed_on_as_they_came() {
    assert_eq!(
        args_of(&hex(DATE_OF_8)).as_json(),
        r#""2023-11-14T22:13:20.123Z""#
    );
    for (frame, json) in OF_7
        .iter()
        .chain([&(DATE_OF_8, r#""2023-11-14T22:13:20.123Z""#)])
    {
        let frame = hex(frame);
        assert_eq!(args_of(&frame).as_json(), *json);
        let envelope = decode_broadcast(&frame, &Limits::default()).unwrap();
        let mut out = Vec::new();
        encode(&mut out, &envelope.from.unwrap(), "/", &envelope.message).unwrap();
        assert_eq!(frame, out);
    }
}

#[test]
fn broadcasts_of_old_servers_and_emitters_are_read() {
    for (frame, from, json) in OF_OTHERS {
        let frame = hex(frame);
        let envelope = decode_broadcast(&frame, &Limits::default()).unwrap();
        let node = envelope.from.unwrap();
        assert_eq!(node.as_str(), *from);
        assert_eq!(node.is_emitter(), *from == "emitter");
        assert_eq!(envelope.namespace.unwrap(), "/");
        assert_eq!(args_of(&frame).as_json(), *json);
    }
}

/// A packet with bytes is of type 5 in Socket.IO 2, which would be `5undefined-` in a later one.
#[test]
fn packets_leave_as_events_with_bytes_or_without() {
    let frame = hex(OF_OTHERS[1].0);
    let envelope = decode_broadcast(&frame, &Limits::default()).unwrap();
    let mut out = Vec::new();
    encode(&mut out, &envelope.from.unwrap(), "/", &envelope.message).unwrap();
    assert_eq!(&out[8..15], b"\x83\xa4type\x02");
}

#[test]
fn own_broadcasts_are_told_from_others_without_decoding() {
    let frame = hex(BROADCASTS[0]);
    assert!(is_broadcast_of(&frame, &NodeId::new("9h4_Td")));
    for other in ["9h4_T", "9h4_Tx", "9h4_Tdx", ""] {
        assert!(!is_broadcast_of(&frame, &NodeId::new(other)));
    }
    assert!(!is_broadcast_of(&[], &NodeId::new("9h4_Td")));
}

#[test]
fn emitters_need_not_say_who_they_are() {
    let text = r#"{"type":4,"opts":{"rooms":[],"except":[]},"close":false}"#;
    let envelope = decode_request(&Bytes::from_static(text.as_bytes()), &Limits::default());
    let envelope = envelope.unwrap();
    assert_eq!(envelope.from, None);
    assert!(matches!(
        envelope.message,
        Message::Disconnect { close: false, .. }
    ));
}

#[test]
fn requests_of_old_servers_are_told_apart_by_how_they_spell_their_id() {
    let legacy = |text| match request(text) {
        Message::Legacy { request, what } => (request.peer, format!("{what:?}")),
        message => panic!("{message:?}"),
    };
    for (text, peer, what) in [
        (r#"{"requestid":"a","type":2}"#, LegacyPeer::V2, "AllRooms"),
        (
            r#"{"uid":"x","requestId":"a","type":1}"#,
            LegacyPeer::V3,
            "AllRooms",
        ),
        (
            r#"{"requestid":"a","type":0,"rooms":["r",5]}"#,
            LegacyPeer::V2,
            r#"SocketIds { rooms: ["r", "5"] }"#,
        ),
        (
            r#"{"requestid":"a","type":1,"sid":"s"}"#,
            LegacyPeer::V2,
            r#"RoomsOf { socket: "s" }"#,
        ),
        (
            r#"{"requestid":"a","type":3,"sid":"s","room":"r"}"#,
            LegacyPeer::V2,
            r#"Join { socket: "s", room: "r" }"#,
        ),
        (
            r#"{"requestId":"a","type":2,"sid":"s","room":"r"}"#,
            LegacyPeer::V3,
            r#"Join { socket: "s", room: "r" }"#,
        ),
        (
            r#"{"requestId":"a","type":3,"sid":"s","room":"r"}"#,
            LegacyPeer::V3,
            r#"Leave { socket: "s", room: "r" }"#,
        ),
        (
            r#"{"requestId":"a","type":4,"sid":"s","close":true}"#,
            LegacyPeer::V3,
            r#"Disconnect { socket: "s", close: true }"#,
        ),
        (
            r#"{"requestid":"a","type":6,"sid":"s"}"#,
            LegacyPeer::V2,
            r#"Disconnect { socket: "s", close: false }"#,
        ),
        (
            r#"{"requestid":"a","type":5,"data":{"k":1}}"#,
            LegacyPeer::V2,
            "Custom { data: Some(Value(7 bytes of JsonWithBuffers)) }",
        ),
    ] {
        assert_eq!(legacy(text), (peer, what.to_owned()));
    }
}

#[test]
fn old_servers_are_answered_in_their_spelling() {
    let answer = |peer, answer| {
        let request = LegacyId {
            id: RequestId::new("a"),
            peer,
        };
        let message = Message::LegacyAnswer { request, answer };
        let mut out = Vec::new();
        encode(&mut out, &NodeId::new("x"), "/", &message).unwrap();
        String::from_utf8(out).unwrap()
    };
    let ids = || LegacyAnswer::SocketIds(vec!["s".into()]);
    assert_eq!(
        answer(LegacyPeer::V2, ids()),
        r#"{"requestid":"a","clients":["s"]}"#
    );
    assert_eq!(
        answer(LegacyPeer::V3, ids()),
        r#"{"requestId":"a","sockets":["s"]}"#
    );
    assert_eq!(
        answer(LegacyPeer::V2, LegacyAnswer::Done),
        r#"{"requestid":"a"}"#
    );
    let custom = LegacyAnswer::Custom(Some(Value::new(&[1, 2]).unwrap()));
    assert_eq!(
        answer(LegacyPeer::V2, custom),
        r#"{"requestid":"a","data":[1,2]}"#
    );
}

/// The objects that Node makes of them are bytes to handlers who ask for bytes.
#[test]
fn bytes_survive_json() {
    let Message::ServerSideEmit { event, .. } = request(REQUESTS[6]) else {
        panic!("it is one");
    };
    assert!(event.has_bytes());
    let (_, args) = event.decode(&Limits::default()).unwrap();
    assert_eq!(args.deserialize::<Bytes>().unwrap(), [7][..]);
}

#[test]
fn there_is_no_word_for_what_only_others_say() {
    for message in [Message::Hello, Message::Heartbeat, Message::Close] {
        let error = encode(&mut Vec::new(), &NodeId::new("x"), "/", &message).unwrap_err();
        assert!(matches!(error, EncodeError::NoWord(_)));
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let limits = Limits::default();
    for text in [
        "",
        "{",
        "{}",
        "[]",
        r#"{"type":1}"#,
        r#"{"type":99,"requestId":"a"}"#,
        r#"{"type":2,"rooms":["a"]}"#,
        r#"{"type":4,"close":true}"#,
        r#"{"type":5,"requestId":"a"}"#,
        r#"{"type":6,"requestId":"a"}"#,
        r#"{"type":2,"opts":{"rooms":"all"},"rooms":["a"]}"#,
        r#"{"type":2,"opts":{"rooms":[],"except":[]},"rooms":["a"]} x"#,
    ] {
        let frame = Bytes::from_static(text.as_bytes());
        assert!(decode_request(&frame, &limits).is_err(), "{text}");
        assert!(
            decode_response(&frame, &limits).is_err() || text.contains("requestId"),
            "{text}"
        );
        assert!(decode_broadcast(&frame, &limits).is_err(), "{text}");
    }
    let long = hex(BROADCASTS[0]);
    let strict = limits.max_bytes(long.len() - 1);
    let error = decode_broadcast(&long, &strict).unwrap_err();
    assert!(matches!(error, DecodeError::TooLong { .. }));
}
