//! Engine.IO sessions and transports on tokio.
//!
//! An [`Engine`] keeps the sessions of one server. Each session is run by one task, its driver,
//! which owns the protocol state, the timer, the transport and the [`Connection`] that an
//! [`Application`] makes for it. Everyone else holds a [`SessionHandle`]: something to send to.
//!
//! With the feature `client` there is the other end, too: a `Connector` opens sessions with servers,
//! and a `ClientSession` is the driver of one, with a [`Connection`] on top as well.
//!
//! What the engine promises to an application:
//!
//! * all methods of one connection run on one task, one after the other;
//! * messages arrive in order, and messages that are sent arrive in the order of their sending,
//!   whatever transport carries them and even while it changes;
//! * what is sent while a driver works through what it has read leaves in one write at the end
//!   (see [`batch`]), what is sent from elsewhere leaves at once;
//! * [`Connection::handle_close`] is called exactly once, and nothing comes after it.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod application;
mod bounds;
#[cfg(feature = "client")]
mod client;
mod clock;
mod command;
mod config;
mod connections;
mod cookie;
mod cors;
mod deflate;
#[cfg(feature = "client")]
#[allow(dead_code, reason = "its user, the connector, is still to come")]
mod dial;
mod driver;
mod engine;
mod formats;
mod frames;
mod gate;
mod handle;
mod handshake;
mod http;
mod id;
mod io;
mod listen;
mod mailbox;
mod mask;
mod message;
mod net;
mod net_socket;
mod outbox;
mod query;
mod scratch;
mod seldom;
mod stream_dialect;
mod turn;
mod websocket;

pub use application::{Application, Connection, Incoming};
#[cfg(feature = "client")]
pub use client::{
    ClientSession, ConnectRequest, Connector, ConnectorConfig, Ended, OpenError, Opened, Protocol,
};
pub use config::{ConfigError, EngineConfig, MissingRevision};
pub use cookie::{Cookie, SameSite};
pub use cors::Cors;
#[cfg(feature = "client")]
pub use dial::{
    ConnectUrl, ConnectUrlError, ConnectorError, DialConfig, DialError, ProxyUrl, ProxyUrlError,
    TlsOptions, UnixProblem,
};
pub use engine::{Engine, WeakEngine};
pub use handle::{Dialect, SendError, SendOptions, SessionHandle};
pub use handshake::{Handshake, Headers, PeerCredentials};
pub use http::{
    Body, ConnectionInfo, EngineLayer, EngineService, LayerBody, LayeredService, StaticFile,
};
pub use id::SessionId;
pub use listen::{ListenError, ListenOptions, ListenUrl, Listener, UrlError};
pub use message::{HEADROOM, Message};
pub use net_socket::NetSocket;
pub use query::pairs as query_pairs;
pub use sockeye_engine_proto::{CloseReason, RequestError, Revision, TransportKind};
pub use stream_dialect::StreamDialect;
pub use turn::batch;
pub use websocket::{Replies, Upgrading, WebSocket, WebSocketError};

/// The TLS library, for the configuration that [`ListenOptions::tls`] takes.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
