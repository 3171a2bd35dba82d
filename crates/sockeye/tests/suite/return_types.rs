//! What methods give can be kept in an application's own types, as all of it has a name.
//!
//! Nothing of this runs: that it compiles is the test.

#![expect(
    dead_code,
    reason = "these are names, and nobody asks for what has them"
)]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sockeye::client;
use sockeye::{
    AckError, AckFuture, AckSummary, Added, Answerer, Args, ArgsError, BroadcastAcks,
    BroadcastOperator, BytesOut, Client, ClientBuilder, ClientConfig, ConnectError,
    ConnectionConfig, DecodeError, EmitError, EncodeError, EncodeErrorKind, Handshake,
    HandshakeDetails, Incomplete, LayeredServer, ListenError, ListenOptions, ListenUrl,
    ListenUrlError, Listener, ListenerId, Listeners, Namespace, NetSocket, ParentNamespace,
    PatternError, PeerCredentials, RawArgs, RemoteSocket, Revision, Server, ServerConfig,
    ServerLayer, ServerService, ServerSideError, SessionHandshake, Socket, TransportKind, Value,
};
use tower::Layer;

/// A service of an application, with the server around it.
struct Application {
    io: Server,
    root: Namespace,
    rooms: ParentNamespace,
    everyone: BroadcastOperator,
    in_all_rooms: BroadcastOperator<ParentNamespace>,
    layer: ServerLayer,
    layered: LayeredServer<String>,
    service: ServerService,
    doors: Vec<Listener>,
    handler: ListenerId,
}

async fn server(
    config: ServerConfig,
    options: ListenOptions,
) -> Result<Application, Box<dyn Error>> {
    let io: Server = Server::with_config(config)?;
    let opened: Result<Listener, ListenError> = io.listen_with("http://:0", options).await;
    let rooms: Result<ParentNamespace, PatternError> = io.of_pattern("/{room}");
    let rooms = rooms?;
    let added: Added<'_, Socket> = io.on("x", || ());
    let handler = added.id();
    let url: Result<ListenUrl, ListenUrlError> = "tcp://:0".parse();
    let _: ListenUrl = url?;
    Ok(Application {
        root: io.of("/"),
        everyone: io.to("a").except("b").timeout(Duration::ZERO),
        in_all_rooms: rooms.to("a"),
        layer: io.layer(),
        layered: Layer::layer(&io.layer(), "another service".to_owned()),
        service: io.service(),
        doors: vec![opened?],
        handler,
        rooms,
        io,
    })
}

async fn cluster(io: &Server) -> Result<(), Box<dyn Error>> {
    let found: Result<Vec<RemoteSocket>, Incomplete<RemoteSocket>> = io.fetch_sockets().await;
    for socket in found? {
        let _: &HandshakeDetails = socket.handshake();
        let _: Result<u8, AckError> = socket.emit_with_ack("x", ()).await;
    }
    let answers: Result<Vec<u8>, ServerSideError<u8>> = io.server_side_emit_with_ack("x", ()).await;
    let asked: Result<BroadcastAcks<u8>, EmitError> = io.emit_with_ack("x", ());
    let summary: AckSummary<u8> = asked?.await;
    let _: (Vec<u8>, Vec<(Answerer, u8)>) = (answers?, summary.answers);
    Ok(())
}

fn socket(socket: &Socket) {
    let _: (&Namespace, TransportKind, Revision) =
        (socket.namespace(), socket.transport(), socket.revision());
    let _: sockeye::Emission<'_> = socket.volatile();
    let _answer: AckFuture<Args> = socket.emit_with_ack("x", ());
    let _: &Listeners<Socket> = socket;
    let _: NetSocket = socket.net_socket();
    let handshake: &Handshake = socket.handshake();
    let request: &SessionHandshake = handshake;
    let _: Option<SocketAddr> = request.remote_addr();
    let _: Option<PeerCredentials> = request.peer_credentials();
    let _: Option<Value> = socket.shared_data();
}

async fn client(config: ClientConfig) -> Result<client::Socket, Box<dyn Error>> {
    let builder: ClientBuilder = Client::builder("http://localhost");
    let built: Result<client::Socket, client::ConfigError> = builder.config(|_| config).build();
    let socket = built?;
    let _: Client = socket.client();
    let _: Result<(), ConnectError> = socket.connect().await;
    let _: (Option<Arc<str>>, Option<NetSocket>) = (socket.id(), socket.net_socket());
    let _: client::Emission<'_> = socket.timeout(Duration::ZERO);
    let _answer: AckFuture<u8> = socket.emit_with_ack("x", ());
    let _: &Listeners<client::Socket> = &socket;
    Ok(socket)
}

fn arguments(config: &ConnectionConfig, error: &EncodeError) {
    let read: Result<RawArgs<'_>, DecodeError> = RawArgs::from_array("[]");
    let _: Option<Result<u8, ArgsError>> = read.ok().map(|args| args.deserialize());
    let _: (BytesOut, &EncodeErrorKind) = (config.bytes_out(), error.kind());
}
