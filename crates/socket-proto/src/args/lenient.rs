//! JSON that JavaScript and others write, and that serde_json or the types of Rust refuse.
//!
//! * A string may have half of a surrogate pair in it, as JavaScript writes whenever it has cut a text in the middle of an
//!   emoji. No Rust string can hold that: it is read as U+FFFD.
//! * To JavaScript `1.0`, `1e3` and `-0` are the whole numbers 1, 1000 and 0, and there are languages that write them so.
//!
//! A text without escapes pays a search for one, as serde_json would make bytes of half a pair that are no UTF-8; numbers
//! cost nothing: only when reading has failed and there is one of that kind in the text, it is read a second time.

use std::borrow::Cow;

use memchr::memchr;
use serde::de::Deserialize;

use super::BytesForm;
use super::reading::{How, Numbers, Reading};

/// The attempts that are made where strict reading has failed, if there can be any use in them. A type that buffers what it
/// reads does not say that it wants a whole number; but to make one of `1.0` for everybody would be wrong where it works
/// without.
pub(super) fn attempts(text: &str) -> &'static [Numbers] {
    match has_odd_number(text) {
        true => &[Numbers::WholeIfAsked, Numbers::Whole],
        false => &[],
    }
}

/// Reads one JSON value that a JavaScript peer may have written.
///
/// It is what [`serde_json::from_str`] does, but takes more: half of a surrogate pair in a string is read as U+FFFD, and
/// `1.0` as a whole number where one is asked for. [`RawArgs::deserialize`](crate::RawArgs::deserialize) does the same.
///
/// ```
/// let text: String = sockeye_socket_proto::from_json(r#""half \ud83d end""#)?;
/// assert_eq!(text, "half \u{fffd} end");
/// assert_eq!(sockeye_socket_proto::from_json::<u64>("1.0")?, 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
///
/// When the text is not JSON, or has another shape than `T` wants.
pub fn from_json<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, serde_json::Error> {
    let mended = mend(text);
    let strict = match &mended {
        Cow::Borrowed(_) => serde_json::from_str(text),
        Cow::Owned(mended) => read(text, mended, Numbers::AsWritten),
    };
    let strict = match strict {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // Of several attempts the second one fails for what nothing can be done about.
    let mut lenient = None;
    for &numbers in attempts(text) {
        match read(text, &mended, numbers) {
            Ok(value) => return Ok(value),
            Err(error) => lenient = lenient.or(Some(error)),
        }
    }
    Err(lenient.unwrap_or(strict))
}

fn read<'de, T: Deserialize<'de>>(
    original: &'de str,
    mended: &str,
    numbers: Numbers,
) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(mended);
    let how = How {
        form: BytesForm::Attachments(&[]),
        numbers,
        text: mended,
        original,
    };
    let value = T::deserialize(Reading::new(&mut json, &how))?;
    json.end().map(|()| value)
}

/// The text with U+FFFD in the place of each half of a surrogate pair. What is no JSON stays that.
pub(super) fn mend(text: &str) -> Cow<'_, str> {
    let mut mended = Cow::Borrowed(text);
    let mut next = 0;
    while let Some(half) = find_half(text.as_bytes(), next) {
        // Of the same length, so that everything else stays in its place.
        mended.to_mut().replace_range(half..half + 6, r"\ufffd");
        next = half + 6;
    }
    mended
}

/// Where the next half of a surrogate pair is escaped.
fn find_half(text: &[u8], mut at: usize) -> Option<usize> {
    while let Some(found) = memchr(b'\\', text.get(at..)?) {
        let escape = at + found;
        match unit(text, escape) {
            Some(0xd800..=0xdbff) => match unit(text, escape + 6) {
                Some(0xdc00..=0xdfff) => at = escape + 12,
                _ => return Some(escape),
            },
            Some(0xdc00..=0xdfff) => return Some(escape),
            Some(_) => at = escape + 6,
            None => at = escape + 2,
        }
    }
    None
}

/// The number in the escape `\uXXXX` at `at`.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(br"\u")?;
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u16::try_from(digit).ok()?)
    })
}

