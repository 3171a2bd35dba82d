//! Finds placeholders in JSON text, so that arguments can be passed on verbatim under other attachment numbers, and so
//! that nobody takes for a placeholder what was not meant as one.

use std::ops::Range;

use memchr::memmem;

use crate::name::read_name;
use crate::scan::skip_string;

/// One placeholder: where it stands in the text, and which attachment it stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    pub(crate) object: Range<usize>,
    pub(crate) num: usize,
}

/// What is wrong with the placeholders of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceholderError {
    /// It is nested deeper than 1024 levels.
    TooDeep,
    /// One stands for an attachment that does not exist, or has no number.
    Missing,
    /// Two stand for the same attachment.
    Shared { num: usize },
}

/// Containers inside each other that are followed; hostile nesting must not cost memory.
const MAX_DEPTH: usize = 1024;

/// The placeholders of a list of JSON values from left to right, each of which stands for another one of so many
/// attachments. One inside another one counts as well.
///
/// A placeholder is an object with `_placeholder` exactly true; other keys do not matter, and of repeated keys the
/// last one counts, as in JavaScript. The text must be valid JSON; otherwise the result is incomplete.
///
/// No encoder lets two of them stand for one attachment, and every one costs a copy where attachments have to be put
/// into the JSON, so that a small packet could become a huge one.
pub(crate) fn find(list: &str, attachments: usize) -> Result<Vec<Placeholder>, PlaceholderError> {
    let mut found = Vec::new();
    let mut seen = vec![false; attachments];
    walk(list, |part| {
        if let Part::Placeholder { object, num } = part {
            let num = num.ok_or(PlaceholderError::Missing)?;
            let seen = seen.get_mut(num).ok_or(PlaceholderError::Missing)?;
            if std::mem::replace(seen, true) {
                return Err(PlaceholderError::Shared { num });
            }
            found.push(Placeholder { object, num });
        }
        Ok(())
    })?;
    // One inside another one is complete, and so found, before that.
    found.sort_unstable_by_key(|placeholder: &Placeholder| placeholder.object.start);
    Ok(found)
}

/// Where a list of JSON values says `true` under the key `_placeholder`, if the key occurs other than `known` times.
///
/// Of repeated keys all count, as there are readers to whom the first one does.
pub(crate) fn find_marks(list: &str, known: usize) -> Result<Vec<usize>, PlaceholderError> {
    let mut marks = Vec::new();
    // Only this escape can spell the key in another way.
    let plain = memmem::find(list.as_bytes(), br"\u").is_none();
    if plain && memmem::find_iter(list.as_bytes(), b"_placeholder").count() == known {
        return Ok(marks);
    }
    walk(list, |part| {
        if let Part::Mark { at } = part {
            marks.push(at);
        }
        Ok(())
    })?;
    Ok(marks)
}

/// Appends `list` to `out`, with `false` in the place of each `true` that begins at one of `marks`, which ascend.
///
/// A peer may send as many of them as its message has room for, so that nothing is moved once it is written.
pub(crate) fn unmark(list: &[u8], marks: &[usize], out: &mut Vec<u8>) {
    out.reserve(list.len() + marks.len());
    let mut written = 0;
    for &mark in marks {
        out.extend_from_slice(&list[written..mark]);
        out.extend_from_slice(b"false");
        written = mark + b"true".len();
    }
    out.extend_from_slice(&list[written..]);
}

/// What [`walk`] meets.
enum Part {
    /// The value `true` of a key `_placeholder`.
    Mark { at: usize },
    /// The end of an object that is a placeholder, with its number if it is a usable one.
    Placeholder {
        object: Range<usize>,
        num: Option<usize>,
    },
}

