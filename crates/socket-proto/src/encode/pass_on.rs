//! Received arguments on their way to another peer: verbatim, except for what stands for bytes.

use std::io;

use bytes::Bytes;

use super::error::{EncodeError, EncodeErrorKind};
use super::to_args::BytesTo;
use crate::RawArgs;
use crate::args::placeholder::{self, Placeholder};
use crate::args::{BytesForm, buffer};

/// Appends the list of `args`, which must be valid JSON, to `out`.
pub(super) fn pass_on(
    args: RawArgs<'_>,
    out: &mut Vec<u8>,
    bytes: &mut BytesTo<'_>,
) -> Result<(), EncodeError> {
    let list = args.as_json();
    match (args.bytes_form(), bytes) {
        (BytesForm::Attachments([]), _) | (BytesForm::Buffers, BytesTo::Buffers) => {
            out.extend_from_slice(list.as_bytes());
            Ok(())
        }
        (BytesForm::Attachments(from), BytesTo::Attachments(to)) => renumber(list, from, out, to),
        (BytesForm::Attachments(from), BytesTo::Buffers) => put_in(list, from, out),
        (BytesForm::Buffers, BytesTo::Attachments(to)) => {
            take_out(list, out, to);
            Ok(())
        }
    }
}

pub(super) fn write_placeholder<W: io::Write + ?Sized>(
    writer: &mut W,
    num: usize,
) -> io::Result<()> {
    write!(writer, r#"{{"_placeholder":true,"num":{num}}}"#)
}

/// Adds the attachments that are referred to, once each, and gives the placeholders their new numbers.
fn renumber(
    list: &str,
    attachments: &[Bytes],
    out: &mut Vec<u8>,
    to: &mut Vec<Bytes>,
) -> Result<(), EncodeError> {
    let mut written = 0;
    let mut renumbered: Vec<Option<usize>> = vec![None; attachments.len()];
    for placeholder in placeholders(list)? {
        let num = number(&placeholder, attachments)?;
        let renumbered = *renumbered[num].get_or_insert_with(|| {
            to.push(attachments[num].clone());
            to.len() - 1
        });
        out.extend_from_slice(&list.as_bytes()[written..placeholder.span.start]);
        out.extend_from_slice(renumbered.to_string().as_bytes());
        written = placeholder.span.end;
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
    Ok(())
}

/// Puts each attachment where its placeholder is.
fn put_in(list: &str, attachments: &[Bytes], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut found = placeholders(list)?;
    found.sort_unstable_by_key(|placeholder| placeholder.object.start);
    let mut written = 0;
    for placeholder in found {
        let num = number(&placeholder, attachments)?;
        // A placeholder inside another one goes with it.
        if placeholder.object.start < written {
            continue;
        }
        out.extend_from_slice(&list.as_bytes()[written..placeholder.object.start]);
        buffer::write(out, &attachments[num]).expect("a Vec takes everything");
        written = placeholder.object.end;
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
    Ok(())
}

/// Makes an attachment of every Buffer.
///
/// A list that has placeholders of its own is left as it is: its peer has no attachments, so they stand for nothing, and
/// the receiver would take them for its attachments or break the connection over them.
fn take_out(list: &str, out: &mut Vec<u8>, to: &mut Vec<Bytes>) {
    let mut written = 0;
    let mut buffers = buffer::find(list).peekable();
    if buffers.peek().is_some() && placeholder::find(list).is_some_and(|found| found.is_empty()) {
        for buffer in buffers {
            out.extend_from_slice(&list.as_bytes()[written..buffer.span.start]);
            write_placeholder(out, to.len()).expect("a Vec takes everything");
            to.push(buffer.bytes.into());
            written = buffer.span.end;
        }
    }
    out.extend_from_slice(&list.as_bytes()[written..]);
}

fn placeholders(list: &str) -> Result<Vec<Placeholder>, EncodeError> {
    placeholder::find(list).ok_or_else(|| EncodeErrorKind::TooDeep.into())
}

fn number(placeholder: &Placeholder, attachments: &[Bytes]) -> Result<usize, EncodeError> {
    placeholder
        .num
        .filter(|num| *num < attachments.len())
        .ok_or_else(|| {
            EncodeErrorKind::MissingAttachment {
                attachments: attachments.len(),
            }
            .into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Args, ArgsWriter, ToArgs};

    fn as_buffers(args: &impl ToArgs) -> Result<String, EncodeError> {
        let mut out = Vec::new();
        args.write_args(&mut ArgsWriter::with_buffers(&mut out))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn attachments_are_put_in_where_the_peer_has_none() {
        let parts = [Bytes::from_static(&[0]), Bytes::from_static(&[1, 255])];
        let array = r#"[{"_placeholder":true,"num":1},[{"a":{ "num":0, "_placeholder":true }}], {"_placeholder":true,"num":1},2]"#;
        let args = RawArgs::from_array(array).unwrap().with_attachments(&parts);
        let expected = r#"{"type":"Buffer","data":[1,255]},[{"a":{"type":"Buffer","data":[0]}}], {"type":"Buffer","data":[1,255]},2"#;
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
        let array = r#"[{"type":"Buffer","data":[1]},{"_placeholder":true,"num":9}]"#;
        let args = RawArgs::from_array(array).unwrap().with_buffers();
        let args = Args::new(&args).unwrap();
        assert_eq!(args.as_json(), &array[1..array.len() - 1]);
        assert!(args.attachments().is_empty());
    }
}
