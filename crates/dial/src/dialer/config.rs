use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::given::Opener;
use super::{ConnectUrl, ProxyUrl, TlsOptions};

/// How servers are reached.
///
/// Everything is checked once, when a dialer is made of it. A proxy is used if it is set here, and
/// only then: no variable of the environment is read for it.
#[derive(Clone, Debug)]
pub struct DialConfig {
    pub(crate) nodelay: bool,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) cookies: bool,
    pub(crate) tls: TlsOptions,
    pub(crate) proxy: Option<ProxyUrl>,
    pub(crate) opener: Option<Opener>,
}

impl Default for DialConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            keep_alive: None,
            local_address: None,
            request_timeout: None,
            cookies: false,
            tls: TlsOptions::default(),
            proxy: None,
            opener: None,
        }
    }
}

impl DialConfig {
    /// Whether small writes leave at once (`TCP_NODELAY`). Default: yes.
    #[must_use]
    pub const fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// After how long an idle TCP connection is probed by the operating system. Default: `None`,
    /// never, as sessions have heartbeats of their own.
    #[must_use]
    pub const fn keep_alive(mut self, idle: Option<Duration>) -> Self {
        self.keep_alive = idle;
        self
    }

    /// The address of this machine that TCP connections come from; only addresses of the same
    /// family are connected to. Default: `None`, whichever the operating system takes.
    #[must_use]
    pub const fn local_address(mut self, address: Option<IpAddr>) -> Self {
        self.local_address = address;
        self
    }

    /// How long a request of long-polling may take, connecting included. The server holds a GET
    /// request for up to its ping interval, so less than that ends idle sessions. Default:
    /// `None`, as long as it takes; sessions have heartbeats.
    #[must_use]
    pub const fn request_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Whether cookies that servers set are kept and sent back, as load balancers with sticky
    /// sessions need. They are shared by all connections of one connector, and at most 100.
    /// Takes the crate feature `cookies`. Default: no.
    #[must_use]
    pub const fn cookies(mut self, keep: bool) -> Self {
        self.cookies = keep;
        self
    }

    /// How TLS is spoken with `https`, `wss` and `tls` URLs.
    #[must_use]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = options;
        self
    }

    /// The proxy that all TCP connections go through, those to this machine included. Default:
    /// `None`.
    #[must_use]
    pub fn proxy(mut self, proxy: Option<ProxyUrl>) -> Self {
        self.proxy = proxy;
        self
    }

    /// Opens every stream to a server by this function instead of by a socket: one in memory, one that
    /// goes through something else, any that can be read and written. It gets the URL, and is asked as
    /// often as a socket would be opened: once for a session on a WebSocket or a bare stream, several
    /// times for one on long-polling, and again for each attempt to come back. TLS is spoken over the
    /// stream where the URL says so. What is a matter of sockets has no meaning then, and a proxy is an error.
    /// Default: sockets.
    ///
    /// Its error is that of the attempt. A [`TcpStream`](tokio::net::TcpStream) or `UnixStream` of its own is as good
    /// as one that is opened here; on other streams all that is sent is written by the session's task, as on TLS.
    #[must_use]
    pub fn open_with<F, Fut, S>(mut self, open: F) -> Self
    where
        F: Fn(ConnectUrl) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.opener = Some(Opener::new(open));
        self
    }

    /// Uses this stream, once: a second connection is an error. For a client that does not reconnect, and a URL whose
    /// transport takes one connection: a WebSocket, or a bare stream.
    #[must_use]
    pub fn stream(mut self, stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        self.opener = Some(Opener::once(stream));
        self
    }
}
