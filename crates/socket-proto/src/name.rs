//! Event names: taken out of the packet's JSON, escapes resolved, reserved ones refused.

use std::borrow::Cow;

use crate::packet::DecodeError;
use crate::scan::{is_number, skip_space};
use crate::{RawArgs, scan};

/// Names that the protocol keeps for local events; they may not travel as the name of an event.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether `name` is one of [`RESERVED_EVENTS`].
#[must_use]
pub fn is_reserved_event(name: &str) -> bool {
    // The shortest is 7 and the longest 14 bytes, which settles most names without a comparison.
    (7..=14).contains(&name.len()) && RESERVED_EVENTS.contains(&name)
}

/// Splits the payload of an EVENT (`["name",arg,…]`) into its name and its raw arguments.
///
/// Escapes in the name are resolved, a lone surrogate becomes U+FFFD, and a number used as a name becomes its text.
/// The name is borrowed unless it has escapes.
///
/// # Errors
///
/// When the payload is not a non-empty array that starts with a string or a number, when the name is reserved, and
/// when brackets, strings or commas of the arguments do not add up.
// What comes out is large, and is taken apart at once: inlined, it never gets to memory. The same goes for what this
// calls, and for its callers.
#[inline(always)]
pub fn split_event(payload: &str) -> Result<(Cow<'_, str>, RawArgs<'_>), DecodeError> {
    let (base, inner) = open_array(payload)?;
    let bytes = inner.as_bytes();
    let start = skip_space(bytes, 0);
    let (name, end) = match bytes.get(start) {
        Some(b'"') => read_name(inner, start).map_err(|error| DecodeError::json(base, error))?,
        _ => read_number(inner, start).ok_or(DecodeError::NoEventName)?,
    };
    if is_reserved_event(&name) {
        return Err(DecodeError::ReservedEvent(name.into()));
    }
    let after = skip_space(bytes, end);
    let args = match bytes.get(after) {
        None => RawArgs::empty(),
        Some(b',') => {
            let list = &inner[after + 1..];
            let args = RawArgs::from_list(list)
                .map_err(|error| DecodeError::json(base + after + 1, error))?;
            if args.is_empty() {
                return Err(DecodeError::Json {
                    at: base + after + 1,
                    expected: "a value after the comma",
                });
            }
            args
        }
        Some(_) => {
            return Err(DecodeError::Json {
                at: base + after,
                expected: "a comma after the event name",
            });
        }
    };
    Ok((name, args))
}

/// The text between the brackets of an array, and its offset.
#[inline]
pub(crate) fn open_array(payload: &str) -> Result<(usize, &str), DecodeError> {
    let start = skip_space(payload.as_bytes(), 0);
    let inner = payload[start..]
        .trim_end_matches([' ', '\n', '\r', '\t'])
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(DecodeError::NotAnArray)?;
    Ok((start + 1, inner))
}

fn read_number(text: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let rest = &text[start..];
    let len = rest
        .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        .unwrap_or(rest.len());
    is_number(&rest.as_bytes()[..len]).then(|| (Cow::Borrowed(&rest[..len]), start + len))
}

/// Reads the string whose opening quote is at `start`; returns it and the index behind its closing quote.
#[inline]
pub(crate) fn read_name(
    text: &str,
    start: usize,
) -> Result<(Cow<'_, str>, usize), scan::ScanError> {
    let bytes = text.as_bytes();
    let first = start + 1;
    // A plain loop is through with a name before a vectorised search has begun.
    let plain = bytes[first..]
        .iter()
        .take_while(|byte| !matches!(byte, ..0x20 | b'"' | b'\\'))
        .count();
    if bytes.get(first + plain) == Some(&b'"') {
        let name = &text[first..first + plain];
        return Ok((Cow::Borrowed(name), first + plain + 1));
    }
    let end = scan::skip_string(bytes, start)?;
    let raw = &text[first..end - 1];
    no_controls(raw, first)?;
    Ok((Cow::Owned(unescape(raw, first)?), end))
}

fn no_controls(raw: &str, base: usize) -> Result<(), scan::ScanError> {
    match raw.bytes().position(|byte| byte < 0x20) {
        None => Ok(()),
        Some(at) => Err(scan::ScanError {
            at: base + at,
            expected: "an escape instead of a control character",
        }),
    }
}

