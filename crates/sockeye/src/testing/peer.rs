use std::collections::VecDeque;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use bytes::Bytes;
use sockeye_engine_proto::payload::{self, PayloadDialect};
use sockeye_engine_proto::{Limits, Message, Packet, WireKind, frame};
use sockeye_websocket::OpCode;

use super::http::{Head, head};
use super::pipe::Pipe;
use super::websocket::{Frame, WebSocket};
use crate::{Revision, TransportKind};

/// One end of a session in the hands of a script: it says the packets that it is told to say, and answers nothing by
/// itself, not even heartbeats.
///
/// Packets are those of Engine.IO, as text: `42["news",1]` is a message (`4`) with an event (`2`), `2` a ping. What goes
/// around them, be it a WebSocket's frame or a poll, is added and taken away.
pub struct Peer {
    wire: Wire,
    revision: Revision,
    open: String,
}

/// What the other end has said.
#[derive(Clone, PartialEq, Eq)]
pub enum Said {
    /// A packet.
    Text(String),
    /// The content of a binary message.
    Binary(Bytes),
}

/// A [`Peer`] that is to open a session; awaiting it does.
#[must_use = "it does nothing unless it is awaited"]
pub struct Open {
    connect: Connecting,
    transport: TransportKind,
    revision: Revision,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
}

/// Makes a connection for the transport.
type Connecting = Box<dyn Fn(TransportKind) -> Pipe + Send + Sync>;

enum Wire {
    WebSocket(WebSocket),
    /// A bare stream, with packets in frames.
    Frames(Pipe),
    Polling(Polling),
}

struct Polling {
    connect: Connecting,
    dialect: PayloadDialect,
    target: String,
    headers: Vec<(String, String)>,
    came: VecDeque<Said>,
}

/// No frame of a test is longer.
const MAX_FRAME: usize = 64 * 1024 * 1024;

impl Open {
    pub(super) fn new(
        transport: TransportKind,
        connect: impl Fn(TransportKind) -> Pipe + Send + Sync + 'static,
    ) -> Self {
        Self {
            connect: Box::new(connect),
            transport,
            revision: Revision::V4,
            path: "/socket.io/".to_owned(),
            query: String::new(),
            headers: vec![("host".to_owned(), "server.test".to_owned())],
        }
    }

    /// The revision of Engine.IO. Default: 4.
    pub const fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// The path of the requests. Default: `/socket.io/`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// More of the query, encoded as it is to be sent: `token=x`.
    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("&{query}");
        self
    }

    /// A header of every request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn target(&self) -> String {
        let (path, query, name) = (&self.path, &self.query, self.transport.name());
        let revision = match self.revision {
            Revision::V3 => 3,
            Revision::V4 => 4,
        };
        format!("{path}?EIO={revision}&transport={name}{query}")
    }

    /// Sees to it that there is no session to be had over HTTP; gives the status and the body of the answer.
    ///
    /// # Panics
    ///
    /// If there is one.
    pub async fn refused(self) -> (u16, String) {
        match self.open().await {
            Ok(_) => panic!("the server has opened a session"),
            Err(refusal) => refusal,
        }
    }

    async fn open(self) -> Result<Peer, (u16, String)> {
        let target = self.target();
        let wire = match self.transport {
            TransportKind::WebSocket => {
                let pipe = (self.connect)(self.transport);
                Wire::WebSocket(WebSocket::open(pipe, &target, &self.headers).await?)
            }
            TransportKind::Polling => {
                let mut polling = Polling {
                    connect: self.connect,
                    dialect: PayloadDialect::new(self.revision),
                    target,
                    headers: self.headers,
                    came: VecDeque::new(),
                };
                polling.poll().await?;
                Wire::Polling(polling)
            }
            TransportKind::Tcp | TransportKind::Unix => {
                let mut wire = Wire::Frames((self.connect)(self.transport));
                wire.send("0").await;
                wire
            }
            other => panic!("no script speaks {other}"),
        };
        let mut peer = Peer::new(wire, self.revision);
        let open = peer.packet().await;
        let data = open.strip_prefix('0');
        let data = data.unwrap_or_else(|| panic!("{open:?} is no open packet"));
        data.clone_into(&mut peer.open);
        if let Wire::Polling(polling) = &mut peer.wire {
            let open: serde_json::Value = serde_json::from_str(data).expect("an open packet");
            polling.target += "&sid=";
            polling.target += open["sid"].as_str().expect("an id of the session");
        }
        Ok(peer)
    }
}

