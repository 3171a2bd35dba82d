//! Listeners of our own: for HTTP, and for bare streams.

mod bare;
mod guarded;
mod http;
mod options;
#[cfg(windows)]
mod pipe;
mod unheard;
#[cfg(unix)]
mod unix;
mod url;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::{Request, Response};
use bytes::Bytes;
use hyper::body::Incoming;
use sockeye_engine_proto::TransportKind;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tower_service::Service;

use crate::application::Application;
use crate::connections::Admitted;
use crate::engine::Engine;
use crate::gate::{Door, Gate};
use crate::handshake::Handshake;
use crate::http::ConnectionInfo;
#[cfg(any(windows, feature = "tls"))]
use sockeye_engine::Seated;
use sockeye_engine::net::Place;
use sockeye_engine::{Io, PeerCredentials, Seat};

pub(crate) use self::http::Owner;
pub(crate) use bare::BareOpening;
pub(crate) use guarded::Guarded;
pub use options::ListenOptions;
pub(crate) use options::Manners;
pub(crate) use unheard::{Guest, Unheard};
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

/// A listening socket.
enum Bound {
    Tcp(TcpListener),
    /// With the file that goes when the listener goes.
    #[cfg(unix)]
    Unix {
        socket: UnixListener,
        _file: Option<unix::SocketFile>,
    },
    #[cfg(windows)]
    Pipe(pipe::PipeListener),
}

/// A connection that was accepted.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(windows)]
    Pipe(pipe::PipeStream),
}

impl Bound {
    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix { .. } => None,
            #[cfg(windows)]
            Self::Pipe(_) => None,
        }
    }

    async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok(Accepted::Tcp(stream, address))
            }
            #[cfg(unix)]
            Self::Unix { socket, .. } => Ok(Accepted::Unix(socket.accept().await?.0)),
            #[cfg(windows)]
            Self::Pipe(pipe) => Ok(Accepted::Pipe(pipe.accept().await?)),
        }
    }
}

