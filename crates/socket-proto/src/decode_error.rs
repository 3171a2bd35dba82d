//! Why something is not a packet.

use crate::packet_type::PacketType;
use crate::scan::ScanError;

/// Why a text is not a packet. The blame is the peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The text has no characters.
    #[error("the packet is empty")]
    Empty,
    /// The first character is not a digit from 0 to 6.
    #[error("{0:?} is not a packet type")]
    UnknownType(char),
    /// A binary packet does not start with a decimal count of at least 1 and a hyphen.
    #[error("the attachment count is not a positive number followed by a hyphen")]
    AttachmentCount,
    /// The packet announces more attachments than are allowed.
    #[error("more than {max} attachments")]
    TooManyAttachments {
        /// The limit in force.
        max: usize,
    },
    /// A placeholder stands for an attachment that the packet does not have, or its number is none.
    #[error("a placeholder for none of the {attachments} attachments")]
    Placeholder {
        /// How many there are.
        attachments: usize,
    },
    /// Two placeholders stand for the same attachment, which no encoder writes.
    #[error("two placeholders for attachment {num}")]
    SharedAttachment {
        /// Which one, counted from 0.
        num: usize,
    },
    /// What has attachments is nested too deeply for their places to be found.
    #[error("a packet with attachments is nested too deeply")]
    TooDeep,
    /// The namespace has no slash in front, or a comma inside. Only another [parser](crate::parser) can read such a one.
    #[error("{0:?} is not a namespace")]
    Namespace(Box<str>),
    /// The acknowledgement id does not fit into 64 bits.
    #[error("the acknowledgement id is too large")]
    AckId,
    /// The JSON has the wrong type for this kind of packet, or must not be there.
    #[error("a {kind:?} packet cannot carry this payload")]
    Payload {
        /// The packet's type.
        kind: PacketType,
    },
    /// The payload of an event or acknowledgement is not an array.
    #[error("the payload is not an array")]
    NotAnArray,
    /// The first item of an event is neither a string nor a number.
    #[error("the first item of an event is not its name")]
    NoEventName,
    /// The event has a name that must not travel.
    #[error("the event name {0:?} is reserved")]
    ReservedEvent(Box<str>),
    /// The JSON is broken.
    #[error("broken JSON at byte {at} of the payload: expected {expected}")]
    Json {
        /// Offset in the packet's JSON.
        at: usize,
        /// What should have been there.
        expected: &'static str,
    },
}

impl DecodeError {
    pub(crate) fn json(base: usize, error: ScanError) -> Self {
        Self::Json {
            at: base + error.at,
            expected: error.expected,
        }
    }
}
