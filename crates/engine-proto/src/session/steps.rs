//! The steps of the state machine: private, and free of what a driver has to know.

use std::time::{Duration, Instant};

use crate::packet::PROBE;
use crate::{BadRequest, Message, Packet, RequestError, TransportKind};

use super::heartbeat::Beat;
use super::upgrade::{PollAge, Target, Upgrade};
use super::{
    CloseReason, Direct, Half, Lane, Life, Output, PollVerdict, Role, Session, UpgradeRefused,
};

/// What comes in on the two lanes.
impl Session {
    pub(super) fn handle_current<'a>(
        &mut self,
        now: Instant,
        packet: Packet<'a>,
    ) -> Option<Message<'a>> {
        if self.is_closed() {
            return None;
        }
        self.heartbeat.on_packet(now);
        let beat = match packet {
            Packet::Message(message) => return self.takes_messages().then_some(message),
            Packet::Close => {
                self.finish_for_peer(now);
                return None;
            }
            Packet::Ping(_) => {
                let beat = self.heartbeat.on_ping(now);
                if beat.is_ok() && self.may_send() {
                    self.send(Lane::Current, Packet::PONG);
                }
                beat
            }
            Packet::Pong(_) => self.heartbeat.on_pong(now),
            // An open packet is the driver's business, upgrade belongs on the other lane, noop means nothing.
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => Ok(()),
        };
        // Clients have always ignored heartbeats in the wrong direction.
        if beat.is_err() && self.role == Role::Server {
            self.finish(CloseReason::TransportError);
        }
        None
    }

    /// Not once this side has said that it will say nothing more.
    const fn may_send(&self) -> bool {
        matches!(self.state, Life::Open | Life::HalfOpen(Half::Peers))
    }

    /// The JavaScript server drops what comes once it is closing; the client delivers it.
    const fn takes_messages(&self) -> bool {
        match self.state {
            Life::Open | Life::HalfOpen(_) => true,
            Life::Closing { .. } => matches!(self.role, Role::Client),
            Life::Closed { .. } => false,
        }
    }

    pub(super) fn handle_probe(&mut self, now: Instant, packet: &Packet<'_>) {
        match (&self.upgrade, packet) {
            (Upgrade::None, _) => {}
            (Upgrade::AwaitProbe(_) | Upgrade::AwaitCommit(_), Packet::Ping(data))
                if data == PROBE =>
            {
                self.upgrade.on_probe(now);
                self.send(Lane::Probe, Packet::PROBE_PONG);
            }
            (Upgrade::AwaitCommit(probing), Packet::Upgrade) => self.commit(probing.target.kind),
            (Upgrade::AwaitAnswer(target), Packet::Pong(data)) if data == PROBE => {
                self.upgrade = Upgrade::Pausing(target.clone());
                self.try_commit();
            }
            _ => self.drop_probe(),
        }
    }

    pub(super) fn judge_poll(&mut self, now: Instant) -> PollVerdict {
        if let Life::Closed { tombstone, .. } = &mut self.state {
            return match tombstone.take() {
                Some(until) if now < *until => PollVerdict::AnswerNoop,
                _ => PollVerdict::Refuse(RequestError::UnknownSession),
            };
        }
        if self.transport != TransportKind::Polling {
            return PollVerdict::Refuse(RequestError::BadRequest(BadRequest::TransportMismatch));
        }
        if self.polling {
            self.finish(CloseReason::TransportError);
            return PollVerdict::Refuse(RequestError::Overlap);
        }
        if self.is_open() && self.upgrade.take_noop(now, PollAge::New) {
            return PollVerdict::AnswerNoop;
        }
        self.polling = true;
        if let (
            Role::Server,
            Life::Closing {
                has_unsent: false, ..
            },
        ) = (self.role, &self.state)
        {
            self.send(Lane::Current, Packet::Noop);
            self.end_as(CloseReason::ForcedClose, Ending::Graceful);
        }
        PollVerdict::Hold
    }

    pub(super) fn judge_post(&mut self) -> Result<(), RequestError> {
        if self.is_closed() {
            return Err(RequestError::UnknownSession);
        }
        if self.transport != TransportKind::Polling {
            return Err(RequestError::BadRequest(BadRequest::TransportMismatch));
        }
        if self.posting {
            self.finish(CloseReason::TransportError);
            return Err(RequestError::Overlap);
        }
        self.posting = true;
        Ok(())
    }

    pub(super) fn judge_upgrade(
        &mut self,
        now: Instant,
        kind: TransportKind,
    ) -> Result<(), UpgradeRefused> {
        if !self.is_open() {
            return Err(UpgradeRefused::Closed);
        }
        if self.transport != TransportKind::Polling {
            return Err(UpgradeRefused::NotOnPolling);
        }
        // The driver may still have to close the last probe, and must not take the new one for it.
        if !matches!(self.upgrade, Upgrade::None) || self.outputs.contains(&Output::CloseProbe) {
            return Err(UpgradeRefused::AlreadyUpgrading);
        }
        if !kind.is_upgrade_target() {
            return Err(UpgradeRefused::NotATarget(kind));
        }
        let target = Target {
            kind,
            deadline: self.upgrade_timeout.after(now),
        };
        match self.role {
            Role::Server => self.upgrade = Upgrade::await_probe(target),
            Role::Client => {
                self.upgrade = Upgrade::AwaitAnswer(Box::new(target));
                self.send(Lane::Probe, Packet::PROBE_PING);
            }
        }
        Ok(())
    }
}

