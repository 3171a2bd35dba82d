use crate::close_code;
use crate::header::{
    EIGHT_BYTES, FIN, LengthForm, MASK, MAX_CONTROL_PAYLOAD, RSV1, TWO_BYTES, encode_header,
    header_len,
};
use crate::mask::apply_mask;
use crate::opcode::OpCode;

/// Writes the header of an unmasked frame so that it ends where the payload starts, and says where the
/// frame begins.
///
/// The payload is `buf[payload_start..payload_start + payload_len]`; it is neither read nor moved, so a
/// message can be encoded before its length is known. [`MAX_SERVER_HEADER`](crate::MAX_SERVER_HEADER) bytes
/// of room in front of it are always enough.
///
/// # Panics
///
/// If there is not enough room in front of the payload.
///
/// ```
/// use sockeye_websocket::{MAX_SERVER_HEADER, OpCode, prepend_header};
///
/// let mut buf = vec![0; MAX_SERVER_HEADER];
/// buf.extend_from_slice(b"4hi");
/// let start = prepend_header(&mut buf, MAX_SERVER_HEADER, 3, OpCode::Text);
/// assert_eq!(buf[start..], *b"\x81\x034hi");
/// ```
pub fn prepend_header(
    buf: &mut [u8],
    payload_start: usize,
    payload_len: usize,
    op: OpCode,
) -> usize {
    // Every packet of a server passes here: with sizes that the compiler knows, this is a store or two.
    let first = FIN | op.bits();
    match LengthForm::of(payload_len) {
        LengthForm::Byte(len) => put_before(buf, payload_start, [first, len]),
        LengthForm::Two([a, b]) => put_before(buf, payload_start, [first, TWO_BYTES, a, b]),
        LengthForm::Eight([a, b, c, d, e, f, g, h]) => put_before(
            buf,
            payload_start,
            [first, EIGHT_BYTES, a, b, c, d, e, f, g, h],
        ),
    }
}

/// Appends a whole frame to `out`; with a `mask` key (clients) the payload is masked on the way.
///
/// The payload of a control frame must not be longer than 125 bytes; a close frame is better made by
/// [`encode_close`].
pub fn encode_frame(out: &mut Vec<u8>, op: OpCode, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(
        !op.is_control() || payload.len() <= MAX_CONTROL_PAYLOAD,
        "{op} is too long"
    );
    let header = encode_header(op, payload.len(), mask);
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
}

/// Appends a frame of a server's to `out`, masked as one of a client's.
///
/// It makes the own frame for one peer of what was encoded, and perhaps compressed, before. What is no whole frame is
/// appended as it is.
///
/// ```
/// use sockeye_websocket::{OpCode, encode_frame, mask_frame};
///
/// let (mut plain, mut masked, mut expected) = (Vec::new(), Vec::new(), Vec::new());
/// encode_frame(&mut plain, OpCode::Text, b"text", None);
/// mask_frame(&mut masked, &plain, [1, 2, 3, 4]);
/// encode_frame(&mut expected, OpCode::Text, b"text", Some([1, 2, 3, 4]));
/// assert_eq!(masked, expected);
/// ```
pub fn mask_frame(out: &mut Vec<u8>, frame: &[u8], key: [u8; 4]) {
    let header = match frame {
        [_, second, ..] => header_len(*second),
        _ => return out.extend_from_slice(frame),
    };
    let Some((header, payload)) = frame.split_at_checked(header) else {
        return out.extend_from_slice(frame);
    };
    out.reserve(frame.len() + key.len());
    let start = out.len();
    out.extend_from_slice(header);
    out[start + 1] |= MASK;
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], key, 0);
}

/// Appends a frame whose payload is compressed, and marked as such.
pub(crate) fn encode_deflated(
    out: &mut Vec<u8>,
    op: OpCode,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) {
    let start = out.len();
    encode_frame(out, op, payload, mask);
    out[start] |= RSV1;
}

/// Appends a close frame to `out`: `None` says nothing, else a status code and why.
///
/// A reason of more than 123 bytes is cut at the last character that fits. A code that must not be
/// sent ([`close_code::is_valid`]) makes a close frame without a payload, which the peer reports as 1005.
pub fn encode_close(out: &mut Vec<u8>, close: Option<(u16, &str)>, mask: Option<[u8; 4]>) {
    let mut payload = [0; MAX_CONTROL_PAYLOAD];
    let mut len = 0;
    if let Some((code, reason)) = close.filter(|(code, _)| close_code::is_valid(*code)) {
        let reason = cut(reason, MAX_CONTROL_PAYLOAD - 2);
        len = 2 + reason.len();
        payload[..2].copy_from_slice(&code.to_be_bytes());
        payload[2..len].copy_from_slice(reason.as_bytes());
    }
    encode_frame(out, OpCode::Close, &payload[..len], mask);
}

fn put_before<const N: usize>(buf: &mut [u8], end: usize, bytes: [u8; N]) -> usize {
    let room = buf[..end]
        .last_chunk_mut()
        .expect("the caller left room for a header");
    *room = bytes;
    end - N
}

/// The beginning of `text` that fits `max` bytes, whole characters only.
fn cut(text: &str, max: usize) -> &str {
    // `str::floor_char_boundary` came to stable Rust after the oldest version that is supported.
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::MAX_SERVER_HEADER;

    fn close(close: Option<(u16, &str)>) -> Vec<u8> {
        let mut out = Vec::new();
        encode_close(&mut out, close, None);
        out
    }

    #[test]
    fn rfc_examples_are_met() {
        let mut out = Vec::new();
        encode_frame(&mut out, OpCode::Text, b"Hello", None);
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        encode_frame(
            &mut out,
            OpCode::Text,
            b"Hello",
            Some([0x37, 0xfa, 0x21, 0x3d]),
        );
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn prepended_header_touches_the_payload() {
        for len in [0, 125, 126, 65_535, 65_536] {
            let mut buf = vec![0; MAX_SERVER_HEADER + len];
            let start = prepend_header(&mut buf, MAX_SERVER_HEADER, len, OpCode::Binary);
            let mut expected = Vec::new();
            encode_frame(&mut expected, OpCode::Binary, &vec![0; len], None);
            assert_eq!(buf[start..], expected);
        }
    }

    #[test]
    #[should_panic = "the caller left room for a header"]
    fn header_without_room_panics() {
        prepend_header(&mut [0; 8], 3, 5, OpCode::Close);
        prepend_header(&mut [0; 200], 3, 126, OpCode::Text);
    }

    #[test]
    fn close_carries_code_and_reason() {
        assert_eq!(close(None), [0x88, 0]);
        assert_eq!(close(Some((1000, ""))), [0x88, 2, 0x03, 0xe8]);
        assert_eq!(close(Some((1002, "no"))), [0x88, 4, 0x03, 0xea, b'n', b'o']);
    }

    #[test]
    fn close_code_for_local_use_is_never_sent() {
        assert_eq!(close(Some((1005, "none"))), [0x88, 0]);
    }

    #[test]
    fn long_close_reason_is_cut_between_characters() {
        let frame = close(Some((1000, &"é".repeat(100))));
        assert_eq!(frame.len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }
}
