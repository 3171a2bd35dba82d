//! A session on a stream, in whichever framing.

mod opening;
mod probe;
mod reading;

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use sockeye_engine_proto::{TextEncoding, TransportEnd, TransportKind};
use sockeye_websocket::{Event, OpCode, Role};

use super::{Carrier, Probe, Upper};
use crate::connection::Incoming;
use crate::deflate::Agreed;
use crate::formats::{Lines, Native};
use crate::frames::{Extent, FrameReader};
use crate::io::Io;
use crate::limits::SessionLimits;
use crate::mailbox::{Flushed, Queue};
use crate::outbox::{Framing, Outbox, Outlet};
use crate::unheard::{Mistaken, Unheard};
use crate::websocket::{Upgraded, WebSocketFormat};
pub use opening::{Early, NothingEarly};
use probe::WireProbe;
use reading::{flow, handle_event, handle_frame, note_close, refuse_line};

/// A stream that carries a session.
pub struct Wire {
    io: Io,
    frames: Frames,
    /// How the peer ended it, or what it did wrong.
    fate: Fate,
    own_half: OwnHalf,
    /// When the peer closes its half, this side goes on until it has had enough too.
    outlives_peer: bool,
    /// Of text in WebSocket frames.
    text: TextEncoding,
}

/// How the stream is cut into packets.
enum Frames {
    WebSocket(FrameReader<WebSocketFormat>),
    Native(FrameReader<Native>),
    Lines(FrameReader<Lines>),
}

/// Whether, and how, a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is in use. It is closed without a status code.
    Open,
    /// The peer sent a close frame, with this code.
    PeerClosed(Option<u16>),
    /// The peer broke the protocol; this code says how.
    Violated(u16),
    /// The peer of a bare stream will send nothing more, but may want to read still.
    Ended,
    /// The peer was taken for a plain one, and is none.
    Mistaken(Mistaken),
    /// There is nobody left to talk to.
    Gone,
}

/// How far this side's half of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnHalf {
    Open,
    /// It is to be closed when what waits is written.
    Ending,
    Closed,
}

impl Fate {
    /// Whether nothing more is to be done for the session on this stream.
    const fn is_over(self) -> bool {
        matches!(self, Self::Gone | Self::Mistaken(Mistaken::Readmitted))
    }
}

impl Wire {
    /// A WebSocket, at which this end has this role.
    pub fn websocket(stream: Upgraded, max_payload: usize, role: Role) -> Self {
        let Upgraded { io, read, deflate } = stream;
        let limits = sockeye_websocket::Limits::default()
            .max_frame(max_payload)
            .max_message(max_payload);
        let format = WebSocketFormat::new(role, limits, deflate);
        Self::new(io, Frames::WebSocket(FrameReader::new(format, &read)))
    }

    /// A stream of length-prefixed packets, of which `read` has come already.
    pub fn native(io: Io, read: &[u8], limits: &SessionLimits) -> Self {
        let format = Native::new(limits.payload.max_payload);
        Self::new(io, Frames::Native(FrameReader::new(format, read)))
    }

    /// A stream of lines, of which `read` has come already.
    pub fn lines(io: Io, read: &[u8], limits: &SessionLimits) -> Self {
        let format = Lines::new(limits.max_line_bytes);
        Self::new(io, Frames::Lines(FrameReader::new(format, read)))
    }

    const fn new(io: Io, frames: Frames) -> Self {
        Self {
            io,
            frames,
            fate: Fate::Open,
            own_half: OwnHalf::Open,
            outlives_peer: false,
            text: TextEncoding::Once,
        }
    }

    /// A transport of this kind, to which a session may move that another one carries. Both ends of it have agreed on so
    /// much.
    #[must_use]
    pub fn probe(self, kind: TransportKind, agreed: Agreed) -> Box<dyn Probe> {
        Box::new(WireProbe::new(self, kind, agreed))
    }

    /// How its packets become bytes.
    const fn framing(&self) -> Framing {
        match &self.frames {
            Frames::WebSocket(frames) => match frames.format().role() {
                Role::Server => Framing::WebSocket,
                Role::Client => Framing::MaskedWebSocket,
            },
            Frames::Native(_) => Framing::Native,
            Frames::Lines(_) => Framing::Lines,
        }
    }

