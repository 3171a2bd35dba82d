//! The types of packets.

/// What kind of packet it is; the number is its first character on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Joins a namespace, or says that it has been joined.
    Connect = 0,
    /// Leaves a namespace.
    Disconnect = 1,
    /// A named message.
    Event = 2,
    /// The answer to an event that carried an id.
    Ack = 3,
    /// The server refuses a namespace (called ERROR in revision 4).
    ConnectError = 4,
    /// An event with attachments.
    BinaryEvent = 5,
    /// An acknowledgement with attachments.
    BinaryAck = 6,
}

impl PacketType {
    /// The type's character on the wire.
    #[must_use]
    pub fn digit(self) -> u8 {
        b'0' + self as u8
    }

    pub(crate) fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }
}
