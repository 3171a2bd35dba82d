//! Compression on bare streams, message by message.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use bytes::Bytes;
use sockeye_engine_proto::frame::compressed::{Compressor, Decoded, Decompressor, decode};
use sockeye_engine_proto::frame::{Frame, encode_frame};
use sockeye_engine_proto::{Compression, OpenPacket, OpenRequest, WireKind};
use sockeye_server::{Args, Data, DisconnectReason, Listener, Server, ServerConfig, Socket};
use sockeye_testkit::{Log, StreamPeer};

/// A native peer that may compress.
struct Peer {
    stream: StreamPeer,
    open: OpenPacket,
}

/// A frame, and whether it was compressed.
#[derive(Debug, PartialEq)]
struct Seen {
    compressed: bool,
    kind: WireKind,
    payload: Vec<u8>,
}

impl Peer {
    async fn open(listener: &Listener, compression: Option<Compression>) -> Self {
        let mut stream = StreamPeer::tcp(listener).await;
        let request = format!("0{}", OpenRequest::New { compression }.to_data());
        stream.send_text(&request).await;
        let open = stream.text().await;
        let open = OpenPacket::from_json(&open[1..]).unwrap();
        stream.send_text("40").await;
        let mut peer = Self { stream, open };
        assert!(!peer.next().await.compressed);
        peer
    }

    async fn offering(listener: &Listener) -> Self {
        let peer = Self::open(listener, Some(Compression::Deflate)).await;
        assert_eq!(peer.open.compression, Some(Compression::Deflate));
        peer
    }

    async fn next(&mut self) -> Seen {
        loop {
            let (seen, used) = match decode(&self.stream.read, 1 << 24).unwrap() {
                Decoded::NeedMore { .. } => {
                    assert!(self.stream.fill().await, "the stream goes on");
                    continue;
                }
                Decoded::Frame { frame, used } => {
                    let (kind, payload) = match frame {
                        Frame::Text(text) => (WireKind::Text, text.as_bytes().to_vec()),
                        Frame::Binary(data) => (WireKind::Binary, data.to_vec()),
                    };
                    let compressed = false;
                    (
                        Seen {
                            compressed,
                            kind,
                            payload,
                        },
                        used,
                    )
                }
                Decoded::Compressed { kind, data, used } => {
                    let payload = Decompressor::new().decompress(data, 1 << 24).unwrap();
                    let compressed = true;
                    (
                        Seen {
                            compressed,
                            kind,
                            payload,
                        },
                        used,
                    )
                }
            };
            self.stream.read.drain(..used);
            return seen;
        }
    }

    /// The next frame must be this text.
    async fn expect(&mut self, compressed: bool, text: &str) {
        let seen = self.next().await;
        assert_eq!(seen.kind, WireKind::Text);
        assert_eq!(String::from_utf8(seen.payload).unwrap(), text);
        assert_eq!(seen.compressed, compressed, "{} bytes", text.len());
    }

    async fn ended(&mut self) {
        while self.stream.fill().await {}
    }
}

fn compressed(kind: WireKind, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    assert!(Compressor::new().encode_frame(&mut frame, kind, payload));
    frame
}

/// Compressed, if that is shorter.
fn shortest(kind: WireKind, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    if !Compressor::new().encode_frame(&mut frame, kind, payload) {
        encode_frame(&mut frame, kind, payload);
    }
    frame
}

fn config(from: Option<usize>) -> ServerConfig {
    ServerConfig::default().engine(|engine| engine.stream_compression(from))
}

async fn serve(config: ServerConfig) -> (Server, Listener, Log<String>) {
    let io = Server::with_config(config).unwrap();
    let log = Log::<String>::new();
    let left = log.clone();
    io.on("echo", |socket: Socket, args: Args| {
        socket.emit("echo", args)
    });
    io.on("twice", |Data(text): Data<String>| text.repeat(2));
    io.on_disconnect(move |reason: DisconnectReason| left.push(reason.to_string()));
    let listener = io.listen("tcp://127.0.0.1:0").await.unwrap();
    (io, listener, log)
}

