//! Requests of servers that have been there for long. They ask on the same channels of Redis, and in JSON; what they mean
//! depends on how they spell the key of the request's id, as their numbers were given out twice.

use std::sync::Arc;

use crate::{RequestId, Value};

/// What an answer refers to, and how whoever asks wants to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyId {
    /// The request's id.
    pub id: RequestId,
    /// Who has asked.
    pub peer: LegacyPeer,
}

/// A generation of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyPeer {
    /// Of Socket.IO 2, with `socket.io-redis` 5, which say `requestid`.
    V2,
    /// Of Socket.IO 3 and 4, with versions 6 and 7 of the adapter.
    V3,
}

/// What they want to know or have done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LegacyRequest {
    /// The ids of all sockets in any of these rooms, or of all there are.
    SocketIds {
        /// The rooms.
        rooms: Vec<Arc<str>>,
    },
    /// All rooms there are.
    AllRooms,
    /// The rooms of a socket. Who does not have it says nothing, as to all others about a socket.
    RoomsOf {
        /// The socket's id.
        socket: Arc<str>,
    },
    /// A socket is put into a room.
    Join {
        /// The socket's id.
        socket: Arc<str>,
        /// The room.
        room: Arc<str>,
    },
    /// A socket is taken out of a room.
    Leave {
        /// The socket's id.
        socket: Arc<str>,
        /// The room.
        room: Arc<str>,
    },
    /// A socket is disconnected.
    Disconnect {
        /// The socket's id.
        socket: Arc<str>,
        /// Together with its connection.
        close: bool,
    },
    /// Something that the application knows about.
    Custom {
        /// What it is.
        data: Option<Value>,
    },
}

/// What is said to that.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LegacyAnswer {
    /// It has been done, by the one server that has the socket.
    Done,
    /// The ids of sockets.
    SocketIds(Vec<Arc<str>>),
    /// Rooms: of one socket, or all.
    Rooms(Vec<Arc<str>>),
    /// What the application says.
    Custom(Option<Value>),
}

impl LegacyPeer {
    pub(crate) const fn id_key(self) -> &'static str {
        match self {
            Self::V2 => "requestid",
            Self::V3 => "requestId",
        }
    }
}
