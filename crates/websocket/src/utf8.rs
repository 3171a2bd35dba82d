//! Text that is known to be UTF-8, checked once.
//!
//! All `unsafe` of the crate is here: bytes that passed the check are read as `str` without another.
#![expect(
    unsafe_code,
    reason = "text is validated where it comes in; a second pass over every message would cost as much as the first"
)]

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Shared bytes that are valid UTF-8; cheap to clone, and a `&str` at no cost.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Utf8Bytes(
    // Invariant: valid UTF-8. `Bytes` cannot be changed in place, and only this module makes the wrapper.
    Bytes,
);

impl Utf8Bytes {
    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor in this module checked these bytes, or got them from a `str`.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }

    /// The bytes of the text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives up the knowledge that the bytes are text.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl TryFrom<Bytes> for Utf8Bytes {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        check(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&'static str> for Utf8Bytes {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Utf8Bytes {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Utf8Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Utf8Bytes> for Bytes {
    fn from(text: Utf8Bytes) -> Self {
        text.0
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Bytes that were to be text are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid sequence at byte {valid_up_to}")]
pub struct InvalidUtf8 {
    /// How many bytes before the fault are good text.
    pub valid_up_to: usize,
}

/// Checks a whole payload and reads it as text.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < VECTORS_FROM && bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    // The basic flavour is faster but cannot say where the fault is, so a bad text is looked at twice.
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8 {
        valid_up_to: simdutf8::compat::from_utf8(bytes)
            .map_or_else(|error| error.valid_up_to(), str::len),
    })
}

/// simdutf8 leaves shorter texts to the standard library, which looks at each byte. Most of them are ASCII, and that is
/// found out in a fifth of the time.
const VECTORS_FROM: usize = 64;

/// Text that arrives in pieces, which may end inside a character.
#[derive(Debug, Default)]
pub(crate) struct Utf8Buffer {
    bytes: Vec<u8>,
    /// Invariant: `bytes[..checked]` is valid UTF-8. Behind it, between calls, are at most three bytes:
    /// the beginning of a character that can still become a good one.
    checked: usize,
}

impl Utf8Buffer {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Starts with a first piece that the caller has in a buffer of its own.
    pub(crate) fn with_first(bytes: Vec<u8>) -> Result<Self, InvalidUtf8> {
        let mut buffer = Self { bytes, checked: 0 };
        buffer.check_new()?;
        Ok(buffer)
    }

    /// Appends a piece; fails at the first byte that no later piece can make good.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        self.bytes.extend_from_slice(piece);
        self.check_new()
    }

    /// Ends the text; fails if it ends inside a character.
    pub(crate) fn finish(self) -> Result<Utf8Bytes, InvalidUtf8> {
        if self.checked != self.bytes.len() {
            return Err(InvalidUtf8 {
                valid_up_to: self.checked,
            });
        }
        Ok(Utf8Bytes(Bytes::from(self.bytes)))
    }

    fn check_new(&mut self) -> Result<(), InvalidUtf8> {
        match simdutf8::compat::from_utf8(&self.bytes[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) => {
                self.checked += error.valid_up_to();
                // Without a length, the fault is only that the text stops too early.
                if error.error_len().is_some() {
                    return Err(InvalidUtf8 {
                        valid_up_to: self.checked,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fault_is_located() {
        assert_eq!(check(b"ab\xffcd"), Err(InvalidUtf8 { valid_up_to: 2 }));
        assert_eq!(check("né".as_bytes()), Ok("né"));
    }

    #[test]
    fn text_cut_inside_a_character_is_incomplete_not_wrong() {
        let mut buffer = Utf8Buffer::default();
        for byte in "é€😀".bytes() {
            buffer.push(&[byte]).unwrap();
        }
        assert_eq!(buffer.finish().unwrap().as_str(), "é€😀");
    }

    #[test]
    fn text_that_ends_inside_a_character_is_refused() {
        let mut buffer = Utf8Buffer::default();
        buffer.push(b"a\xf0\x9f\x98").unwrap();
        assert_eq!(buffer.finish(), Err(InvalidUtf8 { valid_up_to: 1 }));
    }

    #[test]
    fn hopeless_beginning_of_a_character_is_refused_at_once() {
        let mut buffer = Utf8Buffer::default();
        buffer.push(b"\xf4").unwrap();
        // U+110000 would begin F4 90; no third byte is needed to know.
        assert_eq!(buffer.push(b"\x90"), Err(InvalidUtf8 { valid_up_to: 0 }));
    }

    proptest! {
        #[test]
        fn pieces_are_judged_like_the_whole(
            bytes in prop_oneof![
                any::<String>().prop_map(String::into_bytes),
                any::<Vec<u8>>(),
            ],
            step in 1_usize..5,
        ) {
            let mut buffer = Utf8Buffer::default();
            let pieces = bytes.chunks(step).try_for_each(|piece| buffer.push(piece));
            let text = pieces.and_then(|()| buffer.finish());
            match std::str::from_utf8(&bytes) {
                Ok(expected) => prop_assert_eq!(text, Ok(Utf8Bytes::from(expected.to_owned()))),
                Err(error) => prop_assert_eq!(
                    text.unwrap_err(),
                    InvalidUtf8 { valid_up_to: error.valid_up_to() }
                ),
            }
        }
    }
}
