//! Length-prefixed frames: one packet each, on WebTransport, TCP and Unix streams.
//!
//! # Wire format
//!
//! The first byte holds the binary flag (bit 7) and the length (bits 0 to 6). A length of 126 means that the next two
//! bytes hold it, 127 that the next eight do, both big-endian. A text frame holds an Engine.IO 4 packet with its type
//! digit, a binary frame the bare bytes of a message. A frame is never empty. Peers that have agreed on it may also send
//! [compressed] ones.

pub mod compressed;

use std::ops::Deref;

use crate::text::utf8;
use crate::{Packet, PacketError, Revision, WireKind};

/// Bytes of the longest header.
pub const MAX_HEADER: usize = 9;

/// One frame, borrowed from the buffer it was decoded from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'b> {
    /// A text packet.
    Text(&'b str),
    /// A binary message.
    Binary(&'b [u8]),
}

impl<'b> Frame<'b> {
    /// The packet inside.
    ///
    /// # Errors
    ///
    /// See [`Packet::decode_text`]; binary frames are always messages.
    pub fn packet(self) -> Result<Packet<'b>, PacketError> {
        match self {
            Self::Text(text) => Packet::decode_text(Revision::V4, text),
            Self::Binary(data) => Packet::decode_binary(Revision::V4, data),
        }
    }
}

/// What [`decode`] found at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'b> {
    /// A whole frame; the first `used` bytes of the buffer are done with.
    Frame {
        /// The frame.
        frame: Frame<'b>,
        /// Its bytes, header included.
        used: usize,
    },
    /// Call again with more bytes.
    NeedMore {
        /// Bytes, counted from the start of the buffer, without which there is no next step: those of the header until
        /// the header is complete, then those of the whole frame.
        total: usize,
    },
}

/// Why the bytes are not a frame. The stream is out of step then and must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is 0.
    #[error("frame is empty")]
    Empty,
    /// The length is beyond the limit.
    #[error("frame of {len} bytes exceeds the limit of {max}")]
    TooLarge {
        /// The announced length.
        len: u64,
        /// The limit.
        max: usize,
    },
    /// A text frame is not UTF-8.
    #[error("text frame is not valid utf-8")]
    Utf8,
    /// A compressed frame is not one stream of deflate and nothing else.
    #[error("compressed frame is not valid deflate")]
    Inflate,
    /// More comes out of a compressed frame than the limit allows.
    #[error("compressed frame holds more than the limit of {max} bytes")]
    InflatedTooLarge {
        /// The limit.
        max: usize,
    },
}

/// Looks for one frame at the front of `buf`. Nothing is remembered between calls, so a decoder costs nothing while its
/// stream is idle.
///
/// # Errors
///
/// See [`FrameError`]. A frame that is too large is refused as soon as its header is there.
pub fn decode(buf: &[u8], max_payload: usize) -> Result<Decoded<'_>, FrameError> {
    let (kind, payload, used) = match decode_raw(buf, max_payload)? {
        Raw::NeedMore { total } => return Ok(Decoded::NeedMore { total }),
        Raw::Frame {
            kind,
            payload,
            used,
        } => (kind, payload, used),
    };
    let frame = match kind {
        WireKind::Text => Frame::Text(utf8(payload).ok_or(FrameError::Utf8)?),
        WireKind::Binary => Frame::Binary(payload),
    };
    Ok(Decoded::Frame { frame, used })
}

/// How many bytes the frame has whose header stands at the front of `buf`, [compressed] or not; `None` if the header is
/// cut off.
///
/// For somebody who has encoded frames and wants to know where one ends.
#[must_use]
pub fn frame_len(buf: &[u8]) -> Option<usize> {
    let marker = usize::from(buf.first() == Some(&compressed::MARKER));
    let (header, len) = read_header(&buf[marker..]).ok()?;
    usize::try_from(len).ok()?.checked_add(marker + header)
}

/// Reads the length of the header and that of the payload; fails with how many bytes the header needs.
#[inline]
fn read_header(buf: &[u8]) -> Result<(usize, u64), usize> {
    let Some(&first) = buf.first() else {
        return Err(1);
    };
    let (header, bytes) = match first & LENGTH_BITS {
        LENGTH_IN_2 => (3, buf.get(1..3)),
        LENGTH_IN_8 => (9, buf.get(1..9)),
        short => return Ok((1, u64::from(short))),
    };
    let bytes = bytes.ok_or(header)?;
    let len = bytes
        .iter()
        .fold(0, |len, &byte| len << 8 | u64::from(byte));
    Ok((header, len))
}

/// A frame whose payload was not looked at.
enum Raw<'b> {
    Frame {
        kind: WireKind,
        payload: &'b [u8],
        used: usize,
    },
    NeedMore {
        total: usize,
    },
}

#[inline]
fn decode_raw(buf: &[u8], max_payload: usize) -> Result<Raw<'_>, FrameError> {
    let (header, len) = match read_header(buf) {
        Ok(header) => header,
        Err(total) => return Ok(Raw::NeedMore { total }),
    };
    if len == 0 {
        return Err(FrameError::Empty);
    }
    // Lengths that JavaScript cannot represent (from 2^53 on) are beyond every limit that fits into memory.
    let too_large = FrameError::TooLarge {
        len,
        max: max_payload,
    };
    let len = usize::try_from(len)
        .ok()
        .filter(|&len| len <= max_payload)
        .ok_or(too_large)?;
    let total = len.checked_add(header).ok_or(too_large)?;
    let Some(payload) = buf.get(header..total) else {
        return Ok(Raw::NeedMore { total });
    };
    let kind = match buf[0] & BINARY_FLAG {
        0 => WireKind::Text,
        _ => WireKind::Binary,
    };
    Ok(Raw::Frame {
        kind,
        payload,
        used: total,
    })
}

