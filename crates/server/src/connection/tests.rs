//! Orders that two threads can come to, tried on a connection that the test drives by hand.

use std::sync::{Barrier, OnceLock, Weak};
use std::task::Waker;
use std::thread;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use sockeye_engine::Message;
use sockeye_events::{EmitError, Refusal};
use sockeye_link::Next;
use sockeye_socket_proto::parser::{Parser, ParserError, Standard};
use sockeye_testkit::{Case, Client, Net};

use super::*;
use crate::namespace::{LocalSockets, Phase};
use crate::{RecoveryConfig, Server, ServerConfig};

const ROOM: &str = "/room";

/// A connection without a driver of its own, over the session of a real client: that one's driver
/// only sees to the transport.
struct Rig {
    io: Server,
    client: Client,
    session: SessionHandle,
    connection: ServerConnection,
}

impl Rig {
    /// Nobody has joined `/room` yet, of which a middleware thinks for ever.
    async fn new() -> Self {
        let io = Server::new();
        let (sender, mut sockets) = tokio::sync::mpsc::unbounded_channel();
        io.on_connect(move |socket: Socket| sender.send(socket).unwrap());
        io.of(ROOM)
            .middleware(async |_: Socket| std::future::pending::<Result<(), Refusal>>().await);
        let net = Net::memory(io.service(), "/socket.io/");
        let mut client = Client::open(&net, Case::WEBSOCKET).await;
        client.send_text("0").await;
        assert!(client.text().await.starts_with("0{"));
        let link = sockets.recv().await.unwrap();
        let (session, request) = (
            link.link().session.clone(),
            Arc::clone(&link.link().request),
        );
        let common = Arc::clone(&io.common);
        let now = tokio::time::Instant::now().into_std();
        Self {
            io,
            client,
            connection: ServerConnection::new(common, session.clone(), request, now),
            session,
        }
    }

    fn say(&mut self, text: &str) {
        let cx = &mut Context::from_waker(Waker::noop());
        sockeye_engine::Connection::handle_message(&mut self.connection, Incoming::Text(text), cx);
    }

    /// A socket that is joining.
    fn joining(&mut self) -> Socket {
        self.say(&format!("0{ROOM},"));
        let joining = self.connection.joining.take().unwrap();
        match joining.into_iter().next() {
            Some(joining::Joining::Deciding(Some(entering), _)) => entering.socket,
            _ => panic!("nobody thinks about a socket"),
        }
    }

    /// The middlewares let the socket in.
    fn admit(&mut self, socket: &Socket) {
        let cx = &mut Context::from_waker(Waker::noop());
        self.connection
            .finish_join(entering(socket), Next::Pass, cx);
    }

    fn poll(&mut self) {
        let cx = &mut Context::from_waker(Waker::noop());
        let _ = sockeye_engine::Connection::poll(&mut self.connection, cx);
    }

    /// Whether nothing of a socket is left at this end.
    fn is_empty(&self) -> bool {
        self.connection.inbox.sockets().next().is_none() && self.io.of(ROOM).sockets().is_empty()
    }

    /// What the client has been told so far.
    async fn told(&mut self) -> Vec<String> {
        let end = Message::text("end");
        self.session.send(&[end], SendOptions::CONTROL).unwrap();
        let mut told = Vec::new();
        loop {
            match self.client.text().await {
                end if end == "end" => return told,
                text => told.push(text),
            }
        }
    }
}

fn entering(socket: &Socket) -> joining::Entering {
    joining::Entering {
        socket: socket.clone(),
        returning: None,
    }
}

