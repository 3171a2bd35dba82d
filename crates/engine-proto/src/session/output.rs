//! The words a session and its driver share.

use std::collections::VecDeque;
use std::fmt;

use crate::{Packet, RequestError, TransportKind};

use super::CloseReason;

/// Which end of a session we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// We accepted the session.
    Server,
    /// We opened the session.
    Client,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// Which of a session's transports is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The one that carries the session.
    Current,
    /// The one that is probed as its successor.
    Probe,
}

/// What a driver must do next; see [`Session::poll_output`](crate::Session::poll_output).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send a control packet (never an open packet or a message).
    ///
    /// On [`Lane::Current`] it queues behind the messages accepted before it, except that a ping or a pong had better
    /// go ahead of those that are not begun; on polling that means that it goes out
    /// with the answer to the pending GET or the next (client: with the next POST).
    Send {
        /// Where to.
        lane: Lane,
        /// What.
        packet: Packet<'static>,
    },
    /// The probed transport is the current one now.
    ///
    /// The driver drops the polling transport, sends its outbox over the new one, and answers a GET that is still
    /// pending with 400, as clients that keep to the protocol have none.
    Upgraded {
        /// The transport that is left.
        from: TransportKind,
        /// The transport that is taken.
        to: TransportKind,
    },
    /// Send what is left in the outbox, then end this side's half of the stream: nothing more is to be sent.
    EndHalf,
    /// Close the probed transport, if it is not closed yet; the session stays on the current one.
    CloseProbe,
    /// The session is closed; nothing comes after this.
    ///
    /// If [`Session::is_graceful`](crate::Session::is_graceful) the driver sends what is left in its outbox first, for as long as it thinks fit.
    /// Otherwise it sends only the control packets that came out since the last input. Then it closes the transport.
    Closed(CloseReason),
}

/// What a session has to say, in order.
///
/// That is nothing but a few times a minute, and most sessions are idle: so it is one pointer then.
#[derive(Debug, Default)]
pub(super) struct Outputs(
    #[expect(
        clippy::box_collection,
        reason = "a queue is four words, and idle sessions have none"
    )]
    Option<Box<VecDeque<Output>>>,
);

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.0.get_or_insert_default().push_back(output);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        let queue = self.0.as_mut()?;
        let output = queue.pop_front();
        if queue.is_empty() {
            self.0 = None;
        }
        output
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn contains(&self, output: &Output) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.contains(output))
    }
}

/// What to do with a GET; see [`Session::begin_poll`](crate::Session::begin_poll).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PollVerdict {
    /// Hold it: answer once there is something to send (perhaps at once), and call [`Session::end_poll`](crate::Session::end_poll) then.
    Hold,
    /// Answer it now, with what is in the outbox, or with a noop if that is empty. It does not count as pending: no
    /// [`Session::end_poll`](crate::Session::end_poll).
    AnswerNoop,
    /// Refuse it.
    Refuse(RequestError),
}
