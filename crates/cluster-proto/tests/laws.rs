//! What all dialects keep to, as servers of others misbehave otherwise. Each law has its number in what has been found out of
//! Node's adapters; those that are not here are about more than what is written: who answers what, and when.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;

use bytes::Bytes;
use sockeye_cluster_proto::streams::{BytesIn, Entry};
use sockeye_cluster_proto::{
    DecodeError, Envelope, Event, Flags, Limits, Message, NodeId, Opts, RequestId, Value, classic,
    cluster, mickl, mongo, postgres,
};
use sockeye_socket_proto::Args;

const LIMITS: Limits = Limits::new();

fn node() -> NodeId {
    NodeId::new("8c7cec449aa27f87")
}

fn event() -> Event {
    Event::new("ev", Args::new(&(1,)).unwrap().as_raw())
}

fn broadcast(opts: Opts) -> Message {
    Message::Broadcast {
        event: event(),
        opts,
        request: None,
    }
}

fn rooms(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| (*name).into()).collect()
}

/// A message in every dialect that has a word for it, as far as it is text there.
fn written(message: &Message) -> Vec<String> {
    let mut all = Vec::new();
    let mut json = Vec::new();
    cluster::encode_json(&mut json, &node(), "/", message).unwrap();
    all.push(String::from_utf8(json).unwrap());
    let mut packed = Vec::new();
    cluster::encode_msgpack(&mut packed, &node(), "/", message).unwrap();
    all.push(as_json(packed));
    let mut out = Vec::new();
    classic::encode(&mut out, &node(), "/", message).unwrap();
    all.push(match out.starts_with(b"{") {
        true => String::from_utf8(out).unwrap(),
        false => as_json(out),
    });
    let node = node();
    let entry = Entry::encode(&node, "/", message, BytesIn::Base64).unwrap();
    let data = entry.fields().find(|(name, _)| *name == "data");
    all.extend(data.map(|(_, data)| String::from_utf8(data.to_vec()).unwrap()));
    let fields = mongo::encode(&node, "/", message).unwrap();
    all.push(format!("{fields:?}").replace("Null", "null"));
    let mut out = Vec::new();
    if mickl::encode(&mut out, &node, "/", message).is_ok() {
        all.push(String::from_utf8(out).unwrap());
    }
    all
}

fn as_json(packed: Vec<u8>) -> String {
    sockeye_socket_proto::parser::msgpack::read_json(&packed.into()).unwrap()
}

fn read(text: &'static str) -> Result<Envelope, DecodeError> {
    cluster::decode(&Bytes::from_static(text.as_bytes()), &LIMITS)
}

#[test]
fn law_1_what_is_absent_is_left_out() {
    let opts = || Opts {
        flags: Flags {
            volatile: false,
            ..Flags::default()
        },
        ..Opts::default()
    };
    let request = || RequestId::new("9e9989ab0881e702");
    for message in [
        broadcast(opts()),
        Message::ServerSideEmit {
            event: event(),
            request: None,
        },
        Message::ServerSideAnswer {
            request: request(),
            answer: None,
        },
        Message::BroadcastAck {
            request: request(),
            answer: None,
        },
    ] {
        for text in written(&message) {
            for word in ["null", "volatile", "\"id\"", "timeout", "compress"] {
                assert!(!text.contains(word), "{text}");
            }
        }
    }
}

#[test]
fn law_1_null_is_read_as_absent() {
    for text in [
        r#"{"type":3,"data":{"packet":{"type":2,"data":["ev"],"id":null},"requestId":null,"opts":{"rooms":null,"except":null,"flags":null}},"uid":"a","nsp":null}"#,
        r#"{"type":3,"data":{"packet":{"type":2,"data":["ev"]},"opts":{"flags":{"volatile":null,"timeout":null}}},"uid":"a"}"#,
    ] {
        let Envelope {
            namespace, message, ..
        } = read(text).unwrap();
        assert_eq!(namespace, None);
        let Message::Broadcast { opts, request, .. } = message else {
            panic!("{text}");
        };
        assert_eq!(request, None);
        assert!(opts.rooms.is_empty() && opts.except.is_empty());
        assert!(!opts.flags.volatile && opts.flags.timeout.is_none());
    }
}