/// Whether there may be a number in the text that only JavaScript takes for a whole one.
fn has_odd_number(text: &str) -> bool {
    let is_odd = |two: &[u8]| matches!(two, [b'0'..=b'9', b'.' | b'e' | b'E'] | [b'-', b'0']);
    text.as_bytes().windows(2).any(is_odd)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn halves_of_pairs_are_mended_and_nothing_else() {
        for (text, mended) in [
            (r"\ud83d", r"\ufffd"),
            (r"a\udE00b\uD83Dc", r"a\ufffdb\ufffdc"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\ude00\ud83d", r"\ufffd\ufffd"),
            (r"\ud83d\n", r"\ufffd\n"),
        ] {
            assert_eq!(mend(text), mended);
        }
        for text in [
            "",
            r"\",
            r"\u",
            r"\ud8",
            r"\ud83d\ude00",
            r"\\ud83d",
            r"\u00e9é😀\ue000\ud7ff",
            r"\ud83g",
            r"\uD83é",
        ] {
            assert!(matches!(mend(text), Cow::Borrowed(_)), "{text}");
            assert_eq!(find_half(text.as_bytes(), 0), None, "{text}");
        }
        assert_eq!(mend(r"\\\ud83d"), r"\\\ufffd");
    }

    #[test]
    fn half_an_emoji_is_read_by_every_kind_of_type() {
        #[derive(Debug, PartialEq, Deserialize)]
        enum Choice {
            #[serde(rename = "\u{fffd}")]
            Half,
            Text(String),
        }
        #[derive(Debug, Deserialize)]
        struct All<'a> {
            choice: Choice,
            text: Choice,
            borrowed: &'a str,
            #[serde(borrow)]
            raw: &'a RawValue,
            boxed: Box<RawValue>,
            char: char,
            bytes: bytes::Bytes,
            #[serde(flatten)]
            rest: BTreeMap<String, Value>,
        }
        let text = r#"{"choice":"\udc00","text":{"Text":"half \ud83d end"},"borrowed":"lent","raw":["\ud83d"],
            "boxed":"\ud83d","char":"\ud800","bytes":"lent","\ud800":{"\udfff":["\ud83d\ude00"]}}"#;
        assert!(serde_json::from_str::<All<'_>>(text).is_err());
        let all: All<'_> = from_json(text).unwrap();
        assert_eq!(all.choice, Choice::Half);
        assert_eq!(all.text, Choice::Text("half \u{fffd} end".to_owned()));
        assert_eq!(all.borrowed, "lent");
        let range = text.as_bytes().as_ptr_range();
        assert!(
            range.contains(&all.borrowed.as_ptr()),
            "it is the same text"
        );
        // What is raw is as it came.
        assert_eq!(all.raw.get(), r#"["\ud83d"]"#);
        assert_eq!(all.boxed.get(), r#""\ud83d""#);
        assert_eq!((all.char, &all.bytes[..]), ('\u{fffd}', &b"lent"[..]));
        let rest = json!({"\u{fffd}": {"\u{fffd}": ["😀"]}});
        assert_eq!(json!(all.rest), rest);
        assert!(
            from_json::<&str>(r#""\ud83d""#).is_err(),
            "there is nothing to lend"
        );
    }

    #[test]
    fn bytes_of_half_an_emoji_are_those_that_node_makes_of_it() {
        let read = |text| from_json::<Vec<bytes::Bytes>>(text).unwrap();
        assert_eq!(
            read(r#"["a\ud83d", "\ude00b", "\ud83d\ude00"]"#),
            ["a\u{fffd}", "\u{fffd}b", "😀"]
        );
    }

    #[test]
    fn whole_numbers_may_be_written_in_any_way() {
        for (text, number) in [
            ("1.0", 1),
            ("3.0", 3),
            ("-0", 0),
            ("-0.0", 0),
            ("1e3", 1000),
            ("-2.5e1", -25),
        ] {
            assert_eq!(from_json::<i32>(text).unwrap(), number, "{text}");
            assert_eq!(from_json::<i64>(text).unwrap(), i64::from(number));
            assert_eq!(
                from_json::<Option<i16>>(text).unwrap(),
                i16::try_from(number).ok()
            );
        }
        assert_eq!(from_json::<u64>("9007199254740992.0").unwrap(), 1 << 53);
        assert_eq!(from_json::<(u8, usize)>("[255.0,-0]").unwrap(), (255, 0));
        assert_eq!(
            from_json::<BTreeMap<u8, u64>>(r#"{"1":2.0}"#).unwrap()[&1],
            2
        );
        for text in ["1.5", "-1.0", "1e99", "18446744073709551616.0", "1e400"] {
            let error = from_json::<u64>(text).unwrap_err();
            let strict = serde_json::from_str::<u64>(text).unwrap_err();
            assert!(!error.to_string().is_empty());
            assert_eq!(error.classify(), strict.classify(), "{text}");
        }
        assert!(from_json::<u8>("256.0").is_err());
    }

    #[test]
    fn numbers_stay_as_they_were_written_where_that_can_be_read() {
        let value: (Value, u8, String) = from_json(r#"[1.0,2.0,"\ud83d"]"#).unwrap();
        assert_eq!(value.0, json!(1.0));
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(untagged)]
        enum Number {
            Whole(u64),
            Real(f64),
        }
        assert_eq!(from_json::<Number>("1.0").unwrap(), Number::Real(1.0));
        #[derive(Debug, PartialEq, Deserialize)]
        struct Flat {
            #[serde(flatten)]
            inner: BTreeMap<String, u64>,
        }
        assert_eq!(from_json::<Flat>(r#"{"a":1.0}"#).unwrap().inner["a"], 1);
    }

    #[test]
    fn number_beyond_all_bounds_is_a_clear_error() {
        let error = from_json::<f64>("1e400").unwrap_err().to_string();
        assert!(error.contains("number out of range"), "{error}");
    }

    #[test]
    fn errors_are_about_what_cannot_be_mended() {
        let error = from_json::<(String, u8)>(r#"["\ud83d","x"]"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(r#"invalid type: string "x", expected u8"#)
        );
        let error = from_json::<(u8, u8)>(r#"[1.0,"x"]"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(r#"invalid type: string "x", expected u8"#)
        );
        let error = from_json::<String>(r#""\ud83d" 1"#).unwrap_err();
        assert!(
            error.to_string().starts_with("trailing characters"),
            "{error}"
        );
    }
}
