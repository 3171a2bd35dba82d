//! Bytes that are read as text, checked once.
//!
//! All `unsafe` of the crate is here: a short text that is ASCII, as most are, is taken without a second look.
#![expect(
    unsafe_code,
    reason = "the check for UTF-8 costs short texts five times as much as the one for ASCII"
)]

/// The bytes as text, if they are UTF-8.
#[inline]
pub(crate) fn utf8(bytes: &[u8]) -> Option<&str> {
    if bytes.len() < VECTORS_FROM && bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    simdutf8::basic::from_utf8(bytes).ok()
}

/// simdutf8 leaves shorter texts to the standard library, which looks at each byte.
const VECTORS_FROM: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_are_checked() {
        for len in 0..130 {
            let ascii = "a".repeat(len);
            assert_eq!(utf8(ascii.as_bytes()), Some(&*ascii));
            let text = format!("{ascii}é");
            assert_eq!(utf8(text.as_bytes()), Some(&*text));
            assert_eq!(utf8(&text.as_bytes()[..=len]), None);
        }
    }
}
