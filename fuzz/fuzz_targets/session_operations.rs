//! Arbitrary operations on an Engine.IO session, as a driver and its peer could bring them about.
//!
//! The first byte of the input chooses the session, then each pair of bytes is an operation and what it needs.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use sockeye_engine_proto::payload::PayloadError;
use sockeye_engine_proto::{
    CloseReason, Lane, OpenPacket, Output, Packet, Revision, Session, SessionConfig, TransportEnd,
    TransportKind,
};
use sockeye_fuzz::bytes::choice;

const TRANSPORTS: [TransportKind; 5] = [
    TransportKind::Polling,
    TransportKind::WebSocket,
    TransportKind::WebTransport,
    TransportKind::Tcp,
    TransportKind::Unix,
];
const ENDS: [TransportEnd; 5] = [
    TransportEnd::Eof,
    TransportEnd::Error,
    TransportEnd::TooBig,
    TransportEnd::PollDropped,
    TransportEnd::PostDropped,
];

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let mut now = Instant::now();
    let mut session = session(choice(&mut data), now);
    let mut watch = Watch::default();
    for &[operation, detail] in data.as_chunks::<2>().0 {
        apply(&mut session, operation, detail, &mut now, &mut watch);
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
    assert!(watch.closed);
});

fn session(choice: u8, now: Instant) -> Session {
    let revision = if choice & 1 == 0 {
        Revision::V4
    } else {
        Revision::V3
    };
    let transport = TRANSPORTS[usize::from(choice >> 2) % TRANSPORTS.len()];
    let (interval, timeout) = (Duration::from_millis(300), Duration::from_millis(200));
    if choice & 2 == 0 {
        let config = SessionConfig::default()
            .ping_interval(interval)
            .ping_timeout(timeout)
            .upgrade_timeout(Duration::from_secs(1))
            .close_timeout(Duration::from_secs(2));
        return Session::server(&config, revision, transport, now);
    }
    let open = OpenPacket {
        compression: None,
        sid: "sid".to_owned(),
        upgrades: vec![TransportKind::WebSocket],
        ping_interval: interval,
        ping_timeout: timeout,
        max_payload: None,
    };
    Session::client(revision, transport, &open, now)
}

fn apply(session: &mut Session, operation: u8, detail: u8, now: &mut Instant, watch: &mut Watch) {
    let lane = if detail & 1 == 0 {
        Lane::Current
    } else {
        Lane::Probe
    };
    let choice = usize::from(detail >> 1);
    match operation % 18 {
        0..=3 => {
            let message = session.handle_packet(*now, lane, packet(choice));
            assert!(message.is_none() || lane == Lane::Current);
        }
        4 => session.handle_decode_error(*now, lane),
        5 => session.handle_transport_closed(*now, lane, ENDS[choice % ENDS.len()]),
        6 => *now += Duration::from_millis(u64::from(detail) * 2),
        7 => {
            session.handle_timeout(*now);
            // A driver that sleeps until the next deadline must get some sleep.
            assert!(session.poll_timeout().is_none_or(|at| at > *now));
        }
        8 => drop(session.begin_poll(*now)),
        9 => session.end_poll(),
        10 => drop(session.begin_post(*now)),
        11 => session.end_post(),
        12 => {
            let kind = TRANSPORTS[choice % TRANSPORTS.len()];
            watch.probing |= session.begin_upgrade(*now, kind).is_ok();
        }
        13 => session.close(*now, detail & 1 == 1),
        14 if detail < 64 => session.abort(CloseReason::ForcedClose),
        14 => session.excuse(*now),
        15 => session.end(*now, detail & 1 == 1),
        16 => {
            session.handle_peer_end(*now, detail & 1 == 1);
            watch.half_open |= session.is_open();
        }
        _ => {
            let error = match choice % 3 {
                0 => PayloadError::TooLarge { len: 2, max: 1 },
                1 => PayloadError::BinaryRefused,
                _ => PayloadError::Length,
            };
            let _ = session.handle_payload_error(*now, error);
        }
    }
}

fn packet(choice: usize) -> Packet<'static> {
    match choice % 11 {
        0 => Packet::Open("{}".into()),
        1 => Packet::Close,
        2 => Packet::PING,
        3 => Packet::PROBE_PING,
        4 => Packet::PONG,
        5 => Packet::PROBE_PONG,
        6 => Packet::text("é😀"),
        7 => Packet::binary(&[0, 0xff][..]),
        8 => Packet::Upgrade,
        9 => Packet::Noop,
        _ => Packet::Ping("else".into()),
    }
}

/// What must hold after every operation.
#[derive(Default)]
struct Watch {
    closed: bool,
    upgraded: bool,
    probing: bool,
    /// One direction has ended, and there is nothing to wait for.
    half_open: bool,
}

impl Watch {
    fn drain(&mut self, session: &mut Session) {
        while let Some(output) = session.poll_output() {
            assert!(!self.closed, "{output:?} after closed");
            match output {
                Output::Send { lane, packet } => {
                    let message = matches!(packet, Packet::Open(_) | Packet::Message(_));
                    assert!(!message, "{packet:?} is not the session's to send");
                    assert!(lane == Lane::Current || self.probing, "no probe to send on");
                }
                Output::Upgraded { to, .. } => {
                    assert!(std::mem::take(&mut self.probing));
                    assert!(
                        !std::mem::replace(&mut self.upgraded, true),
                        "upgraded twice"
                    );
                    assert_eq!(session.transport(), to);
                }
                Output::EndHalf => {
                    assert!(!std::mem::replace(&mut self.half_open, true), "ended twice");
                    assert!(session.transport().is_bare_stream());
                }
                Output::CloseProbe => assert!(std::mem::take(&mut self.probing)),
                Output::Closed(reason) => {
                    assert!(!self.probing, "the probe is closed first");
                    assert_eq!(session.close_reason(), Some(reason));
                    self.closed = true;
                }
            }
        }
        assert_eq!(session.upgrading().is_some(), self.probing);
        assert_eq!(session.is_closed(), self.closed);
        assert_eq!(
            session.poll_timeout().is_none(),
            self.closed || self.half_open
        );
    }
}
