//! A server and a client joined in memory, and a lone session for scripts about one end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::payload::{self, Encoder, PayloadDialect};
use crate::{
    CloseReason, Lane, Limits, Message, OpenPacket, Output, Packet, PollVerdict, Revision, Session,
    SessionConfig, TransportEnd, TransportKind,
};

pub(super) const INTERVAL: Duration = Duration::from_millis(300);
pub(super) const TIMEOUT: Duration = Duration::from_millis(200);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn config() -> SessionConfig {
    SessionConfig::default()
        .ping_interval(INTERVAL)
        .ping_timeout(TIMEOUT)
}

pub(super) fn open_packet() -> OpenPacket {
    OpenPacket {
        sid: "sid".to_owned(),
        upgrades: vec![TransportKind::WebSocket],
        ping_interval: INTERVAL,
        ping_timeout: TIMEOUT,
        compression: None,
        max_payload: None,
    }
}

pub(super) fn send(packet: Packet<'static>) -> Output {
    Output::Send {
        lane: Lane::Current,
        packet,
    }
}

pub(super) fn send_probe(packet: Packet<'static>) -> Output {
    Output::Send {
        lane: Lane::Probe,
        packet,
    }
}

/// One session whose peer and driver the test plays itself.
pub(super) struct Lone {
    pub(super) session: Session,
    pub(super) now: Instant,
}

impl Lone {
    pub(super) fn server(revision: Revision, transport: TransportKind) -> Self {
        let now = Instant::now();
        Self {
            session: Session::server(&config(), revision, transport, now),
            now,
        }
    }

    pub(super) fn client(revision: Revision, transport: TransportKind) -> Self {
        let now = Instant::now();
        Self {
            session: Session::client(revision, transport, &open_packet(), now),
            now,
        }
    }

    /// Moves the clock without telling the session.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// Moves the clock, telling the session at every time it asked for.
    pub(super) fn advance(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut outputs = self.outputs();
        while let Some(at) = self.session.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            outputs.extend(self.outputs());
        }
        self.now = end;
        outputs
    }

    pub(super) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    pub(super) fn receive<'a>(&mut self, lane: Lane, packet: Packet<'a>) -> Option<Message<'a>> {
        self.session.handle_packet(self.now, lane, packet)
    }

    /// Receives on the current transport and returns what follows.
    pub(super) fn on(&mut self, packet: Packet<'_>) -> Vec<Output> {
        assert_eq!(self.receive(Lane::Current, packet), None);
        self.outputs()
    }

    /// Receives on the probed transport and returns what follows.
    pub(super) fn on_probe(&mut self, packet: Packet<'_>) -> Vec<Output> {
        assert_eq!(self.receive(Lane::Probe, packet), None);
        self.outputs()
    }

    pub(super) fn ends(&mut self, lane: Lane, end: TransportEnd) -> Vec<Output> {
        self.session.handle_transport_closed(self.now, lane, end);
        self.outputs()
    }

    pub(super) fn poll(&mut self) -> PollVerdict {
        self.session.begin_poll(self.now)
    }

    pub(super) fn hold_poll(&mut self) {
        assert_eq!(self.poll(), PollVerdict::Hold);
    }

    pub(super) fn begin_upgrade(&mut self) {
        self.session
            .begin_upgrade(self.now, TransportKind::WebSocket)
            .unwrap();
    }

    pub(super) fn close(&mut self, has_unsent: bool) -> Vec<Output> {
        self.session.close(self.now, has_unsent);
        self.outputs()
    }
}

/// Both ends of one session and the simplest possible drivers around them. Everything arrives at once.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) server: End,
    pub(super) client: End,
    /// While false nothing arrives anywhere.
    pub(super) connected: bool,
    revision: Revision,
    /// The GET that the server holds.
    held: bool,
    /// The stream: the only transport, or the one that an upgrade probes.
    stream: bool,
}

/// One end: a session, its driver's queues, and what came out.
pub(super) struct End {
    pub(super) session: Session,
    pub(super) received: Vec<Message<'static>>,
    pub(super) upgraded: bool,
    pub(super) closed: Option<CloseReason>,
    outbox: VecDeque<Packet<'static>>,
    stream_out: VecDeque<Packet<'static>>,
    stream_closed: bool,
}

impl Pair {
    pub(super) fn new(revision: Revision, transport: TransportKind) -> Self {
        let now = Instant::now();
        let server = Session::server(&config(), revision, transport, now);
        let client = Session::client(revision, transport, &open_packet(), now);
        let mut pair = Self {
            now,
            server: End::new(server),
            client: End::new(client),
            connected: true,
            revision,
            held: false,
            stream: transport != TransportKind::Polling,
        };
        pair.run();
        pair
    }

    /// Lets everything happen that can happen without time passing.
    pub(super) fn run(&mut self) {
        loop {
            let server_moved = self.server.carry_out();
            let client_moved = self.client.carry_out();
            let delivered = self.connected && self.deliver();
            if !(server_moved || client_moved || delivered) {
                return;
            }
        }
    }

