//! Finds placeholders in JSON text, so that arguments can be passed on verbatim under other attachment numbers.

use std::ops::Range;

use crate::name::read_name;
use crate::scan::skip_string;

/// One placeholder: where it and its number stand in the text, and the number if it is a usable one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) object: Range<usize>,
    pub(crate) span: Range<usize>,
    pub(crate) num: Option<usize>,
}

/// Containers inside each other that are followed; hostile nesting must not cost memory.
const MAX_DEPTH: usize = 1024;

/// The placeholders of a list of JSON values in the order of their numbers' positions, or `None` if it is nested
/// deeper than 1024 levels.
///
/// A placeholder is an object with `_placeholder` exactly true; other keys do not matter, and of repeated keys the
/// last one counts, as in JavaScript. The text must be valid JSON; otherwise the result is incomplete.
pub(crate) fn find(list: &str) -> Option<Vec<Placeholder>> {
    let bytes = list.as_bytes();
    let mut found = Vec::new();
    let mut stack: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                if stack.len() == MAX_DEPTH {
                    return None;
                }
                stack.push(Frame::new(start, byte == b'{'));
            }
            b'}' | b']' => {
                if let Some(frame) = stack.pop()
                    && frame.marked
                {
                    let (span, num) = frame.num.unwrap_or((start..start, None));
                    let object = frame.start..at;
                    found.push(Placeholder { object, span, num });
                }
            }
            b'"' => {
                let Ok(end) = skip_string(bytes, start) else {
                    break;
                };
                at = end;
                if let Some(frame) = stack.last_mut()
                    && frame.key == Key::Expected
                {
                    match read_name(list, start).as_ref().map(|(name, _)| &**name) {
                        Ok("_placeholder") => {
                            frame.key = Key::Placeholder;
                            frame.marked = false;
                        }
                        Ok("num") => {
                            frame.key = Key::Num;
                            frame.num = None;
                        }
                        _ => frame.key = Key::Other,
                    }
                }
            }
            b',' => {
                if let Some(frame) = stack.last_mut()
                    && frame.key != Key::Array
                {
                    frame.key = Key::Expected;
                }
            }
            b':' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                while let Some(byte) = bytes.get(at)
                    && !b"{}[]\",: \n\r\t".contains(byte)
                {
                    at += 1;
                }
                match stack.last_mut() {
                    Some(frame) if frame.key == Key::Placeholder => {
                        frame.marked = &bytes[start..at] == b"true";
                    }
                    Some(frame) if frame.key == Key::Num => {
                        frame.num = Some((start..at, list[start..at].parse().ok()));
                    }
                    _ => {}
                }
            }
        }
    }
    // A placeholder inside another one is found first although it may stand behind the outer number.
    found.sort_unstable_by_key(|placeholder: &Placeholder| placeholder.span.start);
    Some(found)
}

/// An array or object that is still open.
struct Frame {
    start: usize,
    key: Key,
    marked: bool,
    num: Option<(Range<usize>, Option<usize>)>,
}

impl Frame {
    fn new(start: usize, object: bool) -> Self {
        Self {
            start,
            key: if object { Key::Expected } else { Key::Array },
            marked: false,
            num: None,
        }
    }
}

/// What the next scalar is.
#[derive(PartialEq, Eq)]
enum Key {
    /// An item of an array.
    Array,
    /// A key of an object.
    Expected,
    /// The value of the key `_placeholder`.
    Placeholder,
    /// The value of the key `num`.
    Num,
    /// The value of another key.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nums(list: &str) -> Vec<(Option<usize>, &str)> {
        find(list)
            .unwrap()
            .into_iter()
            .map(|placeholder| (placeholder.num, &list[placeholder.span]))
            .collect()
    }

    #[test]
    fn placeholders_are_found_at_any_depth_and_in_any_key_order() {
        let list = r#"1,{"_placeholder":true,"num":0},[{"a":{"num" : 12 , "x":[{}], "_placeholder" :true}}]"#;
        assert_eq!(nums(list), [(Some(0), "0"), (Some(12), "12")]);
        assert_eq!(
            nums(r#"{"\u005fplaceholder":true,"n\u0075m":3}"#),
            [(Some(3), "3")]
        );
    }

    #[test]
    fn look_alikes_are_not_placeholders() {
        for list in [
            r#""_placeholder",true,"num",1"#,
            r#"{"_placeholder":false,"num":0}"#,
            r#"{"_placeholder":"true","num":0}"#,
            r#"{"_placeholder":true,"_placeholder":null,"num":0}"#,
            r#"{"x":"_placeholder","y":true,"num":0}"#,
            r#"{"_placeholder":[true],"num":0}"#,
            r#"["_placeholder",true]"#,
        ] {
            assert_eq!(nums(list), [], "{list}");
        }
    }

    #[test]
    fn unusable_numbers_are_reported() {
        assert_eq!(nums(r#"{"_placeholder":true}"#), [(None, "")]);
        assert_eq!(nums(r#"{"_placeholder":true,"num":-1}"#), [(None, "-1")]);
        assert_eq!(nums(r#"{"_placeholder":true,"num":"0"}"#), [(None, "")]);
    }

    #[test]
    fn outer_numbers_come_before_inner_ones() {
        let list = r#"{"num":1,"a":{"_placeholder":true,"num":0},"_placeholder":true}"#;
        assert_eq!(nums(list), [(Some(1), "1"), (Some(0), "0")]);
    }

    #[test]
    fn the_whole_object_is_known_as_well() {
        let list = r#"[{"a": {"_placeholder":true,"num":0} }]"#;
        let object = find(list).unwrap().remove(0).object;
        assert_eq!(&list[object], r#"{"_placeholder":true,"num":0}"#);
    }

    #[test]
    fn hostile_nesting_is_given_up() {
        assert_eq!(find(&"[".repeat(100_000)), None);
    }
}
