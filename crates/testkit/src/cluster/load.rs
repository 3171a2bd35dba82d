//! Many events, and who has got them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sockeye_server::Server;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::eventually;
use crate::Peer;

/// A server that emits numbers to a room, so many a second, as fast as it can on a machine that has much to do.
pub(super) struct Load {
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Load {
    pub(super) fn start(io: &Server, room: &'static str, per_second: u64) -> Self {
        Self::padded(io, room, per_second, 0)
    }

    /// The same where each sixteenth is larger by so many bytes.
    pub(super) fn padded(io: &Server, room: &'static str, per_second: u64, bytes: usize) -> Self {
        let padding: Arc<str> = "x".repeat(bytes).into();
        let (sent, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (io, number, stop) = (io.clone(), Arc::clone(&sent), Arc::clone(&is_over));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            while !stop.load(Ordering::Acquire) {
                ticks.tick().await;
                for _ in 0..per_second / 200 {
                    let event = number.load(Ordering::Relaxed);
                    let sent = match event % 16 == 0 && !padding.is_empty() {
                        true => io.to(room).emit("x", (event, &*padding)),
                        false => io.to(room).emit("x", event),
                    };
                    sent.expect("sent");
                    number.store(event + 1, Ordering::Release);
                }
            }
        });
        Self {
            sent,
            is_over,
            task,
        }
    }

    /// How many there were.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    /// The number of the first that is emitted from now on. The one before it may be on its way, which is counted only then.
    pub(super) fn begun(&self) -> u64 {
        self.sent() + 1
    }

    /// Goes on for so many more.
    pub(super) async fn more(&self, events: u64) {
        let end = self.sent() + events;
        eventually("they are sent", async || self.sent() >= end).await;
    }

    /// Ends it; gives the number of events.
    pub(super) async fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Release);
        self.task.await.expect("it emits");
        self.sent.load(Ordering::Acquire)
    }
}

/// What comes to a client, taken as it comes.
pub(super) struct Listening(JoinHandle<Vec<u64>>);

impl Listening {
    pub(super) fn start(mut peer: Peer) -> Self {
        Self(tokio::spawn(async move {
            let mut numbers = Vec::new();
            loop {
                let text = peer.text().await;
                if text.starts_with(END) {
                    return numbers;
                }
                let number = text.strip_prefix(r#"2["x","#);
                // Behind it there may be an offset, or what makes it large.
                let number = number.and_then(|rest| rest.split([',', ']']).next());
                let number = number.and_then(|number| number.parse().ok());
                numbers.push(number.unwrap_or_else(|| panic!("{text} is no number")));
            }
        }))
    }

    /// All numbers, when the event `end` has come.
    pub(super) async fn end(self) -> Vec<u64> {
        self.0.await.expect("it listens")
    }
}

const END: &str = r#"2["end""#;
