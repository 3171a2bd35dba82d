//! Transports of the application's own.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use sockeye_client::transport::{
    Carrier, Lane, OpenPacket, OpenedTransport, Opening, Outlet, Outward, Packet, Probe, Revision,
    Transport, TransportEnd, TransportTarget, Upper,
};
use sockeye_client::{
    Args, Client, ClientBuilder, DisconnectReason, Reconnection, Socket, TransportKind,
};
use sockeye_engine::{Agreed, Io, Upgraded, Wire};
use sockeye_server::{ConnectionInfo, ListenOptions, Server};
use sockeye_websocket::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

const REVISION: Revision = Revision::V4;

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.unwrap()
}

/// A packet as the pipe carries it.
#[derive(Debug)]
enum Said {
    Text(String),
    Binary(Bytes),
}

/// Packets over a pipe, in frames that a task of its own writes and reads.
#[derive(Debug)]
struct Pipe {
    incoming: mpsc::Receiver<Said>,
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    has_ended: bool,
}

/// A frame of a short packet.
fn frame(packet: &[u8], binary: bool) -> Vec<u8> {
    let len = u8::try_from(packet.len()).unwrap();
    assert!(len < 126, "the packets of this test are short");
    let mut frame = vec![len | if binary { 0x80 } else { 0 }];
    frame.extend_from_slice(packet);
    frame
}

impl Pipe {
    fn new(stream: DuplexStream) -> Self {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (give, incoming) = mpsc::channel(1);
        let (outgoing, mut take) = mpsc::unbounded_channel::<Vec<u8>>();
        tokio::spawn(async move {
            while let Ok(header) = reader.read_u8().await {
                let mut packet = vec![0; usize::from(header & 0x7f)];
                reader.read_exact(&mut packet).await.unwrap();
                let said = match header & 0x80 {
                    0 => Said::Text(String::from_utf8(packet).unwrap()),
                    _ => Said::Binary(packet.into()),
                };
                if give.send(said).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(frame) = take.recv().await {
                if writer.write_all(&frame).await.is_err() {
                    return;
                }
            }
        });
        Self {
            incoming,
            outgoing,
            has_ended: false,
        }
    }

    fn say(&self, packet: Outward<'_>) -> bool {
        let frame = match packet {
            Outward::Packet(packet) => {
                let mut bytes = Vec::new();
                packet.encode_text(REVISION, &mut bytes);
                frame(&bytes, false)
            }
            Outward::Text { packet, .. } => frame(packet.as_bytes(), false),
            Outward::Binary { data, .. } => frame(data, true),
        };
        self.outgoing.send(frame).is_ok()
    }
}

impl Carrier for Pipe {
    fn outlet(&self) -> Outlet {
        Outlet::packets(true)
    }

