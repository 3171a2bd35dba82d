//! The upgrade of a polling session to another transport.

use std::time::{Duration, Instant};

use crate::TransportKind;

/// How far the upgrade of a session is.
///
/// Boxed because most sessions never upgrade, and those that do are done with it soon.
#[derive(Debug)]
pub(super) enum Upgrade {
    /// None is under way.
    None,
    /// Server: the new transport is there; its first packet must be the probe.
    AwaitProbe(Box<Probing>),
    /// Server: the probe was answered; the commit must come next.
    AwaitCommit(Box<Probing>),
    /// Client: the probe is out; the answer must come next.
    AwaitAnswer(Box<Target>),
    /// Client: the probe was answered, and the commit waits for the pending GET and POST to end.
    Pausing(Box<Target>),
}

/// The transport that is probed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) kind: TransportKind,
    /// When the upgrade is given up.
    pub(super) deadline: Instant,
}

/// The server's view of a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probing {
    pub(super) target: Target,
    /// The earliest time of the next noop that frees a poll. `None` until the first, while a poll from before the
    /// upgrade is left alone: the client needs it freed only once it has its answer to the probe.
    next_noop: Option<Instant>,
}

impl Upgrade {
    pub(super) fn await_probe(target: Target) -> Self {
        Self::AwaitProbe(Box::new(Probing {
            target,
            next_noop: None,
        }))
    }

    pub(super) fn target(&self) -> Option<Target> {
        match self {
            Self::None => None,
            Self::AwaitProbe(probing) | Self::AwaitCommit(probing) => Some(probing.target),
            Self::AwaitAnswer(target) | Self::Pausing(target) => Some(**target),
        }
    }

    /// When a held poll is due to be freed with a noop.
    pub(super) fn noop_at(&self) -> Option<Instant> {
        match self {
            Self::AwaitProbe(probing) | Self::AwaitCommit(probing) => probing.next_noop,
            _ => None,
        }
    }

    /// Whether a poll that is held, or just arrived, is to be freed now. If so the next one is due 100 ms later.
    ///
    /// A GET that arrives between the opening of the new transport and the probe is freed at once, as some test-suites
    /// want; the pause keeps a client that never probes from running GETs in a tight loop.
    pub(super) fn take_noop(&mut self, now: Instant, poll: PollAge) -> bool {
        let (Self::AwaitProbe(probing) | Self::AwaitCommit(probing)) = self else {
            return false;
        };
        let due = match probing.next_noop {
            Some(at) => at <= now,
            None => poll == PollAge::New,
        };
        if due {
            probing.next_noop = Some(now + NOOP_PAUSE);
        }
        due
    }

    /// The client's probe came: from now on a held poll is freed every 100 ms.
    pub(super) fn on_probe(&mut self, now: Instant) {
        *self = match std::mem::replace(self, Self::None) {
            Self::AwaitProbe(mut probing) | Self::AwaitCommit(mut probing) => {
                probing.next_noop = Some(now + NOOP_PAUSE);
                Self::AwaitCommit(probing)
            }
            other => other,
        };
    }
}

/// Whether a poll was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollAge {
    Held,
    New,
}

/// Why a transport may not be probed. The driver closes that transport; the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeRefused {
    /// The session is closed, or about to be.
    #[error("session is closed")]
    Closed,
    /// Another transport is being probed.
    #[error("session is already upgrading")]
    AlreadyUpgrading,
    /// The session is not on polling (any more).
    #[error("session is not on polling")]
    NotOnPolling,
    /// No session moves to such a transport.
    #[error("{0} is no transport to upgrade to")]
    NotATarget(TransportKind),
}

/// The pause between two noops, as in the originals.
const NOOP_PAUSE: Duration = Duration::from_millis(100);