    /// Takes compressed frames of a native peer too, as both ends have agreed. What goes out is
    /// the [outlet's](Outlet::agree) affair.
    pub const fn expect_compressed(&mut self) {
        if let Frames::Native(frames) = &mut self.frames {
            frames.format_mut().expect_compressed();
        }
    }

    /// The peer may be one that encodes text twice.
    pub const fn examine_text(&mut self) {
        self.text = TextEncoding::Unknown;
    }

    /// The peer has said nothing yet, and is taken for one that speaks in lines.
    pub fn expect_first_word(&mut self, peer: Box<dyn Unheard>) {
        if let Frames::Lines(frames) = &mut self.frames {
            frames.format_mut().expect_first_word(peer);
        }
    }

    /// The peer, as long as it has not spoken in lines.
    fn unheard(&self) -> Option<&dyn Unheard> {
        match &self.frames {
            Frames::Lines(frames) => frames.format().unheard(),
            _ => None,
        }
    }

    /// The peer that is to be received again, and its stream.
    pub(super) fn into_mistaken(self) -> Option<(Io, Box<dyn Unheard>)> {
        match self.frames {
            Frames::Lines(frames) if self.fate == Fate::Mistaken(Mistaken::Readmitted) => {
                Some((self.io, frames.into_format().into_unheard()?))
            }
            _ => None,
        }
    }

    /// Lets the stream go on when the peer closes its half.
    pub const fn outlive_peer(&mut self) {
        self.outlives_peer = true;
    }

    /// Closes this side's half, if that was asked for. Everything must have been written.
    fn poll_end_half(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.own_half != OwnHalf::Ending {
            return Ok(());
        }
        match self.io.poll_shutdown(cx) {
            Poll::Ready(result) => {
                self.own_half = OwnHalf::Closed;
                result
            }
            Poll::Pending => Ok(()),
        }
    }

    /// Writes what waits, and hands on what the stream has buffered itself.
    fn flush(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> Flush {
        let mut flush = Flush {
            flushed: Flushed::All,
            drained: false,
            moved: false,
        };
        upper.send(&mut |outgoing| {
            let outbox = &mut *outgoing.0;
            flush.flushed = write_out(&mut self.io, outbox, cx);
            flush.drained = outbox.has_drained();
            flush.moved = outbox.take_moved();
        });
        flush
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("io", &self.io)
            .field("fate", &self.fate)
            .finish_non_exhaustive()
    }
}

/// What came of writing.
struct Flush {
    flushed: Flushed,
    /// Much has waited to be written, and is: there is something to [tell](Upper::tell_drained).
    drained: bool,
    /// The peer has made room for something.
    moved: bool,
}

impl Carrier for Wire {
    fn outlet(&self) -> Outlet {
        Outlet::stream(self.io.direct(), self.framing())
    }

    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        if !ready || self.fate == Fate::Ended {
            return false;
        }
        let mut whole = false;
        let revision = upper.session().revision();
        let Self {
            io,
            frames,
            fate,
            text,
            ..
        } = self;
        // The reader's context and the handlers' are one and the same task's.
        let waker = cx.waker().clone();
        let mut handler_cx = Context::from_waker(&waker);
        match frames {
            Frames::WebSocket(frames) => {
                let read = frames.poll_events(io, cx, |event| {
                    whole = true;
                    if let Event::Close(close) = &event {
                        let code = close.as_ref().map(|close| close.code);
                        *fate = Fate::PeerClosed(code);
                        note_close(upper, code);
                        upper.handle_closed(TransportEnd::Eof);
                        return ControlFlow::Break(());
                    }
                    handle_event(&event, revision, text, upper, &mut handler_cx)
                });
                self.settle(read, whole, upper, cx)
            }
            Frames::Native(frames) => {
                let read = frames.poll_events(io, cx, |frame| {
                    whole = true;
                    handle_frame(&frame, upper, &mut handler_cx)
                });
                self.settle(read, whole, upper, cx)
            }
            Frames::Lines(frames) => {
                let read = frames.poll_events(io, cx, |line| {
                    whole = true;
                    upper.handle_message(Incoming::Binary(line), &mut handler_cx);
                    flow(upper.goes_on())
                });
                self.settle(read, whole, upper, cx)
            }
        }
    }

