use crate::close_code;
use crate::opcode::OpCode;
use crate::utf8::InvalidUtf8;

/// What the peer did wrong; the connection cannot go on.
///
/// Answer with a close frame of [`close_code`](Self::close_code) and drop the connection (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set although no agreed extension gives it a meaning (§5.2).
    #[error("reserved bits {0:#04x} set in the header of a {1} frame")]
    ReservedBits(u8, OpCode),
    /// An opcode that the RFC keeps for later (§5.2).
    #[error("reserved opcode {0:#x}")]
    ReservedOpCode(u8),
    /// A client sent a frame without a mask (§5.1).
    #[error("unmasked {0} frame from a client")]
    Unmasked(OpCode),
    /// A server sent a frame with a mask (§5.1).
    #[error("masked {0} frame from a server")]
    Masked(OpCode),
    /// A close, ping or pong without FIN (§5.5).
    #[error("fragmented {0} frame")]
    FragmentedControl(OpCode),
    /// A close, ping or pong of more than 125 bytes (§5.5).
    #[error("{0} frame longer than 125 bytes")]
    ControlTooLong(OpCode),
    /// A length written in more bytes than it needs (§5.2).
    #[error("payload length {0} is not written in its shortest form")]
    LengthNotMinimal(u64),
    /// A 64-bit length with its top bit set (§5.2).
    #[error("payload length with its top bit set")]
    LengthTopBit,
    /// A continuation frame although no message is under way (§5.4).
    #[error("continuation frame outside a fragmented message")]
    UnexpectedContinuation,
    /// A new message although the one before has not ended (§5.4).
    #[error("{0} frame inside a fragmented message")]
    ExpectedContinuation(OpCode),
    /// Text, or the reason of a close frame, that is not UTF-8 (§8.1).
    #[error("{op} payload is not UTF-8: {error}")]
    InvalidUtf8 {
        /// [`OpCode::Text`] or [`OpCode::Close`].
        op: OpCode,
        /// Where in the message, or in the close reason.
        error: InvalidUtf8,
    },
    /// A close frame of one byte: too short for a status code (§5.5.1).
    #[error("close frame with a payload of one byte")]
    TruncatedCloseCode,
    /// A status code that must not appear on the wire (§7.4).
    #[error("close frame with the invalid status code {0}")]
    InvalidCloseCode(u16),
    /// A frame longer than [`Limits::max_frame`](crate::Limits::max_frame).
    #[error("frame of {len} bytes is longer than the limit of {limit} bytes")]
    FrameTooBig {
        /// Payload length that the header announces, in bytes.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A message, perhaps in fragments or when it is decompressed, longer than [`Limits::max_message`](crate::Limits::max_message).
    #[error("message of at least {len} bytes is longer than the limit of {limit} bytes")]
    MessageTooBig {
        /// Length of what has come or come out of it so far, in bytes.
        len: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// A compressed message that cannot be decompressed (RFC 7692 §7.2.2).
    #[error("compressed message is not in deflate format")]
    Inflate,
    /// A message in more fragments than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("message in more fragments than the limit of {limit}")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
}

impl ProtocolError {
    /// The status code of the close frame to answer with: 1002, 1007 or 1009 (RFC 6455 §7.4.1).
    pub const fn close_code(&self) -> u16 {
        match self {
            Self::InvalidUtf8 { .. } | Self::Inflate => close_code::INVALID_PAYLOAD,
            Self::FrameTooBig { .. }
            | Self::MessageTooBig { .. }
            | Self::TooManyFragments { .. } => close_code::TOO_BIG,
            _ => close_code::PROTOCOL_ERROR,
        }
    }
}
