//! Lines of text: the other framing of TCP and Unix streams.
//!
//! What stands on a line is no Engine.IO, and means something only to the application.

use memchr::memchr;

/// What [`next_line`] found at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'b> {
    /// A whole line; the first `used` bytes of the buffer are done with.
    Line {
        /// The line, which is not empty, without its end and without white space around it.
        line: &'b [u8],
        /// Its bytes, with its end and what was skipped in front of it.
        used: usize,
    },
    /// Call again with more bytes.
    NeedMore {
        /// Bytes at the front of the buffer that are done with: white space, blank lines and byte-order marks.
        used: usize,
        /// Bytes behind those that are known to hold no end of a line, to be handed to the next call.
        searched: usize,
    },
}

/// Looks for one line at the front of `buf`.
///
/// Nothing is remembered between calls except what the driver keeps: the unread bytes, and how many of them have been
/// `searched` already (0 at first and after each line), so that a long line which comes in small pieces is searched
/// once.
///
/// A line ends with LF; a CR in front of it does not count towards `max_line_bytes`, nor does white space in front of
/// the line, or a byte-order mark (RFC 8259 §8.1 leaves it to the reader), as programs put it where they begin to
/// write. When the stream has ended, what is left may be a line without its end.
///
/// # Errors
///
/// As soon as it is known that the line is too long. The stream must be closed then.
pub fn next_line(
    buf: &[u8],
    searched: usize,
    max_line_bytes: usize,
) -> Result<Found<'_>, LineTooLong> {
    // What has been searched begins with a line already.
    let skipped = if searched == 0 { skip_front(buf) } else { 0 };
    let rest = &buf[skipped..];
    if searched == 0 && rest.len() < MARK.len() && MARK.starts_with(rest) {
        // Whether it is one, and with that where the line begins, is known when the rest of it is there.
        return Ok(Found::NeedMore {
            used: skipped,
            searched: 0,
        });
    }
    let too_long = LineTooLong {
        max: max_line_bytes,
    };
    // A line of the greatest length has its LF within these.
    let window = &rest[..rest.len().min(max_line_bytes.saturating_add(2))];
    let from = searched.min(window.len());
    let Some(found) = memchr(b'\n', &window[from..]) else {
        let full = if window.last() == Some(&b'\r') {
            max_line_bytes.saturating_add(1)
        } else {
            max_line_bytes
        };
        return if window.len() > full {
            Err(too_long)
        } else {
            Ok(Found::NeedMore {
                used: skipped,
                searched: window.len(),
            })
        };
    };
    let end = from + found;
    let line = &window[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > max_line_bytes {
        return Err(too_long);
    }
    Ok(Found::Line {
        line: trim_end(line),
        used: skipped + end + 1,
    })
}

/// A line is beyond the limit. The blame is the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line exceeds the limit of {max} bytes")]
pub struct LineTooLong {
    /// The limit.
    pub max: usize,
}

/// The bytes in front of a line that mean nothing.
fn skip_front(buf: &[u8]) -> usize {
    let mut at = skip_space(buf, 0);
    while buf[at..].starts_with(MARK) {
        at = skip_space(buf, at + MARK.len());
    }
    at
}

/// The index of the first byte that is not white space of JSON.
fn skip_space(buf: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = buf.get(at) {
        at += 1;
    }
    at
}

/// The byte-order mark of UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Cuts off the white space of JSON; that of ASCII has a form feed as well, which could be a line of its own.
fn trim_end(mut line: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b'\r'] = line {
        line = rest;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str, used: usize) -> Result<Found<'_>, LineTooLong> {
        Ok(Found::Line {
            line: line.as_bytes(),
            used,
        })
    }

    fn more(used: usize, searched: usize) -> Result<Found<'static>, LineTooLong> {
        Ok(Found::NeedMore { used, searched })
    }

    #[test]
    fn lines_end_with_lf_or_cr_lf() {
        assert_eq!(next_line(b"{}\r\n{}", 0, 10), line("{}", 4));
        assert_eq!(next_line(b"{}\n{}", 0, 10), line("{}", 3));
        assert_eq!(next_line(b"{} \t\r\n", 0, 10), line("{}", 6));
    }

    #[test]
    fn white_space_and_blank_lines_are_skipped() {
        assert_eq!(next_line(b"\r\n\n  {}\n", 0, 2), line("{}", 8));
        assert_eq!(next_line(b"", 0, 2), more(0, 0));
        assert_eq!(next_line(b" \r\n ", 0, 2), more(4, 0));
        assert_eq!(next_line(b" \r\n {", 0, 2), more(4, 1));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        let buf = b"\xef\xbb\xbf{}\r\n";
        assert_eq!(next_line(buf, 0, 2), line("{}", 7));
        assert_eq!(next_line(b" \n\xef\xbb\xbf \r\n{}\n", 0, 2), line("{}", 11));
        // However it comes in pieces.
        for len in 1..3 {
            assert_eq!(next_line(&buf[..len], 0, 2), more(0, 0));
        }
        assert_eq!(next_line(&buf[..4], 0, 2), more(3, 1));
        // What only begins like one stays, and so does one inside of a line.
        assert_eq!(
            next_line(b"\xef\xbb\n", 0, 9),
            Ok(Found::Line {
                line: b"\xef\xbb",
                used: 3
            })
        );
        let inside = "{\"a\":\"\u{feff}\"}\n";
        assert_eq!(
            next_line(inside.as_bytes(), 0, 20),
            line(inside.trim_end(), 12)
        );
    }

    #[test]
    fn a_form_feed_is_a_line() {
        assert_eq!(next_line(b"\x0c\r\n", 0, 2), line("\x0c", 3));
    }

    #[test]
    fn searched_bytes_are_not_searched_again() {
        assert_eq!(next_line(b"{\"a\"", 0, 10), more(0, 4));
        assert_eq!(next_line(b"{\"a\":1", 4, 10), more(0, 6));
        assert_eq!(next_line(b"{\"a\":1}\n", 6, 10), line("{\"a\":1}", 8));
        // Proof by a wrong claim.
        assert_eq!(next_line(b"{}\n{}\n", 3, 10), line("{}\n{}", 6));
    }

    #[test]
    fn a_long_line_is_refused_as_soon_as_it_is_known() {
        let too_long = Err(LineTooLong { max: 4 });
        assert_eq!(next_line(b"1234", 0, 4), more(0, 4));
        assert_eq!(next_line(b"1234\r", 4, 4), more(0, 5));
        assert_eq!(next_line(b"1234\r\n", 5, 4), line("1234", 6));
        assert_eq!(next_line(b"1234\n", 0, 4), line("1234", 5));
        assert_eq!(next_line(b"12345", 0, 4), too_long);
        assert_eq!(next_line(b"1234\r5", 5, 4), too_long);
        assert_eq!(next_line(b"12345\n", 0, 4), too_long);
        assert_eq!(next_line(b"12345\r\n", 0, 4), too_long);
        assert_eq!(next_line(b"1234\r\r\n", 0, 4), too_long);
        assert_eq!(next_line(b"x", 0, 0), Err(LineTooLong { max: 0 }));
        assert_eq!(next_line(b"12345", 0, usize::MAX), more(0, 5));
    }
}
