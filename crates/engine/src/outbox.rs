mod borders;
mod chunks;
mod stream;
mod urgent;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Waker;

use bytes::Bytes;
use sockeye_engine_proto::{Packet, Revision};
use sockeye_websocket::OpCode;

use crate::io::Socket;
use crate::mailbox::{Flushed, Queue};
use crate::message::{HEADROOM, Message};
use crate::seldom::Seldom;
use chunks::Chunk;
pub use stream::Framing;
use stream::Stream;
use urgent::Beat;

/// What waits to be written to one peer, in order.
///
/// While the session is on long-polling these are packets, because a payload is only put
/// together when a request comes for it. On a stream they are bytes that are ready to go: small
/// frames are copied together, large ones are kept as references to their shared buffer.
#[derive(Debug)]
pub(crate) struct Outbox {
    sink: Sink,
    revision: Revision,
    /// The peer cannot take binary frames.
    base64: bool,
    /// Nothing more is accepted; what waits is still written.
    sealed: bool,
    /// The last write would have blocked: the driver waits for the socket.
    blocked: bool,
    /// Bytes that wait in the sink.
    queued: usize,
    /// How many may wait.
    limit: usize,
    /// The tasks that wait for room.
    waiting: Seldom<Waker>,
    /// There is more room than there was: they are to be woken.
    has_room: bool,
    /// With so many bytes waiting, the peer counts as slow.
    high_water: usize,
    /// That many had to wait at some time since nothing did.
    above: bool,
    /// They have been written since, and nobody was told yet.
    drained: bool,
}

#[derive(Debug)]
enum Sink {
    Packets(VecDeque<Item>),
    Stream(Stream),
    /// The session is over: nothing is accepted any more.
    Closed,
}

/// One packet that waits for a poll.
#[derive(Debug)]
pub(crate) enum Item {
    Message(Message),
    Control(Packet<'static>),
}

impl Outbox {
    pub(crate) const fn new(revision: Revision, base64: bool) -> Self {
        Self {
            sink: Sink::Packets(VecDeque::new()),
            revision,
            base64,
            sealed: false,
            blocked: false,
            queued: 0,
            limit: usize::MAX,
            waiting: Seldom::new(),
            has_room: false,
            high_water: usize::MAX,
            above: false,
            drained: false,
        }
    }

    /// How many bytes may wait before nothing more is accepted.
    pub(crate) const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// How many bytes make the peer a slow one.
    pub(crate) const fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water = bytes;
        self
    }

    /// The socket that carries the session, if others than the driver can get at it.
    pub(crate) const fn socket(&self) -> Option<&Socket> {
        match &self.sink {
            Sink::Stream(stream) => stream.direct.as_ref(),
            Sink::Packets(_) | Sink::Closed => None,
        }
    }

    /// Whether a message may be queued that is not to wait for long: on a bare stream, where as
    /// little waits as Node's streams allow.
    pub(crate) const fn is_shallow(&self) -> bool {
        self.is_bare() && self.queued < self.high_water
    }

    /// Whether the session is on a bare stream.
    pub(crate) const fn is_bare(&self) -> bool {
        match &self.sink {
            Sink::Stream(stream) => matches!(stream.framing, Framing::Native | Framing::Lines),
            Sink::Packets(_) | Sink::Closed => false,
        }
    }

    /// Whether any of what was sent on the stream has left already.
    pub(crate) const fn has_spoken(&self) -> bool {
        match &self.sink {
            Sink::Stream(stream) => stream.spoken,
            Sink::Packets(_) | Sink::Closed => false,
        }
    }

    /// Whether everything is written after much had to wait; says so once.
    pub(crate) const fn take_drained(&mut self) -> bool {
        std::mem::replace(&mut self.drained, false)
    }

    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// How many bytes may wait.
    pub(crate) const fn limit_bytes(&self) -> usize {
        self.limit
    }

    /// Whether less waits than half of what may: room for those who have waited for it.
    pub(crate) const fn is_half_empty(&self) -> bool {
        self.queued < self.limit.div_ceil(2)
    }

