//! Streams of which one direction comes to its end before the other.

use crate::{CloseReason, Lane, Message, Output, Packet, Revision, TransportKind};

use super::util::{INTERVAL, Lone, TIMEOUT, ms};

const CLOSED: Output = Output::Closed(CloseReason::TransportClose);

/// Both ends, in both revisions, on a stream that has halves.
fn ends() -> impl Iterator<Item = Lone> {
    [Revision::V3, Revision::V4]
        .into_iter()
        .flat_map(|revision| {
            [
                Lone::server(revision, TransportKind::Tcp),
                Lone::client(revision, TransportKind::Unix),
            ]
        })
}

#[test]
fn the_peer_goes_on_when_this_half_has_ended() {
    for mut end in ends() {
        end.session.end(end.now, true);
        assert_eq!(end.outputs(), [Output::EndHalf]);
        end.session.end(end.now, true);
        assert_eq!(end.advance((INTERVAL + TIMEOUT) * 2), [], "no heartbeat");
        let message = Packet::text("still here");
        let message = end.session.handle_packet(end.now, Lane::Current, message);
        assert_eq!(message, Some(Message::Text("still here".into())));
        end.session.handle_peer_end(end.now, true);
        assert_eq!(end.outputs(), [CLOSED], "both halves are over");
    }
}

#[test]
fn this_side_goes_on_when_the_peers_half_has_ended() {
    for mut end in ends() {
        end.session.handle_peer_end(end.now, true);
        assert!(end.session.is_open());
        assert_eq!(end.advance((INTERVAL + TIMEOUT) * 2), [], "no heartbeat");
        end.session.end(end.now, true);
        assert_eq!(end.outputs(), [CLOSED], "both halves are over");
        assert!(end.session.is_graceful(), "the peer may read still");
    }
}

#[test]
fn what_waits_is_kept_for_a_peer_that_has_ended_its_half() {
    for mut end in ends() {
        end.session.handle_peer_end(end.now, false);
        assert_eq!(end.outputs(), [CLOSED]);
        assert!(end.session.is_graceful());
    }
}

#[test]
fn half_a_stream_is_closed_as_a_whole_one() {
    for mut end in ends() {
        end.session.end(end.now, false);
        end.session.close(end.now, false);
        let closed = Output::Closed(CloseReason::ForcedClose);
        assert_eq!(end.outputs(), [Output::EndHalf, closed]);
        end.session.end(end.now, false);
        end.session.handle_peer_end(end.now, true);
        assert_eq!(end.outputs(), [], "it is over");
    }
}

#[test]
fn heartbeats_that_cross_the_end_of_a_half_are_no_mistake_and_get_no_answer() {
    for mut end in ends() {
        end.advance(INTERVAL + ms(1));
        end.session.end(end.now, false);
        end.outputs();
        // Whichever of the two this peer sends was on its way already.
        let beat = match (end.session.role(), end.session.revision()) {
            (crate::Role::Server, Revision::V4) | (crate::Role::Client, Revision::V3) => {
                Packet::PONG
            }
            _ => Packet::PING,
        };
        end.session.handle_packet(end.now, Lane::Current, beat);
        assert_eq!(end.outputs(), []);
        assert!(end.session.is_open());
    }
}

#[test]
fn where_there_are_no_halves_an_end_is_a_close() {
    let mut server = Lone::server(Revision::V4, TransportKind::WebSocket);
    server.session.end(server.now, false);
    let closed = Output::Closed(CloseReason::ForcedClose);
    assert_eq!(server.outputs(), [closed]);
}
