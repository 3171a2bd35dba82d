//! Limits of one connection.

use std::time::Duration;

use crate::encode::BytesOut;

/// Limits and leniency of one connection; every limit is finite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// How long a peer may stay connected without having joined a namespace. The time that middlewares take counts.
    /// Default: 45 seconds.
    pub connect_timeout: Duration,
    /// Attachments that one packet may have: one that comes in with more costs the connection, one that is to go out with
    /// more is an error of whoever emits it. Default: 10, beyond which Socket.IO peers of today give up the connection, as
    /// socket.io-parser does since 4.2.6, 3.4.4 and 3.3.5 (`maxAttachments` there); at most 65,535.
    pub max_attachments: usize,
    /// Bytes that the attachments of one packet that comes in may have together. Default: 10,000,000, which is the default
    /// size limit of a message times the default number of attachments; at most 4 GiB.
    pub max_attachment_bytes: usize,
    /// Bytes that may stay in the JSON of one event or acknowledgement that goes out, where they take up to four times
    /// their size: for peers of the [lines dialect](crate::lines), and where that is asked for instead of attachments.
    /// More are an error of whoever emits them; receivers of a broadcast who would get them in this way are left out.
    /// Bytes that came in this form are not counted. Default: 1,000,000, which become lines of up to 4 MB.
    pub max_inline_bytes: usize,
    /// Namespaces that one connection may join or be joining at the same time. Default: 1,000.
    pub max_namespaces: u16,
    /// Bytes that the name of a namespace may have. Default: 1,024.
    pub max_namespace_len: u16,
    /// What becomes of packets for namespaces that the peer is not in. Default: [`StrayPackets::Tolerate`].
    pub stray_packets: StrayPackets,
    /// Whether acknowledgements to a peer of revision 4 are written in the form of revision 3 from the first one on, as
    /// Socket.IO 1.0.0 to 1.0.2 need it and no later release reads it. Default: no; a peer that was seen using that form gets
    /// it in any case, but those releases hang for ever at another one.
    pub counted_acks: bool,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(45),
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            max_inline_bytes: 1_000_000,
            max_namespaces: 1000,
            max_namespace_len: 1024,
            stray_packets: StrayPackets::Tolerate,
            counted_acks: false,
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

    /// Sets [`max_attachments`](Self::max_attachments); 0 refuses every binary packet, in both directions.
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

    /// Sets [`max_inline_bytes`](Self::max_inline_bytes); with 0 only empty bytes may stay in the JSON.
    #[must_use]
    pub fn max_inline_bytes(mut self, bytes: usize) -> Self {
        self.max_inline_bytes = bytes;
        self
    }

    /// What the limits say about packets that go out.
    #[must_use]
    pub fn bytes_out(&self) -> BytesOut {
        BytesOut {
            inline: false,
            max_attachments: self.max_attachments,
            max_inline_bytes: self.max_inline_bytes,
        }
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

    /// Sets [`counted_acks`](Self::counted_acks).
    #[must_use]
    pub fn counted_acks(mut self, counted: bool) -> Self {
        self.counted_acks = counted;
        self
    }
}

/// The limits that a connection has by default.
impl Default for BytesOut {
    fn default() -> Self {
        ConnectionConfig::default().bytes_out()
    }
}

/// What becomes of events, acknowledgements and disconnects for a namespace that the peer is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StrayPackets {
    /// Packets that a well-behaved peer can have sent are ignored: those for a namespace that *we* made it leave,
    /// because they may have crossed our notice, acknowledgements for one that it left by itself, which the JavaScript
    /// client sends whenever a handler is done, and in revision 4 all of them, as servers of that time did. Others close
    /// the connection.
    Tolerate,
    /// All of them close the connection, as the reference does.
    Close,
}
