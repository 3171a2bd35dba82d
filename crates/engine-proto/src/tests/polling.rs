//! Polling requests and the session they belong to.

use crate::payload::PayloadError;
use crate::{
    BadRequest, CloseReason, Lane, Output, Packet, PollVerdict, RequestError, Revision,
    TransportEnd, TransportKind,
};

use super::util::{Lone, Pair, ms, send};

fn polling() -> Lone {
    Lone::server(Revision::V4, TransportKind::Polling)
}

#[test]
fn second_poll_closes_session() {
    let mut server = polling();
    server.hold_poll();
    assert_eq!(server.poll(), PollVerdict::Refuse(RequestError::Overlap));
    let outputs = server.outputs();
    assert_eq!(
        outputs,
        [
            send(Packet::Close),
            Output::Closed(CloseReason::TransportError)
        ]
    );
}

#[test]
fn second_post_closes_session() {
    let mut server = polling();
    server.session.begin_post(server.now).unwrap();
    assert_eq!(
        server.session.begin_post(server.now),
        Err(RequestError::Overlap)
    );
    assert_eq!(
        server.outputs(),
        [Output::Closed(CloseReason::TransportError)]
    );
    assert_eq!(
        server.session.begin_post(server.now),
        Err(RequestError::UnknownSession)
    );
}

#[test]
fn polls_follow_each_other() {
    let mut server = polling();
    for _ in 0..3 {
        server.hold_poll();
        server.session.end_poll();
        server.session.begin_post(server.now).unwrap();
        server.session.end_post();
    }
    assert_eq!(server.outputs(), []);
}

#[test]
fn dropped_requests_are_transport_errors() {
    let mut server = polling();
    server.hold_poll();
    let outputs = server.ends(Lane::Current, TransportEnd::PollDropped);
    assert_eq!(outputs, [Output::Closed(CloseReason::TransportError)]);

    let mut server = polling();
    server.session.begin_post(server.now).unwrap();
    let outputs = server.ends(Lane::Current, TransportEnd::PostDropped);
    assert_eq!(outputs, [Output::Closed(CloseReason::TransportError)]);
}

#[test]
fn a_request_that_was_answered_cannot_be_dropped_any_more() {
    let mut server = polling();
    server.hold_poll();
    server.session.end_poll();
    assert_eq!(server.ends(Lane::Current, TransportEnd::PollDropped), []);
    assert_eq!(server.ends(Lane::Current, TransportEnd::PostDropped), []);
    assert!(server.session.is_open());
}

#[test]
fn too_large_a_post_leaves_the_session_open_but_a_message_does_not() {
    let mut server = polling();
    assert_eq!(server.ends(Lane::Current, TransportEnd::TooBig), []);
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    let outputs = server.ends(Lane::Current, TransportEnd::TooBig);
    assert_eq!(outputs, [Output::Closed(CloseReason::TransportError)]);
}

#[test]
fn undecodable_post_closes_with_parse_error_and_frees_the_poll() {
    let mut server = polling();
    server.hold_poll();
    server
        .session
        .handle_decode_error(server.now, Lane::Current);
    let outputs = server.outputs();
    assert_eq!(
        outputs,
        [send(Packet::Close), Output::Closed(CloseReason::ParseError)]
    );
}

#[test]
fn polling_requests_do_not_fit_a_websocket_session() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    let mismatch = RequestError::BadRequest(BadRequest::TransportMismatch);
    assert_eq!(server.poll(), PollVerdict::Refuse(mismatch.clone()));
    assert_eq!(server.session.begin_post(server.now), Err(mismatch));
    assert!(server.session.is_open());
}

#[test]
fn messages_travel_both_ways_in_order() {
    for revision in [Revision::V3, Revision::V4] {
        for transport in [
            TransportKind::Polling,
            TransportKind::WebSocket,
            TransportKind::Unix,
        ] {
            let mut pair = Pair::new(revision, transport);
            pair.client.send(Packet::text("a"));
            pair.client.send(Packet::text("é"));
            pair.server.send(Packet::text("b"));
            pair.run();
            pair.client.send(Packet::binary(vec![1, 2]));
            pair.run();
            assert_eq!(pair.server.texts(), ["a", "é", "(binary)"]);
            assert_eq!(pair.client.texts(), ["b"]);
        }
    }
}

#[test]
fn client_sends_one_request_of_each_kind_at_a_time() {
    let mut client = Lone::client(Revision::V4, TransportKind::Polling);
    assert!(client.session.may_poll() && client.session.may_post());
    client.hold_poll();
    client.session.begin_post(client.now).unwrap();
    assert!(!client.session.may_poll() && !client.session.may_post());
    client.session.end_poll();
    client.session.end_post();
    assert!(client.session.may_poll() && client.session.may_post());
}

#[test]
fn packets_that_mean_nothing_are_ignored() {
    let mut server = polling();
    for packet in [Packet::Open("{}".into()), Packet::Upgrade, Packet::Noop] {
        assert_eq!(server.on(packet), []);
    }
    server.sleep(ms(1));
    assert!(server.session.is_open());
}

#[test]
fn payload_errors_have_an_answer_and_a_consequence() {
    let answer = |error| {
        let mut server = polling();
        let answer = server.session.handle_payload_error(server.now, error);
        (
            answer.status(),
            answer.body().len(),
            server.session.close_reason(),
        )
    };
    let too_large = PayloadError::TooLarge { len: 2, max: 1 };
    assert_eq!(answer(too_large), (413, 0, None));
    let refused = PayloadError::BinaryRefused;
    assert_eq!(answer(refused), (400, 0, Some(CloseReason::TransportError)));
    assert_eq!(
        answer(PayloadError::Utf8),
        (400, 0, Some(CloseReason::ParseError))
    );
}