#[test]
fn law_2_rooms_and_exceptions_are_always_there() {
    for message in [
        broadcast(Opts::default()),
        Message::Join {
            opts: Opts::default(),
            rooms: rooms(&["a"]),
        },
        Message::Disconnect {
            opts: Opts::default(),
            close: false,
        },
        Message::FetchSockets {
            request: RequestId::new("a"),
            opts: Opts::default(),
        },
    ] {
        for text in written(&message) {
            let json = text.contains(r#""rooms":[],"except":[]"#);
            let document = text.contains(r#"("rooms", List([])), ("except", List([]))"#);
            assert!(json || document, "{text}");
        }
    }
}

#[test]
fn law_3_flags_that_are_unknown_travel_as_they_came() {
    const TEXT: &str = r#"{"type":3,"data":{"packet":{"type":2,"data":["ev"]},"opts":{"rooms":[],"except":[],"flags":{"volatile":true,"timeout":500,"local":false,"broadcast":true,"new":{"k":[1,null]},"a\"b":1}}},"uid":"a","nsp":"/"}"#;
    let envelope = read(TEXT).unwrap();
    let mut packed = Vec::new();
    let from = envelope.from.as_ref().unwrap();
    cluster::encode_msgpack(&mut packed, from, "/", &envelope.message).unwrap();
    let again = cluster::decode(&packed.into(), &LIMITS).unwrap();
    let mut out = Vec::new();
    cluster::encode_json(&mut out, from, "/", &again.message).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), TEXT);
}