/// The steps of the state machine.
impl Session {
    /// Does what is due by now.
    pub(super) fn check_time(&mut self, now: Instant) {
        match self.state {
            Life::Closed { .. } => return,
            Life::Closing { ref deadline, .. } if **deadline <= now => {
                self.finish(CloseReason::ForcedClose);
                return;
            }
            Life::HalfOpen(_) | Life::Closing { .. } => {}
            Life::Open => match self.heartbeat.on_time(now) {
                Beat::Idle => {}
                Beat::Ping => self.send(Lane::Current, Packet::PING),
                Beat::Expired => {
                    self.finish(CloseReason::PingTimeout);
                    return;
                }
            },
        }
        if self
            .upgrade
            .target()
            .is_some_and(|target| target.deadline <= now)
        {
            self.drop_probe();
        } else if self.polling && self.upgrade.take_noop(now, PollAge::Held) {
            self.send(Lane::Current, Packet::Noop);
        }
    }

    /// Client: once polling has fallen silent, moves to the probed transport.
    pub(super) fn try_commit(&mut self) {
        if let Upgrade::Pausing(target) = &self.upgrade
            && !self.polling
            && !self.posting
        {
            let kind = target.kind;
            self.send(Lane::Probe, Packet::Upgrade);
            self.commit(kind);
        }
    }

    fn commit(&mut self, to: TransportKind) {
        let from = std::mem::replace(&mut self.transport, to);
        self.upgrade = Upgrade::None;
        self.polling = false;
        self.posting = false;
        self.outputs.push(Output::Upgraded { from, to });
        self.try_close();
    }

    pub(super) fn drop_probe(&mut self) {
        if !matches!(
            std::mem::replace(&mut self.upgrade, Upgrade::None),
            Upgrade::None
        ) {
            self.outputs.push(Output::CloseProbe);
            self.try_close();
        }
    }

    /// Ends a close that our side has just begun, if nothing stands in its way.
    pub(super) fn begin_close(&mut self) {
        if self.role == Role::Server && self.polling {
            self.end_as(CloseReason::ForcedClose, Ending::Graceful);
        } else {
            self.try_close();
        }
    }

    /// Ends a close that our side began, if it waited for an upgrade only.
    fn try_close(&mut self) {
        let waits = match (self.transport, self.role) {
            (TransportKind::Polling, Role::Server) => true,
            (TransportKind::Polling, Role::Client) => !matches!(self.upgrade, Upgrade::None),
            _ => false,
        };
        if matches!(self.state, Life::Closing { .. }) && !waits {
            self.end_as(CloseReason::ForcedClose, Ending::Graceful);
        }
    }

    /// Closes for a cause that lies with the peer or the network.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        self.end_as(self.first_reason(reason), Ending::Abrupt);
    }

    /// Closes because a close packet came.
    fn finish_for_peer(&mut self, now: Instant) {
        self.end_as(
            self.first_reason(CloseReason::TransportClose),
            Ending::ByPeer(now),
        );
    }

    /// The reason to report: if our side had begun to close, whatever cuts that short does not change it.
    const fn first_reason(&self, reason: CloseReason) -> CloseReason {
        match self.state {
            Life::Closing { .. } => CloseReason::ForcedClose,
            Life::Open | Life::HalfOpen(_) | Life::Closed { .. } => reason,
        }
    }

    pub(super) fn end_as(&mut self, reason: CloseReason, ending: Ending) {
        if self.is_closed() {
            return;
        }
        let mut tombstone = None;
        if self.transport == TransportKind::Polling {
            match (self.role, ending) {
                (Role::Server, Ending::ByPeer(_)) if self.polling => {
                    self.send(Lane::Current, Packet::Noop);
                }
                (Role::Server, Ending::ByPeer(now)) => {
                    tombstone = Some(Box::new(now + TOMBSTONE));
                }
                (Role::Server, _) if self.polling => self.send(Lane::Current, Packet::Close),
                (Role::Server, _) | (Role::Client, Ending::ByPeer(_)) => {}
                // After a failed request another one would fail too.
                (Role::Client, _) if reason == CloseReason::TransportError => {}
                (Role::Client, _) => self.send(Lane::Current, Packet::Close),
            }
        }
        if !matches!(
            std::mem::replace(&mut self.upgrade, Upgrade::None),
            Upgrade::None
        ) {
            self.outputs.push(Output::CloseProbe);
        }
        let graceful =
            matches!(ending, Ending::Graceful) || matches!(self.state, Life::HalfOpen(Half::Peers));
        self.state = Life::Closed {
            reason,
            graceful,
            tombstone,
        };
        self.outputs.push(Output::Closed(reason));
    }

    fn send(&mut self, lane: Lane, packet: Packet<'static>) {
        self.outputs.push(Output::Send { lane, packet });
    }

    /// Brings what is derived from the state up to date, after every input.
    pub(super) fn settle(&mut self) {
        self.direct = match self.state {
            Life::Open if !self.heartbeat.wants_every_packet() => {
                self.poll_timeout().map_or(Direct::Always, Direct::Until)
            }
            Life::HalfOpen(_) => Direct::Always,
            _ => Direct::Never,
        };
    }
}

/// How a session comes to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// With what is unsent.
    Graceful,
    /// At once.
    Abrupt,
    /// By the peer's close packet, which came at this time.
    ByPeer(Instant),
}

/// How long a GET may come after the close packet it crossed.
const TOMBSTONE: Duration = Duration::from_secs(1);
