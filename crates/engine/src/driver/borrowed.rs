//! A driver's session in its carrier's hands.

use std::fmt;
use std::task::Context;
use std::time::Instant;

use sockeye_engine_proto::{CloseReason, Lane, Message, Packet, Session};

use super::timer::Moment;
use super::unfinished::Unfinished;
use super::{Side, is_ready};
use crate::carrier::{Outgoing, Probe, Upper};
use crate::connection::{Connection, Incoming};
use crate::handle::SessionHandle;
use crate::limits::SessionLimits;

/// All that a driver has, apart from the carrier itself.
pub(super) struct Borrowed<'d, S, C> {
    pub(super) side: &'d mut S,
    pub(super) session: &'d mut Session,
    pub(super) connection: &'d mut C,
    pub(super) handle: &'d SessionHandle,
    pub(super) probe: &'d mut Option<Box<Box<dyn Probe>>>,
    pub(super) moved: &'d mut Moment,
    /// Forgotten with each message that is complete.
    pub(super) unfinished: &'d mut Option<Box<Unfinished>>,
    pub(super) now: Instant,
}

impl<S: Side, C: Connection> Upper for Borrowed<'_, S, C> {
    fn now(&self) -> Instant {
        self.now
    }

    fn limits(&self) -> &SessionLimits {
        self.side.limits()
    }

    fn session(&mut self) -> &mut Session {
        self.session
    }

    fn connection(&mut self) -> &mut dyn Connection {
        self.connection
    }

    fn is_ready(&self) -> bool {
        is_ready(self.connection, self.handle)
    }

    fn has_room(&self) -> bool {
        !(S::WAITS_FOR_ROOM && self.handle.has_become_full())
    }

    fn step<'a>(&mut self, packet: Packet<'a>, cx: &mut Context<'_>) -> Option<Message<'a>> {
        match packet {
            Packet::Message(_) if !self.connection.wants_packets() => {
                let lane = Lane::Current;
                self.session.handle_packet(self.now, lane, packet)
            }
            packet => self.step_in_sight(packet, cx),
        }
    }

    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        *self.unfinished = None;
        tracing::trace!(bytes = message.len(), "message");
        self.connection.handle_message(message, cx);
    }

    fn note_life(&mut self) {
        *self.moved = Moment::of(self.now);
    }

    fn note(&mut self, cause: fmt::Arguments<'_>) {
        self.connection.note(cause);
    }

    fn begin_upgrade(&mut self, probe: Box<dyn Probe>) {
        match self.session.begin_upgrade(self.now, probe.kind()) {
            Ok(()) => *self.probe = Some(Box::new(probe)),
            Err(refused) => tracing::debug!(%refused, "upgrade refused"),
        }
    }

    fn queued(&self) -> usize {
        self.handle.queued()
    }

    fn append(&mut self, append: &mut dyn FnMut(&mut Outgoing<'_>)) {
        let session = self.handle.shared();
        session.append_own(|outbox| append(&mut Outgoing(outbox)));
    }

    fn send(&mut self, take: &mut dyn FnMut(&mut Outgoing<'_>)) {
        let mut state = self.handle.shared().lock();
        state.begin_write();
        take(&mut Outgoing(&mut state.outbox));
    }

    fn tell_drained(&mut self, cx: &mut Context<'_>) -> bool {
        let is_news = self.handle.shared().lock().outbox.take_drained();
        let is_told = is_news && !self.session.is_closed();
        if is_told {
            self.connection.handle_drain(cx);
        }
        is_told
    }
}

impl<S: Side, C: Connection> Borrowed<'_, S, C> {
    /// Steps the session by a packet of which the upper layer is told.
    #[cold]
    fn step_in_sight<'a>(
        &mut self,
        packet: Packet<'a>,
        cx: &mut Context<'_>,
    ) -> Option<Message<'a>> {
        let beats = matches!(packet, Packet::Ping(_) | Packet::Pong(_)) && self.session.is_open();
        if self.session.is_open() {
            self.connection.handle_packet(&packet, cx);
        }
        let message = self.session.handle_packet(self.now, Lane::Current, packet);
        if beats && self.session.is_open() {
            let due = self.session.heartbeat_due();
            self.connection.handle_heartbeat(due, cx);
        } else if beats && self.session.close_reason() == Some(CloseReason::TransportError) {
            self.note(format_args!("a heartbeat came in the wrong direction"));
        }
        message
    }
}
