//! Frames in, events out: one test for each rule of RFC 6455 that a peer can break, and the properties
//! that hold for every stream of frames.

mod deflate;

use bytes::Bytes;
use proptest::prelude::*;

use crate::{
    CloseFrame, Context, Decoded, Decoder, Event, Inflater, Limits, OpCode, Payload, ProtocolError,
    Role, Text, encode_header,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What an [`Event`] said, kept after its buffer is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Said {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_string()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Event::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Event::Close(close) => {
                Self::Close(close.map(|CloseFrame { code, reason }| (code, reason.to_owned())))
            }
        }
    }
}

/// One frame, right or wrong.
#[derive(Clone, Debug)]
struct Raw {
    first: u8,
    mask: Option<[u8; 4]>,
    payload: Vec<u8>,
}

impl Raw {
    fn new(op: OpCode, payload: impl AsRef<[u8]>) -> Self {
        Self {
            first: 0x80 | op.bits(),
            mask: Some(KEY),
            payload: payload.as_ref().to_vec(),
        }
    }

    fn unfinished(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    fn first(mut self, first: u8) -> Self {
        self.first = first;
        self
    }

    fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    fn wire(&self) -> Vec<u8> {
        let mut wire = encode_header(OpCode::Text, self.payload.len(), self.mask).to_vec();
        wire[0] = self.first;
        let key = self.mask.unwrap_or_default();
        wire.extend(
            self.payload
                .iter()
                .enumerate()
                .map(|(i, byte)| byte ^ key[i % 4]),
        );
        wire
    }
}

fn text(payload: impl AsRef<[u8]>) -> Raw {
    Raw::new(OpCode::Text, payload)
}

fn binary(payload: impl AsRef<[u8]>) -> Raw {
    Raw::new(OpCode::Binary, payload)
}

fn more(payload: impl AsRef<[u8]>) -> Raw {
    Raw::new(OpCode::Continuation, payload)
}

fn ping(payload: impl AsRef<[u8]>) -> Raw {
    Raw::new(OpCode::Ping, payload)
}

fn server() -> Decoder {
    Decoder::new(Role::Server, Limits::default())
}

fn limited(max_frame: usize, max_message: usize) -> Decoder {
    let limits = Limits::default()
        .max_frame(max_frame)
        .max_message(max_message);
    Decoder::new(Role::Server, limits)
}

/// Decodes all of `wire`, which ends with a whole frame unless an error comes first.
fn decode_all(decoder: &mut Decoder, mut wire: Vec<u8>) -> Result<Vec<Said>, ProtocolError> {
    let mut said = Vec::new();
    let mut rest = &mut wire[..];
    while !rest.is_empty() {
        match decoder.decode(rest)? {
            Decoded::Event { event, used } => {
                said.push(event.into());
                rest = &mut rest[used..];
            }
            Decoded::Skip { used } => rest = &mut rest[used..],
            Decoded::Deflated { message, used } => {
                said.push(message.inflate(&mut Inflater::new(Context::Fresh))?.into());
                rest = &mut rest[used..];
            }
            Decoded::NeedMore { total } => panic!("{total} bytes wanted of {}", rest.len()),
        }
    }
    Ok(said)
}

fn decode(frames: &[Raw]) -> Result<Vec<Said>, ProtocolError> {
    decode_all(&mut server(), frames.iter().flat_map(Raw::wire).collect())
}

fn error(frames: &[Raw]) -> ProtocolError {
    decode(frames).unwrap_err()
}

/// The error that a header alone causes, before any of its payload is there.
fn header_error(decoder: &mut Decoder, header: &[u8]) -> ProtocolError {
    decoder.decode(&mut header.to_vec()).unwrap_err()
}

#[test]
fn single_frame_message_is_borrowed_from_the_buffer() {
    let mut wire = text("né").wire();
    let range = wire.as_ptr_range();
    let Ok(Decoded::Event {
        event: Event::Text(Text::Borrowed(text)),
        used,
    }) = server().decode(&mut wire)
    else {
        panic!("not a borrowed text");
    };
    assert_eq!((text, used), ("né", 9));
    assert!(range.contains(&text.as_ptr()));
}

#[test]
fn fragments_become_one_message() {
    let frames = [
        text("a").unfinished(),
        more("b").unfinished(),
        more(""),
        binary([1]),
    ];
    assert_eq!(
        decode(&frames),
        Ok(vec![Said::Text("ab".to_owned()), Said::Binary(vec![1])])
    );
}

#[test]
fn control_frames_pass_between_fragments() {
    let frames = [binary([1]).unfinished(), ping("p"), more([2])];
    assert_eq!(
        decode(&frames),
        Ok(vec![Said::Ping(b"p".to_vec()), Said::Binary(vec![1, 2])])
    );
}

#[test]
fn decoder_owns_no_heap_between_messages() {
    let mut decoder = server();
    decode_all(&mut decoder, text("a").unfinished().wire()).unwrap();
    assert!(decoder.is_in_message());
    decode_all(&mut decoder, more("b").wire()).unwrap();
    assert!(!decoder.is_in_message());
}

#[test]
fn every_reserved_bit_is_refused() {
    for rsv in [0x10, 0x20, 0x40, 0x70] {
        let expected = ProtocolError::ReservedBits(rsv, OpCode::Text);
        assert_eq!(error(&[text("a").first(0x81 | rsv)]), expected);
        assert_eq!(expected.close_code(), 1002);
    }
}

#[test]
fn every_reserved_opcode_is_refused() {
    for op in (3..=7).chain(11..=15) {
        assert_eq!(
            error(&[text("").first(0x80 | op)]),
            ProtocolError::ReservedOpCode(op)
        );
    }
}

#[test]
fn client_must_mask() {
    assert_eq!(
        error(&[text("a").unmasked()]),
        ProtocolError::Unmasked(OpCode::Text)
    );
    assert_eq!(
        error(&[ping("").unmasked()]),
        ProtocolError::Unmasked(OpCode::Ping)
    );
}

#[test]
fn server_must_not_mask() {
    let mut client = Decoder::new(Role::Client, Limits::default());
    assert_eq!(
        decode_all(&mut client, text("a").unmasked().wire()),
        Ok(vec![Said::Text("a".to_owned())])
    );
    assert_eq!(
        decode_all(&mut client, text("a").wire()),
        Err(ProtocolError::Masked(OpCode::Text))
    );
}

#[test]
fn control_frame_must_not_be_fragmented() {
    for op in [OpCode::Close, OpCode::Ping, OpCode::Pong] {
        let frame = Raw::new(op, "").unfinished();
        assert_eq!(error(&[frame]), ProtocolError::FragmentedControl(op));
    }
}

#[test]
fn control_frame_holds_at_most_125_bytes() {
    assert_eq!(
        decode(&[ping([7; 125])]),
        Ok(vec![Said::Ping(vec![7; 125])])
    );
    assert_eq!(
        error(&[ping([7; 126])]),
        ProtocolError::ControlTooLong(OpCode::Ping)
    );
}

#[test]
fn length_must_take_its_shortest_form() {
    let header = [0x82, 0x80 | 126, 0, 125, 0, 0, 0, 0];
    assert_eq!(
        header_error(&mut server(), &header),
        ProtocolError::LengthNotMinimal(125)
    );
    let header = [0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(
        header_error(&mut server(), &header),
        ProtocolError::LengthNotMinimal(65_535)
    );
}

#[test]
fn top_bit_of_a_long_length_is_refused() {
    let header = [0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(
        header_error(&mut server(), &header),
        ProtocolError::LengthTopBit
    );
}

#[test]
fn message_cannot_begin_with_a_continuation() {
    assert_eq!(error(&[more("a")]), ProtocolError::UnexpectedContinuation);
    let after_the_end = [text("a").unfinished(), more("b"), more("c")];
    assert_eq!(error(&after_the_end), ProtocolError::UnexpectedContinuation);
}

#[test]
fn message_cannot_begin_inside_another() {
    for next in [text("b"), text("b").unfinished()] {
        let frames = [binary([1]).unfinished(), next];
        assert_eq!(
            error(&frames),
            ProtocolError::ExpectedContinuation(OpCode::Text)
        );
    }
}

#[test]
fn first_two_bytes_are_judged_before_the_rest_comes() {
    let mut decoder = server();
    assert_eq!(
        header_error(&mut decoder, &[0x83, 0x80]),
        ProtocolError::ReservedOpCode(3)
    );
    assert_eq!(
        header_error(&mut decoder, &[0x89, 0xfe]),
        ProtocolError::ControlTooLong(OpCode::Ping)
    );
    assert_eq!(
        header_error(&mut decoder, &[0x80, 0xff]),
        ProtocolError::UnexpectedContinuation
    );
}

#[test]
fn invalid_text_is_refused_with_1007_and_its_place() {
    let error = error(&[text(b"ab\xed\xa0\x80")]);
    assert_eq!(error.close_code(), 1007);
    assert_eq!(
        error.to_string(),
        "text payload is not UTF-8: invalid sequence at byte 2"
    );
}

#[test]
fn text_may_be_fragmented_inside_a_character() {
    let whole = "κόσμε😀";
    for cut in 0..=whole.len() {
        let (head, tail) = whole.as_bytes().split_at(cut);
        let frames = [text(head).unfinished(), ping(""), more(tail)];
        let expected = vec![Said::Ping(vec![]), Said::Text(whole.to_owned())];
        assert_eq!(decode(&frames), Ok(expected), "cut at {cut}");
    }
}

#[test]
fn invalid_fragment_is_refused_before_the_message_ends() {
    assert_eq!(
        error(&[text(b"\xf4").unfinished(), more(b"\x90").unfinished()]).close_code(),
        1007
    );
}

#[test]
fn fragmented_text_must_not_end_inside_a_character() {
    let frames = [text(b"a\xe2\x82").unfinished(), more("")];
    assert_eq!(error(&frames).close_code(), 1007);
}

#[test]
fn binary_messages_and_pings_may_hold_anything() {
    let frames = [ping(b"\xff"), binary(b"\xff").unfinished(), more(b"\xfe")];
    assert_eq!(
        decode(&frames),
        Ok(vec![Said::Ping(vec![0xff]), Said::Binary(vec![0xff, 0xfe])])
    );
}

#[test]
fn close_is_read_and_checked() {
    let close = |payload: &[u8]| decode(&[Raw::new(OpCode::Close, payload)]);
    assert_eq!(close(b""), Ok(vec![Said::Close(None)]));
    assert_eq!(
        close(b"\x03\xe8bye"),
        Ok(vec![Said::Close(Some((1000, "bye".to_owned())))])
    );
    assert_eq!(close(b"\x03"), Err(ProtocolError::TruncatedCloseCode));
    assert_eq!(
        close(b"\x03\xed"),
        Err(ProtocolError::InvalidCloseCode(1005))
    );
    assert_eq!(close(b"\x03\xe8\xff").unwrap_err().close_code(), 1007);
}

#[test]
fn frame_over_the_limit_is_refused_by_its_header() {
    let mut decoder = limited(100, 1000);
    let header = encode_header(OpCode::Binary, 101, Some(KEY));
    let error = header_error(&mut decoder, &header);
    assert_eq!(
        error,
        ProtocolError::FrameTooBig {
            len: 101,
            limit: 100
        }
    );
    assert_eq!(error.close_code(), 1009);
    assert!(decode_all(&mut decoder, binary([0; 100]).wire()).is_ok());
}

#[test]
fn message_over_the_limit_is_refused_by_the_header_that_exceeds_it() {
    let mut decoder = limited(100, 150);
    decode_all(&mut decoder, binary([0; 100]).unfinished().wire()).unwrap();
    let header = more([0; 51]).wire();
    let error = header_error(&mut decoder, &header[..6]);
    assert_eq!(
        error,
        ProtocolError::MessageTooBig {
            len: 151,
            limit: 150
        }
    );
    assert_eq!(error.close_code(), 1009);
}

#[test]
fn control_frames_pass_under_the_smallest_limit() {
    let mut decoder = limited(0, 0);
    assert!(decode_all(&mut decoder, ping([0; 125]).wire()).is_ok());
    assert!(decode_all(&mut decoder, text("").wire()).is_ok());
    assert!(decode_all(&mut decoder, text("a").wire()).is_err());
}

#[test]
fn limits_without_bound_do_not_overflow() {
    let mut decoder = limited(usize::MAX, usize::MAX);
    let mut header = vec![0x82, 0x80 | 127, 0x7f];
    header.resize(14, 0xff);
    assert_eq!(header_error(&mut decoder, &header).close_code(), 1009);
}

#[test]
fn wanted_bytes_are_named_as_far_as_they_are_known() {
    let wire = binary(vec![0; 70_000]).wire();
    for (have, want) in [
        (0, 2),
        (1, 2),
        (2, 14),
        (13, 14),
        (14, 70_014),
        (70_013, 70_014),
    ] {
        let mut start = wire[..have].to_vec();
        let mut decoder = server();
        let answer = decoder.decode(&mut start);
        assert_eq!(
            answer,
            Ok(Decoded::NeedMore { total: want }),
            "with {have} bytes"
        );
    }
}

#[test]
fn exact_frame_is_handed_out_without_a_copy() {
    let payload = vec![b'x'; 70_000];
    for frame in [binary(&payload), text(&payload)] {
        let mut wire = frame.wire();
        let payload_at = wire[14..].as_ptr();
        let Ok(Decoded::Event { event, used: 0 }) = server().decode_owned(&mut wire) else {
            panic!("no event");
        };
        let bytes = match event {
            Event::Binary(Payload::Owned(bytes)) => bytes,
            Event::Text(Text::Owned(text)) => text.into_bytes(),
            other => panic!("not owned: {other:?}"),
        };
        assert_eq!(bytes, payload);
        assert_eq!(bytes.as_ptr(), payload_at);
        assert!(wire.is_empty());
    }
}

#[test]
fn owned_text_is_checked() {
    assert_eq!(
        server()
            .decode_owned(&mut text(b"\xff").wire())
            .unwrap_err()
            .close_code(),
        1007
    );
}

#[test]
fn owned_fragments_are_put_together() {
    let mut decoder = server();
    let mut wire = text(b"\xc3").unfinished().wire();
    assert_eq!(
        decoder.decode_owned(&mut wire),
        Ok(Decoded::Skip { used: 0 })
    );
    let mut wire = more(b"\xa9").wire();
    let event = Event::Text(Text::Borrowed("é"));
    assert_eq!(
        decoder.decode_owned(&mut wire),
        Ok(Decoded::Event { event, used: 7 })
    );
}

#[test]
fn owned_buffer_that_is_not_one_message_is_decoded_in_place() {
    let mut decoder = server();
    let mut wire = [ping("p").wire(), text("a").wire()].concat();
    let event = Event::Ping(b"p");
    assert_eq!(
        decoder.decode_owned(&mut wire),
        Ok(Decoded::Event { event, used: 7 })
    );
    let mut wire = [text("a").wire(), text("b").wire()].concat();
    let event = Event::Text(Text::Borrowed("a"));
    assert_eq!(
        decoder.decode_owned(&mut wire),
        Ok(Decoded::Event { event, used: 7 })
    );
    let mut wire = text("a").wire();
    wire.pop();
    assert_eq!(
        decoder.decode_owned(&mut wire),
        Ok(Decoded::NeedMore { total: 7 })
    );
    assert_eq!(wire.len(), 6);
}

/// How a reader may look at the stream: through a buffer, or frame by frame in a buffer of its own.
#[derive(Clone, Copy, Debug)]
enum Reader {
    InPlace,
    Owned,
}

/// Decodes a stream that comes in pieces, keeping what is not used for the next piece.
fn decode_pieces<'w>(
    role: Role,
    reader: Reader,
    pieces: impl Iterator<Item = &'w [u8]>,
) -> (Vec<Said>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(role, Limits::default());
    let mut said = Vec::new();
    let mut kept = Vec::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            let decoded = match reader {
                Reader::InPlace => decoder.decode(&mut kept),
                Reader::Owned => decoder.decode_owned(&mut kept),
            };
            let used = match decoded {
                Ok(Decoded::Event { event, used }) => {
                    said.push(event.into());
                    used
                }
                Ok(Decoded::Skip { used }) => used,
                Ok(Decoded::NeedMore { total }) => {
                    assert!(total > kept.len());
                    break;
                }
                Ok(Decoded::Deflated { .. }) => panic!("nobody has agreed on that"),
                Err(error) => return (said, Some(error)),
            };
            kept.drain(..used);
        }
    }
    (said, None)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        2 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => (120_usize..140, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        1 => (65_530_usize..65_545).prop_map(|len| vec![b'z'; len]),
    ]
}

