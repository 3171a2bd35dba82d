//! The JSON of `@mickl/socket.io-nats-adapter`, which knows broadcasts and nothing else.

use bytes::Bytes;

use crate::opts::{FlagsIn, read_opts, write_opts};
use crate::packet::{kept, read_packet_and_namespace, write_packet};
use crate::sink::{JsonSink, Sink};
use crate::source::{JsonSource, Source};
use crate::value::WireForm;
use crate::{DecodeError, EncodeError, Envelope, Event, Limits, Message, NodeId};

/// The subject for a namespace. `key` is `subjectKey` in Node, `socketIO` by default.
#[must_use]
pub fn subject(key: &str, namespace: &str) -> String {
    format!("{key}.{namespace}")
}

/// Appends a broadcast. Bytes have the form of Node's Buffer, which Node's servers do not take for bytes.
///
/// # Errors
///
/// When the event cannot be encoded, or the message is anything else. `out` may have a part of it then.
pub fn encode(
    out: &mut Vec<u8>,
    from: &NodeId,
    namespace: &str,
    message: &Message,
) -> Result<(), EncodeError> {
    let Message::Broadcast {
        event,
        opts,
        request: None,
    } = message
    else {
        return Err(EncodeError::NoWord("anything but broadcasts"));
    };
    let sink = &mut JsonSink::new(out);
    sink.map(3)?;
    sink.key("fromUid")?;
    sink.text(from.as_str())?;
    sink.key("packet")?;
    write_packet(sink, namespace, event)?;
    sink.key("opts")?;
    write_opts(sink, opts, FlagsIn::Opts)?;
    sink.end_map();
    Ok(())
}

/// Reads a broadcast.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode(frame: &Bytes, limits: &Limits) -> Result<Envelope, DecodeError> {
    limits.check_len(frame)?;
    let mut source = JsonSource::new(frame, WireForm::JsonWithBuffers)?;
    let (mut from, mut packet, mut opts) = (None, None, None);
    source.map(|source, key| {
        match key {
            b"fromUid" => from = source.optional(NodeId::read)?,
            b"packet" => packet = source.optional(read_packet_and_namespace)?,
            b"opts" => opts = source.optional(|source| read_opts(source, limits))?,
            _ => source.skip()?,
        }
        Ok(())
    })?;
    source.end()?;
    let (event, namespace) = packet.ok_or(DecodeError::Missing("a packet"))?;
    Ok(Envelope {
        from: Some(from.ok_or(DecodeError::Missing("a uid"))?),
        namespace: namespace.map(kept),
        message: Message::Broadcast {
            event: Event::wire(event.ok_or(DecodeError::Missing("an event"))?),
            opts: opts.ok_or(DecodeError::Missing("opts"))?,
            request: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::made_here;

    const MESSAGES: &[&str] = &[
        r#"{"fromUid":"DVhXxS","packet":{"type":2,"data":["hi",1,{}],"nsp":"/"},"opts":{"rooms":[],"except":[],"flags":{}}}"#,
        r#"{"fromUid":"DVhXxS","packet":{"type":2,"data":["hi"],"nsp":"/"},"opts":{"rooms":["r"],"except":["x"],"flags":{}}}"#,
        r#"{"fromUid":"DVhXxS","packet":{"type":2,"data":["bin",{"type":"Buffer","data":[1,2]}],"nsp":"/"},"opts":{"rooms":[],"except":[],"flags":{}}}"#,
        r#"{"fromUid":"Bayagw","packet":{"type":2,"data":["adm"],"nsp":"/admin"},"opts":{"rooms":[],"except":[],"flags":{}}}"#,
    ];

    fn decoded(text: &'static str) -> Envelope {
        decode(&Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap()
    }

    #[test]
    fn what_node_writes_is_read_and_written_again() {
        for text in MESSAGES {
            let envelope = decoded(text);
            let (from, namespace) = (envelope.from.unwrap(), envelope.namespace.unwrap());
            for message in [envelope.message.clone(), made_here(envelope.message)] {
                let mut out = Vec::new();
                encode(&mut out, &from, &namespace, &message).unwrap();
                assert_eq!(String::from_utf8(out).unwrap(), *text);
            }
        }
        assert_eq!(subject("socketIO", "/admin"), "socketIO./admin");
    }

    #[test]
    fn buffers_are_bytes_to_us() {
        let Message::Broadcast { event, .. } = decoded(MESSAGES[2]).message else {
            panic!("it is one");
        };
        let (_, args) = event.decode(&Limits::default()).unwrap();
        assert_eq!(args.deserialize::<Bytes>().unwrap(), [1, 2][..]);
    }

    #[test]
    fn only_broadcasts_can_be_said() {
        let error = encode(&mut Vec::new(), &NodeId::new("a"), "/", &Message::Hello).unwrap_err();
        assert!(matches!(error, EncodeError::NoWord(_)));
    }
}