/// Binds what the URL names; nothing if the engine closes. Before there is a socket, the engine's end
/// has the door of it to wait for.
async fn bind(
    url: &ListenUrl,
    options: &ListenOptions,
    gate: &Arc<Gate>,
) -> io::Result<Option<(Vec<Bound>, Door)>> {
    let addresses = match url.place() {
        Place::Host { host, port } => url::resolve(host, *port).await?,
        _ => Vec::new(),
    };
    let Some(door) = gate.open_door() else {
        return Ok(None);
    };
    let bound = match url.place() {
        Place::Host { port, .. } => bind_host(addresses, *port, options)?,
        #[cfg(unix)]
        place => {
            let (socket, file) = unix::bind(place, options)?;
            vec![Bound::Unix {
                socket,
                _file: file,
            }]
        }
        #[cfg(windows)]
        Place::Path(path) => vec![Bound::Pipe(pipe::bind(path, options)?)],
        #[cfg(not(unix))]
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(Some((bound, door)))
}

/// Binds every address of a host; what cannot be had is left out as long as one can.
fn bind_host(
    addresses: Vec<SocketAddr>,
    port: u16,
    options: &ListenOptions,
) -> io::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match options.bind(address) {
            Ok(socket) => {
                bound.push(Bound::Tcp(socket));
                if port == 0 {
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
    /// What answers HTTP; none on a bare stream.
    service: Option<S>,
}

/// How long to wait when the process has no file descriptor left for a new connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait when the process has no file descriptor left for a new connection, but another
/// connection was closed for it.
const SHED_PAUSE: Duration = Duration::from_millis(1);

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
    /// Accepts until it is to stop. The door is what the end of the engine waits for: it closes last.
    async fn run(self, mut socket: Bound, _door: Door) {
        let mut connections = JoinSet::new();
        let stop = self.stop();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = socket.accept() => match accepted {
                    Ok(accepted) => self.serve(&mut connections, accepted),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) if is_exhaustion(&error) && self.engine.connections().shed() => {
                        tracing::debug!(%error, "a connection is closed to make room for another");
                        tokio::time::sleep(SHED_PAUSE).await;
                    }
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
        let over = self.time_is_over();
        let mut over = std::pin::pin!(over);
        loop {
            tokio::select! {
                ended = connections.join_next() => if ended.is_none() { break },
                () = &mut over => break,
            }
        }
        connections.shutdown().await;
    }

    /// Ready when this listener or the whole engine is closed.
    fn stop(&self) -> impl Future<Output = ()> + Send + use<A, S, B> {
        let (engine, mut closing) = (self.engine.clone(), self.closing.subscribe());
        async move {
            tokio::select! {
                () = engine.gate().emptied() => {}
                _ = closing.wait_for(|closing| *closing) => {}
            }
        }
    }

    /// Ready when the requests that are still being served have had their time.
    async fn time_is_over(&self) {
        let gate = self.engine.gate();
        let of_the_engine = async {
            gate.emptied().await;
            let now = sockeye_engine::now();
            let grace = self.engine.config().shutdown_timeout;
            tokio::time::sleep(gate.patience(now, grace)).await;
        };
        tokio::select! {
            () = tokio::time::sleep(self.options.drain_timeout) => {}
            () = of_the_engine => {}
        }
    }

    fn serve(&self, connections: &mut JoinSet<()>, accepted: Accepted) {
        let address = match &accepted {
            Accepted::Tcp(_, address) => Some(*address),
            _ => None,
        };
        let admitted = match self.engine.connections().admit(address.map(|at| at.ip())) {
            Ok(admitted) => admitted,
            Err(full) => {
                tracing::debug!(%full, "a connection is refused");
                if let (Accepted::Tcp(stream, _), Some(_), false) =
                    (&accepted, &self.service, self.secure)
                {
                    // Whoever sends its request later than this only sees that it is closed.
                    let _ = stream.try_write(http::UNAVAILABLE);
                }
                return;
            }
        };
        match accepted {
            Accepted::Tcp(stream, address) => {
                self.options.prepare(&stream);
                match &self.service {
                    Some(service) => {
                        self.serve_http(connections, stream, address, admitted, service.clone());
                    }
                    None => self.serve_bare(connections, stream, address, admitted.seat),
                }
            }
            #[cfg(unix)]
            Accepted::Unix(stream) => {
                let credentials = PeerCredentials::of(&stream);
                self.serve_local(
                    connections,
                    Io::unix(stream, Some(admitted.seat)),
                    credentials,
                );
            }
            #[cfg(windows)]
            Accepted::Pipe(stream) => {
                let io = Io::boxed(Seated::new(stream, Some(admitted.seat)));
                self.serve_local(connections, io, None);
            }
        }
    }

    fn serve_http(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        address: SocketAddr,
        admitted: Admitted,
        service: S,
    ) {
        let info = ConnectionInfo {
            remote_addr: Some(address),
            secure: self.secure,
        };
        let watched = self.engine.connections().watch(admitted);
        let (stop, options) = (self.stop(), Arc::clone(&self.options));
        if self.secure {
            #[cfg(feature = "tls")]
            connections.spawn(async move {
                let mut stop = std::pin::pin!(stop);
                let accepted = tokio::select! {
                    () = &mut stop => None,
                    // Nobody else would notice that the connection is to make room.
                    () = watched.until_cut() => None,
                    accepted = options.accept_tls(stream) => accepted,
                };
                if let Some(stream) = accepted {
                    http::serve(stop, stream, watched, service, info, &options).await;
                }
            });
        } else {
            connections.spawn(async move {
                http::serve(stop, stream, watched, service, info, &options).await;
            });
        }
    }

    /// Runs what opens a session, unless the listener is closed before it is done.
    fn spawn(
        &self,
        connections: &mut JoinSet<()>,
        opening: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop();
        connections.spawn(async move {
            tokio::select! {
                () = stop => {}
                () = opening => {}
            }
        });
    }

    fn serve_local(
        &self,
        connections: &mut JoinSet<()>,
        io: Io,
        credentials: Option<PeerCredentials>,
    ) {
        let handshake = Handshake::of_stream(None, credentials, false, SystemTime::now());
        let (engine, manners) = (self.engine.clone(), self.options.manners);
        let kind = TransportKind::Unix;
        self.spawn(
            connections,
            bare::serve(engine, io, kind, handshake, manners),
        );
    }

    fn serve_bare(
        &self,
        connections: &mut JoinSet<()>,
        stream: TcpStream,
        address: SocketAddr,
        seat: Seat,
    ) {
        let handshake = Handshake::of_stream(Some(address), None, self.secure, SystemTime::now());
        let (engine, kind) = (self.engine.clone(), TransportKind::Tcp);
        if self.secure {
            #[cfg(feature = "tls")]
            {
                let options = Arc::clone(&self.options);
                self.spawn(connections, async move {
                    if let Some(stream) = options.accept_tls(stream).await {
                        let io = Io::boxed(Seated::new(stream, Some(seat)));
                        bare::serve(engine, io, kind, handshake, options.manners).await;
                    }
                });
            }
        } else {
            let io = Io::tcp(stream, Some(seat));
            self.spawn(
                connections,
                bare::serve(engine, io, kind, handshake, self.options.manners),
            );
        }
    }
}

/// Whether the process, or the system, has no descriptor left.
fn is_exhaustion(error: &io::Error) -> bool {
    // ENFILE and EMFILE; WSAEMFILE. They have no kind of their own.
    match cfg!(windows) {
        true => error.raw_os_error() == Some(10024),
        false => matches!(error.raw_os_error(), Some(23 | 24)),
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
