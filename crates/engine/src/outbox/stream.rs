//! Bytes that wait for a stream.

use std::io::{self, IoSlice};

use bytes::Bytes;
use sockeye_engine_proto::{Packet, Revision, WireKind, frame};
use sockeye_websocket::{Deflater, OpCode, apply_mask, encode_frame, encode_header, mask_frame};

use super::chunks::{Chunk, Chunks};
use super::urgent::{Beat, Reception, Urgent};
use crate::deflate::{Compression, Packing, op_code};
use crate::io::Socket;
use crate::mask;
use crate::message::{Message, View, frame_text, type_text};

/// Bytes that wait for a stream: `chunks` first, then `tail`, which begins with a frame.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) chunks: Chunks,
    pub(super) tail: Vec<u8>,
    /// How much of the first chunk, or of the tail if there is none, has been written.
    pub(super) written: usize,
    /// What goes ahead of all that is not begun.
    pub(super) urgent: Option<Box<Urgent>>,
    pub(super) intake: Intake,
    /// Something was written at some time.
    pub(super) spoken: bool,
    /// The socket, if it can be written to from any thread.
    pub(super) direct: Option<Socket>,
    pub(super) framing: Framing,
    /// For a peer whose messages may refer to those before them.
    pub(super) deflater: Option<Box<Deflater>>,
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

/// Whether the socket takes what is written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Intake {
    /// It takes everything, which says nothing about the peer: its buffer has room.
    #[default]
    Open,
    /// It was full, and has taken nothing since.
    Full,
    /// It was full, and has taken something since: the peer has made room for it.
    Moving,
}

/// Frames up to this length are copied: a reference and its share of a vectored write cost more.
const COPY_MAX: usize = 1024;

/// How many slices one vectored write takes at most.
const MAX_SLICES: usize = 64;

/// A write buffer of more than this is given back after a burst.
const KEEP_TAIL: usize = 4096;

/// The write buffer of a slow peer is made smaller when it could hold so many times what waits. It doubles when it is
/// full: with less than this, one packet more and one less would have it all moved each time.
const ROOMY: usize = 3;

impl Stream {
    /// A stream that has these bytes of its own to write first, of whose first frame a part may be written.
    pub(super) fn new(
        direct: Option<Socket>,
        framing: Framing,
        unwritten: Vec<u8>,
        deflater: Option<Box<Deflater>>,
    ) -> Self {
        let mut stream = Self {
            direct,
            framing,
            deflater,
            ..Self::default()
        };
        if !unwritten.is_empty() {
            stream.chunks.push_back(Chunk::Rest(unwritten.into()));
        }
        stream
    }

    /// Appends a message that is to be compressed, where that can be done to it; returns how many bytes that is.
    pub(super) fn push_packed(
        &mut self,
        message: &Message,
        compression: Compression,
        revision: Revision,
        base64: bool,
    ) -> usize {
        let packet = message
            .packet(revision)
            .filter(|(kind, _)| !(base64 && *kind == WireKind::Binary));
        let Some((kind, packet)) = packet else {
            return self.push(message, revision, base64);
        };
        if self.deflater.is_some() {
            return self.push_in_turn(op_code(kind), packet);
        }
        match message.compressed(compression, revision) {
            Some(frame) => self.push_compressed(frame),
            None => self.push(message, revision, base64),
        }
    }

    /// Appends a compressed frame that was made for others, too.
    pub(super) fn push_compressed(&mut self, frame: &Bytes) -> usize {
        match self.framing {
            Framing::MaskedWebSocket => {
                self.append(frame.len(), |out| mask_frame(out, frame, mask::key()))
            }
            _ => self.copy_or_share(frame, Chunk::Frame),
        }
    }

    /// Appends a message that is compressed with those before it in mind.
    fn push_in_turn(&mut self, op: OpCode, packet: &[u8]) -> usize {
        let Some(mut deflater) = self.deflater.take() else {
            return 0;
        };
        let key = (self.framing == Framing::MaskedWebSocket).then(mask::key);
        let len = self.append(packet.len(), |out| {
            deflater.encode_frame(out, op, packet, key);
        });
        self.deflater = Some(deflater);
        len
    }

    /// Appends a frame of about this length; in a buffer of its own, if it is too long to be copied.
    fn append(&mut self, about: usize, make: impl FnOnce(&mut Vec<u8>)) -> usize {
        if about <= COPY_MAX {
            self.prepare_tail();
            let before = self.tail.len();
            make(&mut self.tail);
            return self.tail.len() - before;
        }
        let mut frame = Vec::new();
        make(&mut frame);
        let len = frame.len();
        self.copy_or_share(&frame.into(), Chunk::Frame);
        len
    }

