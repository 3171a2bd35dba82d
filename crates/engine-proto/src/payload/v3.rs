//! Payloads of Engine.IO 3: items with lengths, in a text and in a binary framing.

use std::borrow::Cow;

use crate::{Packet, PacketError, Revision};

use super::{PayloadDialect, PayloadError};

type Next<'b> = Option<Result<Packet<'b>, PayloadError>>;

/// Takes the next packet off the front of a body in text framing: `<UTF-16 units>:<packet>`, repeated.
pub(super) fn next_text<'b>(rest: &mut &'b str, dialect: &mut PayloadDialect) -> Next<'b> {
    loop {
        if rest.is_empty() {
            return None;
        }
        let (item, after) = match split_text_item(rest) {
            Ok(split) => split,
            Err(error) => return Some(Err(error)),
        };
        *rest = after;
        // Some peers send `0:` for an empty list.
        if item.is_empty() {
            continue;
        }
        let packet = match dialect.read_text(item) {
            Cow::Borrowed(item) => Packet::decode_text(Revision::V3, item),
            Cow::Owned(item) => Packet::decode_text(Revision::V3, &item).map(Packet::into_owned),
        };
        return Some(packet.map_err(PacketError::into));
    }
}

/// Takes the next packet off the front of a body in binary framing:
/// `<00 text | 01 binary><one byte per decimal digit of the length in bytes><ff><packet>`, repeated.
pub(super) fn next_binary<'b>(rest: &mut &'b [u8]) -> Next<'b> {
    if rest.is_empty() {
        return None;
    }
    Some(split_binary_item(rest).and_then(|(kind, item, after)| {
        *rest = after;
        let packet = match kind {
            ItemKind::Text => {
                let text = simdutf8::basic::from_utf8(item).map_err(|_| PayloadError::Utf8)?;
                Packet::decode_text(Revision::V3, text)
            }
            ItemKind::Binary => Packet::decode_binary(Revision::V3, item),
        };
        packet.map_err(PacketError::into)
    }))
}

/// Splits the first item of a body in text framing from the rest.
pub(super) fn split_text_item(body: &str) -> Result<(&str, &str), PayloadError> {
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || body.as_bytes().get(digits) != Some(&b':') {
        return Err(PayloadError::Length);
    }
    // All digits, so the only way to fail is a number beyond usize, which is longer than any body.
    let len = body[..digits]
        .parse()
        .map_err(|_| PayloadError::Truncated)?;
    split_utf16(&body[digits + 1..], len).ok_or(PayloadError::Truncated)
}

fn split_binary_item(body: &[u8]) -> Result<(ItemKind, &[u8], &[u8]), PayloadError> {
    let (kind, rest) = match body {
        [0, rest @ ..] => (ItemKind::Text, rest),
        [1, rest @ ..] => (ItemKind::Binary, rest),
        [other, ..] => return Err(PayloadError::UnknownKind(*other)),
        [] => return Err(PayloadError::Length),
    };
    let mut len = 0usize;
    for (i, &digit) in rest.iter().enumerate().take(MAX_LENGTH_DIGITS + 1) {
        match digit {
            0..=9 => len = len.saturating_mul(10).saturating_add(usize::from(digit)),
            LENGTH_END if i > 0 => {
                let rest = &rest[i + 1..];
                let (item, after) = rest.split_at_checked(len).ok_or(PayloadError::Truncated)?;
                return Ok((kind, item, after));
            }
            _ => return Err(PayloadError::Length),
        }
    }
    Err(PayloadError::Length)
}

/// Splits off the first `units` UTF-16 code units. `None` if there are fewer, or if the cut would part a surrogate pair.
fn split_utf16(text: &str, units: usize) -> Option<(&str, &str)> {
    // Packets are ASCII nearly always; then units are bytes.
    if text.as_bytes().get(..units)?.is_ascii() {
        return text.split_at_checked(units);
    }
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return Some(text.split_at(at));
        }
        left = left.checked_sub(character.len_utf16())?;
    }
    (left == 0).then_some((text, ""))
}

/// The number of UTF-16 code units in `text`: what JavaScript calls its length.
pub(super) fn utf16_len(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().map(char::len_utf16).sum()
    }
}

enum ItemKind {
    Text,
    Binary,
}

/// Ends the length of an item in binary framing.
pub(super) const LENGTH_END: u8 = 0xff;

/// The originals read lengths as floating-point numbers, the largest of which has this many digits.
const MAX_LENGTH_DIGITS: usize = 310;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_utf16_units() {
        assert_eq!(split_utf16("né😀x", 4), Some(("né😀", "x")));
        assert_eq!(split_utf16("né😀x", 3), None);
        assert_eq!(split_utf16("né😀x", 5), Some(("né😀x", "")));
        assert_eq!(split_utf16("né😀x", 6), None);
        assert_eq!(split_utf16("", 0), Some(("", "")));
        assert_eq!(utf16_len("né😀x"), 5);
    }
}
