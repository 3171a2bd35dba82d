//! The dialect of Node's `@socket.io/redis-adapter`, of `socket.io-redis` before it, and of the emitters that publish for them
//! in many languages.
//!
//! There are three kinds of channels, each with a format of its own: [broadcasts](decode_broadcast) are `MessagePack`, one list
//! each; [requests](decode_request) and [answers](decode_response) are JSON, unless they are about acknowledgements. Answers
//! of Node's servers do not say who gives them; [ours](encode_answer) do.

mod request;
mod response;

use std::borrow::Cow;

use bytes::Bytes;

use crate::opts::{FlagsIn, read_opts, write_opts};
use crate::packet::{kept, read_packet_and_namespace, write_packet};
use crate::sink::{MessagePackSink, Sink};
use crate::source::{JsonSource, MessagePackSource, Source};
use crate::value::WireForm;
use crate::{DecodeError, EncodeError, Envelope, Event, Limits, Message, NodeId, Opts};

/// Appends a message for the channel that is for such ones.
///
/// # Errors
///
/// When the event or answer cannot be encoded, or the dialect has no word for the message: servers count each other by asking
/// Redis here, so that there is none for those that come, go or are alive. `out` may have a part of it then.
pub fn encode(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    match message {
        Message::Broadcast {
            event,
            opts,
            request: None,
        } => write_broadcast(&mut MessagePackSink::new(out), from, namespace, event, opts),
        message if message.answers().is_some() => response::encode(out, None, message),
        message => request::encode(out, from, namespace, message),
    }
}

/// Appends an answer that says who gives it, as `uid`, which Node's servers do not look at: whoever has asked can find out
/// then whether it is this server that is gone.
///
/// # Errors
///
/// When the answer cannot be encoded, or is none. `out` may have a part of it then.
pub fn encode_answer(
    out: &mut Vec<u8>,
    from: &NodeId,
    message: &Message,
) -> Result<(), EncodeError> {
    response::encode(out, Some(from), message)
}

/// Reads what has come on a channel for broadcasts.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode_broadcast(frame: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
    limits.check_len(frame)?;
    let mut source = MessagePackSource::new(frame);
    let (mut from, mut event, mut namespace, mut opts) = (None, None, None, None);
    let mut item = 0;
    source.list(|source| {
        item += 1;
        match item {
            1 => from = Some(NodeId::read(source)?),
            2 => (event, namespace) = read_packet_and_namespace(source)?,
            3 => opts = source.optional(|source| read_opts(source, limits))?,
            _ => source.skip()?,
        }
        Ok(())
    })?;
    source.end()?;
    Ok(Envelope {
        from: Some(from.ok_or(DecodeError::Missing("a uid"))?),
        // Old emitters do not say which one, and mean the main one.
        namespace: Some(namespace.map_or(Cow::Borrowed("/"), kept)),
        message: Message::Broadcast {
            event: Event::wire(event.ok_or(DecodeError::Missing("a packet"))?),
            opts: opts.ok_or(DecodeError::Missing("opts"))?,
            request: None,
        },
    })
}

/// Reads what has come on the channel for requests.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode_request(frame: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
    limits.check_len(frame)?;
    match frame.first() {
        Some(b'{') => request::read(json(frame)?, limits),
        _ => request::read(MessagePackSource::new(frame), limits),
    }
}

/// Reads what has come on a channel for answers.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode_response(frame: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
    limits.check_len(frame)?;
    match frame.first() {
        Some(b'{') => response::read(json(frame)?, limits),
        _ => response::read(MessagePackSource::new(frame), limits),
    }
}

/// Whether a broadcast has been sent by this node, which is found without looking at the rest: Redis gives back what we have
/// sent ourselves.
#[must_use]
pub fn is_broadcast_of(frame: &[u8], node: &NodeId) -> bool {
    // A list of three, and a short text; nobody writes it in another way.
    let id = node.as_str().as_bytes();
    match frame {
        [0x93, head @ 0xa0..=0xbf, rest @ ..] => {
            usize::from(head & 0x1f) == id.len() && rest.starts_with(id)
        }
        _ => false,
    }
}

/// Bytes are lost in JSON, as Node makes objects of them.
fn json(frame: &Bytes) -> Result<JsonSource<'_>, DecodeError> {
    JsonSource::new(frame, WireForm::JsonWithBuffers)
}

fn write_broadcast<S: Sink>(
    sink: &mut S,
    from: &NodeId,
    namespace: &str,
    event: &Event,
    opts: &Opts,
) -> Result<(), EncodeError> {
    sink.list(3)?;
    sink.text(from.as_str())?;
    write_packet(sink, namespace, event)?;
    write_opts(sink, opts, FlagsIn::Opts)?;
    sink.end_list();
    Ok(())
}

#[cfg(test)]
mod tests;
