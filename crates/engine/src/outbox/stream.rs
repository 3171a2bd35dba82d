//! Bytes that wait for a stream.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use sockeye_engine_proto::{Packet, Revision, WireKind, frame};
use sockeye_websocket::{OpCode, apply_mask, encode_frame, encode_header};

use crate::io::Socket;
use crate::mask;
use crate::message::{Message, View, frame_text, type_text};

/// Bytes that wait for a stream: `chunks` first, then `tail`.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) chunks: VecDeque<Chunk>,
    pub(super) tail: Vec<u8>,
    /// How much of the first chunk, or of the tail if there is none, has been written.
    pub(super) written: usize,
    /// Something was written, but not everything: nobody knows any more where a frame begins.
    pub(super) underway: bool,
    /// The socket, if it can be written to from any thread.
    pub(super) direct: Option<Socket>,
    pub(super) framing: Framing,
}

/// How packets become bytes on a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Framing {
    /// WebSocket frames.
    #[default]
    WebSocket,
    /// WebSocket frames of a client, each masked with a key of its own.
    MaskedWebSocket,
    /// Length-prefixed packets.
    Native,
    /// Texts are whole lines already, and there are no packets.
    Lines,
}

#[derive(Debug)]
pub(super) enum Chunk {
    Owned(Box<[u8]>),
    Shared(Bytes),
}

/// Frames up to this length are copied: a reference and its share of a vectored write cost more.
const COPY_MAX: usize = 1024;

/// How many slices one vectored write takes at most.
const MAX_SLICES: usize = 64;

/// A write buffer of more than this is given back after a burst.
const KEEP_TAIL: usize = 4096;

impl Stream {
    /// Appends a message; returns how many bytes that is.
    pub(super) fn push(&mut self, message: &Message, revision: Revision, base64: bool) -> usize {
        match (message.view(), self.framing) {
            (View::Text(text), Framing::WebSocket) => self.copy_or_share(text.frame()),
            (View::Text(text), Framing::Native) => {
                let packet = text.packet_bytes();
                self.native_header(WireKind::Text, packet.len()) + self.copy_or_share(&packet)
            }
            (View::Text(text), Framing::Lines) => self.copy_or_share(&text.text_bytes()),
            (View::Text(text), Framing::MaskedWebSocket) => {
                self.masked(OpCode::Text, &[], text.packet())
            }
            (View::Binary(data), Framing::WebSocket | Framing::MaskedWebSocket) if base64 => {
                let mut text = Vec::new();
                Packet::binary(&data[..]).encode_text(revision, &mut text);
                self.frame(OpCode::Text, &text)
            }
            (View::Binary(data), Framing::WebSocket) => {
                let prefix = binary_prefix(revision);
                let len = prefix.len() + data.len();
                let header = encode_header(OpCode::Binary, len, None);
                self.copy(&header) + self.copy(prefix) + self.copy_or_share(data)
            }
            (View::Binary(data), Framing::MaskedWebSocket) => {
                self.masked(OpCode::Binary, binary_prefix(revision), data)
            }
            // A frame is never empty; in base64 nothing is something.
            (View::Binary(data), Framing::Native) if data.is_empty() => {
                self.native_header(WireKind::Text, 1) + self.copy(b"b")
            }
            (View::Binary(data), Framing::Native) => {
                self.native_header(WireKind::Binary, data.len()) + self.copy_or_share(data)
            }
            // There is no such thing as a binary line.
            (View::Binary(_), Framing::Lines) => 0,
        }
    }

    /// Appends a text that stands in `buf` from `start` on.
    pub(super) fn push_scratch(&mut self, buf: &mut Vec<u8>, start: usize) -> usize {
        let start = match self.framing {
            Framing::WebSocket => frame_text(buf, start).1,
            Framing::Native => {
                let packet = type_text(buf, start);
                let len = buf.len() - packet;
                frame::prepend_header(buf, packet, len, WireKind::Text)
            }
            Framing::MaskedWebSocket => return self.mask_scratch(buf, start),
            Framing::Lines => start,
        };
        let len = buf.len() - start;
        if len <= COPY_MAX {
            return self.copy(&buf[start..]);
        }
        self.share(Chunk::Shared(take_from(buf, start)));
        len
    }

    /// As [`push_scratch`](Self::push_scratch), by masking where the text stands.
    fn mask_scratch(&mut self, buf: &mut Vec<u8>, start: usize) -> usize {
        let packet = type_text(buf, start);
        let len = buf.len() - packet;
        let key = mask::key();
        apply_mask(&mut buf[packet..], key, 0);
        // The header is too long for the room in front of the text.
        let header = self.copy(&encode_header(OpCode::Text, len, Some(key)));
        if len <= COPY_MAX {
            return header + self.copy(&buf[packet..]);
        }
        self.share(Chunk::Shared(take_from(buf, packet)));
        header + len
    }

