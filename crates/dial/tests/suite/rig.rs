//! A client's session in the hands of a test.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_dial::{ConnectRequest, Connector, ConnectorConfig, OpenError, Opened};
use sockeye_engine::{CloseReason, Connection, Incoming, Message, SendOptions, TransportKind};
use sockeye_listen::{EngineConfig, ListenOptions};
use sockeye_testkit::{EngineRig, Seen};
use sockeye_websocket::handshake::accept_key;
use sockeye_websocket::{Decoded, Decoder, Event, Limits, OpCode, Role, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// One open session.
pub(crate) struct Peer {
    pub(crate) opened: Opened,
    seen: mpsc::UnboundedReceiver<Seen>,
    detail: mpsc::UnboundedReceiver<String>,
    ready: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
    task: JoinHandle<CloseReason>,
}

/// How a session has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) reason: CloseReason,
    /// What else was noted of it first.
    pub(crate) detail: Option<String>,
}

struct Recorder {
    seen: mpsc::UnboundedSender<Seen>,
    detail: mpsc::UnboundedSender<String>,
    ready: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
    closed: bool,
}

impl Connection for Recorder {
    fn handle_message(&mut self, message: Incoming<'_>, _: &mut Context<'_>) {
        assert!(self.is_ready() && !self.closed, "no message may come now");
        let seen = match message {
            Incoming::Text(text) => Seen::Text(text.to_owned()),
            binary => Seen::Binary(binary.into_bytes().to_vec()),
        };
        let _ = self.seen.send(seen);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(())
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    fn handle_drain(&mut self, _: &mut Context<'_>) {
        assert!(!self.closed, "the end has been told");
    }

    fn note(&mut self, cause: fmt::Arguments<'_>) {
        let _ = self.detail.send(cause.to_string());
    }

    fn handle_close(&mut self, reason: CloseReason, _: &mut Context<'_>) {
        self.closed = true;
        let _ = self.seen.send(Seen::Close(reason));
    }
}

pub(crate) fn connector(config: ConnectorConfig) -> Connector {
    Connector::new(config.path("/engine.io")).unwrap()
}

pub(crate) fn request(url: &str) -> ConnectRequest {
    ConnectRequest::new(url.parse().unwrap())
}

impl Peer {
    pub(crate) async fn open(connector: &Connector, url: &str) -> Result<Self, OpenError> {
        Self::open_with(connector, request(url)).await
    }

    pub(crate) async fn open_with(
        connector: &Connector,
        request: ConnectRequest,
    ) -> Result<Self, OpenError> {
        let (seen_sender, seen) = mpsc::unbounded_channel();
        let (detail_sender, detail) = mpsc::unbounded_channel();
        let ready = Arc::new(AtomicBool::new(true));
        let polls = Arc::default();
        let recorder = Recorder {
            seen: seen_sender,
            detail: detail_sender,
            ready: Arc::clone(&ready),
            polls: Arc::clone(&polls),
            closed: false,
        };
        let mut kept = None;
        let session = connector
            .open(request, |opened| {
                kept = Some(opened.clone());
                recorder
            })
            .await?;
        Ok(Self {
            opened: kept.unwrap(),
            seen,
            detail,
            ready,
            polls,
            task: tokio::spawn(session),
        })
    }

    pub(crate) fn send(&self, messages: &[Message]) {
        let session = &self.opened.session;
        session.send(messages, SendOptions::default()).unwrap();
    }

    pub(crate) fn text(&self, text: &str) {
        self.send(&[Message::text(text)]);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
        self.opened.session.wake();
    }

    pub(crate) async fn seen(&mut self) -> Seen {
        within(self.seen.recv()).await.expect("more to be seen")
    }

    /// How often the connection was polled, which it is in every turn of the driver.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.seen.is_empty()
    }

    /// Waits for the end, whatever comes before; the connection and the future say the same.
    pub(crate) async fn ended(self) -> Ended {
        within(self.ended_whenever()).await
    }

