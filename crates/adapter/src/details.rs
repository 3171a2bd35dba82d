//! Sockets as other servers see them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What servers tell each other of a socket. Serialised, it has the form that Node's servers give it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SocketDetails {
    /// The id.
    pub id: String,
    /// How it introduced itself.
    #[serde(default)]
    pub handshake: HandshakeDetails,
    /// The rooms that it was in when it was asked for; its id is one.
    #[serde(default)]
    pub rooms: Vec<String>,
    /// What the application has stored with it for all servers to see; an empty object if nothing.
    #[serde(default = "empty")]
    pub data: Value,
}

/// How a socket introduced itself, as Node's servers tell it.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HandshakeDetails {
    /// The headers of the request that opened the connection: names in small letters; the values are texts, or lists of texts.
    pub headers: Map<String, Value>,
    /// When that was, as text for people.
    pub time: String,
    /// The peer's address; empty if it has none.
    pub address: String,
    /// The request came from a page of some origin.
    pub xdomain: bool,
    /// It came over TLS.
    pub secure: bool,
    /// When it was, in milliseconds since 1970.
    pub issued: u64,
    /// The request's URL.
    pub url: String,
    /// Its query.
    pub query: Map<String, Value>,
    /// What the client sent as `auth`.
    pub auth: Value,
    /// What a server of another kind has added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl SocketDetails {
    /// A socket with this id, of which nothing else is known.
    #[must_use]
    pub fn new(id: String) -> Self {
        Self {
            id,
            handshake: HandshakeDetails::default(),
            rooms: Vec::new(),
            data: empty(),
        }
    }
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// Without the id, which may be secret, and without what may be personal.
impl fmt::Debug for SocketDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketDetails")
            .field("rooms", &self.rooms.len())
            .finish_non_exhaustive()
    }
}

/// Without what may be secret: headers, query, `auth`.
impl fmt::Debug for HandshakeDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeDetails")
            .field("address", &self.address)
            .field("time", &self.time)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}