    pub(super) fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.run();
        loop {
            let timeouts = [&self.server, &self.client].map(|end| end.session.poll_timeout());
            let Some(at) = timeouts.into_iter().flatten().min().filter(|&at| at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.server.session.handle_timeout(self.now);
            self.client.session.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    /// The client opens a WebSocket for its polling session.
    pub(super) fn upgrade(&mut self) {
        let kind = TransportKind::WebSocket;
        self.server.session.begin_upgrade(self.now, kind).unwrap();
        self.client.session.begin_upgrade(self.now, kind).unwrap();
        self.stream = true;
    }

    pub(super) fn transports(&self) -> [TransportKind; 2] {
        [
            self.server.session.transport(),
            self.client.session.transport(),
        ]
    }

    fn deliver(&mut self) -> bool {
        let mut moved = false;
        if self.client.session.transport() == TransportKind::Polling {
            moved |= self.poll() | self.answer() | self.post();
        }
        if self.stream {
            moved |= self.server.deliver_stream(&mut self.client, self.now);
            moved |= self.client.deliver_stream(&mut self.server, self.now);
        }
        moved
    }

    fn poll(&mut self) -> bool {
        if !self.client.session.may_poll() {
            return false;
        }
        assert_eq!(self.client.session.begin_poll(self.now), PollVerdict::Hold);
        match self.server.session.begin_poll(self.now) {
            PollVerdict::Hold => self.held = true,
            PollVerdict::AnswerNoop => {
                self.server.outbox.push_back(Packet::Noop);
                self.answer_with_outbox();
            }
            PollVerdict::Refuse(_) => {
                let end = TransportEnd::Error;
                self.client
                    .session
                    .handle_transport_closed(self.now, Lane::Current, end);
            }
        }
        true
    }

    fn answer(&mut self) -> bool {
        if !self.held || self.server.outbox.is_empty() {
            return false;
        }
        self.held = false;
        self.answer_with_outbox();
        self.server.session.end_poll();
        true
    }

    fn answer_with_outbox(&mut self) {
        Self::carry(self.revision, &mut self.server, &mut self.client, self.now);
        self.client.session.end_poll();
    }

    fn post(&mut self) -> bool {
        if !self.client.session.may_post() && !self.client.session.is_closed()
            || self.client.outbox.is_empty()
        {
            return false;
        }
        if !self.client.session.is_closed() {
            self.client.session.begin_post(self.now).unwrap();
        }
        if self.server.session.begin_post(self.now).is_ok() {
            Self::carry(self.revision, &mut self.client, &mut self.server, self.now);
            self.server.session.end_post();
        } else {
            self.client.outbox.clear();
        }
        self.client.session.end_post();
        true
    }

    /// Moves the outbox of one end to the other as a payload.
    fn carry(revision: Revision, from: &mut End, to: &mut End, now: Instant) {
        let mut dialect = PayloadDialect::new(revision);
        let mut encoder = Encoder::new(&dialect, usize::MAX);
        for packet in from.outbox.drain(..) {
            assert!(encoder.push(&packet));
        }
        let encoded = encoder.finish();
        for packet in payload::decode(
            encoded.content,
            &encoded.body,
            &Limits::default(),
            &mut dialect,
        ) {
            to.receive(now, Lane::Current, packet.unwrap());
        }
    }
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            received: Vec::new(),
            upgraded: false,
            closed: None,
            outbox: VecDeque::new(),
            stream_out: VecDeque::new(),
            stream_closed: false,
        }
    }

    /// What the application sends.
    pub(super) fn send(&mut self, packet: Packet<'static>) {
        assert!(self.session.is_open());
        self.outbox.push_back(packet);
    }

    pub(super) fn close(&mut self, now: Instant) {
        self.session.close(now, !self.outbox.is_empty());
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.received
            .iter()
            .map(|message| match message {
                Message::Text(text) => &**text,
                Message::Binary(_) => "(binary)",
            })
            .collect()
    }

    fn receive(&mut self, now: Instant, lane: Lane, packet: Packet<'_>) {
        if let Some(message) = self.session.handle_packet(now, lane, packet) {
            self.received.push(message.into_owned());
        }
    }

    /// Carries out what the session says, and moves the outbox onto the stream once that is the current transport.
    fn carry_out(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.session.poll_output() {
            moved = true;
            assert_eq!(self.closed, None, "nothing comes after closed");
            match output {
                Output::Send {
                    lane: Lane::Current,
                    packet,
                } => self.outbox.push_back(packet),
                Output::Send {
                    lane: Lane::Probe,
                    packet,
                } => self.stream_out.push_back(packet),
                Output::Upgraded { .. } => self.upgraded = true,
                Output::EndHalf => panic!("nobody ends a half"),
                Output::CloseProbe => self.stream_closed = true,
                Output::Closed(reason) => self.closed = Some(reason),
            }
        }
        if self.session.transport() != TransportKind::Polling {
            moved |= !self.outbox.is_empty();
            self.stream_out.append(&mut self.outbox);
            if self.closed.is_some() && !self.stream_closed {
                self.stream_closed = true;
                moved = true;
            }
        }
        moved
    }

    fn deliver_stream(&mut self, to: &mut Self, now: Instant) -> bool {
        let mut moved = false;
        while let Some(packet) = self.stream_out.pop_front() {
            moved = true;
            to.receive(now, to.stream_lane(), packet);
            // The new transport may just have become the current one.
            to.carry_out();
        }
        if self.stream_closed && !to.stream_closed {
            to.stream_closed = true;
            moved = true;
            to.session
                .handle_transport_closed(now, to.stream_lane(), TransportEnd::Eof);
        }
        moved
    }

    fn stream_lane(&self) -> Lane {
        if self.session.transport() == TransportKind::Polling {
            Lane::Probe
        } else {
            Lane::Current
        }
    }
}
