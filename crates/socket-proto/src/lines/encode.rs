//! Writes lines.

use std::borrow::Cow;
use std::io::Write;

use memchr::memchr2;
use serde::Serialize;

use super::reserved::is_reserved_line_event;
use crate::encode::write_json;
use crate::{ArgsWriter, BytesOut, EncodeError, EncodeErrorKind, ToArgs, escape_non_ascii};

/// Appends an event to `out` as one whole line; `ack_id` asks the peer for an acknowledgement.
///
/// It must reach the stream in one write: plain peers take an object whose line has no end yet, and then take it a
/// second time. Bytes in the arguments are written as Buffers, also those that came as attachments from another peer, up to
/// [`max_inline_bytes`](crate::ConnectionConfig::max_inline_bytes) of them.
///
/// # Errors
///
/// When the name is reserved ([`is_reserved_line_event`]), a value cannot be encoded, or there are too many bytes. `out` is as it was then.
pub fn encode_event<A: ToArgs + ?Sized>(
    out: &mut Vec<u8>,
    max_inline_bytes: usize,
    ack_id: Option<u64>,
    name: &str,
    args: &A,
) -> Result<(), EncodeError> {
    write_line(out, |out| {
        if is_reserved_line_event(name) {
            return Err(EncodeErrorKind::ReservedEvent.into());
        }
        out.extend_from_slice(br#"{"eventName":"#);
        write_json(out, name)?;
        write_args(out, max_inline_bytes, args)?;
        if let Some(id) = ack_id {
            write!(out, r#","id":{id}"#).expect("a Vec takes everything");
        }
        Ok(())
    })
    .map_err(|error| error.of_event(name))
}

/// Appends the acknowledgement of the event that carried `id` to `out`; see [`encode_event`].
///
/// # Errors
///
/// When a value cannot be encoded, or there are too many bytes. `out` is as it was then.
pub fn encode_ack<A: ToArgs + ?Sized>(
    out: &mut Vec<u8>,
    max_inline_bytes: usize,
    id: u64,
    args: &A,
) -> Result<(), EncodeError> {
    write_line(out, |out| {
        write!(out, r#"{{"ack":{id}"#).expect("a Vec takes everything");
        write_args(out, max_inline_bytes, args)
    })
    .map_err(EncodeError::of_ack)
}

/// Appends to `out` why an event was refused, with `data` if there is some; see [`encode_event`].
///
/// # Errors
///
/// When `data` cannot be encoded. `out` is as it was then.
pub fn encode_error<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    message: &str,
    data: Option<&T>,
) -> Result<(), EncodeError> {
    write_line(out, |out| {
        out.extend_from_slice(br#"{"error":{"message":"#);
        write_json(out, message)?;
        if let Some(data) = data {
            out.extend_from_slice(br#","data":"#);
            let mut left = BytesOut::default().max_inline_bytes;
            ArgsWriter::with_buffers(out, &mut left).push(data)?;
        }
        out.push(b'}');
        Ok(())
    })
}

/// Finishes the object that `write` begins, and makes one line of ASCII of it, or takes back what has been written.
fn write_line(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    if let Err(error) = write(out) {
        out.truncate(start);
        return Err(error);
    }
    escape(out, start);
    join(&mut out[start..]);
    out.extend_from_slice(b"}\r\n");
    Ok(())
}

/// Writes the member `args`, or nothing if there are none.
fn write_args<A: ToArgs + ?Sized>(
    out: &mut Vec<u8>,
    mut max_inline_bytes: usize,
    args: &A,
) -> Result<(), EncodeError> {
    let before = out.len();
    out.extend_from_slice(br#","args":["#);
    let mut writer = ArgsWriter::with_buffers(out, &mut max_inline_bytes);
    args.write_args(&mut writer)?;
    if writer.finish()? == 0 {
        out.truncate(before);
    } else {
        out.push(b']');
    }
    Ok(())
}

/// Leaves ASCII only: plain peers decode each segment of the stream on its own, and a character that is split between
/// two of them is lost.
fn escape(out: &mut Vec<u8>, start: usize) {
    if out[start..].is_ascii() {
        return;
    }
    let json = std::str::from_utf8(&out[start..]).expect("serde_json writes UTF-8");
    if let Cow::Owned(escaped) = escape_non_ascii(json) {
        out.truncate(start);
        out.extend_from_slice(escaped.as_bytes());
    }
}

/// Makes one line of JSON that was passed on verbatim; outside strings a line break is as good as a space, and inside
/// them there is none.
fn join(json: &mut [u8]) {
    let mut rest = json;
    while let Some(found) = memchr2(b'\n', b'\r', rest) {
        rest[found] = b' ';
        rest = &mut rest[found + 1..];
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::lines::RESERVED_LINE_EVENTS;
    use crate::{Args, RawArgs};

    fn event(ack_id: Option<u64>, name: &str, args: &impl ToArgs) -> String {
        let mut out = b"before".to_vec();
        encode_event(&mut out, 100, ack_id, name, args).unwrap();
        String::from_utf8(out.split_off(6)).unwrap()
    }

    #[test]
    fn examples_of_the_reference_are_encoded() {
        assert_eq!(
            event(None, "sum", &(&[1, 2, 3][..],)),
            "{\"eventName\":\"sum\",\"args\":[[1,2,3]]}\r\n"
        );
        assert_eq!(event(None, "tick", &()), "{\"eventName\":\"tick\"}\r\n");
        assert_eq!(
            event(None, "raw", &Bytes::from_static(&[1, 2, 255])),
            "{\"eventName\":\"raw\",\"args\":[{\"type\":\"Buffer\",\"data\":[1,2,255]}]}\r\n"
        );
        assert_eq!(event(Some(0), "", &()), "{\"eventName\":\"\",\"id\":0}\r\n");
        assert_eq!(
            event(Some(7), "a", &(1, None::<u8>)),
            "{\"eventName\":\"a\",\"args\":[1,null],\"id\":7}\r\n"
        );
    }

    #[test]
    fn acks_and_errors_have_their_form() {
        let mut out = Vec::new();
        encode_ack(&mut out, 100, 7, &(6, Bytes::from_static(b"\0"))).unwrap();
        encode_ack(&mut out, 100, 8, &()).unwrap();
        let data = json!({"code": 1});
        encode_error(&mut out, "né", Some(&data)).unwrap();
        encode_error::<()>(&mut out, "no", None).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"ack\":7,\"args\":[6,{\"type\":\"Buffer\",\"data\":[0]}]}\r\n\
             {\"ack\":8}\r\n\
             {\"error\":{\"message\":\"n\\u00e9\",\"data\":{\"code\":1}}}\r\n\
             {\"error\":{\"message\":\"no\"}}\r\n"
        );
    }

    #[test]
    fn everything_is_ascii() {
        assert_eq!(
            event(None, "é", &"😀\n\u{7f}"),
            "{\"eventName\":\"\\u00e9\",\"args\":[\"\\ud83d\\ude00\\n\u{7f}\"]}\r\n"
        );
    }

    #[test]
    fn verbatim_json_stays_on_its_line() {
        let args = RawArgs::from_array("[1,\r\n {\"a\":\n\"é\"}]").unwrap();
        let expected = "{\"eventName\":\"a\",\"args\":[1,   {\"a\": \"\\u00e9\"}]}\r\n";
        assert_eq!(event(None, "a", &args), expected);
        let raw = RawValue::from_string("[\n1]".to_owned()).unwrap();
        let expected = "{\"eventName\":\"a\",\"args\":[[ 1]]}\r\n";
        assert_eq!(event(None, "a", &raw), expected);
    }

    #[test]
    fn attachments_become_buffers() {
        let args = Args::new(&(1, Bytes::from_static(&[9]))).unwrap();
        assert_eq!(args.attachments().len(), 1);
        assert_eq!(
            event(None, "a", &args),
            "{\"eventName\":\"a\",\"args\":[1,{\"type\":\"Buffer\",\"data\":[9]}]}\r\n"
        );
    }

    #[test]
    fn reserved_names_are_not_sent() {
        for name in RESERVED_LINE_EVENTS.iter().chain(&crate::RESERVED_EVENTS) {
            let mut out = b"before".to_vec();
            let error = encode_event(&mut out, 100, None, name, &()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("cannot encode event {name:?}: the name is reserved")
            );
            assert_eq!(out, b"before");
        }
    }

    #[test]
    fn an_error_leaves_the_buffer_as_it_was() {
        let bad = HashMap::from([((1, 2), 3)]);
        let mut out = b"before".to_vec();
        let error = encode_event(&mut out, 100, None, "chat", &(1, &bad)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot encode event \"chat\": argument 2: key must be a string"
        );
        assert!(encode_ack(&mut out, 100, 1, &bad).is_err());
        assert!(encode_error(&mut out, "no", Some(&bad)).is_err());
        let bytes = Bytes::from_static(&[255; 101]);
        let error = encode_event(&mut out, 100, None, "chat", &bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot encode event \"chat\": more than 100 bytes inside of the text"
        );
        assert!(encode_ack(&mut out, 100, 1, &bytes).is_err());
        assert!(encode_ack(&mut out, 100, 1, &RawArgs::from_array("[[}]").unwrap()).is_err());
        assert_eq!(out, b"before");
    }
}
