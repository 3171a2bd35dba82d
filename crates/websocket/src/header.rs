use std::fmt;
use std::ops::Deref;

use crate::error::ProtocolError;
use crate::opcode::OpCode;

/// How many bytes the frame has whose header stands at the front of `bytes`; `None` if the header is cut off
/// or none.
///
/// For somebody who has encoded frames and wants to know where one ends. It does not fit a frame of more bytes than
/// there is memory for.
pub fn frame_len(bytes: &[u8]) -> Option<usize> {
    let [first, second, ..] = *bytes else {
        return None;
    };
    let prefix = Prefix::parse(first, second).ok()?;
    let header = bytes.get(..prefix.header_len())?;
    let payload = usize::try_from(prefix.payload_len(header).ok()?).ok()?;
    header.len().checked_add(payload)
}

/// Length in bytes of the longest frame header: a masked frame of more than 65,535 bytes.
pub const MAX_HEADER: usize = 14;

/// Length in bytes of the longest header that a server writes (servers do not mask).
pub const MAX_SERVER_HEADER: usize = 10;

/// Most payload bytes that a control frame may carry (RFC 6455 §5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;

pub(crate) const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
/// The reserved bit that marks a compressed message (RFC 7692 §7.2.3.1).
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const MASK: u8 = 0x80;

/// The header of one frame, encoded; it dereferences to its bytes.
#[derive(Clone, Copy)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({:02x?})", &**self)
    }
}

/// Encodes the header of an unfragmented frame; `mask` is the key that the payload is masked with.
///
/// Clients must mask every frame with a fresh unpredictable key, servers must not mask (§5.1).
pub fn encode_header(op: OpCode, payload_len: usize, mask: Option<[u8; 4]>) -> Header {
    let mask_bit = if mask.is_some() { MASK } else { 0 };
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = FIN | op.bits();
    let mut len = match LengthForm::of(payload_len) {
        LengthForm::Byte(short) => {
            bytes[1] = mask_bit | short;
            2
        }
        LengthForm::Two(medium) => {
            bytes[1] = mask_bit | TWO_BYTES;
            bytes[2..4].copy_from_slice(&medium);
            4
        }
        LengthForm::Eight(long) => {
            bytes[1] = mask_bit | EIGHT_BYTES;
            bytes[2..10].copy_from_slice(&long);
            10
        }
    };
    if let Some(key) = mask {
        bytes[usize::from(len)..usize::from(len) + 4].copy_from_slice(&key);
        len += 4;
    }
    Header { bytes, len }
}

/// The shortest way to write a payload length, the only one that the RFC allows.
///
/// The longer forms are in network byte order and stand behind [`TWO_BYTES`] or [`EIGHT_BYTES`].
pub(crate) enum LengthForm {
    Byte(u8),
    Two([u8; 2]),
    Eight([u8; 8]),
}

impl LengthForm {
    #[inline]
    pub(crate) fn of(payload_len: usize) -> Self {
        match (u8::try_from(payload_len), u16::try_from(payload_len)) {
            (Ok(short), _) if short < TWO_BYTES => Self::Byte(short),
            (_, Ok(medium)) => Self::Two(medium.to_be_bytes()),
            _ => Self::Eight((payload_len as u64).to_be_bytes()),
        }
    }
}

/// How long a header is, by its second byte.
#[inline]
pub(crate) const fn header_len(second: u8) -> usize {
    let extended = match second & !MASK {
        TWO_BYTES => 2,
        EIGHT_BYTES => 8,
        _ => 0,
    };
    2 + extended + if second & MASK == 0 { 0 } else { 4 }
}

/// Values of the 7-bit length that announce a longer one behind it.
pub(crate) const TWO_BYTES: u8 = 126;
pub(crate) const EIGHT_BYTES: u8 = 127;

/// The first two bytes of a frame, taken apart; valid on their own, not yet in their context.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) fin: bool,
    /// The three reserved bits, in place (0x40 is RSV1).
    pub(crate) rsv: u8,
    pub(crate) op: OpCode,
    pub(crate) masked: bool,
    length: u8,
}

impl Prefix {
    /// Takes the two bytes apart. They come first in every frame, so what can be refused by them is
    /// refused before the rest of the header has come.
    #[inline]
    pub(crate) fn parse(first: u8, second: u8) -> Result<Self, ProtocolError> {
        let bits = first & 0x0f;
        let op = OpCode::from_bits(bits).ok_or(ProtocolError::ReservedOpCode(bits))?;
        let prefix = Self {
            fin: first & FIN != 0,
            rsv: first & RSV,
            op,
            masked: second & MASK != 0,
            length: second & !MASK,
        };
        if op.is_control() {
            if !prefix.fin {
                return Err(ProtocolError::FragmentedControl(op));
            }
            if usize::from(prefix.length) > MAX_CONTROL_PAYLOAD {
                return Err(ProtocolError::ControlTooLong(op));
            }
        }
        Ok(prefix)
    }

    #[inline]
    pub(crate) fn header_len(self) -> usize {
        header_len(self.length | if self.masked { MASK } else { 0 })
    }

    /// Reads the payload length out of a complete header.
    ///
    /// # Panics
    ///
    /// If `header` is shorter than [`header_len`](Self::header_len).
    #[inline]
    pub(crate) fn payload_len(self, header: &[u8]) -> Result<u64, ProtocolError> {
        let (length, shortest) = match self.length {
            TWO_BYTES => {
                let length = u16::from_be_bytes([header[2], header[3]]);
                (u64::from(length), u64::from(TWO_BYTES))
            }
            EIGHT_BYTES => {
                let bytes = header[2..10].try_into().expect("a range of eight bytes");
                (u64::from_be_bytes(bytes), u64::from(u16::MAX) + 1)
            }
            short => return Ok(u64::from(short)),
        };
        if length >> 63 != 0 {
            return Err(ProtocolError::LengthTopBit);
        }
        if length < shortest {
            return Err(ProtocolError::LengthNotMinimal(length));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
        encode_header(OpCode::Binary, len, mask).to_vec()
    }

    #[test]
    fn length_takes_its_shortest_form() {
        assert_eq!(header(0, None), [0x82, 0]);
        assert_eq!(header(125, None), [0x82, 125]);
        assert_eq!(header(126, None), [0x82, 126, 0, 126]);
        assert_eq!(header(65_535, None), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header(65_536, None), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn length_of_a_frame_is_told_by_its_header() {
        for len in [0, 125, 126, 65_535, 65_536] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = header(len, mask);
                assert_eq!(frame_len(&header), Some(header.len() + len));
                assert_eq!(frame_len(&header[..header.len() - 1]), None);
            }
        }
        assert_eq!(frame_len(&[0xff; 20]), None);
    }

    #[test]
    fn mask_key_ends_the_header() {
        assert_eq!(header(5, Some([1, 2, 3, 4])), [0x82, 0x85, 1, 2, 3, 4]);
        assert_eq!(header(65_536, Some([1, 2, 3, 4])).len(), MAX_HEADER);
        assert_eq!(header(65_536, None).len(), MAX_SERVER_HEADER);
    }

    #[test]
    fn every_op_code_reads_back() {
        let known = (0..16).filter_map(OpCode::from_bits);
        assert_eq!(known.clone().count(), 6);
        for op in known {
            assert_eq!(OpCode::from_bits(op.bits()), Some(op));
        }
    }
}
