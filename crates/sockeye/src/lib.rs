//! Socket.IO on every wire: events, acknowledgements, rooms and namespaces.
//!
//! A [`Server`] talks to every Socket.IO client since 1.0, in browsers and elsewhere, over HTTP
//! long-polling and WebSocket, and to local processes over TCP and Unix-domain sockets; a
//! [`Client`] talks to every such server. Handlers are plain or async functions of what they need;
//! what they return answers the event.
//!
//! ```no_run
//! use sockeye::{Data, DisconnectReason, Server, Socket};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let io = Server::new();
//!
//!     io.on_connect(|socket: Socket| println!("connected: {socket:?}"));
//!
//!     // Everyone in the room gets the text, but for the one who sent it.
//!     io.on("chat", |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!         socket.join(&room);
//!         socket.to(room).emit("chat", text)
//!     });
//!
//!     // The result is the acknowledgement.
//!     io.on("sum", async |Data(numbers): Data<Vec<i64>>| numbers.iter().sum::<i64>());
//!
//!     io.on_disconnect(|socket: Socket, reason: DisconnectReason| {
//!         println!("disconnected ({reason}): {socket:?}");
//!     });
//!
//!     io.listen("http://localhost:3000").await?;
//!     tokio::signal::ctrl_c().await?;
//!     io.close().await;
//!     Ok(())
//! }
//! ```
//!
//! And the other end:
//!
//! ```no_run
//! use sockeye::{Client, Data};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let socket = Client::builder("http://localhost:3000")
//!         .on("chat", |Data(text): Data<String>| println!("{text}"))
//!         .connect()
//!         .await?;
//!     socket.emit("chat", ("lobby", "hello"))?;
//!     let sum: i64 = socket.emit_with_ack("sum", vec![1, 2, 3]).await?;
//!     println!("{sum}"); // 6
//!     socket.client().close().await;
//!     Ok(())
//! }
//! ```
//!
//! Or in a browser, with the client that the server itself hands out, or with socket.io-client. This
//! is for a page that comes from the same server, by [`Server::listen_service`] or
//! [`Server::layer`]; one that comes from elsewhere, be it another port or a file, has to write the
//! server's whole URL in both places, and needs [`Cors`]:
//!
//! ```html
//! <script type="module">
//!   import { connect } from "/socket.io/sockeye.js";
//!   const socket = connect("/");
//!   socket.on("chat", (text) => console.log(text));
//!   socket.emit("chat", "lobby", "hello");
//!   console.log(await socket.emitWithAck("sum", [1, 2, 3])); // 6
//! </script>
//! ```
//!
//! # The guide
//!
//! * [`handlers`](guide::handlers): parameters, results, errors, shared state
//! * [`arguments`](guide::arguments): how Rust values become arguments and back, binary
//! * [`acknowledgements`](guide::acknowledgements): answering and asking, one or many
//! * [`typed`](guide::typed): events whose shape the compiler knows
//! * [`recovery`](guide::recovery): sockets that come back after a loss
//! * [`rooms`](guide::rooms): rooms and broadcasting
//! * [`cluster`](guide::cluster): several servers as one (shown with the feature `emitter`)
//! * [`namespaces`](guide::namespaces): namespaces, middleware, authentication
//! * [`lifecycle`](guide::lifecycle): order of events, back-pressure, disconnects, shutdown
//! * [`limits`](guide::limits): all limits and timeouts with their defaults
//! * [`embedding`](guide::embedding): listening, axum, hyper, and which clients can connect
//! * [`old_clients`](guide::old_clients): Socket.IO 1.x and 2.x
//! * [`compression`](guide::compression): fewer bytes for time
//! * [`parsers`](guide::parsers): MessagePack and other formats of packets
//! * [`streams`](guide::streams): TCP and Unix-domain sockets, plain peers
//! * [`client`](guide::client): the other end: connecting, coming back, what becomes of events
//! * [`observability`](guide::observability): logs, spans and metrics
//! * [`admin`](guide::admin): a page that shows what a server does
//! * [`testing`](guide::testing): tests without ports and without waiting
//! * [`from_socket_io_client`](guide::from_socket_io_client),
//!   [`from_rust_socketio`](guide::from_rust_socketio), [`net_socket_io`](guide::net_socket_io):
//!   for those who come from there, name by name
//!
//! The examples of the repository (`first`, `echo`, `chat`, `rooms`, `dynamic_namespaces`, `auth`, `axum`, `hyper`,
//! `https`, `hooks`, `sum`, `ipc`, `admin`, `compression`, `recovery`, `msgpack`) are whole programs to start from.
//!
//! # The main types
//!
//! | | |
//! |---|---|
//! | [`Server`] | everything; also the namespace `/` |
//! | [`Namespace`] | a path with handlers, middlewares, sockets and rooms |
//! | [`ParentNamespace`] | the same for namespaces that are made on demand |
//! | [`Socket`] | one peer in one namespace |
//! | [`Listeners`] | what namespaces and sockets have in common: `on`, `once`, `off` and their kin |
//! | [`BroadcastOperator`] | to whom an event goes |
//! | [`Client`] | the connection to a server, which comes back by itself |
//! | [`client::Socket`] | a client's part in one namespace |
//! | [`blocking`] | the client without async |
//! | [`Data`], [`Args`], [`Ack`], [`State`], [`Handshake`] | what handlers take |
//! | [`Reply`], [`Refusal`] | what they return |
//! | [`TypedEvent`] | an event with a type; `#[derive(Event)]` makes one |
//! | [`ServerConfig`], [`EngineConfig`], [`SessionLimits`], [`ConnectionConfig`], [`ListenOptions`] | settings of the server |
//! | [`ClientConfig`], [`SocketConfig`], [`Reconnection`] | settings of the client |
//!
//! All handles are cheap to clone and can be used from any thread and task.
//!
//! # Where names are
//!
//! The root of the crate has the names that both ends share, all names of the server, and those with which a client is
//! made, connects and is lost. [`server`] and [`client`] have all names of one end each. A feature adds names, and never
//! changes what one means.
//!
//! # Features
//!
//! * `admin`: [a page](guide::admin) that shows what a server does, `@socket.io/admin-ui`. Off by default.
//! * `axum`: WebSockets inside of [`axum::serve`](guide::embedding#axum) cost no more than on the library's own
//!   listeners. Off by default.
//! * `brotli`: answers to polls in brotli, too. Off by default.
//! * `client`, `server`: the two ends. Both on by default; a program that needs one of them sets
//!   `default-features = false` and names it.
//! * `cluster`: the part of [clusters](guide::cluster) that all engines share. The feature of each engine (`redis`,
//!   `postgres`, `mongo`, `nats`) switches it on. Off by default.
//! * `cookies`: clients can keep the cookies that servers set. Off by default.
//! * `emitter`: [`Emitter`], for programs that tell the servers of a cluster what to do. Off by default.
//! * `idna`: hosts of URLs may have letters beyond ASCII, as in `http://bücher.example`. It brings some thirty crates, and
//!   170 KiB of tables. Off by default.
//! * `macros`: `#[derive(Event)]` for [typed events](guide::typed). Off by default.
//! * `metrics`: servers tell the recorder of the crate `metrics` [what they do](guide::observability#metrics). Off by default.
//! * `mongo`: [clusters](cluster) on MongoDB. Off by default.
//! * `msgpack`: packets as [MessagePack](guide::parsers). Off by default.
//! * `nats`: [clusters](cluster) on NATS. Off by default.
//! * `postgres`: [clusters](cluster) on Postgres. Off by default.
//! * `redis`: [clusters](cluster) on Redis and Valkey. Off by default.
//! * `regex`: [dynamic namespaces](guide::namespaces#namespaces-on-demand) by regular expression. Off by default.
//! * `testing`: [servers and clients in memory](guide::testing), for the tests of applications. Off by default.
//! * `tls`: listeners and clients for `https://`, `wss://` and `tls://`, and clusters on Redis and Postgres over TLS;
//!   by rustls. Off by default.

