use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A random identifier of 20 characters from `A–Z a–z 0–9 - _`.
///
/// 96 bits are random and 24 bits count up, so that two ids of one process cannot be equal. The
/// text form is that of the JavaScript server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId([u8; Self::LEN]);

impl SessionId {
    /// The length in bytes; all are ASCII.
    pub const LEN: usize = 20;

    /// A new id from the operating system's random source.
    ///
    /// # Errors
    ///
    /// If that source fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mut bytes = [0; 15];
        getrandom::fill(&mut bytes[..12])?;
        let count = COUNTER.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes[12..].copy_from_slice(&count[1..]);
        Ok(Self(encode(bytes)))
    }

    /// Reads an id as it stands in a request; `None` if it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().ok()?;
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        bytes.iter().all(known).then_some(Self(bytes))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It is ASCII; the other case cannot be.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Six bits a character; 15 bytes are exactly 20 characters.
fn encode(bytes: [u8; 15]) -> [u8; SessionId::LEN] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = [0; SessionId::LEN];
    for (group, out) in bytes.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
        }
    }
    text
}

/// Hides the id: it lets its holder take the session over.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_distinct_and_parse() {
        let (a, b) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(SessionId::parse(a.as_str()), Some(a));
        assert_eq!(a.as_str().len(), 20);
    }

    #[test]
    fn foreign_text_is_no_id() {
        assert_eq!(SessionId::parse("short"), None);
        assert_eq!(SessionId::parse("aaaaaaaaaaaaaaaaaaa/"), None);
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let id = SessionId::random().unwrap();
        assert!(!format!("{id:?}").contains(id.as_str()));
    }
}
