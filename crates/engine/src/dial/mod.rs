//! Reaching a server: streams, TLS, proxies, HTTP requests and WebSocket handshakes.

mod config;
mod error;
mod exchange;
mod pool;
mod request;
mod stream;
#[cfg(all(test, unix))]
mod tests;
#[cfg(unix)]
mod unix;
mod url;
mod websocket;

use std::sync::Arc;

pub use config::{ConnectorError, DialConfig};
pub use error::{DialError, UnixProblem};
use pool::Pool;
#[allow(unused_imports, reason = "its user, the connector, is still to come")]
pub(crate) use request::{Answer, Answering, PostBody};
use stream::Link;
pub use url::{ConnectUrl, ConnectUrlError};

use crate::io::Io;
use crate::net::Place;

/// Opens streams to servers. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: DialConfig,
    pool: Pool,
}

impl Dialer {
    /// A dialer, once its settings are found to work.
    pub(crate) fn new(config: &DialConfig) -> Result<Self, ConnectorError> {
        Ok(Self(Arc::new(Shared {
            config: config.clone(),
            pool: Pool::default(),
        })))
    }

    /// A byte stream to the URL's host or path, with TLS if the URL says so.
    pub(crate) async fn stream(&self, url: &ConnectUrl) -> Result<Io, DialError> {
        Ok(self.link(url).await?.into_io())
    }

    async fn link(&self, url: &ConnectUrl) -> Result<Link, DialError> {
        match url.place() {
            Place::Host { host, port } => {
                let stream = stream::tcp(host, *port, &self.0.config).await?;
                if url.is_secure() {
                    return Err(DialError::NoTls { url: url.origin() });
                }
                Ok(Link::Tcp(stream))
            }
            #[cfg(unix)]
            place => Ok(Link::Unix(unix::connect(url, place).await?)),
            #[cfg(not(unix))]
            _ => Err(stream::unsupported(url)),
        }
    }
}
