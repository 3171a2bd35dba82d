//! An event with attachments: a line with the packet, then each attachment behind a byte with its length.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use sockeye_socket_proto::{Args, SocketRevision, decode, encode_event};

const MAX_ATTACHMENTS: usize = 10;

fuzz_target!(|data: &[u8]| {
    let line = data.iter().position(|&byte| byte == b'\n');
    let (text, rest) = data.split_at(line.unwrap_or(data.len()));
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok(packet) = decode(text, SocketRevision::V5, MAX_ATTACHMENTS) else {
        return;
    };
    let Ok((name, args)) = packet.event() else {
        return;
    };
    let attachments = attachments(rest.get(1..).unwrap_or_default());
    let args = args.with_attachments(&attachments).to_args();
    if read::<Value>(&args).is_none() {
        return;
    }

    let (mut buf, mut sent) = (Vec::new(), Vec::new());
    let Ok(start) = encode_event(&mut buf, 0, packet.namespace, None, &name, &args, &mut sent)
    else {
        return;
    };
    let text = std::str::from_utf8(&buf[start..]).expect("a packet is text");
    let again = decode(text, SocketRevision::V5, usize::MAX).expect("our own packet is in order");
    assert_eq!(again.attachments, sent.len());
    let (_, again) = again.event().expect("our own event is in order");
    let again = again.with_attachments(&sent).to_args();
    assert_eq!(again.len(), args.len());
    same::<Bytes>(&args, &again);
    same::<(Bytes, Option<Bytes>)>(&args, &again);
    same::<Vec<Bytes>>(&args, &again);
    same::<BTreeMap<String, Bytes>>(&args, &again);
    same::<(IgnoredAny, BTreeMap<String, Vec<Bytes>>)>(&args, &again);
});

fn attachments(mut rest: &[u8]) -> Vec<Bytes> {
    let mut attachments = Vec::new();
    while let Some((&len, more)) = rest.split_first() {
        let (data, more) = more.split_at(usize::from(len).min(more.len()));
        attachments.push(Bytes::copy_from_slice(data));
        rest = more;
    }
    attachments
}

fn read<T: for<'de> Deserialize<'de>>(args: &Args) -> Option<T> {
    args.deserialize().ok()
}

/// Attachments get new numbers on their way out; a handler sees the same bytes.
fn same<T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug>(args: &Args, again: &Args) {
    if let Some(value) = read::<T>(args) {
        assert_eq!(read::<T>(again), Some(value));
    }
}
