//! What comes on a stream, and what its end means.

use std::fmt;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use sockeye_engine_proto::frame::FrameError;
use sockeye_engine_proto::{
    Lane, Message, Packet, PacketError, Revision, Role, TextEncoding, TransportEnd,
};
use sockeye_meter as meter;
use sockeye_websocket::{Event, Payload, ProtocolError};

use super::{Fate, Frames, Wire};
use crate::carrier::Upper;
use crate::connection::Incoming;
use crate::formats::LinesError;
use crate::frames::ReadError;
use crate::unheard::{Mistaken, Unheard};

impl Wire {
    /// What came of a read; whether something did.
    pub(super) fn settle<E: Violation>(
        &mut self,
        read: Poll<Result<usize, ReadError<E>>>,
        is_whole: bool,
        upper: &mut dyn Upper,
        cx: &mut Context<'_>,
    ) -> bool {
        match read {
            Poll::Pending => return false,
            Poll::Ready(Ok(bytes)) => {
                meter::received(bytes, || upper.session().role() == Role::Server);
                // A part of a frame, or a fragment of a message, says nothing yet.
                if is_whole {
                    upper.note_life();
                }
            }
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
        if matches!(error, ReadError::End) && upper.session().transport().is_bare_stream() {
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
            ReadError::Format(violation) if matches!(self.frames, Frames::Lines(_)) => {
                refuse_line(violation, upper, cx);
            }
            _ => upper.handle_closed(end),
        }
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
                let peer = upper.session().role().peer();
                upper.note(format_args!("the {peer} broke the protocol: {violation}"));
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

/// A way to break a framing, in WebSocket's terms.
pub(super) trait Violation: fmt::Display {
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

/// Goes on with what comes next, if it may be handled at once.
pub(super) fn flow(goes_on: bool) -> ControlFlow<()> {
    match goes_on {
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
pub(super) fn refuse_line(why: &dyn fmt::Display, upper: &mut dyn Upper, cx: &mut Context<'_>) {
    upper.note(format_args!("{why}"));
    upper.connection().handle_undecodable(why, cx);
    let now = upper.now();
    upper.session().handle_decode_error(now, Lane::Current);
}

/// A frame of the native framing holds a packet, as a WebSocket's message does.
pub(super) fn handle_frame(
    frame: &Incoming<'_>,
    upper: &mut dyn Upper,
    cx: &mut Context<'_>,
) -> ControlFlow<()> {
    match frame {
        Incoming::Text(text) => hand_on(Packet::decode_text(Revision::V4, text), upper, cx),
        Incoming::Binary(data) => flow(upper.handle_packet(Packet::binary(*data), cx)),
        Incoming::Owned(data) => {
            if upper.step(Packet::binary(&data[..]), cx).is_some() {
                upper.handle_message(Incoming::Owned(data.clone()), cx);
            }
            flow(upper.goes_on())
        }
    }
}

pub(super) fn handle_event(
    event: &Event<'_>,
    revision: Revision,
    encoding: &mut TextEncoding,
    upper: &mut dyn Upper,
    cx: &mut Context<'_>,
) -> ControlFlow<()> {
    match event {
        Event::Text(text) => {
            let text = encoding.read(text);
            hand_on(Packet::decode_text(revision, &text), upper, cx)
        }
        // A large binary message has its own buffer already; the packet is the end of it.
        Event::Binary(Payload::Owned(data)) => match Packet::decode_binary(revision, data) {
            Ok(packet) => {
                if let Some(Message::Binary(content)) = upper.step(packet, cx) {
                    let content = data.slice(data.len() - content.len()..);
                    upper.handle_message(Incoming::Owned(content), cx);
                }
                flow(upper.goes_on())
            }
            undecodable => hand_on(undecodable, upper, cx),
        },
        Event::Binary(data) => hand_on(Packet::decode_binary(revision, data), upper, cx),
        Event::Ping(payload) => {
            upper.append(&mut |outgoing| outgoing.0.push_pong(payload));
            flow(upper.goes_on())
        }
        Event::Pong(_) | Event::Close(_) => flow(upper.goes_on()),
    }
}

#[inline]
fn hand_on(
    decoded: Result<Packet<'_>, PacketError>,
    upper: &mut dyn Upper,
    cx: &mut Context<'_>,
) -> ControlFlow<()> {
    match decoded {
        Ok(packet) => flow(upper.handle_packet(packet, cx)),
        Err(error) => {
            tracing::debug!(%error, "undecodable packet");
            upper.note(format_args!("undecodable packet: {error}"));
            let now = upper.now();
            upper.session().handle_decode_error(now, Lane::Current);
            flow(upper.goes_on())
        }
    }
}

/// Says what a close frame has said.
pub(super) fn note_close(upper: &mut dyn Upper, code: Option<u16>) {
    match code {
        Some(code) => upper.note(format_args!("websocket connection closed with code {code}")),
        None => upper.note(format_args!("websocket connection closed")),
    }
}
