//! Listeners of our own: for HTTP, and for bare streams.

mod acceptor;
mod bare;
mod bound;
mod given;
mod guarded;
mod http;
mod options;
#[cfg(windows)]
mod pipe;
#[cfg(unix)]
mod unix;
mod url;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_layer::Layer;

use crate::application::Application;
use crate::engine::Engine;
use crate::http::OtherService;
use acceptor::Acceptor;
use bound::bind;
pub(crate) use given::GivenStream;
pub(crate) use guarded::Guarded;
pub use options::ListenOptions;
use options::Manners;
pub use url::{ListenUrl, ListenUrlError};

/// A listening socket of an engine. It accepts connections until it is closed, or the engine is;
/// dropping this changes nothing.
#[derive(Debug)]
pub struct Listener {
    addresses: Vec<SocketAddr>,
    url: ListenUrl,
    closing: Arc<watch::Sender<bool>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why listening failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The URL cannot be listened on.
    #[error("cannot listen on {url:?}")]
    Url {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        source: ListenUrlError,
    },
    /// The address is taken, not ours to take, or does not exist.
    #[error("cannot listen on {url}")]
    Bind {
        /// The URL.
        url: ListenUrl,
        /// What the operating system said.
        source: io::Error,
    },
    /// The engine was closed before, or while the address was looked up.
    #[error("cannot listen on {url}, as the server is closed")]
    Closed {
        /// The URL.
        url: ListenUrl,
    },
    /// `https` was asked for without a TLS configuration.
    #[error("{url} needs a TLS configuration")]
    MissingTls {
        /// The URL.
        url: ListenUrl,
    },
}

impl Listener {
    /// The addresses that are listened on; with the actual port if it was given as 0. There are
    /// several when a name such as `localhost` has several, and none for a Unix-domain socket.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first of the addresses; `None` for a Unix-domain socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// The URL under which this can be reached, with the actual port.
    #[must_use]
    pub fn url(&self) -> String {
        match self.local_addr() {
            Some(address) => self.url.with_port(address.port()).to_string(),
            None => self.url.to_string(),
        }
    }

    /// Stops accepting. HTTP connections end after the request that is being served, or after the
    /// [`drain_timeout`](ListenOptions::drain_timeout); sessions go on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until nothing is accepted any more, the file of a Unix-domain socket is removed, and
    /// the HTTP connections are gone.
    ///
    /// # Cancel safety
    ///
    /// Whoever gives up waiting may begin again.
    pub async fn closed(&mut self) {
        while let Some(task) = self.tasks.last_mut() {
            // A task that was cancelled together with its runtime is gone as well.
            let _ = task.await;
            self.tasks.pop();
        }
    }
}

impl<A: Application> Engine<A> {
    /// Listens on a URL such as `http://0.0.0.0:3000` or `unix:/run/app.sock`; see
    /// [`ListenUrl`]. HTTP requests that are not for the engine's path get status 404.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the URL makes no sense or the address cannot be had.
    pub async fn listen(&self, url: &str, options: ListenOptions) -> Result<Listener, ListenError> {
        self.listen_with(url, options, OtherService::none()).await
    }

    /// Listens on a URL and lets `other` answer the HTTP requests that are not for the engine's path.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_with(
        &self,
        url: &str,
        options: ListenOptions,
        other: OtherService,
    ) -> Result<Listener, ListenError> {
        let parsed = url
            .parse::<ListenUrl>()
            .map_err(|source| ListenError::Url {
                url: url.to_owned(),
                source,
            })?
            .or_host(&options.host);
        if parsed.is_secure() && !options.has_tls() {
            return Err(ListenError::MissingTls { url: parsed });
        }
        let bound = tokio::select! {
            biased;
            () = self.gate().closing() => None,
            bound = bind(&parsed, &options, self.gate()) => {
                bound.map_err(|source| ListenError::Bind {
                    url: parsed.clone(),
                    source,
                })?
            }
        };
        let Some((bound, door)) = bound else {
            return Err(ListenError::Closed { url: parsed });
        };
        let closing = Arc::new(watch::Sender::new(false));
        let options = Arc::new(options);
        let service = self.layer().layer(other);
        let mut addresses = Vec::new();
        let mut tasks = Vec::new();
        for socket in bound {
            addresses.extend(socket.address());
            let acceptor = Acceptor {
                engine: self.clone(),
                closing: Arc::clone(&closing),
                options: Arc::clone(&options),
                secure: parsed.is_secure(),
                service: parsed.is_http().then(|| service.clone()),
            };
            tasks.push(tokio::spawn(acceptor.run(socket, door.clone())));
        }
        Ok(Listener {
            addresses,
            url: parsed,
            closing,
            tasks,
        })
    }
}