    fn read(&mut self, ready: bool, upper: &mut dyn Upper, cx: &mut Context<'_>) -> bool {
        if !ready || self.has_ended {
            return false;
        }
        match self.incoming.poll_recv(cx) {
            Poll::Pending => return false,
            Poll::Ready(None) => {
                self.has_ended = true;
                upper.handle_closed(TransportEnd::Eof);
            }
            Poll::Ready(Some(Said::Binary(data))) => {
                upper.handle_packet(Packet::binary(&data[..]), cx);
            }
            Poll::Ready(Some(Said::Text(text))) => {
                let now = upper.now();
                match Packet::decode_text(REVISION, &text) {
                    Ok(packet) => drop(upper.handle_packet(packet, cx)),
                    Err(_) => upper.session().handle_decode_error(now, Lane::Current),
                }
            }
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

/// Reaches a server in this process, unless it is told to fail.
#[derive(Debug)]
struct Pipes {
    server: Server,
    opened: Arc<AtomicUsize>,
    failures: AtomicUsize,
}

impl Transport for Pipes {
    fn kind(&self) -> TransportKind {
        TransportKind::WebTransport
    }

    fn open(&self, target: TransportTarget) -> Opening<OpenedTransport> {
        assert_eq!(target.revision, REVISION);
        let path = "http://nowhere/socket.io/?token=t&EIO=4&transport=webtransport";
        assert_eq!(target.to_url(), path);
        assert!(target.sid.is_none() && target.headers.contains_key("x-way"));
        let failures = self.failures.load(Ordering::Relaxed);
        if failures > 0 {
            self.failures.store(failures - 1, Ordering::Relaxed);
            return Box::pin(async { Err("the pipes are clogged".into()) });
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        let server = self.server.clone();
        Box::pin(async move {
            let (near, far) = duplex(4096);
            server.serve_stream(far, ConnectionInfo::default(), ListenOptions::default());
            let mut pipe = Pipe::new(near);
            pipe.say(Outward::Text {
                packet: "0",
                compress: false,
            });
            let Some(Said::Text(text)) = pipe.incoming.recv().await else {
                return Err("the server does not open a session".into());
            };
            let open = text.strip_prefix('0').ok_or("no open packet")?;
            Ok(OpenedTransport::new(OpenPacket::from_json(open)?, pipe))
        })
    }
}

fn server() -> Server {
    let io = Server::new();
    io.on("echo", |args: Args| args);
    io
}

fn over_pipes(io: &Server, failures: usize) -> (ClientBuilder, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let pipes = Pipes {
        server: io.clone(),
        opened: Arc::clone(&opened),
        failures: AtomicUsize::new(failures),
    };
    let builder = Client::builder("http://nowhere/?token=t").config(|config| {
        config.connector(|connector| {
            connector
                .transport(pipes)
                .transports([TransportKind::WebTransport])
                .transport_options(TransportKind::WebTransport, |options| {
                    options.header("x-way".parse().unwrap(), "pipe".parse().unwrap())
                })
        })
    });
    (builder, opened)
}

async fn assert_echo(socket: &Socket) {
    let answer: (u32, Bytes) = soon(socket.emit_with_ack("echo", (7, Bytes::from("raw"))))
        .await
        .unwrap();
    assert_eq!(answer, (7, Bytes::from("raw")));
}

#[tokio::test(start_paused = true)]
async fn session_lives_on_a_transport_of_the_application() {
    let io = server();
    let (builder, opened) = over_pipes(&io, 0);
    let (lost, mut losses) = mpsc::unbounded_channel();
    let socket = builder
        .reconnection(Reconnection::default().delay(Duration::from_millis(10)))
        .listeners(|socket| {
            socket.on_disconnect(move |reason: DisconnectReason| lost.send(reason).unwrap());
        })
        .connect()
        .await
        .unwrap();
    assert_eq!(socket.transport(), Some(TransportKind::WebTransport));
    assert_echo(&socket).await;
    // Some heartbeats later.
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(socket.connected());
    assert_echo(&socket).await;

    // The server breaks off, and is found again.
    let all = socket.client();
    io.sockets()[0].disconnect();
    assert_eq!(
        losses.recv().await,
        Some(DisconnectReason::IoServerDisconnect)
    );
    all.closed().await;
    socket.connect().await.unwrap();
    assert_echo(&socket).await;
    assert_eq!(opened.load(Ordering::Relaxed), 2);
    socket.client().close().await;
}

#[tokio::test(start_paused = true)]
async fn failure_of_the_transport_is_that_of_the_attempt() {
    let io = server();
    let (builder, _) = over_pipes(&io, 1);
    let socket = builder.reconnection(None).build().unwrap();
    let error = format!("{:#}", socket.connect().await.unwrap_err());
    let text = "no session over webtransport: the pipes are clogged";
    assert!(error.ends_with(text), "{error}");
    socket.connect().await.unwrap();
}

/// A WebSocket whose handshake is the application's.
#[derive(Debug)]
struct ByHand(Arc<AtomicUsize>);

impl Transport for ByHand {
    fn kind(&self) -> TransportKind {
        TransportKind::WebSocket
    }

    fn open(&self, _: TransportTarget) -> Opening<OpenedTransport> {
        panic!("it is only for sessions that are there");
    }

    fn upgrade(&self, target: TransportTarget) -> Opening<Box<dyn Probe>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let sid = target.sid.as_deref().ok_or("no session")?;
            assert!(target.path_and_query.ends_with(sid));
            let place = (target.url.host().unwrap(), target.url.port().unwrap());
            let mut stream = TcpStream::connect(place).await?;
            let path = &target.path_and_query;
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: nowhere\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await?);
            }
            assert!(answer.starts_with(b"HTTP/1.1 101 "));
            let upgraded = Upgraded {
                io: Io::tcp(stream, None),
                read: Bytes::new(),
                deflate: None,
            };
            let wire = Wire::websocket(upgraded, 1 << 20, Role::Client);
            Ok(wire.probe(TransportKind::WebSocket, Agreed::Nothing))
        })
    }
}

#[tokio::test]
async fn session_moves_to_a_transport_of_the_application() {
    let io = server();
    let listener = io.listen("http://127.0.0.1:0").await.unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let by_hand = ByHand(Arc::clone(&count));
    let socket = Client::builder(listener.url())
        .config(|config| config.connector(|connector| connector.transport(by_hand)))
        .connect();
    let socket = soon(socket).await.unwrap();
    soon(async {
        while io.sockets()[0].transport() != TransportKind::WebSocket {
            assert_echo(&socket).await;
        }
    })
    .await;
    assert_echo(&socket).await;
    assert_eq!(socket.transport(), Some(TransportKind::WebSocket));
    assert_eq!(count.load(Ordering::Relaxed), 1);
    soon(socket.client().close()).await;
}

#[tokio::test]
async fn panic_of_the_transport_fails_the_attempt() {
    let socket = Client::builder("ws://nowhere")
        .reconnection(None)
        .config(|config| {
            config.connector(|connector| {
                connector
                    .transport(ByHand(Arc::default()))
                    .transports([TransportKind::WebSocket])
            })
        });
    let error = format!("{:#}", soon(socket.connect()).await.unwrap_err());
    let text = "the application's transport panicked";
    assert!(error.ends_with(text), "{error}");
}
