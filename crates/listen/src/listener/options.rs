use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use sockeye_engine::Dialect;

/// How a listener accepts connections.
#[derive(Clone)]
pub struct ListenOptions {
    pub(super) host: String,
    pub(super) backlog: u16,
    pub(super) manners: Manners,
    ipv6_only: bool,
    shared_port: bool,
    nodelay: bool,
    keep_alive: Option<Duration>,
    pub(super) readable_all: bool,
    pub(super) writable_all: bool,
    pub(super) header_timeout: Duration,
    pub(super) max_header_bytes: usize,
    pub(super) write_timeout: Duration,
    pub(super) drain_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<std::sync::Arc<tokio_rustls::rustls::ServerConfig>>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            host: String::new(),
            backlog: 511,
            manners: Manners::default(),
            ipv6_only: false,
            shared_port: false,
            nodelay: true,
            keep_alive: Some(Duration::from_secs(60)),
            readable_all: false,
            writable_all: false,
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            write_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(30),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// How the peers of a listener's bare streams are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) allow_half_open: bool,
    pub(crate) pause_on_connect: bool,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) plain_after: Option<Duration>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            allow_half_open: false,
            pause_on_connect: false,
            dialect: None,
            plain_after: Some(Duration::from_millis(300)),
        }
    }
}

impl ListenOptions {
    /// The host to listen on when the URL names none, such as `127.0.0.1` for a bare port.
    /// Default: every address of this machine.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// On bare streams: what peers speak. With [`Dialect::Lines`] they are plain ones from the first
    /// moment on, and with [`Dialect::Packets`] whoever sends a line is told that it cannot. Default:
    /// `None`, so that the first byte tells, or [silence](Self::plain_after).
    #[must_use]
    pub fn dialect(mut self, dialect: impl Into<Option<Dialect>>) -> Self {
        self.manners.dialect = dialect.into();
        self
    }

    /// On bare streams where peers may speak any [dialect](Self::dialect): after how much silence a new peer is taken for a
    /// plain one, and is connected. Plain peers that only listen never say anything, while native
    /// ones begin at once. `None` lets only their first byte tell: who stays silent is not connected,
    /// and dropped after the application's connect timeout, as with a time beyond that. Default: 300 ms.
    ///
    /// A native peer that begins later is received all the same, with a connection of its own after
    /// the plain one, as long as that was sent nothing. Otherwise it has read a line by then, and is
    /// refused.
    ///
    /// Who listens has no heartbeat: that it is gone without a word is noticed by sending to it, or
    /// by [`keep_alive`](Self::keep_alive). Each counts as a
    /// [session](crate::EngineConfig::max_sessions).
    #[must_use]
    pub const fn plain_after(mut self, silence: Option<Duration>) -> Self {
        self.manners.plain_after = silence;
        self
    }

    /// On bare streams: whether a connection goes on when the peer closes its half of it. It can
    /// be written to then until this side ends or closes it; as nothing comes any more, neither
    /// heartbeats, a peer that vanishes is noticed by the next write only. Otherwise what waits is
    /// written, and the connection closed. Default: no.
    #[must_use]
    pub const fn allow_half_open(mut self, allow: bool) -> Self {
        self.manners.allow_half_open = allow;
        self
    }

    /// On bare streams: whether new connections are [paused](sockeye_engine::SessionHandle::pause) as soon
    /// as the application was told of them. What the peer sends stays unread, but for first bytes
    /// by which it is known what it speaks. Default: no.
    #[must_use]
    pub const fn pause_on_connect(mut self, pause: bool) -> Self {
        self.manners.pause_on_connect = pause;
        self
    }

    /// How many connections may wait to be accepted; the operating system may cap it. Default:
    /// 511.
    #[must_use]
    pub const fn backlog(mut self, connections: u16) -> Self {
        self.backlog = connections;
        self
    }

    /// Whether an IPv6 address takes no IPv4 connections. Default: `::` takes both.
    #[must_use]
    pub const fn ipv6_only(mut self, only: bool) -> Self {
        self.ipv6_only = only;
        self
    }

