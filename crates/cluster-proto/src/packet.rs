//! The packets in broadcasts.

use std::borrow::Cow;

use crate::sink::Sink;
use crate::source::Source;
use crate::value::Wire;
use crate::{DecodeError, EncodeError, Event};

/// The type of the packet in a broadcast: an event. Written whether there are bytes or not, as receivers look for these
/// themselves; what is read may say 5 as well, which is what servers of Socket.IO 2 call one with bytes.
pub(crate) const EVENT: u64 = 2;

/// Reads a packet, of which the event is all that counts: the receiver has an ack id and a namespace of its own.
pub(crate) fn read_packet<'a, S: Source<'a>>(source: &mut S) -> Result<Option<Wire>, DecodeError> {
    read_packet_and_namespace(source).map(|(event, _)| event)
}

/// Reads a packet where it is the only one who says which namespace it is about.
pub(crate) fn read_packet_and_namespace<'a, S: Source<'a>>(
    source: &mut S,
) -> Result<(Option<Wire>, Option<Cow<'a, str>>), DecodeError> {
    let (mut event, mut namespace) = (None, None);
    source.map(|source, key| {
        match key {
            b"data" => event = source.optional(Source::wire)?,
            b"nsp" => namespace = source.optional(Source::text)?,
            _ => source.skip()?,
        }
        Ok(())
    })?;
    Ok((event, namespace))
}

/// Writes a packet that says which namespace it is about.
pub(crate) fn write_packet<S: Sink>(
    sink: &mut S,
    namespace: &str,
    event: &Event,
) -> Result<(), EncodeError> {
    sink.map(3)?;
    sink.key("type")?;
    sink.whole(EVENT);
    sink.key("data")?;
    sink.event(event)?;
    sink.key("nsp")?;
    sink.text(namespace)?;
    sink.end_map();
    Ok(())
}

/// Most messages are about the main namespace, whose name need not be copied.
pub(crate) fn kept(namespace: Cow<'_, str>) -> Cow<'static, str> {
    match &*namespace {
        "/" => Cow::Borrowed("/"),
        _ => Cow::Owned(namespace.into_owned()),
    }
}
