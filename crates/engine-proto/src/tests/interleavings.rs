//! Arbitrary interleavings of what two applications and a network do.

use std::time::Duration;

use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::{collection, proptest, sample};

use crate::{Lane, Packet, Revision, TransportEnd, TransportKind};

use super::util::{Pair, ms};

#[derive(Debug, Clone, Copy)]
enum Action {
    ClientSends,
    ServerSends,
    /// Lets everything arrive.
    Run,
    Advance(Duration),
    Upgrade,
    /// The probed transport fails, as the server sees it.
    BreakProbe,
    /// Nothing arrives for a while.
    Outage(Duration),
    ClientCloses,
    ServerCloses,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => Just(Action::ClientSends),
        6 => Just(Action::ServerSends),
        4 => Just(Action::Run),
        4 => (0..150u64).prop_map(|time| Action::Advance(ms(time))),
        2 => Just(Action::Upgrade),
        1 => Just(Action::BreakProbe),
        1 => (0..150u64).prop_map(|time| Action::Outage(ms(time))),
    ]
}

fn start() -> impl Strategy<Value = (Revision, TransportKind)> {
    let transports = [
        TransportKind::Polling,
        TransportKind::Polling,
        TransportKind::WebSocket,
    ];
    (
        sample::select(vec![Revision::V3, Revision::V4]),
        sample::select(transports.to_vec()),
    )
}

/// A pair, and what its applications sent.
struct Play {
    pair: Pair,
    from_client: Vec<String>,
    from_server: Vec<String>,
    upgraded: bool,
}

impl Play {
    fn new((revision, transport): (Revision, TransportKind)) -> Self {
        let pair = Pair::new(revision, transport);
        Self {
            pair,
            from_client: Vec::new(),
            from_server: Vec::new(),
            upgraded: false,
        }
    }

    fn act(&mut self, action: Action) {
        let pair = &mut self.pair;
        match action {
            Action::ClientSends if pair.client.session.is_open() => {
                let text = format!("c{}", self.from_client.len());
                pair.client.send(Packet::text(text.clone()));
                self.from_client.push(text);
            }
            Action::ServerSends if pair.server.session.is_open() => {
                let text = format!("s{}", self.from_server.len());
                pair.server.send(Packet::text(text.clone()));
                self.from_server.push(text);
            }
            Action::ClientSends | Action::ServerSends => {}
            Action::Run => pair.run(),
            Action::Advance(time) => pair.advance(time),
            Action::Upgrade => {
                let polling = pair.transports() == [TransportKind::Polling; 2];
                let open = pair.client.session.is_open() && pair.server.session.is_open();
                if polling && open && !std::mem::replace(&mut self.upgraded, true) {
                    pair.upgrade();
                }
            }
            Action::BreakProbe => {
                // A failure that crosses the client's commit ends the session, and nothing can be done about it: the
                // client has left polling by then.
                pair.run();
                let end = TransportEnd::Error;
                pair.server
                    .session
                    .handle_transport_closed(pair.now, Lane::Probe, end);
                pair.run();
            }
            Action::Outage(time) => {
                pair.connected = false;
                pair.advance(time);
                pair.connected = true;
                // Otherwise several of these would add up to one that is too long for the heartbeat.
                pair.run();
            }
            Action::ClientCloses => pair.client.close(pair.now),
            Action::ServerCloses => pair.server.close(pair.now),
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_doubled_or_reordered(
        start in start(),
        actions in collection::vec(action(), 0..50),
    ) {
        let mut play = Play::new(start);
        for action in actions {
            play.act(action);
        }
        play.pair.advance(ms(1000));
        assert!(play.pair.client.session.is_open() && play.pair.server.session.is_open());
        assert_eq!(play.pair.server.texts(), play.from_client);
        assert_eq!(play.pair.client.texts(), play.from_server);
        let [server, client] = play.pair.transports();
        assert_eq!(server, client);
    }

    #[test]
    fn a_close_ends_both_ends_and_delivers_what_the_closer_sent(
        start in start(),
        actions in collection::vec(action(), 0..30),
        by_client: bool,
    ) {
        let mut play = Play::new(start);
        for action in actions {
            play.act(action);
        }
        play.act(if by_client { Action::ClientCloses } else { Action::ServerCloses });
        play.pair.advance(ms(60_000));
        let Play { pair, from_client, from_server, .. } = play;
        assert!(pair.client.closed.is_some() && pair.server.closed.is_some());
        if by_client {
            assert_eq!(pair.server.texts(), from_client);
        } else {
            assert_eq!(pair.client.texts(), from_server);
        }
        assert!(from_client.iter().zip(pair.server.texts()).all(|(sent, came)| sent == came));
        assert!(from_server.iter().zip(pair.client.texts()).all(|(sent, came)| sent == came));
    }
}
