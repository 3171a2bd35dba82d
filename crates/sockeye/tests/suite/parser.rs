//! A stranger's parser: a format of packets that the library does not know, brought along by an application.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::time::Duration;

use sockeye::client::Socket as ClientSocket;
use sockeye::parser::{Decoder, Message, Packet, PacketType, Parser, ParserError, SocketRevision};
use sockeye::{
    AckError, Args, Bytes, Client, ClientConfig, ConnectionConfig, Data, EmitError, Refusal,
    Revision, Server, ServerConfig, Socket, TransportKind,
};
use tokio::sync::mpsc;

/// One binary message for each packet: its type, an id or none, and everything else with its length in front.
#[derive(Debug)]
struct Tagged;

/// Reads them; there is nothing to keep.
#[derive(Debug)]
struct TaggedDecoder;

const TYPES: [PacketType; 5] = [
    PacketType::Connect,
    PacketType::Disconnect,
    PacketType::Event,
    PacketType::Ack,
    PacketType::ConnectError,
];

impl Parser for Tagged {
    fn encode(
        &self,
        packet: &Packet<'_>,
        _revision: SocketRevision,
    ) -> Result<Vec<Message<'static>>, ParserError> {
        if packet.payload.contains("unspeakable") {
            return Err(ParserError::new("there are things that are not said"));
        }
        let mut out = vec![
            u8::try_from(TYPES.iter().position(|kind| *kind == packet.kind).unwrap()).unwrap(),
        ];
        out.push(packet.ack_id.is_some().into());
        out.extend(packet.ack_id.unwrap_or_default().to_be_bytes());
        let texts = [&packet.namespace, &packet.payload].map(|text| text.as_bytes());
        let attachments = packet.attachments.iter().map(|data| &data[..]);
        for part in texts.into_iter().chain(attachments) {
            out.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            out.extend(part);
        }
        Ok(vec![Message::Binary(out.into())])
    }

    fn decoder(&self, _: SocketRevision, _: &ConnectionConfig) -> Box<dyn Decoder> {
        Box::new(TaggedDecoder)
    }
}

impl Decoder for TaggedDecoder {
    fn decode<'a>(&mut self, message: Message<'a>) -> Result<Option<Packet<'a>>, ParserError> {
        let Message::Binary(mut rest) = message else {
            return Err(ParserError::new("a text"));
        };
        let mut take = |len: usize| match rest.len() < len {
            true => Err(ParserError::new("too short")),
            false => Ok(rest.split_to(len)),
        };
        let head = take(10)?;
        let kind = TYPES.get(usize::from(head[0])).copied();
        let id = u64::from_be_bytes(head[2..].try_into().unwrap());
        let mut parts = Vec::new();
        while let Ok(len) = take(4) {
            let len = u32::from_be_bytes(len[..].try_into().unwrap());
            parts.push(take(len as usize)?);
        }
        let attachments = parts.split_off(2.min(parts.len()));
        let text = |part: &Bytes| String::from_utf8(part.to_vec()).map_err(ParserError::new);
        let [namespace, payload] = &parts[..] else {
            return Err(ParserError::new("no namespace, or no payload"));
        };
        Ok(Some(Packet {
            kind: kind.ok_or_else(|| ParserError::new("an unknown type"))?,
            namespace: text(namespace)?.into(),
            ack_id: (head[1] == 1).then_some(id),
            payload: text(payload)?.into(),
            attachments: attachments.into(),
        }))
    }
}

fn server() -> Server {
    let io = Server::with_config(ServerConfig::default().parser(Tagged)).unwrap();
    io.on("echo", |args: Args| args);
    io.on("sum", async |Data(numbers): Data<Vec<i64>>| {
        numbers.iter().sum::<i64>()
    });
    io.on("unanswerable", || "unspeakable");
    io.on("join", |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        true
    });
    io.of("/closed")
        .middleware(async |_: Socket| Err::<(), _>(Refusal::new("closed")));
    io.of("/open").on("where", |socket: Socket| {
        socket.namespace().name().to_owned()
    });
    io
}

/// The ways to the server: transports, and what is spoken over them.
fn ways() -> Vec<(&'static str, Vec<TransportKind>, Revision)> {
    let (polling, websocket) = (TransportKind::Polling, TransportKind::WebSocket);
    vec![
        ("http://127.0.0.1:0", vec![polling], Revision::V4),
        ("http://127.0.0.1:0", vec![websocket], Revision::V4),
        ("http://127.0.0.1:0", vec![polling, websocket], Revision::V4),
        ("http://127.0.0.1:0", vec![polling], Revision::V3),
        ("http://127.0.0.1:0", vec![websocket], Revision::V3),
        ("tcp://127.0.0.1:0", Vec::new(), Revision::V4),
    ]
}

fn config(
    config: ClientConfig,
    transports: Vec<TransportKind>,
    revision: Revision,
) -> ClientConfig {
    let config = config.connector(|connector| {
        let connector = connector.revision(revision);
        match transports.is_empty() {
            true => connector,
            false => connector.transports(transports),
        }
    });
    config.reconnection(None)
}

