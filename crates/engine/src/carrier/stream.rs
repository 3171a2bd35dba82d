//! A session on a stream, in whichever framing.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::{
    Lane, Message, Packet, PacketError, Revision, TransportEnd, TransportKind,
};
use sockeye_websocket::{Event, OpCode, Payload, ProtocolError, Role};

use super::probe::WireProbe;
use super::{Carrier, Probe, Upper};
use crate::connection::Incoming;
use crate::deflate::Agreed;
use crate::formats::{Lines, LinesError, Native};
use crate::frames::{Extent, FrameReader, ReadError};
use crate::io::Io;
use crate::limits::SessionLimits;
use crate::mailbox::{Flushed, Queue};
use crate::outbox::{Framing, Outbox, Outlet};
use crate::unheard::{Mistaken, Unheard};
use crate::websocket::{Upgraded, WebSocketFormat};

/// A stream that carries a session.
pub struct Wire {
    pub(super) io: Io,
    pub(super) frames: Frames,
    framing: Framing,
    /// How the peer ended it, or what it did wrong.
    fate: Fate,
    own_half: OwnHalf,
    /// When the peer closes its half, this side goes on until it has had enough too.
    outlives_peer: bool,
}

/// How the stream is cut into packets.
pub(super) enum Frames {
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
        let frames = Frames::WebSocket(FrameReader::new(format, &read));
        let framing = match role {
            Role::Server => Framing::WebSocket,
            Role::Client => Framing::MaskedWebSocket,
        };
        Self::new(io, frames, framing)
    }

    /// A bare stream in one of the framings that it can have.
    pub fn bare(io: Io, framing: Framing, read: &[u8], limits: &SessionLimits) -> Self {
        let frames = match framing {
            Framing::Lines => {
                Frames::Lines(FrameReader::new(Lines::new(limits.max_line_bytes), read))
            }
            _ => Frames::Native(FrameReader::new(Native::new(limits.max_payload), read)),
        };
        Self::new(io, frames, framing)
    }

    const fn new(io: Io, frames: Frames, framing: Framing) -> Self {
        Self {
            io,
            frames,
            framing,
            fate: Fate::Open,
            own_half: OwnHalf::Open,
            outlives_peer: false,
        }
    }

    /// A transport of this kind, to which a session may move that another one carries. Both ends of it have agreed on so
    /// much.
    #[must_use]
    pub fn probe(self, kind: TransportKind, agreed: Agreed) -> Box<dyn Probe> {
        Box::new(WireProbe::new(self, kind, agreed))
    }

    /// How its packets become bytes.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Takes compressed frames of a native peer too, as both ends have agreed. What goes out is
    /// the [outlet's](Outlet::agreed) affair.
    pub const fn expect_compressed(&mut self) {
        if let Frames::Native(frames) = &mut self.frames {
            frames.format_mut().expect_compressed();
        }
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

    /// Whether there is nothing but the stream: no WebSocket on it.
    const fn is_bare(&self) -> bool {
        !matches!(self.frames, Frames::WebSocket(_))
    }

    /// What a peer that speaks in lines has sent behind the last end of a line. The JavaScript
    /// library takes it for a line too, when the stream ends; but one that was cut short is none.
    fn unfinished_line(&mut self) -> Option<Vec<u8>> {
        let Frames::Lines(frames) = &mut self.frames else {
            return None;
        };
        let line = frames.take_unread();
        (line.trim_ascii_end().last() == Some(&b'}')).then_some(line)
    }

    /// What the end of reading means for the session.
    fn failed<E: Violation>(
        &mut self,
        error: &ReadError<E>,
        upper: &mut dyn Upper,
    ) -> TransportEnd {
        match error {
            ReadError::Format(violation) => {
                tracing::debug!(%violation, "protocol violation");
                upper.note(format_args!("the server broke the protocol: {violation}"));
                self.fate = Fate::Violated(violation.close_code());
                match violation.close_code() {
                    1009 => TransportEnd::TooBig,
                    _ => TransportEnd::Error,
                }
            }
            ReadError::Io(error) => {
                tracing::debug!(%error, "reading failed");
                upper.note(format_args!("reading failed: {error}"));
                self.fate = Fate::Gone;
                TransportEnd::Error
            }
            ReadError::End => {
                upper.note(format_args!("the connection ended"));
                self.fate = Fate::Gone;
                TransportEnd::Eof
            }
        }
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

/// A way to break a framing, in WebSocket's terms.
trait Violation: std::fmt::Display {
    fn close_code(&self) -> u16;
}

impl Violation for ProtocolError {
    fn close_code(&self) -> u16 {
        Self::close_code(self)
    }
}

impl Violation for FrameError {
    fn close_code(&self) -> u16 {
        match self {
            Self::TooLarge { .. } | Self::InflatedTooLarge { .. } => 1009,
            Self::Empty | Self::Utf8 | Self::Inflate => 1002,
        }
    }
}

impl Violation for LinesError {
    fn close_code(&self) -> u16 {
        match self {
            Self::TooLong(_) => 1009,
            Self::Mistaken => 1002,
        }
    }
}

impl Wire {
    /// What came of a read; whether something did.
    fn settle<E: Violation>(
        &mut self,
        read: Poll<Result<(), ReadError<E>>>,
        is_whole: bool,
        upper: &mut dyn Upper,
        cx: &mut Context<'_>,
    ) -> bool {
        match read {
            Poll::Pending => return false,
            // A part of a frame, or a fragment of a message, says nothing yet.
            Poll::Ready(Ok(())) if !is_whole => {}
            Poll::Ready(Ok(())) => upper.note_life(),
            Poll::Ready(Err(error)) => {
                self.handle_end(&error, upper, cx);
                upper.note_life();
            }
        }
        true
    }

    fn handle_end<E: Violation>(
        &mut self,
        error: &ReadError<E>,
        upper: &mut dyn Upper,
        cx: &mut Context<'_>,
    ) {
        if matches!(error, ReadError::End) && self.is_bare() {
            // The peer may have closed only its own half, and want the answers still.
            self.fate = Fate::Ended;
            if let Some(line) = self.unfinished_line() {
                upper.handle_message(Incoming::Binary(&line), cx);
            }
            upper.note(format_args!("the connection ended"));
            upper.connection().handle_end(cx);
            let now = upper.now();
            upper.session().handle_peer_end(now, self.outlives_peer);
            return;
        }
        if matches!(error, ReadError::Format(_))
            && let Some(peer) = self.unheard()
        {
            let judgement = judge(peer, upper);
            self.fate = Fate::Mistaken(judgement);
            match judgement {
                // To the application, the plain peer has gone.
                Mistaken::Readmitted => upper.handle_closed(TransportEnd::Eof),
                Mistaken::Refused => refuse_line(&LinesError::Mistaken, upper, cx),
            }
            return;
        }
        let end = self.failed(error, upper);
        match error {
            // A line that is too long is one that makes no sense.
            ReadError::Format(violation) if self.framing == Framing::Lines => {
                refuse_line(violation, upper, cx);
            }
            _ => upper.handle_closed(end),
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
            flush.drained = outbox.take_drained();
            flush.moved = outbox.take_moved();
        });
        flush
    }
}

/// What came of writing.
struct Flush {
    flushed: Flushed,
    /// Much has waited to be written, and is.
    drained: bool,
    /// The peer has made room for something.
    moved: bool,
}

impl Carrier for Wire {
    fn outlet(&self) -> Outlet {
        Outlet::Stream {
            direct: self.io.direct(),
            framing: self.framing,
            unwritten: Vec::new(),
            agreed: Agreed::Nothing,
        }
    }

    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        if !ready || self.fate == Fate::Ended {
            return false;
        }
        let mut whole = false;
        let Self {
            io, frames, fate, ..
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
                    handle_event(&event, upper, &mut handler_cx);
                    flow(upper)
                });
                self.settle(read, whole, upper, cx)
            }
            Frames::Native(frames) => {
                let read = frames.poll_events(io, cx, |frame| {
                    whole = true;
                    handle_frame(&frame, upper, &mut handler_cx);
                    flow(upper)
                });
                self.settle(read, whole, upper, cx)
            }
            Frames::Lines(frames) => {
                let read = frames.poll_events(io, cx, |line| {
                    whole = true;
                    upper.handle_message(Incoming::Binary(line), &mut handler_cx);
                    flow(upper)
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
        if drained && !upper.session().is_closed() {
            upper.connection().handle_drain(cx);
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
        if self.framing == Framing::Lines {
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

/// Whether what comes next may be handled at once.
fn flow(upper: &mut dyn Upper) -> ControlFlow<()> {
    match upper.session().is_open() && upper.is_ready() {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    }
}

/// What becomes of a peer that has turned out not to speak in lines. Under the lock by which
/// others write, so that nothing goes out any more to one that is received again.
fn judge(peer: &dyn Unheard, upper: &mut dyn Upper) -> Mistaken {
    let mut judgement = Mistaken::Refused;
    upper.send(&mut |outgoing| {
        judgement = peer.judge(outgoing.0.has_spoken());
        if judgement == Mistaken::Readmitted {
            outgoing.0.close();
        }
    });
    judgement
}

/// What has come can be no line.
fn refuse_line(why: &dyn fmt::Display, upper: &mut dyn Upper, cx: &mut Context<'_>) {
    upper.connection().handle_undecodable(why, cx);
    let now = upper.now();
    upper.session().handle_decode_error(now, Lane::Current);
}

/// A frame of the native framing holds a packet, as a WebSocket's message does.
fn handle_frame(frame: &Incoming<'_>, upper: &mut dyn Upper, cx: &mut Context<'_>) {
    let decoded = match frame {
        Incoming::Text(text) => Packet::decode_text(Revision::V4, text),
        Incoming::Binary(data) => Ok(Packet::binary(*data)),
        Incoming::Owned(data) => Ok(Packet::binary(&data[..])),
    };
    let Some(message) = take_message(decoded, upper) else {
        return;
    };
    let message = match (&message, frame) {
        (Message::Binary(_), Incoming::Owned(data)) => Incoming::Owned(data.clone()),
        (message, _) => Incoming::of(message),
    };
    upper.handle_message(message, cx);
}

fn handle_event(event: &Event<'_>, upper: &mut dyn Upper, cx: &mut Context<'_>) {
    let revision = upper.session().revision();
    let decoded = match event {
        Event::Text(text) => Packet::decode_text(revision, text),
        Event::Binary(data) => Packet::decode_binary(revision, data),
        Event::Ping(payload) => {
            upper.append(&mut |outgoing| outgoing.0.push_pong(payload));
            return;
        }
        Event::Pong(_) | Event::Close(_) => return,
    };
    let Some(message) = take_message(decoded, upper) else {
        return;
    };
    let message = match (&message, event) {
        // A large binary message has its own buffer already; the packet is the end of it.
        (Message::Binary(content), Event::Binary(Payload::Owned(data))) => {
            Incoming::Owned(data.slice(data.len() - content.len()..))
        }
        (message, _) => Incoming::of(message),
    };
    upper.handle_message(message, cx);
}

/// Steps the session; gives what is for the application.
fn take_message<'a>(
    decoded: Result<Packet<'a>, PacketError>,
    upper: &mut dyn Upper,
) -> Option<Message<'a>> {
    let now = upper.now();
    match decoded {
        Ok(packet) => upper.session().handle_packet(now, Lane::Current, packet),
        Err(error) => {
            tracing::debug!(%error, "undecodable packet");
            upper.note(format_args!("undecodable packet: {error}"));
            upper.session().handle_decode_error(now, Lane::Current);
            None
        }
    }
}

/// Says what a close frame has said.
fn note_close(upper: &mut dyn Upper, code: Option<u16>) {
    match code {
        Some(code) => upper.note(format_args!("websocket connection closed with code {code}")),
        None => upper.note(format_args!("websocket connection closed")),
    }
}

/// The status code of a close frame for what breaks no rule of the protocol (RFC 6455 §7.4.1).
const POLICY: u16 = 1008;
