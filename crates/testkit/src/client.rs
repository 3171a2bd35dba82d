use std::collections::VecDeque;

use sockeye_engine_proto::payload::{self, PayloadDialect};
use sockeye_engine_proto::{Limits, Message, OpenPacket, Packet, Revision, TransportKind};

use crate::{Frame, Net, Response, WebSocket};

/// What a behaviour is tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The transport that the session begins on.
    pub transport: TransportKind,
    /// The revision of the protocol.
    pub revision: Revision,
}

/// A client of Engine.IO. It sends and polls when told to, and answers nothing by itself, but for
/// the heartbeats that [`message`](Self::message) meets.
#[derive(Debug)]
pub struct Client {
    net: Net,
    case: Case,
    open: OpenPacket,
    /// `None` while the session is on polling.
    websocket: Option<WebSocket>,
    received: VecDeque<Packet<'static>>,
}

impl Case {
    /// Long-polling, revision 4.
    pub const POLLING: Self = Self {
        transport: TransportKind::Polling,
        revision: Revision::V4,
    };
    /// WebSocket, revision 4.
    pub const WEBSOCKET: Self = Self {
        transport: TransportKind::WebSocket,
        revision: Revision::V4,
    };
    /// Long-polling, revision 3.
    pub const POLLING_V3: Self = Self {
        transport: TransportKind::Polling,
        revision: Revision::V3,
    };
    /// WebSocket, revision 3.
    pub const WEBSOCKET_V3: Self = Self {
        transport: TransportKind::WebSocket,
        revision: Revision::V3,
    };

    /// Whether the session begins on long-polling.
    #[must_use]
    pub fn is_polling(self) -> bool {
        self.transport == TransportKind::Polling
    }

    /// Whether the revision is 3.
    #[must_use]
    pub fn is_v3(self) -> bool {
        self.revision == Revision::V3
    }

    /// The query of a handshake.
    #[must_use]
    pub fn query(self) -> String {
        let eio = if self.is_v3() { 3 } else { 4 };
        format!("EIO={eio}&transport={}", self.transport.name())
    }
}

impl Client {
    /// Opens a session.
    pub async fn open(net: &Net, case: Case) -> Self {
        Self::open_with(net, case, "").await
    }

    /// Opens a session with more in the query.
    pub async fn open_with(net: &Net, case: Case, query: &str) -> Self {
        let query = format!("{}{query}", case.query());
        let mut received = VecDeque::new();
        let mut websocket = None;
        if case.is_polling() {
            let response = net.get(&query).await;
            assert_eq!(response.status, 200, "{response:?}");
            received.extend(packets(&response, case.revision));
        } else {
            let mut opened = WebSocket::connect(net, &query)
                .await
                .expect("the server switches protocols");
            received.extend(packet(opened.next().await, case.revision));
            websocket = Some(opened);
        }
        let Some(Packet::Open(open)) = received.pop_front() else {
            panic!("the first packet is no open packet");
        };
        Self {
            net: net.clone(),
            case,
            open: OpenPacket::from_json(&open).expect("a valid open packet"),
            websocket,
            received,
        }
    }

    /// What the server said at first.
    #[must_use]
    pub const fn open_packet(&self) -> &OpenPacket {
        &self.open
    }

