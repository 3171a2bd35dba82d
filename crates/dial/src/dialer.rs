//! Reaching a server: streams, TLS, proxies, HTTP requests and WebSocket handshakes.

mod config;
#[cfg_attr(not(feature = "cookies"), path = "dialer/no_cookies.rs")]
mod cookies;
mod error;
mod pool;
mod proxy;
mod request;
mod stream;
mod switch;
#[cfg(all(test, unix))]
mod tests;
mod tls;
#[cfg(unix)]
mod unix;
mod websocket;

use std::sync::Arc;

pub use config::DialConfig;
use cookies::Jar;
pub use error::{ConnectorError, DialError, UnixProblem};
use pool::Pool;
pub use proxy::{ProxyUrl, ProxyUrlError};
pub(crate) use request::{Answer, PostBody};
use stream::Link;
use tls::Tls;
pub use tls::TlsOptions;

use crate::url::ConnectUrl;
use sockeye_engine::Io;
use sockeye_engine::net::Place;

/// Opens streams to servers. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: DialConfig,
    pool: Pool,
    tls: Tls,
    /// If cookies are kept at all.
    jar: Option<Jar>,
}

impl Dialer {
    /// A dialer, once its settings are found to work.
    pub(crate) fn new(config: &DialConfig) -> Result<Self, ConnectorError> {
        if config.request_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(ConnectorError::Zero("the request timeout"));
        }
        if config.cookies && cfg!(not(feature = "cookies")) {
            return Err(ConnectorError::NoCookies);
        }
        Ok(Self(Arc::new(Shared {
            config: config.clone(),
            pool: Pool::default(),
            tls: Tls::new(&config.tls)?,
            jar: config.cookies.then(Jar::default),
        })))
    }

    /// A byte stream to the URL's host or path, with TLS if the URL says so.
    pub(crate) async fn stream(&self, url: &ConnectUrl) -> Result<Io, DialError> {
        Ok(self.link(url).await?.into_io())
    }

    async fn link(&self, url: &ConnectUrl) -> Result<Link, DialError> {
        match url.place() {
            Place::Host { host, port } => {
                let Shared { config, tls, .. } = &*self.0;
                if cfg!(not(feature = "tls")) && url.is_secure() {
                    return Err(DialError::NoTls { url: url.origin() });
                }
                let stream = match &config.proxy {
                    None => stream::tcp(host, *port, config).await?,
                    Some(proxy) => proxy.connect(url, config).await?,
                };
                if url.is_secure() {
                    tls.connect(url, stream).await
                } else {
                    Ok(Link::Tcp(stream))
                }
            }
            #[cfg(unix)]
            place => Ok(Link::Unix(unix::connect(url, place).await?)),
            #[cfg(not(unix))]
            _ => Err(stream::unsupported(url)),
        }
    }
}
