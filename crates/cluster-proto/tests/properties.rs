//! What holds for every message and every input: messages survive the way to another server in every dialect that has a word
//! for them, and nothing that anybody publishes can panic.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde::{Deserialize, Serialize};
use sockeye_cluster_proto::streams::{BytesIn, Entry};
use sockeye_cluster_proto::{
    EncodeError, Envelope, Event, Flags, Limits, Message, NodeId, Opts, RequestId, Session,
    SessionMark, Value, classic, cluster, mickl, mongo, postgres, streams,
};
use sockeye_socket_proto::{Args, is_reserved_event};

const LIMITS: Limits = Limits::new();

/// Nested values with bytes anywhere. Tagged, because a placeholder is bytes only to a type that asks for bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tagged {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let leaf = prop_oneof![
        Just(Tagged::Null),
        any::<bool>().prop_map(Tagged::Bool),
        any::<i64>().prop_map(Tagged::Int),
        prop::num::f64::NORMAL.prop_map(Tagged::Float),
        any::<String>().prop_map(Tagged::Text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Tagged::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tagged::List),
            prop::collection::btree_map(any::<String>(), inner, 0..5).prop_map(Tagged::Map),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_-]{1,20}",
        any::<String>(),
        "[#*\\[\"\\\\é😀]{0,6}"
    ]
}

fn name() -> impl Strategy<Value = String> {
    text().prop_filter("reserved", |name| !is_reserved_event(name))
}

fn rooms() -> impl Strategy<Value = Vec<Arc<str>>> {
    prop::collection::vec(text().prop_map(Arc::from), 0..20)
}

fn opts() -> impl Strategy<Value = Opts> {
    let truth = || prop::option::of(any::<bool>());
    let flags = (
        any::<bool>(),
        truth(),
        truth(),
        any::<bool>(),
        prop::option::of(0..1u64 << 50),
        prop::option::of("x[a-z]{0,5}"),
    );
    let flags = flags.prop_map(
        |(volatile, compress, binary, single, timeout, other)| Flags {
            volatile,
            compress,
            binary,
            expect_single_response: single,
            timeout,
            other: Vec::from_iter(other.map(|key| (key.into(), Value::new(&[1]).unwrap()))),
        },
    );
    (rooms(), rooms(), flags).prop_map(|(rooms, except, flags)| Opts {
        rooms,
        except,
        flags,
    })
}

fn event() -> impl Strategy<Value = Event> {
    (name(), prop::collection::vec(tagged(), 0..4)).prop_map(|(name, args)| {
        // Each item is an argument.
        let list = Args::new(&(&args,)).unwrap();
        let items = Value::first(&list).unwrap().decode_items(&LIMITS).unwrap();
        Event::new(&name, items.as_raw())
    })
}

fn value() -> impl Strategy<Value = Value> {
    tagged().prop_map(|value| Value::new(&value).unwrap())
}

/// One that is `null` is absent when it has been received.
fn answer() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(value())
}

fn message() -> impl Strategy<Value = Message> {
    let id = || text().prop_map(|id| RequestId::new(&id));
    let maybe_id =
        || prop::option::of("[a-z0-9]{1,30}").prop_map(|id| id.map(|id| RequestId::new(&id)));
    prop_oneof![
        Just(Message::Hello),
        Just(Message::Heartbeat),
        Just(Message::Close),
        (event(), opts(), maybe_id()).prop_map(|(event, opts, request)| Message::Broadcast {
            event,
            opts,
            request
        }),
        (opts(), rooms()).prop_map(|(opts, rooms)| Message::Join { opts, rooms }),
        (opts(), rooms()).prop_map(|(opts, rooms)| Message::Leave { opts, rooms }),
        (opts(), any::<bool>()).prop_map(|(opts, close)| Message::Disconnect { opts, close }),
        (id(), opts()).prop_map(|(request, opts)| Message::FetchSockets { request, opts }),
        (id(), prop::collection::vec(tagged(), 0..3)).prop_map(|(request, sockets)| {
            let sockets = Value::new(&sockets).unwrap();
            Message::Sockets { request, sockets }
        }),
        (event(), maybe_id())
            .prop_map(|(event, request)| Message::ServerSideEmit { event, request }),
        (id(), answer())
            .prop_map(|(request, answer)| Message::ServerSideAnswer { request, answer }),
        (id(), 0..1u64 << 53).prop_map(|(request, count)| Message::ClientCount { request, count }),
        (id(), answer()).prop_map(|(request, answer)| Message::BroadcastAck { request, answer }),
        (text(), text(), rooms(), value()).prop_map(|(sid, pid, rooms, data)| {
            Message::Session(SessionMark::Kept(Session {
                sid: sid.into(),
                pid: pid.into(),
                rooms,
                data: Some(data),
            }))
        }),
    ]
}

