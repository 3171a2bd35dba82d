//! A message of MessagePack or, if it is UTF-8, also a text: one that a peer sent, and one that is written for a peer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use sockeye_socket_proto::parser::{
    Json, Message, MessagePack, Packet, PacketType, Parser, SocketRevision,
};
use sockeye_socket_proto::{ConnectionConfig, RawArgs};

fuzz_target!(|data: &[u8]| {
    let parsers: [&dyn Parser; 2] = [&MessagePack, &Json::new()];
    for revision in [SocketRevision::V4, SocketRevision::V5] {
        for parser in parsers {
            let message = Message::Binary(data.to_vec().into());
            received(parser, revision, message, data.len());
            if let Ok(text) = std::str::from_utf8(data) {
                received(parser, revision, Message::Text(text.into()), data.len());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        written(text);
    }
});

fn read<'a>(
    parser: &dyn Parser,
    revision: SocketRevision,
    message: Message<'a>,
) -> Option<Packet<'a>> {
    let mut decoder = parser.decoder(revision, &ConnectionConfig::default());
    let packet = decoder.decode(message).ok()?;
    assert!(!decoder.is_unfinished(), "each message is a packet");
    packet
}

fn received(parser: &dyn Parser, revision: SocketRevision, message: Message<'_>, len: usize) {
    let Some(packet) = read(parser, revision, message) else {
        return;
    };
    assert!(packet.payload.len() <= 8 * len + 1000, "{packet:?}");
    let has_args = matches!(packet.kind, PacketType::Event | PacketType::Ack);
    if !packet.payload.is_empty() && is_shallow(&packet.payload) {
        serde_json::from_str::<IgnoredAny>(&packet.payload).expect("it is JSON");
    }
    // What it is not is for the connection to find out.
    if !has_args || RawArgs::from_array(&packet.payload).is_err() {
        return;
    }
    let Ok(messages) = parser.encode(&packet, revision) else {
        // Such an attachment is there once, but somebody's text has two placeholders for it, or one for none.
        assert!(packet.payload.contains("_placeholder") || !is_shallow(&packet.payload));
        return;
    };
    let [message] = &messages[..] else {
        panic!("each packet is a message");
    };
    let again = read(parser, revision, message.clone()).expect("our own packet is in order");
    assert_eq!(again.namespace, packet.namespace);
    assert_eq!((again.kind, again.ack_id), (packet.kind, packet.ack_id));
    // Numbers of a text may be larger than any that there is.
    if let Some(sent) = values(&packet.payload)
        && !packet.payload.contains("_placeholder")
    {
        assert_eq!(values(&again.payload), Some(sent));
    }
}

/// A payload that somebody wants to send.
fn written(text: &str) {
    let packet = Packet {
        kind: PacketType::Event,
        namespace: "/".into(),
        ack_id: None,
        payload: text.into(),
        attachments: Vec::new().into(),
    };
    let written = MessagePack.encode(&packet, SocketRevision::V5);
    if is_shallow(text) && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        written.expect("it is JSON");
    }
}

/// What it says, without its white space and ways to write a number or a letter.
fn values(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

/// Whether it can be nested no deeper than anybody looks.
fn is_shallow(json: &str) -> bool {
    json.matches(['[', '{']).count() < 120
}