/// The header of one frame; its bytes are had by dereferencing.
#[derive(Debug, Clone, Copy)]
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

/// The header for a payload of `payload_len` bytes. The length must not be 0: no peer takes an empty frame, and no
/// packet is that short except an empty binary message, which this framing cannot carry.
#[must_use]
pub fn encode_header(kind: WireKind, payload_len: usize) -> Header {
    let flag = match kind {
        WireKind::Text => 0,
        WireKind::Binary => BINARY_FLAG,
    };
    let mut bytes = [0; MAX_HEADER];
    let len = match u16::try_from(payload_len) {
        Ok(short) if short < u16::from(LENGTH_IN_2) => {
            let [_, low] = short.to_be_bytes();
            bytes[0] = flag | low;
            1
        }
        Ok(medium) => {
            bytes[0] = flag | LENGTH_IN_2;
            bytes[1..3].copy_from_slice(&medium.to_be_bytes());
            3
        }
        Err(_) => {
            bytes[0] = flag | LENGTH_IN_8;
            bytes[1..9].copy_from_slice(&(payload_len as u64).to_be_bytes());
            9
        }
    };
    Header { bytes, len }
}

/// Writes the header for `payload_len` bytes that begin at `buf[payload_start]`, so that it ends right in front of them.
/// Returns the index of its first byte.
///
/// # Panics
///
/// There is no room: [`MAX_HEADER`] bytes in front of the payload are always enough.
pub fn prepend_header(
    buf: &mut [u8],
    payload_start: usize,
    payload_len: usize,
    kind: WireKind,
) -> usize {
    let header = encode_header(kind, payload_len);
    let start = payload_start - header.len();
    buf[start..payload_start].copy_from_slice(&header);
    start
}

/// Appends a whole frame to `out`.
pub fn encode_frame(out: &mut Vec<u8>, kind: WireKind, payload: &[u8]) {
    let header = encode_header(kind, payload.len());
    out.reserve(header.len() + payload.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

const BINARY_FLAG: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const LENGTH_IN_2: u8 = 126;
const LENGTH_IN_8: u8 = 127;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_reference_encode_as_given() {
        let frame = |kind, payload: &[u8]| {
            let mut out = Vec::new();
            encode_frame(&mut out, kind, payload);
            out
        };
        assert_eq!(frame(WireKind::Text, b"0"), [1, 0x30]);
        assert_eq!(
            frame(WireKind::Text, "4né".as_bytes()),
            [4, 0x34, 0x6e, 0xc3, 0xa9]
        );
        assert_eq!(frame(WireKind::Binary, &[10, 11]), [0x82, 10, 11]);
        assert_eq!(frame(WireKind::Text, &[b'4'; 300])[..3], [0x7e, 1, 0x2c]);
        assert_eq!(
            frame(WireKind::Binary, &[0; 70_000])[..9],
            [0xff, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
        );
    }

    #[test]
    fn length_of_a_frame_is_told_by_its_header() {
        for len in [1, 125, 126, 65_535, 65_536] {
            let header = encode_header(WireKind::Binary, len);
            assert_eq!(frame_len(&header), Some(header.len() + len));
            assert_eq!(frame_len(&header[..header.len() - 1]), None);
            let compressed = [&[compressed::MARKER], &header[..]].concat();
            assert_eq!(frame_len(&compressed), Some(compressed.len() + len));
        }
        assert_eq!(frame_len(&[0xff; 20]), None);
    }

    #[test]
    fn every_length_class_comes_back() {
        for len in [1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![b'4'; len];
            let mut buf = vec![0; MAX_HEADER];
            buf.extend_from_slice(&payload);
            let start = prepend_header(&mut buf, MAX_HEADER, len, WireKind::Binary);
            let decoded = decode(&buf[start..], 100_000);
            assert_eq!(
                decoded,
                Ok(Decoded::Frame {
                    frame: Frame::Binary(&payload),
                    used: buf.len() - start
                })
            );
        }
    }

    #[test]
    fn a_partial_frame_says_how_much_it_needs() {
        assert_eq!(decode(&[], 10), Ok(Decoded::NeedMore { total: 1 }));
        assert_eq!(decode(&[126, 0], 10), Ok(Decoded::NeedMore { total: 3 }));
        assert_eq!(decode(&[127, 0], 10), Ok(Decoded::NeedMore { total: 9 }));
        assert_eq!(decode(&[5, b'4'], 10), Ok(Decoded::NeedMore { total: 6 }));
    }

    #[test]
    fn bad_frames_are_refused_by_their_header() {
        assert_eq!(decode(&[0], 10), Err(FrameError::Empty));
        assert_eq!(decode(&[0x80], 10), Err(FrameError::Empty));
        assert_eq!(decode(&[126, 0, 0], 10), Err(FrameError::Empty));
        assert_eq!(
            decode(&[11], 10),
            Err(FrameError::TooLarge { len: 11, max: 10 })
        );
        assert!(matches!(
            decode(&[0xff; 9], usize::MAX),
            Err(FrameError::TooLarge { len: u64::MAX, .. })
        ));
        assert_eq!(decode(&[1, 0xff], 10), Err(FrameError::Utf8));
    }
}
