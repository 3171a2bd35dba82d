//! The client's ways out: how sessions with servers are opened, over HTTP, WebSocket, TCP and Unix-domain sockets.
//!
//! A [`Connector`] opens sessions, and a [`ClientSession`] is the driver of one, with the upper layer's connection on
//! top. What runs a session is in `sockeye-engine`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod connector;
mod dialer;
mod url;

pub use connector::transport;
pub use connector::{
    ClientSession, ConnectRequest, Connector, ConnectorConfig, OpenError, Opened, TransportOptions,
};
pub use dialer::{
    ConnectorError, DialConfig, DialError, ProxyUrl, ProxyUrlError, RedirectLocation, TlsOptions,
    UnixProblem,
};
/// Why what a server answered to a WebSocket handshake is no agreement.
pub use sockeye_websocket::handshake::ResponseError;
/// What [`TlsOptions::config`] takes a configuration of.
#[cfg(feature = "tls")]
pub use tokio_rustls::rustls;
pub use url::{ConnectUrl, ConnectUrlError};
