//! The session state machine, for both ends.

mod config;
mod heartbeat;
mod output;
mod reason;
mod stall;
mod steps;
mod upgrade;

use std::time::Instant;

use crate::payload::PayloadError;
use crate::{Message, OpenPacket, Packet, RequestError, Revision, TransportKind};

pub use config::SessionConfig;
pub use output::{Lane, Output, PollVerdict, Role};
pub use reason::{CloseReason, TransportEnd};
pub use upgrade::UpgradeRefused;

use config::Millis;
use heartbeat::Heartbeat;
use output::Outputs;
use steps::Ending;
use upgrade::Upgrade;

/// One Engine.IO session: heartbeat, upgrade, close.
///
/// The session knows no bytes and no sockets. A driver tells it what happens, with the time, through `handle_*`,
/// `begin_*`, `end_*`, [`close`](Self::close) and [`abort`](Self::abort). After each of these it drains
/// [`poll_output`](Self::poll_output) and carries out what it is told, and it calls
/// [`handle_timeout`](Self::handle_timeout) at the time that [`poll_timeout`](Self::poll_timeout) names, which any call
/// may change.
///
/// Messages do not pass through the session on their way out; a driver sends them while the session
/// [is open](Self::is_open). Exactly one [`Output::Closed`] comes out of every session that ends.
///
/// A deadline that has passed is noticed by whichever input comes first, not only by the timer: a request that arrives
/// just after the deadline finds a closed session.
#[derive(Debug)]
pub struct Session {
    role: Role,
    revision: Revision,
    transport: TransportKind,
    /// A GET is pending.
    polling: bool,
    /// A POST is being read.
    posting: bool,
    upgrade_timeout: Millis,
    close_timeout: Millis,
    state: Life,
    upgrade: Upgrade,
    heartbeat: Heartbeat,
    /// Saves the hot path from looking at everything else.
    direct: Direct,
    outputs: Outputs,
}

#[derive(Debug)]
enum Life {
    Open,
    /// One direction of a stream has come to its end, and the other goes on. Nothing that wants an answer can be sent
    /// any more, so that there is no heartbeat.
    HalfOpen(Half),
    /// Our side closed; something must happen before the transport may go.
    ///
    /// The times of states that do not last are boxed, as every session has room for them.
    Closing {
        deadline: Box<Instant>,
        /// Messages are still to be taken by a GET, before the one that takes the close packet.
        has_unsent: bool,
    },
    Closed {
        reason: CloseReason,
        graceful: bool,
        /// Until when one GET is still answered with a noop.
        tombstone: Option<Box<Instant>>,
    },
}

/// The direction of a stream that has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    /// This side says nothing more.
    Own,
    /// The peer says nothing more.
    Peers,
}

/// Whether messages on the current transport can go to the application without another thought.
#[derive(Debug, Clone, Copy)]
enum Direct {
    Never,
    Until(Instant),
    /// There is no deadline that a message could come behind.
    Always,
}

impl Direct {
    #[inline]
    fn covers(self, now: Instant) -> bool {
        match self {
            Self::Never => false,
            Self::Until(at) => now < at,
            Self::Always => true,
        }
    }
}

impl Session {
    /// A server's session, open from the start. The driver sends the open packet itself, before anything else.
    #[must_use]
    pub fn server(
        config: &SessionConfig,
        revision: Revision,
        transport: TransportKind,
        now: Instant,
    ) -> Self {
        Self::new(Role::Server, config, revision, transport, now)
    }

    /// A client's session, once the server's open packet is there.
    #[must_use]
    pub fn client(
        revision: Revision,
        transport: TransportKind,
        open: &OpenPacket,
        now: Instant,
    ) -> Self {
        let config = SessionConfig::default()
            .ping_interval(open.ping_interval)
            .ping_timeout(open.ping_timeout);
        Self::new(Role::Client, &config, revision, transport, now)
    }

