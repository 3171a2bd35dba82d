//! What somebody has published for the servers of a cluster, as each dialect takes it.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye_cluster_proto::streams::{BytesIn, Entry};
use sockeye_cluster_proto::{
    EncodeError, Envelope, Event, Limits, Message, NodeId, Opts, Value, classic, cluster, mickl,
    mongo, postgres, streams,
};
use sockeye_socket_proto::Args;

/// As few as can be reached.
const LIMITS: Limits = Limits::new().max_names(20).max_attachments(5);

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    let read = [
        classic::decode_broadcast(&frame, &LIMITS),
        classic::decode_request(&frame, &LIMITS),
        classic::decode_response(&frame, &LIMITS),
        cluster::decode(&frame, &LIMITS),
        mickl::decode(&frame, &LIMITS),
    ];
    for envelope in read.into_iter().flatten() {
        received(&envelope, data.len());
    }
    if let Ok(postgres::Notification::Message(envelope)) = postgres::decode(&frame, &LIMITS) {
        received(&envelope, data.len());
    }
    if let Ok(session) = streams::decode_session(data, &LIMITS) {
        let again = streams::encode_session(&session).expect("it is passed on as it came");
        streams::decode_session(again.as_bytes(), &LIMITS).expect("our own session is in order");
    }
    // The first byte stands for the type, which is a field of its own.
    if let Some((kind, data)) = data.split_first() {
        let kind = kind.to_string();
        let fields = [
            ("uid", &b"a"[..]),
            ("nsp", b"/"),
            ("type", kind.as_bytes()),
            ("data", data),
        ];
        let entry = Entry::from_fields(fields).expect("all of them are there");
        for bytes in [BytesIn::Base64, BytesIn::Json] {
            if let Ok(envelope) = entry.clone().decode(bytes, &LIMITS) {
                received(&envelope, data.len());
            }
        }
    }
});

fn received(envelope: &Envelope, len: usize) {
    let message = &envelope.message;
    within_limits(message);
    let is_whole = is_whole(message, len);
    let node = envelope.from.clone().unwrap_or_else(|| NodeId::new("a"));
    let namespace = envelope.namespace.as_deref().unwrap_or("/");

    let mut out = Vec::new();
    match cluster::encode_msgpack(&mut out, &node, namespace, message) {
        Ok(()) => {
            let again = cluster::decode(&out.into(), &LIMITS).expect("our own message is in order");
            assert_eq!(again.from.as_ref(), Some(&node));
            assert_eq!(again.namespace.as_deref(), Some(namespace));
            assert!(!is_whole || self::is_whole(&again.message, 10 * len));
        }
        Err(EncodeError::NoWord(_)) => {}
        // What is not JSON, or has placeholders for nothing, is found out no earlier.
        Err(EncodeError::Received(_) | EncodeError::MessagePack(_) | EncodeError::Args(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let mut out = Vec::new();
    if cluster::encode_json(&mut out, &node, namespace, message).is_ok() {
        cluster::decode(&out.into(), &LIMITS).expect("our own message is in order");
    }
    if let Ok(fields) = mongo::encode(&node, namespace, message) {
        mongo::decode(&fields, &LIMITS).expect("our own message is in order");
    }
}

fn within_limits(message: &Message) {
    let opts = |opts: &Opts| assert!(opts.rooms.len() <= 20 && opts.except.len() <= 20);
    match message {
        Message::Broadcast { opts: it, .. }
        | Message::Disconnect { opts: it, .. }
        | Message::FetchSockets { opts: it, .. } => opts(it),
        Message::Join { opts: it, rooms } | Message::Leave { opts: it, rooms } => {
            opts(it);
            assert!(rooms.len() <= 20);
        }
        _ => {}
    }
}

/// Whether the event or answer can be had, which is no larger than it may be then.
fn is_whole(message: &Message, len: usize) -> bool {
    let fits = |args: &Args| {
        assert!(args.as_json().len() <= 8 * len + 1000);
        assert!(args.attachments().len() <= 5);
    };
    let event = |event: &Event| {
        let decoded = event.decode(&LIMITS);
        decoded.inspect(|(_, args)| fits(args)).is_ok()
    };
    let value = |value: &Value| value.decode(&LIMITS).inspect(fits).is_ok();
    match message {
        Message::Broadcast { event: it, .. } | Message::ServerSideEmit { event: it, .. } => {
            event(it)
        }
        Message::Sockets { sockets, .. } => value(sockets),
        Message::ServerSideAnswer { answer, .. } | Message::BroadcastAck { answer, .. } => {
            answer.as_ref().is_none_or(value)
        }
        _ => true,
    }
}
