//! Settings that are the same for every bus.

use std::time::Duration;

use crate::queue::QueueLimits;

/// How a server works together with others, whatever the engine between them.
///
/// The defaults are those of Node's adapters, where these have such a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClusterConfig {
    pub(crate) queue: QueueLimits,
    pub(crate) requests_timeout: Duration,
    pub(crate) max_requests: usize,
    pub(crate) max_ack_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) max_local_wait: Duration,
    pub(crate) max_replay_bytes: usize,
    pub(crate) leave_timeout: Duration,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            queue: QueueLimits::default(),
            requests_timeout: Duration::from_secs(5),
            max_requests: 10_000,
            max_ack_timeout: Duration::from_secs(600),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(10),
            max_local_wait: Duration::from_secs(1),
            max_replay_bytes: 16 * 1024 * 1024,
            leave_timeout: Duration::from_secs(5),
        }
    }
}

impl ClusterConfig {
    /// How many bytes of messages may wait for the engine. Beyond that, what is oldest is dropped for what is new, which is
    /// counted, logged, and told as a gap. Default: 16 MiB.
    pub const fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// How long a message may wait for the engine before it is dropped. Default: 5 s; 60 s where the engine has a log, which
    /// brings a late message to everyone once.
    ///
    /// After an outage messages wait until the other servers are back, but for half of this at most; those of an
    /// [`Emitter`](crate::Emitter), which does not know the servers, for half of it.
    pub const fn max_queue_age(mut self, age: Duration) -> Self {
        self.queue.age = Some(age);
        self
    }

    /// How long the other servers' answers are waited for, where the application does not say. Not for `emit_with_ack`
    /// to clients, which waits for the server's `ack_timeout`. Default: 5 s.
    #[doc(alias = "requestsTimeout")]
    pub const fn requests_timeout(mut self, timeout: Duration) -> Self {
        self.requests_timeout = timeout;
        self
    }

    /// How many requests of a namespace may wait for answers at the same time; a further one has none. Default: 10,000.
    pub const fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// How long another server can have this one wait for its clients' acknowledgements of a broadcast, for each of which a
    /// little is kept meanwhile. What such a server waits for longer does not come from here. Default: 10 minutes.
    pub const fn max_ack_timeout(mut self, timeout: Duration) -> Self {
        self.max_ack_timeout = timeout;
        self
    }

    /// How long a server may be silent before it says that it is there. Default: 5 s. It must be well below the
    /// [timeout](Self::heartbeat_timeout) of every server. An engine that knows how many servers there are is asked for that as
    /// often.
    #[doc(alias = "heartbeatInterval")]
    pub const fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// After what silence another server counts as gone, where the engine does not know. Default: 10 s.
    #[doc(alias = "heartbeatTimeout")]
    pub const fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// How long an event waits for its place in the log before this server's sockets get it with that of what they got before.
    /// Only where events are logged, for sockets that [come back](sockeye_adapter::RecoveryStore); all else does not wait.
    /// Default: 1 s.
    ///
    /// Who gets it so and then loses the connection may get it once more. Until it has its place it is remembered, for who
    /// comes back meanwhile; of all namespaces together as many bytes as may [wait for the engine](Self::max_queue_bytes). Who
    /// comes back while it was more is a new socket.
    pub const fn max_local_wait(mut self, wait: Duration) -> Self {
        self.max_local_wait = wait;
        self
    }

    /// How many bytes of events a socket may have missed that comes back to another server; one that has missed more is a
    /// new one. Default: 16 MiB.
    pub const fn max_replay_bytes(mut self, bytes: usize) -> Self {
        self.max_replay_bytes = bytes;
        self
    }

    /// How long a server that is closed waits for the engine to take what is queued and that it leaves; so does an
    /// [`Emitter`](crate::Emitter). What is left then is lost. Zero waits for nothing. Default: 5 s.
    ///
    /// An engine that is known to be away is waited for only where it has a log, in which sockets are to be found.
    pub const fn leave_timeout(mut self, timeout: Duration) -> Self {
        self.leave_timeout = timeout;
        self
    }
}
