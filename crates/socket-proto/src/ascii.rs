//! Packets in plain ASCII, for Engine.IO 3 peers that disagree about the encoding of anything else.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::memchr;

/// Replaces every character outside ASCII by `\uXXXX` escapes, astral ones by a surrogate pair.
///
/// `json` must be JSON text, where such characters occur inside strings only. Borrowed if nothing is to be done.
/// The reason is in the reference, wire-protocol §2.5: Socket.IO 1.x encodes UTF-8 twice, later ones do not, and
/// only ASCII means the same to both.
#[must_use]
pub fn escape_non_ascii(json: &str) -> Cow<'_, str> {
    let Some(first) = json.bytes().position(|byte| !byte.is_ascii()) else {
        return Cow::Borrowed(json);
    };
    let mut out = String::with_capacity(json.len() * 2);
    out.push_str(&json[..first]);
    for char in json[first..].chars() {
        if char.is_ascii() {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String takes everything");
            }
        }
    }
    Cow::Owned(out)
}

/// [`escape_non_ascii`] for a whole packet: its JSON is escaped, its namespace is not, because a namespace is not
/// JSON and the peer would not read the escapes.
#[must_use]
pub fn escape_packet(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let head = match text.find(['/', '[', '{', '"']) {
        Some(slash) if text.as_bytes()[slash] == b'/' => {
            memchr(b',', text.as_bytes()).map_or(text.len(), |comma| comma + 1)
        }
        _ => 0,
    };
    match escape_non_ascii(&text[head..]) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(json) => Cow::Owned([&text[..head], &json].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_is_borrowed() {
        assert!(matches!(
            escape_non_ascii(r#"["a"]"#),
            Cow::Borrowed(r#"["a"]"#)
        ));
    }

    #[test]
    fn escapes_read_back_as_the_same_string() {
        let json = "\"né€😀z\"";
        let escaped = escape_non_ascii(json);
        assert_eq!(escaped, r#""n\u00e9\u20ac\ud83d\ude00z""#);
        assert_eq!(
            serde_json::from_str::<String>(&escaped).unwrap(),
            serde_json::from_str::<String>(json).unwrap()
        );
    }

    #[test]
    fn namespace_is_left_alone() {
        assert_eq!(escape_packet("2/é,7[\"é\"]"), "2/é,7[\"\\u00e9\"]");
        assert_eq!(escape_packet("0/é,"), "0/é,");
        assert_eq!(escape_packet("2[\"/é,é\"]"), "2[\"/\\u00e9,\\u00e9\"]");
    }
}
