//! A stream that may become a session's next carrier.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine_proto::{
    Lane, Packet, PacketError, Revision, Session, TransportEnd, TransportKind, WireKind, frame,
};
use sockeye_websocket::{Event, OpCode, encode_frame};

use super::{Frames, Wire};
use crate::carrier::{AnyCarrier, Carrier, Probe};
use crate::connection::Incoming;
use crate::deflate::Agreed;
use crate::mask;
use crate::outbox::{Framing, Outlet};

/// How many bytes may wait for a probed transport. A peer that asks for more with its pings, and does
/// not take the answers, has no use for it.
const PROBE_OUTBOX: usize = 64 * 1024;

pub(super) struct WireProbe {
    wire: Wire,
    kind: TransportKind,
    agreed: Agreed,
    /// Frames that wait to be written.
    out: Vec<u8>,
}

impl WireProbe {
    pub(super) const fn new(wire: Wire, kind: TransportKind, agreed: Agreed) -> Self {
        Self {
            wire,
            kind,
            agreed,
            out: Vec::new(),
        }
    }
}

impl Probe for WireProbe {
    fn kind(&self) -> TransportKind {
        self.kind
    }

    fn read(&mut self, session: &mut Session, now: Instant, cx: &mut Context<'_>) -> bool {
        let lost = |session: &mut Session, end| {
            session.handle_transport_closed(now, Lane::Probe, end);
        };
        if self.out.len() > PROBE_OUTBOX {
            lost(session, TransportEnd::Error);
            return true;
        }
        let revision = session.revision();
        let masks = self.wire.framing() == Framing::MaskedWebSocket;
        let Self { wire, out, .. } = self;
        let ended = match &mut wire.frames {
            Frames::WebSocket(frames) => frames
                .poll_events(&mut wire.io, cx, |event| {
                    match &event {
                        Event::Text(text) => {
                            hear(session, now, Packet::decode_text(revision, text));
                        }
                        Event::Binary(_) => session.handle_decode_error(now, Lane::Probe),
                        Event::Ping(payload) => {
                            encode_frame(out, OpCode::Pong, payload, key(masks));
                        }
                        Event::Pong(_) => {}
                        Event::Close(_) => lost(session, TransportEnd::Eof),
                    }
                    ControlFlow::Break(())
                })
                .map(|read| read.is_err()),
            Frames::Native(frames) => frames
                .poll_events(&mut wire.io, cx, |frame| {
                    match frame {
                        Incoming::Text(text) => {
                            hear(session, now, Packet::decode_text(revision, text));
                        }
                        _ => session.handle_decode_error(now, Lane::Probe),
                    }
                    ControlFlow::Break(())
                })
                .map(|read| read.is_err()),
            // There are no packets in lines.
            Frames::Lines(_) => Poll::Ready(true),
        };
        if ended == Poll::Ready(true) {
            // It carries nothing yet, so that all that is lost is the upgrade.
            lost(session, TransportEnd::Error);
        }
        ended.is_ready()
    }

    fn send(&mut self, packet: &Packet<'_>, revision: Revision) {
        let mut text = Vec::new();
        packet.encode_text(revision, &mut text);
        let masks = self.wire.framing() == Framing::MaskedWebSocket;
        match self.wire.framing() {
            Framing::WebSocket | Framing::MaskedWebSocket => {
                encode_frame(&mut self.out, OpCode::Text, &text, key(masks));
            }
            Framing::Native => frame::encode_frame(&mut self.out, WireKind::Text, &text),
            Framing::Lines => {}
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
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

    fn commit(self: Box<Self>) -> (AnyCarrier, Outlet) {
        let outlet = self.wire.outlet().agree(self.agreed).behind(self.out);
        (self.wire.into(), outlet)
    }
}

/// Takes one packet, if it is one.
fn hear(session: &mut Session, now: Instant, packet: Result<Packet<'_>, PacketError>) {
    match packet {
        Ok(packet) => {
            session.handle_packet(now, Lane::Probe, packet);
        }
        Err(_) => session.handle_decode_error(now, Lane::Probe),
    }
}

/// Clients mask their frames.
fn key(masks: bool) -> Option<[u8; 4]> {
    masks.then(mask::key)
}