    /// Appends a masked frame whose payload is the prefix and the data.
    fn masked(&mut self, op: OpCode, prefix: &[u8], data: &[u8]) -> usize {
        let key = mask::key();
        let len = prefix.len() + data.len();
        let header = self.copy(&encode_header(op, len, Some(key)));
        if len <= COPY_MAX {
            let start = self.tail.len();
            self.tail.extend_from_slice(prefix);
            self.tail.extend_from_slice(data);
            apply_mask(&mut self.tail[start..], key, 0);
        } else {
            let mut payload = [prefix, data].concat();
            apply_mask(&mut payload, key, 0);
            self.share(Chunk::Owned(payload.into()));
        }
        header + len
    }

    /// Appends a packet of the session itself.
    pub(super) fn push_control(&mut self, packet: &Packet<'_>, revision: Revision) -> usize {
        let mut text = Vec::new();
        packet.encode_text(revision, &mut text);
        match self.framing {
            Framing::WebSocket | Framing::MaskedWebSocket => self.frame(OpCode::Text, &text),
            Framing::Native => self.native_header(WireKind::Text, text.len()) + self.copy(&text),
            Framing::Lines => 0,
        }
    }

    /// Appends a WebSocket control frame; other framings have none.
    pub(super) fn push_frame(&mut self, op: OpCode, payload: &[u8]) -> usize {
        match self.framing {
            Framing::WebSocket | Framing::MaskedWebSocket => self.frame(op, payload),
            Framing::Native | Framing::Lines => 0,
        }
    }

    fn native_header(&mut self, kind: WireKind, len: usize) -> usize {
        self.copy(&frame::encode_header(kind, len))
    }

    pub(super) fn copy_or_share(&mut self, bytes: &Bytes) -> usize {
        if bytes.len() <= COPY_MAX {
            return self.copy(bytes);
        }
        self.share(Chunk::Shared(bytes.clone()));
        bytes.len()
    }

    fn frame(&mut self, op: OpCode, payload: &[u8]) -> usize {
        self.prepare_tail();
        let before = self.tail.len();
        let key = (self.framing == Framing::MaskedWebSocket).then(mask::key);
        encode_frame(&mut self.tail, op, payload, key);
        self.tail.len() - before
    }

    fn copy(&mut self, bytes: &[u8]) -> usize {
        self.prepare_tail();
        self.tail.extend_from_slice(bytes);
        bytes.len()
    }

    fn share(&mut self, chunk: Chunk) {
        if !self.tail.is_empty() {
            // A copy of the right size: the tail is the thread's roomy buffer, and is used on.
            self.chunks
                .push_back(Chunk::Owned(self.tail.as_slice().into()));
            self.tail.clear();
        }
        self.chunks.push_back(chunk);
    }

    fn prepare_tail(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail = spare::take();
        }
    }

    pub(super) fn with_slices(
        &self,
        write: &mut impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.chunks.is_empty() {
            return write(&[IoSlice::new(&self.tail[self.written..])]);
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let parts = self.chunks.iter().map(Chunk::bytes).chain([&self.tail[..]]);
        let mut used = 0;
        for (slot, part) in slices.iter_mut().zip(parts) {
            *slot = IoSlice::new(part);
            used += 1;
        }
        slices[0] = IoSlice::new(&self.chunks[0].bytes()[self.written..]);
        write(&slices[..used])
    }

    pub(super) fn advance(&mut self, written: usize) {
        self.written += written;
        while let Some(first) = self.chunks.front() {
            let len = first.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.chunks.pop_front();
        }
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }

    /// Gives back what a burst has allocated, now that everything is written.
    pub(super) fn recycle(&mut self) {
        self.chunks = VecDeque::new();
        spare::give(std::mem::take(&mut self.tail));
    }

    /// The peer is slow: keep what waits, but not the roomy buffer of the thread.
    pub(super) fn shrink(&mut self) {
        if self.written > 0 && self.chunks.is_empty() {
            self.tail.drain(..self.written);
            self.written = 0;
        }
        if self.tail.capacity() > KEEP_TAIL {
            self.tail.shrink_to_fit();
        }
    }
}

/// What stands in front of the bytes of a binary message: revision 3 has the packet type there.
const fn binary_prefix(revision: Revision) -> &'static [u8] {
    match revision {
        Revision::V3 => &[4],
        Revision::V4 => &[],
    }
}

/// The buffer from `start` on: taken as it is, unless most of it would be kept for nothing.
fn take_from(buf: &mut Vec<u8>, start: usize) -> Bytes {
    match buf.capacity() <= 2 * buf.len() {
        true => Bytes::from(std::mem::take(buf)).split_off(start),
        false => Bytes::copy_from_slice(&buf[start..]),
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// One write buffer per thread that connections borrow for the length of a turn.
mod spare {
    use std::cell::Cell;

    thread_local! {
        static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }

    /// A larger buffer is not kept: one burst should not cost memory for ever.
    const MAX: usize = 256 * 1024;

    pub(super) fn take() -> Vec<u8> {
        SPARE.take()
    }

    pub(super) fn give(mut buf: Vec<u8>) {
        if (1..=MAX).contains(&buf.capacity()) {
            buf.clear();
            SPARE.set(buf);
        }
    }
}
