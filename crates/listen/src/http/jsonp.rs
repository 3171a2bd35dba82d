//! Long-polling for pages that can only load scripts and send forms (JSONP): what an answer is wrapped into, and where in a
//! form the packets are.

use std::borrow::Cow;

use bytes::Bytes;

/// The content type of a script.
pub(super) const CONTENT_TYPE: &str = "text/javascript; charset=UTF-8";

/// The script that hands a payload to the page, as the callback of this number.
pub(super) fn script(callback: &str, payload: &str) -> Vec<u8> {
    let mut script = Vec::with_capacity(payload.len() + payload.len() / 8 + 20);
    script.extend_from_slice(b"___eio[");
    // Nothing else of what the request says gets into the script.
    script.extend(callback.bytes().filter(u8::is_ascii_digit));
    script.extend_from_slice(b"](\"");
    let mut plain = 0;
    for (at, character) in payload.char_indices() {
        let escape: Cow<'_, str> = match character {
            '"' => "\\\"".into(),
            '\\' => "\\\\".into(),
            '\n' => "\\n".into(),
            // The last two end a line in scripts of before 2019; they may be in JSON, but not in a script's strings.
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                format!("\\u{:04x}", u32::from(character)).into()
            }
            _ => continue,
        };
        script.extend_from_slice(&payload.as_bytes()[plain..at]);
        script.extend_from_slice(escape.as_bytes());
        plain = at + character.len_utf8();
    }
    script.extend_from_slice(&payload.as_bytes()[plain..]);
    script.extend_from_slice(b"\");");
    script
}

/// The payload in a form, which is its field `d`.
pub(super) fn payload(form: &[u8]) -> Option<Bytes> {
    let (_, payload) = form_urlencoded::parse(form).find(|(name, _)| name == "d")?;
    Some(unescape(&payload).into())
}

/// Undoes what clients do to line ends, of which browsers would make others when they send the form: a line end is sent as
/// a backslash and an `n`, and these two behind one more backslash.
fn unescape(sent: &str) -> String {
    let mut payload = String::with_capacity(sent.len());
    let mut rest = sent;
    while let Some(at) = rest.find("\\n") {
        let (before, after) = rest.split_at(at);
        match before.strip_suffix('\\') {
            Some(before) => {
                payload.push_str(before);
                payload.push_str("\\n");
            }
            None => {
                payload.push_str(before);
                payload.push('\n');
            }
        }
        rest = &after[2..];
    }
    payload.push_str(rest);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(callback: &str, payload: &str) -> String {
        String::from_utf8(script(callback, payload)).unwrap()
    }

    #[test]
    fn payload_is_a_string_in_a_script() {
        assert_eq!(wrapped("0", "2:40"), r#"___eio[0]("2:40");"#);
        assert_eq!(
            wrapped("12", "4\"\\\n\u{1e}\u{2028}\u{2029}é😀"),
            "___eio[12](\"4\\\"\\\\\\n\\u001e\\u2028\\u2029é😀\");"
        );
        assert_eq!(wrapped("7](alert(1));//", ""), r#"___eio[71]("");"#);
    }

    #[test]
    fn scripts_string_is_json() {
        let payload: String = (0..0x300).filter_map(char::from_u32).collect();
        let script = wrapped("", &payload);
        let json = script
            .strip_prefix("___eio[](")
            .unwrap()
            .strip_suffix(");")
            .unwrap();
        assert_eq!(serde_json::from_str::<String>(json).unwrap(), payload);
    }

    /// As engine.io-client does it.
    fn escape(payload: &str) -> String {
        payload.replace("\\n", "\\\n").replace('\n', "\\n")
    }

    #[test]
    fn line_ends_survive_the_form() {
        for text in [
            "",
            "a\nb\n\n",
            "a\\nb\\n",
            "\\\\n",
            "\n\\n",
            "n\\",
            "4[\"\\\\\\\\n\"]",
        ] {
            assert_eq!(unescape(&escape(text)), text, "{text:?}");
        }
    }

    #[test]
    fn payload_is_the_field_of_its_name() {
        assert_eq!(
            payload(b"a=1&d=4%3A4a%2Bb+%C3%A9&d=2").unwrap(),
            "4:4a+b é".as_bytes()
        );
        assert_eq!(payload(b"e=1"), None);
        assert_eq!(payload(b""), None);
        assert_eq!(payload(b"d").unwrap(), "");
    }
}
