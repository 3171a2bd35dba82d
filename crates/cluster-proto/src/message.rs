//! What servers tell each other, whatever the dialect.

use std::borrow::Cow;
use std::sync::Arc;

use crate::legacy::{LegacyAnswer, LegacyId, LegacyRequest};
use crate::session::SessionMark;
use crate::{Event, NodeId, Opts, RequestId, Value};

/// A message that has come from another server.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Who has sent it; `None` where the dialect does not say, as in the answers of the classic one.
    pub from: Option<NodeId>,
    /// The namespace that it is about; `None` if the message does not say it, so that the channel does.
    pub namespace: Option<Cow<'static, str>>,
    /// What it says.
    pub message: Message,
}

/// What servers tell each other about one namespace.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Message {
    /// A node has come, and wants to hear of all others: each answers with a [`Heartbeat`](Self::Heartbeat) at once.
    Hello,
    /// A node is alive.
    Heartbeat,
    /// A node goes, and is not to be waited for any more.
    Close,
    /// An event for sockets.
    Broadcast {
        /// The event.
        event: Event,
        /// Whom it is for, and how it is sent.
        opts: Opts,
        /// The receivers are to answer: each node says with [`ClientCount`](Self::ClientCount) how many it asks, nobody
        /// included, and with one [`BroadcastAck`](Self::BroadcastAck) each what they say.
        request: Option<RequestId>,
    },
    /// Sockets are put into rooms.
    Join {
        /// Which sockets.
        opts: Opts,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Sockets are taken out of rooms.
    Leave {
        /// Which sockets.
        opts: Opts,
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// Sockets are disconnected.
    Disconnect {
        /// Which sockets.
        opts: Opts,
        /// Together with their connections.
        close: bool,
    },
    /// Each node is to tell of its sockets, with [`Sockets`](Self::Sockets).
    FetchSockets {
        /// What the answers refer to.
        request: RequestId,
        /// Which sockets.
        opts: Opts,
    },
    /// The sockets of one node.
    Sockets {
        /// What this answers.
        request: RequestId,
        /// A list of objects with `id`, `handshake`, `rooms` and `data`.
        sockets: Value,
    },
    /// An event for the servers themselves.
    ServerSideEmit {
        /// The event.
        event: Event,
        /// Each node is to answer, with [`ServerSideAnswer`](Self::ServerSideAnswer).
        request: Option<RequestId>,
    },
    /// What a server says to such an event.
    ServerSideAnswer {
        /// What this answers.
        request: RequestId,
        /// The first argument of the acknowledgement, if it had any.
        answer: Option<Value>,
    },
    /// So many sockets of one node have been asked.
    ClientCount {
        /// What this answers.
        request: RequestId,
        /// How many.
        count: u64,
    },
    /// One of them has answered. This may come before the count.
    BroadcastAck {
        /// What this answers.
        request: RequestId,
        /// The first argument of the acknowledgement, if it had any.
        answer: Option<Value>,
    },
    /// A socket has lost its connection and may come back to any node, or has. Only MongoDB carries this, as nothing else
    /// keeps messages for it.
    Session(SessionMark),
    /// A request in a form that servers had before, which they still send to us.
    Legacy {
        /// What the answers refer to.
        request: LegacyId,
        /// The request.
        what: LegacyRequest,
    },
    /// The answer to such a one.
    LegacyAnswer {
        /// What this answers.
        request: LegacyId,
        /// The answer.
        answer: LegacyAnswer,
    },
}

impl Message {
    /// Whether there are bytes in the event, answer or sockets, which JSON has no word for.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        match self {
            Self::Broadcast { event, .. } | Self::ServerSideEmit { event, .. } => event.has_bytes(),
            Self::Sockets { sockets, .. } => sockets.has_bytes(),
            Self::Session(SessionMark::Kept(session)) => {
                session.data.as_ref().is_some_and(Value::has_bytes)
            }
            Self::ServerSideAnswer { answer, .. } | Self::BroadcastAck { answer, .. } => {
                answer.as_ref().is_some_and(Value::has_bytes)
            }
            _ => false,
        }
    }

    /// The request that this message answers, if it is an answer.
    #[must_use]
    pub fn answers(&self) -> Option<&RequestId> {
        match self {
            Self::Sockets { request, .. }
            | Self::ServerSideAnswer { request, .. }
            | Self::ClientCount { request, .. }
            | Self::BroadcastAck { request, .. } => Some(request),
            Self::LegacyAnswer { request, .. } => Some(&request.id),
            _ => None,
        }
    }
}