    /// The session's id.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.open.sid
    }

    /// What the client is tried with.
    #[must_use]
    pub const fn case(&self) -> Case {
        self.case
    }

    /// The way to the server.
    #[must_use]
    pub const fn net(&self) -> &Net {
        &self.net
    }

    /// The query of a request of this session.
    #[must_use]
    pub fn query(&self) -> String {
        let case = Case {
            transport: TransportKind::Polling,
            ..self.case
        };
        format!("{}&sid={}", case.query(), self.open.sid)
    }

    /// The WebSocket that carries the session.
    pub fn websocket(&mut self) -> &mut WebSocket {
        self.websocket.as_mut().expect("a session on a WebSocket")
    }

    /// A GET of this session.
    pub async fn get(&self) -> Response {
        self.net.get(&self.query()).await
    }

    /// A GET that is under way: it is sent, and its answer is waited for elsewhere.
    pub async fn begin_get(&self) -> crate::Http {
        let mut http = self.net.http().await;
        http.send(&self.net.to_get(&self.query())).await;
        http
    }

    /// A POST of this session, whatever the body.
    pub async fn post(&self, body: impl Into<Vec<u8>>) -> Response {
        self.net.post(&self.query(), body).await
    }

    /// A POST with these packets.
    pub async fn post_packets(&self, packets: &[Packet<'_>]) -> Response {
        let dialect = PayloadDialect::new(self.case.revision);
        let mut payload = payload::Encoder::new(&dialect, usize::MAX);
        for packet in packets {
            assert!(payload.push(packet), "a payload without end takes all");
        }
        let payload = payload.finish();
        let request = self
            .net
            .to_get(&self.query())
            .method("POST")
            .header("content-type", payload.content_type());
        self.net.request(&request.body(payload.body)).await
    }

    /// Sends packets, in one POST if on polling.
    pub async fn send(&mut self, packets: &[Packet<'_>]) {
        let revision = self.case.revision;
        let Some(websocket) = &mut self.websocket else {
            let response = self.post_packets(packets).await;
            assert_eq!(response.brief(), (200, "ok"));
            return;
        };
        for packet in packets {
            let mut bytes = Vec::new();
            match packet.encode(revision, &mut bytes) {
                sockeye_engine_proto::WireKind::Text => {
                    let text = String::from_utf8(bytes).expect("a packet of text");
                    websocket.text(&text).await;
                }
                sockeye_engine_proto::WireKind::Binary => websocket.binary(&bytes).await,
            }
        }
    }

    /// Sends a text message.
    pub async fn send_text(&mut self, text: &str) {
        self.send(&[Packet::text(text)]).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.send(&[Packet::binary(data)]).await;
    }

    /// Waits for the next packet, polling if that is how; `None` when the transport ends or a
    /// poll is refused.
    pub async fn next(&mut self) -> Option<Packet<'static>> {
        loop {
            if let Some(packet) = self.received.pop_front() {
                return Some(packet);
            }
            match &mut self.websocket {
                Some(websocket) => return packet(websocket.next().await, self.case.revision),
                None => {
                    let response = self.get().await;
                    if response.status != 200 {
                        return None;
                    }
                    self.received.extend(packets(&response, self.case.revision));
                }
            }
        }
    }

    /// Waits for the next message, answering heartbeats; `None` when the session ends.
    pub async fn message(&mut self) -> Option<Message<'static>> {
        loop {
            match self.next().await? {
                Packet::Message(message) => return Some(message),
                Packet::Close => return None,
                Packet::Ping(data) => self.send(&[Packet::Pong(data)]).await,
                _ => {}
            }
        }
    }

    /// Waits for the next message, which is a text.
    pub async fn text(&mut self) -> String {
        match self.message().await {
            Some(Message::Text(text)) => text.into_owned(),
            other => panic!("{other:?} instead of a text"),
        }
    }

    /// Opens the WebSocket that the session may move to.
    pub async fn open_websocket(&self) -> WebSocket {
        let case = Case {
            transport: TransportKind::WebSocket,
            ..self.case
        };
        let query = format!("{}&sid={}", case.query(), self.open.sid);
        let opened = WebSocket::connect(&self.net, &query).await;
        opened.expect("the server switches protocols")
    }

    /// Moves the session to a WebSocket.
    pub async fn upgrade(&mut self) {
        let mut websocket = self.open_websocket().await;
        websocket.text("2probe").await;
        assert_eq!(websocket.next_text().await, "3probe");
        websocket.text("5").await;
        self.websocket = Some(websocket);
    }

    /// Goes on with a WebSocket that the test has upgraded to.
    pub fn set_websocket(&mut self, websocket: WebSocket) {
        self.websocket = Some(websocket);
    }

    /// Waits until the server has hung up, where there is a connection to hang up.
    pub async fn hung_up(&mut self) {
        if let Some(websocket) = &mut self.websocket {
            websocket.closed().await;
        }
    }

    /// Gives the WebSocket out of hand.
    #[must_use]
    pub fn into_websocket(self) -> WebSocket {
        self.websocket.expect("a session on a WebSocket")
    }
}

/// The packets of an answer to a poll.
fn packets(response: &Response, revision: Revision) -> Vec<Packet<'static>> {
    let kind = payload::content_kind(response.header("content-type"));
    let limits = Limits::default()
        .max_payload(usize::MAX)
        .max_packets_per_payload(usize::MAX);
    let mut dialect = PayloadDialect::new(revision).trust_text();
    payload::decode(kind, &response.body, &limits, &mut dialect)
        .map(|packet| packet.expect("a valid payload").into_owned())
        .collect()
}

/// The packet in a frame; `None` if the frame ends the WebSocket.
fn packet(frame: Option<Frame>, revision: Revision) -> Option<Packet<'static>> {
    let packet = match frame? {
        Frame::Text(text) => Packet::decode_text(revision, &text).map(Packet::into_owned),
        Frame::Binary(data) => Packet::decode_binary(revision, &data).map(Packet::into_owned),
        Frame::Close(_) => return None,
        other => panic!("{other:?} instead of a packet"),
    };
    Some(packet.expect("a valid packet"))
}
