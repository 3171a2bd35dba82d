//! Values of an application, from and to the JSON that handlers know.

use bytes::Bytes;

use super::from_json;
use super::head::{Head, Reader};
use super::to_json::{self, BytesAs, Transcoded};
use crate::parser::ParserError;
use crate::{Args, RawArgs};

/// Appends the arguments, one value for each, with an attachment in the place of each placeholder.
///
/// # Errors
///
/// When they are not JSON, refer to an attachment that they do not have or to one twice, or nest deeper than 128 levels.
/// What has been written by then is left in `out`.
pub fn write_values(args: RawArgs<'_>, out: &mut Vec<u8>) -> Result<(), ParserError> {
    if args.has_buffers() {
        // Where bytes are in the JSON, they become attachments first.
        let args = Args::new(&args).map_err(ParserError::new)?;
        return from_json::transcode_items(args.as_json(), args.attachments(), out);
    }
    from_json::transcode_items(args.as_json(), args.attachments(), out)
}

/// Reads an array that is an event: its name, and the other items as its arguments. A number is a name as well.
///
/// # Errors
///
/// When it is anything else, is broken, nests deeper than 128 levels, or has more bytes objects than `max_attachments`.
pub fn read_event(array: &Bytes, max_attachments: usize) -> Result<(Box<str>, Args), ParserError> {
    let mut input = Reader::new(array);
    let no_name = || ParserError::new("an event without a name");
    let Head::Array(items) = input.head()? else {
        return Err(ParserError::new("no array"));
    };
    let others = items.checked_sub(1).ok_or_else(no_name)?;
    let name = match input.head()? {
        Head::Text(len) => String::from_utf8_lossy(input.take(len)?).into(),
        Head::Unsigned(number) => number.to_string().into(),
        Head::Signed(number) => number.to_string().into(),
        _ => return Err(no_name()),
    };
    let args = to_json::transcode_items(array, input, others, max_attachments)?;
    Ok((name, args_of(args, others)))
}

/// Reads the items of an array as arguments.
///
/// # Errors
///
/// As [`read_event`].
pub fn read_items(array: &Bytes, max_attachments: usize) -> Result<Args, ParserError> {
    let mut input = Reader::new(array);
    let Head::Array(items) = input.head()? else {
        return Err(ParserError::new("no array"));
    };
    let args = to_json::transcode_items(array, input, items, max_attachments)?;
    Ok(args_of(args, items))
}

/// Reads one value as the only argument.
///
/// # Errors
///
/// As [`read_event`].
pub fn read_value(value: &Bytes, max_attachments: usize) -> Result<Args, ParserError> {
    let args = to_json::transcode_items(value, Reader::new(value), 1, max_attachments)?;
    Ok(args_of(args, 1))
}

/// Reads one value as JSON, with bytes as Node's Buffer in it.
///
/// # Errors
///
/// When the value is broken or nests deeper than 128 levels.
pub fn read_json(value: &Bytes) -> Result<String, ParserError> {
    Ok(to_json::transcode(value, Reader::new(value), BytesAs::Buffers)?.json)
}

/// Whether there are bytes anywhere in a value.
///
/// # Errors
///
/// When it is broken.
pub fn has_bytes(value: &[u8]) -> Result<bool, ParserError> {
    let mut input = Reader::new(value);
    while !input.rest().is_empty() {
        match input.head()? {
            Head::Bytes(_) => return Ok(true),
            Head::Extension {
                kind: to_json::NOTEPACK,
                form: super::ExtensionForm::Long,
                ..
            } => return Ok(true),
            Head::Text(len) | Head::Extension { len, .. } => {
                input.take(len)?;
            }
            _ => {}
        }
    }
    Ok(false)
}

fn args_of(Transcoded { json, attachments }: Transcoded, len: usize) -> Args {
    Args::written(json.into(), len, attachments)
}
