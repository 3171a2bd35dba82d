//! Heartbeats: who pings whom, and when the peer counts as gone.

use std::time::{Duration, Instant};

use crate::Revision;

use super::Role;
use super::config::Millis;

/// The heartbeat of one session.
///
/// Under Engine.IO 4 the server pings, under Engine.IO 3 the client. It belongs to the session, not to a transport: an
/// upgrade changes nothing about it.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Millis,
    timeout: Millis,
    state: Pulse,
}

#[derive(Debug, Clone, Copy)]
enum Pulse {
    /// Engine.IO 4 server: the next ping goes out at this time.
    PingAt(Instant),
    /// Engine.IO 4 server: a ping is out and its answer must be in by this time.
    AwaitPong(Instant),
    /// The peer pings, and must have done so by this time.
    AwaitPing(Instant),
    /// Nobody pings, and there is no time to wait for.
    Off,
    /// Engine.IO 3 client.
    Client3 {
        /// When the next ping goes out; `None` while one is unanswered.
        ping_at: Option<Instant>,
        /// When some packet must have come.
        deadline: Instant,
    },
}

/// What the time asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Nothing yet.
    Idle,
    /// Send a ping.
    Ping,
    /// The peer is gone.
    Expired,
}

/// A ping or pong came from the side that does not send it.
#[derive(Debug)]
pub(super) struct WrongDirection;

impl Heartbeat {
    pub(super) fn new(
        role: Role,
        revision: Revision,
        interval: Duration,
        timeout: Duration,
        now: Instant,
    ) -> Self {
        let (interval, timeout) = (Millis::from(interval), Millis::from(timeout));
        let silence = timeout.after(interval.after(now));
        let state = match (role, revision) {
            (Role::Server, Revision::V4) => Pulse::PingAt(interval.after(now)),
            (Role::Server, Revision::V3) | (Role::Client, Revision::V4) => {
                Pulse::AwaitPing(silence)
            }
            (Role::Client, Revision::V3) => Pulse::Client3 {
                ping_at: Some(interval.after(now)),
                deadline: silence,
            },
        };
        Self {
            interval,
            timeout,
            state,
        }
    }

    /// No heartbeat at all, for peers that know none.
    pub(super) fn off() -> Self {
        let never = Millis::from(Duration::MAX);
        Self {
            interval: never,
            timeout: never,
            state: Pulse::Off,
        }
    }

    /// When [`on_time`](Self::on_time) has something to say next; `None` if it never has.
    pub(super) fn next(&self) -> Option<Instant> {
        match self.state {
            Pulse::PingAt(at) | Pulse::AwaitPong(at) | Pulse::AwaitPing(at) => Some(at),
            Pulse::Off => None,
            Pulse::Client3 { ping_at, deadline } => {
                Some(ping_at.map_or(deadline, |at| at.min(deadline)))
            }
        }
    }

    /// By when the peer must have been heard; `None` where nobody waits for it yet, or ever.
    pub(super) const fn due(&self) -> Option<Instant> {
        match self.state {
            Pulse::AwaitPong(at) | Pulse::AwaitPing(at) | Pulse::Client3 { deadline: at, .. } => {
                Some(at)
            }
            Pulse::PingAt(_) | Pulse::Off => None,
        }
    }

    /// Whether every packet counts as a sign of life, not only pings and pongs.
    pub(super) const fn wants_every_packet(&self) -> bool {
        matches!(self.state, Pulse::Client3 { .. })
    }

    pub(super) fn on_time(&mut self, now: Instant) -> Beat {
        match self.state {
            Pulse::PingAt(at) if at <= now => {
                self.state = Pulse::AwaitPong(self.pong_deadline(at, now));
                Beat::Ping
            }
            Pulse::AwaitPong(deadline)
            | Pulse::AwaitPing(deadline)
            | Pulse::Client3 { deadline, .. }
                if deadline <= now =>
            {
                Beat::Expired
            }
            Pulse::Client3 {
                ping_at: Some(at), ..
            } if at <= now => {
                self.state = Pulse::Client3 {
                    ping_at: None,
                    deadline: self.timeout.after(now),
                };
                Beat::Ping
            }
            _ => Beat::Idle,
        }
    }

    /// The peer could not be heard: whatever is expected of it may come later.
    pub(super) fn excuse(&mut self, now: Instant) {
        let (silence, answer) = (self.silence(now), self.timeout.after(now));
        match &mut self.state {
            Pulse::PingAt(_) | Pulse::Off => {}
            Pulse::AwaitPong(deadline) => *deadline = answer,
            Pulse::AwaitPing(deadline) | Pulse::Client3 { deadline, .. } => *deadline = silence,
        }
    }

    /// Bytes have moved between the ends at this time, so that the peer was there: it does not count as gone before
    /// the timeout has passed since then. Whether that changed something.
    pub(super) fn extend(&mut self, moved: Instant) -> bool {
        let earliest = self.timeout.after(moved);
        match &mut self.state {
            Pulse::AwaitPong(deadline)
            | Pulse::AwaitPing(deadline)
            | Pulse::Client3 { deadline, .. }
                if *deadline < earliest =>
            {
                *deadline = earliest;
                true
            }
            _ => false,
        }
    }

    /// Any packet came.
    pub(super) fn on_packet(&mut self, now: Instant) {
        let silence = self.silence(now);
        if let Pulse::Client3 { deadline, .. } = &mut self.state {
            *deadline = silence;
        }
    }

    /// A ping came, and must be answered with a pong.
    pub(super) fn on_ping(&mut self, now: Instant) -> Result<(), WrongDirection> {
        let silence = self.silence(now);
        match &mut self.state {
            Pulse::AwaitPing(deadline) => {
                *deadline = silence;
                Ok(())
            }
            _ => Err(WrongDirection),
        }
    }

    /// A pong came. One that answers no ping is a sign of life too, as in the originals.
    pub(super) fn on_pong(&mut self, now: Instant) -> Result<(), WrongDirection> {
        let next = self.interval.after(now);
        match &mut self.state {
            Pulse::PingAt(_) | Pulse::AwaitPong(_) => self.state = Pulse::PingAt(next),
            Pulse::Client3 { ping_at, .. } => *ping_at = Some(next),
            Pulse::AwaitPing(_) | Pulse::Off => return Err(WrongDirection),
        }
        Ok(())
    }

    fn silence(&self, now: Instant) -> Instant {
        self.timeout.after(self.interval.after(now))
    }

    /// The deadline for the answer to a ping that was due at `due` and goes out `now`.
    ///
    /// It counts from the time the ping was due, so that a peer which asks exactly interval plus timeout after the
    /// handshake finds its session closed even if our timer fired a little late. A peer must not pay for a long delay of
    /// ours, though (a suspended machine): it always gets nine tenths of the timeout.
    fn pong_deadline(&self, due: Instant, now: Instant) -> Instant {
        self.timeout
            .after(due)
            .max(now + self.timeout.duration() / 10 * 9)
    }
}
