//! Reaching a server: streams, TLS, proxies, HTTP requests and WebSocket handshakes.

mod config;
#[cfg_attr(not(feature = "cookies"), path = "dialer/no_cookies.rs")]
mod cookies;
mod error;
mod given;
mod link;
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
pub use error::{ConnectorError, DialError, RedirectLocation, UnixProblem};
use futures_util::future::{BoxFuture, FutureExt};
use link::Link;
use pool::Pool;
pub use proxy::{ProxyUrl, ProxyUrlError};
pub(crate) use request::{Answer, PostBody};
use tls::Tls;
pub use tls::TlsOptions;

use crate::url::ConnectUrl;
use sockeye_engine::Io;
use sockeye_engine::net::Place;

/// Opens streams to servers. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(Arc<DialerCore>);

#[derive(Debug)]
struct DialerCore {
    config: Arc<DialConfig>,
    /// How large the body of an answer to a request may be, in bytes.
    max_answer: usize,
    pool: Pool,
    tls: Tls,
    /// If cookies are kept at all.
    jar: Option<Jar>,
}

impl Dialer {
    /// A dialer, once its settings are found to work.
    pub(crate) fn new(config: Arc<DialConfig>, max_answer: usize) -> Result<Self, ConnectorError> {
        if config.request_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(ConnectorError::Zero("the request timeout"));
        }
        if config.opener.is_some() && config.proxy.is_some() {
            return Err(ConnectorError::ProxyOfStreams);
        }
        if config.cookies && cfg!(not(feature = "cookies")) {
            return Err(ConnectorError::NoCookies);
        }
        Ok(Self(Arc::new(DialerCore {
            tls: Tls::new(&config.tls)?,
            jar: config.cookies.then(Jar::default),
            pool: Pool::default(),
            config,
            max_answer,
        })))
    }

    /// A byte stream to the URL's host or path, with TLS if the URL says so.
    pub(crate) async fn stream(&self, url: &ConnectUrl) -> Result<Io, DialError> {
        Ok(self.link(url).await?.into_io())
    }

    /// Boxed, as three others wait for it, each of whose futures would have it all.
    fn link<'a>(&'a self, url: &'a ConnectUrl) -> BoxFuture<'a, Result<Link, DialError>> {
        self.connect(url).boxed()
    }

    async fn connect(&self, url: &ConnectUrl) -> Result<Link, DialError> {
        let DialerCore { config, tls, .. } = &*self.0;
        if cfg!(not(feature = "tls")) && url.is_secure() {
            return Err(DialError::NoTls { url: url.origin() });
        }
        if let Some(opener) = &config.opener {
            let link = opener
                .open(url)
                .await
                .map_err(|source| DialError::Connect {
                    to: url.origin().to_string(),
                    source,
                })?;
            return match url.is_secure() {
                true => tls.connect(url, link).await,
                false => Ok(link),
            };
        }
        match url.place() {
            Place::Host { host, port } => {
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
