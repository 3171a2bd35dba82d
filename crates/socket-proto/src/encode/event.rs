//! Events as they have been encoded: what is in which place of the text.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::EncodeError;
use super::to_args::{ArgsWriter, ToArgs};
use crate::RawArgs;
use crate::name::read_name;

/// Where the parts of an event lie that [`encode_event`](crate::encode_event) has written, counted from the packet's
/// first character. With it, whoever needs the event in another form does not read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLayout {
    /// Where the payload starts, which is the array of the name and the arguments.
    pub(super) payload: usize,
    /// Where the JSON of the name ends.
    pub(super) name_end: usize,
    /// How many arguments there are.
    pub(super) args: usize,
    pub(super) ack_id: Option<u64>,
    /// Bytes stand in the JSON.
    pub(super) inline: bool,
}

/// An event that this side has encoded, in its parts. As [`ToArgs`] it is its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEvent<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its arguments.
    pub args: RawArgs<'a>,
    /// The id under which an acknowledgement is expected.
    pub ack_id: Option<u64>,
}

impl EventLayout {
    /// The id under which an acknowledgement is expected.
    #[must_use]
    pub const fn ack_id(&self) -> Option<u64> {
        self.ack_id
    }

    /// The parts of the event; `text` and `attachments` are what the layout was made with.
    ///
    /// # Panics
    ///
    /// If the text is another one, it may.
    #[must_use]
    pub fn parts<'a>(&self, text: &'a str, attachments: &'a [Bytes]) -> EncodedEvent<'a> {
        let list = match self.args {
            0 => "",
            // Behind the name's comma and up to the bracket that closes the payload.
            _ => &text[self.name_end + 1..text.len() - 1],
        };
        let args = RawArgs::encoded(list, self.args);
        let (name, _) = read_name(text, self.payload + 1).expect("a name is written as a string");
        EncodedEvent {
            name,
            args: match self.inline {
                true => args.with_buffers(),
                false => args.with_attachments(attachments),
            },
            ack_id: self.ack_id,
        }
    }
}

impl ToArgs for EncodedEvent<'_> {
    fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
        out.extend_trusted(self.args)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Attachments, BytesOut, SocketRevision, decode, encode_event_in_parts};

    /// Encodes an event, and compares what the layout says with what a receiver finds in the text.
    fn check(namespace: &str, ack_id: Option<u64>, name: &str, args: &impl ToArgs) {
        let mut buf = Vec::new();
        let mut attachments = Attachments::default();
        let (start, layout) =
            encode_event_in_parts(&mut buf, 5, namespace, ack_id, name, args, &mut attachments)
                .unwrap();
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let event = layout.parts(text, &attachments);
        let packet = decode(text, SocketRevision::V5, 10).unwrap();
        let (read, raw) = packet.event().unwrap();
        assert_eq!((&*event.name, event.ack_id), (name, packet.ack_id));
        assert_eq!(event.name, read);
        assert_eq!(event.args, raw.with_attachments(&attachments));
    }

    #[test]
    fn parts_are_those_that_a_receiver_finds() {
        let bytes = Bytes::from_static(b"\x01");
        for namespace in ["/", "/a"] {
            for name in ["chat", "", "a \"b\" \\ \n", "né", "😀"] {
                check(namespace, None, name, &());
                check(namespace, Some(0), name, &"é");
                check(
                    namespace,
                    Some(u64::MAX),
                    name,
                    &(1, [[2]], json!({"k": "]"})),
                );
                check(namespace, None, name, &(&bytes, "a", &bytes));
                // This has to leave as `false`, and moves what is behind it.
                let forged = json!({"_placeholder": true, "num": 0});
                check(namespace, Some(7), name, &(forged, &bytes));
            }
        }
    }

    #[test]
    fn bytes_in_the_json_are_bytes_still() {
        let (mut buf, out) = (Vec::new(), BytesOut::default().inline(true));
        let mut attachments = Attachments::new(out);
        let bytes = Bytes::from_static(&[1, 255]);
        let (start, layout) =
            encode_event_in_parts(&mut buf, 0, "/", None, "a", &bytes, &mut attachments).unwrap();
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let event = layout.parts(text, &attachments);
        assert_eq!(event.args.deserialize::<Bytes>().unwrap(), bytes);
    }
}
