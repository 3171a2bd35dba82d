use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::Context;
use super::deflater::END;

/// Decompresses messages, one after the other.
///
/// It holds 46 KiB. With [`Context::Fresh`] one of them serves all connections of a thread.
pub struct Inflater {
    inflate: Decompress,
    context: Context,
}

/// Why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It is no whole deflate stream, or goes on behind its end.
    #[error("not in deflate format")]
    Corrupt,
    /// More comes out of it than it may.
    #[error("more than {limit} bytes when inflated")]
    TooBig {
        /// The limit in bytes.
        limit: usize,
    },
}

impl Inflater {
    /// A decompressor. It understands messages of every window.
    pub fn new(context: Context) -> Self {
        Self {
            inflate: Decompress::new(false),
            context,
        }
    }

    /// The content of a message, which came as `data` (RFC 7692 §7.2.2). The memory that this takes grows with what
    /// comes out, up to `max` bytes, and not with what might.
    ///
    /// # Errors
    ///
    /// See [`InflateError`]. With [`Context::Kept`] nothing more can be read after it.
    pub fn inflate(&mut self, data: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
        let mut out = Vec::new();
        // Some peers leave out the one byte that an empty message has.
        if data.is_empty() {
            return Ok(out);
        }
        if self.context == Context::Fresh {
            self.inflate.reset(false);
        }
        match self.feed(data, &mut out, max)? {
            // A message may end with a final block, and has a byte of padding then (§7.2.3.4, §7.2.3.5).
            Fed::Ended([] | [0]) => self.inflate.reset(false),
            Fed::Ended(_) => return Err(InflateError::Corrupt),
            Fed::Goes => self.finish(&mut out, max)?,
        }
        // Who keeps the content does not want to keep much more than it.
        if out.capacity() - out.len() > out.len() / 4 + SLACK {
            out.shrink_to_fit();
        }
        Ok(out)
    }

    /// Adds the end that is not sent.
    fn finish(&mut self, out: &mut Vec<u8>, max: usize) -> Result<(), InflateError> {
        match (self.feed(&END, out, max)?, self.context) {
            // With a final block behind it, it shows whether the data was cut where a block ends. What is to be kept
            // would be lost by that.
            (Fed::Goes, Context::Fresh) => match self.feed(&FINAL_BLOCK, out, max)? {
                Fed::Ended([]) => Ok(()),
                Fed::Ended(_) | Fed::Goes => Err(InflateError::Corrupt),
            },
            (Fed::Goes, Context::Kept) => Ok(()),
            (Fed::Ended(_), _) => Err(InflateError::Corrupt),
        }
    }

    fn feed<'d>(
        &mut self,
        mut data: &'d [u8],
        out: &mut Vec<u8>,
        max: usize,
    ) -> Result<Fed<'d>, InflateError> {
        loop {
            if out.len() == out.capacity() {
                // Room for one byte too many, to see whether there is one.
                let most = max.saturating_add(1) - out.len();
                let guess = out.len().max(data.len().saturating_mul(4)).max(FIRST_ROOM);
                out.reserve_exact(guess.min(MAX_STEP.max(out.len())).min(most));
            }
            let before = self.inflate.total_in();
            let status = self
                .inflate
                .decompress_vec(data, out, FlushDecompress::Sync)
                .map_err(|_| InflateError::Corrupt)?;
            let used = usize::try_from(self.inflate.total_in() - before);
            data = &data[used.map_err(|_| InflateError::Corrupt)?..];
            if out.len() > max {
                return Err(InflateError::TooBig { limit: max });
            }
            match status {
                Status::StreamEnd => return Ok(Fed::Ended(data)),
                // Room that is left says that there is nothing more to come.
                _ if out.len() < out.capacity() => {
                    return match data {
                        [] => Ok(Fed::Goes),
                        _ => Err(InflateError::Corrupt),
                    };
                }
                _ => {}
            }
        }
    }
}

