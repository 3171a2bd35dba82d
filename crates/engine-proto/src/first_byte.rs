//! Which of the framings of bare streams a client speaks: its first byte tells.

/// What a client speaks, judged by the first byte that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FirstByte {
    /// Engine.IO packets in length-prefixed frames: the byte is the length of a short frame.
    Native,
    /// Lines of JSON: the byte is `{` or white space, or begins a byte-order mark.
    Lines,
    /// An HTTP request that lost its way: the byte begins a method.
    Http,
    /// Nothing known.
    Unknown,
}

impl FirstByte {
    /// Judges the first byte of a stream.
    ///
    /// White space also is the length of a frame of 9, 10, 13 or 32 bytes. It is taken for lines, because a native client
    /// opens with a frame of one byte.
    #[must_use]
    pub const fn of(byte: u8) -> Self {
        match byte {
            b'{' | b' ' | b'\t' | b'\n' | b'\r' | 0xef => Self::Lines,
            0x01..=0x40 => Self::Native,
            b'A'..=b'Z' => Self::Http,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_framing_is_known_by_its_first_byte() {
        assert_eq!(FirstByte::of(1), FirstByte::Native);
        assert_eq!(FirstByte::of(0x40), FirstByte::Native);
        for byte in *b"{ \t\r\n\xef" {
            assert_eq!(FirstByte::of(byte), FirstByte::Lines);
        }
        for request in ["GET / HTTP/1.1", "POST", "OPTIONS", "PRI * HTTP/2.0"] {
            assert_eq!(FirstByte::of(request.as_bytes()[0]), FirstByte::Http);
        }
        for byte in [0, b'[', b'a', b'}', 0x80, 0xff] {
            assert_eq!(FirstByte::of(byte), FirstByte::Unknown);
        }
    }
}
