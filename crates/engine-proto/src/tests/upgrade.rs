//! From polling to a WebSocket.

use crate::{
    BadRequest, CloseReason, Lane, Output, Packet, PollVerdict, RequestError, Revision,
    TransportEnd, TransportKind, UpgradeRefused,
};

use super::util::{INTERVAL, Lone, Pair, TIMEOUT, ms, send, send_probe};

const UPGRADED: Output = Output::Upgraded {
    from: TransportKind::Polling,
    to: TransportKind::WebSocket,
};

fn upgrading() -> Lone {
    let mut server = Lone::server(Revision::V3, TransportKind::Polling);
    server.begin_upgrade();
    server
}

#[test]
fn both_ends_move_to_the_websocket() {
    for revision in [Revision::V3, Revision::V4] {
        let mut pair = Pair::new(revision, TransportKind::Polling);
        pair.upgrade();
        pair.run();
        assert_eq!(
            pair.transports(),
            [TransportKind::Polling; 2],
            "the held poll is in the way"
        );
        pair.advance(ms(100));
        assert_eq!(pair.transports(), [TransportKind::WebSocket; 2]);
        assert!(pair.server.upgraded && pair.client.upgraded);
        pair.advance(10 * INTERVAL);
        assert!(pair.server.session.is_open() && pair.client.session.is_open());
    }
}

#[test]
fn messages_keep_their_order_across_the_upgrade() {
    let mut pair = Pair::new(Revision::V4, TransportKind::Polling);
    pair.client.send(Packet::text("1"));
    pair.server.send(Packet::text("a"));
    pair.run();
    pair.upgrade();
    pair.client.send(Packet::text("2"));
    pair.run();
    pair.client.send(Packet::text("3"));
    pair.server.send(Packet::text("b"));
    pair.run();
    pair.client.send(Packet::text("4"));
    pair.server.send(Packet::text("c"));
    pair.advance(ms(200));
    assert_eq!(pair.transports(), [TransportKind::WebSocket; 2]);
    assert_eq!(pair.server.texts(), ["1", "2", "3", "4"]);
    assert_eq!(pair.client.texts(), ["a", "b", "c"]);
}

#[test]
fn probe_and_commit_may_come_back_to_back() {
    let mut server = upgrading();
    server.hold_poll_from_before();
    assert_eq!(
        server.on_probe(Packet::PROBE_PING),
        [send_probe(Packet::PROBE_PONG)]
    );
    assert_eq!(server.on_probe(Packet::Upgrade), [UPGRADED]);
    let mismatch = RequestError::BadRequest(BadRequest::TransportMismatch);
    assert_eq!(server.poll(), PollVerdict::Refuse(mismatch.clone()));
    assert_eq!(server.session.begin_post(server.now), Err(mismatch));
}

#[test]
fn a_held_poll_is_freed_every_100_ms_once_the_probe_is_on() {
    let mut server = Lone::server(Revision::V3, TransportKind::Polling);
    server.hold_poll();
    server.begin_upgrade();
    assert_eq!(server.advance(ms(150)), [], "the client did not probe yet");
    server.on_probe(Packet::PROBE_PING);
    assert_eq!(server.advance(ms(99)), []);
    assert_eq!(server.advance(ms(1)), [send(Packet::Noop)]);
    server.session.end_poll();
    assert_eq!(server.advance(ms(50)), []);
    server.hold_poll();
    assert_eq!(server.advance(ms(49)), []);
    assert_eq!(server.advance(ms(1)), [send(Packet::Noop)]);
}

#[test]
fn a_poll_that_arrives_before_the_probe_is_freed_at_once_but_not_in_a_tight_loop() {
    let mut server = upgrading();
    assert_eq!(server.poll(), PollVerdict::AnswerNoop);
    assert_eq!(server.poll(), PollVerdict::Hold);
    assert_eq!(server.advance(ms(99)), []);
    assert_eq!(server.advance(ms(1)), [send(Packet::Noop)]);
}

#[test]
fn another_first_packet_closes_the_probe_only() {
    for packet in [
        Packet::text("x"),
        Packet::PING,
        Packet::Upgrade,
        Packet::Noop,
        Packet::Close,
    ] {
        let mut server = upgrading();
        assert_eq!(server.on_probe(packet), [Output::CloseProbe]);
        assert!(server.session.is_open());
        assert_eq!(server.session.upgrading(), None);
        server.begin_upgrade();
    }
}

#[test]
fn an_upgrade_that_takes_too_long_leaves_the_session_on_polling() {
    for probe in [false, true] {
        let mut server = Lone::server(Revision::V3, TransportKind::Polling);
        server.begin_upgrade();
        if probe {
            server.on_probe(Packet::PROBE_PING);
        }
        for _ in 0..99 {
            assert_eq!(server.advance(ms(100)), []);
            server.on(Packet::PING);
        }
        assert_eq!(server.advance(ms(100)), [Output::CloseProbe]);
        assert_eq!(server.poll(), PollVerdict::Hold);
    }
}

