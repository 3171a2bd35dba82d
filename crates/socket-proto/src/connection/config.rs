//! Limits of one connection.

use std::time::Duration;

/// Limits and leniency of one connection; every limit is finite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// How long a peer may stay connected without having joined a namespace. Default: 45 seconds.
    pub connect_timeout: Duration,
    /// Attachments that one packet may have. Default: 10, as in the reference since socket.io-parser 4.2.6;
    /// at most 65,535.
    pub max_attachments: usize,
    /// Bytes that the attachments of one packet may have together. Default: 10,000,000, which is the default size
    /// limit of a message times the default number of attachments; at most 4 GiB.
    pub max_attachment_bytes: usize,
    /// Namespaces that one connection may join or be joining at the same time. Default: 1,000.
    pub max_namespaces: u16,
    /// Bytes that the name of a namespace may have. Default: 1,024.
    pub max_namespace_len: u16,
    /// What becomes of packets for namespaces that the peer is not in. Default: [`StrayPackets::Tolerate`].
    pub stray_packets: StrayPackets,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            max_namespaces: 1000,
            max_namespace_len: 1024,
            stray_packets: StrayPackets::Tolerate,
        }
    }
}

impl ConnectionConfig {
    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`max_attachments`](Self::max_attachments); 0 refuses every binary packet.
    #[must_use]
    pub fn max_attachments(mut self, count: usize) -> Self {
        self.max_attachments = count;
        self
    }

    /// Sets [`max_attachment_bytes`](Self::max_attachment_bytes).
    #[must_use]
    pub fn max_attachment_bytes(mut self, bytes: usize) -> Self {
        self.max_attachment_bytes = bytes;
        self
    }

    /// Sets [`max_namespaces`](Self::max_namespaces); at least one is always allowed.
    #[must_use]
    pub fn max_namespaces(mut self, count: u16) -> Self {
        self.max_namespaces = count;
        self
    }

    /// Sets [`max_namespace_len`](Self::max_namespace_len).
    #[must_use]
    pub fn max_namespace_len(mut self, bytes: u16) -> Self {
        self.max_namespace_len = bytes;
        self
    }

    /// Sets [`stray_packets`](Self::stray_packets).
    #[must_use]
    pub fn stray_packets(mut self, stray_packets: StrayPackets) -> Self {
        self.stray_packets = stray_packets;
        self
    }
}

/// What becomes of events, acknowledgements and disconnects for a namespace that the peer is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrayPackets {
    /// Packets that a well-behaved peer can have sent are ignored: those for a namespace that *we* made it leave,
    /// because they may have crossed our notice, and in revision 4 all of them, as servers of that time did.
    /// Others close the connection.
    Tolerate,
    /// All of them close the connection, as the reference does.
    Close,
}
