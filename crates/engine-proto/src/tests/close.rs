//! The ends a session can come to.

use crate::{
    CloseReason, Lane, Output, Packet, PollVerdict, RequestError, Revision, TransportEnd,
    TransportKind,
};

use super::util::{Lone, Pair, ms, send};

fn server() -> Lone {
    // Revision 3, because its server sends no pings that would stand between the lines of these scripts.
    Lone::server(Revision::V3, TransportKind::Polling)
}

#[test]
fn close_packet_frees_the_pending_poll_with_a_noop() {
    let mut server = server();
    server.hold_poll();
    let outputs = server.on(Packet::Close);
    assert_eq!(
        outputs,
        [
            send(Packet::Noop),
            Output::Closed(CloseReason::TransportClose)
        ]
    );
    server.session.end_poll();
    assert_eq!(
        server.poll(),
        PollVerdict::Refuse(RequestError::UnknownSession)
    );
}

#[test]
fn a_poll_that_crossed_the_close_packet_is_answered_once() {
    let mut server = server();
    assert_eq!(
        server.on(Packet::Close),
        [Output::Closed(CloseReason::TransportClose)]
    );
    assert!(server.session.tombstone_until() > Some(server.now));
    server.sleep(ms(500));
    assert_eq!(server.poll(), PollVerdict::AnswerNoop);
    assert_eq!(server.session.tombstone_until(), None);
    assert_eq!(
        server.poll(),
        PollVerdict::Refuse(RequestError::UnknownSession)
    );
    assert_eq!(
        server.session.begin_post(server.now),
        Err(RequestError::UnknownSession)
    );
}

#[test]
fn the_tombstone_does_not_last() {
    let mut server = server();
    server.on(Packet::Close);
    server.sleep(ms(1000));
    assert_eq!(
        server.poll(),
        PollVerdict::Refuse(RequestError::UnknownSession)
    );
}

#[test]
fn packets_behind_a_close_packet_are_ignored() {
    let mut server = server();
    server.on(Packet::Close);
    assert_eq!(server.on(Packet::text("late")), []);
    assert_eq!(server.on(Packet::PING), []);
}

#[test]
fn close_packet_on_a_stream_closes_at_once() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    assert_eq!(
        server.on(Packet::Close),
        [Output::Closed(CloseReason::TransportClose)]
    );
    assert_eq!(server.session.tombstone_until(), None);
}

#[test]
fn the_end_of_a_stream_is_told_from_its_failure() {
    for (end, reason) in [
        (TransportEnd::Eof, CloseReason::TransportClose),
        (TransportEnd::Error, CloseReason::TransportError),
    ] {
        let mut server = Lone::server(Revision::V4, TransportKind::Tcp);
        assert_eq!(server.ends(Lane::Current, end), [Output::Closed(reason)]);
    }
}

#[test]
fn undecodable_packet_on_a_stream_is_a_parse_error() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server
        .session
        .handle_decode_error(server.now, Lane::Current);
    assert_eq!(server.outputs(), [Output::Closed(CloseReason::ParseError)]);
}

#[test]
fn server_close_answers_the_pending_poll_with_a_close_packet() {
    let mut server = server();
    server.hold_poll();
    let outputs = server.close(false);
    assert_eq!(
        outputs,
        [
            send(Packet::Close),
            Output::Closed(CloseReason::ForcedClose)
        ]
    );
    assert!(server.session.is_graceful());
}

#[test]
fn server_close_waits_for_a_poll() {
    let mut server = server();
    assert_eq!(server.close(false), []);
    assert!(!server.session.is_open() && !server.session.is_closed());
    assert_eq!(server.on(Packet::text("dropped")), []);
    assert_eq!(server.advance(ms(29_999)), []);
    server.hold_poll();
    let closed = Output::Closed(CloseReason::ForcedClose);
    assert_eq!(
        server.outputs(),
        [send(Packet::Noop), send(Packet::Close), closed]
    );
    assert!(server.session.is_graceful());
}

#[test]
fn what_was_unsent_at_a_server_close_takes_a_poll_of_its_own() {
    let mut server = server();
    assert_eq!(server.close(true), []);
    server.hold_poll();
    assert_eq!(server.outputs(), []);
    server.session.end_poll();
    server.hold_poll();
    let closed = Output::Closed(CloseReason::ForcedClose);
    assert_eq!(
        server.outputs(),
        [send(Packet::Noop), send(Packet::Close), closed]
    );
}

#[test]
fn server_close_waits_no_longer_than_its_timeout() {
    let mut server = server();
    server.close(true);
    assert_eq!(
        server.advance(ms(30_000)),
        [Output::Closed(CloseReason::ForcedClose)]
    );
    assert!(!server.session.is_graceful());
}

#[test]
fn whatever_cuts_a_close_short_does_not_change_its_reason() {
    let closed = [Output::Closed(CloseReason::ForcedClose)];
    let mut one = server();
    one.close(false);
    assert_eq!(one.on(Packet::Close), closed);
    let mut one = server();
    one.close(false);
    one.session.begin_post(one.now).unwrap();
    assert_eq!(one.ends(Lane::Current, TransportEnd::PostDropped), closed);
}