#![cfg_attr(docsrs, feature(doc_cfg))]

/// All names of the client. Four of them mean the server's types at the root of the crate:
/// [`Socket`](sockeye_client::Socket), [`Ack`](sockeye_client::Ack), [`Emission`](sockeye_client::Emission) and
/// [`ConfigError`](sockeye_client::ConfigError).
#[cfg(feature = "client")]
pub mod client {
    pub use sockeye_client::*;
}
/// All names of the server.
#[cfg(feature = "server")]
pub mod server {
    pub use sockeye_server::*;
}
/// What the page `@socket.io/admin-ui` has to know of a server, and what it may do there: see the chapter
/// [`admin`](guide::admin) of the guide.
#[cfg(feature = "admin")]
pub mod admin {
    pub use sockeye_admin::*;
}
#[cfg(feature = "server")]
pub mod cluster;
pub mod guide;
#[cfg(feature = "testing")]
pub mod testing;

pub use bytes::Bytes;
pub use serde_json::{Value, json};
#[cfg(feature = "client")]
pub use sockeye_client::{
    BufferPolicy, Client, ClientBuilder, ClientConfig, ClientEvent, ConnectError, Reconnection,
    SocketConfig, blocking,
};
#[cfg(feature = "emitter")]
pub use sockeye_cluster::{Emitter, EmitterError};
#[cfg(feature = "macros")]
pub use sockeye_macros::Event;
#[cfg(feature = "server")]
pub use sockeye_server::*;

#[cfg(feature = "client")]
use sockeye_client as end;
#[cfg(all(feature = "server", not(feature = "client")))]
use sockeye_server as end;

#[cfg(all(feature = "tls", any(feature = "client", feature = "server")))]
pub use end::rustls;
/// What both ends share, from whichever is there.
#[cfg(any(feature = "client", feature = "server"))]
pub use end::{
    __private, AckError, AckFuture, Added, Args, ArgsError, ArgsWriter, BadLines, BytesOut,
    Callback, ConnectionConfig, Data, DecodeError, DeflateConfig, Dialect, DisconnectDetail,
    DisconnectReason, EmitError, EncodeError, EncodeErrorKind, EnginePacket, Event, EventArgs,
    EventCallback, EventError, EventErrorKind, EventName, EventParam, EventReply, ExtractError,
    Failure, FromArgs, FromEvent, InboxLimits, IntoRefusal, IntoReply, IntoVerdict, LinesConfig,
    ListenerId, Listeners, NetSocket, Next, NoAck, Ordering, Outcome, PeerCredentials, RawArgs,
    Refusal, Reply, Revision, SessionLimits, State, StrayPackets, ToArgs, TransportKind,
    TypedEvent, from_json, parser,
};
