use std::sync::Arc;
use std::time::Duration;

use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_link::InboxLimits;
use sockeye_listen::EngineConfig;
use sockeye_socket_proto::ConnectionConfig;
use sockeye_socket_proto::lines::LinesConfig;
use sockeye_socket_proto::parser::Parser;

use crate::files::ClientFiles;
use crate::recovery::RecoveryConfig;
use crate::server_side::ServerSideLimits;

/// How a server works.
///
/// The layers below have their own settings, which are part of this one:
/// [`engine`](Self::engine) for transports, heartbeats and HTTP,
/// [`connection`](Self::connection) for the Socket.IO protocol, [`inbox`](Self::inbox) for what comes in and is not
/// handled yet.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub(crate) engine: EngineConfig,
    pub(crate) connection: ConnectionConfig,
    pub(crate) lines: LinesConfig,
    pub(crate) parser: Option<Arc<dyn Parser>>,
    pub(crate) inbox: InboxLimits,
    pub(crate) max_auth_bytes: usize,
    pub(crate) max_pending_acks: usize,
    pub(crate) ack_timeout: Duration,
    pub(crate) slow_receiver: SlowReceiver,
    pub(crate) max_dynamic_namespaces: usize,
    pub(crate) max_dynamic_namespaces_per_connection: usize,
    pub(crate) cleanup_empty_namespaces: bool,
    pub(crate) serve_client: bool,
    pub(crate) client_files: Option<ClientFiles>,
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
    pub(crate) recovery: Option<RecoveryConfig>,
    pub(crate) server_side: ServerSideLimits,
}

/// What a broadcast does with a receiver whose outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReceiver {
    /// Its connection is closed with the reason `transport error`, so that the loss is noticed:
    /// the client connects again and can ask for what it missed.
    #[default]
    Disconnect,
    /// It misses the event.
    Skip,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            engine: EngineConfig::default().path("/socket.io"),
            connection: ConnectionConfig::default(),
            lines: LinesConfig::default(),
            parser: None,
            inbox: InboxLimits::default(),
            max_auth_bytes: 1024 * 1024,
            max_pending_acks: 10_000,
            ack_timeout: Duration::from_secs(20),
            slow_receiver: SlowReceiver::Disconnect,
            max_dynamic_namespaces: 10_000,
            max_dynamic_namespaces_per_connection: 100,
            cleanup_empty_namespaces: true,
            serve_client: true,
            client_files: None,
            cluster: None,
            recovery: None,
            server_side: ServerSideLimits::new(),
        }
    }
}

impl ServerConfig {
    /// Changes settings of the engine: transports, heartbeats, limits of HTTP and of the
    /// outbox, CORS, hooks. Its path is `/socket.io` unless changed.
    #[must_use]
    pub fn engine(mut self, change: impl FnOnce(EngineConfig) -> EngineConfig) -> Self {
        self.engine = change(self.engine);
        self
    }

    /// Changes settings of the Socket.IO protocol: connect timeout, attachments, namespaces.
    #[must_use]
    pub fn connection(mut self, change: impl FnOnce(ConnectionConfig) -> ConnectionConfig) -> Self {
        self.connection = change(self.connection);
        self
    }

    /// Changes how plain peers are spoken to, which send JSON lines over a TCP or Unix-domain
    /// socket. How long a line may be is the engine's affair: `max_line_bytes`.
    #[must_use]
    pub fn lines(mut self, change: impl FnOnce(LinesConfig) -> LinesConfig) -> Self {
        self.lines = change(self.lines);
        self
    }

    /// Writes and reads packets in another format than the standard one; all clients must use the same. Plain peers
    /// speak lines as ever. Default: the standard format.
    #[must_use]
    pub fn parser(mut self, parser: impl Parser + 'static) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// Changes how events come in: their order, and how many may be handled or wait at once.
    #[must_use]
    pub fn inbox(mut self, change: impl FnOnce(InboxLimits) -> InboxLimits) -> Self {
        self.inbox = change(self.inbox);
        self
    }

    /// How many bytes of `auth` data the sockets of one connection may have together, those included that somebody is still
    /// deciding about; for old clients, of what their namespaces' queries become. It is kept as long as its socket is. A peer
    /// that wants to join with more is refused with the message `Too much auth data`. Default: 1 MiB; 0 means none.
    #[must_use]
    pub const fn max_auth_bytes(mut self, bytes: usize) -> Self {
        self.max_auth_bytes = bytes;
        self
    }

    /// How many acknowledgements one socket may be waited for. Default: 10,000.
    #[must_use]
    pub const fn max_pending_acks(mut self, acks: usize) -> Self {
        self.max_pending_acks = acks;
        self
    }

    /// How long a broadcast with acknowledgements waits for answers if no `timeout` is given.
    /// Default: 20 s. A single socket is waited for until it disconnects.
    #[must_use]
    pub const fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = timeout;
        self
    }

