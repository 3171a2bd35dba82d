//! Who pings whom, and when a peer counts as gone.

use crate::{
    CloseReason, Lane, Output, Packet, PollVerdict, RequestError, Revision, Role, TransportKind,
};

use super::util::{INTERVAL, Lone, Pair, TIMEOUT, ms, open_packet, send};

#[test]
fn server_pings_after_the_interval_in_revision_4() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    assert_eq!(server.advance(INTERVAL - ms(1)), []);
    assert_eq!(server.advance(ms(1)), [send(Packet::PING)]);
    assert_eq!(server.on(Packet::PONG), []);
    assert_eq!(server.advance(INTERVAL), [send(Packet::PING)]);
}

#[test]
fn unanswered_ping_closes_the_session() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    let outputs = server.advance(INTERVAL + TIMEOUT);
    assert_eq!(
        outputs,
        [send(Packet::PING), Output::Closed(CloseReason::PingTimeout)]
    );
    assert!(!server.session.is_graceful());
    assert_eq!(server.session.poll_timeout(), None);
}

#[test]
fn heartbeat_is_due_whatever_else_is_waited_for() {
    let mut client = Lone::client(Revision::V4, TransportKind::Polling);
    let due = client.now + INTERVAL + TIMEOUT;
    assert_eq!(client.session.heartbeat_due(), Some(due));
    client.begin_upgrade();
    // The server pings on, and the upgrade gets nowhere.
    while client.session.poll_timeout() == client.session.heartbeat_due() {
        client.advance(INTERVAL);
        client.on(Packet::PING);
    }
    let due = client.now + INTERVAL + TIMEOUT;
    assert_eq!(client.session.heartbeat_due(), Some(due));
    // A server that waits until its next ping waits for nothing yet.
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    assert_eq!(server.session.heartbeat_due(), None);
    server.advance(INTERVAL);
    assert_eq!(server.session.heartbeat_due(), Some(server.now + TIMEOUT));
}