    fn write(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        let Flush {
            mut flushed,
            drained,
            moved,
        } = self.flush(upper, cx);
        if moved {
            upper.note_life();
        }
        if drained && upper.tell_drained(cx) {
            flushed = self.flush(upper, cx).flushed;
        }
        if flushed == Flushed::All && self.poll_end_half(cx).is_err() {
            flushed = Flushed::Failed;
        }
        if flushed == Flushed::Failed && !upper.session().is_closed() {
            upper.note(format_args!("writing failed"));
            upper.handle_closed(TransportEnd::Error);
        }
    }

    fn extent(&self) -> Extent {
        match &self.frames {
            Frames::WebSocket(frames) => frames.extent(),
            Frames::Native(frames) => frames.extent(),
            Frames::Lines(frames) => frames.extent(),
        }
    }

    fn give_up(&mut self, why: &dyn fmt::Display, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        if matches!(self.frames, Frames::Lines(_)) {
            // As with a line that is too long.
            refuse_line(why, upper, cx);
            return;
        }
        self.fate = Fate::Violated(POLICY);
        upper.handle_closed(TransportEnd::Error);
    }

    fn end_half(&mut self) {
        self.own_half = OwnHalf::Ending;
    }

    /// Appends a close frame, or what else is to be said.
    fn begin_end(&mut self, upper: &mut dyn Upper) {
        if self.own_half == OwnHalf::Open && !self.fate.is_over() {
            self.own_half = OwnHalf::Ending;
        }
        upper.append(&mut |outgoing| {
            let outbox = &mut *outgoing.0;
            match self.fate {
                Fate::Open | Fate::PeerClosed(None) => outbox.push_frame(OpCode::Close, &[]),
                Fate::PeerClosed(Some(code)) | Fate::Violated(code) => {
                    outbox.push_frame(OpCode::Close, &code.to_be_bytes());
                }
                Fate::Mistaken(Mistaken::Refused) => {
                    if let Some(peer) = self.unheard() {
                        outbox.push_frame_bytes(&peer.last_words(outbox.has_spoken()));
                    }
                }
                Fate::Ended | Fate::Mistaken(Mistaken::Readmitted) => {}
                Fate::Gone => outbox.clear(),
            }
        });
    }

    /// Writes what waits, says that no more will come, and waits for the peer to do the same.
    fn poll_end(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> Poll<()> {
        if self.fate.is_over() {
            return Poll::Ready(());
        }
        match self.flush(upper, cx).flushed {
            Flushed::All => {}
            Flushed::Blocked => return Poll::Pending,
            Flushed::NotHere | Flushed::Failed => return Poll::Ready(()),
        }
        match self.poll_end_half(cx) {
            Ok(()) if self.own_half == OwnHalf::Closed => self.io.poll_discard(cx),
            Ok(()) => Poll::Pending,
            Err(_) => Poll::Ready(()),
        }
    }
}

/// Writes until nothing is left or the stream takes no more, in which case it wakes the task when it does.
fn write_out(io: &mut Io, outbox: &mut Outbox, cx: &mut Context<'_>) -> Flushed {
    loop {
        let flushed = match outbox.flush() {
            Flushed::NotHere => outbox.flush_with(|slices| match io.poll_write(cx, slices) {
                Poll::Ready(result) => result,
                Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            }),
            flushed => flushed,
        };
        if flushed == Flushed::All && io.poll_flush(cx).is_pending() {
            return Flushed::Blocked;
        }
        // The direct write has left no waker behind.
        if flushed != Flushed::Blocked || io.poll_writable(cx).is_pending() {
            return flushed;
        }
    }
}

/// The status code of a close frame for what breaks no rule of the protocol (RFC 6455 §7.4.1).
const POLICY: u16 = 1008;