/// Everything that a message says, with bytes where they are. Classic requests but broadcasts have no flags.
fn said(message: &Message, with_flags: bool) -> String {
    let args = |args: &Args| format!("{} {:?}", args.as_json(), args.attachments());
    let event = |event: &Event| {
        let (name, list) = event.decode(&LIMITS).unwrap();
        // Where bytes are in the JSON, they become attachments again.
        format!("{name:?} {}", args(&Args::new(&list).unwrap()))
    };
    let value = |value: &Value| {
        let list = value.decode(&LIMITS).unwrap();
        match list.as_json() {
            "null" => "nothing".to_owned(),
            _ => args(&Args::new(&list).unwrap()),
        }
    };
    let opts = |opts: &Opts, with_flags: bool| {
        let Flags { other, .. } = &opts.flags;
        let other: Vec<_> = other.iter().map(|(key, it)| (key, value(it))).collect();
        let flags = Flags {
            other: Vec::new(),
            ..opts.flags.clone()
        };
        let flags = with_flags.then_some((flags, other));
        format!("{:?} {:?} {flags:?}", opts.rooms, opts.except)
    };
    let answered =
        |answer: &Option<Value>| answer.as_ref().map_or_else(|| "nothing".to_owned(), value);
    match message {
        Message::Broadcast {
            event: it,
            opts: to,
            request,
        } => format!("{} {} {request:?}", event(it), opts(to, true)),
        Message::Join { opts: to, rooms } | Message::Leave { opts: to, rooms } => {
            format!("{} {rooms:?}", opts(to, with_flags))
        }
        Message::Disconnect { opts: to, close } => format!("{} {close}", opts(to, with_flags)),
        Message::FetchSockets { request, opts: to } => {
            format!("{request:?} {}", opts(to, with_flags))
        }
        Message::Sockets { request, sockets } => {
            let items = sockets.decode_items(&LIMITS).unwrap();
            format!("{request:?} {}", args(&Args::new(&items).unwrap()))
        }
        Message::ServerSideEmit { event: it, request } => format!("{} {request:?}", event(it)),
        Message::ServerSideAnswer { request, answer } => {
            format!("answer {request:?} {}", answered(answer))
        }
        Message::BroadcastAck { request, answer } => {
            format!("ack {request:?} {}", answered(answer))
        }
        Message::Session(SessionMark::Kept(session)) => format!(
            "{} {} {:?} {}",
            session.sid,
            session.pid,
            session.rooms,
            answered(&session.data)
        ),
        other => format!("{other:?}"),
    }
}

type Way = fn(&NodeId, &str, &Message) -> Result<Envelope, EncodeError>;

fn by_json(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    let mut out = Vec::new();
    cluster::encode_json_unless_binary(&mut out, node, namespace, message)?;
    Ok(cluster::decode(&out.into(), &LIMITS).unwrap())
}

fn by_msgpack(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    let mut out = Vec::new();
    cluster::encode_msgpack(&mut out, node, namespace, message)?;
    Ok(cluster::decode(&out.into(), &LIMITS).unwrap())
}

