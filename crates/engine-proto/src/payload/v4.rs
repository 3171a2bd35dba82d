//! Payloads of Engine.IO 4: text forms joined by the record separator.

use crate::{Packet, PacketError, Revision};

use super::PayloadError;

/// Takes the next packet off the front of `rest`.
pub(super) fn next<'b>(rest: &mut Option<&'b str>) -> Option<Result<Packet<'b>, PayloadError>> {
    let text = (*rest)?;
    let item = match memchr::memchr(SEPARATOR, text.as_bytes()) {
        Some(end) => {
            *rest = Some(&text[end + 1..]);
            &text[..end]
        }
        None => {
            *rest = None;
            text
        }
    };
    Some(Packet::decode_text(Revision::V4, item).map_err(PacketError::into))
}

/// The ASCII record separator. A packet never holds one: JSON escapes it, and base64 has no use for it.
pub(super) const SEPARATOR: u8 = 0x1e;
