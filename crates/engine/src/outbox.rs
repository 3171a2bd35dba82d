mod borders;
mod chunks;
mod stream;
#[cfg(test)]
mod tests;
mod urgent;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::Waker;

use bytes::Bytes;
use sockeye_engine_proto::{Packet, Revision, TransportKind};
use sockeye_meter::{self as meter, Tally};
use sockeye_websocket::OpCode;

use crate::deflate::{Agreed, Compression, Packing};
use crate::io::Socket;
use crate::mailbox::{Flushed, Queue};
use crate::message::{HEADROOM, Message, View};
use crate::seldom::Seldom;
use chunks::Chunk;
pub(crate) use stream::Framing;
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
    /// What carries the session.
    transport: TransportKind,
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
    /// What is counted of what waits.
    share: Tally<{ meter::OUTBOX }>,
}

#[derive(Debug)]
enum Sink {
    Packets {
        waiting: VecDeque<Item>,
        /// A packet would be taken at once.
        awaited: bool,
    },
    Stream(Stream),
    /// The session is over: nothing is accepted any more.
    Closed,
}

/// How a carrier takes what goes out: [packet by packet](Self::packets), unless it is a [`Wire`](crate::Wire).
#[derive(Debug)]
pub struct Outlet(Taking);

/// What an outbox keeps for a carrier.
#[derive(Debug)]
enum Taking {
    Packets {
        awaited: bool,
    },
    Stream {
        direct: Option<Socket>,
        framing: Framing,
        unwritten: Vec<u8>,
        agreed: Agreed,
    },
}

impl Outlet {
    /// Packet by packet. `awaited` tells whether one would be taken at once: as long as not, volatile messages are
    /// dropped.
    #[must_use]
    pub const fn packets(awaited: bool) -> Self {
        Self(Taking::Packets { awaited })
    }

    /// As bytes in this framing; `direct` is the socket, if it can be written to from any thread.
    pub(crate) const fn stream(direct: Option<Socket>, framing: Framing) -> Self {
        Self(Taking::Stream {
            direct,
            framing,
            unwritten: Vec::new(),
            agreed: Agreed::Nothing,
        })
    }

    /// The same for a stream that has these bytes to write in front of everything else.
    #[must_use]
    pub(crate) fn behind(mut self, bytes: Vec<u8>) -> Self {
        if let Taking::Stream { unwritten, .. } = &mut self.0 {
            *unwritten = bytes;
        }
        self
    }

    /// The same for a stream both of whose ends have agreed on so much.
    #[must_use]
    pub const fn agree(mut self, on: Agreed) -> Self {
        if let Taking::Stream { agreed, .. } = &mut self.0 {
            *agreed = on;
        }
        self
    }

    /// What both ends have agreed on.
    pub(crate) const fn agreed(&self) -> Agreed {
        match &self.0 {
            Taking::Stream { agreed, .. } => *agreed,
            Taking::Packets { .. } => Agreed::Nothing,
        }
    }
}

/// A packet that waits to go out.
#[derive(Clone, Copy, Debug)]
pub enum Outward<'a> {
    /// One of the session's own.
    Packet(&'a Packet<'static>),
    /// A text message.
    Text {
        /// The packet that holds it.
        packet: &'a str,
        /// It may be compressed.
        compress: bool,
    },
    /// A binary message.
    Binary {
        /// Its content.
        data: &'a [u8],
        /// It may be compressed.
        compress: bool,
    },
}

/// One packet that waits to be taken.
#[derive(Debug)]
enum Item {
    Message {
        message: Message,
        /// It may be compressed.
        compress: bool,
    },
    Control(Packet<'static>),
}

impl Outbox {
    pub(crate) const fn new(revision: Revision, base64: bool) -> Self {
        Self {
            sink: Sink::Packets {
                waiting: VecDeque::new(),
                awaited: false,
            },
            transport: TransportKind::Polling,
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
            share: Tally::uncounted(),
        }
    }

    /// What waits and what is written is counted from now on.
    pub(crate) fn measure(&mut self) {
        self.share = Tally::new();
    }

