use std::time::Duration;

use sockeye_engine_proto::Limits;

/// What one session may take, at whichever end: the part of both ends' configurations that the
/// driver and the outbox look at.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What the peer may send at once.
    pub limits: Limits,
    /// How many bytes may wait to be written before nothing more is accepted, and the peer not read
    /// from any more.
    pub outbox_limit: usize,
    /// With how many bytes waiting the peer counts as slow.
    pub high_water_mark: usize,
    /// How long the last words of a session, and the peer's, may take.
    pub linger: Duration,
    /// How long a message that is not complete may go without anything being added to it.
    pub unfinished_timeout: Duration,
    /// How long a peer is excused from its heartbeat while this end does not read.
    pub stall_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            outbox_limit: 8 * 1024 * 1024,
            high_water_mark: 16 * 1024,
            linger: Duration::from_secs(5),
            unfinished_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(300),
        }
    }
}
