//! A session's streams: the one that carries it, and the one that is being probed.

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::{Lane, Message, Packet, PacketError, Revision, Session, TransportEnd};
use sockeye_websocket::{Deflate, Event, OpCode, Payload, ProtocolError, Role, encode_frame};

use super::unfinished::Unfinished;
use super::{Driver, Side, is_ready};
use crate::connection::{Connection, Incoming};
use crate::formats::{Lines, LinesError, Native};
use crate::frames::{Extent, FrameReader, ReadError};
use crate::handle::SessionHandle;
use crate::io::{Io, Socket};
use crate::limits::SessionLimits;
use crate::mask;
use crate::outbox::Framing;
use crate::unheard::{Mistaken, Unheard};
use crate::websocket::{Upgraded, WebSocketFormat};

/// A stream that carries a session.
pub struct Wire {
    pub(crate) io: Io,
    pub(super) frames: Frames,
    /// How the peer ended it, or what it did wrong.
    pub(super) fate: Fate,
    pub(super) own_half: OwnHalf,
    /// When the peer closes its half, this side goes on until it has had enough too.
    outlives_peer: bool,
    /// Much has waited to be written, and is.
    pub(crate) drained: bool,
    /// The peer has made room for what was written, and the driver was not told yet.
    pub(crate) moved: bool,
}

/// How the stream is cut into packets.
pub(super) enum Frames {
    WebSocket(FrameReader<WebSocketFormat>),
    Native(FrameReader<Native>),
    Lines(FrameReader<Lines>),
}

/// Whether, and how, a stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
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
pub(super) enum OwnHalf {
    Open,
    /// It is to be closed when what waits is written.
    Ending,
    Closed,
}

impl Fate {
    /// Whether nothing more is to be done for the session on this stream.
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Gone | Self::Mistaken(Mistaken::Readmitted))
    }
}

impl Frames {
    /// How much there is of a message that is not complete.
    pub(super) fn extent(&self) -> Extent {
        match self {
            Self::WebSocket(frames) => frames.extent(),
            Self::Native(frames) => frames.extent(),
            Self::Lines(frames) => frames.extent(),
        }
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
        Self {
            io,
            frames: Frames::WebSocket(FrameReader::new(format, &read)),
            fate: Fate::Open,
            own_half: OwnHalf::Open,
            outlives_peer: false,
            drained: false,
            moved: false,
        }
    }

    /// A bare stream in one of the framings that it can have.
    pub fn bare(io: Io, framing: Framing, read: &[u8], limits: &SessionLimits) -> Self {
        let frames = match framing {
            Framing::Lines => {
                Frames::Lines(FrameReader::new(Lines::new(limits.max_line_bytes), read))
            }
            _ => Frames::Native(FrameReader::new(Native::new(limits.max_payload), read)),
        };
        Self {
            io,
            frames,
            fate: Fate::Open,
            own_half: OwnHalf::Open,
            outlives_peer: false,
            drained: false,
            moved: false,
        }
    }