    /// What waits now does so for a while.
    #[inline]
    pub(crate) fn tell_waiting(&mut self) {
        self.share.set(self.queued);
    }

    /// How many bytes may wait before nothing more is accepted.
    pub(crate) const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What carries the session from the beginning on.
    pub(crate) const fn on(mut self, transport: TransportKind) -> Self {
        self.transport = transport;
        self
    }

    /// How many bytes make the peer a slow one.
    pub(crate) const fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water = bytes;
        self
    }

    /// What carries the session.
    pub(crate) const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// The socket that carries the session, if others than the driver can get at it.
    pub(crate) const fn socket(&self) -> Option<&Socket> {
        match &self.sink {
            Sink::Stream(stream) => stream.direct.as_ref(),
            Sink::Packets { .. } | Sink::Closed => None,
        }
    }

    /// Whether a message may be queued that is not to wait for long: on a bare stream, where as
    /// little waits as Node's streams allow.
    pub(crate) const fn is_shallow(&self) -> bool {
        self.transport.is_bare_stream() && self.is_awaited() && self.queued < self.high_water
    }

    /// Whether any of what was sent on the stream has left already.
    pub(crate) const fn has_spoken(&self) -> bool {
        match &self.sink {
            Sink::Stream(stream) => stream.spoken,
            Sink::Packets { .. } | Sink::Closed => false,
        }
    }

    /// Whether [`take_drained`](Self::take_drained) has something to say.
    pub(crate) const fn has_drained(&self) -> bool {
        self.drained
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

    /// Whether there is room beyond the limit for the little that has to be said all the same.
    pub(crate) const fn has_spare_room(&self) -> bool {
        let spare = if self.limit > SPARE {
            self.limit
        } else {
            SPARE
        };
        self.queued < self.limit.saturating_add(spare)
    }

    /// Whether less waits than half of what may: room for those who have waited for it.
    pub(crate) const fn is_half_empty(&self) -> bool {
        self.queued < self.limit.div_ceil(2)
    }

    /// Whether nothing is accepted any more.
    pub(crate) const fn is_closed(&self) -> bool {
        self.sealed
    }

    /// Whether whatever carries the session takes something at once.
    pub(crate) const fn is_awaited(&self) -> bool {
        match self.sink {
            Sink::Packets { awaited, .. } => awaited,
            Sink::Stream(_) => true,
            Sink::Closed => false,
        }
    }

    /// A packet would be taken at once, or would not.
    pub(crate) const fn await_packets(&mut self, is_awaited: bool) {
        if let Sink::Packets { awaited, .. } = &mut self.sink {
            *awaited = is_awaited;
        }
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
            Sink::Packets { waiting, .. } => waiting.clear(),
            Sink::Stream(stream) => {
                // Half a frame would be worse than none.
                self.queued = stream.keep_begun();
                return;
            }
            Sink::Closed => {}
        }
        self.queued = 0;
    }

    /// A message of so many bytes is about to be appended.
    #[inline]
    pub(crate) fn count(&self, bytes: impl FnOnce() -> usize) {
        if self.share.is_counted() {
            meter::packet_sent(bytes);
        }
    }

    /// Appends a message, compressed like this if it may be at all.
    pub(crate) fn push(&mut self, message: &Message, packing: impl Into<Packing>) {
        let packing = packing.into();
        match &mut self.sink {
            Sink::Packets { waiting, .. } => {
                let item = Item::Message {
                    message: message.clone(),
                    compress: packing.is_allowed(),
                };
                self.queued += item.cost();
                waiting.push_back(item);
            }
            Sink::Stream(stream) => {
                self.queued += match packing.wanted(|| message.packet_len()) {
                    Some(compression) => {
                        stream.push_packed(message, compression, self.revision, self.base64)
                    }
                    None => stream.push(message, self.revision, self.base64),
                };
            }
            Sink::Closed => {}
        }
    }

