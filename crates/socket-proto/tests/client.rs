//! What holds for every packet between the encoders of one end and the other end: a client understands what servers
//! say, servers understand what it asks for, and nothing that it is sent can make it panic.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde_json::{Map, Value, json};
use sockeye_socket_proto::{
    Attachments, ClientConnection, ClientInput, Connection, ConnectionConfig, Input, NamespaceKey,
    SocketRevision, auth_query, encode_ack, encode_connect_accepted, encode_connect_error,
    encode_connect_request, encode_counted_ack, encode_disconnect, encode_event,
    encode_invalid_namespace, escape_packet, is_reserved_event,
};

fn revision() -> impl Strategy<Value = SocketRevision> {
    prop_oneof![Just(SocketRevision::V4), Just(SocketRevision::V5)]
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("/".to_owned()),
        "/[a-z0-9/é😀-]{0,10}",
        any::<String>().prop_map(|name| format!("/{}", name.replace([',', '?'], ""))),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9_-]{20}", any::<String>()].prop_filter("empty", |id| !id.is_empty())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z:]{1,12}", any::<String>()]
        .prop_filter("reserved", |name| !is_reserved_event(name))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({"message": "é"})),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop_oneof![
        Just("pid".to_owned()),
        Just("offset".to_owned()),
        any::<String>()
    ];
    prop::collection::btree_map(key, value(), 0..4).prop_map(|map| map.into_iter().collect())
}

/// Text that resembles what servers send more often than chance would have it.
fn packet_like() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[0-6]{1,2}",
        Just("0/x,{\"sid\":\"S\"".to_owned()),
        Just("4/x,{\"message\":".to_owned()),
        Just("51-".to_owned()),
        Just("/x,".to_owned()),
        Just("[\"a\"".to_owned()),
        Just("\"\\ud83d\"".to_owned()),
        Just(",{\"_placeholder\":true,\"num\":0}".to_owned()),
        Just("]".to_owned()),
        Just("}".to_owned()),
        "[\\[\\]{}\",:\\\\0-9a-z ]{0,6}",
        any::<String>(),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn joining(revision: SocketRevision, namespace: &str) -> (ClientConnection, NamespaceKey) {
    let config = ConnectionConfig::default().max_namespace_len(u16::MAX);
    let mut client = ClientConnection::new(revision, &config);
    let key = client.join(namespace).expect("the name is a good one");
    (client, key)
}

fn joined(revision: SocketRevision, namespace: &str) -> (ClientConnection, NamespaceKey) {
    let (mut client, key) = joining(revision, namespace);
    let text = text(|buf| encode_connect_accepted(buf, 5, revision, namespace, "S", None));
    let input = client.handle_text(&text).expect("our own packet");
    assert!(matches!(input, Some(ClientInput::Connected { .. })));
    (client, key)
}

fn text(write: impl FnOnce(&mut Vec<u8>) -> usize) -> String {
    let mut buf = Vec::new();
    let start = write(&mut buf);
    String::from_utf8(buf.split_off(start)).expect("packets are text")
}

/// Where, an event's name, an id, and the arguments.
type Message = (NamespaceKey, Option<String>, Option<u64>, Value, Vec<Bytes>);

/// Hands a packet over, in ASCII or as it is; the last of its messages completes it.
fn complete(
    client: &mut ClientConnection,
    text: &str,
    attachments: &[Bytes],
    ascii: bool,
) -> Option<Message> {
    let escaped = escape_packet(text);
    let text = if ascii { &*escaped } else { text };
    let mut input = client.handle_text(text).expect("our own packet");
    for attachment in attachments {
        assert_eq!(input, None, "attachments are owed");
        input = client
            .handle_binary(attachment.clone())
            .expect("our own attachment");
    }
    let (key, name, id, args) = match input? {
        ClientInput::Event {
            key,
            name,
            args,
            ack_id,
        } => (key, Some(name.into_owned()), ack_id, args),
        ClientInput::Ack { key, id, args } => (key, None, Some(id), args),
        other => panic!("{other:?}"),
    };
    let (value, bytes) = args.deserialize().expect("our own arguments");
    Some((key, name, id, value, bytes))
}

