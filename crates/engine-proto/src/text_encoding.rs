//! The text of clients that encode it in UTF-8 twice.

use std::borrow::Cow;

/// How often a peer of Engine.IO 3 encodes its text.
///
/// Clients of Socket.IO 1.x turn the bytes of the text's UTF-8 into one character each, and these are encoded once more:
/// in the text framing of payloads all of them do, on WebSockets those up to 1.0. Nothing that they send tells of it but
/// the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// Not known yet: text that can have been encoded twice is taken to be so.
    Unknown,
    /// Once, as everybody else does. Text is not looked at.
    Once,
    /// Twice, as far as its text tells.
    Twice,
}

impl TextEncoding {
    /// Reads a text, and learns from it.
    ///
    /// It is decoded once more if every character is below U+0100 and these, taken for bytes, are UTF-8 with something
    /// beyond ASCII in it. A peer that encodes once and really means such text (`Ã©`) is misread, unless it has said
    /// something else beyond ASCII before. What does not read like that is proof that the peer encodes once, whatever
    /// was seen before.
    #[inline]
    pub fn read<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        if *self == Self::Once || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        match undouble(text) {
            Some(text) => {
                *self = Self::Twice;
                Cow::Owned(text)
            }
            None => {
                *self = Self::Once;
                Cow::Borrowed(text)
            }
        }
    }
}

/// Undoes the second of two encodings. `None` if there cannot have been two.
fn undouble(text: &str) -> Option<String> {
    let bytes = text.chars().map(u8::try_from);
    let bytes = bytes.collect::<Result<Vec<u8>, _>>().ok()?;
    String::from_utf8(bytes).ok()
}

/// The length in bytes of a text of which this is UTF-8, when it is encoded twice.
pub(crate) fn doubled_len(text: &[u8]) -> usize {
    text.iter().map(|&byte| char::from(byte).len_utf8()).sum()
}

/// Appends a text of which this is UTF-8, encoded twice.
pub(crate) fn push_doubled(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        let mut buf = [0; 2];
        out.extend_from_slice(char::from(byte).encode_utf8(&mut buf).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_was_encoded_twice_is_recognised() {
        let mut encoding = TextEncoding::Unknown;
        assert_eq!(encoding.read("nothing special"), "nothing special");
        assert_eq!(encoding, TextEncoding::Unknown);
        assert_eq!(encoding.read("4nÃ©"), "4né");
        assert_eq!(encoding, TextEncoding::Twice);
    }

    #[test]
    fn characters_beyond_a_byte_prove_that_text_is_encoded_once() {
        let mut encoding = TextEncoding::Unknown;
        assert_eq!(encoding.read("4€"), "4€");
        assert_eq!(encoding.read("4nÃ©"), "4nÃ©");
        assert_eq!(encoding, TextEncoding::Once);
    }

    #[test]
    fn proof_overrules_an_earlier_guess() {
        let mut encoding = TextEncoding::Twice;
        assert_eq!(encoding.read("4né"), "4né");
        assert_eq!(encoding, TextEncoding::Once);
    }

    #[test]
    fn what_is_encoded_twice_is_read_again() {
        for text in ["", "plain", "né", "€😀\u{10ffff}\u{80}"] {
            let mut out = Vec::new();
            push_doubled(&mut out, text.as_bytes());
            assert_eq!(out.len(), doubled_len(text.as_bytes()));
            let doubled = String::from_utf8(out).unwrap();
            assert_eq!(doubled.chars().count(), text.len());
            assert_eq!(TextEncoding::Unknown.read(&doubled), text);
        }
    }
}