#[test]
fn messages_do_not_replace_a_pong() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.advance(INTERVAL + TIMEOUT / 2);
    assert!(server.receive(Lane::Current, Packet::text("a")).is_some());
    assert_eq!(
        server.advance(TIMEOUT),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn ping_deadline_is_checked_when_a_request_arrives() {
    let mut server = Lone::server(Revision::V4, TransportKind::Polling);
    server.hold_poll();
    // The timer fires late by as much as timers do.
    server.sleep(INTERVAL + ms(2));
    server.session.handle_timeout(server.now);
    assert_eq!(server.outputs(), [send(Packet::PING)]);
    server.session.end_poll();
    server.sleep(TIMEOUT - ms(2));
    assert_eq!(
        server.poll(),
        PollVerdict::Refuse(RequestError::UnknownSession)
    );
    assert_eq!(server.outputs(), [Output::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn ping_deadline_is_checked_when_a_message_arrives() {
    for revision in [Revision::V3, Revision::V4] {
        let mut server = Lone::server(revision, TransportKind::WebSocket);
        server.sleep(INTERVAL);
        server.session.handle_timeout(server.now);
        server.sleep(TIMEOUT);
        assert_eq!(server.receive(Lane::Current, Packet::text("late")), None);
        assert_eq!(
            server.session.close_reason(),
            Some(CloseReason::PingTimeout)
        );
    }
}

#[test]
fn a_message_that_arrives_when_a_ping_is_due_brings_the_ping_out() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.sleep(INTERVAL);
    assert!(server.receive(Lane::Current, Packet::text("a")).is_some());
    assert_eq!(server.outputs(), [send(Packet::PING)]);
}

#[test]
fn a_suspended_server_still_gives_its_peer_time_to_answer() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.sleep(10 * INTERVAL);
    server.session.handle_timeout(server.now);
    assert_eq!(server.outputs(), [send(Packet::PING)]);
    server.sleep(TIMEOUT / 2);
    assert_eq!(server.on(Packet::PONG), []);
    assert!(server.session.is_open());
}

#[test]
fn server_answers_pings_in_revision_3() {
    let mut server = Lone::server(Revision::V3, TransportKind::WebSocket);
    assert_eq!(server.advance(INTERVAL + TIMEOUT - ms(1)), []);
    assert_eq!(server.on(Packet::PING), [send(Packet::PONG)]);
    assert_eq!(server.advance(INTERVAL + TIMEOUT - ms(1)), []);
    assert_eq!(
        server.advance(ms(1)),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn heartbeat_in_the_wrong_direction_is_a_transport_error() {
    for (revision, packet) in [(Revision::V3, Packet::PONG), (Revision::V4, Packet::PING)] {
        let mut server = Lone::server(revision, TransportKind::WebSocket);
        assert_eq!(
            server.on(packet),
            [Output::Closed(CloseReason::TransportError)]
        );
    }
}

#[test]
fn clients_ignore_heartbeats_in_the_wrong_direction() {
    let mut client = Lone::client(Revision::V3, TransportKind::WebSocket);
    assert_eq!(client.on(Packet::PING), []);
    let mut client = Lone::client(Revision::V4, TransportKind::WebSocket);
    assert_eq!(client.on(Packet::PONG), []);
    assert!(client.session.is_open());
}

#[test]
fn client_expects_pings_in_revision_4() {
    let mut client = Lone::client(Revision::V4, TransportKind::WebSocket);
    client.advance(INTERVAL);
    assert_eq!(client.on(Packet::PING), [send(Packet::PONG)]);
    assert_eq!(client.advance(INTERVAL + TIMEOUT - ms(1)), []);
    assert_eq!(
        client.advance(ms(1)),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn client_pings_in_revision_3_and_any_packet_counts_as_an_answer() {
    let mut client = Lone::client(Revision::V3, TransportKind::WebSocket);
    assert_eq!(client.advance(INTERVAL), [send(Packet::PING)]);
    client.sleep(TIMEOUT - ms(1));
    assert!(client.receive(Lane::Current, Packet::text("a")).is_some());
    assert_eq!(
        client.advance(INTERVAL + TIMEOUT - ms(1)),
        [],
        "one ping is out already"
    );
    assert_eq!(
        client.advance(ms(1)),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn client_pings_again_an_interval_after_the_pong_in_revision_3() {
    let mut client = Lone::client(Revision::V3, TransportKind::WebSocket);
    assert_eq!(client.advance(INTERVAL + ms(50)), [send(Packet::PING)]);
    assert_eq!(client.on(Packet::PONG), []);
    assert_eq!(client.advance(INTERVAL - ms(1)), []);
    assert_eq!(client.advance(ms(1)), [send(Packet::PING)]);
    assert_eq!(
        client.advance(TIMEOUT),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn heartbeats_keep_both_ends_alive() {
    for revision in [Revision::V3, Revision::V4] {
        for transport in [
            TransportKind::Polling,
            TransportKind::WebSocket,
            TransportKind::Tcp,
        ] {
            let mut pair = Pair::new(revision, transport);
            pair.advance(20 * INTERVAL);
            assert!(pair.server.session.is_open(), "{revision:?} {transport}");
            assert!(pair.client.session.is_open(), "{revision:?} {transport}");
        }
    }
}

#[test]
fn both_ends_notice_a_dead_network() {
    for revision in [Revision::V3, Revision::V4] {
        for transport in [TransportKind::Polling, TransportKind::WebSocket] {
            let mut pair = Pair::new(revision, transport);
            pair.advance(INTERVAL / 2);
            pair.connected = false;
            pair.advance(2 * (INTERVAL + TIMEOUT));
            assert_eq!(pair.server.closed, Some(CloseReason::PingTimeout));
            assert_eq!(pair.client.closed, Some(CloseReason::PingTimeout));
        }
    }
}

#[test]
fn absurd_times_from_a_server_do_not_overflow() {
    let mut open = open_packet();
    open.ping_interval = std::time::Duration::MAX;
    open.ping_timeout = std::time::Duration::MAX;
    let now = std::time::Instant::now();
    for revision in [Revision::V3, Revision::V4] {
        let mut client = crate::Session::client(revision, TransportKind::WebSocket, &open, now);
        client.handle_packet(now, Lane::Current, Packet::PING);
        client.handle_packet(now, Lane::Current, Packet::PONG);
        assert!(client.poll_timeout() > Some(now));
    }
}

#[test]
fn a_peer_that_could_not_be_heard_gets_its_time_once_more() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.advance(INTERVAL);
    server.sleep(10 * TIMEOUT);
    server.session.excuse(server.now);
    assert_eq!(server.advance(TIMEOUT - ms(1)), []);
    assert_eq!(server.on(Packet::PONG), []);
    assert_eq!(server.advance(INTERVAL), [send(Packet::PING)]);

    let mut server = Lone::server(Revision::V3, TransportKind::WebSocket);
    server.sleep(10 * TIMEOUT);
    server.session.excuse(server.now);
    let closed = [Output::Closed(CloseReason::PingTimeout)];
    assert_eq!(server.advance(INTERVAL + TIMEOUT), closed);
}

#[test]
fn a_closed_session_is_not_excused() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.advance(INTERVAL + TIMEOUT);
    assert!(!server.session.has_output());
    server.session.excuse(server.now);
    assert_eq!(server.session.poll_timeout(), None);
    assert!(server.session.is_closed());
}

/// Longer than a time in milliseconds that has 32 bits.
const HUNDRED_DAYS: std::time::Duration = std::time::Duration::from_secs(100 * 86_400);

#[test]
fn a_session_without_a_heartbeat_waits_for_no_time() {
    let now = std::time::Instant::now();
    let plain = [Role::Server, Role::Client].map(|role| {
        let plain = crate::Session::plain(role, TransportKind::Tcp, now);
        assert_eq!(plain.role(), role);
        plain
    });
    let mut half_open = [Revision::V3, Revision::V4].map(|revision| {
        [
            Lone::server(revision, TransportKind::Tcp).session,
            Lone::client(revision, TransportKind::Tcp).session,
        ]
    });
    for session in half_open.as_flattened_mut() {
        session.end(now, false);
        assert_eq!(session.poll_output(), Some(Output::EndHalf));
    }
    for mut session in half_open.into_iter().flatten().chain(plain) {
        for now in [now, now + HUNDRED_DAYS] {
            session.handle_timeout(now);
            assert_eq!(session.poll_timeout(), None, "{session:?}");
            assert_eq!(session.heartbeat_due(), None, "{session:?}");
            let message = session.handle_packet(now, Lane::Current, Packet::text("a"));
            assert!(message.is_some(), "{session:?}");
            assert!(!session.has_output(), "{session:?}");
        }
    }
}

#[test]
fn bytes_that_move_give_a_late_peer_another_timeout() {
    for revision in [Revision::V3, Revision::V4] {
        for mut end in [
            Lone::server(revision, TransportKind::WebSocket),
            Lone::client(revision, TransportKind::WebSocket),
        ] {
            // Nothing comes whole, for ten times as long as the peer may be silent.
            let mut moved = end.now;
            for _ in 0..50 {
                end.sleep(TIMEOUT / 2);
                moved = end.now - ms(1);
                if end.session.poll_timeout() <= Some(end.now) {
                    end.session.extend(moved);
                    end.session.handle_timeout(end.now);
                }
                assert!(
                    end.session.is_open(),
                    "{revision:?} {:?}",
                    end.session.role()
                );
            }
            end.session.extend(moved);
            let outputs = end.advance(moved + TIMEOUT - ms(1) - end.now);
            assert!(end.session.is_open(), "{outputs:?}");
            let closed = [Output::Closed(CloseReason::PingTimeout)];
            assert_eq!(end.advance(TIMEOUT), closed, "{revision:?}");
        }
    }
}

#[test]
fn bytes_that_moved_before_the_heartbeat_give_no_more_time() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    let moved = server.now;
    server.advance(INTERVAL);
    assert!(!server.session.extend(moved));
    assert!(!server.session.extend(server.now), "the ping itself");
    let closed = [Output::Closed(CloseReason::PingTimeout)];
    assert_eq!(server.advance(TIMEOUT), closed);
    assert!(!server.session.extend(server.now), "it is closed");
}