    /// What a broadcast does with a receiver that reads too slowly. Default:
    /// [`SlowReceiver::Disconnect`].
    #[must_use]
    pub const fn slow_receiver(mut self, policy: SlowReceiver) -> Self {
        self.slow_receiver = policy;
        self
    }

    /// How many namespaces may be there at once that were made because a peer asked for them, see
    /// [`Server::of_pattern`](crate::Server::of_pattern). A peer that asks for one more is refused with the message
    /// `Too many namespaces`. Those that [`Server::of`](crate::Server::of) has made do not count. Default: 10,000.
    ///
    /// One in which nobody is any more, and which is there only for those who may [come back](Self::recovery), goes if there is
    /// no room for another, the oldest first; who comes back to it then is a new socket.
    #[must_use]
    pub const fn max_dynamic_namespaces(mut self, namespaces: usize) -> Self {
        self.max_dynamic_namespaces = namespaces;
        self
    }

    /// How many of these namespaces may be there at once that were made because the peer of one connection asked for them,
    /// whether it is still in them or not. It may be in any number that others have made, up to
    /// [`max_namespaces`](crate::ConnectionConfig::max_namespaces). Beyond it, it is refused with the message `Too many
    /// namespaces`, while others are not: without such a limit, a few connections would take all that the server may have.
    /// Default: 100.
    #[must_use]
    pub const fn max_dynamic_namespaces_per_connection(mut self, namespaces: usize) -> Self {
        self.max_dynamic_namespaces_per_connection = namespaces;
        self
    }

    /// Whether a namespace that was made because a peer asked for it goes again when nobody is in it and the application
    /// has no handle of it. Otherwise it stays, and counts for
    /// [`max_dynamic_namespaces`](Self::max_dynamic_namespaces). Default: yes.
    ///
    /// If it stays, peers that may choose names can use that number up once and for all, connection by connection: nobody
    /// gets a new namespace then before the server is started again. So let them stay only where a
    /// [function](crate::Server::of_fn) knows the names, and these are fewer.
    #[doc(alias = "cleanupEmptyChildNamespaces")]
    #[must_use]
    pub const fn cleanup_empty_namespaces(mut self, cleanup: bool) -> Self {
        self.cleanup_empty_namespaces = cleanup;
        self
    }

    /// Whether `{path}/sockeye.js`, our client for browsers, is served. Default: yes.
    #[must_use]
    pub const fn serve_client(mut self, serve: bool) -> Self {
        self.serve_client = serve;
        self
    }

    /// Official client bundles to serve under the path. Default: none.
    #[must_use]
    pub fn client_files(mut self, files: ClientFiles) -> Self {
        self.client_files = Some(files);
        self
    }

    /// Makes the server a member of a cluster: its broadcasts reach the sockets of the other servers, too. Default: none, the
    /// server is alone. It is one server's place: a second server with a clone of this configuration
    /// [is refused](crate::ConfigError::ClusterTaken).
    #[must_use]
    pub fn cluster(mut self, cluster: impl IntoCluster) -> Self {
        self.cluster = Some(cluster.into_cluster());
        self
    }

    /// Changes how many events of other servers of the cluster may be handled or wait at once, in each namespace.
    #[must_use]
    pub fn server_side(
        mut self,
        change: impl FnOnce(ServerSideLimits) -> ServerSideLimits,
    ) -> Self {
        self.server_side = change(self.server_side);
        self
    }

    /// Lets sockets come back after their connections were lost, as if nothing had happened: with their id, their rooms,
    /// their [shared data](crate::Socket::set_shared_data), and with the events that they have missed. Default: off, each
    /// connection brings a new socket.
    ///
    /// Clients get events that are neither volatile nor wait for an answer with one more argument then, a text that says
    /// where in the log they are; plain peers do not. Memory and costs are in the chapter `recovery` of the guide.
    #[doc(alias = "connectionStateRecovery")]
    #[must_use]
    pub const fn recovery(mut self, recovery: RecoveryConfig) -> Self {
        self.recovery = Some(recovery);
        self
    }
}
