//! Packets as text: the JSON first, then the head written backwards into room left in front of it.
//!
//! The layout is `[headroom][head][json]` in one buffer that the caller reuses. The number of attachments is known
//! only after the JSON has been written, and the lower layers add headers of their own in front of the packet; with
//! the room left there nothing is ever moved or copied.

mod attachments;
mod error;
mod event;
mod head;
mod pass_on;
mod request;
mod to_args;

use serde::Serialize;

use crate::name::is_reserved_event;
use crate::packet_type::PacketType;
use crate::revision::SocketRevision;
use crate::whole::Packet;

use head::{Head, open};

pub use attachments::{Attachments, BytesOut};
pub use error::{EncodeError, EncodeErrorKind};
pub use event::{EncodedEvent, EventLayout, EventMark};
pub use request::{auth_query, encode_connect_request};
pub use to_args::{ArgsWriter, ToArgs};

/// Encodes an event into `buf`, which is cleared first, and returns where the packet's text starts.
///
/// `buf[start..]` is the packet; at least `headroom` bytes in front of `start` are free for headers of the layers
/// below. The attachments replace what was in `attachments`; each is to be sent as one binary message right after
/// the text. Without any it is no binary event, whose count must not be 0. `ack_id` asks the peer for an acknowledgement.
///
/// # Errors
///
/// When the name is reserved ([`is_reserved_event`]), a value cannot be encoded, or there are more bytes than
/// `attachments` may have.
pub fn encode_event<A: ToArgs + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    ack_id: Option<u64>,
    name: &str,
    args: &A,
    attachments: &mut Attachments,
) -> Result<usize, EncodeError> {
    let mark = EventMark::of(ack_id);
    encode_event_in_parts(buf, headroom, namespace, mark, name, args, attachments)
        .map(|(start, _)| start)
}

/// [`encode_event`] for an event that is wanted in other forms, too: says also where its parts lie.
///
/// # Errors
///
/// As [`encode_event`].
#[inline]
pub fn encode_event_in_parts<A: ToArgs + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    mark: EventMark<'_>,
    name: &str,
    args: &A,
    attachments: &mut Attachments,
) -> Result<(usize, EventLayout), EncodeError> {
    // What is the same for all arguments is not generic, so that it is not compiled for each kind of them.
    let begun = begin_event(buf, headroom, namespace, name, attachments)?;
    let mut writer = ArgsWriter::after_name(buf, attachments);
    let count = args
        .write_args(&mut writer)
        .and_then(|()| writer.finish())
        .map_err(|error| error.of_event(name))?;
    end_event(buf, begun, count, namespace, mark, attachments)
}

/// Where the JSON of an event begins, and where its name ends.
struct BegunEvent {
    body: usize,
    name_end: usize,
}

fn begin_event(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    name: &str,
    attachments: &mut Attachments,
) -> Result<BegunEvent, EncodeError> {
    attachments.clear();
    if is_reserved_event(name) {
        return Err(EncodeError::from(EncodeErrorKind::ReservedEvent).of_event(name));
    }
    let body = open(buf, headroom, namespace);
    buf.push(b'[');
    write_json(buf, name).map_err(|error| error.of_event(name))?;
    let name_end = buf.len();
    Ok(BegunEvent { body, name_end })
}

/// Writes what comes behind the arguments, of which there are so many, and the head.
fn end_event(
    buf: &mut Vec<u8>,
    BegunEvent { body, name_end }: BegunEvent,
    args: usize,
    namespace: &str,
    mark: EventMark<'_>,
    attachments: &Attachments,
) -> Result<(usize, EventLayout), EncodeError> {
    let args_end = buf.len();
    if let EventMark::Offset(offset) = mark {
        buf.push(b',');
        write_json(buf, offset)?;
    }
    buf.push(b']');
    let (kind, parts) = match attachments.len() {
        0 => (PacketType::Event, None),
        parts => (PacketType::BinaryEvent, Some(parts)),
    };
    let ack_id = mark.ack_id();
    let start = Head::new(buf, body).write(kind, parts, namespace, ack_id);
    let layout = EventLayout {
        payload: body - start,
        name_end: name_end - start,
        args_end: args_end - start,
        args,
        ack_id,
        inline: attachments.are_inline(),
    };
    Ok((start, layout))
}

