//! What is counted for whoever asks, in this process and without a recorder.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What all servers of this process have done since [`count_totals`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Packets with messages that have come: texts, attachments, and lines of plain peers.
    pub packets_received: u64,
    /// The bytes in these.
    pub bytes_received: u64,
    /// Packets with messages that were sent.
    pub packets_sent: u64,
    /// The bytes in these.
    pub bytes_sent: u64,
    /// Sessions that were opened.
    pub opened: u64,
    /// Sessions that were closed, by the reason. It has each reason once, in the same order always.
    pub closed: Vec<(&'static str, u64)>,
    /// Of the sessions that are open, how many are on long-polling.
    pub polling: u64,
}

static IS_COUNTED: AtomicBool = AtomicBool::new(false);
static PACKETS_RECEIVED: AtomicU64 = AtomicU64::new(0);
static BYTES_RECEIVED: AtomicU64 = AtomicU64::new(0);
static PACKETS_SENT: AtomicU64 = AtomicU64::new(0);
static BYTES_SENT: AtomicU64 = AtomicU64::new(0);
static OPENED: AtomicU64 = AtomicU64::new(0);
static POLLING: AtomicU64 = AtomicU64::new(0);
/// By [`REASONS`].
static CLOSED: [AtomicU64; REASONS.len()] = [const { AtomicU64::new(0) }; REASONS.len()];

/// Those of a session's end. What is none of them counts as the last.
const REASONS: [&str; 11] = [
    "transport close",
    "ping timeout",
    "transport error",
    "parse error",
    "forced close",
    "forced server close",
    "server shutting down",
    "server namespace disconnect",
    "client namespace disconnect",
    "dropped",
    "other",
];

const POLLING_NAME: &str = "polling";

/// Counts from now on, for the rest of the process: before that, each call is one look at a static. Sessions that are open
/// already are not counted, nor is their end.
pub fn count_totals() {
    IS_COUNTED.store(true, Ordering::Relaxed);
}

/// What was counted. The figures are read one after the other, while others may change.
#[must_use]
pub fn totals() -> Totals {
    let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
    Totals {
        packets_received: read(&PACKETS_RECEIVED),
        bytes_received: read(&BYTES_RECEIVED),
        packets_sent: read(&PACKETS_SENT),
        bytes_sent: read(&BYTES_SENT),
        opened: read(&OPENED),
        closed: REASONS.into_iter().zip(CLOSED.iter().map(read)).collect(),
        polling: read(&POLLING),
    }
}

fn is_counted() -> bool {
    IS_COUNTED.load(Ordering::Relaxed)
}

/// A message of so many bytes has come from a peer.
#[inline]
pub fn packet_received(bytes: impl FnOnce() -> usize) {
    if is_counted() {
        PACKETS_RECEIVED.fetch_add(1, Ordering::Relaxed);
        BYTES_RECEIVED.fetch_add(bytes() as u64, Ordering::Relaxed);
    }
}

/// A message of so many bytes was sent to a peer.
#[inline]
pub fn packet_sent(bytes: impl FnOnce() -> usize) {
    if is_counted() {
        PACKETS_SENT.fetch_add(1, Ordering::Relaxed);
        BYTES_SENT.fetch_add(bytes() as u64, Ordering::Relaxed);
    }
}

/// What is counted of one session.
#[derive(Debug)]
pub(crate) struct Life {
    is_polling: bool,
}

impl Life {
    /// A session was opened; `None` if nobody counts.
    pub(crate) fn open(transport: &str) -> Option<Self> {
        if !is_counted() {
            return None;
        }
        OPENED.fetch_add(1, Ordering::Relaxed);
        let is_polling = transport == POLLING_NAME;
        if is_polling {
            POLLING.fetch_add(1, Ordering::Relaxed);
        }
        Some(Self { is_polling })
    }

    /// Another transport carries it from now on.
    pub(crate) fn upgraded(&mut self) {
        if std::mem::take(&mut self.is_polling) {
            POLLING.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It was closed.
    pub(crate) fn closed(&mut self, reason: &str) {
        self.upgraded();
        let known = REASONS.iter().position(|known| *known == reason);
        CLOSED[known.unwrap_or(REASONS.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures are the process's, so there is but one test of them.
    #[test]
    fn what_happens_is_counted_from_when_it_is_asked_for() {
        packet_received(|| panic!("nobody counts"));
        assert!(Life::open("polling").is_none());
        assert_eq!(totals().opened, 0);

        count_totals();
        packet_received(|| 5);
        packet_received(|| 7);
        packet_sent(|| 11);
        let mut upgraded = Life::open("polling").expect("it is counted");
        let mut polling = Life::open("polling").expect("it is counted");
        let mut websocket = Life::open("websocket").expect("it is counted");
        assert_eq!(totals().polling, 2);
        upgraded.upgraded();
        assert_eq!(totals().polling, 1);
        upgraded.closed("transport close");
        polling.closed("ping timeout");
        websocket.closed("something new");

        let totals = totals();
        assert_eq!((totals.packets_received, totals.bytes_received), (2, 12));
        assert_eq!((totals.packets_sent, totals.bytes_sent), (1, 11));
        assert_eq!((totals.opened, totals.polling), (3, 0));
        let closed: Vec<_> = totals.closed.iter().filter(|(_, n)| *n > 0).collect();
        let once = |reason| (reason, 1);
        let expected = ["transport close", "ping timeout", "other"].map(once);
        assert_eq!(closed, expected.each_ref());
    }
}
