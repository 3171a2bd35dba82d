//! What holds for every stream of lines: wherever it is cut it says the same, what is written can be read, and nothing
//! that a peer sends can panic.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde::{Deserialize, Serialize};
use sockeye_engine_proto::lines::{Found, LineTooLong, next_line};
use sockeye_socket_proto::lines::{
    BadLines, Line, LinesConfig, decode, encode_ack, encode_error, encode_event,
    is_reserved_line_event,
};
use sockeye_socket_proto::{Args, RawArgs};

/// Nested values with bytes anywhere. Tagged, because a Buffer is bytes only to a type that asks for bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tagged {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    List(Vec<Self>),
    Pair(Box<Self>, Bytes),
    Map(BTreeMap<String, Option<Self>>),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z:]{0,12}",
        any::<String>(),
        "[\"\\\\\u{0}-\u{20}é€😀𝒳]{0,8}"
    ]
}

fn name() -> impl Strategy<Value = String> {
    text().prop_filter("reserved", |name| !is_reserved_line_event(name))
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from);
    let leaf = prop_oneof![
        Just(Tagged::Null),
        any::<i64>().prop_map(Tagged::Int),
        prop::num::f64::ANY
            .prop_filter("JSON has none", |n| n.is_finite())
            .prop_map(Tagged::Float),
        text().prop_map(Tagged::Text),
        bytes().prop_map(Tagged::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tagged::List),
            (inner.clone(), bytes()).prop_map(|(tree, bytes)| Tagged::Pair(Box::new(tree), bytes)),
            prop::collection::btree_map(any::<String>(), prop::option::of(inner), 0..5)
                .prop_map(Tagged::Map),
        ]
    })
}

/// Bytes that resemble lines more often than chance would have it.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(&b"{\"eventName\":\"a\xc3\xa9"[..]).prop_map(<[u8]>::to_vec),
        Just(&b"{\"args\":[1,{\"type\":\"Buffer\",\"data\":[1,2]}],\"id\":1"[..])
            .prop_map(<[u8]>::to_vec),
        Just(&b"\",\"args\":[{\"data\":[256],\"type\":\"Buffer\"},[}"[..]).prop_map(<[u8]>::to_vec),
        Just(&b",\"ack\":7"[..]).prop_map(<[u8]>::to_vec),
        Just(&b"{\"error\":{\"message\":\"\\ud83d\",\"data\":[]}"[..]).prop_map(<[u8]>::to_vec),
        Just(&b"\"}\r\n"[..]).prop_map(<[u8]>::to_vec),
        Just(&b"}\n"[..]).prop_map(<[u8]>::to_vec),
        "[\r\n \t\u{c}\u{feff}]{1,3}".prop_map(String::into_bytes),
        Just(&MARK[..2]).prop_map(<[u8]>::to_vec),
        "[\\[\\]{}\",:\\\\0-9a-z ]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// A driver: takes a stream in pieces, keeps what is unread, and searches no byte twice.
#[derive(Default)]
struct Reader {
    unread: Vec<u8>,
    searched: usize,
    lines: Vec<Vec<u8>>,
}

impl Reader {
    fn read(&mut self, piece: &[u8], max_line_bytes: usize) -> Result<(), LineTooLong> {
        self.unread.extend_from_slice(piece);
        loop {
            match next_line(&self.unread, self.searched, max_line_bytes)? {
                Found::Line { line, used } => {
                    assert!(!line.is_empty() && line.len() <= max_line_bytes);
                    self.lines.push(line.to_vec());
                    self.unread.drain(..used);
                    self.searched = 0;
                }
                Found::NeedMore { used, searched } => {
                    self.unread.drain(..used);
                    // No line has begun, or all of it has been searched, unless it may yet turn out
                    // to be a byte-order mark.
                    let is_mark_begun = self.unread.len() < 3 && MARK.starts_with(&self.unread);
                    let expected = if is_mark_begun { 0 } else { self.unread.len() };
                    assert_eq!(searched, expected);
                    self.searched = searched;
                    return Ok(());
                }
            }
        }
    }

    fn read_all(
        stream: &[u8],
        cuts: &[usize],
        max_line_bytes: usize,
    ) -> (Vec<Vec<u8>>, Option<LineTooLong>, Vec<u8>) {
        let mut reader = Self::default();
        let mut rest = stream;
        let mut sizes = cuts.iter().chain(std::iter::repeat(&usize::MAX));
        let mut error = None;
        while !rest.is_empty() && error.is_none() {
            let size = *sizes.next().expect("endless");
            let (piece, tail) = rest.split_at(size.min(rest.len()));
            error = reader.read(piece, max_line_bytes).err();
            rest = tail;
        }
        // What an error leaves behind depends on how much had come.
        if error.is_some() {
            reader.unread.clear();
        }
        (reader.lines, error, reader.unread)
    }
}

/// The byte-order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The only line of `wire`.
fn only_line(wire: &[u8]) -> &[u8] {
    assert!(wire.is_ascii());
    assert!(wire.ends_with(b"}\r\n"));
    let found = next_line(wire, 0, usize::MAX).expect("no limit");
    let Found::Line { line, used } = found else {
        panic!("no line");
    };
    assert_eq!(used, wire.len());
    assert_eq!(line.len() + 2, used);
    line
}

