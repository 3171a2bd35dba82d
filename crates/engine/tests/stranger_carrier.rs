//! A stranger's carrier: packets over channels, that the library knows nothing of.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye_engine::{
    AnyCarrier, Carrier, CloseReason, Connection, Dialect, Driver, Incoming, Io, Message, Outlet,
    Outward, Polling, Probe, RequestError, Revision, SendOptions, SessionHandle, SessionId,
    SessionLimits, Side, TransportKind, Upper, Wire, now,
};
use sockeye_engine_proto::payload;
use sockeye_engine_proto::{
    Lane, OpenPacket, Packet, Session, SessionConfig, TransportEnd, WireKind,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

const KIND: TransportKind = TransportKind::WebTransport;
const REVISION: Revision = Revision::V4;

/// A packet as the channels carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Text(String),
    Binary(Bytes),
}

fn text(text: &str) -> Said {
    Said::Text(text.to_owned())
}

/// One end of a pair of channels.
#[derive(Debug)]
struct Channel {
    incoming: UnboundedReceiver<Said>,
    outgoing: UnboundedSender<Said>,
    has_ended: bool,
}

impl Channel {
    fn pair() -> [Self; 2] {
        let (there, incoming) = mpsc::unbounded_channel();
        let (outgoing, back) = mpsc::unbounded_channel();
        [(incoming, outgoing), (back, there)].map(|(incoming, outgoing)| Self {
            incoming,
            outgoing,
            has_ended: false,
        })
    }

    fn say(&self, packet: Outward<'_>) -> bool {
        let said = match packet {
            Outward::Packet(packet) => {
                let mut bytes = Vec::new();
                packet.encode_text(REVISION, &mut bytes);
                Said::Text(String::from_utf8(bytes).unwrap())
            }
            Outward::Text { packet, .. } => text(packet),
            Outward::Binary { data, .. } => Said::Binary(Bytes::copy_from_slice(data)),
        };
        self.outgoing.send(said).is_ok()
    }
}

impl Carrier for Channel {
    fn outlet(&self) -> Outlet {
        Outlet::packets(true)
    }

    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        if !ready || self.has_ended {
            return false;
        }
        let now = upper.now();
        match self.incoming.poll_recv(cx) {
            Poll::Pending => return false,
            Poll::Ready(None) => {
                self.has_ended = true;
                upper.handle_closed(TransportEnd::Eof);
            }
            Poll::Ready(Some(Said::Binary(data))) => {
                upper.handle_packet(Packet::binary(&data[..]), cx);
            }
            Poll::Ready(Some(Said::Text(text))) => match Packet::decode_text(REVISION, &text) {
                Ok(packet) => {
                    upper.handle_packet(packet, cx);
                }
                Err(_) => upper.session().handle_decode_error(now, Lane::Current),
            },
        }
        upper.note_life();
        true
    }

    fn write(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) {
        upper.send(&mut |outgoing| outgoing.take(|packet| self.say(packet)));
        upper.tell_drained(cx);
    }

    fn poll_end(&mut self, upper: &mut dyn Upper, cx: &mut Context<'_>) -> Poll<()> {
        self.write(upper, cx);
        Poll::Ready(())
    }
}

/// The same, before it carries a session.
struct Candidate(Channel);

impl Probe for Candidate {
    fn kind(&self) -> TransportKind {
        KIND
    }

    fn read(&mut self, session: &mut Session, now: Instant, cx: &mut Context<'_>) -> bool {
        match self.0.incoming.poll_recv(cx) {
            Poll::Ready(Some(Said::Text(text))) => {
                let packet = Packet::decode_text(REVISION, &text).unwrap();
                session.handle_packet(now, Lane::Probe, packet);
            }
            Poll::Ready(_) => session.handle_decode_error(now, Lane::Probe),
            Poll::Pending => return false,
        }
        true
    }

    fn send(&mut self, packet: &Packet<'_>, revision: Revision) {
        let mut bytes = Vec::new();
        packet.encode_text(revision, &mut bytes);
        let said = Said::Text(String::from_utf8(bytes).unwrap());
        // Whoever has hung up is found out by reading.
        let _ = self.0.outgoing.send(said);
    }

    fn poll_write(&mut self, _: &mut Context<'_>) -> io::Result<()> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> (AnyCarrier, Outlet) {
        let outlet = self.0.outlet();
        (AnyCarrier::other(self.0), outlet)
    }
}

/// Either end, as far as a driver needs to know it.
struct End<const IS_SERVER: bool>(SessionLimits);

impl<const IS_SERVER: bool> Side for End<IS_SERVER> {
    const WAITS_FOR_ROOM: bool = IS_SERVER;