/// Encodes the acknowledgement of the event that carried `ack_id`; see [`encode_event`] for the buffers.
///
/// # Errors
///
/// When a value cannot be encoded, or there are more bytes than `attachments` may have.
pub fn encode_ack<A: ToArgs + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    ack_id: u64,
    args: &A,
    attachments: &mut Attachments,
) -> Result<usize, EncodeError> {
    let body = write_ack(buf, headroom, namespace, args, attachments)?;
    let (kind, count) = match attachments.len() {
        0 => (PacketType::Ack, None),
        count => (PacketType::BinaryAck, Some(count)),
    };
    Ok(Head::new(buf, body).write(kind, count, namespace, Some(ack_id)))
}

/// [`encode_ack`] in the form of revision 3, for a peer that was seen using it: the type stays 3 and the number of
/// attachments is always given.
///
/// # Errors
///
/// As [`encode_ack`].
pub fn encode_counted_ack<A: ToArgs + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    ack_id: u64,
    args: &A,
    attachments: &mut Attachments,
) -> Result<usize, EncodeError> {
    let body = write_ack(buf, headroom, namespace, args, attachments)?;
    let count = Some(attachments.len());
    Ok(Head::new(buf, body).write(PacketType::Ack, count, namespace, Some(ack_id)))
}

/// Encodes the server's yes to a CONNECT: an object with the socket's id in revision 5, nothing in revision 4.
///
/// `recovery` is the secret id for connection state recovery, and the offset for a socket that has got no event yet, which
/// goes under a key that other clients than ours do not look at. For `buf` and `headroom` see [`encode_event`].
pub fn encode_connect_accepted(
    buf: &mut Vec<u8>,
    headroom: usize,
    revision: SocketRevision,
    namespace: &str,
    sid: &str,
    recovery: Option<(&str, Option<&str>)>,
) -> usize {
    #[derive(Serialize)]
    struct Accepted<'a> {
        sid: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<&'a str>,
    }
    let body = open(buf, headroom, namespace);
    if revision == SocketRevision::V5 {
        let (pid, offset) = recovery.unzip();
        let offset = offset.flatten();
        write_strings(buf, &Accepted { sid, pid, offset });
    }
    Head::new(buf, body).write(PacketType::Connect, None, namespace, None)
}

/// Encodes the notice that the sender leaves a namespace.
pub fn encode_disconnect(buf: &mut Vec<u8>, headroom: usize, namespace: &str) -> usize {
    let body = open(buf, headroom, namespace);
    Head::new(buf, body).write(PacketType::Disconnect, None, namespace, None)
}

/// Encodes the server's refusal of a namespace, as a middleware's error is reported.
///
/// Revision 5 sends an object of `message` and, if there is one, `data`; revision 4 sends `data` alone, or the
/// message as a string if there is none.
///
/// # Errors
///
/// When `data` cannot be encoded.
pub fn encode_connect_error<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    revision: SocketRevision,
    namespace: &str,
    message: &str,
    data: Option<&T>,
) -> Result<usize, EncodeError> {
    #[derive(Serialize)]
    struct Refused<'a, T: ?Sized> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a T>,
    }
    let body = open(buf, headroom, namespace);
    match (revision, data) {
        (SocketRevision::V5, data) => write_json(buf, &Refused { message, data })?,
        (SocketRevision::V4, Some(data)) => write_json(buf, data)?,
        (SocketRevision::V4, None) => write_json(buf, message)?,
    }
    Ok(Head::new(buf, body).write(PacketType::ConnectError, None, namespace, None))
}

