//! What a client's connection hands to the application.

use std::borrow::Cow;

use crate::args::IncomingArgs;
use crate::connection::NamespaceKey;
use crate::connection::delivery::Delivery;

/// Something for the application of a client to do.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientInput<'a> {
    /// The server has let us into a namespace.
    Connected {
        /// Which.
        key: NamespaceKey,
        /// The socket's id there. Always there in revision 5; in revision 4 the client derives it from the session's id.
        sid: Option<Cow<'a, str>>,
        /// The secret id under which the session can be restored later. The session was restored now if it is the one
        /// that had been presented.
        pid: Option<Cow<'a, str>>,
        /// The offset to show with it as long as no event has come. Servers of our kind tell it to a new socket.
        offset: Option<Cow<'a, str>>,
    },
    /// The server does not let us into a namespace, which may be asked for again under another key.
    ///
    /// Also told of a join that was given up before the server answered. After a refusal of `/`, servers of revision 4
    /// leave requests for other namespaces unanswered.
    Refused {
        /// Which.
        key: NamespaceKey,
        /// Why; may be empty.
        message: Cow<'a, str>,
        /// More about it: JSON, known to be valid. In revision 4 all that was said if it was more than a message.
        data: Option<&'a str>,
    },
    /// A server of Socket.IO 2 was asked in the words of a later protocol: it has let us into a namespace, but the
    /// socket has no id, so that we are not in. The namespace may be asked for again under another key.
    TooOld {
        /// Which.
        key: NamespaceKey,
    },
    /// The server reports an error to a socket that stays connected, such as a middleware's that has refused an event
    /// (revision 4, and where it was [asked for](crate::ClientConnection::with_peer_errors)).
    Error {
        /// Where.
        key: NamespaceKey,
        /// As with [`Refused`](Self::Refused).
        message: Cow<'a, str>,
        /// As with [`Refused`](Self::Refused).
        data: Option<&'a str>,
    },
    /// The server reports an error that concerns the sockets of all namespaces (revision 4): one of `/`, unless it
    /// answers an attempt to join that.
    ErrorOfAll {
        /// As with [`Refused`](Self::Refused).
        message: Cow<'a, str>,
        /// As with [`Refused`](Self::Refused).
        data: Option<&'a str>,
        /// Whether the server has refused to let us into `/`, which nobody here had asked for. What comes after a
        /// refusal of `/`, comes after this one as well.
        refused: bool,
    },
    /// The server emits. It may do so while the namespace is still being joined: a session that is being restored gets
    /// what it has missed before it hears that it is connected.
    Event {
        /// Where.
        key: NamespaceKey,
        /// The event's name, never a reserved one.
        name: Cow<'a, str>,
        /// Its arguments.
        args: IncomingArgs<'a>,
        /// The id to acknowledge, if the server wants that.
        ack_id: Option<u64>,
    },
    /// The server acknowledges an event of ours. The id may be one that nobody waits for.
    Ack {
        /// Where.
        key: NamespaceKey,
        /// The id that the event carried.
        id: u64,
        /// The answer.
        args: IncomingArgs<'a>,
    },
    /// The server has made us leave a namespace. The key is of no use afterwards.
    Disconnected {
        /// Which.
        key: NamespaceKey,
    },
    /// The server has let us into a namespace that was [left](crate::ClientConnection::leave) before it answered. The
    /// caller sends the DISCONNECT packet that it owes, and may join the namespace again then.
    Abandoned {
        /// Which; its [name](crate::ClientConnection::namespace) is still known.
        key: NamespaceKey,
    },
}

impl ClientInput<'_> {
    /// The namespace that it is about, unless it is about all of them.
    #[must_use]
    pub fn key(&self) -> Option<NamespaceKey> {
        match self {
            Self::Connected { key, .. }
            | Self::Refused { key, .. }
            | Self::TooOld { key }
            | Self::Error { key, .. }
            | Self::Event { key, .. }
            | Self::Ack { key, .. }
            | Self::Disconnected { key }
            | Self::Abandoned { key } => Some(*key),
            Self::ErrorOfAll { .. } => None,
        }
    }
}

impl<'a> Delivery<'a> for ClientInput<'a> {
    #[inline]
    fn event(
        key: NamespaceKey,
        name: Cow<'a, str>,
        args: IncomingArgs<'a>,
        ack_id: Option<u64>,
    ) -> Self {
        Self::Event {
            key,
            name,
            args,
            ack_id,
        }
    }

    #[inline]
    fn ack(key: NamespaceKey, id: u64, args: IncomingArgs<'a>) -> Self {
        Self::Ack { key, id, args }
    }
}

/// When the DISCONNECT packet of a namespace that is [left](crate::ClientConnection::leave) is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the server does not know that the namespace was left before it is told"]
pub enum Leaving {
    /// At once.
    Now,
    /// When [`ClientInput::Abandoned`] comes, and not at all if [`ClientInput::Refused`] does: servers close the whole
    /// session when a namespace that they have not let anybody into is left.
    OnceAnswered,
    /// Not at all: the key is that of a stay that is over.
    NotThere,
}
