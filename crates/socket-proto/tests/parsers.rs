//! Packets survive other formats, and nothing that a peer sends can panic.

#![cfg(feature = "msgpack")]
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::Value;
use sockeye_socket_proto::parser::{
    Json, Message, MessagePack, Packet, Parser, SocketRevision, translate,
};
use sockeye_socket_proto::{
    Args, Attachments, ConnectionConfig, RawArgs, ToArgs, decode, encode_event, split_event,
};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-70_000i64..70_000).prop_map(Value::from),
        prop::num::f64::ANY.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\"\\\\\u{0}-\u{20}é€😀]{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..20)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn limits() -> ConnectionConfig {
    ConnectionConfig::default().max_attachments(1000)
}

/// What a parser makes of an event, and what it reads again.
fn there_and_back(
    parser: &dyn Parser,
    revision: SocketRevision,
    args: &impl ToArgs,
) -> Packet<'static> {
    let (mut buf, mut attachments) = (Vec::new(), Attachments::new(limits().bytes_out()));
    let start = encode_event(&mut buf, 0, "/é", Some(7), "ev\"é", args, &mut attachments).unwrap();
    let text = std::str::from_utf8(&buf[start..]).unwrap();
    let sent = decode(text, revision, usize::MAX).unwrap();
    assert_eq!(sent.attachments, attachments.len());
    let messages = translate(parser, text, &attachments, revision).unwrap();
    let [message] = &messages[..] else {
        panic!("{messages:?}")
    };
    let mut decoder = parser.decoder(revision, &limits());
    let packet = decoder.decode(message.clone()).unwrap().unwrap();
    assert_eq!((&*packet.namespace, packet.ack_id), ("/é", Some(7)));
    assert!(!decoder.is_unfinished());
    packet.into_owned()
}

fn args_of(packet: &Packet<'_>) -> Args {
    let (name, args) = split_event(&packet.payload).unwrap();
    assert_eq!(name, "ev\"é");
    args.with_attachments(&packet.attachments).to_args()
}

const REVISIONS: [SocketRevision; 2] = [SocketRevision::V4, SocketRevision::V5];

proptest! {
    #[test]
    fn json_survives(value in value()) {
        let sent = Args::new(&(&value,)).unwrap();
        for revision in REVISIONS {
            for parser in [&MessagePack as &dyn Parser, &Json::new()] {
                let packet = there_and_back(parser, revision, &sent);
                let read = args_of(&packet);
                prop_assert_eq!(read.as_json(), sent.as_json());
            }
        }
    }

    #[test]
    fn bytes_survive(first in bytes(), rest in prop::collection::btree_map(any::<String>(), bytes(), 0..20)) {
        let sent = (1, &first, Some(&rest));
        for parser in [&MessagePack as &dyn Parser, &Json::new()] {
            let packet = there_and_back(parser, SocketRevision::V5, &sent);
            let read: (u8, Bytes, Option<BTreeMap<String, Bytes>>) = args_of(&packet).deserialize().unwrap();
            prop_assert_eq!(read, (1, first.clone(), Some(rest.clone())));
        }
    }

    #[test]
    fn anything_can_come(message in prop::collection::vec(any::<u8>(), 0..100), cut in 0usize..100) {
        let mut decoder = MessagePack.decoder(SocketRevision::V5, &limits());
        let _ = decoder.decode(Message::Binary(message.clone().into()));
        // Something that begins as a packet does.
        let mut packet = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e".to_vec();
        packet.extend(&message[..cut.min(message.len())]);
        packet.extend([0xc0; 8]);
        if let Ok(Some(packet)) = decoder.decode(Message::Binary(packet.into())) {
            let args = RawArgs::from_array(&packet.payload).unwrap();
            args.deserialize::<(Value, Value)>().unwrap();
        }
    }
}
