use std::time::Duration;

use sockeye_adapter::{LogLimits, MemoryLimits};

/// How sockets come back after their connections were lost: what
/// [`ServerConfig::recovery`](crate::ServerConfig::recovery) switches on.
///
/// The limits are for each namespace. What does not fit is forgotten, oldest first, and whoever comes back for it is a new
/// socket then. In a cluster the sizes are the affair of its adapter.
///
/// ```
/// # use sockeye_server as sockeye;
/// use std::time::Duration;
///
/// use sockeye::{RecoveryConfig, Server, ServerConfig};
///
/// let recovery = RecoveryConfig::default().max_disconnection(Duration::from_secs(30));
/// let io = Server::with_config(ServerConfig::default().recovery(recovery))?;
/// # Ok::<(), sockeye::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryConfig {
    pub(crate) max_disconnection: Duration,
    pub(crate) skip_middlewares: bool,
    pub(crate) max_bytes: usize,
    pub(crate) max_room_bytes: usize,
    pub(crate) max_sockets: usize,
    pub(crate) max_socket_bytes: usize,
}

/// How long the death of a connection may take to be noticed. What was sent to it meanwhile is to be there still when the
/// socket's own time ends.
const NOTICED_AFTER: Duration = Duration::from_secs(60);

impl Default for RecoveryConfig {
    fn default() -> Self {
        Self {
            max_disconnection: Duration::from_secs(120),
            skip_middlewares: true,
            max_bytes: 8 * 1024 * 1024,
            max_room_bytes: 1024 * 1024,
            max_sockets: 10_000,
            max_socket_bytes: 8 * 1024 * 1024,
        }
    }
}

impl RecoveryConfig {
    /// How long a socket may be away. Default: 2 minutes.
    #[doc(alias = "maxDisconnectionDuration")]
    #[must_use]
    pub const fn max_disconnection(mut self, time: Duration) -> Self {
        self.max_disconnection = time;
        self
    }

    /// Whether the namespace's middlewares are not asked about a socket that comes back, as they have let it in before.
    /// Default: yes.
    #[doc(alias = "skipMiddlewares")]
    #[must_use]
    pub const fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// How many bytes of events are kept. Default: 8 MiB. An event takes its name, its JSON and its attachments, and 256
    /// bytes more.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many of these bytes may be of one room, or of what is emitted to one socket. Default: 1 MiB. Events to everyone
    /// have no limit of their own.
    #[must_use]
    pub const fn max_room_bytes(mut self, bytes: usize) -> Self {
        self.max_room_bytes = bytes;
        self
    }

    /// How many sockets are kept. Default: 10,000.
    #[must_use]
    pub const fn max_sockets(mut self, sockets: usize) -> Self {
        self.max_sockets = sockets;
        self
    }

    /// How many bytes the kept sockets may take together, with the names of their rooms and their
    /// [shared data](crate::Socket::set_shared_data). Default: 8 MiB. A socket takes some 500 bytes besides.
    #[must_use]
    pub const fn max_socket_bytes(mut self, bytes: usize) -> Self {
        self.max_socket_bytes = bytes;
        self
    }

    pub(crate) const fn limits(&self) -> MemoryLimits {
        let log = LogLimits {
            bytes: self.max_bytes,
            room_bytes: self.max_room_bytes,
            time: self.max_disconnection.saturating_add(NOTICED_AFTER),
        };
        MemoryLimits::new(log, self.max_sockets, self.max_socket_bytes)
    }
}