/// A server, and a client of it on each of the ways.
async fn clients(io: &Server) -> Vec<(ClientSocket, mpsc::UnboundedReceiver<(String, Args)>)> {
    let mut clients = Vec::new();
    for (url, transports, revision) in ways() {
        let listener = io.listen(url).await.unwrap();
        let (sender, heard) = mpsc::unbounded_channel();
        let news = sender.clone();
        let socket = Client::builder(listener.url())
            .config(|old| config(old.parser(Tagged), transports, revision))
            .on("news", move |args: Args| {
                let _ = news.send(("news".to_owned(), args));
            })
            .on("ask", |args: Args| args)
            .connect()
            .await
            .unwrap();
        clients.push((socket, heard));
    }
    clients
}

/// Nested, with bytes in two places, and with text that is not ASCII.
fn mixed() -> (u64, Vec<Option<Bytes>>, String, Bytes) {
    let bytes = Bytes::from_static(&[0, 0x1e, 255]);
    (
        u64::MAX,
        vec![None, Some(bytes.clone())],
        "né😀\u{1e}".to_owned(),
        bytes,
    )
}

#[tokio::test]
async fn events_acknowledgements_and_attachments_go_both_ways() {
    let io = server();
    let clients = clients(&io).await;
    for (socket, _) in &clients {
        let sum: i64 = socket.emit_with_ack("sum", vec![1, 2, 3]).await.unwrap();
        assert_eq!(sum, 6);
        let echo: (u64, Vec<Option<Bytes>>, String, Bytes) =
            socket.emit_with_ack("echo", mixed()).await.unwrap();
        assert_eq!(echo, mixed());
        socket.emit_with_ack::<()>("echo", ()).await.unwrap();
    }
    for socket in io.sockets() {
        let answer: (u64, Vec<Option<Bytes>>, String, Bytes) =
            socket.emit_with_ack("ask", mixed()).await.unwrap();
        assert_eq!(answer, mixed());
    }
}

#[tokio::test]
async fn broadcast_reaches_rooms_and_collects_answers() {
    let io = server();
    let mut clients = clients(&io).await;
    for (socket, _) in &clients[1..] {
        assert!(socket.emit_with_ack::<bool>("join", "red").await.unwrap());
    }
    io.to("red").emit("news", mixed()).unwrap();
    io.emit("news", "last").unwrap();
    for (index, (_, heard)) in clients.iter_mut().enumerate() {
        if index > 0 {
            let (_, args) = heard.recv().await.unwrap();
            let args: (u64, Vec<Option<Bytes>>, String, Bytes) = args.deserialize().unwrap();
            assert_eq!(args, mixed());
        }
        let (_, args) = heard.recv().await.unwrap();
        assert_eq!(args.deserialize::<String>().unwrap(), "last");
    }
    let answers = io.to("red").emit_with_ack::<u8>("ask", 7).unwrap();
    let answers = answers.await;
    assert_eq!(answers.answers.len(), clients.len() - 1);
}

#[tokio::test]
async fn namespaces_are_joined_refused_and_left() {
    let io = server();
    for (socket, _) in clients(&io).await {
        let client = socket.client();
        let error = client.socket("/closed").connect().await.unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
        let error = client.socket("/nowhere").connect().await.unwrap_err();
        assert!(error.to_string().contains("Invalid namespace"), "{error}");
        let open = client.socket("/open");
        open.connect().await.unwrap();
        let namespace: String = open.emit_with_ack("where", ()).await.unwrap();
        assert_eq!(namespace, "/open");
        let there = io.of("/open").sockets().remove(0);
        open.disconnect();
        while there.connected() {
            tokio::task::yield_now().await;
        }
        socket.emit_with_ack::<()>("echo", ()).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_parser_cannot_write_is_an_error_of_who_emits() {
    let io = server();
    let said = "cannot encode event \"news\": there are things that are not said";
    for (socket, mut heard) in clients(&io).await {
        let error = socket.emit("news", "unspeakable").unwrap_err();
        let EmitError::Encode(error) = error else {
            panic!("{error}")
        };
        assert_eq!(error.to_string(), said);
        let there = io.sockets().remove(0);
        let error = there.emit("news", "unspeakable").unwrap_err();
        assert_eq!(
            std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string),
            said
        );
        // Who waits for an answer hears that there is none, and of a broadcast nobody hears.
        let answer = socket.emit_with_ack::<String>("unanswerable", ()).await;
        let Err(AckError::Refused(refusal)) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(refusal.message(), "internal error");
        io.emit("news", "unspeakable").unwrap();
        io.emit("news", "speakable").unwrap();
        let (_, args) = heard.recv().await.unwrap();
        assert_eq!(args.deserialize::<String>().unwrap(), "speakable");
        socket.disconnect();
        while there.connected() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn peer_with_another_format_is_not_understood() {
    let io = server();
    for (url, transports, revision) in ways() {
        let listener = io.listen(url).await.unwrap();
        let result = Client::builder(listener.url())
            .config(|old| config(old, transports, revision).timeout(Duration::from_secs(60)))
            .connect()
            .await;
        assert!(result.is_err(), "{result:?}");
    }
}
