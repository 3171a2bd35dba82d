//! One Socket.IO packet without its attachments.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use sockeye_socket_proto::{
    Attachments, PacketType, RawArgs, RawPacket, SocketRevision, decode, encode_ack, encode_event,
    escape_packet, from_json,
};

const MAX_ATTACHMENTS: usize = 10;

fuzz_target!(|text: &str| {
    for revision in [SocketRevision::V4, SocketRevision::V5] {
        let Ok(packet) = decode(text, revision, MAX_ATTACHMENTS) else {
            continue;
        };
        assert!(packet.attachments <= MAX_ATTACHMENTS);
        match packet.kind {
            PacketType::Event | PacketType::BinaryEvent => event(&packet, revision),
            PacketType::Ack | PacketType::BinaryAck => ack(&packet, revision),
            _ => {}
        }
    }
});

fn event(packet: &RawPacket<'_>, revision: SocketRevision) {
    let Ok((name, args)) = packet.event() else {
        return;
    };
    let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
    let (namespace, id) = (packet.namespace, packet.ack_id);
    let Some(values) = read(args) else {
        return;
    };
    let Ok(start) = encode_event(&mut buf, 16, namespace, id, &name, &args, &mut attachments)
    else {
        return;
    };
    assert!(start >= 16 && attachments.is_empty());
    let text = std::str::from_utf8(&buf[start..]).expect("a packet is text");
    for text in [text, &escape_packet(text)] {
        let again = decode(text, revision, 0).expect("our own packet is in order");
        assert_eq!((again.namespace, again.ack_id), (namespace, id));
        let (again_name, again_args) = again.event().expect("our own event is in order");
        assert_eq!(again_name, name);
        assert_eq!(read(again_args), Some(values.clone()));
    }
}

fn ack(packet: &RawPacket<'_>, revision: SocketRevision) {
    let (Ok(args), Some(id)) = (packet.ack_args(), packet.ack_id) else {
        return;
    };
    let Some(values) = read(args) else {
        return;
    };
    let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
    let namespace = packet.namespace;
    let Ok(start) = encode_ack(&mut buf, 16, namespace, id, &args, &mut attachments) else {
        return;
    };
    let text = std::str::from_utf8(&buf[start..]).expect("a packet is text");
    let again = decode(text, revision, 0).expect("our own packet is in order");
    assert_eq!((again.namespace, again.ack_id), (namespace, Some(id)));
    let again = again
        .ack_args()
        .expect("our own acknowledgement is in order");
    assert_eq!(read(again), Some(values));
}

/// What is JSON can be read, up to the limits of its reader.
fn takes_what_javascript_takes(json: &str) {
    if serde_json::from_str::<IgnoredAny>(json).is_err() {
        assert!(from_json::<Value>(json).is_err());
        return;
    }
    if let Err(error) = from_json::<Value>(json) {
        let error = error.to_string();
        let limits = ["number out of range", "recursion limit exceeded"];
        assert!(limits.iter().any(|limit| error.contains(limit)), "{error}");
    }
}

/// The arguments, or `None` if one of them is no JSON after all.
fn read(args: RawArgs<'_>) -> Option<Vec<Value>> {
    assert_eq!(args.iter().count(), args.len());
    let one_by_one = args.iter().map(|arg| serde_json::from_str(arg).ok());
    let values: Option<Vec<Value>> = one_by_one.collect();
    // The same, by the way that handlers take.
    let first = args.deserialize::<Option<Value>>();
    if let Some(values) = &values {
        let first = first.expect("JSON is a value");
        assert_eq!(
            first,
            values.first().filter(|value| !value.is_null()).cloned()
        );
    }
    for arg in args.iter() {
        takes_what_javascript_takes(arg);
    }
    let _ = args.deserialize::<(String, u64)>();
    let _ = args.deserialize::<Vec<Option<i32>>>();
    values
}
