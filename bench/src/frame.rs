//! As much of RFC 6455 as both the load and the floor server need: short data frames, no fragments.

use std::ops::Range;

/// A complete frame at the front of a buffer.
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) compressed: bool,
    pub(crate) mask: Option<[u8; 4]>,
    /// Where in the buffer the payload is.
    pub(crate) payload: Range<usize>,
}

pub(crate) const TEXT: u8 = 1;

/// The frame at the front of `buf`, or `None` if it is not all there.
pub(crate) fn parse(buf: &[u8]) -> Option<Frame> {
    let (&[first, second], rest) = buf.split_first_chunk()?;
    let (len, mut start) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => {
            let len = u64::from_be_bytes(*rest.first_chunk()?);
            (usize::try_from(len).ok()?, 10)
        }
        short => (usize::from(short), 2),
    };
    let mask = if second & 0x80 == 0 {
        None
    } else {
        start += 4;
        Some(*buf.get(start - 4..)?.first_chunk()?)
    };
    let payload = start..start.checked_add(len)?;
    (payload.end <= buf.len()).then_some(Frame {
        opcode: first & 0x0f,
        compressed: first & 0x40 != 0,
        mask,
        payload,
    })
}

/// Appends a whole unfragmented text frame.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &[&[u8]], mask: Option<[u8; 4]>) {
    let len: usize = text.iter().map(|part| part.len()).sum();
    let masked = if mask.is_some() { 0x80 } else { 0 };
    out.push(0x80 | TEXT);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..126), _) => out.push(masked | len),
        (_, Ok(len)) => {
            out.push(masked | 126);
            out.extend(len.to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
    let start = out.len();
    for part in text {
        out.extend_from_slice(part);
    }
    if let Some(mask) = mask {
        unmask(&mut out[start..], mask);
    }
}

/// A client's text frame.
pub(crate) fn masked_text(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    // Any key will do for a benchmark; zeros would spare the server the work.
    push_text(
        &mut frame,
        &[text.as_bytes()],
        Some([0x37, 0xfa, 0x21, 0x3d]),
    );
    frame
}

/// Masks or unmasks, which is the same.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_come_back() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let text = "x".repeat(len);
            let mut frame = masked_text(&text);
            assert!(parse(&frame[..frame.len() - 1]).is_none());
            let parsed = parse(&frame).unwrap();
            assert_eq!((parsed.opcode, parsed.payload.end), (TEXT, frame.len()));
            let payload = &mut frame[parsed.payload];
            unmask(payload, parsed.mask.unwrap());
            assert_eq!(payload, text.as_bytes());
        }
    }
}