proptest! {
    #[test]
    fn acceptance_is_understood(
        revision in revision(),
        namespace in namespace(),
        sid in id(),
        pid in prop::option::of(id()),
    ) {
        let (mut client, key) = joining(revision, &namespace);
        let pid_on_wire = pid.as_deref();
        let text = text(|buf| encode_connect_accepted(buf, 5, revision, &namespace, &sid, pid_on_wire.map(|pid| (pid, None))));
        let (sid, pid) = match revision {
            SocketRevision::V5 => (Some(sid.into()), pid.map(Into::into)),
            SocketRevision::V4 => (None, None),
        };
        let expected = ClientInput::Connected { key, sid, pid, offset: None };
        prop_assert_eq!(client.handle_text(&text), Ok(Some(expected)));
        prop_assert_eq!(client.find(&namespace), Some(key));
    }

    #[test]
    fn refusals_are_understood(
        revision in revision(),
        namespace in namespace(),
        message in any::<String>(),
        data in prop::option::of(value()),
    ) {
        let (mut client, key) = joining(revision, &namespace);
        let text = text(|buf| {
            encode_connect_error(buf, 5, revision, &namespace, &message, data.as_ref()).unwrap()
        });
        let expected = match (revision, data) {
            (SocketRevision::V5, data) => (message, data),
            (SocketRevision::V4, None) => (message, None),
            (SocketRevision::V4, Some(Value::String(message))) => (message, None),
            (SocketRevision::V4, Some(data)) => {
                let message = data.get("message").and_then(Value::as_str).unwrap_or_default();
                (message.to_owned(), Some(data))
            }
        };
        let Ok(Some(ClientInput::Refused { key: at, message, data })) = client.handle_text(&text) else {
            panic!("{text}");
        };
        let data = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
        prop_assert_eq!(at, key);
        prop_assert_eq!((message.into_owned(), data), expected);
    }

    #[test]
    fn missing_namespaces_and_ends_are_understood(revision in revision(), namespace in namespace()) {
        let (mut client, key) = joining(revision, &namespace);
        let absent = text(|buf| encode_invalid_namespace(buf, 5, &namespace));
        let input = client.handle_text(&absent).unwrap();
        prop_assert!(
            matches!(&input, Some(ClientInput::Refused { key: at, message, .. })
                if *at == key && message == "Invalid namespace"),
            "{:?}", input
        );
        let (mut client, key) = joined(revision, &namespace);
        let end = text(|buf| encode_disconnect(buf, 5, &namespace));
        prop_assert_eq!(client.handle_text(&end), Ok(Some(ClientInput::Disconnected { key })));
    }

    #[test]
    fn events_and_acks_are_understood(
        revision in revision(),
        namespace in namespace(),
        name in name(),
        ack_id in prop::option::of(any::<u64>()),
        value in value(),
        bytes in prop::collection::vec(bytes(), 0..4),
        ascii in any::<bool>(),
    ) {
        let (mut client, key) = joined(revision, &namespace);
        let mut parts = Attachments::default();
        let args = (&value, &bytes);
        let event = text(|buf| {
            encode_event(buf, 5, &namespace, ack_id, &name, &args, &mut parts).unwrap()
        });
        let expected = (key, Some(name), ack_id, value.clone(), bytes.clone());
        prop_assert_eq!(complete(&mut client, &event, &parts, ascii), Some(expected));
        let id = ack_id.unwrap_or(7);
        let expected = Some((key, None, Some(id), value.clone(), bytes.clone()));
        for counted in [false, true] {
            let ack = text(|buf| {
                let encode = if counted { encode_counted_ack } else { encode_ack };
                encode(buf, 5, &namespace, id, &args, &mut parts).unwrap()
            });
            prop_assert_eq!(&complete(&mut client, &ack, &parts, ascii), &expected);
            prop_assert_eq!(client.uses_counted_acks(), counted);
        }
    }

    #[test]
    fn requests_reach_the_server(
        namespace in namespace(),
        auth in prop::option::of(object()),
        recovery in prop::option::of((any::<String>(), any::<String>())),
    ) {
        let config = ConnectionConfig::default().max_namespace_len(u16::MAX);
        let mut server = Connection::server(SocketRevision::V5, &config, Instant::now());
        let ids = recovery.as_ref().map(|(pid, offset)| (pid.as_str(), offset.as_str()));
        let text = text(|buf| {
            encode_connect_request(buf, 5, SocketRevision::V5, &namespace, None, auth.as_ref(), ids).unwrap()
        });
        let mut expected = recovery.map(|(pid, offset)| {
            Map::from_iter([("pid".to_owned(), pid.into()), ("offset".to_owned(), offset.into())])
        });
        if let Some(auth) = auth {
            expected.get_or_insert_default().extend(auth);
        }
        let Ok(Some(Input::Connect { namespace: at, query, auth, .. })) = server.handle_text(&text) else {
            panic!("{text}");
        };
        // As a list of pairs, which a repeated key would be seen in.
        let auth = auth.map(|auth| serde_json::from_str::<Pairs>(auth).unwrap().0);
        let expected = expected.map(|expected| expected.into_iter().collect::<BTreeMap<_, _>>());
        prop_assert_eq!((at, query), (namespace.as_str(), None));
        prop_assert_eq!(auth, expected);
    }

    #[test]
    fn requests_of_revision_4_reach_the_server(
        namespace in namespace(),
        auth in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
    ) {
        let config = ConnectionConfig::default().max_namespace_len(u16::MAX);
        let mut server = Connection::server(SocketRevision::V4, &config, Instant::now());
        let text = text(|buf| {
            encode_connect_request(buf, 5, SocketRevision::V4, &namespace, None, Some(&auth), None).unwrap()
        });
        let Ok(Some(Input::Connect { namespace: at, query, .. })) = server.handle_text(&text) else {
            panic!("{text}");
        };
        prop_assert_eq!(at, namespace.as_str());
        prop_assert_eq!(query.unwrap_or_default(), auth_query(&auth).unwrap());
        let read: BTreeMap<_, _> = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (percent_decode(key), percent_decode(value)))
            .collect();
        prop_assert_eq!(read, auth);
    }

    #[test]
    fn arbitrary_text_never_panics(
        texts in prop::collection::vec(packet_like(), 1..8),
        revision in revision(),
    ) {
        let (mut client, key) = joining(revision, "/x");
        for text in &texts {
            let input = match client.handle_text(text) {
                Ok(None) => client.handle_binary(Bytes::from_static(b"x")).ok().flatten(),
                other => other.ok().flatten(),
            };
            match input {
                Some(ClientInput::Event { args, .. } | ClientInput::Ack { args, .. }) => {
                    let _ = args.deserialize::<(Value, Option<Bytes>)>();
                }
                Some(
                    ClientInput::Refused { data, .. }
                    | ClientInput::Error { data, .. }
                    | ClientInput::ErrorOfAll { data, .. },
                ) => {
                    let _ = client.join("/x");
                    if let Some(data) = data {
                        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok());
                    }
                }
                Some(ClientInput::Connected { .. }) => {
                    let _ = client.leave(key);
                }
                Some(
                    ClientInput::TooOld { .. }
                    | ClientInput::Disconnected { .. }
                    | ClientInput::Abandoned { .. },
                ) => {
                    let _ = client.join("/x");
                }
                None => {}
            }
        }
    }
}

/// The members of an object, of which none may come twice.
#[derive(Debug)]
struct Pairs(BTreeMap<String, Value>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Pairs, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    assert_eq!(pairs.insert(key, value), None, "a key came twice");
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

fn percent_decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(&tail[..2]).expect("two digits");
            out.push(u8::from_str_radix(digits, 16).expect("two digits"));
            rest = &tail[2..];
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).expect("it was text")
}
