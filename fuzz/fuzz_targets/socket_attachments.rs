//! An event with attachments: a line with the packet, then each attachment behind a byte with its length.

#![no_main]

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use sockeye_socket_proto::{
    Args, ArgsWriter, Attachments, Connection, ConnectionConfig, EncodeError, Input,
    SocketRevision, ToArgs, decode, encode_event, lines,
};

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
    let Ok((name, _)) = packet.event() else {
        return;
    };
    let attachments = attachments(rest.get(1..).unwrap_or_default());
    let Some(args) = received(packet.namespace, text, &attachments) else {
        return;
    };
    let Some(value) = read::<Value>(&args) else {
        return;
    };
    expansion_is_bounded(&args);
    beside_bytes(&args, &value);

    let (mut buf, mut sent) = (Vec::new(), Attachments::default());
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

/// The arguments of an event as a server's connection hands them on, unless it refuses them or has no use for them.
fn received(namespace: &str, text: &str, attachments: &[Bytes]) -> Option<Args> {
    let mut connection = joined(namespace)?;
    let mut input = connection.handle_text(text).ok()?.map(into_args);
    for attachment in attachments {
        if input.is_some() {
            break;
        }
        let next = connection.handle_binary(attachment.clone()).ok()?;
        input = next.map(into_args);
    }
    input?
}

fn into_args(input: Input<'_>) -> Option<Args> {
    match input {
        Input::Event { args, .. } => Some(args.into_args()),
        _ => None,
    }
}

/// A server's connection with a peer that is in this namespace, unless its name is refused.
fn joined(namespace: &str) -> Option<Connection> {
    let config = ConnectionConfig::default();
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    let request = match namespace {
        "/" => "0".to_owned(),
        other => format!("0{other},"),
    };
    let joined = connection.handle_text(&request).ok()??;
    let key = joined.key();
    connection.accept(key);
    Some(connection)
}

/// Where there are no attachments, bytes take four times their size, and each of them once.
fn expansion_is_bounded(args: &Args) {
    let received: usize = args.attachments().iter().map(Bytes::len).sum();
    let mut line = Vec::new();
    if lines::encode_event(&mut line, 1_000_000, None, "e", args).is_ok() {
        let most = 100 + 3 * args.as_json().len() + 27 * args.attachments().len() + 4 * received;
        assert!(line.len() <= most, "{} bytes of {args:?}", line.len());
    }
    let read = read::<Vec<Bytes>>(args).unwrap_or_default();
    let read: usize = read.iter().map(Bytes::len).sum();
    assert!(read <= received + args.as_json().len());
}

/// Whatever a peer has sent, read by serde or as it came: beside bytes of ours it is taken for none of them.
fn beside_bytes(args: &Args, value: &Value) {
    struct Beside<'a>(&'a Args, &'a Value);
    impl ToArgs for Beside<'_> {
        fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
            out.push(self.1)?;
            out.push(&Bytes::from_static(b"ours"))?;
            // What had attachments, alone.
            for json in self.0.iter() {
                let json: &serde_json::value::RawValue =
                    serde_json::from_str(json).expect("it was read before");
                out.push(json)?;
            }
            Ok(())
        }
    }

    if args
        .iter()
        .any(|json| serde_json::from_str::<IgnoredAny>(json).is_err())
    {
        return;
    }
    let (mut buf, mut sent) = (Vec::new(), Attachments::default());
    let args = Beside(args, value);
    let Ok(start) = encode_event(&mut buf, 0, "/", None, "e", &args, &mut sent) else {
        // Deeper than the places of attachments are looked for.
        return;
    };
    assert_eq!(&*sent, ["ours"]);
    let text = std::str::from_utf8(&buf[start..]).expect("a packet is text");
    let mut connection = joined("/").expect("a client may join");
    // Any other placeholder would be one without its attachment, or the second of this one.
    let waits = connection
        .handle_text(text)
        .expect("our own event is in order");
    assert!(waits.is_none());
    let Ok(Some(Input::Event { args, .. })) = connection.handle_binary(sent[0].clone()) else {
        panic!("the event is complete");
    };
    let (_, bytes) = args
        .deserialize::<(IgnoredAny, Bytes)>()
        .expect("our bytes");
    assert_eq!(bytes, "ours");
}

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
