//! The client's behaviour, one rule of the reference (wire-protocol §6.5–6.8, features-client §4.5, 4.6, 8.3) at a time.

use bytes::Bytes;

use super::*;
use crate::args::IncomingArgs;
use crate::decode_error::DecodeError;

fn v5() -> ClientConnection {
    ClientConnection::new(SocketRevision::V5, &ConnectionConfig::default())
}

fn v4() -> ClientConnection {
    ClientConnection::new(SocketRevision::V4, &ConnectionConfig::default())
}

/// Joins a namespace of a server that lets everybody in.
fn join(connection: &mut ClientConnection, namespace: &str) -> NamespaceKey {
    let key = connection.join(namespace).unwrap();
    let text = match connection.revision() {
        SocketRevision::V5 => format!(r#"0{namespace},{{"sid":"S"}}"#),
        SocketRevision::V4 => format!("0{namespace}"),
    };
    let input = connection.handle_text(&text).unwrap();
    assert!(
        matches!(input, Some(ClientInput::Connected { key: at, .. }) if at == key),
        "{input:?}"
    );
    key
}

fn event_of(input: Option<ClientInput<'_>>) -> Option<(NamespaceKey, String)> {
    match input {
        Some(ClientInput::Event { key, name, .. }) => Some((key, name.into_owned())),
        _ => None,
    }
}

const PLACEHOLDER: &str = r#"{"_placeholder":true,"num":0}"#;

#[test]
fn connected_says_which_ids_the_server_gave() {
    let mut connection = v5();
    let key = connection.join("/chat").unwrap();
    assert!(connection.needs_request(key));
    assert!(!connection.is_joined(key));
    assert_eq!(connection.find("/chat"), None);
    assert_eq!(
        connection.handle_text(r#"0/chat,{"sid":"S","pid":"P"}"#),
        Ok(Some(ClientInput::Connected {
            key,
            sid: Some("S".into()),
            pid: Some("P".into()),
            offset: None,
        }))
    );
    assert!(connection.is_joined(key));
    assert!(!connection.needs_request(key));
    assert_eq!(connection.find("/chat"), Some(key));
    assert_eq!(connection.namespace(key), Some("/chat"));
    assert_eq!(connection.joined().collect::<Vec<_>>(), [key]);
}

#[test]
fn answer_without_sid_is_that_of_an_old_server() {
    for text in ["0", "0{}", r#"0{"pid":"P"}"#] {
        let mut connection = v5();
        let key = connection.join("/").unwrap();
        assert_eq!(
            connection.handle_text(text),
            Ok(Some(ClientInput::TooOld { key }))
        );
        assert!(connection.join("/").is_ok(), "may be tried again");
    }
}

#[test]
fn unasked_connects_mean_nothing_in_revision_5() {
    let mut connection = v5();
    assert_eq!(connection.handle_text("0"), Ok(None));
    assert_eq!(connection.handle_text(r#"0{"sid":"S"}"#), Ok(None));
    let key = connection.join("/").unwrap();
    assert!(connection.needs_request(key) && !connection.is_joined(key));
    join(&mut connection, "/x");
    let again = connection.handle_text(r#"0/x,{"sid":"T"}"#);
    assert_eq!(again, Ok(None), "nor while connected");
}

#[test]
fn refusal_ends_the_attempt_and_another_may_be_made() {
    let mut connection = v5();
    let key = connection.join("/chat").unwrap();
    assert_eq!(
        connection.handle_text(r#"4/chat,{"message":"nope","data":{"code":7}}"#),
        Ok(Some(ClientInput::Refused {
            key,
            message: "nope".into(),
            data: Some(r#"{"code":7}"#),
        }))
    );
    assert_eq!(connection.handle_text(r#"4/chat,"nope""#), Ok(None));
    assert_ne!(join(&mut connection, "/chat"), key);
}

#[test]
fn packets_of_unknown_namespaces_are_ignored() {
    for mut connection in [v5(), v4()] {
        join(&mut connection, "/");
        for text in [
            r#"2/x,["a"]"#,
            r#"2/x,7["a"]"#,
            "3/x,1[]",
            r#"0/x,{"sid":"S"}"#,
            "1/x,",
            r#"4/x,"no""#,
            r#"51-/x,["a"]"#,
        ] {
            assert_eq!(connection.handle_text(text), Ok(None), "{text}");
        }
        assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
        assert!(event_of(connection.handle_text(r#"2["a"]"#).unwrap()).is_some());
    }
}

#[test]
fn events_reach_the_namespace_they_are_for() {
    for mut connection in [v5(), v4()] {
        let main = join(&mut connection, "/");
        let chat = join(&mut connection, "/chat");
        let input = connection.handle_text(r#"2["a",1]"#).unwrap();
        assert_eq!(event_of(input), Some((main, "a".to_owned())));
        let input = connection.handle_text(r#"2/chat,7["b"]"#).unwrap().unwrap();
        assert_eq!(input.key(), Some(chat));
        assert!(matches!(
            input,
            ClientInput::Event {
                ack_id: Some(7),
                args: IncomingArgs::Borrowed(_),
                ..
            }
        ));
    }
}

#[test]
fn missed_events_of_a_restored_session_come_before_the_answer() {
    let mut connection = v5();
    let key = connection.join("/").unwrap();
    let input = connection.handle_text(r#"2["missed","offset"]"#).unwrap();
    assert_eq!(event_of(input), Some((key, "missed".to_owned())));
    let text = format!(r#"51-["missed",{PLACEHOLDER}]"#);
    assert_eq!(connection.handle_text(&text), Ok(None));
    let input = connection.handle_binary(Bytes::from_static(b"x")).unwrap();
    assert_eq!(event_of(input), Some((key, "missed".to_owned())));
    let input = connection.handle_text(r#"0{"sid":"S","pid":"P"}"#).unwrap();
    assert!(matches!(input, Some(ClientInput::Connected { .. })));
}

#[test]
fn acks_are_delivered_with_their_id() {
    let mut connection = v5();
    let key = join(&mut connection, "/");
    let Some(ClientInput::Ack { key: at, id, args }) = connection.handle_text("312[1]").unwrap()
    else {
        panic!()
    };
    assert_eq!((at, id), (key, 12));
    assert_eq!(args.deserialize::<u8>().unwrap(), 1);
    assert_eq!(connection.handle_text("3[]"), Ok(None), "for nobody");
}

#[test]
fn binary_acks_are_the_same_in_both_revisions() {
    for mut connection in [v5(), v4()] {
        let key = join(&mut connection, "/x");
        let text = format!("61-/x,7[{PLACEHOLDER}]");
        assert_eq!(connection.handle_text(&text), Ok(None));
        let input = connection.handle_binary(Bytes::from_static(b"x")).unwrap();
        let Some(ClientInput::Ack {
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
}

#[test]
fn counted_ack_marks_a_revision_3_server() {
    let mut connection = v4();
    join(&mut connection, "/");
    assert!(!connection.uses_counted_acks());
    assert!(matches!(
        connection.handle_text(r#"30-5["ok"]"#),
        Ok(Some(ClientInput::Ack { id: 5, .. }))
    ));
    assert!(connection.uses_counted_acks());
}

#[test]
fn server_makes_us_leave() {
    for mut connection in [v5(), v4()] {
        let key = join(&mut connection, "/");
        assert_eq!(
            connection.handle_text("1"),
            Ok(Some(ClientInput::Disconnected { key }))
        );
        assert!(!connection.is_joined(key));
        assert_eq!(connection.handle_text(r#"2["a"]"#), Ok(None));
        assert_eq!(connection.leave(key), Leaving::NotThere);
        let again = connection.join("/").unwrap();
        assert!(connection.needs_request(again), "also in revision 4");
        // Not the former stay's: that has been ended by the server.
        assert!(event_of(connection.handle_text(r#"2["a"]"#).unwrap()).is_some());
    }
}

#[test]
fn disconnect_ends_an_attempt_to_join() {
    let mut connection = v5();
    let key = connection.join("/").unwrap();
    assert_eq!(
        connection.handle_text("1"),
        Ok(Some(ClientInput::Disconnected { key }))
    );
    assert!(connection.join("/").is_ok());
}

#[test]
fn nothing_is_delivered_after_leaving() {
    let mut connection = v5();
    let key = join(&mut connection, "/x");
    connection
        .handle_text(&format!(r#"51-/x,["a",{PLACEHOLDER}]"#))
        .unwrap();
    assert_eq!(connection.leave(key), Leaving::Now);
    assert_eq!(connection.handle_binary(Bytes::new()), Ok(None));
    for text in [r#"2/x,["a"]"#, "3/x,1[]", "1/x,", r#"2/x,["a"]"#] {
        assert_eq!(connection.handle_text(text), Ok(None), "{text}");
    }
    assert_eq!(connection.leave(key), Leaving::NotThere);
    join(&mut connection, "/x");
}

#[test]
fn what_the_former_stay_left_behind_is_not_taken_for_the_new_one() {
    let mut connection = v5();
    let key = join(&mut connection, "/x");
    let _ = connection.leave(key);
    let again = connection.join("/x").unwrap();
    assert_ne!(again, key);
    assert!(connection.needs_request(again));
    for text in [r#"2/x,["a"]"#, "3/x,1[]", "1/x,"] {
        assert_eq!(connection.handle_text(text), Ok(None), "{text}");
    }
    assert!(matches!(
        connection.handle_text(r#"0/x,{"sid":"T"}"#),
        Ok(Some(ClientInput::Connected { key, .. })) if key == again
    ));
    assert!(event_of(connection.handle_text(r#"2/x,["a"]"#).unwrap()).is_some());
}

#[test]
fn server_hears_of_an_abandoned_join_once_it_has_answered() {
    let mut connection = v5();
    let key = connection.join("/x").unwrap();
    assert_eq!(connection.leave(key), Leaving::OnceAnswered);
    assert_eq!(connection.leave(key), Leaving::NotThere);
    assert!(!connection.needs_request(key));
    assert_eq!(connection.join("/x"), Err(JoinError::Unanswered));
    assert_eq!(connection.handle_text(r#"2/x,["a"]"#), Ok(None));
    assert_eq!(
        connection.handle_text(r#"0/x,{"sid":"S"}"#),
        Ok(Some(ClientInput::Abandoned { key }))
    );
    assert_eq!(connection.namespace(key), Some("/x"));
    assert_eq!(connection.handle_text(r#"2/x,["a"]"#), Ok(None));
    join(&mut connection, "/x");
}

#[test]
fn abandoned_join_may_be_refused() {
    let mut connection = v5();
    let key = connection.join("/x").unwrap();
    let _ = connection.leave(key);
    let input = connection.handle_text(r#"4/x,{"message":"no"}"#).unwrap();
    assert!(matches!(input, Some(ClientInput::Refused { key: at, .. }) if at == key));
    join(&mut connection, "/x");
}

#[test]
fn a_namespace_is_joined_once_at_a_time() {
    let mut connection = v5();
    connection.join("/x").unwrap();
    assert_eq!(connection.join("/x"), Err(JoinError::Twice));
    connection.handle_text(r#"0/x,{"sid":"S"}"#).unwrap();
    assert_eq!(connection.join("/x"), Err(JoinError::Twice));
}

#[test]
fn names_that_would_be_misread_are_not_joined() {
    let long = format!("/{}", "n".repeat(1024));
    for mut connection in [v5(), v4()] {
        for name in ["", "x", "x/", "/a,b", ",", "/a\u{1e}b"] {
            assert_eq!(connection.join(name), Err(JoinError::Name), "{name}");
        }
        let too_long = JoinError::TooLong { max: 1024 };
        assert_eq!(connection.join(&long), Err(too_long));
    }
    assert_eq!(v4().join("/x?a"), Err(JoinError::Name));
    assert!(v5().join("/x?a").is_ok());
}

#[test]
fn namespaces_are_limited() {
    let config = ConnectionConfig::default().max_namespaces(2);
    let mut connection = ClientConnection::new(SocketRevision::V5, &config);
    let key = join(&mut connection, "/a");
    connection.join("/b").unwrap();
    assert_eq!(connection.join("/c"), Err(JoinError::TooMany { max: 2 }));
    let _ = connection.leave(key);
    join(&mut connection, "/c");
}

#[test]
fn undecodable_messages_are_violations() {
    for text in [
        "",
        "9",
        "5",
        "2abc[]",
        "2[\"connect\"]",
        "2[\"a\",}",
        "0\"x\"",
    ] {
        let mut connection = v5();
        join(&mut connection, "/");
        let violation = connection.handle_text(text).unwrap_err();
        assert!(violation.is_decode_error(), "{text}");
    }
    assert!(
        v5().handle_text("2/x,[").is_err(),
        "also for namespaces that nobody is in"
    );
}

#[test]
fn attachments_must_be_the_right_ones() {
    let config = ConnectionConfig::default()
        .max_attachments(2)
        .max_attachment_bytes(10);
    let new = || ClientConnection::new(SocketRevision::V5, &config);
    assert_eq!(
        new().handle_binary(Bytes::new()),
        Err(Violation::UnexpectedBinary)
    );
    assert_eq!(
        new().handle_text(r#"53-["a"]"#),
        Err(DecodeError::TooManyAttachments { max: 2 }.into())
    );
    let text = r#"51-["a",{"_placeholder":true,"num":1}]"#;
    assert_eq!(
        new().handle_text(text),
        Err(DecodeError::Placeholder { attachments: 1 }.into())
    );
    let mut connection = new();
    assert_eq!(connection.handle_text(r#"52-["a"]"#), Ok(None));
    assert_eq!(
        connection.handle_text(r#"2["a"]"#),
        Err(Violation::TextDuringAttachments { owed: 2 })
    );
    assert_eq!(
        connection.handle_binary(Bytes::from_static(&[0; 11])),
        Err(Violation::AttachmentsTooLarge { max: 10 })
    );
}

#[test]
fn revision_4_lets_us_into_the_main_namespace_unasked() {
    let mut connection = v4();
    let key = connection.join("/").unwrap();
    assert!(!connection.needs_request(key));
    assert_eq!(
        connection.handle_text("0"),
        Ok(Some(ClientInput::Connected {
            key,
            sid: None,
            pid: None,
            offset: None,
        }))
    );
}

#[test]
fn revision_4_main_namespace_can_be_claimed_later() {
    let mut connection = v4();
    assert_eq!(connection.handle_text("0"), Ok(None));
    assert_eq!(connection.handle_text(r#"2["a"]"#), Ok(None));
    let key = connection.join("/").unwrap();
    assert!(connection.is_joined(key));
    assert!(!connection.needs_request(key));
    assert!(event_of(connection.handle_text(r#"2["a"]"#).unwrap()).is_some());
    assert_eq!(connection.leave(key), Leaving::Now);
    let again = connection.join("/").unwrap();
    assert!(
        connection.needs_request(again),
        "the second stay is asked for"
    );
}

#[test]
fn revision_4_main_namespace_that_was_taken_away_unclaimed_must_be_asked_for() {
    let mut connection = v4();
    connection.handle_text("0").unwrap();
    assert_eq!(connection.handle_text("1"), Ok(None));
    let key = connection.join("/").unwrap();
    assert!(connection.needs_request(key) && !connection.is_joined(key));
}

#[test]
fn revision_4_other_namespaces_are_asked_for() {
    for text in ["0/x", "0/x,"] {
        let mut connection = v4();
        let key = connection.join("/x").unwrap();
        assert!(connection.needs_request(key));
        assert_eq!(connection.handle_text("0"), Ok(None));
        let input = connection.handle_text(text).unwrap();
        assert!(matches!(input, Some(ClientInput::Connected { key: at, .. }) if at == key));
    }
}

#[test]
fn revision_4_refusals_may_be_any_json() {
    for (payload, message, data) in [
        (r#""Invalid namespace""#, "Invalid namespace", None),
        (r#"{"message":"no"}"#, "no", Some(r#"{"message":"no"}"#)),
        ("[7]", "", Some("[7]")),
    ] {
        let mut connection = v4();
        let key = connection.join("/x").unwrap();
        assert_eq!(
            connection.handle_text(&format!("4/x,{payload}")),
            Ok(Some(ClientInput::Refused {
                key,
                message: message.into(),
                data,
            }))
        );
    }
}

#[test]
fn revision_4_error_on_the_main_namespace_concerns_all() {
    let mut connection = v4();
    join(&mut connection, "/x");
    let all = |connection: &mut ClientConnection, refused| {
        let input = connection.handle_text(r#"4"bad""#).unwrap();
        let message = "bad".into();
        assert_eq!(
            input,
            Some(ClientInput::ErrorOfAll {
                message,
                data: None,
                refused,
            })
        );
    };
    all(&mut connection, true);
    all(&mut connection, false);
    let key = connection.join("/").unwrap();
    assert!(connection.needs_request(key), "it had been refused");
    connection.handle_text("0").unwrap();
    all(&mut connection, false);
    assert!(connection.is_joined(key), "it ends nothing");
    let _ = connection.leave(key);
    all(&mut connection, false);
}

#[test]
fn revision_4_refusal_of_the_main_namespace_answers_who_waits_for_it() {
    let mut connection = v4();
    let key = connection.join("/").unwrap();
    let input = connection.handle_text(r#"4"bad""#).unwrap();
    assert!(matches!(input, Some(ClientInput::Refused { key: at, .. }) if at == key));
    let again = connection.join("/").unwrap();
    assert!(connection.needs_request(again));
}

#[test]
fn revision_4_error_of_a_joined_namespace_ends_nothing() {
    let mut connection = v4();
    let key = join(&mut connection, "/x");
    assert_eq!(
        connection.handle_text(r#"4/x,{"code":7}"#),
        Ok(Some(ClientInput::Error {
            key,
            message: "".into(),
            data: Some(r#"{"code":7}"#),
        }))
    );
    assert!(connection.is_joined(key));
}
