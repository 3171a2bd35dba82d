//! Bounds on what a peer may send.

/// Bounds on what one peer may send at once.
///
/// A packet or payload beyond a bound is refused with an error that names the bound; nothing beyond it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes in one POST body, GET answer or stream frame. Default 1,000,000, as `maxHttpBufferSize` has it.
    pub max_payload: usize,
    /// Packets in one polling payload. Default 10,000.
    ///
    /// The originals have no such bound. A packet costs at least two bytes of a payload, so without one a single
    /// request could ask for half a million turns of the session.
    pub max_packets_per_payload: usize,
}

impl Limits {
    /// Sets [`max_payload`](Self::max_payload).
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Sets [`max_packets_per_payload`](Self::max_packets_per_payload).
    #[must_use]
    pub const fn max_packets_per_payload(mut self, packets: usize) -> Self {
        self.max_packets_per_payload = packets;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1_000_000,
            max_packets_per_payload: 10_000,
        }
    }
}