    /// Takes compressed frames of a native peer too, as both ends have agreed. What goes out is
    /// the [session's](SessionHandle::begin) affair.
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
    pub(super) fn unheard(&self) -> Option<&dyn Unheard> {
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
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
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
    pub(super) const fn is_bare(&self) -> bool {
        !matches!(self.frames, Frames::WebSocket(_))
    }

    pub(crate) fn direct(&self) -> Option<Socket> {
        self.io.direct()
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
    fn failed<E: Violation>(&mut self, error: &ReadError<E>, side: &mut impl Side) -> TransportEnd {
        match error {
            ReadError::Format(violation) => {
                tracing::debug!(%violation, "protocol violation");
                side.note(format_args!("the server broke the protocol: {violation}"));
                self.fate = Fate::Violated(violation.close_code());
                match violation.close_code() {
                    1009 => TransportEnd::TooBig,
                    _ => TransportEnd::Error,
                }
            }
            ReadError::Io(error) => {
                tracing::debug!(%error, "reading failed");
                side.note(format_args!("reading failed: {error}"));
                self.fate = Fate::Gone;
                TransportEnd::Error
            }
            ReadError::End => {
                side.note(format_args!("the connection ended"));
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

/// What came of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Nothing,
    /// A part of a frame, or a fragment of a message.
    Part,
    /// Something that is complete, or the end.
    Whole,
}

impl Read {
    /// What it was if whole packets came, or nothing.
    pub(super) const fn of_packets(came: bool) -> Self {
        if came { Self::Whole } else { Self::Nothing }
    }
}

/// What takes part in reading, borrowed from the driver apart from the wire itself.
pub(super) struct Reader<'d, S, C> {
    pub(super) side: &'d mut S,
    pub(super) session: &'d mut Session,
    pub(super) connection: &'d mut C,
    /// Forgotten with each message that is complete.
    pub(super) unfinished: &'d mut Option<Box<Unfinished>>,
    pub(super) handle: &'d SessionHandle,
    pub(super) now: Instant,
}

impl<S: Side, C: Connection> Reader<'_, S, C> {
    /// Reads once and hands on what came.
    pub(super) fn poll(mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Read {
        let mut came = Read::Part;
        let Wire {
            io, frames, fate, ..
        } = wire;
        // The reader's context and the handlers' are one and the same task's.
        let waker = cx.waker().clone();
        let mut handler_cx = Context::from_waker(&waker);
        match frames {
            Frames::WebSocket(frames) => {
                let result = frames.poll_events(io, cx, |event| {
                    came = Read::Whole;
                    if let Event::Close(close) = &event {
                        let code = close.as_ref().map(|close| close.code);
                        *fate = Fate::PeerClosed(code);
                        note_close(self.side, code);
                        self.handle_end(TransportEnd::Eof);
                        return ControlFlow::Break(());
                    }
                    self.handle_event(&event, &mut handler_cx);
                    self.flow()
                });
                self.finish(result.map_ok(|()| came), wire, cx)
            }
            Frames::Native(frames) => {
                let result = frames.poll_events(io, cx, |frame| {
                    came = Read::Whole;
                    self.handle_frame(&frame, &mut handler_cx);
                    self.flow()
                });
                self.finish(result.map_ok(|()| came), wire, cx)
            }
            Frames::Lines(frames) => {
                let result = frames.poll_events(io, cx, |line| {
                    came = Read::Whole;
                    *self.unfinished = None;
                    self.connection
                        .handle_message(Incoming::Binary(line), &mut handler_cx);
                    self.flow()
                });
                self.finish(result.map_ok(|()| came), wire, cx)
            }
        }
    }

    /// Whether what comes next may be handled at once.
    fn flow(&self) -> ControlFlow<()> {
        match self.session.is_open() && is_ready(self.connection, self.handle) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    fn finish<E: Violation>(
        &mut self,
        result: Poll<Result<Read, ReadError<E>>>,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Read {
        match result {
            Poll::Pending => Read::Nothing,
            Poll::Ready(Ok(came)) => came,
            Poll::Ready(Err(error)) => {
                if matches!(error, ReadError::End) && wire.is_bare() {
                    // The peer may have closed only its own half, and want the answers still.
                    wire.fate = Fate::Ended;
                    if let Some(line) = wire.unfinished_line() {
                        self.connection.handle_message(Incoming::Binary(&line), cx);
                    }
                    self.side.note(format_args!("the connection ended"));
                    self.connection.handle_end(cx);
                    self.session.handle_peer_end(self.now, wire.outlives_peer);
                    return Read::Whole;
                }
                if matches!(error, ReadError::Format(_))
                    && let Some(peer) = wire.unheard()
                {
                    wire.fate = Fate::Mistaken(self.judge(peer));
                    self.handle_mistaken(wire.fate, cx);
                    return Read::Whole;
                }
                let end = wire.failed(&error, self.side);
                if matches!(wire.frames, Frames::Lines(_))
                    && let ReadError::Format(violation) = &error
                {
                    // A line that is too long is one that makes no sense.
                    self.connection.handle_undecodable(violation, cx);
                    self.session.handle_decode_error(self.now, Lane::Current);
                    return Read::Whole;
                }
                self.handle_end(end);
                Read::Whole
            }
        }
    }

    /// What becomes of a peer that has turned out not to speak in lines. Under the lock by which
    /// others write, so that nothing goes out any more to one that is received again.
    fn judge(&self, peer: &dyn Unheard) -> Mistaken {
        let mut state = self.handle.shared().lock();
        let judgement = peer.judge(state.outbox.has_spoken());
        if judgement == Mistaken::Readmitted {
            state.outbox.close();
        }
        judgement
    }

    fn handle_mistaken(&mut self, fate: Fate, cx: &mut Context<'_>) {
        if fate == Fate::Mistaken(Mistaken::Readmitted) {
            // To the application, the plain peer has gone.
            self.handle_end(TransportEnd::Eof);
            return;
        }
        self.connection
            .handle_undecodable(&LinesError::Mistaken, cx);
        self.session.handle_decode_error(self.now, Lane::Current);
    }

    fn handle_end(&mut self, end: TransportEnd) {
        self.session
            .handle_transport_closed(self.now, Lane::Current, end);
    }

    /// A frame of the native framing holds a packet, as a WebSocket's message does.
    fn handle_frame(&mut self, frame: &Incoming<'_>, cx: &mut Context<'_>) {
        let decoded = match frame {
            Incoming::Text(text) => Packet::decode_text(Revision::V4, text),
            Incoming::Binary(data) => Ok(Packet::binary(*data)),
            Incoming::Owned(data) => Ok(Packet::binary(&data[..])),
        };
        let Some(message) = self.handle_packet(decoded) else {
            return;
        };
        *self.unfinished = None;
        match (&message, frame) {
            (Message::Binary(_), Incoming::Owned(data)) => {
                self.connection
                    .handle_message(Incoming::Owned(data.clone()), cx);
            }
            (Message::Text(text), _) => self.connection.handle_message(Incoming::Text(text), cx),
            (Message::Binary(data), _) => {
                self.connection.handle_message(Incoming::Binary(data), cx);
            }
        }
    }

    /// Steps the session; gives what is for the application.
    fn handle_packet<'a>(
        &mut self,
        decoded: Result<Packet<'a>, PacketError>,
    ) -> Option<Message<'a>> {
        match decoded {
            Ok(packet) => self.session.handle_packet(self.now, Lane::Current, packet),
            Err(error) => {
                tracing::debug!(%error, "undecodable packet");
                self.side.note(format_args!("undecodable packet: {error}"));
                self.session.handle_decode_error(self.now, Lane::Current);
                None
            }
        }
    }

    fn handle_event(&mut self, event: &Event<'_>, cx: &mut Context<'_>) {
        let revision = self.session.revision();
        let decoded = match event {
            Event::Text(text) => Packet::decode_text(revision, text),
            Event::Binary(data) => Packet::decode_binary(revision, data),
            Event::Ping(payload) => {
                let mut state = self.handle.shared().lock();
                state.push(|outbox| outbox.push_pong(payload));
                return;
            }
            Event::Pong(_) | Event::Close(_) => return,
        };
        let message = self.handle_packet(decoded);
        let message = match (&message, event) {
            (None, _) => return,
            // A large binary message has its own buffer already; the packet is the end of it.
            (Some(Message::Binary(content)), Event::Binary(Payload::Owned(data))) => {
                Incoming::Owned(data.slice(data.len() - content.len()..))
            }
            (Some(Message::Text(text)), _) => Incoming::Text(text),
            (Some(Message::Binary(content)), _) => Incoming::Binary(content),
        };
        *self.unfinished = None;
        self.connection.handle_message(message, cx);
    }
}

/// Says what a close frame has said.
fn note_close(side: &mut impl Side, code: Option<u16>) {
    match code {
        Some(code) => side.note(format_args!("websocket connection closed with code {code}")),
        None => side.note(format_args!("websocket connection closed")),
    }
}

/// How many bytes may wait for a probed transport. A peer that asks for more with its pings, and does
/// not take the answers, has no use for it.
const PROBE_OUTBOX: usize = 64 * 1024;

/// A WebSocket that may become the session's next transport.
pub(super) struct Probe {
    wire: Wire,
    role: Role,
    deflate: Option<Deflate>,
    /// Frames that wait to be written.
    out: Vec<u8>,
}

impl Probe {
    pub(super) fn new(stream: Upgraded, max_payload: usize, role: Role) -> Self {
        let deflate = stream.deflate;
        Self {
            wire: Wire::websocket(stream, max_payload, role),
            role,
            deflate,
            out: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>, revision: Revision) {
        let mut text = Vec::new();
        packet.encode_text(revision, &mut text);
        encode_frame(&mut self.out, OpCode::Text, &text, key(self.role));
    }

    /// The WebSocket, what was agreed on for it, and what is still to be written to it: a peer that commits
    /// without waiting for the answer to its probe gets that answer all the same.
    pub(super) fn into_parts(self) -> (Wire, Option<Deflate>, Vec<u8>) {
        (self.wire, self.deflate, self.out)
    }

    /// Writes what waits, as far as possible now.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.wire.io.poll_write(cx, &[IoSlice::new(&self.out)]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => drop(self.out.drain(..written)),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        match self.wire.io.poll_flush(cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}

/// Clients mask their frames.
fn key(role: Role) -> Option<[u8; 4]> {
    (role == Role::Client).then(mask::key)
}

impl<S: Side, C: Connection> Driver<S, C> {
    /// Reads one packet from the probed transport; whether something came.
    ///
    /// One at a time, because a commit makes what follows it the session's own.
    pub(super) fn read_probe(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        let Some(probe) = &mut self.probe else {
            return false;
        };
        if probe.out.len() > PROBE_OUTBOX {
            let end = TransportEnd::Error;
            self.session.handle_transport_closed(now, Lane::Probe, end);
            return true;
        }
        let Probe {
            wire, role, out, ..
        } = &mut **probe;
        let Wire { io, frames, .. } = wire;
        let Frames::WebSocket(frames) = frames else {
            return false;
        };
        let session = &mut self.session;
        let result = frames.poll_events(io, cx, |event| {
            let revision = session.revision();
            match &event {
                Event::Text(text) => match Packet::decode_text(revision, text) {
                    Ok(packet) => {
                        session.handle_packet(now, Lane::Probe, packet);
                    }
                    Err(_) => session.handle_decode_error(now, Lane::Probe),
                },
                Event::Binary(_) => session.handle_decode_error(now, Lane::Probe),
                Event::Ping(payload) => encode_frame(out, OpCode::Pong, payload, key(*role)),
                Event::Pong(_) => {}
                Event::Close(_) => {
                    session.handle_transport_closed(now, Lane::Probe, TransportEnd::Eof);
                }
            }
            ControlFlow::Break(())
        });
        match result {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(_)) => {
                // It carries nothing yet, so that all that is lost is the upgrade.
                let end = TransportEnd::Error;
                self.session.handle_transport_closed(now, Lane::Probe, end);
                true
            }
        }
    }
}