#[test]
fn server_close_on_a_stream_flushes() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    assert_eq!(
        server.close(true),
        [Output::Closed(CloseReason::ForcedClose)]
    );
    assert!(server.session.is_graceful());
    assert_eq!(server.close(true), []);
}

#[test]
fn abort_frees_the_pending_poll_and_drops_the_rest() {
    let mut server = server();
    server.hold_poll();
    server.begin_upgrade();
    server.session.abort(CloseReason::ServerShuttingDown);
    let outputs = server.outputs();
    let reason = CloseReason::ServerShuttingDown;
    assert_eq!(
        outputs,
        [
            send(Packet::Close),
            Output::CloseProbe,
            Output::Closed(reason)
        ]
    );
    assert!(!server.session.is_graceful());
}

#[test]
fn a_commit_that_meets_a_closing_server_delivers_the_rest_over_the_new_transport() {
    let mut server = server();
    server.begin_upgrade();
    server.on_probe(Packet::PROBE_PING);
    assert_eq!(server.close(true), []);
    let outputs = server.on_probe(Packet::Upgrade);
    let upgraded = Output::Upgraded {
        from: TransportKind::Polling,
        to: TransportKind::WebSocket,
    };
    assert_eq!(
        outputs,
        [upgraded, Output::Closed(CloseReason::ForcedClose)]
    );
    assert!(server.session.is_graceful());
}

#[test]
fn a_poll_that_meets_a_closing_server_ends_the_upgrade() {
    let mut server = server();
    server.begin_upgrade();
    server.close(false);
    server.hold_poll();
    let closed = Output::Closed(CloseReason::ForcedClose);
    let close = send(Packet::Close);
    assert_eq!(
        server.outputs(),
        [send(Packet::Noop), close, Output::CloseProbe, closed]
    );
}

#[test]
fn client_close_on_polling_sends_a_close_packet() {
    let mut client = Lone::client(Revision::V4, TransportKind::Polling);
    client.hold_poll();
    let outputs = client.close(true);
    assert_eq!(
        outputs,
        [
            send(Packet::Close),
            Output::Closed(CloseReason::ForcedClose)
        ]
    );
    assert!(client.session.is_graceful());
}

#[test]
fn client_close_waits_for_its_upgrade() {
    let mut client = Lone::client(Revision::V3, TransportKind::Polling);
    client.begin_upgrade();
    client.outputs();
    assert_eq!(client.close(true), []);
    let outputs = client.on_probe(Packet::PROBE_PONG);
    assert_eq!(
        outputs.last(),
        Some(&Output::Closed(CloseReason::ForcedClose))
    );
    assert_eq!(client.session.transport(), TransportKind::WebSocket);

    let mut client = Lone::client(Revision::V3, TransportKind::Polling);
    client.begin_upgrade();
    client.outputs();
    client.close(true);
    let outputs = client.ends(Lane::Probe, TransportEnd::Error);
    let closed = Output::Closed(CloseReason::ForcedClose);
    assert_eq!(outputs, [Output::CloseProbe, send(Packet::Close), closed]);
}

#[test]
fn either_end_can_close_and_the_other_learns_of_it() {
    for revision in [Revision::V3, Revision::V4] {
        for transport in [
            TransportKind::Polling,
            TransportKind::WebSocket,
            TransportKind::Tcp,
        ] {
            let mut pair = Pair::new(revision, transport);
            pair.client.send(Packet::text("bye"));
            pair.client.close(pair.now);
            pair.run();
            assert_eq!(pair.server.texts(), ["bye"]);
            assert_eq!(pair.client.closed, Some(CloseReason::ForcedClose));
            assert_eq!(pair.server.closed, Some(CloseReason::TransportClose));

            let mut pair = Pair::new(revision, transport);
            pair.server.send(Packet::text("bye"));
            pair.server.close(pair.now);
            pair.run();
            assert_eq!(pair.client.texts(), ["bye"]);
            assert_eq!(pair.server.closed, Some(CloseReason::ForcedClose));
            assert_eq!(pair.client.closed, Some(CloseReason::TransportClose));
        }
    }
}

#[test]
fn closing_amid_an_upgrade_loses_nothing() {
    for closer in ["client", "server"] {
        let mut pair = Pair::new(Revision::V4, TransportKind::Polling);
        pair.upgrade();
        pair.run();
        pair.client.send(Packet::text("c"));
        pair.server.send(Packet::text("s"));
        let now = pair.now;
        match closer {
            "client" => pair.client.close(now),
            _ => pair.server.close(now),
        }
        pair.run();
        pair.advance(ms(200));
        assert!(
            pair.client.closed.is_some() && pair.server.closed.is_some(),
            "{closer}"
        );
        assert_eq!(pair.client.texts(), ["s"], "{closer}");
        if closer == "client" {
            assert_eq!(pair.server.texts(), ["c"]);
        }
    }
}
