//! What a socket has missed, as it is read from a log.

use sockeye_adapter::{KeptSocket, Receivers};
use sockeye_cluster_proto::{Message, Opts};

use crate::convert::target_of;

/// What stands between two places in a log.
#[derive(Debug)]
pub enum Between {
    /// What was logged in the namespace behind [`Restore::offset`](crate::Restore::offset) and not behind
    /// [`Restore::until`](crate::Restore::until), in the order of the log. Those for others may be among it.
    Events(Vec<Logged>),
    /// The first is behind the second: this server has not got as far as another one, where the socket was.
    Ahead,
}

/// A message in a log.
#[derive(Debug)]
pub struct Logged {
    /// Its place.
    pub offset: Box<str>,
    /// What was published.
    pub message: Message,
}

/// Takes what stands in a log, and keeps what a socket has missed of it. Made by [`Restore::replay`](crate::Restore::replay).
#[derive(Debug)]
pub struct Replay<'a> {
    socket: &'a KeptSocket,
    events: Vec<Logged>,
    /// How many more bytes it may be.
    left: usize,
}

impl<'a> Replay<'a> {
    pub(crate) const fn new(socket: &'a KeptSocket, max_bytes: usize) -> Self {
        Self {
            socket,
            events: Vec::new(),
            left: max_bytes,
        }
    }

    /// The next message of the namespace. Says whether there is room for more: a socket that has missed
    /// [too much](crate::ClusterConfig::max_replay_bytes) does not come back.
    #[must_use]
    pub fn push(&mut self, offset: &str, message: Message) -> bool {
        let Message::Broadcast {
            event,
            opts,
            request: None,
        } = &message
        else {
            return true;
        };
        if !is_missed(self.socket, opts) {
            return true;
        }
        let Some(left) = self.left.checked_sub(event.size() + ENTRY) else {
            return false;
        };
        self.left = left;
        let offset = offset.into();
        self.events.push(Logged { offset, message });
        true
    }

    /// What was kept.
    #[must_use]
    pub fn end(self) -> Between {
        Between::Events(self.events)
    }
}

/// Whether a broadcast was for a socket, and is one that it may miss.
pub(crate) fn is_missed(socket: &KeptSocket, opts: &Opts) -> bool {
    let receivers = Receivers::Target(target_of(opts));
    !opts.flags.volatile && receivers.include(&socket.id, &socket.rooms)
}

/// What an event takes beside its bytes.
pub(crate) const ENTRY: usize = 256;
