//! Arbitrary sequences of operations on one session.

use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, proptest, sample};

use crate::{
    CloseReason, Lane, Message, Output, Packet, Revision, Session, TransportEnd, TransportKind,
};

use super::util::{config, open_packet};

#[derive(Debug, Clone)]
enum Operation {
    Packet(Lane, Packet<'static>),
    DecodeError(Lane),
    TransportClosed(Lane, TransportEnd),
    Sleep(Duration),
    Timeout,
    BeginPoll,
    EndPoll,
    BeginPost,
    EndPost,
    BeginUpgrade(TransportKind),
    Close(bool),
    End(bool),
    PeerEnd(bool),
    Abort,
}

fn operation() -> impl Strategy<Value = Operation> {
    let lane = || prop_oneof![Just(Lane::Current), Just(Lane::Probe)];
    let packet = sample::select(vec![
        Packet::Open("{}".into()),
        Packet::Close,
        Packet::PING,
        Packet::PROBE_PING,
        Packet::PONG,
        Packet::PROBE_PONG,
        Packet::text("x"),
        Packet::binary(vec![1]),
        Packet::Upgrade,
        Packet::Noop,
    ]);
    let end = sample::select(vec![
        TransportEnd::Eof,
        TransportEnd::Error,
        TransportEnd::TooBig,
        TransportEnd::PollDropped,
        TransportEnd::PostDropped,
    ]);
    prop_oneof![
        10 => (lane(), packet).prop_map(|(lane, packet)| Operation::Packet(lane, packet)),
        1 => lane().prop_map(Operation::DecodeError),
        1 => (lane(), end).prop_map(|(lane, end)| Operation::TransportClosed(lane, end)),
        4 => (0..400u64).prop_map(|time| Operation::Sleep(Duration::from_millis(time))),
        4 => Just(Operation::Timeout),
        4 => Just(Operation::BeginPoll),
        4 => Just(Operation::EndPoll),
        2 => Just(Operation::BeginPost),
        2 => Just(Operation::EndPost),
        4 => transport().prop_map(Operation::BeginUpgrade),
        1 => any::<bool>().prop_map(Operation::Close),
        1 => any::<bool>().prop_map(Operation::End),
        1 => any::<bool>().prop_map(Operation::PeerEnd),
        1 => Just(Operation::Abort),
    ]
}

fn transport() -> impl Strategy<Value = TransportKind> {
    sample::select(vec![
        TransportKind::Polling,
        TransportKind::WebSocket,
        TransportKind::WebTransport,
        TransportKind::Tcp,
    ])
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![Just(Revision::V3), Just(Revision::V4)]
}

/// What must hold after every operation, whatever it was.
#[derive(Default)]
struct Watch {
    closed: usize,
    upgrades: usize,
    probing: bool,
    /// One direction has ended, and there is nothing to wait for.
    half_open: bool,
}

impl Watch {
    fn drain(&mut self, session: &mut Session) {
        while let Some(output) = session.poll_output() {
            assert_eq!(self.closed, 0, "nothing comes after closed");
            match output {
                Output::Send { lane, packet } => {
                    assert!(
                        packet.control_text().is_some(),
                        "{packet:?} is no control packet"
                    );
                    assert!(lane == Lane::Current || self.probing, "no probe to send on");
                }
                Output::Upgraded { to, .. } => {
                    assert!(std::mem::take(&mut self.probing));
                    assert!(to.is_upgrade_target());
                    self.upgrades += 1;
                }
                Output::EndHalf => {
                    assert!(!std::mem::replace(&mut self.half_open, true), "ended twice");
                    assert!(session.transport().is_bare_stream());
                }
                Output::CloseProbe => assert!(std::mem::take(&mut self.probing)),
                Output::Closed(reason) => {
                    assert_eq!(session.close_reason(), Some(reason));
                    assert!(!self.probing, "the probe is closed first");
                    self.closed += 1;
                }
            }
        }
        assert_eq!(session.upgrading().is_some(), self.probing);
        assert_eq!(session.is_closed(), self.closed == 1);
        assert_eq!(
            session.poll_timeout().is_none(),
            session.is_closed() || self.half_open
        );
        assert!(self.upgrades <= 1);
    }
}

fn apply(session: &mut Session, operation: Operation, now: &mut Instant, watch: &mut Watch) {
    match operation {
        Operation::Packet(lane, packet) => {
            let was_open = session.is_open();
            if let Some(message) = session.handle_packet(*now, lane, packet) {
                assert_eq!(lane, Lane::Current);
                assert!(was_open || session.role() == crate::Role::Client);
                assert!(matches!(message, Message::Text(_) | Message::Binary(_)));
            }
        }
        Operation::DecodeError(lane) => session.handle_decode_error(*now, lane),
        Operation::TransportClosed(lane, end) => session.handle_transport_closed(*now, lane, end),
        Operation::Sleep(time) => *now += time,
        Operation::Timeout => {
            session.handle_timeout(*now);
            // A driver that sleeps until the next timeout must get some sleep.
            assert!(session.poll_timeout().is_none_or(|at| at > *now));
        }
        Operation::BeginPoll => drop(session.begin_poll(*now)),
        Operation::EndPoll => session.end_poll(),
        Operation::BeginPost => drop(session.begin_post(*now)),
        Operation::EndPost => session.end_post(),
        Operation::BeginUpgrade(kind) => {
            watch.probing |= session.begin_upgrade(*now, kind).is_ok();
        }
        Operation::Close(has_unsent) => session.close(*now, has_unsent),
        Operation::End(has_unsent) => session.end(*now, has_unsent),
        Operation::PeerEnd(goes_on) => {
            session.handle_peer_end(*now, goes_on);
            watch.half_open |= session.is_open();
        }
        Operation::Abort => session.abort(CloseReason::ForcedClose),
    }
}

proptest! {
    #[test]
    fn any_operations_end_in_exactly_one_closed(
        is_server: bool,
        revision in revision(),
        transport in transport(),
        operations in collection::vec(operation(), 0..60),
    ) {
        let mut now = Instant::now();
        let mut session = if is_server {
            Session::server(&config(), revision, transport, now)
        } else {
            Session::client(revision, transport, &open_packet(), now)
        };
        let mut watch = Watch::default();
        for operation in operations {
            apply(&mut session, operation, &mut now, &mut watch);
            watch.drain(&mut session);
        }
        if watch.half_open {
            // The peer may take its time, and there is no heartbeat.
            session.handle_peer_end(now, false);
            watch.drain(&mut session);
        }
        // Left alone, every other session ends by itself.
        while let Some(at) = session.poll_timeout() {
            now = now.max(at);
            session.handle_timeout(now);
            watch.drain(&mut session);
        }
        assert_eq!(watch.closed, 1);
    }
}
