use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use sockeye_engine::{CloseReason, Connection, Incoming, Message, SendOptions, SessionHandle};
use sockeye_listen::{Application, Engine, EngineConfig, Handshake, ListenOptions, Listener};
use tokio::sync::mpsc;

use crate::{Case, Client, Net};

/// An application that tells the test of its sessions, and echoes if it is told to.
#[derive(Clone, Debug)]
pub struct App {
    echo: bool,
    ready: bool,
    sessions: mpsc::UnboundedSender<Session>,
}

/// The server's side of one session, in the hands of a test.
#[derive(Debug)]
pub struct Session {
    /// The session.
    pub handle: SessionHandle,
    /// The request that opened it.
    pub handshake: Arc<Handshake>,
    seen: mpsc::UnboundedReceiver<Seen>,
    ready: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
}

/// What a session's connection has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The end.
    Close(CloseReason),
}

/// The upper layer of a session, which only reports.
#[derive(Debug)]
pub struct Reporter {
    session: SessionHandle,
    echo: bool,
    ready: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
    seen: mpsc::UnboundedSender<Seen>,
}

/// An engine with an [`App`] on it, and the way there.
#[derive(Debug)]
pub struct EngineRig {
    /// The engine.
    pub engine: Engine<App>,
    /// The way there.
    pub net: Net,
    /// The listener, if it is on TCP.
    pub listener: Option<Listener>,
    sessions: mpsc::UnboundedReceiver<Session>,
}

impl EngineRig {
    /// An engine that echoes, on a port of its own.
    pub async fn tcp(config: EngineConfig) -> Self {
        Self::tcp_with(config, ListenOptions::default()).await
    }

    /// An engine that echoes, on a port of its own, with these options.
    pub async fn tcp_with(config: EngineConfig, options: ListenOptions) -> Self {
        let mut rig = Self::memory(config);
        let listening = rig.engine.listen("http://127.0.0.1:0", options).await;
        let listener = listening.expect("a free port");
        rig.net = Net::tcp(
            listener.local_addr().expect("a network address"),
            rig.net.path(),
        );
        rig.listener = Some(listener);
        rig
    }

    /// An engine that echoes, reached in memory.
    #[must_use]
    pub fn memory(config: EngineConfig) -> Self {
        Self::memory_with(config, true)
    }

    /// An engine whose connections are not ready for messages before they are told to, reached
    /// in memory.
    #[must_use]
    pub fn memory_unready(config: EngineConfig) -> Self {
        Self::memory_with(config, false)
    }

    fn memory_with(config: EngineConfig, ready: bool) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        let app = App {
            echo: true,
            ready,
            sessions: sender,
        };
        let engine = Engine::new(config, app).expect("a valid configuration");
        let net = Net::memory(engine.service(), "/engine.io/");
        Self {
            engine,
            net,
            listener: None,
            sessions,
        }
    }

    /// Waits for the next session to be opened.
    pub async fn session(&mut self) -> Session {
        let opened = self.net.within("a session", self.sessions.recv()).await;
        opened.expect("the application is there")
    }

    /// Whether no session was opened that the test has not taken.
    pub fn has_no_session(&mut self) -> bool {
        self.sessions.try_recv().is_err()
    }

    /// Opens a session and gives both ends of it.
    pub async fn open(&mut self, case: Case) -> (Client, Session) {
        let client = Client::open(&self.net, case).await;
        (client, self.session().await)
    }
}

impl Session {
    /// Waits for what the connection sees next.
    pub async fn seen(&mut self) -> Option<Seen> {
        self.seen.recv().await
    }

    /// Waits for the end, whatever comes before, and sees to it that it comes once and nothing
    /// after it.
    pub async fn closed(&mut self) -> CloseReason {
        let reason = loop {
            match self.seen().await.expect("an end before the silence") {
                Seen::Close(reason) => break reason,
                Seen::Text(_) | Seen::Binary(_) => {}
            }
        };
        assert_eq!(self.seen().await, None, "nothing follows the end");
        assert!(!self.handle.is_open());
        reason
    }

    /// Whether nothing was seen that the test has not taken.
    pub fn is_quiet(&mut self) -> bool {
        self.seen.is_empty()
    }

    /// How often the connection was polled, which it is at least once in a turn of the driver.
    #[must_use]
    pub fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    /// Says whether the connection takes messages.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
        self.handle.wake();
    }

    /// Sends a text message.
    pub fn text(&self, text: &str) {
        self.handle
            .send(&[Message::text(text)], SendOptions::default())
            .expect("the session takes it");
    }
}

impl Application for App {
    type Connection = Reporter;

    fn connect(&self, session: SessionHandle, handshake: Arc<Handshake>) -> Reporter {
        let (sender, seen) = mpsc::unbounded_channel();
        let ready = Arc::new(AtomicBool::new(self.ready));
        let polls = Arc::default();
        let reporter = Reporter {
            session: session.clone(),
            echo: self.echo,
            ready: Arc::clone(&ready),
            polls: Arc::clone(&polls),
            seen: sender,
        };
        // A test that does not care for its sessions has let go of the other end.
        let _ = self.sessions.send(Session {
            handle: session,
            handshake,
            seen,
            ready,
            polls,
        });
        reporter
    }
}

impl Connection for Reporter {
    fn handle_message(&mut self, message: Incoming<'_>, _cx: &mut Context<'_>) {
        assert!(self.is_ready(), "no message may come now");
        let (answer, seen) = match message {
            Incoming::Text(text) => (Message::text(text), Seen::Text(text.to_owned())),
            binary => {
                let data = binary.into_bytes();
                (Message::binary(data.clone()), Seen::Binary(data.to_vec()))
            }
        };
        if self.echo {
            let _ = self.session.send(&[answer], SendOptions::default());
        }
        let _ = self.seen.send(seen);
    }

    fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(())
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    fn handle_close(&mut self, reason: CloseReason, _cx: &mut Context<'_>) {
        let _ = self.seen.send(Seen::Close(reason));
    }
}
