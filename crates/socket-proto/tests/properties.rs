//! What holds for every input: packets survive the way out and in, and nothing that a peer sends can panic.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde::{Deserialize, Serialize};
use sockeye_socket_proto::{
    Args, ArgsWriter, Attachments, Connection, ConnectionConfig, EncodeError, Input, RawArgs,
    SocketRevision, StrayPackets, ToArgs, decode, encode_ack, encode_event, escape_packet,
    is_reserved_event, split_event,
};

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
    Pair(Box<Self>, Bytes),
    Map(BTreeMap<String, Option<Self>>),
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:]{1,12}",
        any::<String>(),
        "[\"\\\\\u{0}-\u{20}é€😀]{0,8}"
    ]
    .prop_filter("reserved", |name| !is_reserved_event(name))
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/".to_owned()),
        "/[a-z0-9/é😀-]{0,10}",
        any::<String>().prop_map(|name| format!("/{}", name.replace(',', ""))),
    ]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let leaf = prop_oneof![
        Just(Tagged::Null),
        any::<bool>().prop_map(Tagged::Bool),
        any::<i64>().prop_map(Tagged::Int),
        prop::num::f64::ANY
            .prop_filter("JSON has none", |n| n.is_finite())
            .prop_map(Tagged::Float),
        any::<String>().prop_map(Tagged::Text),
        bytes().prop_map(Tagged::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tagged::List),
            (inner.clone(), bytes()).prop_map(|(tree, bytes)| Tagged::Pair(Box::new(tree), bytes)),
            prop::collection::btree_map(any::<String>(), prop::option::of(inner), 0..5)
                .prop_map(Tagged::Map),
        ]
    })
}

/// Text that resembles packets more often than chance would have it.
fn packet_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-6]{1,3}",
        Just("51-".to_owned()),
        Just("/é,".to_owned()),
        Just("/x?a=b,".to_owned()),
        Just("[\"a\"".to_owned()),
        Just("[\"\\ud83d".to_owned()),
        Just(",{\"_placeholder\":true,\"num\":0}".to_owned()),
        Just("]".to_owned()),
        "[\\[\\]{}\",:\\\\0-9a-z ]{0,6}",
        any::<String>(),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Values that resemble placeholders more often than chance would have it.
