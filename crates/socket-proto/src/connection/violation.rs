//! How a peer can break the protocol.

use crate::decode_error::DecodeError;

use crate::packet_type::PacketType;
use crate::parser::ParserError;

/// How a peer broke the protocol. It always costs the connection; [`is_decode_error`](Self::is_decode_error) says
/// how the application is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A text message is not a packet.
    #[error(transparent)]
    Decode(
        /// What is wrong with it.
        #[from]
        DecodeError,
    ),
    /// A message is none of the format that the [parser](crate::parser) reads.
    #[error(transparent)]
    Parser(
        /// What is wrong with it.
        #[from]
        ParserError,
    ),
    /// A text message came although the packet before it lacks attachments.
    #[error("text instead of an attachment, of which {owed} are owed")]
    TextDuringAttachments {
        /// How many are owed.
        owed: usize,
    },
    /// A binary message came although no packet waits for one.
    #[error("binary message that is no attachment")]
    UnexpectedBinary,
    /// The attachments of one packet are too large together.
    #[error("attachments of more than {max} bytes")]
    AttachmentsTooLarge {
        /// The limit in force.
        max: usize,
    },
    /// A CONNECT to a namespace that the peer is in or is joining.
    #[error("second connect to {namespace}")]
    ConnectTwice {
        /// Which.
        namespace: Box<str>,
    },
    /// Another packet for a namespace that the peer is not in.
    #[error("{kind:?} for {namespace}, which is not joined")]
    NotJoined {
        /// What it was.
        kind: PacketType,
        /// For which.
        namespace: Box<str>,
    },
    /// A client sent a refusal, which only servers do.
    #[error("connect error sent by a client")]
    ConnectErrorFromClient,
    /// The peer joins too many namespaces.
    #[error("more than {max} namespaces")]
    TooManyNamespaces {
        /// The limit in force.
        max: u16,
    },
    /// The peer joins a namespace with too long a name.
    #[error("namespace of more than {max} bytes")]
    NamespaceTooLong {
        /// The limit in force.
        max: u16,
    },
    /// The peer joined no namespace in time.
    #[error("no namespace was joined in time")]
    ConnectTimeout,
}

impl Violation {
    /// Whether it is a packet that cannot be read, as opposed to one that comes at the wrong moment. The reference
    /// reports the former as an `error` event on every socket of the connection before it closes it.
    #[must_use]
    pub fn is_decode_error(&self) -> bool {
        match self {
            Self::Decode(_)
            | Self::Parser(_)
            | Self::TextDuringAttachments { .. }
            | Self::UnexpectedBinary
            | Self::AttachmentsTooLarge { .. } => true,
            Self::ConnectTwice { .. }
            | Self::NotJoined { .. }
            | Self::ConnectErrorFromClient
            | Self::TooManyNamespaces { .. }
            | Self::NamespaceTooLong { .. }
            | Self::ConnectTimeout => false,
        }
    }

    /// The reason with which the sockets of the connection end, in the reference's words.
    #[must_use]
    pub fn disconnect_reason(&self) -> &'static str {
        if self.is_decode_error() {
            "forced close"
        } else {
            "forced server close"
        }
    }
}
