//! Compressed messages.

use super::*;
use crate::{Deflater, InvalidUtf8, frame_len};

/// A server's decoder, when compression was agreed on.
fn inflating() -> Decoder {
    limited_inflating(Limits::default())
}

fn limited_inflating(limits: Limits) -> Decoder {
    let request = crate::handshake::ClientRequest::new([0; 16]).deflate(Some(Default::default()));
    let response = [
        ("upgrade", &b"websocket"[..]),
        ("connection", b"upgrade"),
        ("sec-websocket-accept", b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
        ("sec-websocket-extensions", b"permessage-deflate"),
    ];
    let accepted = request.verify(101, response).unwrap();
    Decoder::new(Role::Server, limits).deflate(accepted.deflate)
}

/// What [`Deflater`] makes of a message.
fn deflated(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut deflater = Deflater::new(6, 15, Context::Kept);
    deflater.encode_frame(&mut frame, OpCode::Text, payload.as_ref(), None);
    let payload = frame_len(&frame).unwrap();
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    frame[header..payload].to_vec()
}

/// The first byte of a frame with RSV1.
const TEXT: u8 = 0xc1;
const BINARY: u8 = 0xc2;
const UNFINISHED_TEXT: u8 = 0x41;
const UNFINISHED_BINARY: u8 = 0x42;

fn said(frames: &[Raw]) -> Result<Vec<Said>, ProtocolError> {
    let wire = frames.iter().flat_map(Raw::wire).collect();
    decode_all(&mut inflating(), wire)
}

#[test]
fn messages_may_be_compressed_or_not() {
    let frames = [
        text(deflated("née")).first(TEXT),
        text("plain"),
        binary(deflated([0, 255])).first(BINARY),
    ];
    let expected = vec![
        Said::Text("née".to_owned()),
        Said::Text("plain".to_owned()),
        Said::Binary(vec![0, 255]),
    ];
    assert_eq!(said(&frames), Ok(expected));
}

#[test]
fn fragments_are_inflated_together() {
    let data = deflated("some text, some more text");
    let frames = [
        text(&data[..3]).first(UNFINISHED_TEXT),
        ping("p"),
        more(&data[3..9]).unfinished(),
        more("").unfinished(),
        more(&data[9..]),
        binary([1]).unfinished(),
        more([2]),
        binary([]).first(UNFINISHED_BINARY),
        more(deflated([7; 100])),
    ];
    let expected = vec![
        Said::Ping(b"p".to_vec()),
        Said::Text("some text, some more text".to_owned()),
        Said::Binary(vec![1, 2]),
        Said::Binary(vec![7; 100]),
    ];
    assert_eq!(said(&frames), Ok(expected));
}

#[test]
fn only_the_first_frame_of_a_message_is_marked() {
    let data = deflated("text");
    let frames = [
        text(&data[..2]).first(UNFINISHED_TEXT),
        more(&data[2..]).first(0xc0),
    ];
    let error = ProtocolError::ReservedBits(0x40, OpCode::Continuation);
    assert_eq!(said(&frames), Err(error));
    let error = ProtocolError::ReservedBits(0x40, OpCode::Ping);
    assert_eq!(said(&[ping("").first(0xc9)]), Err(error));
    for rsv in [0x10, 0x20] {
        let error = ProtocolError::ReservedBits(rsv, OpCode::Text);
        assert_eq!(said(&[text(&data).first(TEXT | rsv)]), Err(error));
    }
}

#[test]
fn compressed_frame_is_an_error_unless_agreed_on() {
    let error = ProtocolError::ReservedBits(0x40, OpCode::Text);
    let frame = text(deflated("text")).first(TEXT);
    assert_eq!(super::error(&[frame]), error);
}

#[test]
fn what_comes_out_has_to_be_text() {
    let error = said(&[text(deflated([b'a', 0xff])).first(TEXT)]).unwrap_err();
    let expected = ProtocolError::InvalidUtf8 {
        op: OpCode::Text,
        error: InvalidUtf8 { valid_up_to: 1 },
    };
    assert_eq!((error, error.close_code()), (expected, 1007));
    let error = said(&[text([0xff; 9]).first(TEXT)]).unwrap_err();
    assert_eq!((error, error.close_code()), (ProtocolError::Inflate, 1007));
}

#[test]
fn limit_counts_what_comes_out_before_it_is_looked_at() {
    let limits = Limits::default().max_message(1000);
    for (payload, fits) in [(vec![b'a'; 1000], true), (vec![0xff; 1001], false)] {
        let wire = text(deflated(payload)).first(TEXT).wire();
        let said = decode_all(&mut limited_inflating(limits), wire);
        let error = ProtocolError::MessageTooBig {
            len: 1001,
            limit: 1000,
        };
        assert_eq!(said.err(), (!fits).then_some(error));
        assert_eq!(error.close_code(), 1009);
    }
}

#[test]
fn limits_count_what_comes_too() {
    let limits = Limits::default().max_message(3).max_fragments(2);
    let wire = text([0; 4]).first(TEXT).wire();
    let error = decode_all(&mut limited_inflating(limits), wire).unwrap_err();
    assert_eq!(error.close_code(), 1009);
    let frames = [
        text("").first(UNFINISHED_TEXT),
        more("").unfinished(),
        more(""),
    ];
    let wire = frames.iter().flat_map(Raw::wire).collect();
    let error = decode_all(&mut limited_inflating(limits), wire).unwrap_err();
    assert_eq!(error, ProtocolError::TooManyFragments { limit: 2 });
}

#[test]
fn compressed_message_in_a_buffer_of_its_own_is_left_there() {
    let frame = text(deflated("text")).first(TEXT);
    let mut wire = frame.wire();
    let len = wire.len();
    match inflating().decode_owned(&mut wire) {
        Ok(Decoded::Deflated { message, used }) => {
            assert_eq!(used, len);
            let event = message.inflate(&mut Inflater::new(Context::Fresh));
            assert_eq!(event, Ok(Event::Text(Text::Borrowed("text"))));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(wire.len(), len);
}

proptest! {
    #[test]
    fn compressed_messages_survive_any_fragments(
        messages in prop::collection::vec((payload(), any::<bool>(), 1_usize..50), 1..6),
    ) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for (payload, compressed, step) in messages {
            let data = if compressed { deflated(&payload) } else { payload.clone() };
            let rsv = if compressed { 0x40 } else { 0 };
            let pieces: Vec<_> = data.chunks(step.max(data.len() / 100)).collect();
            let last = pieces.len().saturating_sub(1);
            if pieces.is_empty() {
                wire.extend(binary("").first(0x82 | rsv).wire());
            }
            for (index, piece) in pieces.into_iter().enumerate() {
                let fin = if index == last { 0x80 } else { 0 };
                let first = if index == 0 { 0x02 | rsv } else { 0 };
                wire.extend(binary(piece).first(first | fin).wire());
            }
            expected.push(Said::Binary(payload));
        }
        prop_assert_eq!(decode_all(&mut inflating(), wire), Ok(expected));
    }
}

/// As applications send them: records that are alike, and no two the same.
fn kibibyte_of_json(seed: u64) -> String {
    const WORDS: [&str; 8] = [
        "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
    ];
    let mut records = Vec::new();
    let mut len = 0;
    for id in seed * 100.. {
        let [one, two, three] =
            [3, 5, 7].map(|step| WORDS[usize::try_from(id * step % 8).unwrap()]);
        let (user, at, read) = (id * 7919 % 1000, 1_764_369_000_000 + id * 977, id % 3 == 0);
        let record = format!(
            r#"{{"id":{id},"user":"user-{user}","text":"{one} {two} {three}","at":{at},"read":{read}}}"#
        );
        len += record.len() + 1;
        records.push(record);
        if len >= 1010 {
            break;
        }
    }
    format!("[{}]", records.join(","))
}

/// Each message by itself, with all that goes over the wire for it.
#[test]
fn a_kibibyte_of_json_becomes_as_short_as_is_said() {
    let messages: Vec<_> = (1..20).map(kibibyte_of_json).collect();
    let plain: usize = messages.iter().map(|text| text.len() + 4).sum();
    for (level, percent) in [(1, 45), (3, 32)] {
        let mut deflater = Deflater::new(level, 15, Context::Fresh);
        let mut wire = Vec::new();
        for text in &messages {
            assert!(deflater.encode_frame(&mut wire, OpCode::Text, text.as_bytes(), None));
        }
        let most = plain * percent / 100;
        assert!(
            wire.len() <= most,
            "level {level}: {} of {plain}",
            wire.len()
        );
    }
}