    /// Appends a text that stands in a buffer of the caller's from `start` on. It may be compressed like this, unless it
    /// would have been [made](Compression::frame) before.
    pub(crate) fn push_scratch(
        &mut self,
        buf: &mut Vec<u8>,
        start: usize,
        packing: impl Into<Packing>,
    ) {
        let packing = packing.into();
        match &mut self.sink {
            Sink::Stream(stream) => self.queued += stream.push_scratch(buf, start, packing),
            Sink::Packets { .. } => {
                // A copy of the right size: the caller's buffer is roomy.
                let exact = buf[start - HEADROOM..].to_vec();
                self.push(&Message::text_in(exact, HEADROOM), packing);
            }
            Sink::Closed => {}
        }
    }

    /// Appends a compressed frame. Only for a stream whose peer takes it.
    pub(crate) fn push_compressed(&mut self, frame: &Bytes) {
        if let Sink::Stream(stream) = &mut self.sink {
            self.queued += stream.push_compressed(frame);
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
            Sink::Packets { waiting, .. } => {
                if is_beat && waiting.front().is_some_and(|front| front.is(&packet)) {
                    return;
                }
                let item = Item::Control(packet);
                self.queued += item.cost();
                match is_beat {
                    true => waiting.push_front(item),
                    false => waiting.push_back(item),
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
            Sink::Packets { .. } | Sink::Closed => false,
        }
    }

    /// From now on this carries the session; what waited goes there, behind the bytes that a stream itself still has to
    /// write.
    pub(crate) fn move_to(&mut self, transport: TransportKind, outlet: Outlet) {
        let Sink::Packets { waiting, .. } = &mut self.sink else {
            return;
        };
        self.transport = transport;
        let waiting = std::mem::take(waiting);
        match outlet.0 {
            Taking::Packets { awaited } => self.sink = Sink::Packets { waiting, awaited },
            Taking::Stream {
                direct,
                framing,
                unwritten,
                agreed,
            } => {
                let compression = Compression::new(agreed);
                let deflater = compression.own_deflater();
                self.queued = unwritten.len();
                self.blocked = false;
                self.sink = Sink::Stream(Stream::new(direct, framing, unwritten, deflater));
                for item in waiting {
                    match item {
                        Item::Message { message, compress } => {
                            self.push(&message, compression.allowed(compress));
                        }
                        Item::Control(packet) => self.push_control(packet),
                    }
                }
            }
        }
    }

    /// Hands on the packets that wait, from the front, for as long as they are taken.
    pub(crate) fn take_packets(&mut self, mut take: impl FnMut(Outward<'_>) -> bool) {
        let Sink::Packets { waiting, .. } = &mut self.sink else {
            return;
        };
        while let Some(item) = waiting.front() {
            let taken = match item {
                Item::Control(packet) => take(Outward::Packet(packet)),
                Item::Message { message, compress } => {
                    let compress = *compress;
                    match message.view() {
                        View::Text(text) => take(Outward::Text {
                            packet: text.packet_text(),
                            compress,
                        }),
                        View::Binary(data) => take(Outward::Binary { data, compress }),
                    }
                }
            };
            if !taken {
                break;
            }
            waiting.pop_front();
        }
        self.above |= self.queued >= self.high_water;
        self.queued = waiting.iter().map(Item::cost).sum();
        self.drained |= self.queued == 0 && std::mem::take(&mut self.above);
        if waiting.is_empty() {
            *waiting = VecDeque::new();
        }
        self.has_room = true;
    }

    /// Writes with the given function until nothing is left or it would block.
    pub(crate) fn flush_with(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Flushed {
        let before = self.queued;
        let flushed = self.write_with(write);
        if self.share.is_counted() {
            meter::sent(before - self.queued);
        }
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
            Self::Message { message, .. } => message.len(),
            Self::Control(_) => 0,
        };
        size_of::<Self>() + content
    }
}

/// What may wait beyond the limit at least. A small limit is for messages; a connection that joins some namespaces at once
/// while its peer reads nothing has to be told so all the same.
const SPARE: usize = 64 * 1024;