/// A message in one to four fragments, pings in between, and the events it makes.
fn message() -> impl Strategy<Value = (Vec<Raw>, Vec<Said>)> {
    let said = prop_oneof![
        "\\PC{0,30}".prop_map(Said::Text),
        payload().prop_map(Said::Binary),
    ];
    (
        said,
        prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4),
    )
        .prop_map(|(message, cuts)| {
            let (op, whole) = match &message {
                Said::Text(text) => (OpCode::Text, text.as_bytes()),
                Said::Binary(bytes) => (OpCode::Binary, &bytes[..]),
                other => unreachable!("{other:?} is never generated"),
            };
            let mut cuts: Vec<_> = cuts
                .into_iter()
                .map(|(cut, ping)| (cut.index(whole.len() + 1), ping))
                .collect();
            cuts.sort_unstable();
            let (mut frames, mut said, mut start) = (Vec::new(), Vec::new(), 0);
            for (index, (cut, with_ping)) in cuts.iter().enumerate() {
                let op = if index == 0 { op } else { OpCode::Continuation };
                frames.push(Raw::new(op, &whole[start..*cut]).unfinished());
                start = *cut;
                if *with_ping {
                    frames.push(ping([1, 2, 3]));
                    said.push(Said::Ping(vec![1, 2, 3]));
                }
            }
            let last = if cuts.is_empty() {
                op
            } else {
                OpCode::Continuation
            };
            frames.push(Raw::new(last, &whole[start..]));
            said.push(message);
            (frames, said)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_of_valid_messages_gives_the_same_events(
        messages in prop::collection::vec(message(), 1..6),
        step in 1_usize..5000,
        client: bool,
        owned: bool,
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let reader = if owned { Reader::Owned } else { Reader::InPlace };
        let (frames, said): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let wire: Vec<u8> = frames
            .into_iter()
            .flatten()
            .flat_map(|frame| if client { frame.unmasked() } else { frame }.wire())
            .collect();
        // Small steps through long streams would take minutes.
        let step = step.max(wire.len() / 500);
        let decoded = decode_pieces(role, reader, wire.chunks(step));
        prop_assert_eq!(decoded, (said.concat(), None));
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same_events_and_error(
        frames in prop::collection::vec(
            (prop_oneof![3 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x02, 0x80, 0x00, 0x89]), 1 => any::<u8>()],
             payload(), any::<bool>()),
            1..6,
        ),
        garbage: Vec<u8>,
        step in 1_usize..100,
    ) {
        let mut wire = Vec::new();
        for (first, payload, masked) in frames {
            let frame = text(payload).first(first);
            wire.extend(if masked { frame } else { frame.unmasked() }.wire());
        }
        wire.extend(garbage);
        let whole = decode_pieces(Role::Server, Reader::InPlace, std::iter::once(&wire[..]));
        let step = step.max(wire.len() / 500);
        for reader in [Reader::InPlace, Reader::Owned] {
            prop_assert_eq!(&decode_pieces(Role::Server, reader, wire.chunks(step)), &whole);
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(payload in payload(), key: Option<[u8; 4]>) {
        let role = if key.is_some() { Role::Server } else { Role::Client };
        let mut wire = Vec::new();
        crate::encode_frame(&mut wire, OpCode::Binary, &payload, key);
        let mut decoder = Decoder::new(role, Limits::default());
        let event = Event::Binary(Payload::Owned(Bytes::from(payload)));
        let used = wire.len();
        prop_assert_eq!(decoder.decode(&mut wire), Ok(Decoded::Event { event, used }));
    }
}

#[test]
fn fragments_of_a_message_are_bounded_and_empty_ones_count() {
    let limits = Limits::default().max_fragments(3);
    for op in [OpCode::Text, OpCode::Binary] {
        let decode = |fragments: usize, limits: Limits| {
            let mut decoder = Decoder::new(Role::Server, limits);
            let first = std::iter::once(Raw::new(op, "").unfinished());
            let more = std::iter::repeat_with(|| Raw::new(OpCode::Continuation, "").unfinished());
            let last = std::iter::once(Raw::new(OpCode::Continuation, ""));
            for frame in first.chain(more.take(fragments - 2)).chain(last) {
                for frame in [frame, Raw::new(OpCode::Ping, "between")] {
                    decoder.decode(&mut frame.wire())?;
                }
            }
            Ok(decoder.is_in_message())
        };
        assert_eq!(decode(3, limits), Ok(false));
        let refused = Err(ProtocolError::TooManyFragments { limit: 3 });
        assert_eq!(decode(4, limits), refused);
        assert_eq!(decode(16_384, Limits::default()), Ok(false));
        let refused = Err(ProtocolError::TooManyFragments { limit: 16_384 });
        assert_eq!(decode(16_385, Limits::default()), refused);
        // Messages in one frame are in no fragments.
        for none in [0, 1] {
            let mut decoder = Decoder::new(Role::Server, limits.max_fragments(none));
            assert!(decoder.decode(&mut Raw::new(op, "whole").wire()).is_ok());
            let mut begun = Raw::new(op, "").unfinished().wire();
            let begun = decoder.decode(&mut begun);
            assert_eq!(begun, Err(ProtocolError::TooManyFragments { limit: none }));
        }
    }
    let too_many = ProtocolError::TooManyFragments { limit: 3 };
    assert_eq!(too_many.close_code(), 1009);
}
