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
}

impl Default for DialConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            keep_alive: None,
            local_address: None,
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
}

/// A setting of the client that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {}
