//! What a session means to the layer above it.

use sockeye_engine::{CloseReason, Dialect, Revision};
use sockeye_events::DisconnectReason;
use sockeye_socket_proto::SocketRevision;

/// The revision of Socket.IO that is spoken over a session.
///
/// Whoever speaks lines is in `/` without a word, as peers of revision 4 are.
#[must_use]
pub const fn socket_revision(dialect: Dialect, revision: Revision) -> SocketRevision {
    match (dialect, revision) {
        (Dialect::Lines, _) | (_, Revision::V3) => SocketRevision::V4,
        (Dialect::Packets, Revision::V4) => SocketRevision::V5,
    }
}

/// What the end of a session means for its sockets.
#[must_use]
pub const fn disconnect_reason(reason: CloseReason) -> DisconnectReason {
    match reason {
        CloseReason::TransportClose => DisconnectReason::TransportClose,
        CloseReason::TransportError => DisconnectReason::TransportError,
        CloseReason::PingTimeout => DisconnectReason::PingTimeout,
        CloseReason::ParseError => DisconnectReason::ParseError,
        // The engine's own reasons are all named; this is for ones to come.
        _ => DisconnectReason::ForcedClose,
    }
}
