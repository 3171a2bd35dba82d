//! Received arguments on their way to another peer: verbatim, except for what stands for bytes.

use std::io;

use bytes::Bytes;

use super::attachments::{Attachments, BytesTo, Inline};
use super::error::{EncodeError, EncodeErrorKind};
use crate::RawArgs;
use crate::args::placeholder::{self, Placeholder, PlaceholderError};
use crate::args::{BytesForm, buffer};

/// Stands for the first letter of `true` in the placeholders that are ours, until all arguments of the packet have been
/// written. In JSON this byte cannot occur, so that nobody can forge it.
pub(super) const MARK: u8 = 0;

/// Appends the list of `args`, which must be valid JSON, to `out`.
pub(super) fn pass_on(
    args: RawArgs<'_>,
    out: &mut Vec<u8>,
    bytes: &mut BytesTo<'_>,
) -> Result<(), EncodeError> {
    let list = args.as_json();
    match (args.bytes_form(), bytes) {
        // What an attachment could be forged with is looked at when it is known whether there are any.
        (BytesForm::Attachments([]), _) | (BytesForm::Buffers, BytesTo::Inline(_)) => {
            out.extend_from_slice(list.as_bytes());
            Ok(())
        }
        (BytesForm::Attachments(from), BytesTo::Attachments(to)) => renumber(list, from, out, to),
        (BytesForm::Attachments(from), BytesTo::Inline(inline)) => put_in(list, from, out, inline),
        (BytesForm::Buffers, BytesTo::Attachments(to)) => take_out(list, out, to),
    }
}

pub(super) fn write_placeholder<W: io::Write + ?Sized>(
    writer: &mut W,
    num: usize,
) -> io::Result<()> {
    const { assert!(MARK == b'\0') };
    write!(writer, "{{\"_placeholder\":\0rue,\"num\":{num}}}")
}

/// Makes plain objects of what looks like a placeholder in the arguments that begin at `start`, except for our own ones.
///
/// There is no way to tell a receiver that such an object is meant as it is, so that it has to be changed: the mark leaves
/// as `false`, which is a boolean still.
pub(super) fn disarm(buf: &mut Vec<u8>, start: usize, own: usize) -> Result<(), EncodeError> {
    let list = std::str::from_utf8(&buf[start..]).expect("JSON is written as UTF-8");
    let marks = placeholder::find_marks(list, own).map_err(|error| fault(error, own))?;
    if marks.is_empty() {
        return Ok(());
    }
    let list = buf.split_off(start);
    placeholder::unmark(&list, &marks, buf);
    Ok(())
}

