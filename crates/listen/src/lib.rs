//! The server's doors: how sessions begin, over HTTP, WebSocket, TCP and Unix-domain sockets.
//!
//! An [`Engine`] keeps the sessions of one server, and an [`Application`] makes the upper layer's connection for each of
//! them. What runs a session is in `sockeye-engine`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod application;
mod config;
mod connections;
mod cookie;
mod cors;
mod engine;
mod gate;
mod handshake;
mod http;
mod listener;
mod origins;
mod peer_origin;
mod trace;
mod websocket;

pub use application::Application;
pub use config::{ConfigError, ConnectionError, EngineConfig, MissingRevision};
pub use cookie::{Cookie, SameSite};
pub use cors::Cors;
pub use engine::{Engine, WeakEngine};
pub use handshake::{ConnectionInfo, Handshake, Headers};
pub use http::{
    Body, EngineLayer, EngineService, HttpCompression, LayerBody, LayeredService, OtherBody,
    OtherService, RequestBody, RequestService, StaticFile,
};
pub use listener::{ListenError, ListenOptions, ListenUrl, ListenUrlError, Listener};
pub use peer_origin::PeerOrigin;
pub use sockeye_engine_proto::SessionConfig;
pub use websocket::{Replies, Upgrading, WebSocket, WebSocketError};

/// The TLS library, for the configuration that [`ListenOptions::tls`] takes.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
