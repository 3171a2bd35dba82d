//! Accepting connections, and seeing to it that each finds who serves it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(any(windows, feature = "tls"))]
use sockeye_engine::Seated;
use sockeye_engine::{Io, PeerCredentials, Seat};
use sockeye_engine_proto::TransportKind;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bound::{Accepted, Bound};
use super::{ListenOptions, bare, http};
use crate::application::Application;
use crate::connections::Admitted;
use crate::engine::Engine;
use crate::gate::Door;
use crate::handshake::{ConnectionInfo, Handshake};
use crate::http::{LayeredService, OtherService};
use crate::trace;

/// Accepts connections of one socket.
pub(super) struct Acceptor<A> {
    pub(super) engine: Engine<A>,
    /// Held by the acceptor itself too, so that it is not closed by losing the [`Listener`].
    pub(super) closing: Arc<watch::Sender<bool>>,
    pub(super) options: Arc<ListenOptions>,
    pub(super) secure: bool,
    /// What answers HTTP; none on a bare stream.
    pub(super) service: Option<LayeredService<A, OtherService>>,
}

/// How long to wait when the process has no file descriptor left for a new connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How long to wait when the process has no file descriptor left for a new connection, but another
/// connection was closed for it.
const SHED_PAUSE: Duration = Duration::from_millis(1);

impl<A: Application> Acceptor<A> {
    /// Accepts until it is to stop. The door is what the end of the engine waits for: it closes last.
    pub(super) async fn run(self, mut socket: Bound, _door: Door) {
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
    fn stop(&self) -> impl Future<Output = ()> + Send + use<A> {
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
                trace::no_room(&full);
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
        service: LayeredService<A, OtherService>,
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
