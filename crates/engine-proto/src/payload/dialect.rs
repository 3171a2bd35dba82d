//! What a session's peer has shown about the way it reads and writes payloads.

use std::borrow::Cow;

use crate::{Revision, TextEncoding};

/// The payload dialect of one session's peer.
///
/// Under Engine.IO 4 there is only one. Clients of Engine.IO 3 differ: some need every answer in binary framing, some
/// can only take text, and those of Socket.IO 1.x encode text in UTF-8 twice. One value for each session is set up from
/// its first request and learns from the payloads that arrive.
#[derive(Debug, Clone)]
pub struct PayloadDialect {
    revision: Revision,
    /// The peer takes text framing only, with binary in base64.
    base64: bool,
    /// The peer takes binary framing only.
    always_binary: bool,
    text: TextEncoding,
}

impl PayloadDialect {
    /// The dialect of a peer about which nothing else is known.
    ///
    /// Text of Engine.IO 3 that looks as if it was encoded twice is taken to be so; see
    /// [`trust_text`](Self::trust_text).
    #[must_use]
    pub const fn new(revision: Revision) -> Self {
        Self {
            revision,
            base64: false,
            always_binary: false,
            text: TextEncoding::Unknown,
        }
    }

    /// Reads the clues in the query of the request that creates a session: the parameters `t` and `b64`.
    ///
    /// A numeric `t` (`1412000000000-0`) shows a client of Socket.IO 1.3 or older. In browsers those ignore every answer
    /// whose type is not exactly `application/octet-stream`, so they get binary framing unless they asked for base64.
    #[must_use]
    pub fn from_query(revision: Revision, t: Option<&str>, b64: Option<&str>) -> Self {
        let mut dialect = Self::new(revision);
        dialect.base64 = b64.is_some_and(|value| !value.is_empty());
        if revision == Revision::V3 && t.is_some_and(is_numeric_timestamp) {
            dialect.always_binary = true;
            dialect.text = TextEncoding::Twice;
        }
        dialect
    }

    /// Makes the peer get text framing only, with binary in base64. JSONP needs it whatever the query says.
    #[must_use]
    pub const fn force_base64(mut self) -> Self {
        self.base64 = true;
        self
    }

    /// Switches the detection of doubly encoded text off: what arrives is taken as it is.
    ///
    /// With the detection on, text of Engine.IO 3 in which every character is below U+0100 and which reads as UTF-8
    /// when the characters are taken for bytes is decoded once more. A Socket.IO 2.x client that really means such text
    /// (`Ã©`) is misread then; with the detection off, every non-ASCII text of a 1.x client is.
    #[must_use]
    pub const fn trust_text(mut self) -> Self {
        self.text = TextEncoding::Once;
        self
    }

    /// The session's revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether binary messages go to this peer as base64 on every transport.
    #[must_use]
    pub const fn uses_base64(&self) -> bool {
        self.base64
    }

    /// Whether payloads for this peer begin in binary framing; otherwise they change to it with the first binary
    /// packet, unless the peer wants base64.
    ///
    /// Whoever encodes text twice gets it too, as from servers of that time: nothing is encoded twice in it, and browsers with
    /// Socket.IO 1.4 to 1.7 fail at more than some 100 kB in text framing.
    pub(super) const fn begins_binary(&self) -> bool {
        (self.always_binary || self.doubles_text()) && !self.base64
    }

    /// A payload came in binary framing although nothing in it was binary, as only browsers with Socket.IO 1.x send.
    /// Servers of that time answered the same way.
    pub(super) const fn saw_needless_binary_framing(&mut self) {
        self.always_binary = true;
    }

    /// Whether text beyond ASCII has to be encoded twice for this peer, in text framing.
    pub(super) const fn doubles_text(&self) -> bool {
        matches!(self.text, TextEncoding::Twice)
    }

    /// Reads one item of a text payload of Engine.IO 3, and learns from it.
    pub(super) fn read_text<'a>(&mut self, item: &'a str) -> Cow<'a, str> {
        self.text.read(item)
    }
}

/// Digits, a minus sign, digits: milliseconds and a counter.
fn is_numeric_timestamp(t: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    t.split_once('-')
        .is_some_and(|(time, count)| digits(time) && digits(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Encoder, decode};
    use crate::{Limits, Packet, WireKind};

    fn read(dialect: &mut PayloadDialect, body: &str) -> Packet<'static> {
        let mut packets = decode(WireKind::Text, body.as_bytes(), &Limits::default(), dialect);
        packets.next().unwrap().unwrap().into_owned()
    }

    #[test]
    fn doubly_encoded_text_is_recognised() {
        let mut dialect = PayloadDialect::new(Revision::V3);
        assert_eq!(read(&mut dialect, "4:4nÃ©"), Packet::text("né"));
        assert_eq!(dialect.text, TextEncoding::Twice);
    }

    #[test]
    fn detection_can_be_switched_off() {
        let mut dialect = PayloadDialect::new(Revision::V3).trust_text();
        assert_eq!(read(&mut dialect, "4:4nÃ©"), Packet::text("nÃ©"));
    }

    fn framing(dialect: &PayloadDialect, packet: &Packet<'_>) -> WireKind {
        let mut encoder = Encoder::new(dialect, 1000);
        assert!(encoder.push(packet));
        encoder.finish().content
    }

    #[test]
    fn framing_depends_on_content_by_default() {
        for t in [
            None,
            Some("LbR3gQc"),
            Some("LbR3gQc.0"),
            Some("-"),
            Some("12-"),
        ] {
            let dialect = PayloadDialect::from_query(Revision::V3, t, None);
            assert_eq!(framing(&dialect, &Packet::text("a")), WireKind::Text);
            assert_eq!(
                framing(&dialect, &Packet::binary(&[1u8][..])),
                WireKind::Binary
            );
        }
    }

    #[test]
    fn numeric_timestamps_get_binary_framing_unless_base64_was_asked_for() {
        let t = Some("1412000000000-0");
        let browser = PayloadDialect::from_query(Revision::V3, t, None);
        assert_eq!(framing(&browser, &Packet::text("a")), WireKind::Binary);
        let node = PayloadDialect::from_query(Revision::V3, t, Some("1"));
        assert_eq!(framing(&node, &Packet::binary(&[1u8][..])), WireKind::Text);
    }

    #[test]
    fn needless_binary_framing_is_answered_in_kind() {
        let mut dialect = PayloadDialect::new(Revision::V3);
        let with_binary = [1, 2, 255, 4, 1];
        decode(
            WireKind::Binary,
            &with_binary,
            &Limits::default(),
            &mut dialect,
        )
        .for_each(drop);
        assert_eq!(framing(&dialect, &Packet::text("a")), WireKind::Text);
        let text_only = [0, 2, 255, b'4', b'a'];
        decode(
            WireKind::Binary,
            &text_only,
            &Limits::default(),
            &mut dialect,
        )
        .for_each(drop);
        assert_eq!(framing(&dialect, &Packet::text("a")), WireKind::Binary);
    }
}
