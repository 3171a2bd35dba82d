use std::time::Duration;

use sockeye_engine_proto::Limits;

/// What one session may take, at whichever end: bytes, packets and times.
///
/// The defaults are a server's, unless they say what they are for a client, which takes more in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionLimits {
    /// See [`max_payload`](Self::max_payload()) and [`max_packets_per_payload`](Self::max_packets_per_payload()).
    pub payload: Limits,
    /// See [`max_line_bytes`](Self::max_line_bytes()).
    pub max_line_bytes: usize,
    /// See [`outbox_limit`](Self::outbox_limit()).
    pub outbox_limit: usize,
    /// See [`high_water_mark`](Self::high_water_mark()).
    pub high_water_mark: usize,
    /// See [`linger`](Self::linger()).
    pub linger: Duration,
    /// See [`unfinished_timeout`](Self::unfinished_timeout()).
    pub unfinished_timeout: Duration,
    /// See [`stall_timeout`](Self::stall_timeout()).
    pub stall_timeout: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            payload: Limits::default(),
            max_line_bytes: 4_000_000,
            outbox_limit: 8 * 1024 * 1024,
            high_water_mark: 16 * 1024,
            linger: Duration::from_secs(5),
            unfinished_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(300),
        }
    }
}

impl SessionLimits {
    /// The largest message, or body of long-polling, that is taken from the peer, in bytes. A server
    /// tells it its clients as `maxPayload`. Default: 1,000,000; for a client 16 MiB. Zero is refused with
    /// `ConfigError::Zero`, for a client with `ConnectorError::Zero`.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.payload.max_payload = bytes;
        self
    }

    /// How many packets one body of long-polling may hold. Default: 10,000; for a client 1,000,000, as
    /// servers put there whatever waits. Zero is refused with `ConfigError::Zero`, for a client with
    /// `ConnectorError::Zero`.
    ///
    /// A client puts as many at most into one request, but no more than 10,000, which is what servers
    /// of this library take by default.
    #[must_use]
    pub const fn max_packets_per_payload(mut self, packets: usize) -> Self {
        self.payload.max_packets_per_payload = packets;
        self
    }

    /// The longest line that is taken from a plain peer on a bare stream, in bytes without its end; a
    /// longer one ends its session with `parse error`. Default: 4,000,000, which a million bytes of
    /// any text fit into, escaped as they may be; for a client 16 MiB. Zero is refused with
    /// `ConfigError::Zero`, for a client with `ConnectorError::Zero`.
    #[must_use]
    pub const fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }

    /// How many bytes may wait for the peer before nothing more is accepted for it, and the peer of a
    /// server is not read from any more. One message may go beyond, and so may what the protocol itself
    /// has to say, such as that a namespace is joined; but where twice as much waits (or 64 KiB more,
    /// for a small limit), the session ends with a transport error. Default: 8 MiB. Zero is refused with
    /// `ConfigError::Zero`, for a client with `ConnectorError::Zero`.
    #[must_use]
    pub const fn outbox_limit(mut self, bytes: usize) -> Self {
        self.outbox_limit = bytes;
        self
    }

    /// With how many bytes waiting the peer counts as slow. [`Connection::handle_drain`] is called
    /// when nothing waits any more after so much has had to; and on bare streams volatile messages
    /// are dropped beyond it. On other transports these are dropped if anything waits. Default:
    /// 16 KiB, as with Node's streams.
    ///
    /// [`Connection::handle_drain`]: crate::Connection::handle_drain
    #[must_use]
    pub const fn high_water_mark(mut self, bytes: usize) -> Self {
        self.high_water_mark = bytes;
        self
    }

    /// How long a closed session may take to write what still waits and to say goodbye before
    /// its socket is dropped. Default: 5 s. On a server it ends sooner if all sessions are closed, by
    /// the engine's `shutdown_timeout`.
    #[must_use]
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// How long the peer may leave a message unfinished (a frame, a message in fragments, a line, an event whose
    /// attachments are owed) without adding to it. The time begins anew with each byte while fewer than 512 have come;
    /// later, or while attachments are owed, with each 512 bytes more; with each whole attachment; and after this end
    /// has not been reading. Empty fragments, heartbeats and pings do not count. Then the connection ends with
    /// `transport error`, or `parse error` on lines. Default: 30 s; [`Duration::MAX`] means no limit. Zero is refused with
    /// `ConfigError::Zero`, for a client with `ConnectorError::Zero`.
    #[must_use]
    pub const fn unfinished_timeout(mut self, timeout: Duration) -> Self {
        self.unfinished_timeout = timeout;
        self
    }

    /// How long the peer may go unheard because the application is not ready for its messages. Its
    /// heartbeat is excused until then; after that it ends with a ping timeout. Default: 5 min.
    #[must_use]
    pub const fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = timeout;
        self
    }

    /// The name of a limit that is zero and must not be, for the error that refuses it.
    #[must_use]
    pub fn zero(&self) -> Option<&'static str> {
        let limits = [
            (self.payload.max_payload == 0, "the largest payload"),
            (
                self.payload.max_packets_per_payload == 0,
                "the number of packets of a payload",
            ),
            (self.max_line_bytes == 0, "the longest line"),
            (self.outbox_limit == 0, "the outbox limit"),
            (
                self.unfinished_timeout.is_zero(),
                "the timeout of unfinished messages",
            ),
        ];
        let (_, name) = limits.into_iter().find(|(zero, _)| *zero)?;
        Some(name)
    }
}
