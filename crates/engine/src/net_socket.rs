use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sockeye_engine_proto::TransportKind;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::io::{Seated, Socket};
use crate::peer::{PeerCredentials, PeerInfo};

/// The network socket below a session, as far as it is known: addresses, and options of the
/// operating system. It cannot be read from or written to.
///
/// It neither keeps the connection open nor fails when it is gone; there is just nothing to be
/// known any more. On long-polling there is no one socket, and below TLS none that can be got
/// at: then there is only what the handshake knew. After an upgrade, ask for a new one.
#[derive(Clone)]
pub struct NetSocket {
    transport: TransportKind,
    secure: bool,
    remote_addr: Option<SocketAddr>,
    credentials: Option<PeerCredentials>,
    socket: Handle,
}

/// A socket that may be gone.
#[derive(Clone)]
enum Handle {
    Tcp(Weak<Seated<TcpStream>>),
    #[cfg(unix)]
    Unix(Weak<Seated<UnixStream>>),
    Unknown,
}

impl Handle {
    fn new(socket: Option<&Socket>) -> Self {
        match socket {
            Some(Socket::Tcp(socket)) => Self::Tcp(Arc::downgrade(socket)),
            #[cfg(unix)]
            Some(Socket::Unix(socket)) => Self::Unix(Arc::downgrade(socket)),
            None => Self::Unknown,
        }
    }
}

impl NetSocket {
    pub(crate) fn new(transport: TransportKind, socket: Option<&Socket>, peer: PeerInfo) -> Self {
        Self {
            transport,
            secure: peer.secure,
            remote_addr: peer.remote_addr,
            credentials: peer.credentials,
            socket: Handle::new(socket),
        }
    }

    /// The socket of a client.
    pub(crate) fn dialed(transport: TransportKind, socket: Option<&Socket>, secure: bool) -> Self {
        let (remote_addr, credentials) = match socket {
            Some(Socket::Tcp(socket)) => (socket.peer_addr().ok(), None),
            #[cfg(unix)]
            Some(Socket::Unix(socket)) => (None, PeerCredentials::of(socket)),
            None => (None, None),
        };
        Self {
            transport,
            secure,
            remote_addr,
            credentials,
            socket: Handle::new(socket),
        }
    }

    /// The transport that carries the session.
    #[must_use]
    pub const fn transport(&self) -> TransportKind {
        self.transport
    }

    /// Whether TLS is spoken, as far as this end terminates it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The address of this end; `None` over a Unix-domain socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok()
    }

    /// The address of the peer; `None` over a Unix-domain socket.
    #[must_use]
    pub const fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }

    /// The file of this end, which is the one that is listened on; `None` where there is none.
    #[cfg(unix)]
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        let address = self.unix()?.local_addr().ok()?;
        address.as_pathname().map(Path::to_path_buf)
    }

    /// The file of the peer's end, which hardly any client gives itself.
    #[cfg(unix)]
    #[must_use]
    pub fn remote_path(&self) -> Option<PathBuf> {
        let address = self.unix()?.peer_addr().ok()?;
        address.as_pathname().map(Path::to_path_buf)
    }

    /// Who the peer is, over a Unix-domain socket.
    #[must_use]
    pub const fn peer_credentials(&self) -> Option<PeerCredentials> {
        self.credentials
    }

    /// Whether small writes leave at once (`TCP_NODELAY`), which is the default.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] where there is no TCP socket to be got at, and what the
    /// operating system says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.tcp_or_error()?.set_nodelay(nodelay)
    }

    /// After how long the operating system probes an idle TCP connection; `None` for never.
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay).
    pub fn set_keep_alive(&self, idle: Option<Duration>) -> io::Result<()> {
        let stream = self.tcp_or_error()?;
        let socket = socket2::SockRef::from(&**stream);
        match idle {
            Some(idle) => socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(idle)),
            None => socket.set_keepalive(false),
        }
    }

    fn tcp_or_error(&self) -> io::Result<Arc<Seated<TcpStream>>> {
        self.tcp().ok_or_else(|| {
            let what = "there is no tcp socket that could be got at";
            io::Error::new(io::ErrorKind::Unsupported, what)
        })
    }

    fn tcp(&self) -> Option<Arc<Seated<TcpStream>>> {
        match &self.socket {
            Handle::Tcp(socket) => socket.upgrade(),
            _ => None,
        }
    }

    #[cfg(unix)]
    fn unix(&self) -> Option<Arc<Seated<UnixStream>>> {
        match &self.socket {
            Handle::Unix(socket) => socket.upgrade(),
            _ => None,
        }
    }
}

impl fmt::Debug for NetSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetSocket")
            .field("transport", &self.transport)
            .field("local_addr", &self.local_addr())
            .field("remote_addr", &self.remote_addr)
            .finish_non_exhaustive()
    }
}
