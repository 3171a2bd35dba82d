use std::fmt;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::Context;
use super::offer::{MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use crate::encode::encode_deflated;
use crate::opcode::OpCode;

/// Compresses messages, one after the other.
///
/// It holds 371 KiB with a window of 15 bits, and 245 KiB with one of 9. With [`Context::Fresh`] one of them serves all
/// connections of a thread that have agreed on a window of its size or a larger one.
pub struct Deflater {
    deflate: Compress,
    context: Context,
    buf: Vec<u8>,
}

impl Deflater {
    /// A compressor; `level` is from 1 to 9, `window_bits` from 9 to 15. Others are taken for the nearest of them.
    pub fn new(level: u8, window_bits: u8, context: Context) -> Self {
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        let window_bits = window_bits.clamp(MIN_WINDOW_BITS + 1, MAX_WINDOW_BITS);
        Self {
            deflate: Compress::new_with_window_bits(level, false, window_bits),
            context,
            buf: Vec::new(),
        }
    }

    /// Appends a whole compressed frame to `out`, masked if there is a key.
    ///
    /// With [`Context::Fresh`], a message that would not become shorter is left alone: nothing is appended, and this is
    /// `false`. With [`Context::Kept`] it is sent as it has become, as it is part of what later messages refer to.
    pub fn encode_frame(
        &mut self,
        out: &mut Vec<u8>,
        op: OpCode,
        payload: &[u8],
        mask: Option<[u8; 4]>,
    ) -> bool {
        self.deflate(payload);
        let is_sent = self.context == Context::Kept || self.buf.len() < payload.len();
        if is_sent {
            encode_deflated(out, op, &self.buf, mask);
        }
        if self.buf.capacity() > KEEP {
            self.buf = Vec::new();
        }
        is_sent
    }

    /// Compresses a message into the buffer (RFC 7692 §7.2.1).
    fn deflate(&mut self, mut payload: &[u8]) {
        if self.context == Context::Fresh {
            self.deflate.reset();
        }
        self.buf.clear();
        self.buf.reserve(payload.len() / 2 + MARGIN);
        loop {
            let before = self.deflate.total_in();
            let status = self
                .deflate
                .compress_vec(payload, &mut self.buf, FlushCompress::Sync);
            debug_assert!(matches!(status, Ok(Status::Ok | Status::BufError)));
            let used = usize::try_from(self.deflate.total_in() - before).unwrap_or(usize::MAX);
            payload = &payload[used.min(payload.len())..];
            // Room that is left says that there is nothing more to come.
            if self.buf.len() < self.buf.capacity() || status.is_err() {
                break;
            }
            self.buf.reserve(payload.len() / 2 + MARGIN);
        }
        if self.buf.ends_with(&END) {
            self.buf.truncate(self.buf.len() - END.len());
        }
        // An empty block is left of an empty message (§7.2.3.6); zlib writes nothing at all where it has nothing to flush.
        if self.buf.is_empty() {
            self.buf.push(0);
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// How each message ends that was flushed, and none is sent (§7.2.1).
pub(super) const END: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room for what is flushed at the end.
const MARGIN: usize = 64;

/// A buffer of more than this is not kept after a large message.
const KEEP: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn deflated(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
        deflater.deflate(payload);
        deflater.buf.clone()
    }

    #[test]
    fn rfc_examples_are_met() {
        let mut deflater = Deflater::new(6, 15, Context::Kept);
        // §7.2.3.1 and §7.2.3.2: the second message refers to the first.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(deflated(&mut deflater, b"Hello"), hello);
        let again = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(deflated(&mut deflater, b"Hello"), again);
        let mut deflater = Deflater::new(6, 15, Context::Fresh);
        for _ in 0..2 {
            assert_eq!(deflated(&mut deflater, b"Hello"), hello);
        }
    }

    #[test]
    fn empty_message_is_one_byte() {
        for context in [Context::Fresh, Context::Kept] {
            let mut deflater = Deflater::new(1, 15, context);
            assert_eq!(deflated(&mut deflater, b""), [0]);
            deflated(&mut deflater, b"something");
            assert_eq!(deflated(&mut deflater, b""), [0]);
            assert_eq!(deflated(&mut deflater, b""), [0]);
        }
    }

    #[test]
    fn frame_is_marked_and_shorter() {
        let mut out = b"before".to_vec();
        let mut deflater = Deflater::new(1, 15, Context::Fresh);
        assert!(deflater.encode_frame(&mut out, OpCode::Text, &[b'a'; 500], None));
        assert_eq!(out[6], 0xc1);
        assert_eq!(usize::from(out[7]), out.len() - 8);
        out.clear();
        assert!(!deflater.encode_frame(&mut out, OpCode::Text, b"ab", None));
        assert!(!deflater.encode_frame(&mut out, OpCode::Text, b"", None));
        assert!(out.is_empty());
        let mut deflater = Deflater::new(1, 15, Context::Kept);
        assert!(deflater.encode_frame(&mut out, OpCode::Binary, b"", Some([1, 2, 3, 4])));
        assert_eq!(out, [0xc2, 0x81, 1, 2, 3, 4, 1]);
    }
}