impl IntoFuture for Open {
    type Output = Peer;
    type IntoFuture = Pin<Box<dyn Future<Output = Peer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            match self.open().await {
                Ok(peer) => peer,
                Err((status, body)) => panic!("no session: status {status}, {body:?}"),
            }
        })
    }
}

impl Peer {
    const fn new(wire: Wire, revision: Revision) -> Self {
        Self {
            wire,
            revision,
            open: String::new(),
        }
    }

    /// A server's end of a WebSocket whose handshake it has answered.
    pub(super) async fn accept_websocket(pipe: Pipe) -> Self {
        let (websocket, target) = WebSocket::accept(pipe).await;
        let revision = match target.contains("EIO=3") {
            true => Revision::V3,
            false => Revision::V4,
        };
        Self::new(Wire::WebSocket(websocket), revision)
    }

    /// A server's end of a bare stream.
    pub(super) const fn accept_stream(pipe: Pipe) -> Self {
        Self::new(Wire::Frames(pipe), Revision::V4)
    }

    /// What the server said in its open packet, as JSON; nothing at a server's end.
    #[must_use]
    pub fn open_packet(&self) -> &str {
        &self.open
    }

    /// Says a packet.
    ///
    /// # Panics
    ///
    /// If the other end has hung up, or refuses it.
    pub async fn send(&mut self, packet: impl AsRef<str>) {
        self.wire.send(packet.as_ref()).await;
    }

    /// Says a message of bytes: an attachment, in most cases.
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send).
    pub async fn send_binary(&mut self, data: impl AsRef<[u8]>) {
        self.wire.send_binary(data.as_ref(), self.revision).await;
    }

    /// Waits for what comes next; `None` if it is the end.
    ///
    /// # Panics
    ///
    /// If nothing comes, not even that.
    pub async fn next(&mut self) -> Option<Said> {
        self.wire.next(self.revision).await
    }

    /// Waits for a packet.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing.
    pub async fn packet(&mut self) -> String {
        match self.next().await {
            Some(Said::Text(packet)) => packet,
            other => panic!("a packet is expected, and {other:?} comes"),
        }
    }

    /// Waits for this packet.
    ///
    /// # Panics
    ///
    /// If another one comes, or none.
    pub async fn expect(&mut self, packet: &str) {
        let said = self.packet().await;
        assert!(said == packet, "{packet:?} is expected, and {said:?} comes");
    }

    /// Waits for this message of bytes.
    ///
    /// # Panics
    ///
    /// If another one comes, or none.
    pub async fn expect_binary(&mut self, data: &[u8]) {
        let said = self.next().await;
        let as_expected = matches!(&said, Some(Said::Binary(said)) if said == data);
        assert!(as_expected, "{data:?} is expected, and {said:?} comes");
    }

    /// Joins a namespace, and gives the id of the socket there: what most scripts begin with. Not for revision 3, which
    /// joins `/` by itself, and hears of no id elsewhere.
    ///
    /// # Panics
    ///
    /// If it is refused, or not answered.
    pub async fn join(&mut self, namespace: &str) -> String {
        let prefix = match namespace {
            "/" => "40".to_owned(),
            other => format!("40{other},"),
        };
        self.send(&prefix).await;
        let answer = self.packet().await;
        let data = answer.strip_prefix(&prefix).unwrap_or_default();
        match serde_json::from_str::<serde_json::Value>(data) {
            Ok(data) if data["sid"].is_string() => data["sid"].as_str().unwrap_or_default().into(),
            _ => panic!("joining {namespace} is answered by {answer:?}"),
        }
    }

    /// Waits for the end of the session, whatever comes before it.
    ///
    /// # Panics
    ///
    /// If it does not come.
    pub async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

impl Wire {
    async fn send(&mut self, packet: &str) {
        match self {
            Self::WebSocket(websocket) => websocket.send(OpCode::Text, packet.as_bytes()).await,
            Self::Frames(pipe) => {
                let mut bytes = Vec::new();
                frame::encode_frame(&mut bytes, WireKind::Text, packet.as_bytes());
                pipe.send(bytes).await;
            }
            Self::Polling(polling) => polling.post(|payload| payload.push_text(packet)).await,
        }
    }

