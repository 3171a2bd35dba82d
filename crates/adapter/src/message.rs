//! What adapters carry.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_socket_proto::{Args, RawArgs};
use thiserror::Error;

use crate::Target;

/// An event on its way between servers: encoded, but in no form of a connection's yet.
#[derive(Clone, Copy, Debug)]
pub struct EventBody<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its arguments, as JSON with attachments.
    pub args: RawArgs<'a>,
}

/// To whom an event goes, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BroadcastOptions {
    /// To whom.
    pub target: Target,
    /// Those who cannot take it right now miss it.
    pub volatile: bool,
    /// It may be compressed, where the transport compresses at all.
    pub compress: bool,
    /// Bytes travel as attachments, rather than inside of the JSON.
    pub binary: bool,
    /// How long answers are waited for; `None` for the server's default.
    pub timeout: Option<Duration>,
    /// The event's place in the cluster's log, if it has one: receivers get it as a further argument, and come back with
    /// it. Set by an adapter, for [`Local::broadcast`](crate::Local::broadcast).
    pub offset: Option<Arc<str>>,
}

impl BroadcastOptions {
    /// To this target, without anything special: not volatile; may be compressed, and may have attachments.
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            volatile: false,
            compress: true,
            binary: true,
            timeout: None,
            offset: None,
        }
    }
}

/// Something about the answers to a broadcast.
pub enum Answer {
    /// So many sockets of one server have been asked, each of whom will be heard of once more if there is time. That may
    /// come after the first of their answers.
    Asked(usize),
    /// One of them has answered.
    Given {
        /// The socket's id, if it is known.
        id: Option<Arc<str>>,
        /// What it said.
        args: Args,
    },
    /// One of them will not answer: it is gone, or could not be sent to.
    Lost {
        /// The socket's id, if it is known.
        id: Option<Arc<str>>,
    },
    /// So many servers have not said how many sockets they asked, and will not.
    Missing(usize),
}

/// Without ids, which may be secret, and without what was said.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(sockets) => f.debug_tuple("Asked").field(sockets).finish(),
            Self::Given { .. } => f.debug_struct("Given").finish_non_exhaustive(),
            Self::Lost { .. } => f.debug_struct("Lost").finish_non_exhaustive(),
            Self::Missing(servers) => f.debug_tuple("Missing").field(servers).finish(),
        }
    }
}

/// Not all servers of the cluster have answered in time; some are gone, or cannot be reached.
#[derive(Debug, Error)]
#[error("{missing} servers of the cluster have not answered")]
pub struct Incomplete<T> {
    /// The answers of those that did.
    pub answers: Vec<T>,
    /// How many did not, as far as is known; at least one.
    pub missing: usize,
}