#[tokio::test]
async fn socket_that_is_disconnected_while_it_is_let_in_is_refused() {
    let mut rig = Rig::new().await;
    let cx = &mut Context::from_waker(Waker::noop());
    let socket = rig.joining();
    socket.disconnect();
    // The middlewares had their say before.
    rig.connection.admit(entering(&socket), cx);
    rig.poll();
    assert!(rig.is_empty());
    assert_eq!(rig.told().await, [r#"4/room,{"message":"Forbidden"}"#]);
    let again = rig.joining();
    rig.admit(&again);
    assert!(again.connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn disconnecting_ends_a_stay_however_it_meets_its_beginning() {
    let mut rig = Rig::new().await;
    for round in 0..ROUNDS {
        let socket = rig.joining();
        race(round, || rig.admit(&socket), || socket.disconnect());
        rig.poll();
        assert!(rig.is_empty(), "{round}");
        let kinds = kinds(&rig.told().await);
        assert!(["4", "01"].contains(&&*kinds), "{round}: {kinds}");
    }
}

#[tokio::test]
async fn what_is_sent_while_the_stay_ends_is_not_sent_into_the_next_one() {
    let mut rig = Rig::new().await;
    for sends in [emit, acknowledge] {
        let socket = rig.joining();
        rig.admit(&socket);
        assert_eq!(kinds(&rig.told().await), "0");
        let driver = Mutex::new(&mut rig);
        let come_back = || {
            let mut rig = driver.lock();
            rig.say("1/room,");
            let next = rig.joining();
            rig.admit(&next);
        };
        let sent = sends(&socket, &Meanwhile(&come_back));
        assert!(matches!(sent, Err(EmitError::Disconnected)), "{sent:?}");
        assert_eq!(kinds(&rig.told().await), "0");
        rig.say("1/room,");
    }
}

#[tokio::test]
async fn nothing_is_sent_behind_the_end_of_a_stay() {
    let mut rig = Rig::new().await;
    for sends in [emit, acknowledge] {
        let socket = rig.joining();
        rig.admit(&socket);
        let sent = sends(&socket, &Meanwhile(&|| socket.disconnect()));
        assert!(matches!(sent, Err(EmitError::Disconnected)), "{sent:?}");
        rig.poll();
        assert_eq!(kinds(&rig.told().await), "01");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn disconnecting_does_not_end_the_next_stay() {
    let mut rig = Rig::new().await;
    for round in 0..ROUNDS {
        let socket = rig.joining();
        rig.admit(&socket);
        let mut next = None;
        race(
            round,
            || {
                rig.say("1/room,");
                let socket = rig.joining();
                rig.admit(&socket);
                next = Some(socket);
            },
            || socket.disconnect(),
        );
        rig.poll();
        let kinds = kinds(&rig.told().await);
        assert!(["00", "010"].contains(&&*kinds), "{round}: {kinds}");
        assert!(next.unwrap().connected());
        rig.say("1/room,");
    }
}

#[tokio::test]
async fn peer_that_joins_again_as_soon_as_it_is_told_is_let_in() {
    let mut rig = Rig::new().await;
    let socket = rig.joining();
    rig.admit(&socket);
    // Another thread has got no further yet than to tell the peer, and has not called the driver.
    assert_eq!(socket.say_goodbye(), Phase::Connected);
    assert_eq!(kinds(&rig.told().await), "01");
    // As a driver does in each of its turns.
    rig.poll();
    let again = rig.joining();
    rig.admit(&again);
    assert!(again.connected() && !socket.connected());
    assert!(rig.connection.verdict().is_none());
}

/// An argument with which something else happens while it is encoded.
struct Meanwhile<'a>(&'a dyn Fn());

impl Serialize for Meanwhile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0();
        serializer.serialize_unit()
    }
}

fn emit(socket: &Socket, argument: &Meanwhile<'_>) -> Result<(), EmitError> {
    socket.emit("event", argument)
}

fn acknowledge(socket: &Socket, argument: &Meanwhile<'_>) -> Result<(), EmitError> {
    socket.acknowledge(1, argument)
}

/// The types of packets.
fn kinds(packets: &[String]) -> String {
    packets.iter().map(|packet| &packet[..1]).collect()
}

/// Something to be asked of a connection, and a way to see whether it is still there.
fn ask() -> (Request, std::sync::Weak<()>) {
    let kept = Arc::new(());
    let seen = Arc::downgrade(&kept);
    let future = async move {
        std::future::pending::<()>().await;
        drop(kept);
    };
    (Request::Run(Box::pin(future)), seen)
}

#[tokio::test]
async fn what_is_asked_of_a_connection_last_goes_with_it() {
    let rig = Rig::new().await;
    let link = Arc::clone(&rig.connection.link);
    let (request, seen) = ask();
    link.request(request);
    assert!(seen.upgrade().is_some());
    drop(rig.connection);
    assert!(seen.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_connection_that_is_gone_is_dropped() {
    let rig = Rig::new().await;
    let link = Arc::clone(&rig.connection.link);
    drop(rig.connection);
    // Only the driver of the session says when nothing is heard any more.
    let (request, seen) = ask();
    link.request(request);
    assert!(seen.upgrade().is_some());
    rig.io.close().await;
    let (request, seen_last) = ask();
    link.request(request);
    assert!(seen.upgrade().is_none() && seen_last.upgrade().is_none());
}

/// The standard format, of which it is noted whether the order of a namespace is locked while an event is written.
#[derive(Debug, Clone, Default)]
struct Watchful {
    here: Arc<OnceLock<Weak<LocalSockets>>>,
    locked: Arc<Mutex<Vec<bool>>>,
}

impl Parser for Watchful {
    fn encode(
        &self,
        packet: &proto::parser::Packet<'_>,
        revision: proto::SocketRevision,
    ) -> Result<Vec<proto::parser::Message<'static>>, ParserError> {
        if packet.kind == proto::PacketType::Event {
            let here = self.here.get().and_then(Weak::upgrade).unwrap();
            self.locked
                .lock()
                .push(here.recovery().unwrap().is_ordering());
        }
        Standard.encode(packet, revision)
    }

    fn decoder(
        &self,
        revision: proto::SocketRevision,
        limits: &proto::ConnectionConfig,
    ) -> Box<dyn Decoder> {
        Standard.decoder(revision, limits)
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_encoded_without_keeping_those_waiting_who_emit() {
    let parser = Watchful::default();
    let config = ServerConfig::default()
        .parser(parser.clone())
        .recovery(RecoveryConfig::default());
    let io = Server::with_config(config).unwrap();
    parser.here.set(Arc::downgrade(io.here())).unwrap();
    let net = Net::memory(io.service(), "/socket.io/");
    let mut client = Client::open(&net, Case::WEBSOCKET).await;
    client.send_text("0").await;
    let answer = client.text().await;
    let answer: serde_json::Value = serde_json::from_str(&answer[1..]).unwrap();
    drop(client);
    net.until("it is gone", || io.connection_count() == 0).await;
    for n in 0..3 {
        io.emit("missed", n).unwrap();
    }
    let mut client = Client::open(&net, Case::WEBSOCKET).await;
    let back = format!(r#"0{{"pid":{}}}"#, answer["pid"]);
    client.send_text(&back).await;
    for n in 0..3 {
        let missed = client.text().await;
        assert!(
            missed.starts_with(&format!(r#"2["missed",{n},"#)),
            "{missed}"
        );
    }
    assert!(
        client
            .text()
            .await
            .contains(answer["sid"].as_str().unwrap())
    );
    assert_eq!(*parser.locked.lock(), [false; 3]);
}

const ROUNDS: usize = 1_000;

/// Runs both at about the same time, now the one a little earlier and now the other.
fn race(round: usize, one: impl FnOnce(), other: impl FnOnce() + Send) {
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for _ in 0..round % 64 * 16 {
                std::hint::spin_loop();
            }
            other();
        });
        start.wait();
        one();
    });
}
