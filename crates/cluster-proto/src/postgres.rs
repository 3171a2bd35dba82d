//! Cluster messages in notifications of Postgres, which have no room for large ones and none for bytes: those are rows of a
//! table, and the notification says which.

use bytes::Bytes;

use crate::cluster::{self, Thirteen, kind_of};
use crate::sink::{JsonSink, Sink};
use crate::source::{JsonSource, Source};
use crate::value::WireForm;
use crate::{DecodeError, EncodeError, Envelope, Limits, Message, NodeId};

/// How many bytes a notification may have. Node's adapter has one more as its default, and loses messages of that size.
pub const MAX_NOTIFICATION: usize = 7999;

/// What a notification says.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once, and most are the large one"
)]
pub enum Notification {
    /// All of it.
    Message(Envelope),
    /// The message is in the table, as [`cluster::decode`] reads it.
    Attached {
        /// Who has sent it. What we have sent ourselves need not be fetched.
        from: NodeId,
        /// The id of the row.
        id: u64,
    },
}

/// How a message has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// As a notification.
    Notification(Vec<u8>),
    /// As the payload of a row, whose id is to be [announced](announce).
    Row(Vec<u8>),
}

/// Writes a message: as a notification, if it has no bytes in it and is not longer than `max`, which is
/// [`MAX_NOTIFICATION`] at most.
///
/// # Errors
///
/// As [`cluster::encode_json`].
pub fn encode(
    from: &NodeId,
    namespace: &str,
    message: &Message,
    max: usize,
) -> Result<Written, EncodeError> {
    let mut out = Vec::new();
    // Node does not look for bytes in what it tells of sockets.
    if matches!(message, Message::Sockets { .. }) || !message.has_bytes() {
        cluster::encode_json(&mut out, from, namespace, message)?;
        if out.len() <= max.min(MAX_NOTIFICATION) {
            return Ok(Written::Notification(out));
        }
        out.clear();
    }
    cluster::encode_msgpack(&mut out, from, namespace, message)?;
    Ok(Written::Row(out))
}

/// Writes the notification that says in which row a message is. Node's servers do without the namespace, which others need
/// not look for then.
///
/// # Errors
///
/// When the dialect has no word for the message.
pub fn announce(
    from: &NodeId,
    namespace: &str,
    message: &Message,
    id: u64,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let sink = &mut JsonSink::new(&mut out);
    sink.map(4)?;
    sink.key("uid")?;
    sink.text(from.as_str())?;
    sink.key("type")?;
    sink.whole(kind_of(message, Thirteen::Close)?);
    sink.key("attachmentId")?;
    sink.text(&id.to_string())?;
    sink.key("nsp")?;
    sink.text(namespace)?;
    sink.end_map();
    Ok(out)
}

/// Reads a notification.
///
/// # Errors
///
/// When it is none, or is beyond the limits.
pub fn decode(frame: &Bytes, limits: &Limits) -> Result<Notification, DecodeError> {
    limits.check_len(frame)?;
    let (mut from, mut id) = (None, None);
    let mut source = JsonSource::new(frame, WireForm::Json)?;
    source.map(|source, key| {
        match key {
            b"uid" => from = source.optional(NodeId::read)?,
            // A number of 64 bits, which some write as such.
            b"attachmentId" => id = source.optional(Source::text)?,
            _ => source.skip()?,
        }
        Ok(())
    })?;
    match (from, id) {
        (_, None) => Ok(Notification::Message(cluster::decode(frame, limits)?)),
        (None, Some(_)) => Err(DecodeError::Missing("a uid")),
        (Some(from), Some(id)) => {
            let id = id.parse();
            let id = id.map_err(|_| DecodeError::Expected("the id of a row"))?;
            Ok(Notification::Attached { from, id })
        }
    }
}

#[cfg(test)]
mod tests {
    use sockeye_socket_proto::Args;

    use super::*;
    use crate::testing::hex;
    use crate::{Event, Opts};

    fn broadcast(args: &Args) -> Message {
        Message::Broadcast {
            event: Event::new("bin", args.as_raw()),
            opts: Opts::default(),
            request: None,
        }
    }

    fn read(text: &str) -> Result<Notification, DecodeError> {
        decode(&Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
    }

    #[test]
    fn what_has_bytes_is_a_row_as_node_writes_it() {
        let from = NodeId::new("50df8ab66de34575");
        let message = broadcast(&Args::new(&(Bytes::from_static(&[1, 2, 3]),)).unwrap());
        let row = "84a47479706503a46461746182a67061636b657482a47479706502a46461746192a362696ec403010203a46f70747383a5726f6f6d7390a665786365707490a5666c61677380a3756964b035306466386162363664653334353735a36e7370a12f";
        let written = encode(&from, "/", &message, MAX_NOTIFICATION).unwrap();
        assert_eq!(written, Written::Row(hex(row).to_vec()));
        let announced = announce(&from, "/", &message, 1).unwrap();
        assert_eq!(
            String::from_utf8(announced).unwrap(),
            r#"{"uid":"50df8ab66de34575","type":3,"attachmentId":"1","nsp":"/"}"#
        );
    }

    #[test]
    fn what_is_too_long_for_a_notification_is_a_row() {
        let from = NodeId::new("a");
        let written = |len: usize| {
            let message = broadcast(&Args::new(&"x".repeat(len)).unwrap());
            match encode(&from, "/", &message, usize::MAX).unwrap() {
                Written::Notification(text) => Ok(text.len()),
                Written::Row(row) => Err(row.len()),
            }
        };
        let around = written(0).unwrap();
        assert_eq!(written(MAX_NOTIFICATION - around), Ok(MAX_NOTIFICATION));
        assert!(written(MAX_NOTIFICATION + 1 - around).is_err());
    }

    #[test]
    fn the_id_of_a_row_may_be_a_number() {
        for id in [r#""12""#, "12"] {
            let text = format!(r#"{{"uid":"50df8ab66de34575","type":3,"attachmentId":{id}}}"#);
            let Notification::Attached { from, id } = read(&text).unwrap() else {
                panic!("it is one");
            };
            assert_eq!((from.as_str(), id), ("50df8ab66de34575", 12));
        }
        for id in ["-1", "1.5", r#""x""#, "{}"] {
            let text = format!(r#"{{"uid":"a","attachmentId":{id}}}"#);
            assert!(read(&text).is_err(), "{id}");
        }
    }

    /// Node's emitter, and its adapter before 0.4, do not say the namespace: the channel does.
    #[test]
    fn messages_need_not_say_their_namespace() {
        let text = r#"{"type":3,"data":{"packet":{"type":2,"data":["fromemitter",1],"nsp":"/"},"opts":{"rooms":[],"flags":{},"except":[]}},"uid":"emitter"}"#;
        let Notification::Message(envelope) = read(text).unwrap() else {
            panic!("it is one");
        };
        assert!(envelope.from.unwrap().is_emitter());
        assert_eq!(envelope.namespace, None);
        let text = r#"{"type":4,"data":{"opts":{"rooms":["room1"],"except":[]},"rooms":["roomE"]},"uid":"emitter"}"#;
        assert!(matches!(read(text), Ok(Notification::Message(_))));
    }
}
