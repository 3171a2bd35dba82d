//! Events: the name and the arguments in the JSON of a packet.

use std::borrow::Cow;

use crate::args::{RawArgs, open_array};
use crate::decode_error::DecodeError;
use crate::name::{is_reserved_event, read_name};
use crate::scan::{is_number, skip_space};

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

fn read_number(text: &str, start: usize) -> Option<(Cow<'_, str>, usize)> {
    let rest = &text[start..];
    let len = rest
        .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        .unwrap_or(rest.len());
    is_number(&rest.as_bytes()[..len]).then(|| (Cow::Borrowed(&rest[..len]), start + len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RESERVED_EVENTS;

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