    /// Whether nothing is accepted any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.sealed
    }

    /// Whether there is a stream rather than long-polling behind this.
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.sink, Sink::Stream(_))
    }

    /// Accepts nothing any more; what waits is still written.
    pub(crate) fn seal(&mut self) {
        self.sealed = true;
        self.has_room = true;
    }

    /// Accepts nothing any more and forgets what waited.
    pub(crate) fn close(&mut self) {
        self.sink = Sink::Closed;
        self.queued = 0;
        self.seal();
    }

    /// Forgets what waits, but for a frame of which a part is written already.
    pub(crate) fn clear(&mut self) {
        match &mut self.sink {
            Sink::Packets(packets) => packets.clear(),
            Sink::Stream(stream) => {
                // Half a frame would be worse than none.
                self.queued = stream.keep_begun();
                return;
            }
            Sink::Closed => {}
        }
        self.queued = 0;
    }

    /// Appends a message.
    pub(crate) fn push(&mut self, message: &Message) {
        match &mut self.sink {
            Sink::Packets(packets) => {
                let item = Item::Message(message.clone());
                self.queued += item.cost();
                packets.push_back(item);
            }
            Sink::Stream(stream) => {
                self.queued += stream.push(message, self.revision, self.base64);
            }
            Sink::Closed => {}
        }
    }

    /// Appends a text that stands in a buffer of the caller's from `start` on.
    pub(crate) fn push_scratch(&mut self, buf: &mut Vec<u8>, start: usize) {
        match &mut self.sink {
            Sink::Stream(stream) => self.queued += stream.push_scratch(buf, start),
            Sink::Packets(_) => {
                // A copy of the right size: the caller's buffer is roomy.
                let exact = buf[start - HEADROOM..].to_vec();
                self.push(&Message::text_in(exact, HEADROOM));
            }
            Sink::Closed => {}
        }
    }

    /// Appends a frame that was made elsewhere. Only for a stream whose framing it has.
    pub(crate) fn push_frame_bytes(&mut self, frame: &Bytes) {
        if let Sink::Stream(stream) = &mut self.sink {
            self.queued += stream.copy_or_share(frame, Chunk::Frame);
        }
    }

    /// Appends a packet of the session itself. A heartbeat goes ahead of what waits, and if the same one
    /// waits already because the peer takes nothing, it is not said twice.
    pub(crate) fn push_control(&mut self, packet: Packet<'static>) {
        let is_beat = matches!(packet, Packet::Ping(_) | Packet::Pong(_));
        match &mut self.sink {
            Sink::Packets(packets) => {
                if is_beat && packets.front().is_some_and(|front| front.is(&packet)) {
                    return;
                }
                let item = Item::Control(packet);
                self.queued += item.cost();
                match is_beat {
                    true => packets.push_front(item),
                    false => packets.push_back(item),
                }
            }
            Sink::Stream(stream) => {
                let revision = self.revision;
                let append = |stream: &mut Stream| stream.push_control(&packet, revision);
                let (added, dropped) = match is_beat {
                    true => stream.push_urgent(Beat::EngineIo, append),
                    false => (append(stream), 0),
                };
                self.queued = self.queued + added - dropped;
            }
            Sink::Closed => {}
        }
    }

    /// Answers a ping of WebSocket, ahead of what waits.
    pub(crate) fn push_pong(&mut self, payload: &[u8]) {
        if let Sink::Stream(stream) = &mut self.sink {
            let append = |stream: &mut Stream| stream.push_frame(OpCode::Pong, payload);
            let (added, dropped) = stream.push_urgent(Beat::WebSocket, append);
            self.queued = self.queued + added - dropped;
        }
    }

    /// Appends a WebSocket control frame: a close.
    pub(crate) fn push_frame(&mut self, op: OpCode, payload: &[u8]) {
        if let Sink::Stream(stream) = &mut self.sink {
            self.queued += stream.push_frame(op, payload);
        }
    }

    /// Whether the peer has made room for something since it was asked last: the socket was full, and
    /// has taken bytes.
    pub(crate) fn take_moved(&mut self) -> bool {
        match &mut self.sink {
            Sink::Stream(stream) => stream.take_moved(self.queued == 0),
            Sink::Packets(_) | Sink::Closed => false,
        }
    }

    /// From now on a stream carries the session; what waited for a poll goes there, behind the
    /// bytes that the stream itself still has to write.
    pub(crate) fn become_stream(
        &mut self,
        direct: Option<Socket>,
        framing: Framing,
        unwritten: Vec<u8>,
    ) {
        let written_first = unwritten.len();
        let mut stream = Stream {
            direct,
            framing,
            ..Stream::default()
        };
        if !unwritten.is_empty() {
            // Its first frame may be written in part.
            stream.chunks.push_back(Chunk::Rest(unwritten.into()));
        }
        let stream = Sink::Stream(stream);
        let Sink::Packets(packets) = std::mem::replace(&mut self.sink, stream) else {
            return;
        };
        self.queued = written_first;
        self.blocked = false;
        for item in packets {
            match item {
                Item::Message(message) => self.push(&message),
                Item::Control(packet) => self.push_control(packet),
            }
        }
    }

    /// The packets that wait for a poll. The caller takes what fits its payload from the front.
    pub(crate) fn packets(&mut self) -> Option<&mut VecDeque<Item>> {
        match &mut self.sink {
            Sink::Packets(packets) => Some(packets),
            _ => None,
        }
    }

    /// Takes note that packets were taken out.
    pub(crate) fn recount(&mut self) {
        if let Sink::Packets(packets) = &mut self.sink {
            self.above |= self.queued >= self.high_water;
            self.queued = packets.iter().map(Item::cost).sum();
            self.drained |= self.queued == 0 && std::mem::take(&mut self.above);
            if packets.is_empty() {
                *packets = VecDeque::new();
            }
            self.has_room = true;
        }
    }

    /// Writes with the given function until nothing is left or it would block.
    pub(crate) fn flush_with(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Flushed {
        let flushed = self.write_with(write);
        self.blocked = flushed == Flushed::Blocked;
        flushed
    }

    fn write_with(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Flushed {
        let Sink::Stream(stream) = &mut self.sink else {
            return Flushed::NotHere;
        };
        while self.queued > 0 {
            match stream.with_slices(&mut write) {
                Ok(0) => return Flushed::Failed,
                Ok(written) => {
                    stream.advance(written);
                    stream.spoken = true;
                    self.queued -= written;
                    self.has_room = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.fill();
                    self.above |= self.queued >= self.high_water;
                    return Flushed::Blocked;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Flushed::Failed,
            }
        }
        stream.recycle();
        self.drained |= std::mem::take(&mut self.above);
        Flushed::All
    }

    /// Wakes this task when there is room again, or when there never will be.
    pub(crate) fn push_waker(&mut self, waker: &Waker) {
        if self.waiting.is_empty() {
            // Room that there was before is gone again.
            self.has_room = false;
        }
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Whether there are tasks to wake.
    pub(crate) const fn owes_wakes(&self) -> bool {
        self.has_room && !self.waiting.is_empty()
    }

    /// The tasks to wake, once the outbox is unlocked.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        match std::mem::take(&mut self.has_room) {
            true => self.waiting.take(),
            false => Vec::new(),
        }
    }
}

impl Queue for Outbox {
    fn flush(&mut self) -> Flushed {
        if self.queued == 0 {
            self.blocked = false;
            return Flushed::All;
        }
        let Some(socket) = self.socket().cloned() else {
            return Flushed::NotHere;
        };
        self.flush_with(|slices| socket.try_write(slices))
    }

    fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn is_full(&self) -> bool {
        self.queued >= self.limit
    }
}

impl Item {
    /// Whether it is this packet of the session itself.
    fn is(&self, packet: &Packet<'static>) -> bool {
        matches!(self, Self::Control(control) if control == packet)
    }

    /// What it counts: also empty packets take memory.
    fn cost(&self) -> usize {
        let content = match self {
            Self::Message(message) => message.len(),
            Self::Control(_) => 0,
        };
        size_of::<Self>() + content
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sockeye_websocket::{Decoded, Decoder, Event, Limits, Role, encode_frame};

    use super::*;

    /// What is done to an outbox.
    #[derive(Clone, Debug)]
    enum Step {
        Text(usize),
        Scratch(usize),
        Binary(usize),
        Control,
        Ping(usize),
        /// The socket takes this many bytes, and would block then.
        Flush(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        // Around the border between copied and shared frames, and far beyond.
        let size = || prop_oneof![0_usize..20, 1000_usize..1050, 60_000_usize..70_000];
        prop_oneof![
            size().prop_map(Step::Text),
            size().prop_map(Step::Scratch),
            size().prop_map(Step::Binary),
            Just(Step::Control),
            (0_usize..126).prop_map(Step::Ping),
            prop_oneof![0_usize..10, 100_usize..100_000].prop_map(Step::Flush),
        ]
    }

    fn text(size: usize, count: usize) -> String {
        let mut text = format!("{count} ");
        text.extend("né€".chars().cycle().take(size));
        text
    }

    /// Puts the text, its packet type in front, into a frame.
    fn expect_text(wire: &mut Vec<u8>, text: &str) {
        encode_frame(wire, OpCode::Text, format!("4{text}").as_bytes(), None);
    }

    fn expect_binary(wire: &mut Vec<u8>, revision: Revision, base64: bool, data: &[u8]) {
        let packet = Packet::binary(data);
        let mut bytes = Vec::new();
        match base64 {
            true => {
                packet.encode_text(revision, &mut bytes);
                encode_frame(wire, OpCode::Text, &bytes, None);
            }
            false => {
                packet.encode(revision, &mut bytes);
                encode_frame(wire, OpCode::Binary, &bytes, None);
            }
        }
    }

    /// A write that takes so many bytes in all, at most some at a time, and would block then.
    fn socket(
        out: &mut Vec<u8>,
        mut room: usize,
        at_once: usize,
    ) -> impl FnMut(&[IoSlice<'_>]) -> io::Result<usize> {
        move |slices| {
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let mut left = room.min(at_once);
            let before = left;
            for slice in slices {
                let taken = left.min(slice.len());
                out.extend_from_slice(&slice[..taken]);
                left -= taken;
            }
            room -= before - left;
            Ok(before - left)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn everything_is_written_once_and_in_order(
            steps in prop::collection::vec(step(), 1..120),
            upgrade in 0_usize..20,
            base64: bool,
            v3: bool,
            at_once in prop_oneof![1000_usize..2000, Just(usize::MAX)],
        ) {
            let revision = if v3 { Revision::V3 } else { Revision::V4 };
            let mut outbox = Outbox::new(revision, base64);
            let (mut expected, mut written) = (Vec::new(), Vec::new());
            let (mut beats, mut pongs) = (0, Vec::new());
            for (count, step) in steps.iter().enumerate() {
                if count == upgrade {
                    outbox.become_stream(None, Framing::WebSocket, b"unwritten".to_vec());
                }
                match *step {
                    Step::Text(size) => {
                        let text = text(size, count);
                        outbox.push(&Message::text(&text));
                        expect_text(&mut expected, &text);
                    }
                    Step::Scratch(size) => {
                        let text = text(size, count);
                        let mut buf = vec![0; HEADROOM];
                        buf.extend_from_slice(text.as_bytes());
                        outbox.push_scratch(&mut buf, HEADROOM);
                        expect_text(&mut expected, &text);
                    }
                    Step::Binary(size) => {
                        let data = text(size, count).into_bytes();
                        outbox.push(&Message::binary(data.clone()));
                        expect_binary(&mut expected, revision, base64, &data);
                    }
                    Step::Control => {
                        outbox.push_control(Packet::PONG);
                        beats += 1;
                    }
                    Step::Ping(size) if outbox.is_stream() => {
                        let payload = format!("{count:0size$}").into_bytes();
                        outbox.push_pong(&payload);
                        pongs.push(payload);
                    }
                    Step::Ping(_) => {}
                    Step::Flush(room) => {
                        let before = written.len();
                        let flushed = outbox.flush_with(socket(&mut written, room, at_once));
                        match flushed {
                            Flushed::NotHere => prop_assert!(!outbox.is_stream()),
                            Flushed::All => prop_assert!(outbox.is_empty()),
                            Flushed::Blocked => prop_assert_eq!(written.len(), before + room),
                            Flushed::Failed => prop_assert!(false, "nothing has failed"),
                        }
                    }
                }
            }
            if !outbox.is_stream() {
                outbox.become_stream(None, Framing::WebSocket, b"unwritten".to_vec());
            }
            let left = outbox.queued();
            let before = written.len();
            let flushed = outbox.flush_with(socket(&mut written, usize::MAX, at_once));
            prop_assert_eq!(flushed, Flushed::All);
            prop_assert!(outbox.is_empty());
            prop_assert_eq!(written.len() - before, left);

            // Heartbeats may be anywhere between the frames; everything else is where it was put.
            let mut rest = written.strip_prefix(b"unwritten").unwrap();
            let (mut seen, mut seen_beats, mut seen_pongs) = (Vec::new(), 0, Vec::new());
            while !rest.is_empty() {
                let (frame, behind) = rest.split_at(sockeye_websocket::frame_len(rest).unwrap());
                rest = behind;
                match frame[0] & 0x0f {
                    0xa => seen_pongs.push(frame[2..].to_vec()),
                    _ if frame == b"\x81\x013" => seen_beats += 1,
                    _ => seen.extend_from_slice(frame),
                }
            }
            prop_assert!(seen == expected, "{} of {} bytes", seen.len(), expected.len());
            prop_assert!(seen_beats <= beats && (seen_beats > 0) == (beats > 0));
            prop_assert_eq!(seen_pongs.last(), pongs.last());
            let mut asked = pongs.iter();
            prop_assert!(seen_pongs.iter().all(|seen| asked.any(|pong| pong == seen)));
        }
    }

    /// What waits in an outbox of WebSocket frames of which a peer has taken so many bytes and no
    /// more.
    fn stuck(messages: &[Message], taken: usize) -> (Outbox, Vec<u8>) {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        for message in messages {
            outbox.push(message);
        }
        let mut written = Vec::new();
        let flushed = outbox.flush_with(socket(&mut written, taken, usize::MAX));
        assert_eq!(flushed, Flushed::Blocked);
        (outbox, written)
    }

    #[test]
    fn heartbeat_goes_ahead_of_all_frames_but_the_one_that_is_begun() {
        let small = Message::text(&"s".repeat(100));
        let large = Message::text(&"l".repeat(5000));
        let binary = Message::binary(vec![7; 5000]);
        for (first, second) in [(&small, &large), (&large, &binary), (&binary, &small)] {
            let messages = [first.clone(), second.clone(), second.clone()];
            let mut plain = Vec::new();
            let (mut outbox, _) = stuck(&messages, 0);
            outbox.flush_with(socket(&mut plain, usize::MAX, usize::MAX));
            let first = sockeye_websocket::frame_len(&plain).unwrap();
            for taken in [0, 1, 3, 50, first - 1, first, first + 1] {
                let (mut outbox, mut written) = stuck(&messages, taken);
                outbox.push_control(Packet::PING);
                outbox.push_pong(b"now");
                outbox.flush_with(socket(&mut written, usize::MAX, 1000));
                let border = match taken {
                    0 => 0,
                    taken if taken <= first => first,
                    _ => first + sockeye_websocket::frame_len(&plain[first..]).unwrap(),
                };
                let beats: &[u8] = b"\x81\x012\x8a\x03now";
                let expected = [&plain[..border], beats, &plain[border..]].concat();
                assert!(written == expected, "{taken} bytes were taken");
            }
        }
    }

    #[test]
    fn heartbeat_goes_ahead_of_small_frames_that_were_copied_together() {
        let messages: Vec<_> = (100..300).map(|n| Message::text(&n.to_string())).collect();
        // Each frame has six bytes.
        for taken in [0, 5, 6, 7, 600, 1199] {
            let (mut outbox, mut written) = stuck(&messages, taken);
            outbox.push_control(Packet::PING);
            outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
            let at = taken.next_multiple_of(6);
            assert_eq!(
                written[at..at + 3],
                *b"\x81\x012",
                "{taken} bytes were taken"
            );
            assert_eq!(written.len(), 1203);
        }
    }

    #[test]
    fn of_pings_that_pile_up_the_newest_is_answered() {
        let (mut outbox, mut written) = stuck(&[Message::text("waits")], 2);
        for n in 0..100_000 {
            outbox.push_pong(format!("{n}").as_bytes());
            outbox.push_control(Packet::PONG);
            if n % 1000 == 0 {
                outbox.flush_with(socket(&mut written, 0, usize::MAX));
            }
            assert!(outbox.queued() < 40, "{} bytes wait", outbox.queued());
        }
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        assert_eq!(written, b"\x81\x064waits\x81\x013\x8a\x0599999");
    }

    #[test]
    fn pings_that_come_together_are_answered_one_by_one() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        for n in 0..10 {
            outbox.push_pong(&[n]);
        }
        let mut written = Vec::new();
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        let expected: Vec<_> = (0..10).flat_map(|n| [0x8a, 1, n]).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn heartbeat_of_long_polling_waits_once_and_in_front() {
        let mut outbox = Outbox::new(Revision::V3, false);
        outbox.push(&Message::text("x"));
        for _ in 0..1000 {
            outbox.push_control(Packet::PONG);
        }
        let packets = outbox.packets().unwrap();
        assert_eq!(packets.len(), 2);
        assert!(packets[0].is(&Packet::PONG));
    }

    #[test]
    fn only_a_socket_that_was_full_tells_of_its_peer() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        let mut written = Vec::new();
        outbox.push(&Message::text("taken by the buffer of the system"));
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        assert!(!outbox.take_moved());
        outbox.push(&Message::text("taken in part"));
        outbox.flush_with(socket(&mut written, 3, usize::MAX));
        assert!(!outbox.take_moved());
        for room in [0, 1, 0, 2] {
            outbox.flush_with(socket(&mut written, room, usize::MAX));
            assert_eq!(outbox.take_moved(), room > 0);
            assert!(!outbox.take_moved(), "it is told once");
        }
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        assert!(outbox.take_moved());
        outbox.push(&Message::text("taken by the buffer again"));
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        assert!(!outbox.take_moved());
    }

    #[test]
    fn clearing_forgets_what_is_not_begun() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        outbox.push(&Message::text("never sent"));
        outbox.clear();
        assert!(outbox.is_empty());
        outbox.push(&Message::text("sent"));
        let mut written = Vec::new();
        outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
        assert_eq!(written, b"\x81\x054sent");
    }

    #[test]
    fn clearing_keeps_a_frame_that_is_written_in_part() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        for text in ["small".to_owned(), "large ".repeat(500)] {
            outbox.push(&Message::text(&text));
            let mut written = Vec::new();
            outbox.flush_with(socket(&mut written, 3, usize::MAX));
            // What is behind it is forgotten.
            outbox.push(&Message::text(&"never sent".repeat(500)));
            outbox.push(&Message::text("never sent"));
            outbox.push_control(Packet::PING);
            outbox.clear();
            outbox.push_frame(OpCode::Close, &[]);
            outbox.flush_with(socket(&mut written, usize::MAX, usize::MAX));
            let mut expected = Vec::new();
            expect_text(&mut expected, &text);
            expected.extend_from_slice(b"\x88\0");
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn failed_write_is_told() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.become_stream(None, Framing::WebSocket, Vec::new());
        outbox.push(&Message::text("x"));
        let broken = outbox.flush_with(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(broken, Flushed::Failed);
        assert_eq!(outbox.flush_with(|_| Ok(0)), Flushed::Failed);
        let mut interrupted = false;
        let flushed = outbox.flush_with(|slices| {
            if !std::mem::replace(&mut interrupted, true) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(slices.iter().map(|slice| slice.len()).sum())
        });
        assert_eq!(flushed, Flushed::All);
    }

    #[test]
    fn closed_outbox_takes_nothing() {
        let mut outbox = Outbox::new(Revision::V4, false);
        outbox.push(&Message::text("x"));
        outbox.close();
        outbox.push(&Message::text("y"));
        outbox.push_control(Packet::Noop);
        assert!(outbox.is_closed() && outbox.is_empty());
        assert!(outbox.packets().is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn masked_frames_say_what_unmasked_ones_do(
            steps in prop::collection::vec(step(), 1..60),
            upgrade in 0_usize..20,
            base64: bool,
            v3: bool,
        ) {
            let revision = if v3 { Revision::V3 } else { Revision::V4 };
            let [mut plain, mut masked] = [(), ()].map(|()| Outbox::new(revision, base64));
            for (count, step) in steps.iter().enumerate() {
                if count == upgrade {
                    plain.become_stream(None, Framing::WebSocket, Vec::new());
                    masked.become_stream(None, Framing::MaskedWebSocket, Vec::new());
                }
                for outbox in [&mut plain, &mut masked] {
                    match *step {
                        Step::Text(size) => outbox.push(&Message::text(&text(size, count))),
                        Step::Scratch(size) => {
                            let mut buf = vec![0; HEADROOM];
                            buf.extend_from_slice(text(size, count).as_bytes());
                            outbox.push_scratch(&mut buf, HEADROOM);
                        }
                        Step::Binary(size) => outbox.push(&Message::binary(vec![7; size])),
                        Step::Control => outbox.push_control(Packet::PONG),
                        // So few that all of them are answered, whatever the mask adds.
                        Step::Ping(size) => outbox.push_pong(&vec![7; size % 32]),
                        Step::Flush(_) => {}
                    }
                }
            }
            if !plain.is_stream() {
                plain.become_stream(None, Framing::WebSocket, Vec::new());
                masked.become_stream(None, Framing::MaskedWebSocket, Vec::new());
            }
            let [plain, masked] = [(plain, Role::Client), (masked, Role::Server)].map(
                |(mut outbox, reader)| {
                    let queued = outbox.queued();
                    let mut bytes = Vec::new();
                    outbox.flush_with(socket(&mut bytes, usize::MAX, usize::MAX));
                    assert_eq!(bytes.len(), queued);
                    decode(&mut bytes, reader)
                },
            );
            prop_assert!(plain == masked);
        }
    }

    /// The frames that a decoder of this role finds in the bytes. It wants masked ones if it is
    /// a server's, and unmasked ones if it is a client's.
    fn decode(mut bytes: &mut [u8], role: Role) -> Vec<(char, Vec<u8>)> {
        let mut decoder = Decoder::new(role, Limits::default());
        let mut seen = Vec::new();
        while !bytes.is_empty() {
            let used = match decoder.decode(bytes).unwrap() {
                Decoded::Event { event, used } => {
                    seen.push(match event {
                        Event::Text(text) => ('t', text.as_bytes().to_vec()),
                        Event::Binary(data) => ('b', data.to_vec()),
                        Event::Pong(data) => ('p', data.to_vec()),
                        other => panic!("{other:?}"),
                    });
                    used
                }
                Decoded::Skip { used } => used,
                Decoded::NeedMore { .. } => panic!("half a frame"),
            };
            bytes = &mut bytes[used..];
        }
        seen
    }
}