/// Resolves the escapes of a JSON string given without its quotes.
fn unescape(raw: &str, base: usize) -> Result<String, scan::ScanError> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let wrong = scan::ScanError {
            at: base + (raw.len() - rest.len()) + at,
            expected: "a JSON escape",
        };
        let mut chars = rest[at + 1..].chars();
        out.push(match chars.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (char, tail) = read_unicode(chars.as_str()).ok_or(wrong)?;
                chars = tail.chars();
                char
            }
            _ => return Err(wrong),
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads `XXXX` or `XXXX\uXXXX` behind a `\u`. A surrogate without its partner cannot be held by a Rust string:
/// it becomes U+FFFD, and what follows it is read on its own.
fn read_unicode(text: &str) -> Option<(char, &str)> {
    let (unit, rest) = read_hex(text)?;
    if let 0xD800..=0xDBFF = unit
        && let Some((low @ 0xDC00..=0xDFFF, tail)) = rest.strip_prefix("\\u").and_then(read_hex)
    {
        let scalar = 0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
        return Some((char::from_u32(scalar)?, tail));
    }
    let scalar = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((scalar, rest))
}

fn read_hex(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4)?;
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, &text[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(payload: &str) -> String {
        split_event(payload).unwrap().0.into_owned()
    }

    #[test]
    fn plain_name_is_borrowed() {
        let (name, args) = split_event(r#"["chat","hi",{"a":[1]}]"#).unwrap();
        assert!(matches!(name, Cow::Borrowed("chat")));
        assert_eq!(args.iter().collect::<Vec<_>>(), [r#""hi""#, r#"{"a":[1]}"#]);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(
            name_of(r#"["a\"\\\/\b\f\n\r\tz"]"#),
            "a\"\\/\u{8}\u{c}\n\r\tz"
        );
        assert_eq!(name_of(r#"["\u00e9\ud83d\ude00é😀"]"#), "é😀é😀");
    }

    #[test]
    fn lone_surrogates_become_replacement_characters() {
        assert_eq!(name_of(r#"["\ud800"]"#), "\u{fffd}");
        assert_eq!(name_of(r#"["\udc00x"]"#), "\u{fffd}x");
        assert_eq!(name_of(r#"["\ud800\ud83d\ude00"]"#), "\u{fffd}😀");
        assert_eq!(name_of(r#"["\ud800\n"]"#), "\u{fffd}\n");
    }

    #[test]
    fn number_is_a_name() {
        assert_eq!(name_of("[1,2]"), "1");
        assert_eq!(name_of("[ -1.5e3 ]"), "-1.5e3");
    }

    #[test]
    fn white_space_is_allowed_between_tokens() {
        let (name, args) = split_event(" [ \"a\" , 1 , 2 ]\n").unwrap();
        assert_eq!(name, "a");
        assert_eq!(args.len(), 2);
    }

    #[test]
    fn payload_without_a_usable_name_is_refused() {
        for payload in ["[]", "[null]", "[true]", "[{}]", "[[\"a\"]]", "[-]", "[01]"] {
            assert!(split_event(payload).is_err(), "{payload}");
        }
        for payload in ["", "{}", "\"a\"", "[\"a\"", "[", "]"] {
            assert_eq!(
                split_event(payload).unwrap_err(),
                DecodeError::NotAnArray,
                "{payload}"
            );
        }
    }

    #[test]
    fn broken_names_and_arguments_are_refused() {
        for payload in [
            r#"["a]"#,
            r#"["a\]"#,
            r#"["\x"]"#,
            r#"["\u12"]"#,
            r#"["\u+123"]"#,
            r#"["\u12é"]"#,
            "[\"a\nb\"]",
            "[\"a\\n\u{1}\"]",
            r#"["a",]"#,
            r#"["a"1]"#,
            r#"["a",1,]"#,
            r#"["a"]]"#,
            r#"["a",[]"#,
            r#"["a",1]]"#,
        ] {
            assert!(split_event(payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn reserved_names_are_refused_also_when_escaped() {
        for name in RESERVED_EVENTS {
            assert_eq!(
                split_event(&format!("[\"{name}\"]")).unwrap_err(),
                DecodeError::ReservedEvent(name.into())
            );
        }
        assert!(split_event(r#"["\u0063onnect"]"#).is_err());
        assert!(split_event(r#"["connected"]"#).is_ok());
    }
}
