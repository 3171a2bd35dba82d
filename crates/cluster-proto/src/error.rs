//! Why something could not be read or written.

use sockeye_socket_proto::ScanError;
use sockeye_socket_proto::parser::ParserError;

/// Why bytes are not a cluster message, or values not those of an event. The blame is the sender's. Such messages are to be
/// dropped and counted, and nothing more: anybody can be on the other side of the engine, servers of other kinds and
/// versions among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message is longer than the [limit](crate::Limits::max_bytes).
    #[error("more than {max} bytes")]
    TooLong {
        /// The limit in force.
        max: usize,
    },
    /// A list has more items than the [limit](crate::Limits::max_names), or an id more bytes than any server's.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit in force.
        max: usize,
    },
    /// The message has a type that this dialect does not have.
    #[error("an unknown message type {0}")]
    UnknownType(u64),
    /// Something that every message of this type has is not there.
    #[error("a message without {0}")]
    Missing(&'static str),
    /// Something is there, but is not what it should be.
    #[error("{0} expected")]
    Expected(&'static str),
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] ScanError),
    /// It is not `MessagePack`, or what is inside cannot be had as JSON.
    #[error(transparent)]
    MessagePack(#[from] ParserError),
    /// The event has no name, or a reserved one, or arguments that are not JSON.
    #[error(transparent)]
    Event(#[from] sockeye_socket_proto::DecodeError),
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Utf8,
    /// A field that is to be base64 is not.
    #[error("broken base64")]
    Base64,
}

/// Why a cluster message could not be written. The blame is the caller's, or that of whoever sent what is passed on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The arguments of an event, or an answer, cannot be written.
    #[error(transparent)]
    Args(#[from] sockeye_socket_proto::EncodeError),
    /// They cannot be written as `MessagePack`.
    #[error(transparent)]
    MessagePack(#[from] ParserError),
    /// What has been received and was to be passed on is broken.
    #[error("what is passed on is broken")]
    Received(#[source] DecodeError),
    /// Nobody who speaks the dialect would understand this.
    #[error("the dialect has no word for {0}")]
    NoWord(&'static str),
}