    /// Whether other processes that say the same may listen on the same port (`SO_REUSEPORT`);
    /// the operating system then spreads the connections. Default: no.
    #[must_use]
    pub const fn shared_port(mut self, shared: bool) -> Self {
        self.shared_port = shared;
        self
    }

    /// Whether small writes leave at once (`TCP_NODELAY`). On WebSockets they always do. Default: yes.
    #[must_use]
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// After how long an idle TCP connection is probed by the operating system, which has its own
    /// count and interval of probes; `None`: never. Default: 60 s. It matters to plain peers on
    /// streams, which have no heartbeat: one that is gone without a word is noticed by this.
    #[must_use]
    pub const fn keep_alive(mut self, idle: Option<Duration>) -> Self {
        self.keep_alive = idle;
        self
    }

    /// Whether every user may read the file of a Unix-domain socket. Default: as the process's
    /// umask says.
    #[must_use]
    pub const fn readable_all(mut self, readable: bool) -> Self {
        self.readable_all = readable;
        self
    }

    /// Whether every user may write to the file of a Unix-domain socket, which is what
    /// connecting takes. Default: as the process's umask says.
    #[must_use]
    pub const fn writable_all(mut self, writable: bool) -> Self {
        self.writable_all = writable;
        self
    }

    /// How long a peer may take to send the head of a request, which is also how long a
    /// connection may rest between two requests. Default: 10 s.
    #[must_use]
    pub const fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// How long the peer of an HTTP connection may take nothing of what is written to it; then it is
    /// closed, and a session on long-polling whose answer is lost by that, too. Default: 20 s.
    ///
    /// WebSockets and bare streams have their own ways to notice: heartbeats, and the limit of the
    /// outbox.
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long HTTP connections may go on when the listener is [closed](crate::Listener::close), for
    /// the requests that are being served by then. Default: 30 s, in which every long-poll has had its
    /// answer, as long as the [`ping_interval`](crate::SessionConfig::ping_interval()) is shorter. It ends sooner if the whole engine closes, by its
    /// [`shutdown_timeout`](crate::EngineConfig::shutdown_timeout).
    #[must_use]
    pub const fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// How large the head of a request may be, in bytes; at least 8192. Default: 16 KiB.
    #[must_use]
    pub const fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.max_header_bytes = if bytes < 8192 { 8192 } else { bytes };
        self
    }

    /// The TLS configuration for `https` URLs.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: std::sync::Arc<tokio_rustls::rustls::ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    #[cfg(feature = "tls")]
    pub(super) const fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "depends on the feature")]
    pub(super) const fn has_tls(&self) -> bool {
        false
    }

    /// Shakes hands, within the time for a request's head.
    #[cfg(feature = "tls")]
    pub(super) async fn accept_tls(
        &self,
        stream: tokio::net::TcpStream,
    ) -> Option<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> {
        let config = std::sync::Arc::clone(self.tls.as_ref()?);
        let accept = tokio_rustls::TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(self.header_timeout, accept).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "tls handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("tls handshake took too long");
                None
            }
        }
    }

    /// Sets what a new connection needs.
    pub(super) fn prepare(&self, stream: &tokio::net::TcpStream) {
        sockeye_engine::net::prepare(stream, self.nodelay, self.keep_alive);
    }

    /// A listening socket on this address.
    pub(super) fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            // `::` takes IPv4 too. Other addresses do not care, and systems without the choice
            // refuse it.
            let _ = socket.set_only_v6(self.ipv6_only || !address.ip().is_unspecified());
        }
        // Elsewhere than on Windows this only means that connections of an earlier process which
        // are still winding down do not keep the port.
        if cfg!(not(windows)) {
            socket.set_reuse_address(true)?;
        }
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
        socket.set_reuse_port(self.shared_port)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(self.backlog.into())?;
        TcpListener::from_std(socket.into())
    }
}

impl fmt::Debug for ListenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenOptions")
            .field("host", &self.host)
            .field("backlog", &self.backlog)
            .field("manners", &self.manners)
            .field("header_timeout", &self.header_timeout)
            .field("max_header_bytes", &self.max_header_bytes)
            .field("write_timeout", &self.write_timeout)
            .field("drain_timeout", &self.drain_timeout)
            .field("tls", &self.has_tls())
            .finish()
    }
}