    /// Appends a message as it is; returns how many bytes that is.
    pub(super) fn push(&mut self, message: &Message, revision: Revision, base64: bool) -> usize {
        match (message.view(), self.framing) {
            (View::Text(text), Framing::WebSocket) => {
                self.copy_or_share(text.frame(), Chunk::Frame)
            }
            (View::Text(text), Framing::Native) => {
                let packet = text.packet_bytes();
                self.native_header(WireKind::Text, packet.len())
                    + self.copy_or_share(&packet, Chunk::Payload)
            }
            (View::Text(text), Framing::Lines) => {
                self.copy_or_share(&text.text_bytes(), Chunk::Frame)
            }
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
                self.copy(&header) + self.copy(prefix) + self.copy_or_share(data, Chunk::Payload)
            }
            (View::Binary(data), Framing::MaskedWebSocket) => {
                self.masked(OpCode::Binary, binary_prefix(revision), data)
            }
            // A frame is never empty; in base64 nothing is something.
            (View::Binary(data), Framing::Native) if data.is_empty() => {
                self.native_header(WireKind::Text, 1) + self.copy(b"b")
            }
            (View::Binary(data), Framing::Native) => {
                self.native_header(WireKind::Binary, data.len())
                    + self.copy_or_share(data, Chunk::Payload)
            }
            // There is no such thing as a binary line.
            (View::Binary(_), Framing::Lines) => 0,
        }
    }

    /// Appends a text that stands in `buf` from `start` on.
    pub(super) fn push_scratch(
        &mut self,
        buf: &mut Vec<u8>,
        start: usize,
        packing: Packing,
    ) -> usize {
        if self.deflater.is_some() {
            let packet = type_text(buf, start);
            if packing.wanted(|| buf.len() - packet).is_some() {
                return self.push_in_turn(OpCode::Text, &buf[packet..]);
            }
        }
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
        self.share(Chunk::Frame(take_from(buf, start)));
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
        self.share(Chunk::Payload(take_from(buf, packet)));
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
            self.share(Chunk::Payload(payload.into()));
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

    /// Puts a heartbeat ahead of everything that is not begun, by what appends it. Gives how many bytes
    /// it has, and how many of others were dropped for it.
    pub(super) fn push_urgent(
        &mut self,
        beat: Beat,
        append: impl FnOnce(&mut Self) -> usize,
    ) -> (usize, usize) {
        // Where it goes is found by counting frames, and those that are written are not to be counted with each ping.
        self.drop_frames();
        self.prepare_tail();
        let before = self.tail.len();
        let added = append(self);
        let peer = match self.intake {
            Intake::Open => Reception::Takes,
            Intake::Full | Intake::Moving => Reception::Refuses,
        };
        let urgent = self.urgent.get_or_insert_default();
        let dropped = urgent.push(beat, &self.tail[before..], peer);
        self.tail.truncate(before);
        (added, dropped)
    }

    fn native_header(&mut self, kind: WireKind, len: usize) -> usize {
        self.copy(&frame::encode_header(kind, len))
    }

    /// Appends bytes; as such a chunk, if they are too many to be copied.
    pub(super) fn copy_or_share(&mut self, bytes: &Bytes, chunk: fn(Bytes) -> Chunk) -> usize {
        if bytes.len() <= COPY_MAX {
            return self.copy(bytes);
        }
        self.share(chunk(bytes.clone()));
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
                .push_back(Chunk::Frames(self.tail.as_slice().into()));
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
        if self.chunks.is_empty() && self.urgent.is_none() {
            return write(&[IoSlice::new(&self.tail[self.written..])]);
        }
        let urgent = self.urgent.as_deref();
        // What is urgent goes behind the frame that is begun; the next write takes it.
        let (urgent, most) = match urgent.map(|urgent| (urgent, self.begun())) {
            Some((_, begun @ 1..)) => (None, begun),
            Some((urgent, _)) => (Some(urgent), usize::MAX),
            None => (None, usize::MAX),
        };
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        let urgent = urgent.map(Urgent::slices).into_iter().flatten();
        for slice in urgent.filter(|slice| !slice.is_empty()) {
            slices[used] = slice;
            used += 1;
        }
        let (mut skip, mut most) = (self.written, most);
        let parts = self.chunks.iter().map(Chunk::bytes).chain([&self.tail[..]]);
        for (slot, part) in slices[used..].iter_mut().zip(parts) {
            let part = &part[skip..];
            skip = 0;
            let fits = part.len().min(most);
            *slot = IoSlice::new(&part[..fits]);
            most -= fits;
            used += 1;
            if most == 0 {
                break;
            }
        }
        write(&slices[..used])
    }

    /// So many bytes were written, of what [`with_slices`](Self::with_slices) gave.
    pub(super) fn advance(&mut self, mut written: usize) {
        if self.intake == Intake::Full {
            self.intake = Intake::Moving;
        }
        if let Some(urgent) = &self.urgent
            && self.begun() == 0
        {
            let len = urgent.len();
            if written < len {
                let rest = Chunk::Rest(urgent.rest(written));
                self.drop_written();
                self.chunks.push_front(rest);
                self.urgent = None;
                return;
            }
            self.urgent = None;
            written -= len;
        }
        self.written += written;
        while let Some(first) = self.chunks.front() {
            let len = first.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.chunks.drop_front();
        }
        if self.written == self.tail.len() {
            self.tail.clear();
            self.written = 0;
        }
    }

    /// The socket takes no more for now.
    pub(super) fn fill(&mut self) {
        let roomy = match self.intake {
            // The tail is the roomy buffer of the thread, which is not for one slow peer.
            Intake::Open => KEEP_TAIL,
            Intake::Full | Intake::Moving => KEEP_TAIL.max(ROOMY * self.tail_waiting()),
        };
        if self.intake == Intake::Open {
            self.intake = Intake::Full;
        }
        let is_roomy = self.tail.capacity() > roomy;
        // Not each time that some is written, as all that is behind it moves.
        if is_roomy || self.tail_waiting() <= self.tail.len() / 2 {
            self.drop_frames();
        }
        if is_roomy {
            self.tail.shrink_to_fit();
        }
    }

    /// Whether the socket has taken something after it was full, which nobody was told yet.
    pub(super) fn take_moved(&mut self, all: bool) -> bool {
        let moved = self.intake == Intake::Moving;
        if moved {
            self.intake = if all { Intake::Open } else { Intake::Full };
        }
        moved
    }

    /// Gives back what a burst has allocated, now that everything is written.
    pub(super) fn recycle(&mut self) {
        self.chunks.clear();
        spare::give(std::mem::take(&mut self.tail));
    }

    /// How much of the tail is not written.
    fn tail_waiting(&self) -> usize {
        match self.chunks.is_empty() {
            true => self.tail.len() - self.written,
            false => self.tail.len(),
        }
    }

    /// Drops the frames of the tail that are written.
    fn drop_frames(&mut self) {
        if self.written > 0 && self.chunks.is_empty() {
            // The beginning of a frame stays, so that it is known where the frame ends.
            let border = self.border_before();
            self.tail.drain(..border);
            self.written -= border;
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

/// Write buffers of a thread that connections borrow for the length of a turn, or of a broadcast.
mod spare {
    use std::cell::RefCell;

    /// The one that was given last is the first to be taken: it is the warmest, and roomy if bursts are usual.
    struct Spares {
        bufs: Vec<Vec<u8>>,
        /// What they take together.
        bytes: usize,
    }

    thread_local! {
        static SPARES: RefCell<Spares> = const {
            RefCell::new(Spares {
                bufs: Vec::new(),
                bytes: 0,
            })
        };
    }

    /// As many as the receivers of most broadcasts.
    const MAX: usize = 64;

    /// More is not kept: one burst should not cost memory for ever.
    const MAX_BYTES: usize = 256 * 1024;

    pub(super) fn take() -> Vec<u8> {
        SPARES.with_borrow_mut(|spares| {
            let buf = spares.bufs.pop().unwrap_or_default();
            spares.bytes -= buf.capacity();
            buf
        })
    }

    pub(super) fn give(mut buf: Vec<u8>) {
        let capacity = buf.capacity();
        if capacity == 0 {
            return;
        }
        SPARES.with_borrow_mut(|spares| {
            if spares.bufs.len() < MAX && spares.bytes + capacity <= MAX_BYTES {
                buf.clear();
                spares.bytes += capacity;
                spares.bufs.push(buf);
            }
        });
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn kept() -> usize {
            std::iter::repeat_with(take)
                .take_while(|buf| buf.capacity() > 0)
                .count()
        }

        #[test]
        fn as_many_are_kept_as_take_little() {
            for _ in 0..2 * MAX {
                give(vec![0; 100]);
            }
            assert_eq!(kept(), MAX);
            give(Vec::with_capacity(MAX_BYTES + 1));
            assert_eq!(kept(), 0, "that is too much for one");
            for _ in 0..3 {
                give(Vec::with_capacity(MAX_BYTES / 2));
            }
            assert_eq!(kept(), 2, "and that for three");
        }

        #[test]
        fn last_one_is_taken_first_and_is_empty() {
            give(vec![0; 100]);
            give(vec![0; 1000]);
            let buf = take();
            assert!(buf.is_empty() && buf.capacity() >= 1000);
        }
    }
}
