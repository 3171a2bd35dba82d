//! Orders that two threads can come to, tried on a connection that the test drives by hand.

use std::sync::Barrier;
use std::task::Waker;
use std::thread;

use sockeye_engine::Message;
use sockeye_testkit::{Case, Client, Net};

use super::*;
use crate::Server;

const ROOM: &str = "/room";

/// A connection without a driver of its own, over the session of a real client: that one's driver
/// only sees to the transport.
struct Rig {
    io: Server,
    client: Client,
    session: SessionHandle,
    connection: Connection,
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
        let shared = Arc::clone(&io.shared);
        let now = tokio::time::Instant::now().into_std();
        Self {
            io,
            client,
            connection: Connection::new(shared, session.clone(), request, now),
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
        let joining = joining.into_iter().next().unwrap();
        joining.socket
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

#[tokio::test]
async fn socket_that_is_disconnected_while_it_is_let_in_is_refused() {
    let mut rig = Rig::new().await;
    let cx = &mut Context::from_waker(Waker::noop());
    let socket = rig.joining();
    socket.disconnect(false);
    // The middlewares had their say before.
    rig.connection.admit(&socket, cx);
    rig.poll();
    assert!(rig.is_empty());
    assert_eq!(rig.told().await, [r#"4/room,{"message":"Forbidden"}"#]);
    let again = rig.joining();
    rig.connection.finish_join(&again, Next::Pass, cx);
    assert!(again.connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn disconnecting_ends_a_stay_however_it_meets_its_beginning() {
    let mut rig = Rig::new().await;
    let cx = &mut Context::from_waker(Waker::noop());
    for round in 0..ROUNDS {
        let socket = rig.joining();
        race(
            round,
            || rig.connection.finish_join(&socket, Next::Pass, cx),
            || socket.disconnect(false),
        );
        rig.poll();
        assert!(rig.is_empty(), "{round}");
        let told = rig.told().await;
        let kinds: Vec<_> = told.iter().map(|text| text.as_bytes()[0]).collect();
        assert!(kinds == b"4" || kinds == b"01", "a round of {told:?}");
    }
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
