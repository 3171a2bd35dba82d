use super::*;
use crate::testing::made_here;

const UID: &str = "773e9f46d74a302e";

/// Type, and data if there is some, of what Node has added to the stream.
const ENTRIES: &[(&str, Option<&str>)] = &[
    ("1", None),
    ("2", None),
    (
        "3",
        Some(
            r#"{"packet":{"type":2,"data":["hello",1,"x",{"a":null,"b":[true,1.5,-1,300,70000,5000000000]}]},"opts":{"rooms":[],"except":[],"flags":{}}}"#,
        ),
    ),
    (
        "3",
        Some(
            r#"{"packet":{"type":2,"data":["hello"]},"opts":{"rooms":[],"except":["UT-YRFLpim8NtelrAAAB"],"flags":{"volatile":true,"compress":false}}}"#,
        ),
    ),
    (
        "3",
        Some("gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="),
    ),
    (
        "4",
        Some(r#"{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["room9"]}"#),
    ),
    (
        "5",
        Some(r#"{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["room9","r10"]}"#),
    ),
    (
        "6",
        Some(r#"{"opts":{"rooms":["room1"],"except":[],"flags":{}},"close":true}"#),
    ),
    ("13", None),
];

fn entry(kind: &'static str, data: Option<&'static str>) -> Entry<'static> {
    let fields = [("uid", UID), ("nsp", "/"), ("type", kind)];
    let fields = fields.into_iter().chain(data.map(|data| ("data", data)));
    Entry::from_fields(fields.map(|(name, value)| (name, value.as_bytes()))).unwrap()
}

fn decoded(entry: Entry<'_>) -> Envelope {
    entry.decode(BytesIn::Base64, &Limits::default()).unwrap()
}

#[test]
fn what_node_writes_is_read_and_written_again() {
    for (kind, data) in ENTRIES {
        let entry = entry(kind, *data);
        assert_eq!(entry.namespace(), Some("/"));
        let envelope = decoded(entry.clone());
        let from = envelope.from.unwrap();
        assert_eq!(entry.sender(), Some(from.clone()));
        for message in [envelope.message.clone(), made_here(envelope.message)] {
            let again = Entry::encode(&from, "/", &message, BytesIn::Base64).unwrap();
            assert_eq!(again, entry, "{message:?}");
            assert_eq!(
                again.fields().collect::<Vec<_>>(),
                entry.fields().collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn the_fields_are_in_the_order_of_node() {
    let entry = entry(ENTRIES[4].0, ENTRIES[4].1);
    let names: Vec<_> = entry.fields().map(|(name, _)| name).collect();
    assert_eq!(names, ["uid", "nsp", "type", "data"]);
}

#[test]
fn base64_needs_no_padding() {
    let data = ENTRIES[4].1.unwrap().trim_end_matches('=');
    let Message::Broadcast { event, .. } = decoded(entry("3", Some(data))).message else {
        panic!("it is one");
    };
    let (_, args) = event.decode(&Limits::default()).unwrap();
    assert_eq!(args.deserialize::<Bytes>().unwrap(), [1, 2, 3][..]);
}

#[test]
fn all_is_text_where_that_is_wanted() {
    let message = decoded(entry(ENTRIES[4].0, ENTRIES[4].1)).message;
    let from = NodeId::new(UID);
    let entry = Entry::encode(&from, "/", &message, BytesIn::Json).unwrap();
    let (_, data) = entry.fields().last().unwrap();
    assert!(
        data.starts_with(
            br#"{"packet":{"type":2,"data":["bin",{"type":"Buffer","data":[1,2,3]}]}"#
        )
    );
    let envelope = entry.decode(BytesIn::Json, &Limits::default()).unwrap();
    let Message::Broadcast { event, .. } = envelope.message else {
        panic!("it is one");
    };
    let (_, args) = event.decode(&Limits::default()).unwrap();
    assert_eq!(args.deserialize::<Bytes>().unwrap(), [1, 2, 3][..]);
}

#[test]
fn what_is_no_message_is_refused() {
    for (kind, data) in [
        ("3", None),
        ("3", Some("")),
        ("3", Some("{}")),
        ("3", Some("????")),
        ("4", Some(r#"{"opts":{"rooms":[],"except":[]}}"#)),
        ("six", None),
        ("14", None),
    ] {
        let decoded = entry(kind, data).decode(BytesIn::Base64, &Limits::default());
        assert!(decoded.is_err(), "{kind} {data:?}");
    }
    let without = |missing: &str| {
        let fields = [("uid", "a"), ("nsp", "/"), ("type", "1")];
        let fields = fields.into_iter().filter(|(name, _)| *name != missing);
        Entry::from_fields(fields.map(|(name, value)| (name, value.as_bytes()))).is_ok()
    };
    assert!(without("nothing"));
    assert!(!without("uid") && !without("nsp") && !without("type"));
}

/// One that Node has kept, and took back after it had been written by us.
#[test]
fn sessions_are_those_of_node() {
    let value = "hKNzaWS0V1VqQzZBTEViNV9NRFFpWUFBQUGjcGlktFBJNFp4c3JfOVRHLTVMbW5BQUFCpXJvb21zkrRXVWpDNkFMRWI1X01EUWlZQUFBQaFypGRhdGGBoXjEAQE=";
    let session = decode_session(value.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(&*session.sid, "WUjC6ALEb5_MDQiYAAAA");
    assert_eq!(&*session.pid, "PI4Zxsr_9TG-5LmnAAAB");
    assert_eq!(session.rooms, ["WUjC6ALEb5_MDQiYAAAA".into(), "r".into()]);
    let data = session.data.as_ref().unwrap();
    let data = data.decode(&Limits::default()).unwrap();
    assert_eq!(data.as_json(), r#"{"x":{"_placeholder":true,"num":0}}"#);
    let made_here = Session {
        data: crate::Value::first(&data),
        ..session.clone()
    };
    for session in [session, made_here] {
        assert_eq!(encode_session(&session).unwrap(), value);
    }
    assert!(decode_session(b"????", &Limits::default()).is_err());
}

#[test]
fn streams_are_numbered_as_node_does_it() {
    assert_eq!(stream_name("socket.io", 1, "/my-namespace"), "socket.io");
    // Node's servers do not read this one.
    assert_eq!(stream_name("socket.io", 2, "/my-namespace"), "socket.io--1");
    let names: Vec<_> = stream_names("s", 2).collect();
    assert_eq!(names, ["s--1", "s-0", "s-1"]);
    assert_eq!(stream_names("s", 1).collect::<Vec<_>>(), ["s"]);
    for namespace in ["/", "/chat", "/my-namespace", "/é😀"] {
        let name = stream_name("s", 5, namespace);
        assert!(stream_names("s", 5).any(|known| known == name), "{name}");
    }
}

#[test]
fn offsets_are_two_numbers() {
    assert!(is_offset("1795319501560-0"));
    for text in ["", "-", "1-", "-1", "1-1-1", "a-1", "1795319501560", "1-2 "] {
        assert!(!is_offset(text), "{text}");
    }
}
