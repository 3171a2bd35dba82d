//! Which of the framings of bare streams a client speaks.

/// What a client speaks, judged by the first byte it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Engine.IO packets in length-prefixed frames: the byte is the length of a short frame.
    Native,
    /// Lines of JSON: the byte is `{` or white space, or begins a byte-order mark.
    Lines,
    /// An HTTP request that lost its way: the byte begins a method.
    Http,
    /// Nothing known.
    Unknown,
}

/// Judges the first byte of a stream.
///
/// White space also is the length of a frame of 9, 10, 13 or 32 bytes. It is taken for lines, because a native client
/// opens with a frame of one byte.
#[must_use]
pub fn dialect_of_first_byte(byte: u8) -> Dialect {
    match byte {
        b'{' | b' ' | b'\t' | b'\n' | b'\r' | 0xef => Dialect::Lines,
        0x01..=0x40 => Dialect::Native,
        b'A'..=b'Z' => Dialect::Http,
        _ => Dialect::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_known_by_its_first_byte() {
        assert_eq!(dialect_of_first_byte(1), Dialect::Native);
        assert_eq!(dialect_of_first_byte(0x40), Dialect::Native);
        for byte in *b"{ \t\r\n\xef" {
            assert_eq!(dialect_of_first_byte(byte), Dialect::Lines);
        }
        for request in ["GET / HTTP/1.1", "POST", "OPTIONS", "PRI * HTTP/2.0"] {
            assert_eq!(dialect_of_first_byte(request.as_bytes()[0]), Dialect::Http);
        }
        for byte in [0, b'[', b'a', b'}', 0x80, 0xff] {
            assert_eq!(dialect_of_first_byte(byte), Dialect::Unknown);
        }
    }
}