fn walk(
    list: &str,
    mut meet: impl FnMut(Part) -> Result<(), PlaceholderError>,
) -> Result<(), PlaceholderError> {
    let bytes = list.as_bytes();
    let mut stack: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                if stack.len() == MAX_DEPTH {
                    return Err(PlaceholderError::TooDeep);
                }
                stack.push(Frame::new(start, byte == b'{'));
            }
            b'}' | b']' => {
                if let Some(frame) = stack.pop()
                    && frame.marked
                {
                    let object = frame.start..at;
                    let num = frame.num;
                    meet(Part::Placeholder { object, num })?;
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
                        if frame.marked {
                            meet(Part::Mark { at: start })?;
                        }
                    }
                    Some(frame) if frame.key == Key::Num => {
                        frame.num = list[start..at].parse().ok();
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// An array or object that is still open.
struct Frame {
    start: usize,
    key: Key,
    marked: bool,
    num: Option<usize>,
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

    /// What is found, by number and text.
    fn found(list: &str) -> Result<Vec<(usize, &str)>, PlaceholderError> {
        let found = find(list, 13)?.into_iter();
        Ok(found
            .map(|found| (found.num, &list[found.object]))
            .collect())
    }

    fn marks(list: &str) -> Vec<usize> {
        let marks = find_marks(list, 0).unwrap();
        assert!(marks.iter().all(|at| list[*at..].starts_with("true")));
        marks
    }

    #[test]
    fn placeholders_are_found_at_any_depth_and_in_any_key_order() {
        let list = r#"1,{"_placeholder":true,"num":0},[{"a":{"num" : 12 , "x":[{}], "_placeholder" :true}}]"#;
        assert_eq!(
            found(list).unwrap(),
            [
                (0, r#"{"_placeholder":true,"num":0}"#),
                (12, r#"{"num" : 12 , "x":[{}], "_placeholder" :true}"#)
            ]
        );
        assert_eq!(marks(list).len(), 2);
        let escaped = r#"{"\u005fplaceholder":true,"n\u0075m":3}"#;
        assert_eq!(found(escaped).unwrap(), [(3, escaped)]);
        assert_eq!(marks(escaped).len(), 1);
    }

    #[test]
    fn look_alikes_are_not_placeholders() {
        for list in [
            r#""_placeholder",true,"num",1"#,
            r#"{"_placeholder":false,"num":0}"#,
            r#"{"_placeholder":"true","num":0}"#,
            r#"{"x":"_placeholder","y":true,"num":0}"#,
            r#"{"_placeholder":[true],"num":0}"#,
            r#"["_placeholder",true]"#,
        ] {
            assert_eq!(found(list), Ok(vec![]), "{list}");
            assert!(marks(list).is_empty(), "{list}");
        }
    }

    #[test]
    fn of_repeated_keys_the_last_one_counts_but_every_mark_is_one() {
        let list = r#"{"_placeholder":true,"_placeholder":null,"num":0}"#;
        assert_eq!(found(list), Ok(vec![]));
        assert_eq!(marks(list).len(), 1);
        let list = r#"{"_placeholder":true,"num":0,"num":1}"#;
        assert_eq!(found(list), Ok(vec![(1, list)]));
    }

    #[test]
    fn known_marks_are_not_looked_for() {
        let list = r#"{"_placeholder":true,"num":0},"_placeholder""#;
        assert_eq!(find_marks(list, 2), Ok(vec![]));
        assert_eq!(find_marks(list, 1).unwrap().len(), 1);
    }

    #[test]
    fn unusable_numbers_are_reported() {
        for num in [r#""x":1"#, r#""num":-1"#, r#""num":"0""#, r#""num":13"#] {
            let list = format!(r#"{{"_placeholder":true,{num}}}"#);
            assert_eq!(found(&list), Err(PlaceholderError::Missing), "{num}");
        }
    }

    #[test]
    fn outer_placeholders_come_before_inner_ones() {
        let inner = r#"{"_placeholder":true,"num":0}"#;
        let list = format!(r#"{{"num":1,"a":{inner},"_placeholder":true}}"#);
        assert_eq!(found(&list), Ok(vec![(1, &*list), (0, inner)]));
    }

    #[test]
    fn second_placeholder_of_an_attachment_is_refused() {
        let one = r#"{"_placeholder":true,"num":2}"#;
        let shared = Err(PlaceholderError::Shared { num: 2 });
        assert_eq!(found(&format!("{one},[{one}]")), shared);
        assert_eq!(found(&vec![one; 100_000].join(",")), shared);
    }

    #[test]
    fn hostile_nesting_is_given_up() {
        let deep = "[".repeat(100_000);
        assert_eq!(found(&deep), Err(PlaceholderError::TooDeep));
        assert_eq!(find_marks(&deep, 1), Err(PlaceholderError::TooDeep));
    }
}