/// Encodes the refusal of a namespace that does not exist: `{"message":"Invalid namespace"}`.
///
/// Servers of the current generation send the object to revision 4 clients as well; those of revision 4 sent the
/// bare string, which [`encode_connect_error`] writes for [`SocketRevision::V4`].
pub fn encode_invalid_namespace(buf: &mut Vec<u8>, headroom: usize, namespace: &str) -> usize {
    let body = open(buf, headroom, namespace);
    buf.extend_from_slice(br#"{"message":"Invalid namespace"}"#);
    Head::new(buf, body).write(PacketType::ConnectError, None, namespace, None)
}

/// Writes a packet whose payload is JSON already.
pub(crate) fn write_packet(packet: &Packet<'_>) -> String {
    let namespace = &*packet.namespace;
    let mut buf = Vec::new();
    let body = open(&mut buf, 0, namespace);
    buf.extend_from_slice(packet.payload.as_bytes());
    let count = packet.attachments.len();
    let (kind, count) = match (packet.kind, count) {
        (PacketType::Event, 1..) => (PacketType::BinaryEvent, Some(count)),
        (PacketType::Ack, 1..) => (PacketType::BinaryAck, Some(count)),
        (kind, _) => (kind, None),
    };
    let start = Head::new(&mut buf, body).write(kind, count, namespace, packet.ack_id);
    buf.drain(..start);
    String::from_utf8(buf).expect("all parts of a packet are text")
}

/// Writes `[args]` and returns where it starts.
fn write_ack<A: ToArgs + ?Sized>(
    buf: &mut Vec<u8>,
    headroom: usize,
    namespace: &str,
    args: &A,
    attachments: &mut Attachments,
) -> Result<usize, EncodeError> {
    attachments.clear();
    let body = open(buf, headroom, namespace);
    buf.push(b'[');
    let mut writer = ArgsWriter::new(buf, attachments);
    args.write_args(&mut writer)
        .and_then(|()| writer.finish())
        .map_err(EncodeError::of_ack)?;
    buf.push(b']');
    Ok(body)
}

/// [`write_json`] for a struct of strings.
fn write_strings<T: Serialize>(buf: &mut Vec<u8>, value: &T) {
    write_json(buf, value).expect("a struct of strings is always JSON");
}

pub(crate) fn write_json<T: Serialize + ?Sized>(
    buf: &mut Vec<u8>,
    value: &T,
) -> Result<(), EncodeError> {
    serde_json::to_writer(buf, value).map_err(|error| EncodeErrorKind::Payload { error }.into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;
    use crate::packet::decode;
    use crate::{Args, RESERVED_EVENTS, RawArgs};

    fn event(
        namespace: &str,
        ack_id: Option<u64>,
        name: &str,
        args: &impl ToArgs,
    ) -> (String, Vec<Bytes>) {
        let (mut buf, mut attachments) = (b"old".to_vec(), Attachments::default());
        let old = Bytes::from_static(b"old");
        encode_event(&mut buf, 0, "/", None, "old", &old, &mut attachments).unwrap();
        let start = encode_event(
            &mut buf,
            14,
            namespace,
            ack_id,
            name,
            args,
            &mut attachments,
        )
        .unwrap();
        assert!(start >= 14);
        (
            String::from_utf8(buf.split_off(start)).unwrap(),
            attachments.to_vec(),
        )
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> usize) -> String {
        let mut buf = Vec::new();
        let start = write(&mut buf);
        assert!(start >= 5, "headroom");
        String::from_utf8(buf.split_off(start)).unwrap()
    }

    #[test]
    fn examples_of_the_reference_are_encoded() {
        assert_eq!(
            event("/", None, "greet", &(1, json!({"k": [true]}))).0,
            r#"2["greet",1,{"k":[true]}]"#
        );
        assert_eq!(
            event("/chat", Some(12), "greet", &()).0,
            r#"2/chat,12["greet"]"#
        );
        let buffers = (
            Bytes::from_static(&[1]),
            HashMap::from([("m", Bytes::from_static(&[2, 3]))]),
        );
        let (text, attachments) = event("/chat", Some(7), "up", &buffers);
        assert_eq!(
            text,
            r#"52-/chat,7["up",{"_placeholder":true,"num":0},{"m":{"_placeholder":true,"num":1}}]"#
        );
        assert_eq!(attachments, [&[1][..], &[2, 3]]);
    }

    #[test]
    fn acks_state_their_attachments_where_the_revision_wants_it() {
        let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
        let mut ack = |counted: bool, args: &dyn Fn(&mut ArgsWriter<'_>)| {
            struct Fill<'a>(&'a dyn Fn(&mut ArgsWriter<'_>));
            impl ToArgs for Fill<'_> {
                fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
                    (self.0)(out);
                    Ok(())
                }
            }
            let encode = if counted {
                encode_counted_ack::<Fill<'_>>
            } else {
                encode_ack::<Fill<'_>>
            };
            let start = encode(&mut buf, 5, "/", 7, &Fill(args), &mut attachments).unwrap();
            String::from_utf8(buf.split_off(start)).unwrap()
        };
        let none = |_: &mut ArgsWriter<'_>| {};
        let bytes = |out: &mut ArgsWriter<'_>| out.push(&Bytes::from_static(b"x")).unwrap();
        let placeholder = r#"[{"_placeholder":true,"num":0}]"#;
        assert_eq!(ack(false, &none), "37[]");
        assert_eq!(ack(false, &bytes), format!("61-7{placeholder}"));
        assert_eq!(ack(true, &none), "30-7[]");
        assert_eq!(ack(true, &bytes), format!("31-7{placeholder}"));
    }

    #[test]
    fn connects_have_the_form_of_their_revision() {
        use SocketRevision::{V4, V5};
        assert_eq!(
            text(|buf| encode_connect_accepted(buf, 5, V5, "/chat", "Qm", None)),
            r#"0/chat,{"sid":"Qm"}"#
        );
        assert_eq!(
            text(|buf| encode_connect_accepted(buf, 5, V5, "/", "S", Some(("P", None)))),
            r#"0{"sid":"S","pid":"P"}"#
        );
        assert_eq!(
            text(|buf| encode_connect_accepted(buf, 5, V5, "/", "S", Some(("P", Some("O"))))),
            r#"0{"sid":"S","pid":"P","offset":"O"}"#
        );
        assert_eq!(
            text(|buf| encode_connect_accepted(buf, 5, V4, "/", "S", None)),
            "0"
        );
        assert_eq!(
            text(|buf| encode_connect_accepted(buf, 5, V4, "/x", "S", None)),
            "0/x,"
        );
    }

    #[test]
    fn refusals_have_the_form_of_their_revision() {
        use SocketRevision::{V4, V5};
        let refuse = |revision, data: Option<&serde_json::Value>| {
            text(|buf| encode_connect_error(buf, 5, revision, "/chat", "nope", data).unwrap())
        };
        let data = json!({"code": 7});
        assert_eq!(
            refuse(V5, Some(&data)),
            r#"4/chat,{"message":"nope","data":{"code":7}}"#
        );
        assert_eq!(refuse(V5, None), r#"4/chat,{"message":"nope"}"#);
        assert_eq!(refuse(V4, Some(&data)), r#"4/chat,{"code":7}"#);
        assert_eq!(refuse(V4, None), r#"4/chat,"nope""#);
        assert_eq!(
            text(|buf| encode_invalid_namespace(buf, 5, "/zzz")),
            r#"4/zzz,{"message":"Invalid namespace"}"#
        );
        assert_eq!(text(|buf| encode_disconnect(buf, 5, "/chat")), "1/chat,");
        assert_eq!(text(|buf| encode_disconnect(buf, 5, "/")), "1");
    }

    #[test]
    fn reserved_names_are_not_sent() {
        for name in RESERVED_EVENTS {
            let result = encode_event(
                &mut Vec::new(),
                0,
                "/",
                None,
                name,
                &(),
                &mut Attachments::default(),
            );
            let error = result.unwrap_err().to_string();
            assert_eq!(
                error,
                format!("cannot encode event {name:?}: the name is reserved")
            );
        }
    }

    #[test]
    fn errors_name_event_and_argument() {
        let bad = HashMap::from([((1, 2), 3)]);
        let result = encode_event(
            &mut Vec::new(),
            0,
            "/",
            None,
            "chat",
            &(1, &bad),
            &mut Attachments::default(),
        );
        assert_eq!(
            result.unwrap_err().to_string(),
            "cannot encode event \"chat\": argument 2: key must be a string"
        );
        let mut attachments = Attachments::default();
        let error = encode_ack(&mut Vec::new(), 0, "/", 1, &bad, &mut attachments).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot encode the acknowledgement: argument 1: key must be a string"
        );
        assert_eq!(
            Args::new(&bad).unwrap_err().to_string(),
            "cannot encode the arguments: argument 1: key must be a string"
        );
    }

    #[test]
    fn head_holds_the_longest_numbers() {
        let namespace = format!("/{}", "n".repeat(300));
        let (text, _) = event(&namespace, Some(u64::MAX), "e", &Bytes::from_static(b"x"));
        let packet = decode(&text, SocketRevision::V5, 10).unwrap();
        assert_eq!(packet.ack_id, Some(u64::MAX));
        assert_eq!(packet.namespace, namespace);
    }

    #[test]
    fn names_are_escaped_and_read_back() {
        let name = "né\"\\\n😀";
        let (text, _) = event("/", None, name, &());
        let packet = decode(&text, SocketRevision::V5, 10).unwrap();
        assert_eq!(packet.event().unwrap().0, name);
    }

    #[test]
    fn received_arguments_join_others_in_one_packet() {
        struct WithOffset<'a>(RawArgs<'a>, &'a str);
        impl ToArgs for WithOffset<'_> {
            fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
                out.push(&Bytes::from_static(b"first"))?;
                out.extend(self.0)?;
                out.push(self.1)
            }
        }
        let parts = [Bytes::from_static(b"second")];
        let args = RawArgs::from_array(r#"[{"_placeholder":true,"num":0},null]"#)
            .unwrap()
            .with_attachments(&parts);
        let (text, attachments) = event("/", None, "m", &WithOffset(args, "off"));
        assert_eq!(
            text,
            r#"52-["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},null,"off"]"#
        );
        assert_eq!(attachments, ["first", "second"]);
    }

    #[test]
    fn more_attachments_than_peers_take_are_an_error() {
        let one = Bytes::from_static(b"x");
        let ten = vec![one.clone(); 10];
        assert_eq!(event("/", None, "e", &ten).1.len(), 10);
        let eleven = vec![one; 11];
        let buffers = [r#"{"type":"Buffer","data":[1]}"#; 11].join(",");
        let buffers = RawArgs::from_list(&buffers).unwrap().with_buffers();
        let text = "cannot encode event \"e\": more than 10 attachments";
        let args: [&dyn ToArgs; 3] = [&eleven, &Args::new(&eleven).unwrap(), &buffers];
        for args in args {
            let (mut buf, mut attachments) = (Vec::new(), Attachments::default());
            let result = encode_event(&mut buf, 0, "/", None, "e", args, &mut attachments);
            assert_eq!(result.unwrap_err().to_string(), text);
            let result = encode_ack(&mut buf, 0, "/", 1, args, &mut attachments);
            assert!(result.is_err());
        }
    }

    #[test]
    fn bytes_stay_inside_of_the_text_where_that_is_asked_for() {
        let mut attachments = Attachments::new(BytesOut::default().inline(true));
        let eleven = vec![Bytes::from_static(&[1, 255]); 11];
        let args: [&dyn ToArgs; 2] = [&eleven, &Args::new(&eleven).unwrap()];
        for args in args {
            let mut buf = Vec::new();
            let start = encode_event(&mut buf, 0, "/", None, "e", args, &mut attachments).unwrap();
            let one = r#"{"type":"Buffer","data":[1,255]}"#;
            let expected = format!(r#"2["e",[{}]]"#, [one; 11].join(","));
            assert_eq!(std::str::from_utf8(&buf[start..]).unwrap(), expected);
            assert!(attachments.is_empty());
        }
        let too_many = Bytes::from(vec![0; 1_000_001]);
        let result = encode_ack(&mut Vec::new(), 0, "/", 1, &too_many, &mut attachments);
        assert!(matches!(
            result.unwrap_err().kind(),
            EncodeErrorKind::TooManyInlineBytes { max: 1_000_000 }
        ));
    }

    #[test]
    fn forged_placeholders_beside_bytes_leave_as_plain_objects() {
        #[derive(Serialize)]
        struct Named {
            raw: Box<RawValue>,
            forged: serde_json::Value,
            real: Bytes,
        }
        let forged = json!({"_placeholder": true, "num": 0});
        let harmless = r#"{"_placeholder":false,"num":0}"#;
        let raw = r#"[{"\u005fplaceholder" : true,"_placeholder":true,"num":7}]"#;
        let args = Named {
            raw: RawValue::from_string(raw.to_owned()).unwrap(),
            forged: json!({"deep": [forged.clone()]}),
            real: Bytes::from_static(b"x"),
        };
        let plain = RawArgs::from_list(r#"{"_placeholder":true,"num":0}"#).unwrap();
        let (text, attachments) = event("/", None, "e", &(&forged, &args));
        let expected = format!(
            r#"51-["e",{harmless},{{"raw":[{{"\u005fplaceholder" : false,"_placeholder":false,"num":7}}],"forged":{{"deep":[{harmless}]}},"real":{{"_placeholder":true,"num":0}}}}]"#
        );
        assert_eq!((text, attachments.len()), (expected, 1));
        // Received without attachments, and joined by one.
        struct Beside<'a>(RawArgs<'a>);
        impl ToArgs for Beside<'_> {
            fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
                out.extend(self.0)?;
                out.push(&Bytes::from_static(b"x"))
            }
        }
        let expected = format!(r#"51-["e",{harmless},{{"_placeholder":true,"num":0}}]"#);
        assert_eq!(event("/", None, "e", &Beside(plain)).0, expected);
        let kept = Args::new(&Beside(plain)).unwrap();
        assert_eq!(event("/", None, "e", &kept).0, expected);
        let kept = Args::new(&forged).unwrap();
        assert_eq!(event("/", None, "e", &Beside(kept.as_raw())).0, expected);
        // Alone it means nothing to anybody, and leaves as it is.
        let text = event("/", None, "e", &forged).0;
        assert_eq!(text, r#"2["e",{"_placeholder":true,"num":0}]"#);
    }
}
