//! What a connection hands to the application.

use std::borrow::Cow;

use super::delivery::Delivery;
use super::key::NamespaceKey;
use crate::args::IncomingArgs;

/// Something for the application to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The peer wants to join a namespace; to be answered by [`accept`](crate::Connection::accept) or
    /// [`refuse`](crate::Connection::refuse).
    Connect {
        /// Names the namespace from now on.
        key: NamespaceKey,
        /// The namespace, which need not exist.
        namespace: &'a str,
        /// The query on the namespace (revision 4), not decoded.
        query: Option<&'a str>,
        /// A JSON object (revision 5), known to be valid.
        auth: Option<&'a str>,
    },
    /// The peer emits.
    Event {
        /// Where.
        key: NamespaceKey,
        /// The event's name, never a reserved one.
        name: Cow<'a, str>,
        /// Its arguments.
        args: IncomingArgs<'a>,
        /// The id to acknowledge, if the peer wants that.
        ack_id: Option<u64>,
    },
    /// The peer acknowledges an event of ours. The id may be one that nobody waits for.
    Ack {
        /// Where.
        key: NamespaceKey,
        /// The id that the event carried.
        id: u64,
        /// The answer.
        args: IncomingArgs<'a>,
    },
    /// The peer reports an error, such as a middleware's that has refused an event. Only where that was
    /// [asked for](crate::Connection::with_peer_errors).
    Error {
        /// Where.
        key: NamespaceKey,
        /// What it says; may be empty.
        message: Cow<'a, str>,
        /// More about it: JSON, known to be valid.
        data: Option<&'a str>,
    },
    /// The peer has left a namespace. The key is of no use afterwards.
    Disconnect {
        /// Which.
        key: NamespaceKey,
    },
}

impl Input<'_> {
    /// The namespace that it is about.
    #[must_use]
    pub fn key(&self) -> NamespaceKey {
        match self {
            Self::Connect { key, .. }
            | Self::Event { key, .. }
            | Self::Ack { key, .. }
            | Self::Error { key, .. }
            | Self::Disconnect { key } => *key,
        }
    }
}

impl<'a> Delivery<'a> for Input<'a> {
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