fn by_classic(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    let mut out = Vec::new();
    classic::encode(&mut out, node, namespace, message)?;
    let decode = match message {
        Message::Broadcast { request: None, .. } => classic::decode_broadcast,
        message if message.answers().is_some() => classic::decode_response,
        _ => classic::decode_request,
    };
    let mut envelope = decode(&out.into(), &LIMITS).unwrap();
    // The channel says what is missing, or nobody does.
    envelope.from.get_or_insert_with(|| node.clone());
    envelope
        .namespace
        .get_or_insert_with(|| namespace.to_owned().into());
    Ok(envelope)
}

fn by_streams(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    let entry = Entry::encode(node, namespace, message, BytesIn::Base64)?;
    Ok(entry.decode(BytesIn::Base64, &LIMITS).unwrap())
}

fn by_plain_streams(
    node: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<Envelope, EncodeError> {
    let entry = Entry::encode(node, namespace, message, BytesIn::Json)?;
    Ok(entry.decode(BytesIn::Json, &LIMITS).unwrap())
}

fn by_mongo(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    Ok(mongo::decode(&mongo::encode(node, namespace, message)?, &LIMITS).unwrap())
}

fn by_mickl(node: &NodeId, namespace: &str, message: &Message) -> Result<Envelope, EncodeError> {
    let mut out = Vec::new();
    mickl::encode(&mut out, node, namespace, message)?;
    Ok(mickl::decode(&out.into(), &LIMITS).unwrap())
}

const WAYS: [(&str, Way); 7] = [
    ("JSON", by_json),
    ("MessagePack", by_msgpack),
    ("classic", by_classic),
    ("streams", by_streams),
    ("plain streams", by_plain_streams),
    ("MongoDB", by_mongo),
    ("mickl", by_mickl),
];

/// Everything that reads what somebody has published.
fn read_all(frame: &Bytes) -> impl Iterator<Item = Message> {
    let entries = [BytesIn::Base64, BytesIn::Json]
        .into_iter()
        .flat_map(|form| {
            (0..15).map(move |kind: u8| {
                let fields: [(&str, Vec<u8>); 4] = [
                    ("uid", b"a".to_vec()),
                    ("nsp", b"/".to_vec()),
                    ("type", kind.to_string().into_bytes()),
                    ("data", frame.to_vec()),
                ];
                Entry::from_fields(fields).unwrap().decode(form, &LIMITS)
            })
        });
    let _ = streams::decode_session(frame, &LIMITS);
    let _ = cluster::sender(frame);
    let postgres = match postgres::decode(frame, &LIMITS) {
        Ok(postgres::Notification::Message(envelope)) => Some(Ok(envelope)),
        _ => None,
    };
    let all = [
        classic::decode_broadcast(frame, &LIMITS),
        classic::decode_request(frame, &LIMITS),
        classic::decode_response(frame, &LIMITS),
        cluster::decode(frame, &LIMITS),
        mickl::decode(frame, &LIMITS),
    ];
    let all: Vec<_> = all.into_iter().chain(entries).chain(postgres).collect();
    all.into_iter().flatten().map(|envelope| envelope.message)
}

/// Parts of messages, more often in an order that makes sense than chance would have it.
fn message_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        (0..15u8).prop_map(|kind| format!(r#""type":{kind},"#)),
        Just(r#""uid":"a","#.to_owned()),
        Just(r#""fromUid":"a","#.to_owned()),
        Just(r#""nsp":"/","#.to_owned()),
        Just(r#""requestId":"r","#.to_owned()),
        Just(r#""requestid":"r","#.to_owned()),
        Just(r#""sid":"s","room":"r","#.to_owned()),
        Just(r#""packet":{"type":2,"data":["a",{"type":"Buffer","data":[1]}]},"#.to_owned()),
        Just(r#""packet":["a",1.5e3],"#.to_owned()),
        Just(r#""data":["a",null],"#.to_owned()),
        Just(r#""data":{"#.to_owned()),
        Just(r#""opts":{"rooms":["a",1],"except":null,"flags":{"x":[],"timeout":5}},"#.to_owned()),
        Just(r#""rooms":[],"#.to_owned()),
        Just(r#""sockets":[{"id":"s"}],"clientCount":3,"#.to_owned()),
        Just(r#""x":0}"#.to_owned()),
        "[\\[\\]{}\",:0-9a-z ]{0,3}",
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| format!("{{{}", parts.concat()))
}

proptest! {
    #[test]
    fn messages_survive_every_dialect(
        message in message(),
        node in "[a-zA-Z0-9_-]{1,30}",
        namespace in text().prop_map(|name| format!("/{name}")),
    ) {
        let node = NodeId::new(&node);
        for (way, send) in WAYS {
            let received = match send(&node, &namespace, &message) {
                Ok(received) => received,
                Err(EncodeError::NoWord(_)) => continue,
                Err(error) => panic!("{way}: {error}"),
            };
            prop_assert_eq!(received.from.as_ref(), Some(&node));
            prop_assert_eq!(received.namespace.as_deref(), Some(&*namespace));
            let with_flags = way != "classic";
            prop_assert_eq!(said(&received.message, with_flags), said(&message, with_flags), "{}", way);
        }
    }

    #[test]
    fn what_was_received_can_be_passed_on_in_every_other_dialect(message in message()) {
        let node = NodeId::new("a");
        for (first, send) in WAYS {
            let Ok(received) = send(&node, "/", &message) else { continue };
            for (second, pass_on) in WAYS {
                let Ok(again) = pass_on(&node, "/", &received.message) else { continue };
                let with_flags = first != "classic" && second != "classic";
                prop_assert_eq!(
                    said(&again.message, with_flags),
                    said(&message, with_flags),
                    "{} to {}", first, second
                );
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for message in read_all(&bytes.into()) {
            said_or_not(&message);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in message_like()) {
        for message in read_all(&text.into()) {
            said_or_not(&message);
        }
    }

    #[test]
    fn messages_that_are_cut_or_changed_never_panic(
        message in message(),
        cut in any::<prop::sample::Index>(),
        change in any::<(prop::sample::Index, u8)>(),
    ) {
        let node = NodeId::new("a");
        let mut frames = vec![Vec::new(), Vec::new(), Vec::new()];
        let _ = cluster::encode_json(&mut frames[0], &node, "/", &message);
        let _ = cluster::encode_msgpack(&mut frames[1], &node, "/", &message);
        let _ = classic::encode(&mut frames[2], &node, "/", &message);
        for frame in frames {
            if frame.is_empty() {
                continue;
            }
            let mut changed = frame.clone();
            changed[change.0.index(frame.len())] = change.1;
            let cut = frame[..cut.index(frame.len())].to_vec();
            prop_assert!(cluster::decode(&cut.clone().into(), &LIMITS).is_err());
            for frame in [cut, changed] {
                for message in read_all(&frame.into()) {
                    said_or_not(&message);
                }
            }
        }
    }
}

/// Looks at all that can be looked at.
fn said_or_not(message: &Message) {
    let _ = message.has_bytes();
    let event = |event: &Event| drop(event.decode(&LIMITS));
    let value = |value: &Value| {
        drop(value.decode(&LIMITS));
        drop(value.decode_items(&LIMITS));
    };
    match message {
        Message::Broadcast { event: it, .. } | Message::ServerSideEmit { event: it, .. } => {
            event(it);
        }
        Message::Sockets { sockets, .. } => value(sockets),
        Message::ServerSideAnswer { answer, .. } | Message::BroadcastAck { answer, .. } => {
            answer.iter().for_each(value);
        }
        _ => {}
    }
    let node = NodeId::new("a");
    for encode in [
        cluster::encode_json,
        cluster::encode_msgpack,
        classic::encode,
        mickl::encode,
    ] {
        let _ = encode(&mut Vec::new(), &node, "/", message);
    }
    let _ = mongo::encode(&node, "/", message);
}