/// Bytes inside of a line: more than there are here.
const MAX: usize = 100_000;

proptest! {
    #[test]
    fn any_split_gives_the_same_lines(
        stream in stream(),
        cuts in prop::collection::vec(1usize..12, 0..40),
        max in prop_oneof![0usize..40, Just(1000)],
    ) {
        let whole = Reader::read_all(&stream, &[], max);
        prop_assert_eq!(&Reader::read_all(&stream, &cuts, max), &whole);
        prop_assert_eq!(&Reader::read_all(&stream, &vec![1; stream.len()], max), &whole);
    }

    #[test]
    fn lines_are_what_is_between_line_feeds(stream in stream()) {
        let (lines, error, _) = Reader::read_all(&stream, &[], usize::MAX);
        prop_assert_eq!(error, None);
        let end = stream.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let space = |byte: &u8| b" \t\r\n".contains(byte);
        let expected: Vec<_> = stream[..end]
            .split(|&byte| byte == b'\n')
            .filter_map(|mut line| {
                loop {
                    line = match line {
                        [0xef, 0xbb, 0xbf, rest @ ..] => rest,
                        [byte, rest @ ..] if space(byte) => rest,
                        _ => break,
                    };
                }
                let last = line.iter().rposition(|byte| !space(byte))?;
                Some(line[..=last].to_vec())
            })
            .collect();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(stream in stream(), strict in any::<bool>(), revive in any::<bool>()) {
        let bad_lines = if strict { BadLines::Close } else { BadLines::Ignore };
        let config = LinesConfig::default().bad_lines(bad_lines).revive_buffers(revive);
        let (lines, _, rest) = Reader::read_all(&stream, &[], usize::MAX);
        for line in lines.iter().chain([&rest, &stream]) {
            match decode(line, &config) {
                Ok(Line::Event(event)) => {
                    prop_assert!(!is_reserved_line_event(&event.name));
                    exercise(event.args);
                }
                Ok(Line::Ack { args, .. }) => exercise(args),
                Ok(Line::Error { data, .. }) => exercise(data),
                Ok(Line::Other) => prop_assert!(!strict),
                Err(error) => {
                    let _ = (error.verdict(&config), error.to_string());
                }
            }
        }
    }

    #[test]
    fn events_survive_the_wire(
        name in name(),
        ack_id in prop::option::of(any::<u64>()),
        first in tagged(),
        second in tagged(),
    ) {
        let mut wire = Vec::new();
        encode_event(&mut wire, MAX, ack_id, &name, &(&first, &second)).unwrap();
        let config = LinesConfig::default();
        let Ok(Line::Event(event)) = decode(only_line(&wire), &config) else {
            panic!("an event")
        };
        prop_assert_eq!(&event.name, &name);
        prop_assert_eq!(event.ack_id, ack_id);
        let sent = (first, second);
        prop_assert_eq!(&event.args.deserialize::<(Tagged, Tagged)>().unwrap(), &sent);

        // The same by way of a peer that has attachments, and back.
        let native = Args::new(&event.args).unwrap();
        prop_assert!(!native.as_json().contains("\"Buffer\""));
        prop_assert_eq!(&native.deserialize::<(Tagged, Tagged)>().unwrap(), &sent);
        let mut again = Vec::new();
        encode_event(&mut again, MAX, ack_id, &name, &native).unwrap();
        prop_assert_eq!(&again, &wire);
        again.clear();
        encode_event(&mut again, MAX, ack_id, &name, &event.args.to_args()).unwrap();
        prop_assert_eq!(&again, &wire);
    }

    #[test]
    fn acks_and_errors_survive_the_wire(id in any::<u64>(), message in text(), value in tagged()) {
        let config = LinesConfig::default();
        let mut wire = Vec::new();
        encode_ack(&mut wire, MAX, id, &value).unwrap();
        let Ok(Line::Ack { id: read, args }) = decode(only_line(&wire), &config) else {
            panic!("an acknowledgement")
        };
        prop_assert_eq!(read, id);
        prop_assert_eq!(&args.deserialize::<Tagged>().unwrap(), &value);
        let mut wire = Vec::new();
        encode_error(&mut wire, &message, Some(&value)).unwrap();
        let Ok(Line::Error { message: read, data }) = decode(only_line(&wire), &config) else {
            panic!("an error")
        };
        prop_assert_eq!(read, message);
        prop_assert_eq!(&data.deserialize::<Tagged>().unwrap(), &value);
    }
}

/// Does to arguments what an application can do.
fn exercise(args: RawArgs<'_>) {
    assert_eq!(args.iter().count(), args.len());
    let _ = args.deserialize::<(serde_json::Value, Option<Bytes>, Vec<Bytes>)>();
    let _ = args.deserialize::<Tagged>();
    let mut wire = Vec::new();
    if encode_event(&mut wire, MAX, None, "again", &args).is_ok() {
        let config = LinesConfig::default().revive_buffers(args.has_buffers());
        let Ok(Line::Event(event)) = decode(only_line(&wire), &config) else {
            panic!("our own event is in order");
        };
        assert_eq!(event.args.len(), args.len());
        assert_eq!(
            Args::new(&args).expect("it was encoded before").len(),
            args.len()
        );
    }
}