    /// The same under a clock that runs by itself.
    pub(crate) async fn ended_whenever(mut self) -> Ended {
        let reason = loop {
            match self.seen.recv().await.expect("an end") {
                Seen::Close(reason) => break reason,
                Seen::Text(_) | Seen::Binary(_) => {}
            }
        };
        let ended = self.task.await.unwrap();
        assert_eq!(self.seen.recv().await, None, "nothing follows the end");
        assert_eq!(ended, reason);
        assert!(!self.opened.session.is_open());
        let detail = self.detail.recv().await;
        Ended { reason, detail }
    }

    /// All that is noted of a session until its end.
    pub(crate) async fn notes(mut self) -> Vec<String> {
        within(self.task).await.unwrap();
        let mut notes = Vec::new();
        while let Some(note) = self.detail.recv().await {
            notes.push(note);
        }
        notes
    }

    /// Drops the session where it stands, as a process that dies does.
    pub(crate) fn vanish(self) {
        self.task.abort();
    }
}

/// Waits for what must come.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let patience = Duration::from_secs(20);
    let outcome = tokio::time::timeout(patience, future).await;
    outcome.expect("it comes in time")
}

/// Lets other tasks run until a condition holds that nothing announces.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// An echoing engine that listens on this URL, and the URL to connect to.
pub(crate) async fn serve(config: EngineConfig, url: &str) -> (EngineRig, String) {
    let mut rig = EngineRig::memory(config);
    let options = ListenOptions::default();
    let listener = rig.engine.listen(url, options).await.unwrap();
    let url = listener.url();
    rig.listener = Some(listener);
    (rig, url)
}

/// A server of a test's own, on TCP: the listener and its authority.
pub(crate) async fn raw() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    (listener, authority)
}

/// Takes the next connection.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    within(listener.accept()).await.unwrap().0
}

/// Reads a request without a body, up to its empty line.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = within(stream.read_u8()).await.unwrap();
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Answers a request with this status line and body.
pub(crate) async fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// An open packet.
pub(crate) const OPEN: &str =
    r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

pub(crate) fn polling() -> ConnectorConfig {
    ConnectorConfig::default().transports([TransportKind::Polling])
}

pub(crate) fn websocket() -> ConnectorConfig {
    ConnectorConfig::default().transports([TransportKind::WebSocket])
}

pub(crate) async fn open(config: ConnectorConfig, url: &str) -> Result<Peer, OpenError> {
    within(Peer::open(&connector(config), url)).await
}

/// Reads and answers a WebSocket handshake.
pub(crate) async fn accept_websocket(stream: &mut TcpStream) -> String {
    let head = read_head(stream).await;
    agree(stream, &head).await;
    head
}

/// Answers a WebSocket handshake whose head has been read.
pub(crate) async fn agree(stream: &mut TcpStream, head: &str) {
    let key = head
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim().to_owned())
        })
        .expect("a key");
    let accept = accept_key(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// Reads a client's text frame.
pub(crate) async fn read_text(stream: &mut TcpStream) -> String {
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut read = Vec::new();
    loop {
        match decoder.decode(&mut read).unwrap() {
            Decoded::Event {
                event: Event::Text(text),
                ..
            } => return text.to_string(),
            Decoded::NeedMore { .. } => read.push(within(stream.read_u8()).await.unwrap()),
            other => panic!("{other:?} instead of a text"),
        }
    }
}

pub(crate) async fn send_frame(stream: &mut TcpStream, op: OpCode, payload: &[u8]) {
    let mut frame = Vec::new();
    encode_frame(&mut frame, op, payload, None);
    stream.write_all(&frame).await.unwrap();
}

/// Opens a session as a native server does, and says no more.
pub(crate) async fn native(listener: &tokio::net::TcpListener) -> TcpStream {
    let mut stream = accept(listener).await;
    assert_eq!(stream.read_u16().await.unwrap(), 0x0130);
    let mut frame = Vec::new();
    sockeye_engine_proto::frame::encode_frame(
        &mut frame,
        sockeye_engine_proto::WireKind::Text,
        OPEN.as_bytes(),
    );
    stream.write_all(&frame).await.unwrap();
    stream
}