/// What becomes of a piece of data.
enum Fed<'d> {
    /// All of it was taken, and the stream may go on.
    Goes,
    /// The stream has ended; this is behind its end.
    Ended(&'d [u8]),
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// An empty block that ends a stream.
const FINAL_BLOCK: [u8; 5] = [1, 0, 0, 0xff, 0xff];

const FIRST_ROOM: usize = 256;

/// More than this is not allocated before it is known that it is needed.
const MAX_STEP: usize = 16 * 1024;

/// So much may be allocated and not used.
const SLACK: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::deflate::Deflater;
    use crate::header::Prefix;
    use crate::opcode::OpCode;

    fn deflated(deflater: &mut Deflater, payload: &[u8]) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        let is_sent = deflater.encode_frame(&mut frame, OpCode::Binary, payload, None);
        let header = Prefix::parse(*frame.first()?, *frame.get(1)?)
            .unwrap()
            .header_len();
        is_sent.then(|| frame.split_off(header))
    }

    fn zeros(len: usize) -> Vec<u8> {
        deflated(&mut Deflater::new(9, 15, Context::Fresh), &vec![0; len]).unwrap()
    }

    #[test]
    fn rfc_examples_are_understood() {
        for context in [Context::Fresh, Context::Kept] {
            for data in [
                // §7.2.3.1, one block.
                &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
                // §7.2.3.3, not compressed.
                &[
                    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
                ],
                // §7.2.3.4, with a final block.
                &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
                &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
                // §7.2.3.5, two blocks.
                &[
                    0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
                ],
            ] {
                let inflated = Inflater::new(context).inflate(data, 100);
                assert_eq!(inflated.unwrap(), b"Hello", "{data:x?}");
            }
        }
        let mut inflater = Inflater::new(Context::Kept);
        for data in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0xf2, 0x00, 0x11, 0x00, 0x00],
        ] {
            assert_eq!(inflater.inflate(data, 100).unwrap(), b"Hello");
        }
    }

    #[test]
    fn empty_message_may_be_one_byte_or_none() {
        for context in [Context::Fresh, Context::Kept] {
            let mut inflater = Inflater::new(context);
            for data in [&[0][..], &[], &[2, 0], &[0]] {
                assert_eq!(inflater.inflate(data, 0), Ok(Vec::new()), "{data:x?}");
            }
        }
    }

    #[test]
    fn what_refers_to_the_message_before_is_refused_unless_that_was_agreed() {
        let mut inflater = Inflater::new(Context::Fresh);
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflater.inflate(&hello, 5).unwrap(), b"Hello");
        let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflater.inflate(&again, 5), Err(InflateError::Corrupt));
        assert_eq!(inflater.inflate(&hello, 5).unwrap(), b"Hello");
    }

    #[test]
    fn a_bomb_is_refused_by_its_limit() {
        let bomb = zeros(50_000_000);
        assert!(bomb.len() < 100_000);
        for context in [Context::Fresh, Context::Kept] {
            let error = Inflater::new(context).inflate(&bomb, 1_000_000);
            assert_eq!(error, Err(InflateError::TooBig { limit: 1_000_000 }));
            let exact = Inflater::new(context).inflate(&zeros(1_000_000), 1_000_000);
            assert_eq!(exact.unwrap().len(), 1_000_000);
            let error = Inflater::new(context).inflate(&zeros(1_000_001), 1_000_000);
            assert_eq!(error, Err(InflateError::TooBig { limit: 1_000_000 }));
        }
    }

    #[test]
    fn only_whole_messages_are_taken() {
        let text = "some text, some more text, and more of it";
        let mut deflater = Deflater::new(6, 15, Context::Fresh);
        let data = deflated(&mut deflater, text.as_bytes()).unwrap();
        let mut inflater = Inflater::new(Context::Fresh);
        for len in 1..data.len() {
            let error = inflater.inflate(&data[..len], 1000);
            assert_eq!(error, Err(InflateError::Corrupt), "{len}");
        }
        // Something behind a final block.
        let data = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x01];
        assert_eq!(inflater.inflate(&data, 1000), Err(InflateError::Corrupt));
        assert_eq!(inflater.inflate(&[0xff; 9], 10), Err(InflateError::Corrupt));
    }

    #[test]
    fn memory_grows_with_what_comes_out() {
        let mut inflater = Inflater::new(Context::Fresh);
        for len in [1000, 5000, 100_000] {
            let out = inflater.inflate(&zeros(len), 1 << 40).unwrap();
            assert!(out.capacity() < out.len() * 5 / 4 + 2 * SLACK, "{len}");
        }
    }

    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let unit = prop::collection::vec(any::<u8>(), 0..40);
        (unit, 0_usize..400).prop_map(|(unit, times)| unit.repeat(times))
    }

    proptest! {
        #[test]
        fn messages_come_back(
            payloads in prop::collection::vec(payload(), 1..8),
            level in 1_u8..=9,
            bits in 9_u8..=15,
            kept: bool,
        ) {
            let context = if kept { Context::Kept } else { Context::Fresh };
            let mut deflater = Deflater::new(level, bits, context);
            let mut inflater = Inflater::new(context);
            for payload in payloads {
                let Some(data) = deflated(&mut deflater, &payload) else {
                    prop_assert_eq!(context, Context::Fresh);
                    continue;
                };
                prop_assert_eq!(inflater.inflate(&data, payload.len()).unwrap(), payload);
            }
        }

        #[test]
        fn no_bytes_panic(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
            max in 0_usize..300,
        ) {
            for context in [Context::Fresh, Context::Kept] {
                let mut inflater = Inflater::new(context);
                for data in &messages {
                    if let Ok(out) = inflater.inflate(data, max) {
                        prop_assert!(out.len() <= max);
                    }
                }
            }
        }
    }
}