    async fn send_binary(&mut self, data: &[u8], revision: Revision) {
        let mut packet = Vec::new();
        match self {
            Self::WebSocket(websocket) => {
                Packet::binary(data).encode(revision, &mut packet);
                websocket.send(OpCode::Binary, &packet).await;
            }
            Self::Frames(pipe) => {
                frame::encode_frame(&mut packet, WireKind::Binary, data);
                pipe.send(packet).await;
            }
            Self::Polling(polling) => polling.post(|payload| payload.push_binary(data)).await,
        }
    }

    async fn next(&mut self, revision: Revision) -> Option<Said> {
        match self {
            Self::WebSocket(websocket) => match websocket.next().await? {
                Frame::Text(packet) => Some(Said::Text(packet)),
                Frame::Binary(data) => {
                    let packet = Packet::decode_binary(revision, &data);
                    Some(packet.expect("a packet").into())
                }
            },
            Self::Frames(pipe) => loop {
                let unread = pipe.unread();
                match frame::decode(unread, MAX_FRAME).expect("a frame") {
                    frame::Decoded::Frame { frame, used } => {
                        let said = match frame {
                            frame::Frame::Text(packet) => Said::Text(packet.to_owned()),
                            frame::Frame::Binary(data) => {
                                Said::Binary(Bytes::copy_from_slice(data))
                            }
                        };
                        unread.drain(..used);
                        return Some(said);
                    }
                    frame::Decoded::NeedMore { .. } => {
                        if !pipe.fill().await {
                            return None;
                        }
                    }
                }
            },
            Self::Polling(polling) => polling.next().await,
        }
    }
}

impl Polling {
    async fn post(&self, push: impl FnOnce(&mut payload::Encoder) -> bool) {
        let mut payload = payload::Encoder::new(&self.dialect, usize::MAX);
        assert!(push(&mut payload), "a payload without end takes all");
        let payload = payload.finish();
        let more = [
            ("content-type", payload.content_type().to_owned()),
            ("content-length", payload.body.len().to_string()),
        ];
        let (answer, body) = self.request("POST", more, &payload.body).await;
        let body = String::from_utf8_lossy(&body).into_owned();
        let first = &answer.first;
        assert!(
            answer.status() == 200,
            "what is said is answered by {first:?}, {body:?}"
        );
    }

    async fn next(&mut self) -> Option<Said> {
        while self.came.is_empty() {
            self.poll().await.ok()?;
        }
        self.came.pop_front()
    }

    /// Asks once.
    async fn poll(&mut self) -> Result<(), (u16, String)> {
        let (answer, body) = self.request("GET", [], &[]).await;
        if answer.status() != 200 {
            let body = String::from_utf8_lossy(&body).into_owned();
            return Err((answer.status(), body));
        }
        let kind = payload::content_kind(answer.header("content-type"));
        let limits = Limits::default().max_payload(usize::MAX);
        let packets = payload::decode(kind, &body, &limits, &mut self.dialect);
        let packets = packets.map(|packet| packet.expect("a packet").into());
        self.came.extend(packets);
        Ok(())
    }

    async fn request(
        &self,
        method: &str,
        more: impl IntoIterator<Item = (&'static str, String)>,
        body: &[u8],
    ) -> (Head, Vec<u8>) {
        let mut pipe = (self.connect)(TransportKind::Polling);
        let more = more.into_iter();
        let more = more.map(|(name, value)| (name.to_owned(), value));
        let first = format!("{method} {} HTTP/1.1", self.target);
        let mut request = head(&first, self.headers.iter().cloned().chain(more)).into_bytes();
        request.extend_from_slice(body);
        pipe.send(request).await;
        let answer = Head::read(&mut pipe).await;
        let body = answer.body(&mut pipe).await;
        (answer, body)
    }
}

impl From<Packet<'_>> for Said {
    fn from(packet: Packet<'_>) -> Self {
        if let Packet::Message(Message::Binary(data)) = packet {
            return Self::Binary(data.into_owned().into());
        }
        let mut text = Vec::new();
        packet.encode_text(Revision::V4, &mut text);
        Self::Text(String::from_utf8(text).expect("a packet of text"))
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(packet) => packet.fmt(f),
            Self::Binary(data) => data.fmt(f),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
