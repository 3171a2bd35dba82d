//! Cluster messages: the dialect of Node's adapters on sharded Redis, Redis streams and Postgres, and between the processes
//! of Node's `cluster` module.
//!
//! A message is a map of `type`, `data`, `uid` and `nsp`. It is JSON if there are no bytes in it, and `MessagePack` if there
//! are, or always; what is read may be either.

mod data;

use bytes::Bytes;

use crate::packet::kept;
use crate::sink::{JsonSink, MessagePackSink, Sink};
use crate::source::{JsonSource, MessagePackSource, Source};
use crate::value::WireForm;
use crate::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId};

pub(crate) use data::{Thirteen, has_data, kind_of, read_data, without_data, write_data};

/// Appends a message as JSON. Bytes have the form of Node's Buffer in it, which receivers do not take for bytes.
///
/// # Errors
///
/// When the event or answer cannot be encoded, or the dialect has no word for the message. `out` may have a part of it then.
pub fn encode_json(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    write(
        &mut JsonSink::new(out),
        Thirteen::Close,
        from,
        namespace,
        message,
    )
}

/// Appends a message as `MessagePack`.
///
/// # Errors
///
/// As [`encode_json`].
pub fn encode_msgpack(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    write(
        &mut MessagePackSink::new(out),
        Thirteen::Close,
        from,
        namespace,
        message,
    )
}

/// Appends a message as JSON, unless there are bytes in it.
///
/// # Errors
///
/// As [`encode_json`].
pub fn encode_json_unless_binary(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    match message.has_bytes() {
        true => encode_msgpack(out, from, namespace, message),
        false => encode_json(out, from, namespace, message),
    }
}

/// Reads a message, in either form.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode(frame: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
    limits.check_len(frame)?;
    let thirteen = Thirteen::Close;
    match frame.first() {
        Some(b'{') => read(JsonSource::new(frame, WireForm::Json)?, thirteen, limits),
        _ => read(MessagePackSource::new(frame), thirteen, limits),
    }
}

/// Who has sent a message, which is found without looking at the rest: engines may give back what we have sent ourselves.
/// `None` if that is not to be seen.
#[must_use]
pub fn sender(frame: &Bytes) -> Option<NodeId> {
    match frame.first() {
        Some(b'{') => read_sender(JsonSource::new(frame, WireForm::Json).ok()?),
        _ => read_sender(MessagePackSource::new(frame)),
    }
}

fn read_sender<'a, S: Source<'a>>(mut source: S) -> Option<NodeId> {
    let mut sender = None;
    source
        .map(|source, key| match key {
            b"uid" => {
                sender = Some(NodeId::read(source)?);
                // There is nothing else to be found.
                Err(DecodeError::Expected("nothing more"))
            }
            _ => source.skip(),
        })
        .err()?;
    sender
}

pub(crate) fn read<'a, S: Source<'a>>(
    mut source: S,
    thirteen: Thirteen,
    limits: &Limits,
) -> Result<Envelope, DecodeError> {
    let (mut kind, mut from, mut namespace) = (None, None, None);
    let (mut message, mut data) = (None, None);
    source.map(|source, key| {
        match (key, kind) {
            (b"type", _) => kind = Some(source.whole()?),
            (b"uid", _) => from = source.optional(NodeId::read)?,
            (b"nsp", _) => namespace = source.optional(Source::text)?.map(kept),
            (b"data", Some(kind)) => message = Some(read_data(kind, thirteen, source, limits)?),
            // What is in there depends on the type, which most write in front of it.
            (b"data", None) => {
                data = Some(source.clone());
                source.skip()?;
            }
            _ => source.skip()?,
        }
        Ok(())
    })?;
    source.end()?;
    let kind = kind.ok_or(DecodeError::Missing("a type"))?;
    let message = match (message, data) {
        (Some(message), _) => message,
        (None, Some(mut data)) => read_data(kind, thirteen, &mut data, limits)?,
        (None, None) => without_data(kind, thirteen)?,
    };
    Ok(Envelope {
        from: Some(from.ok_or(DecodeError::Missing("a uid"))?),
        namespace,
        message,
    })
}

pub(crate) fn write<S: Sink>(
    sink: &mut S,
    thirteen: Thirteen,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    let has_data = has_data(message);
    sink.map(3 + usize::from(has_data))?;
    sink.key("type")?;
    sink.whole(kind_of(message, thirteen)?);
    if has_data {
        sink.key("data")?;
        write_data(sink, message)?;
    }
    sink.key("uid")?;
    sink.text(from.as_str())?;
    sink.key("nsp")?;
    sink.text(namespace)?;
    sink.end_map();
    Ok(())
}

#[cfg(test)]
mod tests;