/// Adds the attachments that are referred to, and writes placeholders with their new numbers.
fn renumber(
    list: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
    to: &mut Attachments,
) -> Result<(), EncodeError> {
    let mut written = 0;
    for Placeholder { object, num } in placeholders(list, attachments)? {
        // A placeholder inside another one goes with it.
        if object.start < written {
            continue;
        }
        let num = to.push(attachments[num].clone())?;
        out.extend_from_slice(&list.as_bytes()[written..object.start]);
        write_placeholder(out, num).expect("a Vec takes everything");
        written = object.end;
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
    Ok(())
}

/// Puts each attachment where its placeholder is.
fn put_in(
    list: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
    inline: &mut Inline<'_>,
) -> Result<(), EncodeError> {
    let mut places = placeholders(list, attachments)?;
    let mut end = 0;
    places.retain(|place| {
        let is_outer = place.object.start >= end;
        end = end.max(place.object.end);
        is_outer
    });
    let mut len = list.len();
    for place in &places {
        let bytes = &attachments[place.num];
        inline.take(bytes.len())?;
        len += buffer::len(bytes);
    }
    // At once, as a large Vec that doubles takes much more than it needs.
    out.reserve(len);
    let mut written = 0;
    for Placeholder { object, num } in places {
        out.extend_from_slice(&list.as_bytes()[written..object.start]);
        buffer::write(out, &attachments[num]).expect("a Vec takes everything");
        written = object.end;
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
    Ok(())
}

/// Makes an attachment of every Buffer.
fn take_out(list: &str, out: &mut Vec<u8>, to: &mut Attachments) -> Result<(), EncodeError> {
    let mut written = 0;
    for buffer in buffer::find(list) {
        let num = to.push(buffer.bytes.into())?;
        out.extend_from_slice(&list.as_bytes()[written..buffer.span.start]);
        write_placeholder(out, num).expect("a Vec takes everything");
        written = buffer.span.end;
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
    Ok(())
}

fn placeholders(list: &str, attachments: &[Bytes]) -> Result<Vec<Placeholder>, EncodeError> {
    placeholder::find(list, attachments.len()).map_err(|error| fault(error, attachments.len()))
}

fn fault(error: PlaceholderError, attachments: usize) -> EncodeError {
    match error {
        PlaceholderError::Missing => EncodeErrorKind::MissingAttachment { attachments },
        PlaceholderError::Shared { num } => EncodeErrorKind::SharedAttachment { num },
        PlaceholderError::TooDeep => EncodeErrorKind::TooDeep,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Args, ArgsWriter, ToArgs};

    fn as_buffers(args: &impl ToArgs) -> Result<String, EncodeError> {
        let mut out = Vec::new();
        args.write_args(&mut ArgsWriter::with_buffers(&mut out, &mut 1000))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn attachments_are_put_in_where_the_peer_has_none() {
        let parts = [Bytes::from_static(&[0]), Bytes::from_static(&[1, 255])];
        let array =
            r#"[{"_placeholder":true,"num":1},[{"a":{ "num":0, "_placeholder":true }}], 2]"#;
        let args = RawArgs::from_array(array).unwrap().with_attachments(&parts);
        let expected =
            r#"{"type":"Buffer","data":[1,255]},[{"a":{"type":"Buffer","data":[0]}}], 2"#;
        assert_eq!(as_buffers(&args).unwrap(), expected);
        assert_eq!(as_buffers(&args.to_args()).unwrap(), expected);
    }

    #[test]
    fn a_placeholder_inside_another_goes_with_it() {
        let parts = [Bytes::from_static(&[0]), Bytes::from_static(&[1])];
        let array = r#"[{"num":1,"x":{"_placeholder":true,"num":0},"_placeholder":true}]"#;
        let args = RawArgs::from_array(array).unwrap().with_attachments(&parts);
        assert_eq!(
            as_buffers(&args).unwrap(),
            r#"{"type":"Buffer","data":[1]}"#
        );
        let again = Args::new(&args).unwrap();
        assert_eq!(again.as_json(), r#"{"_placeholder":true,"num":0}"#);
        assert_eq!(again.attachments(), [&[1][..]]);
    }

    #[test]
    fn an_attachment_is_not_put_in_twice() {
        let parts = [Bytes::from_static(&[7; 100])];
        let one = r#"{"_placeholder":true,"num":0}"#;
        let array = format!("[{one},[{one}]]");
        let args = RawArgs::from_array(&array)
            .unwrap()
            .with_attachments(&parts);
        for error in [
            as_buffers(&args).unwrap_err(),
            Args::new(&args).unwrap_err(),
        ] {
            assert!(matches!(
                error.kind(),
                EncodeErrorKind::SharedAttachment { num: 0 }
            ));
        }
    }

    #[test]
    fn bytes_inside_of_the_text_are_limited() {
        let bytes = |len| Bytes::from(vec![255; len]);
        let passed_on = |first, second| Args::new(&(bytes(first), bytes(second))).unwrap();
        assert!(as_buffers(&passed_on(999, 1)).is_ok());
        assert!(as_buffers(&(bytes(999), bytes(1))).is_ok());
        for error in [
            as_buffers(&passed_on(999, 2)).unwrap_err(),
            as_buffers(&(bytes(999), bytes(2))).unwrap_err(),
        ] {
            let text = "cannot encode the arguments: more than 1000 bytes inside of the text";
            assert_eq!(error.to_string(), text);
        }
        // These are text already.
        let buffers = as_buffers(&bytes(1000)).unwrap();
        let args = RawArgs::from_list(&buffers).unwrap().with_buffers();
        let mut out = Vec::new();
        args.write_args(&mut ArgsWriter::with_buffers(&mut out, &mut 0))
            .unwrap();
    }

    #[test]
    fn a_missing_attachment_cannot_be_put_in() {
        let parts = [Bytes::new()];
        let args = RawArgs::from_array(r#"[{"_placeholder":true,"num":1}]"#).unwrap();
        let error = as_buffers(&args.with_attachments(&parts)).unwrap_err();
        assert!(matches!(
            error.kind(),
            EncodeErrorKind::MissingAttachment { attachments: 1 }
        ));
    }

    #[test]
    fn buffers_become_attachments_where_the_peer_has_them() {
        let array = r#"[{"type":"Buffer","data":[1]}, {"k":[{"data":[2],"type":"Buffer"}]}]"#;
        let args = RawArgs::from_array(array).unwrap().with_buffers();
        assert_eq!(as_buffers(&args).unwrap(), &array[1..array.len() - 1]);
        let args = Args::new(&args.to_args()).unwrap();
        assert_eq!(
            args.as_json(),
            r#"{"_placeholder":true,"num":0}, {"k":[{"_placeholder":true,"num":1}]}"#
        );
        assert_eq!(args.attachments(), [&[1][..], &[2]]);
    }

    #[test]
    fn forged_placeholders_do_not_reach_attachments() {
        let array = r#"[{"type":"Buffer","data":[1]},{"_placeholder":true,"num":0}]"#;
        let args = RawArgs::from_array(array).unwrap().with_buffers();
        let args = Args::new(&args).unwrap();
        assert_eq!(
            args.as_json(),
            r#"{"_placeholder":true,"num":0},{"_placeholder":false,"num":0}"#
        );
        assert_eq!(args.attachments(), [&[1][..]]);
    }
}