    /// A session in which no Engine.IO is spoken: no heartbeat, no upgrade, only an end.
    #[must_use]
    pub fn plain(role: Role, transport: TransportKind, now: Instant) -> Self {
        let config = SessionConfig::default();
        let mut session = Self::new(role, &config, Revision::V4, transport, now);
        session.heartbeat = Heartbeat::off();
        session.settle();
        session
    }

    fn new(
        role: Role,
        config: &SessionConfig,
        revision: Revision,
        transport: TransportKind,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            role,
            revision,
            transport,
            polling: false,
            posting: false,
            upgrade_timeout: config.upgrade_timeout.into(),
            close_timeout: config.close_timeout.into(),
            state: Life::Open,
            upgrade: Upgrade::None,
            heartbeat: Heartbeat::new(
                role,
                revision,
                config.ping_interval,
                config.ping_timeout,
                now,
            ),
            direct: Direct::Never,
            outputs: Outputs::default(),
        };
        session.settle();
        session
    }
}

/// Inputs.
impl Session {
    /// A packet arrived. Returns its content if it is a message for the application.
    ///
    /// Costs two comparisons for a message on an open session.
    #[inline]
    pub fn handle_packet<'a>(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: Packet<'a>,
    ) -> Option<Message<'a>> {
        match packet {
            Packet::Message(message) if lane == Lane::Current && self.direct.covers(now) => {
                Some(message)
            }
            packet => self.handle_packet_with_care(now, lane, packet),
        }
    }

    #[cold]
    fn handle_packet_with_care<'a>(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: Packet<'a>,
    ) -> Option<Message<'a>> {
        self.check_time(now);
        let message = match lane {
            Lane::Current => self.handle_current(now, packet),
            Lane::Probe => {
                self.handle_probe(now, &packet);
                None
            }
        };
        self.settle();
        message
    }

    /// Something arrived that is no packet.
    pub fn handle_decode_error(&mut self, now: Instant, lane: Lane) {
        self.check_time(now);
        match lane {
            Lane::Current => self.finish(CloseReason::ParseError),
            Lane::Probe => self.drop_probe(),
        }
        self.settle();
    }

    /// The body of a polling request could not be decoded, or only in part. Returns what a server answers.
    ///
    /// A body that is too large is refused without further consequences; everything else closes the session.
    pub fn handle_payload_error(&mut self, now: Instant, error: PayloadError) -> RequestError {
        self.check_time(now);
        let answer = match error {
            PayloadError::TooLarge { .. } => RequestError::PayloadTooLarge,
            PayloadError::BinaryRefused => {
                self.finish(CloseReason::TransportError);
                RequestError::BadContentType
            }
            _ => {
                self.finish(CloseReason::ParseError);
                RequestError::BadPayload
            }
        };
        self.settle();
        answer
    }

    /// A transport ended, or a polling request did without its proper end.
    pub fn handle_transport_closed(&mut self, now: Instant, lane: Lane, end: TransportEnd) {
        self.check_time(now);
        match (lane, end) {
            (Lane::Probe, _) => self.drop_probe(),
            (Lane::Current, TransportEnd::Eof) => self.finish(CloseReason::TransportClose),
            (Lane::Current, TransportEnd::Error) => self.finish(CloseReason::TransportError),
            (Lane::Current, TransportEnd::TooBig) => {
                if self.transport != TransportKind::Polling {
                    self.finish(CloseReason::TransportError);
                }
            }
            // What belongs to a polling transport that was left in the meantime has no say any more.
            (Lane::Current, TransportEnd::PollDropped) => {
                if std::mem::take(&mut self.polling) {
                    self.finish(CloseReason::TransportError);
                }
            }
            (Lane::Current, TransportEnd::PostDropped) => {
                if std::mem::take(&mut self.posting) {
                    self.finish(CloseReason::TransportError);
                }
            }
        }
        self.settle();
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    ///
    /// Early and late calls do no harm. A client whose machine may have slept calls it before it sends something, to
    /// learn whether there is still a session.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.check_time(now);
        self.settle();
    }

    /// A long-poll GET with this session's id and `transport=polling` arrived (client: is about to be sent).
    ///
    /// A second one while the first is pending closes the session.
    pub fn begin_poll(&mut self, now: Instant) -> PollVerdict {
        self.check_time(now);
        let verdict = self.judge_poll(now);
        self.settle();
        verdict
    }

    /// The pending GET was answered (client: its answer came, and its packets were handled).
    pub fn end_poll(&mut self) {
        self.polling = false;
        if let Life::Closing { has_unsent, .. } = &mut self.state {
            *has_unsent = false;
        }
        self.try_commit();
        self.settle();
    }

    /// A POST with this session's id arrived (client: is about to be sent).
    ///
    /// # Errors
    ///
    /// The request is to be refused. A second POST while the first is being read closes the session.
    pub fn begin_post(&mut self, now: Instant) -> Result<(), RequestError> {
        self.check_time(now);
        let verdict = self.judge_post();
        self.settle();
        verdict
    }

    /// The POST was read to its end, and its packets were handled (client: the answer came).
    pub fn end_post(&mut self) {
        self.posting = false;
        self.try_commit();
        self.settle();
    }

    /// A transport was opened for this session's upgrade: from now on it is [`Lane::Probe`].
    ///
    /// # Errors
    ///
    /// The driver closes that transport; the session goes on as it was.
    pub fn begin_upgrade(
        &mut self,
        now: Instant,
        kind: TransportKind,
    ) -> Result<(), UpgradeRefused> {
        self.check_time(now);
        let verdict = self.judge_upgrade(now, kind);
        self.settle();
        verdict
    }

    /// Closes the session from our side, letting what was sent before arrive. `has_unsent` tells whether the driver's
    /// outbox holds anything.
    ///
    /// A server on polling answers the pending GET with the outbox and a close packet. Without one it waits for up to
    /// [`SessionConfig::close_timeout`]: the next GET takes the outbox, if there is something in it, and the one after
    /// that a noop and the close packet, as with the JavaScript server. Meanwhile incoming messages are dropped, and an
    /// upgrade that commits delivers the rest over the new transport.
    ///
    /// A client waits for its upgrade to be over, then sends its outbox and, on polling, a close packet.
    pub fn close(&mut self, now: Instant, has_unsent: bool) {
        self.check_time(now);
        if self.is_open() {
            let deadline = Box::new(self.close_timeout.after(now));
            self.state = Life::Closing {
                deadline,
                has_unsent,
            };
            self.begin_close();
        }
        self.settle();
    }

    /// Ends this side's half of a stream, and lets the peer go on until it ends its own. From then on there is no
    /// heartbeat, as it could not be answered.
    ///
    /// Where the peer has ended its half already the session is closed, and where the transport
    /// is no [bare stream](TransportKind::is_bare_stream) this is [`close`](Self::close).
    pub fn end(&mut self, now: Instant, has_unsent: bool) {
        self.check_time(now);
        match self.state {
            Life::Open if self.transport.is_bare_stream() => {
                self.state = Life::HalfOpen(Half::Own);
                self.outputs.push(Output::EndHalf);
            }
            Life::Open => self.close(now, has_unsent),
            Life::HalfOpen(Half::Peers) => self.finish(CloseReason::TransportClose),
            Life::HalfOpen(Half::Own) | Life::Closing { .. } | Life::Closed { .. } => {}
        }
        self.settle();
    }

    /// The peer ended its half of a stream. It may want to read still, so that what waits for it is not lost.
    ///
    /// `goes_on` tells whether this side goes on without that half. It does not without both.
    pub fn handle_peer_end(&mut self, now: Instant, goes_on: bool) {
        self.check_time(now);
        let has_halves = self.transport.is_bare_stream();
        let goes_on = goes_on && has_halves && matches!(self.state, Life::Open);
        if has_halves && self.is_open() {
            self.state = Life::HalfOpen(Half::Peers);
        }
        if !goes_on {
            self.finish(CloseReason::TransportClose);
        }
        self.settle();
    }

    /// Closes the session at once; what was not sent yet is lost.
    pub fn abort(&mut self, reason: CloseReason) {
        self.end_as(reason, Ending::Abrupt);
        self.settle();
    }
}

