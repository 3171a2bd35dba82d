use std::time::Duration;

use sockeye_adapter::{LogLimits, MemoryLimits};

/// How sockets come back after their connections were lost: what
/// [`ServerConfig::recovery`](crate::ServerConfig::recovery) switches on.
///
/// The limits are for each namespace, but for that of all which are made on demand. What does not fit is forgotten, oldest
/// first, and whoever comes back for it is a new socket then. In a cluster the sizes are the affair of its adapter.
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
    /// What each namespace keeps. Events have the time of a socket, and that until its loss is noticed.
    pub(crate) limits: MemoryLimits,
    pub(crate) max_dynamic_bytes: usize,
    pub(crate) save_early: Option<Duration>,
}

/// How long the death of a connection may take to be noticed. What was sent to it meanwhile is to be there still when the
/// socket's own time ends.
const NOTICED_AFTER: Duration = Duration::from_secs(60);

impl Default for RecoveryConfig {
    fn default() -> Self {
        let max_disconnection = Duration::from_secs(120);
        let log = LogLimits {
            bytes: 8 * 1024 * 1024,
            room_bytes: 1024 * 1024,
            time: max_disconnection + NOTICED_AFTER,
        };
        Self {
            max_disconnection,
            skip_middlewares: true,
            limits: MemoryLimits::new(log, 10_000, 8 * 1024 * 1024),
            max_dynamic_bytes: 64 * 1024 * 1024,
            save_early: None,
        }
    }
}

impl RecoveryConfig {
    /// How long a socket may be away. Default: 2 minutes.
    #[doc(alias = "maxDisconnectionDuration")]
    #[must_use]
    pub const fn max_disconnection(mut self, time: Duration) -> Self {
        self.max_disconnection = time;
        self.limits.log.time = time.saturating_add(NOTICED_AFTER);
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
        self.limits.log.bytes = bytes;
        self
    }

    /// How many of these bytes may be of one room, or of what is emitted to one socket. Default: 1 MiB. Events to everyone
    /// have no limit of their own.
    #[must_use]
    pub const fn max_room_bytes(mut self, bytes: usize) -> Self {
        self.limits.log.room_bytes = bytes;
        self
    }

    /// How many sockets are kept. Default: 10,000.
    #[must_use]
    pub const fn max_sockets(mut self, sockets: usize) -> Self {
        self.limits.sockets = sockets;
        self
    }

    /// How many bytes the kept sockets may take together, with the names of their rooms and their
    /// [shared data](crate::Socket::set_shared_data). Default: 8 MiB. A socket takes some 500 bytes besides.
    #[must_use]
    pub const fn max_socket_bytes(mut self, bytes: usize) -> Self {
        self.limits.socket_bytes = bytes;
        self
    }

    /// How many bytes all namespaces together may take that were [made on demand](crate::Server::of_pattern), events and
    /// sockets, each still within the other limits: peers say how many of these there are. If it is more, those forget
    /// their oldest that have more than an equal part. Default: 64 MiB.
    #[must_use]
    pub const fn max_dynamic_bytes(mut self, bytes: usize) -> Self {
        self.max_dynamic_bytes = bytes;
        self
    }

    /// Sockets are kept while they are there as well, so that they come back even if their server has ended without a word: it
    /// was killed, or its machine is gone. Only in a cluster, whose engine keeps them; a server alone has nowhere to keep
    /// them. Default: no, as in Node's servers, whose sockets are kept when they lose their connections.
    ///
    /// The engine gets each socket when it has connected, after changes of its rooms or of its
    /// [shared data](crate::Socket::set_shared_data), and twice in [`max_disconnection`](Self::max_disconnection), as what is
    /// kept expires. Changes are put together for the time given here, which a server that ends loses: 100 ms, say. So each
    /// socket costs one write in that time at most, and with 2 minutes one in a minute at least.
    ///
    /// A socket that comes back to another server while its own has not noticed yet that its connection is gone is
    /// disconnected there, for which the others are told of each one that comes back. They know it by its id, as a room: who
    /// else joins a room of that name on another server is disconnected with it.
    #[must_use]
    pub const fn save_early(mut self, pause: Duration) -> Self {
        self.save_early = Some(pause);
        self
    }
}

#[test]
fn events_are_kept_longer_than_sockets() {
    let config = RecoveryConfig::default();
    for config in [
        config,
        config.max_disconnection(Duration::from_secs(1)),
        config.max_disconnection(Duration::MAX),
    ] {
        let time = config.max_disconnection.saturating_add(NOTICED_AFTER);
        assert_eq!(config.limits.log.time, time);
    }
}