#[test]
fn law_4_packets_are_events_with_bytes_or_without() {
    let args = Args::new(&(Bytes::from_static(b"x"),)).unwrap();
    let message = Message::Broadcast {
        event: Event::new("ev", args.as_raw()),
        opts: Opts::default(),
        request: None,
    };
    for message in [message, broadcast(Opts::default())] {
        let mut out = Vec::new();
        cluster::encode_msgpack(&mut out, &node(), "/", &message).unwrap();
        assert!(as_json(out).contains(r#""packet":{"type":2,"#));
    }
    let text = r#"{"type":3,"data":{"packet":{"type":5,"data":["ev"]},"opts":{}},"uid":"a"}"#;
    assert!(matches!(
        read(text).unwrap().message,
        Message::Broadcast { .. }
    ));
}

#[test]
fn law_5_the_packets_id_and_namespace_are_not_looked_at() {
    let text = r#"{"type":3,"data":{"packet":{"id":7,"nsp":"/other","type":2,"data":["ev"]},"opts":{}},"uid":"a","nsp":"/chat"}"#;
    let envelope = read(text).unwrap();
    assert_eq!(envelope.namespace.unwrap(), "/chat");
}

#[test]
fn law_5_a_missing_namespace_is_the_main_one_to_classic_servers() {
    // ["emitter", {"type": 2, "data": ["x"]}, {"rooms": [], "flags": {}}]
    let frame = b"\x93\xa7emitter\x82\xa4type\x02\xa4data\x91\xa1x\x82\xa5rooms\x90\xa5flags\x80";
    let envelope = classic::decode_broadcast(&Bytes::from_static(frame), &LIMITS).unwrap();
    assert_eq!(envelope.namespace.unwrap(), "/");
}

#[test]
fn law_7_and_8_an_answer_is_the_first_argument_alone() {
    let args = Args::new(&("first", "second")).unwrap();
    let answer = Value::first(&args);
    for message in [
        Message::BroadcastAck {
            request: RequestId::new("a"),
            answer: answer.clone(),
        },
        Message::ServerSideAnswer {
            request: RequestId::new("a"),
            answer,
        },
    ] {
        for text in written(&message) {
            assert!(text.contains("first") && !text.contains("second"), "{text}");
            assert!(!text.contains("[\"first"), "{text}");
        }
    }
    assert!(Value::first(&Args::empty()).is_none());
}

#[test]
fn law_9_emitters_are_known_by_their_name() {
    let text = r#"{"type":3,"data":{"packet":{"type":2,"data":["ev"],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}},"uid":"emitter","nsp":"/"}"#;
    assert!(read(text).unwrap().from.unwrap().is_emitter());
}

#[test]
fn law_10_own_messages_are_told_from_others_without_decoding() {
    let message = broadcast(Opts::default());
    for encode in [cluster::encode_json, cluster::encode_msgpack] {
        let mut out = Vec::new();
        encode(&mut out, &node(), "/", &message).unwrap();
        assert_eq!(cluster::sender(&out.into()), Some(node()));
    }
    let mut out = Vec::new();
    classic::encode(&mut out, &node(), "/", &message).unwrap();
    assert!(classic::is_broadcast_of(&out, &node()));
}

#[test]
fn law_11_what_is_foreign_is_an_error_and_no_more() {
    for text in [
        "",
        " ",
        "{",
        "{}",
        "null",
        "[1]",
        r#"{"type":1}"#,
        r#"{"type":0,"uid":"a","nsp":"/"}"#,
        r#"{"type":14,"data":{},"uid":"a","nsp":"/"}"#,
        r#"{"type":3,"uid":"a","nsp":"/"}"#,
        r#"{"type":3,"data":{},"uid":"a","nsp":"/"}"#,
        r#"{"type":3,"data":{"packet":[]},"uid":"a","nsp":"/"}"#,
        r#"{"type":3,"data":{"packet":{"data":["a"]},"opts":[]},"uid":"a","nsp":"/"}"#,
        r#"{"type":6,"data":{"close":true},"uid":"a","nsp":"/"}"#,
        r#"{"type":4,"data":{"opts":{"rooms":[],"except":[]}},"uid":"a","nsp":"/"}"#,
        r#"{"type":4,"data":{"opts":{"rooms":[{}]},"rooms":["a"]},"uid":"a","nsp":"/"}"#,
        r#"{"type":7,"data":{"opts":{}},"uid":"a","nsp":"/"}"#,
        r#"{"type":8,"data":{"requestId":"a"},"uid":"a","nsp":"/"}"#,
        r#"{"type":11,"data":{"requestId":"a","clientCount":-1},"uid":"a","nsp":"/"}"#,
        r#"{"type":11,"data":{"requestId":"a","clientCount":1.5},"uid":"a","nsp":"/"}"#,
        r#"{"type":1,"uid":{},"nsp":"/"}"#,
        r#"{"type":1,"uid":"a","nsp":"/"} {}"#,
        r#"{"type":1,"uid":"a","nsp":"/"#,
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    let too_many = format!(
        r#"{{"type":4,"data":{{"opts":{{}},"rooms":[{}""]}},"uid":"a"}}"#,
        r#""","#.repeat(10)
    );
    let limits = LIMITS.max_names(10);
    let error = cluster::decode(&too_many.into(), &limits).unwrap_err();
    assert!(matches!(error, DecodeError::TooMany { max: 10, .. }));
    // Ten thousand flags.
    let flags: Vec<_> = (0..10_000).map(|flag| format!(r#""f{flag}":1"#)).collect();
    let text = format!(
        r#"{{"type":6,"data":{{"opts":{{"flags":{{{}}}}}}},"uid":"a"}}"#,
        flags.join(",")
    );
    let error = cluster::decode(&text.into(), &LIMITS).unwrap_err();
    assert!(matches!(error, DecodeError::TooMany { .. }));
}

/// What is read of a message in each dialect that has a word for it.
fn read_again(node: &NodeId, message: &Message) -> Vec<Result<Envelope, DecodeError>> {
    let mut all = Vec::new();
    for encode in [cluster::encode_json, cluster::encode_msgpack] {
        let mut out = Vec::new();
        if encode(&mut out, node, "/", message).is_ok() {
            all.push(cluster::decode(&out.into(), &LIMITS));
        }
    }
    if let Ok(entry) = Entry::encode(node, "/", message, BytesIn::Base64) {
        all.push(entry.decode(BytesIn::Base64, &LIMITS));
    }
    if let Ok(fields) = mongo::encode(node, "/", message) {
        all.push(mongo::decode(&fields, &LIMITS));
    }
    let mut out = Vec::new();
    if mickl::encode(&mut out, node, "/", message).is_ok() {
        all.push(mickl::decode(&out.into(), &LIMITS));
    }
    let mut out = Vec::new();
    if message.answers().is_some() {
        classic::encode_answer(&mut out, node, message).unwrap();
        all.push(classic::decode_response(&out.into(), &LIMITS));
    } else if classic::encode(&mut out, node, "/", message).is_ok() {
        let is_request = !matches!(message, Message::Broadcast { request: None, .. });
        let decode = match is_request {
            true => classic::decode_request,
            false => classic::decode_broadcast,
        };
        all.push(decode(&out.into(), &LIMITS));
    }
    all
}

/// Servers are remembered by their ids, and anybody can be one.
#[test]
fn law_11_ids_are_short() {
    let messages = |id: &str| {
        let request = RequestId::new(id);
        let broadcast = |request| Message::Broadcast {
            event: event(),
            opts: Opts::default(),
            request,
        };
        [
            broadcast(None),
            Message::Heartbeat,
            broadcast(Some(request.clone())),
            Message::ClientCount {
                request: request.clone(),
                count: 1,
            },
            Message::BroadcastAck {
                request: request.clone(),
                answer: None,
            },
            Message::FetchSockets {
                request,
                opts: Opts::default(),
            },
        ]
    };
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    let is_too_long =
        |read: &Result<_, _>| matches!(read, Err(DecodeError::TooMany { max: 128, .. }));
    for message in messages(&longest) {
        for envelope in read_again(&NodeId::new(&longest), &message) {
            assert_eq!(envelope.unwrap().from.unwrap().as_str(), longest);
        }
        let all = read_again(&NodeId::new(&too_long), &message);
        assert!(all.len() >= 4 && all.iter().all(is_too_long), "{all:?}");
    }
    for message in &messages(&too_long)[2..] {
        let all = read_again(&node(), message);
        assert!(all.len() >= 4 && all.iter().all(is_too_long), "{all:?}");
    }
    for text in [
        r#"{"type":2,"requestid":"ID"}"#,
        r#"{"type":1,"requestId":"ID"}"#,
    ] {
        let text = text.replace("ID", &too_long);
        let read = classic::decode_request(&text.into(), &LIMITS);
        assert!(is_too_long(&read), "{read:?}");
    }
    let row = format!(r#"{{"uid":"{too_long}","type":3,"attachmentId":"1"}}"#);
    let read = postgres::decode(&row.into(), &LIMITS);
    assert!(matches!(read, Err(DecodeError::TooMany { max: 128, .. })));
    let mut out = Vec::new();
    cluster::encode_json(&mut out, &NodeId::new(&too_long), "/", &Message::Heartbeat).unwrap();
    assert_eq!(cluster::sender(&out.into()), None);
}

#[test]
fn law_11_a_broken_event_is_found_when_somebody_wants_it() {
    for data in [r#"[]"#, r#"[{}]"#, r#"{}"#, r#""ev""#] {
        let text = format!(
            r#"{{"type":3,"data":{{"packet":{{"type":2,"data":{data}}},"opts":{{}}}},"uid":"a"}}"#
        );
        let Ok(Envelope {
            message: Message::Broadcast { event, .. },
            ..
        }) = cluster::decode(&text.into(), &LIMITS)
        else {
            panic!("{data}");
        };
        assert!(event.decode(&LIMITS).is_err(), "{data}");
    }
}

#[test]
fn law_14_rooms_may_be_numbers() {
    let text = r#"{"type":5,"data":{"opts":{"rooms":[1,"a"],"except":[-2.5]},"rooms":[7]},"uid":"a","nsp":"/"}"#;
    let Message::Leave { opts, rooms: left } = read(text).unwrap().message else {
        panic!("it is one");
    };
    assert_eq!(opts.rooms, rooms(&["1", "a"]));
    assert_eq!(opts.except, rooms(&["-2.5"]));
    assert_eq!(left, rooms(&["7"]));
}
