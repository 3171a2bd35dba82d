//! Streams of JSON lines, cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sockeye_engine_proto::lines::{Found, LineTooLong, next_line};
use sockeye_fuzz::bytes::{choice, sizes};
use sockeye_socket_proto::lines::{
    BadLines, Line, LineEvent, LinesConfig, decode, encode_ack, encode_error, encode_event,
    is_reserved_line_event,
};
use sockeye_socket_proto::{
    Args, Attachments, ConnectionConfig, RawArgs, SocketRevision, encode_event as encode_packet,
    is_reserved_event,
};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let options = choice(&mut data);
    let mut config = LinesConfig::default().revive_buffers(options & 2 == 0);
    if options & 1 != 0 {
        config = config.bad_lines(BadLines::Close);
    }
    let max_line_bytes = if options & 4 == 0 { 1_000_000 } else { 40 };
    let seed = choice(&mut data);
    let whole = read(data, std::iter::once(data.len()), max_line_bytes);
    assert_eq!(read(data, sizes(seed, 40), max_line_bytes), whole);
    for line in &whole.0 {
        match decode(line, &config) {
            Ok(Line::Event(said)) => event(&said),
            Ok(Line::Ack { id, args }) => ack(id, args),
            Ok(Line::Error { message, data }) => error(&message, data),
            Ok(Line::Other) => assert_eq!(config.bad_lines, BadLines::Ignore),
            Err(error) => {
                let _ = error.verdict(&config);
            }
        }
    }
});

/// All lines, or those in front of one that is too long.
fn read(
    mut rest: &[u8],
    mut sizes: impl Iterator<Item = usize>,
    max_line_bytes: usize,
) -> (Vec<Vec<u8>>, Option<LineTooLong>) {
    let (mut unread, mut searched, mut lines) = (Vec::new(), 0, Vec::new());
    while !rest.is_empty() {
        let size = sizes.next().expect("enough of them").min(rest.len());
        unread.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        loop {
            match next_line(&unread, searched, max_line_bytes) {
                Ok(Found::Line { line, used }) => {
                    assert!(!line.is_empty() && line.len() <= max_line_bytes);
                    lines.push(line.to_vec());
                    unread.drain(..used);
                    searched = 0;
                }
                Ok(Found::NeedMore { used, searched: to }) => {
                    // What may become a byte-order mark is not searched before it is one.
                    let rest = &unread[used..];
                    let is_mark_begun = rest.len() < 3 && "\u{feff}".as_bytes().starts_with(rest);
                    assert_eq!(to, if is_mark_begun { 0 } else { rest.len() });
                    unread.drain(..used);
                    searched = to;
                    break;
                }
                Err(error) => return (lines, Some(error)),
            }
        }
    }
    (lines, None)
}

fn event(said: &LineEvent<'_>) {
    assert!(!is_reserved_line_event(&said.name) && !is_reserved_event(&said.name));
    assert!(!said.args_dropped || said.args.is_empty());
    let Some(values) = values(said.args) else {
        return;
    };
    let mut wire = Vec::new();
    encode_event(&mut wire, usize::MAX, said.ack_id, &said.name, &said.args)
        .expect("values are JSON");
    let Line::Event(again) = read_own(&wire, said.args) else {
        panic!("an event is an event");
    };
    assert_eq!((&again.name, again.ack_id), (&said.name, said.ack_id));
    assert_eq!(self::values(again.args), Some(values));
    as_packet(said, &wire);
}

/// A peer with attachments gets the same, and what it passes on is what came.
fn as_packet(said: &LineEvent<'_>, wire: &[u8]) {
    let unlimited = ConnectionConfig::default().max_attachments(usize::MAX);
    let mut attachments = Attachments::new(unlimited.bytes_out());
    let mut buf = Vec::new();
    let (name, args) = (&*said.name, &said.args);
    let start = encode_packet(&mut buf, 0, "/", said.ack_id, name, args, &mut attachments)
        .expect("values are JSON");
    let text = std::str::from_utf8(&buf[start..]).expect("a packet is text");
    let packet = sockeye_socket_proto::decode(text, SocketRevision::V5, usize::MAX)
        .expect("our own packet is in order");
    assert_eq!(packet.attachments, attachments.len());
    let (_, received) = packet.event().expect("our own event is in order");
    let received = received.with_attachments(&attachments);
    assert!(args.has_buffers() || attachments.is_empty());
    let mut back = Vec::new();
    encode_event(&mut back, usize::MAX, said.ack_id, name, &received)
        .expect("every attachment is there");
    // Only the form of the Buffers may have changed: white space, and the order of their keys.
    let Line::Event(back) = read_own(&back, *args) else {
        panic!("an event is an event");
    };
    let Line::Event(sent) = read_own(wire, *args) else {
        panic!("an event is an event");
    };
    let mut values = values(sent.args);
    if !attachments.is_empty() {
        values.iter_mut().flatten().for_each(disarm);
    }
    assert_eq!(self::values(back.args), values);
}

/// Beside attachments, what would be taken for the placeholder of one leaves as a plain object.
fn disarm(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(disarm),
        Value::Object(members) => {
            members.values_mut().for_each(disarm);
            if let Some(mark @ Value::Bool(_)) = members.get_mut("_placeholder") {
                *mark = false.into();
            }
        }
        _ => {}
    }
}

fn ack(id: u64, args: RawArgs<'_>) {
    let Some(values) = values(args) else {
        return;
    };
    let mut wire = Vec::new();
    encode_ack(&mut wire, usize::MAX, id, &args).expect("values are JSON");
    let Line::Ack { id: same, args } = read_own(&wire, args) else {
        panic!("an acknowledgement is an acknowledgement");
    };
    assert_eq!((same, self::values(args)), (id, Some(values)));
}

fn error(message: &str, data: RawArgs<'_>) {
    assert!(data.len() <= 1);
    let Some(values) = values(data) else {
        return;
    };
    let mut wire = Vec::new();
    encode_error(&mut wire, message, values.first()).expect("values are JSON");
    let Line::Error {
        message: same,
        data,
    } = read_own(&wire, data)
    else {
        panic!("an error is an error");
    };
    assert_eq!((&*same, self::values(data)), (message, Some(values)));
}

/// What a line of ours says.
fn read_own<'a>(wire: &'a [u8], like: RawArgs<'_>) -> Line<'a> {
    assert!(wire.is_ascii());
    let Ok(Found::Line { line, used }) = next_line(wire, 0, wire.len()) else {
        panic!("our own line is in order");
    };
    assert_eq!((used, &wire[line.len()..]), (wire.len(), &b"\r\n"[..]));
    let config = LinesConfig::default()
        .bad_lines(BadLines::Close)
        .revive_buffers(like.has_buffers());
    decode(line, &config).expect("our own line is in order")
}

/// The arguments, or `None` if one of them is no JSON after all.
fn values(args: RawArgs<'_>) -> Option<Vec<Value>> {
    assert_eq!(args.iter().count(), args.len());
    let _ = args.deserialize::<(bytes::Bytes, Vec<bytes::Bytes>)>();
    let passed_on = Args::new(&args);
    let values: Option<Vec<Value>> = args
        .iter()
        .map(|arg| serde_json::from_str(arg).ok())
        .collect();
    assert!(values.is_none() || passed_on.is_ok());
    values
}
