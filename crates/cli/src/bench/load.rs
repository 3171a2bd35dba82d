//! The events that are emitted, and what becomes of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;
use sockeye::client::{EncodeError, Socket};
use sockeye::{AckError, Args, DisconnectReason};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::options::LoadOptions;

/// What all workers share.
pub(super) struct Load {
    event: String,
    args: Args,
    timeout: Duration,
    is_over: watch::Sender<bool>,
    /// Times in nanoseconds.
    shards: Vec<Mutex<Histogram<u64>>>,
    answered: AtomicU64,
    timeouts: AtomicU64,
    failed: AtomicU64,
    lost: AtomicUsize,
    has_lost: Notify,
}

/// What went wrong.
pub(super) struct Errors {
    /// Events that were not answered in time.
    pub(super) timeouts: u64,
    /// Events that could not be sent, or whose connection was lost first.
    pub(super) failed: u64,
    /// Connections that were lost.
    pub(super) lost: usize,
}

/// When a worker emits, if that is not as soon as it can.
pub(super) struct Pace {
    next: Instant,
    interval: Duration,
}

/// Workers rarely wait for each other to note a time, however many there are.
const SHARDS: usize = 16;

/// Times are kept to three digits.
const DIGITS: u8 = 3;

impl Load {
    pub(super) fn new(options: &LoadOptions) -> Result<Self, EncodeError> {
        let shards = (0..SHARDS).map(|_| Mutex::new(histogram()));
        Ok(Self {
            event: options.event.clone(),
            args: options.payload()?,
            timeout: options.timeout.0,
            is_over: watch::Sender::new(false),
            shards: shards.collect(),
            answered: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicUsize::new(0),
            has_lost: Notify::new(),
        })
    }

    /// Takes note if the connection of this socket is lost.
    pub(super) fn watch(self: &Arc<Self>, socket: &Socket) {
        let load = Arc::clone(self);
        socket.on_disconnect(move |reason: DisconnectReason| {
            if reason != DisconnectReason::IoClientDisconnect {
                load.lost.fetch_add(1, Ordering::Relaxed);
                load.has_lost.notify_one();
            }
        });
    }

    /// Emits one event after the other until it is over, or the connection is.
    pub(super) async fn work(
        self: Arc<Self>,
        index: usize,
        socket: Socket,
        mut pace: Option<Pace>,
    ) {
        let mut is_over = self.is_over.subscribe();
        loop {
            let due = tokio::select! {
                due = wait(&mut pace) => due,
                _ = is_over.wait_for(|is_over| *is_over) => return,
            };
            if *is_over.borrow() {
                return;
            }
            let emission = socket.timeout(self.timeout);
            match emission
                .emit_with_ack::<Args>(&self.event, &self.args)
                .await
            {
                Ok(_) => self.note(index, due.elapsed()),
                Err(AckError::Timeout) => count(&self.timeouts),
                Err(_) => {
                    count(&self.failed);
                    // The outbox is full, say: not to be tried again in a tight loop.
                    if socket.ready().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn note(&self, index: usize, latency: Duration) {
        count(&self.answered);
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        // A histogram that resizes takes every value.
        let _ = self.shards[index % SHARDS].lock().record(nanos);
    }

    /// Lets the workers end.
    pub(super) fn stop(&self) {
        self.is_over.send_replace(true);
    }

    /// Waits until so many connections are lost.
    pub(super) async fn lost_all(&self, connections: usize) {
        while self.errors().lost < connections {
            self.has_lost.notified().await;
        }
    }

    /// How many events have been answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(super) fn errors(&self) -> Errors {
        Errors {
            timeouts: self.timeouts.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// How long answers took, in nanoseconds.
    pub(super) fn latency(&self) -> Histogram<u64> {
        let mut all = histogram();
        for shard in &self.shards {
            // One that resizes can take in any other.
            let _ = all.add(&*shard.lock());
        }
        all
    }
}

impl Pace {
    /// The pace of one of so many workers that together keep this rate, and never emit at once.
    pub(super) fn new(rate: f64, index: usize, count: usize, start: Instant) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "nobody has that many workers")]
        let (index, count) = (index as f64, count as f64);
        Self {
            next: start + Duration::from_secs_f64(index / rate),
            interval: Duration::from_secs_f64(count / rate),
        }
    }

    /// Waits until an event is due; its time, which may be long past.
    async fn wait(&mut self) -> Instant {
        tokio::time::sleep_until(self.next).await;
        let due = self.next;
        self.next += self.interval;
        due
    }
}

/// When the next event is due.
async fn wait(pace: &mut Option<Pace>) -> Instant {
    match pace {
        Some(pace) => pace.wait().await,
        None => Instant::now(),
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("this many digits are possible")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn workers_take_turns() {
        let start = Instant::now();
        let mut second = Pace::new(10.0, 1, 5, start);
        let due = [second.wait().await, second.wait().await];
        let millis = due.map(|due| (due - start).as_millis());
        assert_eq!(millis, [100, 600]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_late_keeps_its_time() {
        let start = Instant::now();
        let mut only = Pace::new(10.0, 0, 1, start);
        tokio::time::advance(Duration::from_secs(1)).await;
        for turn in 0..10 {
            let due = only.wait().await;
            assert_eq!((due - start).as_millis(), turn * 100);
        }
        assert_eq!(start.elapsed().as_millis(), 1000);
    }
}
