//! Frames that begin with their length, as WebTransport and Sockeye's bare streams have them: for both the load and
//! the bare loop on tokio.

use std::ops::Range;

/// Where in the buffer the payload of the frame at its front is, or `None` if it is not all there.
pub(crate) fn parse(buf: &[u8]) -> Option<Range<usize>> {
    let (&first, rest) = buf.split_first()?;
    let (len, start) = match first & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 3),
        127 => {
            let len = u64::from_be_bytes(*rest.first_chunk()?);
            (usize::try_from(len).ok()?, 9)
        }
        short => (usize::from(short), 1),
    };
    let payload = start..len.checked_add(start)?;
    (payload.end <= buf.len()).then_some(payload)
}

/// Appends a text frame.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(len @ ..126), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend(len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_come_back() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let text = vec![b'x'; len];
            let mut frame = Vec::new();
            push_text(&mut frame, &text);
            assert!(parse(&frame[..frame.len() - 1]).is_none());
            let payload = parse(&frame).unwrap();
            assert_eq!(payload.end, frame.len());
            assert_eq!(frame[payload], text);
        }
    }
}
