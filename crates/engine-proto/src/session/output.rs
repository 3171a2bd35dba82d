//! The words a session and its driver share.

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
    /// On [`Lane::Current`] it queues behind the messages accepted before it; on polling that means that it goes out
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
    /// Close the probed transport, if it is not closed yet; the session stays on the current one.
    CloseProbe,
    /// The session is closed; nothing comes after this.
    ///
    /// If [`Session::is_graceful`](crate::Session::is_graceful) the driver sends what is left in its outbox first, for as long as it thinks fit.
    /// Otherwise it sends only the control packets that came out since the last input. Then it closes the transport.
    Closed(CloseReason),
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
