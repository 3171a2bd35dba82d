//! What methods give, and what settings take, can be kept in an application's own types, as all of it has a name: here of
//! a client alone, without the names that only a server brings.
//!
//! Nothing of this runs: that it compiles is the test.

#![expect(
    dead_code,
    reason = "these are names, and nobody asks for what has them"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sockeye_client::{
    AckFuture, Added, Args, ArgsError, BytesOut, Client, ClientBuilder, ClientConfig, ConfigError,
    ConnectError, ConnectionConfig, DecodeError, DialError, Emission, EncodeError, EncodeErrorKind,
    EventStream, ListenerId, Listeners, NetSocket, OpenError, PeerCredentials, ProxyUrl,
    ProxyUrlError, RawArgs, ReceivedEvent, ResponseError, Revision, Socket, StrayPackets,
    TransportKind, UnixProblem,
};

async fn socket(config: ClientConfig) -> Result<Socket, Box<dyn Error>> {
    let builder: ClientBuilder = Client::builder("http://localhost");
    let built: Result<Socket, ConfigError> = builder.config(|_| config).build();
    let socket = built?;
    let _: Client = socket.client();
    let _: Result<(), ConnectError> = socket.connect().await;
    let _: Option<Arc<str>> = socket.id();
    let _: Emission<'_> = socket.timeout(Duration::ZERO);
    let _answer: AckFuture<u8> = socket.emit_with_ack("x", ());
    let _: &Listeners<Socket> = &socket;
    let added: Added<'_, Socket> = socket.on("x", || ());
    let _: ListenerId = added.id();
    let _: Option<EventStream> = None;
    let _: Option<ReceivedEvent> = None;
    Ok(socket)
}

fn connection(net_socket: &NetSocket) {
    let _: Option<PeerCredentials> = net_socket.peer_credentials();
    let _: Option<(TransportKind, Revision)> = None;
}

/// What errors are made of.
fn causes(error: DialError, proxy: &str) -> Result<ProxyUrl, ProxyUrlError> {
    let _: Option<(ResponseError, UnixProblem)> = None;
    let _: OpenError = error.into();
    proxy.parse()
}

fn packets(config: ConnectionConfig, error: &EncodeError) -> ConnectionConfig {
    let read: Result<RawArgs<'_>, DecodeError> = RawArgs::from_array("[]");
    let _: Option<Result<u8, ArgsError>> = read.ok().map(|args| args.deserialize());
    let _: Option<Args> = None;
    let _: (BytesOut, &EncodeErrorKind) = (config.bytes_out(), error.kind());
    config.stray_packets(StrayPackets::Close)
}

#[cfg(feature = "tls")]
fn tls(
    options: sockeye_client::TlsOptions,
    config: Arc<sockeye_client::rustls::ClientConfig>,
) -> sockeye_client::TlsOptions {
    options.config(config)
}