#[tokio::test]
async fn each_message_is_compressed_by_its_own_size_and_flag() {
    let (io, listener, _log) = serve(ServerConfig::default()).await;
    let mut peer = Peer::offering(&listener).await;
    let socket = io.sockets().remove(0);
    // The whole packet counts: `42["x","…"]`.
    let (short, long) = ("a".repeat(1024 - 11), "a".repeat(1024 - 10));
    let text = |text: &str| format!(r#"42["x","{text}"]"#);
    socket.emit("x", &short).unwrap();
    peer.expect(false, &text(&short)).await;
    socket.emit("x", &long).unwrap();
    peer.expect(true, &text(&long)).await;
    socket.compress(false).emit("x", &long).unwrap();
    peer.expect(false, &text(&long)).await;
    socket.compress(true).emit("x", &long).unwrap();
    peer.expect(true, &text(&long)).await;
    // What does not shrink goes as it is.
    let mut random = vec![0; 5000];
    getrandom::fill(&mut random).unwrap();
    for (data, shrinks) in [(random, false), (vec![9; 5000], true)] {
        socket.emit("x", Bytes::from(data.clone())).unwrap();
        peer.expect(false, r#"451-["x",{"_placeholder":true,"num":0}]"#)
            .await;
        let seen = peer.next().await;
        assert_eq!((seen.compressed, seen.kind), (shrinks, WireKind::Binary));
        assert_eq!(seen.payload, data);
    }
}

#[tokio::test]
async fn peer_may_compress_what_it_likes() {
    let (_io, listener, _log) = serve(ServerConfig::default()).await;
    let mut peer = Peer::offering(&listener).await;
    // Of every size, cut anywhere, with others between them.
    for size in [10, 2000, 70_000, 900_000] {
        let event = format!(r#"42["echo","{}"]"#, "né ".repeat(size / 4));
        let mut bytes = shortest(WireKind::Text, event.as_bytes());
        encode_frame(&mut bytes, WireKind::Text, br#"421["twice","ab"]"#);
        let header = br#"451-["echo",{"_placeholder":true,"num":0}]"#;
        encode_frame(&mut bytes, WireKind::Text, header);
        bytes.extend(shortest(WireKind::Binary, &vec![7; size]));
        for piece in bytes.chunks(701) {
            peer.stream.write(piece).await;
            tokio::task::yield_now().await;
        }
        peer.expect(event.len() >= 1024, &event).await;
        peer.expect(false, r#"431["abab"]"#).await;
        peer.expect(false, std::str::from_utf8(header).unwrap())
            .await;
        let seen = peer.next().await;
        assert_eq!(seen.payload, vec![7; size]);
    }
}

#[tokio::test]
async fn large_compressed_frames_come_whole() {
    let (_io, listener, _log) = serve(ServerConfig::default()).await;
    let mut peer = Peer::offering(&listener).await;
    // Hexadecimal digits of random bytes shrink to a half, which is more than one read.
    let mut random = vec![0; 200_000];
    getrandom::fill(&mut random).unwrap();
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let event = format!(r#"42["echo","{digits}"]"#);
    let frame = compressed(WireKind::Text, event.as_bytes());
    assert!(frame.len() > 150_000);
    peer.stream.write(&frame).await;
    peer.expect(true, &event).await;
    let frame = compressed(WireKind::Binary, digits.as_bytes());
    peer.stream
        .send_text(r#"451-["echo",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.stream.write(&frame).await;
    peer.next().await;
    assert_eq!(peer.next().await.payload, digits.as_bytes());
}

#[tokio::test]
async fn acknowledgements_are_compressed_too() {
    let (_io, listener, _log) = serve(ServerConfig::default()).await;
    let mut peer = Peer::offering(&listener).await;
    let text = "b".repeat(1000);
    peer.stream
        .send_text(&format!(r#"427["twice","{text}"]"#))
        .await;
    peer.expect(true, &format!(r#"437["{text}{text}"]"#)).await;
}

#[tokio::test]
async fn broadcast_reaches_compressing_peers_and_others() {
    let (io, listener, _log) = serve(ServerConfig::default()).await;
    let mut first = Peer::offering(&listener).await;
    let mut second = Peer::offering(&listener).await;
    let mut plain = Peer::open(&listener, None).await;
    let long = "c".repeat(5000);
    io.emit("x", &long).unwrap();
    io.compress(false).emit("x", &long).unwrap();
    let text = format!(r#"42["x","{long}"]"#);
    for peer in [&mut first, &mut second] {
        peer.expect(true, &text).await;
        peer.expect(false, &text).await;
    }
    plain.expect(false, &text).await;
    plain.expect(false, &text).await;
}

#[tokio::test]
async fn who_offers_nothing_sees_nothing() {
    let (_io, listener, log) = serve(ServerConfig::default()).await;
    let mut plain = StreamPeer::tcp(&listener).await;
    plain.write(b"\x010").await;
    let open = plain.text().await;
    assert_eq!(open.len(), 107);
    assert!(!open.contains("compress"));
    plain.send_text("40").await;
    assert!(plain.text().await.starts_with("40"));
    // To compress without an agreement is a violation.
    plain.write(compressed(WireKind::Text, &[b'4'; 100])).await;
    assert_eq!(log.next().await, "transport error");
    assert!(!plain.fill().await);
}

#[tokio::test]
async fn server_may_do_without() {
    let (_io, listener, _log) = serve(config(None)).await;
    let mut peer = Peer::open(&listener, Some(Compression::Deflate)).await;
    assert_eq!(peer.open.compression, None);
    let event = format!(r#"42["echo","{}"]"#, "d".repeat(5000));
    peer.stream.send_text(&event).await;
    peer.expect(false, &event).await;
}

#[tokio::test]
async fn threshold_is_the_servers_to_set() {
    let (_io, listener, _log) = serve(config(Some(0))).await;
    let mut peer = Peer::offering(&listener).await;
    let event = r#"42["echo","dddddddddddddddddddddddddddd"]"#;
    peer.stream.send_text(event).await;
    peer.expect(true, event).await;
}

#[tokio::test]
async fn bombs_and_rubbish_end_their_connection_only() {
    let (io, listener, log) = serve(ServerConfig::default()).await;
    let mut bystander = Peer::offering(&listener).await;
    let bomb = compressed(WireKind::Binary, &vec![0; 20_000_000]);
    assert!(bomb.len() < 100_000);
    let mut broken = compressed(WireKind::Text, &[b'4'; 1000]);
    broken.pop();
    let end = broken.len() - 1;
    broken[1] = u8::try_from(end - 1).unwrap();
    let mut no_text = compressed(WireKind::Text, &[0xff; 1000]);
    no_text.extend([1, b'6']);
    for bytes in [bomb, broken, no_text, vec![0, 0], vec![0, 1, 0xff]] {
        let mut peer = Peer::offering(&listener).await;
        peer.stream.write(&bytes).await;
        assert_eq!(log.next().await, "transport error");
        peer.ended().await;
    }
    io.emit("x", ()).unwrap();
    bystander.expect(false, r#"42["x"]"#).await;
}
