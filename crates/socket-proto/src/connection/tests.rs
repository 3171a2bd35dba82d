//! The connection's behaviour, one rule of the reference (wire-protocol §6.5, §6.6) at a time.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::args::IncomingArgs;
use crate::decode_error::DecodeError;

fn connection(revision: SocketRevision) -> Connection {
    Connection::server(revision, &ConnectionConfig::default(), Instant::now())
}

fn v5() -> Connection {
    connection(SocketRevision::V5)
}

fn v4() -> Connection {
    let mut connection = connection(SocketRevision::V4);
    let key = connection.implicit_connect().unwrap().key();
    connection.accept(key);
    connection
}

/// Joins a namespace as a well-behaved peer of revision 5.
fn join(connection: &mut Connection, namespace: &str) -> NamespaceKey {
    let text = format!("0{namespace},");
    let key = connection.handle_text(&text).unwrap().unwrap().key();
    connection.accept(key);
    key
}

fn name_of(input: Option<Input<'_>>) -> Option<String> {
    match input {
        Some(Input::Event { name, .. }) => Some(name.into_owned()),
        _ => None,
    }
}

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn connect_carries_namespace_and_auth() {
    let mut connection = v5();
    let input = connection.handle_text(r#"0/chat,{"token":"t0"}"#).unwrap();
    let Some(Input::Connect {
        key,
        namespace,
        query,
        auth,
    }) = input
    else {
        panic!("{input:?}")
    };
    assert_eq!(
        (namespace, query, auth),
        ("/chat", None, Some(r#"{"token":"t0"}"#))
    );
    assert_eq!(connection.find("/chat"), None);
    connection.accept(key);
    assert_eq!(connection.find("/chat"), Some(key));
    assert_eq!(connection.namespace(key), Some("/chat"));
    assert_eq!(connection.joined().collect::<Vec<_>>(), [key]);
}

#[test]
fn events_reach_the_namespace_they_are_for() {
    let mut connection = v5();
    let root = join(&mut connection, "/");
    let chat = join(&mut connection, "/chat");
    let input = connection.handle_text(r#"2["a",1]"#).unwrap().unwrap();
    assert_eq!(input.key(), root);
    let input = connection.handle_text(r#"2/chat,7["b"]"#).unwrap().unwrap();
    assert_eq!(input.key(), chat);
    assert!(matches!(
        input,
        Input::Event {
            ack_id: Some(7),
            args: IncomingArgs::Borrowed(_),
            ..
        }
    ));
}

#[test]
fn acks_are_delivered_with_their_id() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    let Some(Input::Ack { key: at, id, args }) = connection.handle_text("312[1]").unwrap() else {
        panic!()
    };
    assert_eq!((at, id), (key, 12));
    assert_eq!(args.deserialize::<u8>().unwrap(), 1);
}

#[test]
fn ack_without_id_is_ignored() {
    let mut connection = v5();
    join(&mut connection, "/");
    assert_eq!(connection.handle_text("3[]"), Ok(None));
}

#[test]
fn connect_deadline_passes_once() {
    let now = Instant::now();
    let config = ConnectionConfig::default().connect_timeout(Duration::from_secs(1));
    let mut connection = Connection::server(SocketRevision::V5, &config, now);
    let deadline = connection.poll_timeout().unwrap();
    assert_eq!(deadline, now + Duration::from_secs(1));
    assert_eq!(connection.handle_timeout(now), None);
    assert_eq!(
        connection.handle_timeout(deadline),
        Some(Violation::ConnectTimeout)
    );
    assert_eq!(connection.handle_timeout(deadline), None);
}

#[test]
fn joining_a_namespace_ends_the_connect_deadline() {
    let mut connection = v5();
    let key = connection.handle_text("0").unwrap().unwrap().key();
    assert!(connection.poll_timeout().is_some(), "still in middleware");
    connection.refuse(key);
    assert!(connection.poll_timeout().is_some(), "refused");
    let key = join(&mut connection, "/");
    assert_eq!(connection.poll_timeout(), None);
    connection.leave(key);
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn second_connect_closes_the_connection() {
    for decided in [true, false] {
        let mut connection = v5();
        let key = connection.handle_text("0").unwrap().unwrap().key();
        if decided {
            connection.accept(key);
        }
        let violation = connection.handle_text("0").unwrap_err();
        assert_eq!(
            violation,
            Violation::ConnectTwice {
                namespace: "/".into()
            }
        );
        assert_eq!(violation.disconnect_reason(), "forced server close");
    }
}

#[test]
fn refused_client_may_try_again() {
    let mut connection = v5();
    let key = connection.handle_text("0/x").unwrap().unwrap().key();
    connection.refuse(key);
    connection.accept(key); // too late, no effect
    assert!(!connection.is_joined(key));
    let again = connection.handle_text("0/x").unwrap().unwrap().key();
    assert_ne!(again, key);
}

#[test]
fn packets_before_connect_close_the_connection() {
    for text in [r#"2["a"]"#, "31[]", "1", r#"51-["a"]"#, "2/chat,[\"a\"]"] {
        let violation = v5().handle_text(text).unwrap_err();
        assert!(matches!(violation, Violation::NotJoined { .. }), "{text}");
        assert!(!violation.is_decode_error());
    }
    let mut connection = v5();
    connection.handle_text("0").unwrap();
    assert!(
        connection.handle_text(r#"2["a"]"#).is_err(),
        "still in middleware"
    );
}

#[test]
fn disconnect_leaves_and_later_packets_close() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    assert_eq!(
        connection.handle_text("1"),
        Ok(Some(Input::Disconnect { key }))
    );
    assert_eq!(connection.joined().count(), 0);
    assert_eq!(connection.namespace(key), Some("/"));
    assert!(connection.handle_text(r#"2["a"]"#).is_err());
}

#[test]
fn late_acks_of_a_peer_that_has_left_are_ignored() {
    let mut connection = v5();
    join(&mut connection, "/x");
    connection.handle_text("1/x").unwrap();
    assert_eq!(connection.handle_text("3/x,1[]"), Ok(None));
    let binary = format!("61-/x,2[{PLACEHOLDER}]");
    assert_eq!(connection.handle_text(&binary), Ok(None));
    assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
    assert!(connection.handle_text("3/y,1[]").is_err(), "never there");

    let config = ConnectionConfig::default().stray_packets(StrayPackets::Close);
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    join(&mut connection, "/x");
    connection.handle_text("1/x").unwrap();
    assert!(connection.handle_text("3/x,1[]").is_err());
}

#[test]
fn who_comes_and_goes_does_not_fill_the_table() {
    let config = ConnectionConfig::default().max_namespaces(2);
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    let first = join(&mut connection, "/");
    for number in 0..100 {
        let name = format!("/{number}");
        let key = join(&mut connection, &name);
        assert_ne!(key.index(), first.index());
        assert!(key.index() <= 1);
        connection.handle_text(&format!("1{name}")).unwrap();
    }
}

#[test]
fn acks_are_counted_from_the_first_on_if_that_is_configured() {
    let config = ConnectionConfig::default().counted_acks(true);
    for revision in [SocketRevision::V4, SocketRevision::V5] {
        let connection = Connection::server(revision, &config, Instant::now());
        let is_old = revision == SocketRevision::V4;
        assert_eq!(connection.uses_counted_acks(), is_old);
    }
}

#[test]
fn client_may_join_again_after_leaving() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    connection.handle_text("1").unwrap();
    assert_ne!(join(&mut connection, "/"), key);
    assert!(name_of(connection.handle_text(r#"2["a"]"#).unwrap()).is_some());
}

#[test]
fn packets_that_crossed_our_leave_are_ignored() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    connection.leave(key);
    assert_eq!(connection.handle_text(r#"2["a"]"#), Ok(None));
    assert_eq!(connection.handle_text(r#"51-["a"]"#), Ok(None));
    assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
    assert_eq!(connection.handle_text("1"), Ok(None));
    join(&mut connection, "/");
}

#[test]
fn packets_that_crossed_our_leave_can_be_made_to_close() {
    let config = ConnectionConfig::default().stray_packets(StrayPackets::Close);
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    let key = join(&mut connection, "/");
    connection.leave(key);
    assert!(connection.handle_text(r#"2["a"]"#).is_err());
}

#[test]
fn connect_error_from_a_client_closes_the_connection() {
    let mut connection = v5();
    join(&mut connection, "/");
    let violation = connection.handle_text(r#"4{"message":"x"}"#).unwrap_err();
    assert_eq!(violation, Violation::ConnectErrorFromClient);
}

#[test]
fn undecodable_packets_are_decode_errors() {
    for text in [
        "",
        "9",
        "5",
        "5woooot",
        "2abc[]",
        "2[\"connect\"]",
        "2[\"a\",}",
        "0\"x\"",
    ] {
        let mut connection = v5();
        join(&mut connection, "/");
        let violation = connection.handle_text(text).unwrap_err();
        assert!(violation.is_decode_error(), "{text}");
        assert_eq!(violation.disconnect_reason(), "forced close");
    }
}

#[test]
fn event_waits_for_its_attachments() {
    let mut connection = v5();
    let key = join(&mut connection, "/chat");
    let text = r#"52-/chat,7["up",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
    assert_eq!(connection.handle_text(text), Ok(None));
    assert_eq!(
        connection.handle_binary(Bytes::from_static(b"zero")),
        Ok(None)
    );
    let input = connection
        .handle_binary(Bytes::from_static(b"one"))
        .unwrap();
    let Some(Input::Event {
        key: at,
        name,
        args,
        ack_id,
    }) = input
    else {
        panic!()
    };
    assert_eq!((at, &*name, ack_id), (key, "up", Some(7)));
    assert_eq!(
        args.deserialize::<(Bytes, Bytes)>().unwrap(),
        (Bytes::from_static(b"one"), Bytes::from_static(b"zero"))
    );
    assert_eq!(
        connection.handle_binary(Bytes::new()),
        Err(Violation::UnexpectedBinary)
    );
}

#[test]
fn ack_waits_for_its_attachments() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    assert_eq!(
        connection.handle_text(&format!("61-7[{PLACEHOLDER}]")),
        Ok(None)
    );
    let input = connection.handle_binary(Bytes::from_static(b"x")).unwrap();
    let Some(Input::Ack {
        key: at,
        id: 7,
        args,
    }) = input
    else {
        panic!()
    };
    assert_eq!(at, key);
    assert_eq!(args.deserialize::<Bytes>().unwrap(), "x");
}

#[test]
fn text_while_attachments_are_owed_is_a_violation() {
    let mut connection = v5();
    join(&mut connection, "/");
    connection.handle_text(r#"52-["a"]"#).unwrap();
    connection.handle_binary(Bytes::new()).unwrap();
    let violation = connection.handle_text(r#"2["a"]"#).unwrap_err();
    assert_eq!(violation, Violation::TextDuringAttachments { owed: 1 });
    assert!(violation.is_decode_error());
}

#[test]
fn binary_event_without_attachments_is_a_violation() {
    for text in [r#"50-["a",1]"#, "60-7[]"] {
        let mut connection = v5();
        join(&mut connection, "/");
        let violation = connection.handle_text(text).unwrap_err();
        assert_eq!(violation, DecodeError::AttachmentCount.into());
    }
}

#[test]
fn second_reference_to_an_attachment_is_a_violation() {
    let many = vec![PLACEHOLDER; 1000].join(",");
    for text in [
        format!(r#"51-["cast",[{many}]]"#),
        format!(r#"52-["cast",{{"a":{PLACEHOLDER},"a":{PLACEHOLDER}}}]"#),
        format!(r#"51-["cast",{{"_placeholder":true,"x":{PLACEHOLDER},"num":0}}]"#),
        format!("61-7[{PLACEHOLDER},{PLACEHOLDER}]"),
    ] {
        let mut connection = v5();
        join(&mut connection, "/");
        let violation = connection.handle_text(&text).unwrap_err();
        assert_eq!(violation, DecodeError::SharedAttachment { num: 0 }.into());
        assert!(violation.is_decode_error());
    }
}

#[test]
fn attachments_are_limited_in_number_and_bytes() {
    let config = ConnectionConfig::default()
        .max_attachments(2)
        .max_attachment_bytes(10);
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    join(&mut connection, "/");
    assert_eq!(
        connection.handle_text(r#"53-["a"]"#),
        Err(DecodeError::TooManyAttachments { max: 2 }.into())
    );
    connection.handle_text(r#"52-["a"]"#).unwrap();
    assert_eq!(
        connection.handle_binary(Bytes::from_static(b"123456")),
        Ok(None)
    );
    assert_eq!(
        connection.handle_binary(Bytes::from_static(b"12345")),
        Err(Violation::AttachmentsTooLarge { max: 10 })
    );
}

#[test]
fn event_completed_after_our_leave_is_dropped() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    connection.handle_text(r#"51-["a"]"#).unwrap();
    connection.leave(key);
    assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
}

#[test]
fn namespaces_are_limited() {
    let config = ConnectionConfig::default().max_namespaces(2);
    let mut connection = Connection::server(SocketRevision::V5, &config, Instant::now());
    let key = join(&mut connection, "/a");
    join(&mut connection, "/b");
    assert_eq!(
        connection.handle_text("0/c").unwrap_err(),
        Violation::TooManyNamespaces { max: 2 }
    );
    connection.leave(key);
    join(&mut connection, "/c");
}

#[test]
fn namespace_names_are_limited() {
    let text = format!("0/{},", "n".repeat(1024));
    assert_eq!(
        v5().handle_text(&text),
        Err(Violation::NamespaceTooLong { max: 1024 })
    );
}

#[test]
fn revision_4_joins_the_main_namespace_by_itself() {
    let mut connection = connection(SocketRevision::V4);
    let Some(Input::Connect {
        key,
        namespace: "/",
        query: None,
        auth: None,
    }) = connection.implicit_connect()
    else {
        panic!()
    };
    assert_eq!(connection.implicit_connect(), None);
    connection.accept(key);
    assert_eq!(
        name_of(connection.handle_text(r#"2["a"]"#).unwrap()).unwrap(),
        "a"
    );
    assert_eq!(v5().implicit_connect(), None);
}

#[test]
fn revision_4_connect_is_independent_of_the_main_namespace() {
    let mut connection = connection(SocketRevision::V4);
    connection.implicit_connect().unwrap();
    let input = connection.handle_text("0/x?token=a&n=1,").unwrap();
    let Some(Input::Connect {
        namespace,
        query,
        auth,
        ..
    }) = input
    else {
        panic!()
    };
    assert_eq!((namespace, query, auth), ("/x", Some("token=a&n=1"), None));
}

#[test]
fn revision_4_connect_to_the_main_namespace_again_closes() {
    assert_eq!(
        v4().handle_text("0").unwrap_err(),
        Violation::ConnectTwice {
            namespace: "/".into()
        }
    );
}

#[test]
fn revision_4_stray_packets_are_ignored() {
    let mut connection = v4();
    assert_eq!(connection.handle_text(r#"2/never,["a"]"#), Ok(None));
    connection.handle_text("1").unwrap();
    assert_eq!(connection.handle_text(r#"2["a"]"#), Ok(None));
    assert_eq!(connection.handle_text(r#"51-["a"]"#), Ok(None));
    assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
    assert_eq!(connection.handle_text("1"), Ok(None));
}

#[test]
fn counted_ack_marks_a_revision_3_peer() {
    let mut connection = v4();
    assert!(!connection.uses_counted_acks());
    assert!(matches!(
        connection.handle_text(r#"30-5["ok"]"#),
        Ok(Some(Input::Ack { id: 5, .. }))
    ));
    assert!(connection.uses_counted_acks());
    assert_eq!(
        connection.handle_text(&format!("31-6[{PLACEHOLDER}]")),
        Ok(None)
    );
    let input = connection.handle_binary(Bytes::from_static(b"x")).unwrap();
    assert!(matches!(input, Some(Input::Ack { id: 6, .. })));
}
