//! Kept sockets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sockeye_adapter::KeptSocket;

use crate::clock::after;

/// Sockets that may come back, by private id. As many as there are disconnections within the time for which they are kept.
#[derive(Default)]
pub(super) struct Kept(HashMap<Box<str>, (KeptSocket, Instant)>);

impl Kept {
    pub(super) fn keep(&mut self, socket: KeptSocket, now: Instant, time: Duration) {
        self.0.retain(|_, (_, until)| *until > now);
        let pid = socket.pid.clone();
        self.0.insert(pid, (socket, after(now, time)));
    }

    /// The socket, and how much longer it would have been kept.
    pub(super) fn take(&mut self, pid: &str, now: Instant) -> Option<(KeptSocket, Duration)> {
        let (socket, until) = self.0.remove(pid)?;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some((socket, left))
    }
}
