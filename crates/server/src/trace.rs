//! What is logged of sockets.
//!
//! Who comes and goes is told at the level of info, as long as it is news of that connection: peers write
//! these lines. Sessions, rooms, events and answers in detail are told at debug, what is emitted at trace. Logs are read by others than the application: what an event
//! carries does not get there, nor does an id from which the session could be had. Where nobody
//! listens, each of these costs one look at an atomic.

use std::fmt;

use sockeye_engine::{SessionId, TransportKind};
use sockeye_events::{DisconnectReason, Refusal};

use crate::Socket;
use crate::link::Link;

/// At info if it is news, at debug otherwise.
macro_rules! tell {
    ($is_news:expr, $($what:tt)*) => {
        match $is_news {
            true => tracing::info!($($what)*),
            false => tracing::debug!($($what)*),
        }
    };
}

/// A session has begun; no socket of it is connected yet.
pub(crate) fn opened(link: &Link) {
    tracing::debug!(
        transport = link.session.transport().name(),
        revision = link.revision_name(),
        remote = link.request.remote_addr().map(tracing::field::display),
        "session opened"
    );
}

/// Another transport carries it from now on.
pub(crate) fn upgraded(to: TransportKind) {
    tracing::debug!(transport = to.name(), "session upgraded");
}

pub(crate) fn closed(link: &Link, reason: DisconnectReason) {
    tracing::debug!(
        transport = link.session.transport().name(),
        %reason,
        lasted = ?link.request.time().elapsed().unwrap_or_default(),
        "session closed"
    );
}

pub(crate) fn connected(socket: &Socket) {
    tell!(
        socket.link().coming.is_news(),
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        transport = socket.link().session.transport().name(),
        recovered = socket.recovered().then_some(true),
        "connected"
    );
}

pub(crate) fn refused(socket: &Socket, refusal: &Refusal) {
    let namespace = socket.namespace().name();
    tell!(
        socket.link().coming.is_news(),
        namespace,
        reason = refusal.message(),
        "refused"
    );
}

pub(crate) fn no_namespace(link: &Link, name: &str, reason: &str) {
    tell!(link.coming.is_news(), namespace = %Short(name), reason, "refused");
}

/// What was missed since the connection was lost is sent to a socket that is back.
pub(crate) fn missed(socket: &Socket, events: usize) {
    tracing::debug!(
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        events,
        "missed events are sent"
    );
}

/// `is_kept` if it may come back.
pub(crate) fn disconnected(socket: &Socket, reason: DisconnectReason, is_kept: bool) {
    tell!(
        socket.link().going.is_news(),
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        %reason,
        kept = is_kept.then_some(true),
        "disconnected"
    );
}

/// An event has come. It may have to wait until it is its turn.
pub(crate) fn event<'s>(
    socket: impl Fn() -> Option<&'s Socket>,
    name: &str,
    bytes: impl FnOnce() -> usize,
    ack_id: Option<u64>,
) {
    tracing::debug!(
        id = socket().map(Socket::loggable_id),
        namespace = socket().map(|socket| socket.namespace().name()),
        event = %Short(name),
        bytes = bytes(),
        wants_ack = ack_id.is_some(),
        "event"
    );
}

/// The answer to an event has come; whether somebody has waited for it.
pub(crate) fn answer(socket: &Socket, ack_id: u64, bytes: usize, is_awaited: bool) {
    tracing::debug!(
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        ack_id,
        bytes,
        awaited = is_awaited,
        "answer"
    );
}

pub(crate) fn joined(socket: &Socket, room: &str) {
    tracing::debug!(
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        room = %Room(room),
        "joined a room"
    );
}

pub(crate) fn left(socket: &Socket, room: &str) {
    tracing::debug!(
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        room = %Room(room),
        "left a room"
    );
}

pub(crate) fn emitted(socket: &Socket, name: &str, wants_ack: bool) {
    tracing::trace!(
        id = socket.loggable_id(),
        namespace = socket.namespace().name(),
        event = name,
        wants_ack,
        "emit"
    );
}

pub(crate) fn broadcast(namespace: &str, name: &str, receivers: usize) {
    tracing::trace!(namespace, event = name, receivers, "broadcast");
}

/// The beginning of a text that may be as long as a peer likes.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(self.0),
        }
    }
}

const MAX_SHOWN: usize = 80;

/// A room's name. That may be the id of a socket, and nothing tells whether this is one of an old
/// client, in which the session's is.
struct Room<'a>(&'a str);

impl fmt::Display for Room<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.rsplit('#').next().unwrap_or_default();
        match SessionId::parse(last) {
            Some(_) => f.write_str("(an id)"),
            None => Short(self.0).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_shown_as_names_of_rooms() {
        for id in ["abcdefghij0123456789", "/chat#abcdefghij0123456789"] {
            assert_eq!(Room(id).to_string(), "(an id)");
        }
        assert_eq!(Room("lobby").to_string(), "lobby");
        let long = "ä".repeat(100);
        assert_eq!(Room(&long).to_string(), "ä".repeat(80) + "…");
    }
}