    fn limits(&self) -> &SessionLimits {
        &self.0
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn forget(&self, _: &SessionHandle) {}
}

/// An upper layer that sends back what comes, or tells of it.
struct Echo {
    session: SessionHandle,
    echoes: bool,
    seen: UnboundedSender<String>,
}

impl Connection for Echo {
    fn handle_message(&mut self, message: Incoming<'_>, _: &mut Context<'_>) {
        self.seen.send(format!("{message:?}")).unwrap();
        if self.echoes {
            let message = match message {
                Incoming::Text(text) => Message::text(text),
                data => Message::binary(data.into_bytes()),
            };
            self.session
                .send(&[message], SendOptions::default())
                .unwrap();
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn handle_end(&mut self, _: &mut Context<'_>) {
        self.seen
            .send("the peer's half has ended".to_owned())
            .unwrap();
    }

    fn handle_close(&mut self, reason: CloseReason, _: &mut Context<'_>) {
        self.seen.send(format!("{reason:?}")).unwrap();
    }
}

/// Runs a session on this carrier.
fn run<const IS_SERVER: bool>(
    state: Session,
    carrier: AnyCarrier,
    echoes: bool,
) -> (SessionHandle, UnboundedReceiver<String>) {
    let (seen, log) = mpsc::unbounded_channel();
    let limits = SessionLimits::default();
    let session = SessionHandle::new(
        SessionId::random().unwrap(),
        REVISION,
        state.transport(),
        Dialect::Packets,
        false,
        &limits,
    );
    session.begin(carrier.outlet());
    let connection = Echo {
        session: session.clone(),
        echoes,
        seen,
    };
    let driver = Driver::new(
        End::<IS_SERVER>(limits),
        session.clone(),
        state,
        connection,
        carrier,
        now(),
    );
    tokio::spawn(driver);
    (session, log)
}

fn server(transport: TransportKind, carrier: AnyCarrier) -> (SessionHandle, Log) {
    let config = SessionConfig::default();
    run::<true>(
        Session::server(&config, REVISION, transport, now()),
        carrier,
        true,
    )
}

type Log = UnboundedReceiver<String>;

fn client(carrier: AnyCarrier) -> (SessionHandle, Log) {
    let config = SessionConfig::default();
    let open = OpenPacket {
        sid: "a".to_owned(),
        upgrades: Vec::new(),
        ping_interval: config.ping_interval,
        ping_timeout: config.ping_timeout,
        max_payload: None,
        compression: None,
    };
    run::<false>(
        Session::client(REVISION, KIND, &open, now()),
        carrier,
        false,
    )
}

fn send(session: &SessionHandle, message: Message) {
    session.send(&[message], SendOptions::default()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn session_lives_on_it_at_both_ends() {
    let [near, far] = Channel::pair();
    let (_server, mut at_server) = server(KIND, AnyCarrier::other(near));
    let (client, mut at_client) = client(AnyCarrier::other(far));
    send(&client, Message::text("hello"));
    send(&client, Message::binary(vec![1, 2, 3]));
    for expected in [r#"Text("hello")"#, "Binary(3 bytes)"] {
        assert_eq!(at_server.recv().await.unwrap(), expected);
        assert_eq!(at_client.recv().await.unwrap(), expected);
    }
    // Some heartbeats later.
    tokio::time::sleep(Duration::from_secs(300)).await;
    let volatile = SendOptions {
        volatile: true,
        ..SendOptions::default()
    };
    client
        .send(&[Message::text("still there")], volatile)
        .unwrap();
    assert_eq!(at_server.recv().await.unwrap(), r#"Text("still there")"#);
    assert_eq!(at_client.recv().await.unwrap(), r#"Text("still there")"#);

    send(&client, Message::text("last words"));
    client.close();
    assert_eq!(at_server.recv().await.unwrap(), r#"Text("last words")"#);
    assert_eq!(at_server.recv().await.unwrap(), "TransportClose");
    assert_eq!(at_client.recv().await.unwrap(), "ForcedClose");
}

#[tokio::test(start_paused = true)]
async fn whoever_falls_silent_on_it_is_noticed() {
    let [near, far] = Channel::pair();
    let (session, mut log) = server(KIND, AnyCarrier::other(near));
    assert_eq!(log.recv().await.unwrap(), "PingTimeout");
    assert!(!session.is_open());
    drop(far);
}

/// Native frames are those of WebTransport, too, whose streams have no halves that end apart.
#[tokio::test]
async fn stream_is_bare_if_its_transport_is() {
    for (transport, expected) in [
        (TransportKind::WebTransport, "TransportClose"),
        (TransportKind::Tcp, "the peer's half has ended"),
    ] {
        let (near, far) = tokio::io::duplex(1024);
        let io = Io::Boxed(Box::new(Box::pin(near)));
        let wire = Wire::native(io, &[], &SessionLimits::default());
        let (_session, mut log) = server(transport, wire.into());
        drop(far);
        assert_eq!(log.recv().await.unwrap(), expected, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn session_moves_to_it_from_long_polling() {
    let dialect = payload::PayloadDialect::new(REVISION);
    let polling = AnyCarrier::other(Polling::new(dialect));
    let (session, mut log) = server(TransportKind::Polling, polling);
    let body = Bytes::from_static(b"4by POST");
    let post = session.begin_post();
    assert_eq!(
        post.finish(async { Ok((WireKind::Text, body)) }).await,
        Ok(())
    );
    assert_eq!(log.recv().await.unwrap(), r#"Text("by POST")"#);
    let answer = session.poll().await.unwrap();
    assert_eq!(answer.encoded.body, b"4by POST");

    let [near, mut far] = Channel::pair();
    session.upgrade(Box::new(Candidate(near)));
    far.outgoing.send(text("2probe")).unwrap();
    assert_eq!(far.incoming.recv().await, Some(text("3probe")));
    // What is sent in between takes the new way, in order.
    send(&session, Message::text("in between"));
    far.outgoing.send(text("5")).unwrap();
    far.outgoing.send(text("4by channel")).unwrap();
    assert_eq!(far.incoming.recv().await, Some(text("4in between")));
    assert_eq!(far.incoming.recv().await, Some(text("4by channel")));
    assert_eq!(session.transport(), KIND);

    // Requests have come too late.
    assert!(matches!(
        session.poll().await,
        Err(RequestError::BadRequest(_))
    ));
    let late = session.begin_post().finish(std::future::pending()).await;
    assert!(matches!(late, Err(RequestError::BadRequest(_))));
    drop(far);
    assert_eq!(log.recv().await.unwrap(), r#"Text("by channel")"#);
    assert_eq!(log.recv().await.unwrap(), "TransportClose");
}