fn forged() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        3 => Just(true.into()),
        1 => Just(false.into()),
        3 => (0..4).prop_map(Into::into),
        1 => "_placeholder|num|a\"\\\\".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            3 => prop::collection::btree_map("_placeholder|num|a", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn unlimited() -> Attachments {
    let config = ConnectionConfig::default().max_attachments(usize::MAX);
    Attachments::new(config.bytes_out())
}

proptest! {
    #[test]
    fn events_survive_the_wire(
        namespace in namespace(),
        name in name(),
        ack_id in prop::option::of(any::<u64>()),
        first in tagged(),
        second in tagged(),
        headroom in 0usize..40,
        ascii in any::<bool>(),
    ) {
        let (mut buf, mut attachments) = (vec![1; 7], unlimited());
        let args = (&first, &second);
        let start =
            encode_event(&mut buf, headroom, &namespace, ack_id, &name, &args, &mut attachments).unwrap();
        prop_assert!(start >= headroom);
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let escaped = escape_packet(text);
        let text = if ascii { &*escaped } else { text };
        let packet = decode(text, SocketRevision::V5, usize::MAX).unwrap();
        prop_assert_eq!(packet.namespace, &namespace);
        prop_assert_eq!(packet.ack_id, ack_id);
        prop_assert_eq!(packet.attachments, attachments.len());
        let (read, args) = packet.event().unwrap();
        prop_assert_eq!(read, name);
        let args = args.with_attachments(&attachments);
        prop_assert_eq!(args.len(), 2);
        prop_assert_eq!(args.deserialize::<(Tagged, Tagged)>().unwrap(), (first, second.clone()));

        // Passing on all of it, or a part, changes nothing for the receiver.
        let owned = args.to_args();
        let again = Args::new(&owned).unwrap();
        prop_assert_eq!(again.as_json(), owned.as_json());
        prop_assert_eq!(again.attachments(), owned.attachments());
        let part = Args::new(&owned.arg(1).unwrap()).unwrap();
        prop_assert_eq!(part.deserialize::<Tagged>().unwrap(), second);
    }

    #[test]
    fn acks_survive_the_wire(id in any::<u64>(), value in tagged()) {
        let (mut buf, mut attachments) = (Vec::new(), unlimited());
        let start = encode_ack(&mut buf, 0, "/", id, &value, &mut attachments).unwrap();
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let packet = decode(text, SocketRevision::V4, usize::MAX).unwrap();
        prop_assert_eq!(packet.ack_id, Some(id));
        let args = packet.ack_args().unwrap().with_attachments(&attachments);
        prop_assert_eq!(args.deserialize::<Tagged>().unwrap(), value);
    }

    #[test]
    fn forged_placeholders_never_stand_for_attachments(
        before in forged(),
        parts in prop::collection::vec(bytes(), 0..3),
        after in forged(),
        how in 0..4,
    ) {
        let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
        // Written by serde, passed on, or both.
        let raw = serde_json::to_string(&after).unwrap();
        let received = RawArgs::from_array(&raw).ok();
        let lines = received.map(|args| args.with_buffers());
        let event = Mixed { before: &before, parts: &parts, after: &after, received: match how {
            0 => None,
            1 => received,
            2 => lines,
            _ => Some(RawArgs::empty()),
        }};
        let start = encode_event(&mut buf, 0, "/", None, "e", &event, &mut attachments).unwrap();
        prop_assert_eq!(attachments.len(), parts.len());
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let mut connection = Connection::server(SocketRevision::V5, &ConnectionConfig::default(), Instant::now());
        let key = connection.handle_text("0").unwrap().unwrap().key();
        connection.accept(key);
        // The receiver takes one placeholder for each attachment, and any other one would be refused.
        let mut input = connection.handle_text(text).unwrap();
        if parts.is_empty() {
            let Some(Input::Event { args, .. }) = input else { panic!("an event") };
            prop_assert_eq!(args.deserialize::<(serde_json::Value,)>().unwrap().0, before);
            return Ok(());
        }
        prop_assert_eq!(text.matches(r#""_placeholder":true"#).count(), parts.len());
        for part in attachments.iter() {
            prop_assert!(input.is_none());
            input = connection.handle_binary(part.clone()).unwrap();
        }
        let Some(Input::Event { args, .. }) = input else { panic!("an event") };
        let (_, read) = args.deserialize::<(serde_json::Value, Vec<Bytes>)>().unwrap();
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn arbitrary_text_never_panics(texts in prop::collection::vec(packet_like(), 1..6), v4 in any::<bool>()) {
        let revision = if v4 { SocketRevision::V4 } else { SocketRevision::V5 };
        let config = ConnectionConfig::default().stray_packets(StrayPackets::Tolerate);
        let mut connection = Connection::server(revision, &config, Instant::now());
        connection.implicit_connect();
        let key = connection.handle_text("0").map(|input| input.unwrap().key());
        if let Ok(key) = key {
            connection.accept(key);
        }
        for text in &texts {
            let _ = split_event(text).map(|(_, args)| exercise(args));
            let _ = RawArgs::from_array(text).map(exercise);
            let _ = escape_packet(text);
            if let Ok(Some(input)) = connection.handle_text(text) {
                handle(&mut connection, input);
            } else if let Ok(Some(input)) = connection.handle_binary(Bytes::from_static(b"x")) {
                handle(&mut connection, input);
            }
        }
    }

    #[test]
    fn accepted_arguments_are_what_serde_json_sees(text in packet_like()) {
        // Whatever serde_json takes for an array, the scanner splits into the same values.
        let array = format!("[{text}]");
        if let Ok(values) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&array) {
            let args = RawArgs::from_array(&array).unwrap();
            prop_assert_eq!(args.len(), values.len());
            prop_assert!(args.iter().eq(values.iter().map(|value| value.get())));
        }
    }

    #[test]
    fn scanner_splits_any_array_like_serde_json(values in prop::collection::vec(tagged(), 0..5)) {
        let values: Vec<_> = values.iter().map(|value| serde_json::to_value(value).unwrap()).collect();
        let array = serde_json::to_string_pretty(&values).unwrap();
        let args = RawArgs::from_array(&array).unwrap();
        let read: Vec<serde_json::Value> =
            args.iter().map(|value| serde_json::from_str(value).unwrap()).collect();
        prop_assert_eq!(read, values);
    }
}

struct Mixed<'a> {
    before: &'a serde_json::Value,
    parts: &'a [Bytes],
    after: &'a serde_json::Value,
    received: Option<RawArgs<'a>>,
}

impl ToArgs for Mixed<'_> {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        out.push(self.before)?;
        out.push(self.parts)?;
        match self.received {
            Some(received) => out.extend(received),
            None => out.push(self.after),
        }
    }
}

fn handle(connection: &mut Connection, input: Input<'_>) {
    match input {
        Input::Connect { key, .. } => connection.accept(key),
        Input::Event { args, .. } | Input::Ack { args, .. } => exercise(args.as_raw()),
        Input::Error { .. } | Input::Disconnect { .. } => {}
    }
}

/// Does to arguments what an application can do.
fn exercise(args: RawArgs<'_>) {
    assert_eq!(args.iter().count(), args.len());
    let one = [Bytes::from_static(b"x")];
    for args in [args, args.with_attachments(&one)] {
        let _ = args.deserialize::<(serde_json::Value, Option<Bytes>, Vec<Bytes>)>();
        let _ = args.deserialize::<Tagged>();
        let owned = args.to_args();
        assert_eq!(owned.first().is_empty(), args.is_empty());
        if let Ok(again) = Args::new(&owned) {
            assert_eq!(again.len(), args.len());
        }
        let _ = Args::new(&owned.first());
        let _ = format!("{owned:?}");
    }
}