#[test]
fn the_end_of_the_probed_transport_leaves_the_session_on_polling() {
    for end in [TransportEnd::Eof, TransportEnd::Error, TransportEnd::TooBig] {
        let mut server = upgrading();
        assert_eq!(server.ends(Lane::Probe, end), [Output::CloseProbe]);
        assert!(server.session.is_open());
    }
    let mut server = upgrading();
    server.session.handle_decode_error(server.now, Lane::Probe);
    assert_eq!(server.outputs(), [Output::CloseProbe]);
}

#[test]
fn one_upgrade_at_a_time_and_only_from_polling() {
    let mut server = upgrading();
    let now = server.now;
    let begin = |server: &mut Lone, kind| server.session.begin_upgrade(now, kind).unwrap_err();
    let refused = begin(&mut server, TransportKind::WebSocket);
    assert_eq!(refused, UpgradeRefused::AlreadyUpgrading);
    server.on_probe(Packet::PROBE_PING);
    server.on_probe(Packet::Upgrade);
    let refused = begin(&mut server, TransportKind::WebSocket);
    assert_eq!(refused, UpgradeRefused::NotOnPolling);
    assert_eq!(server.outputs(), []);
    let mut server = Lone::server(Revision::V4, TransportKind::Polling);
    let refused = begin(&mut server, TransportKind::Tcp);
    assert_eq!(refused, UpgradeRefused::NotATarget(TransportKind::Tcp));
    server.session.abort(CloseReason::ForcedClose);
    assert_eq!(
        begin(&mut server, TransportKind::WebSocket),
        UpgradeRefused::Closed
    );
}

#[test]
fn a_ping_that_is_out_keeps_its_deadline_across_the_upgrade() {
    let mut server = Lone::server(Revision::V4, TransportKind::Polling);
    assert_eq!(server.advance(INTERVAL), [send(Packet::PING)]);
    server.begin_upgrade();
    server.on_probe(Packet::PROBE_PING);
    server.on_probe(Packet::Upgrade);
    assert_eq!(
        server.advance(TIMEOUT),
        [Output::Closed(CloseReason::PingTimeout)]
    );
}

#[test]
fn the_deadline_for_pings_goes_on_across_the_upgrade_in_revision_3() {
    let mut server = upgrading();
    server.on_probe(Packet::PROBE_PING);
    server.on_probe(Packet::Upgrade);
    let outputs = server.advance(INTERVAL + TIMEOUT);
    assert_eq!(outputs, [Output::Closed(CloseReason::PingTimeout)]);
}

#[test]
fn what_is_left_of_polling_has_no_say_after_the_upgrade() {
    let mut server = upgrading();
    server.session.begin_post(server.now).unwrap();
    server.hold_poll_from_before();
    server.on_probe(Packet::PROBE_PING);
    server.on_probe(Packet::Upgrade);
    assert_eq!(server.ends(Lane::Current, TransportEnd::PollDropped), []);
    assert_eq!(server.ends(Lane::Current, TransportEnd::PostDropped), []);
    server.session.end_poll();
    server.session.end_post();
    assert!(server.session.is_open());
}

#[test]
fn client_commits_when_get_and_post_have_ended() {
    let mut client = Lone::client(Revision::V4, TransportKind::Polling);
    client.hold_poll();
    client.session.begin_post(client.now).unwrap();
    client.begin_upgrade();
    assert_eq!(client.outputs(), [send_probe(Packet::PROBE_PING)]);
    assert_eq!(client.on_probe(Packet::PROBE_PONG), []);
    client.session.end_post();
    assert!(
        !client.session.may_post(),
        "flushing waits for the new transport"
    );
    assert_eq!(client.outputs(), []);
    assert!(client.session.awaits_poll_to_move());
    assert!(
        client
            .receive(Lane::Current, Packet::text("last"))
            .is_some()
    );
    client.session.end_poll();
    assert!(!client.session.awaits_poll_to_move());
    assert_eq!(client.outputs(), [send_probe(Packet::Upgrade), UPGRADED]);
}

#[test]
fn client_stays_on_polling_when_the_probe_fails() {
    let mut client = Lone::client(Revision::V4, TransportKind::Polling);
    client.begin_upgrade();
    client.outputs();
    assert_eq!(client.on_probe(Packet::text("x")), [Output::CloseProbe]);
    client.hold_poll();
    client.begin_upgrade();
    client.outputs();
    client.on_probe(Packet::PROBE_PONG);
    assert_eq!(
        client.ends(Lane::Probe, TransportEnd::Eof),
        [Output::CloseProbe]
    );
    client.session.end_poll();
    assert!(client.session.may_poll());
}

#[test]
fn an_upgrade_that_breaks_leaves_both_ends_talking() {
    let mut pair = Pair::new(Revision::V4, TransportKind::Polling);
    pair.upgrade();
    pair.server
        .session
        .handle_transport_closed(pair.now, Lane::Probe, TransportEnd::Error);
    pair.run();
    pair.client.send(Packet::text("still here"));
    pair.advance(2 * INTERVAL);
    assert_eq!(pair.transports(), [TransportKind::Polling; 2]);
    assert_eq!(pair.server.texts(), ["still here"]);
}

impl Lone {
    /// A GET that is held whatever the upgrade says.
    fn hold_poll_from_before(&mut self) {
        if self.poll() == PollVerdict::AnswerNoop {
            self.hold_poll();
        }
    }
}
