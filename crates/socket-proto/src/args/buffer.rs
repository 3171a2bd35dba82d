//! Bytes as Node's `Buffer` puts them into JSON: `{"type":"Buffer","data":[1,2,255]}`.

use std::io;
use std::ops::Range;

use memchr::{memmem, memrchr};

use crate::scan::skip_space;

/// Writes `bytes` in that form.
pub(crate) fn write<W: io::Write + ?Sized>(writer: &mut W, bytes: &[u8]) -> io::Result<()> {
    writer.write_all(br#"{"type":"Buffer","data":["#)?;
    let mut comma = false;
    // A number at a time is slow through a writer, hence the portions.
    let mut portion = [0; 4 * 64];
    for bytes in bytes.chunks(64) {
        let mut len = 0;
        let mut put = |byte: u8| {
            portion[len] = byte;
            len += 1;
        };
        for &byte in bytes {
            if comma {
                put(b',');
            }
            comma = true;
            if byte >= 100 {
                put(b'0' + byte / 100);
            }
            if byte >= 10 {
                put(b'0' + byte / 10 % 10);
            }
            put(b'0' + byte % 10);
        }
        writer.write_all(&portion[..len])?;
    }
    writer.write_all(b"]}")
}

/// How many bytes [`write()`] writes.
pub(crate) fn len(bytes: &[u8]) -> usize {
    let digits = |byte: &u8| 1 + usize::from(*byte >= 10) + usize::from(*byte >= 100);
    let commas = bytes.len().saturating_sub(1);
    br#"{"type":"Buffer","data":[]}"#.len() + bytes.iter().map(digits).sum::<usize>() + commas
}

/// One such object: where it stands in the text, and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) span: Range<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// The objects of that form in a list of JSON values, from left to right.
///
/// They have these two keys and no other, in any order, and every number fits into a byte; then nothing is lost by
/// taking the bytes for the object. The text must be valid JSON; otherwise the result is meaningless.
pub(crate) fn find(list: &str) -> impl Iterator<Item = Buffer> {
    let bytes = list.as_bytes();
    // The quotes belong to the pattern. In valid JSON they cannot be found inside a string where an object seems to
    // be around them, because the quote in front of the word would have ended that string.
    let mut done = 0;
    memmem::find_iter(bytes, br#""Buffer""#).filter_map(move |at| {
        let Some(open) = memrchr(b'{', bytes.get(done..at)?) else {
            // Nothing in front of this word begins an object, and is not to be looked through again.
            done = at;
            return None;
        };
        let open = done + open;
        let (end, data) = read_object(bytes, open).unwrap_or((at, None));
        done = end;
        Some(Buffer {
            span: open..end,
            bytes: data?,
        })
    })
}

/// The object that begins at `at`: where it ends, and its bytes.
fn read_object(bytes: &[u8], at: usize) -> Option<(usize, Option<Vec<u8>>)> {
    let mut at = expect(bytes, at, b"{")?;
    let mut data = None;
    let mut marked = false;
    for separator in [b",", b"}"] {
        if let (Some(next), None) = (expect(bytes, at, br#""data""#), &data) {
            let (next, found) = read_numbers(bytes, expect(bytes, next, b":")?)?;
            at = next;
            data = Some(found);
        } else {
            let next = expect(bytes, at, br#""type""#)?;
            at = expect(bytes, expect(bytes, next, b":")?, br#""Buffer""#)?;
            marked = true;
        }
        at = expect(bytes, at, separator)?;
    }
    Some((at, data.filter(|_| marked)))
}

fn read_numbers(bytes: &[u8], at: usize) -> Option<(usize, Vec<u8>)> {
    let mut at = expect(bytes, at, b"[")?;
    let mut numbers = Vec::new();
    if let Some(end) = expect(bytes, at, b"]") {
        return Some((end, numbers));
    }
    loop {
        at = skip_space(bytes, at);
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let mut number = 0u8;
        let mut len = 0;
        for digit in digits {
            number = number.checked_mul(10)?.checked_add(digit - b'0')?;
            len += 1;
        }
        if len == 0 {
            return None;
        }
        numbers.push(number);
        at += len;
        match expect(bytes, at, b",") {
            Some(next) => at = next,
            None => return Some((expect(bytes, at, b"]")?, numbers)),
        }
    }
}

/// The index behind `token` if it comes next, white space aside.
fn expect(bytes: &[u8], at: usize, token: &[u8]) -> Option<usize> {
    let at = skip_space(bytes, at);
    bytes[at..].starts_with(token).then(|| at + token.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(list: &str) -> Vec<(&str, Vec<u8>)> {
        find(list)
            .map(|buffer| (&list[buffer.span], buffer.bytes))
            .collect()
    }

    #[test]
    fn every_byte_is_written_and_found() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&[][..], &[7], &[1, 2, 255], &all] {
            let mut out = Vec::new();
            write(&mut out, bytes).unwrap();
            assert_eq!(out.len(), len(bytes));
            let text = String::from_utf8(out).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["data"], serde_json::json!(bytes));
            assert_eq!(found(&text), [(&*text, bytes.to_vec())]);
        }
    }

    #[test]
    fn buffers_are_found_at_any_depth_and_in_any_order() {
        let list =
            r#"1,{"a":[{ "type" : "Buffer" , "data" : [ 1 , 2 ] }]},{"data":[3],"type":"Buffer"}"#;
        assert_eq!(
            found(list),
            [
                (r#"{ "type" : "Buffer" , "data" : [ 1 , 2 ] }"#, vec![1, 2]),
                (r#"{"data":[3],"type":"Buffer"}"#, vec![3]),
            ]
        );
    }

    #[test]
    fn look_alikes_are_left_alone() {
        for list in [
            r#""Buffer""#,
            r#"{"type":"Buffer"}"#,
            r#"{"type":"Buffer","data":[1],"x":2}"#,
            r#"{"type":"Buffer","type":"Buffer"}"#,
            r#"{"data":[1],"data":[1]},"Buffer""#,
            r#"{"type":"Buffer","data":[256]}"#,
            r#"{"type":"Buffer","data":[1.0]}"#,
            r#"{"type":"Buffer","data":[-1]}"#,
            r#"{"type":"Buffer","data":[[]]}"#,
            r#"{"type":"Buffer","data":"AQI="}"#,
            r#"{"x":{"type":"Buffer","y":{}},"data":[]}"#,
            r#""{\"type\":\"Buffer\",\"data\":[1]}""#,
            r#"["{","type",":","Buffer",",","data"]"#,
        ] {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(&format!("[{list}]")).is_ok());
            assert_eq!(found(list), [], "{list}");
        }
    }

    #[test]
    fn broken_text_is_survived() {
        for list in [
            r#"{"type":"Buffer"#,
            r#"{"type":"Buffer""#,
            r#"{"data":[1"Buffer""#,
            r#"{"type":"Buffer","data":["#,
        ] {
            assert_eq!(found(list), []);
        }
    }

    #[test]
    fn what_is_in_front_of_a_word_is_looked_through_once() {
        // Some hundred thousand words, in front of none of which an object begins: to look through all
        // that is in front of each would take hours.
        let mut list = r#""Buffer","#.repeat(400_000);
        list.push_str(r#"{"type":"Buffer","data":[7]}"#);
        assert_eq!(found(&list), [(r#"{"type":"Buffer","data":[7]}"#, vec![7])]);
    }
}