/// Outputs and state.
impl Session {
    /// What to do next. To be drained after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while there is nothing to wait for: once the
    /// session is closed, without a heartbeat, and while only one half of a stream is open.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let main = match &self.state {
            Life::Open => self.heartbeat.next(),
            Life::Closing { deadline, .. } => Some(**deadline),
            Life::HalfOpen(_) | Life::Closed { .. } => return None,
        };
        let upgrade = self.upgrade.target().map(|target| target.deadline);
        let noop = self.upgrade.noop_at().filter(|_| self.polling);
        [upgrade, noop, main].into_iter().flatten().min()
    }

    /// By when the peer must have been heard, if it is waited for and the session is open.
    #[must_use]
    pub const fn heartbeat_due(&self) -> Option<Instant> {
        match self.state {
            Life::Open => self.heartbeat.due(),
            Life::HalfOpen(_) | Life::Closing { .. } | Life::Closed { .. } => None,
        }
    }

    /// Whether messages may be sent, or come: at least one half is open, and nobody has begun to close.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, Life::Open | Life::HalfOpen(_))
    }

    /// Whether [`Output::Closed`] came or is about to.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, Life::Closed { .. })
    }

    /// Why the session is closed, if it is.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        match self.state {
            Life::Closed { reason, .. } => Some(reason),
            Life::Open | Life::HalfOpen(_) | Life::Closing { .. } => None,
        }
    }

    /// Whether the session was closed in a way that leaves room to send the outbox: by [`close`](Self::close) unless
    /// that was cut short, or after the peer had [ended](Self::handle_peer_end) nothing but its own half.
    #[must_use]
    pub const fn is_graceful(&self) -> bool {
        matches!(self.state, Life::Closed { graceful: true, .. })
    }

    /// Until when a closed session still has something to answer: keep it under its id until then, or until
    /// [`begin_poll`](Self::begin_poll) was called once.
    ///
    /// A client that closes by POST may have a GET on its way, which gets a noop even if it arrives after the POST.
    #[must_use]
    pub fn tombstone_until(&self) -> Option<Instant> {
        match &self.state {
            Life::Closed { tombstone, .. } => tombstone.as_deref().copied(),
            Life::Open | Life::HalfOpen(_) | Life::Closing { .. } => None,
        }
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The session's revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The current transport.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// The transport that is being probed, if one is.
    #[must_use]
    pub fn upgrading(&self) -> Option<TransportKind> {
        self.upgrade.target().map(|target| target.kind)
    }

    /// Whether a GET is pending.
    #[must_use]
    pub const fn has_poll(&self) -> bool {
        self.polling
    }

    /// Client on polling: whether to send a GET now. It is not while one is pending, nor while an upgrade waits for the
    /// polling transport to fall silent.
    #[must_use]
    pub const fn may_poll(&self) -> bool {
        !self.polling && self.may_use_polling()
    }

    /// Client on polling: whether to send a POST now, if there is something to send.
    #[must_use]
    pub const fn may_post(&self) -> bool {
        !self.posting && self.may_use_polling()
    }

    /// Client on polling: whether the upgrade waits for the pending GET to end. How long that takes is for the application
    /// to say if it is not ready for what the answer holds. POSTs may go meanwhile, although
    /// [`may_post`](Self::may_post) says no: the upgrade has to wait anyway.
    #[must_use]
    pub const fn awaits_poll_to_move(&self) -> bool {
        matches!(self.upgrade, Upgrade::Pausing(_))
            && self.polling
            && !matches!(self.state, Life::Closed { .. })
    }

    const fn may_use_polling(&self) -> bool {
        matches!(self.transport, TransportKind::Polling)
            && !matches!(self.state, Life::Closed { .. })
            && !matches!(self.upgrade, Upgrade::Pausing(_))
    }
}

// Every connection has one of these for as long as it lives.
const _: () = assert!(size_of::<Session>() <= 112);
