//! Listeners of our own, for programs that have no HTTP server yet.

mod options;
mod url;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

use crate::application::Application;
use crate::engine::Engine;
use crate::http::ConnectionInfo;

pub use options::ListenOptions;
pub use url::{ListenUrl, UrlError};

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
        source: UrlError,
    },
    /// The address is taken, not ours to take, or does not exist.
    #[error("cannot listen on {url}")]
    Bind {
        /// The URL.
        url: ListenUrl,
        /// What the operating system said.
        source: io::Error,
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
    /// several when a name such as `localhost` has several.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The first of the addresses.
    ///
    /// # Panics
    ///
    /// Never: a listener has at least one address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        *self.addresses.first().expect("a listener has an address")
    }

    /// The URL under which this can be reached, with the actual port.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.with_port(self.local_addr().port()).to_string()
    }

    /// Stops accepting. HTTP connections end after the request that is being served; sessions
    /// go on.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Waits until nothing is accepted any more and the HTTP connections are gone.
    pub async fn closed(&mut self) {
        for task in self.tasks.drain(..) {
            // A task that was cancelled together with its runtime is gone as well.
            let _ = task.await;
        }
    }
}

impl<A: Application> Engine<A> {
    /// Listens on a URL such as `http://0.0.0.0:3000`. Requests that are not for the engine's
    /// path get status 404.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the URL makes no sense or the address cannot be had.
    pub async fn listen(&self, url: &str, options: ListenOptions) -> Result<Listener, ListenError> {
        self.listen_with(url, options, self.service()).await
    }

    /// Listens on a URL and lets `service` answer, which usually has the engine's
    /// [`layer`](Self::layer) around it.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_with<S, B>(
        &self,
        url: &str,
        options: ListenOptions,
        service: S,
    ) -> Result<Listener, ListenError>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let parsed = url
            .parse::<ListenUrl>()
            .map_err(|source| ListenError::Url {
                url: url.to_owned(),
                source,
            })?;
        if parsed.is_secure() && !options.has_tls() {
            return Err(ListenError::MissingTls { url: parsed });
        }
        let sockets = bind(&parsed, &options)
            .await
            .map_err(|source| ListenError::Bind {
                url: parsed.clone(),
                source,
            })?;
        let closing = Arc::new(watch::Sender::new(false));
        let mut tasks = Vec::new();
        let mut addresses = Vec::new();
        let options = Arc::new(options);
        for (socket, address) in sockets {
            addresses.push(address);
            let acceptor = Acceptor {
                engine: self.clone(),
                closing: Arc::clone(&closing),
                options: Arc::clone(&options),
                secure: parsed.is_secure(),
                service: service.clone(),
            };
            tasks.push(tokio::spawn(acceptor.run(socket)));
        }
        Ok(Listener {
            addresses,
            url: parsed,
            closing,
            tasks,
        })
    }
}

/// Binds every address of the URL's host; what cannot be had is left out as long as one can.
async fn bind(
    url: &ListenUrl,
    options: &ListenOptions,
) -> io::Result<Vec<(TcpListener, SocketAddr)>> {
    let mut bound = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in url.resolve().await? {
        match options.bind(address) {
            Ok(socket) => {
                let address = socket.local_addr()?;
                bound.push((socket, address));
                if url.port() == 0 {
                    break;
                }
            }
            // Where a host has several addresses, one that is taken must not go unnoticed.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failure = error,
        }
    }
    if bound.is_empty() {
        Err(failure)
    } else {
        Ok(bound)
    }
}

/// Accepts connections of one socket.
struct Acceptor<A, S> {
    engine: Engine<A>,
    /// Held by the acceptor itself too, so that it is not closed by losing the [`Listener`].
    closing: Arc<watch::Sender<bool>>,
    options: Arc<ListenOptions>,
    secure: bool,
    service: S,
}

/// How long to wait when the process has no file descriptor left for a new connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

impl<A, S, B> Acceptor<A, S>
where
    A: Application,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    async fn run(self, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let stop = self.stop();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        self.serve(&mut connections, stream, address);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections for now");
                        tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    }
                },
                // Finished connections are taken out as they end.
                Some(_) = connections.join_next() => {}
            }
        }
        drop(socket);
        while connections.join_next().await.is_some() {}
    }

    /// Ready when this listener or the whole engine is closed.
    fn stop(&self) -> impl Future<Output = ()> + Send + use<A, S, B> {
        let (engine, mut closing) = (self.engine.clone(), self.closing.subscribe());
        async move {
            tokio::select! {
                () = engine.closed() => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }

    fn serve(&self, connections: &mut JoinSet<()>, stream: TcpStream, address: SocketAddr) {
        // Polling answers and small frames must not wait for acknowledgements of earlier ones.
        let _ = stream.set_nodelay(true);
        let info = ConnectionInfo {
            remote_addr: Some(address),
            secure: self.secure,
        };
        let service = WithInfo {
            service: self.service.clone(),
            info,
        };
        let (stop, options) = (self.stop(), Arc::clone(&self.options));
        if self.secure {
            #[cfg(feature = "tls")]
            connections.spawn(async move {
                if let Some(stream) = options.accept_tls(stream).await {
                    serve_http(stop, stream, service, &options).await;
                }
            });
        } else {
            connections.spawn(async move { serve_http(stop, stream, service, &options).await });
        }
    }
}

/// Serves HTTP/1 on one connection until it ends, is taken over by a WebSocket, or is told to
/// stop.
async fn serve_http<S, B>(
    stop: impl Future<Output = ()>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: S,
    options: &ListenOptions,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static,
{
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.max_header_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "http connection ended");
    }
}

/// Errors that concern the connection which was to be accepted, not the listening socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Tells the service whom it talks to.
#[derive(Clone)]
struct WithInfo<S> {
    service: S,
    info: ConnectionInfo,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithInfo<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.info);
        self.service.call(request)
    }
}
