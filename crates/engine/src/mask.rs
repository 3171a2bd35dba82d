//! Random numbers for clients: the keys that mask frames, and what keeps requests from caches.

use std::cell::RefCell;

thread_local! {
    static POOL: RefCell<Pool> = const {
        RefCell::new(Pool {
            bytes: [0; SIZE],
            used: SIZE,
        })
    };
}

/// How many random bytes a thread draws at once.
///
/// They come from the operating system, because a key must not be predictable (RFC 6455 §10.3),
/// and by the kilobyte one system call makes 256 keys.
const SIZE: usize = 1024;

struct Pool {
    bytes: [u8; SIZE],
    used: usize,
}

/// A fresh key for one frame.
pub(crate) fn key() -> [u8; 4] {
    POOL.with_borrow_mut(Pool::take)
}

/// Eight random digits in base 36, as the `t` parameter of the JavaScript client has.
pub fn token() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let [high, low] = [key(), key()];
    // Reduced by 36 the digits are not perfectly even, which no cache minds.
    high.into_iter()
        .chain(low)
        .map(|byte| char::from(DIGITS[usize::from(byte) % DIGITS.len()]))
        .collect()
}

/// Whether the operating system gives random numbers at all. To be asked before there is a first
/// frame to mask, because then there is nobody to tell.
///
/// # Errors
///
/// If it has none.
pub fn check() -> Result<(), getrandom::Error> {
    POOL.with_borrow_mut(Pool::fill)
}

impl Pool {
    fn fill(&mut self) -> Result<(), getrandom::Error> {
        getrandom::fill(&mut self.bytes)?;
        self.used = 0;
        Ok(())
    }

    fn take(&mut self) -> [u8; 4] {
        if self.used == SIZE
            && let Err(error) = self.fill()
        {
            // It worked when the session was opened. Keys that were used already still make
            // frames that the peer can read.
            tracing::error!(%error, "no random numbers");
            self.used = 0;
        }
        let key = self.bytes[self.used..].first_chunk().copied();
        self.used += 4;
        key.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_do_not_repeat() {
        // Of 2000 keys two are equal once in two thousand runs, of 1900 pairs of keys never.
        let keys: HashSet<_> = (0..1900).map(|_| (key(), key())).collect();
        assert_eq!(keys.len(), 1900);
    }

    #[test]
    fn a_token_has_eight_digits() {
        let token = token();
        assert_eq!(token.len(), 8);
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
