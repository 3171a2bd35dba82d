//! Events as they have been encoded: what is in which place of the text.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::EncodeError;
use super::to_args::{ArgsWriter, ToArgs};
use crate::RawArgs;
use crate::name::read_name;

/// What an event carries beside its name and arguments. Never both: with an offset, a receiver that comes back gets the
/// event once more, while an answer is for one place that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventMark<'a> {
    /// Nothing.
    None,
    /// The id under which an acknowledgement is expected.
    AckId(u64),
    /// The event's place in the server's log, for connection state recovery: one more argument behind the others.
    Offset(&'a str),
}

impl EventMark<'_> {
    /// The id of the acknowledgement, if one is expected.
    #[must_use]
    pub const fn of(ack_id: Option<u64>) -> Self {
        match ack_id {
            Some(id) => Self::AckId(id),
            None => Self::None,
        }
    }

    pub(super) const fn ack_id(self) -> Option<u64> {
        match self {
            Self::AckId(id) => Some(id),
            Self::None | Self::Offset(_) => None,
        }
    }
}

/// Where the parts of an event lie that [`encode_event`](crate::encode_event) has written, counted from the packet's
/// first character. With it, whoever needs the event in another form does not read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLayout {
    /// Where the payload starts, which is the array of the name and the arguments.
    pub(super) payload: usize,
    /// Where the JSON of the name ends.
    pub(super) name_end: usize,
    /// Where the last argument ends, but for an offset.
    pub(super) args_end: usize,
    /// How many arguments there are, without an offset.
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
    /// Its arguments, without the offset that may stand behind them.
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
            // Behind the name's comma.
            _ => &text[self.name_end + 1..self.args_end],
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
        let mark = EventMark::of(ack_id);
        let (start, layout) =
            encode_event_in_parts(&mut buf, 5, namespace, mark, name, args, &mut attachments)
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
        let (start, layout) = encode_event_in_parts(
            &mut buf,
            0,
            "/",
            EventMark::None,
            "a",
            &bytes,
            &mut attachments,
        )
        .unwrap();
        let text = std::str::from_utf8(&buf[start..]).unwrap();
        let event = layout.parts(text, &attachments);
        assert_eq!(event.args.deserialize::<Bytes>().unwrap(), bytes);
    }

    #[test]
    fn offset_stands_behind_the_arguments_and_is_none() {
        let cases: [(&dyn ToArgs, &str, &str); 3] = [
            (&(), r#"2["a","x\"1"]"#, ""),
            (&(1, "b"), r#"2["a",1,"b","x\"1"]"#, r#"1,"b""#),
            (
                &Bytes::from_static(b"x"),
                r#"51-["a",{"_placeholder":true,"num":0},"x\"1"]"#,
                r#"{"_placeholder":true,"num":0}"#,
            ),
        ];
        for (args, expected, list) in cases {
            let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
            let mark = EventMark::Offset("x\"1");
            let (start, layout) =
                encode_event_in_parts(&mut buf, 0, "/", mark, "a", args, &mut attachments).unwrap();
            let text = std::str::from_utf8(&buf[start..]).unwrap();
            assert_eq!(text, expected);
            let event = layout.parts(text, &attachments);
            assert_eq!((event.args.as_json(), event.ack_id), (list, None));
        }
    }
}
