use std::net::IpAddr;
use std::time::Duration;

/// How servers are reached.
///
/// Everything is checked once, when a dialer is made of it. No variable of the environment is
/// read: a proxy is used if it is set here, and only then.
#[derive(Clone, Debug)]
pub struct DialConfig {
    pub(crate) nodelay: bool,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) max_answer: usize,
}

impl Default for DialConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            keep_alive: None,
            local_address: None,
            request_timeout: None,
            max_answer: 16 * 1024 * 1024,
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

    /// How large the body of an answer to a request may be, in bytes. Default: 16 MiB.
    #[must_use]
    pub const fn max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
    }
}

/// A setting of the client that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {}
