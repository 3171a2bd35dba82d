//! Where frames begin in bytes that wait for a stream.

use sockeye_engine_proto::frame as native;
use sockeye_websocket as websocket;

use super::chunks::Chunk;
use super::stream::{Framing, Stream};

impl Stream {
    /// How many bytes are left of the frame of which a part is written; 0 between two frames.
    ///
    /// The frames are counted anew each time, by their headers. It is asked for seldom: when something
    /// is to go ahead of what waits, or in its place. To note where each frame begins would cost
    /// something with every message.
    pub(super) fn begun(&self) -> usize {
        match self.chunks.front() {
            // What it belongs to ends with it, and begins in a chunk that is written.
            Some(chunk @ (Chunk::Rest(_) | Chunk::Payload(_))) => {
                chunk.bytes().len() - self.written
            }
            Some(chunk) => self.border_behind(chunk.bytes()) - self.written,
            None => self.border_behind(&self.tail) - self.written,
        }
    }

    /// The first border of a frame that is not before the write position, counted from the front of
    /// these bytes, which begin with a frame. It may be beyond them.
    fn border_behind(&self, bytes: &[u8]) -> usize {
        let mut border = 0;
        while border < self.written {
            border += frame_len(self.framing, &bytes[border..]);
        }
        border
    }

    /// The last border of a frame in the tail that is not behind the write position. Only if the tail
    /// is all that waits.
    pub(super) fn border_before(&self) -> usize {
        let mut border = 0;
        loop {
            let next = border + frame_len(self.framing, &self.tail[border..]);
            if next > self.written || next == border {
                return border;
            }
            border = next;
        }
    }

    /// Forgets everything but what is left of a frame of which a part is written; says how many bytes
    /// that is.
    pub(super) fn keep_begun(&mut self) -> usize {
        self.urgent = None;
        let begun = self.begun();
        if begun == 0 {
            self.chunks.clear();
            self.tail.clear();
            self.written = 0;
            return 0;
        }
        match self.chunks.truncate(self.written + begun) {
            0 => self.tail.clear(),
            len => self.tail.truncate(len),
        }
        begun
    }

    /// Drops the part of the front piece that is written, so that something can be put in front of it.
    pub(super) fn drop_written(&mut self) {
        let written = std::mem::take(&mut self.written);
        if written == 0 {
            return;
        }
        match self.chunks.front_mut() {
            Some(chunk) => chunk.drop_front(written),
            None => drop(self.tail.drain(..written)),
        }
    }
}

/// How long the first frame of `bytes` is; they hold its header at least, or are empty.
fn frame_len(framing: Framing, bytes: &[u8]) -> usize {
    let len = match framing {
        Framing::WebSocket | Framing::MaskedWebSocket => websocket::frame_len(bytes),
        Framing::Native => native::frame_len(bytes),
        Framing::Lines => bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|end| end + 1),
    };
    // A header stands in one piece, and what else were cut off would be better sent than torn.
    len.unwrap_or(bytes.len())
}
