//! The connections of an engine's own listeners: each has an owner that counts it, and those that
//! nobody would miss make room for others.

mod requests;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sockeye_engine::{Seat, Seats, now};
use thiserror::Error;

use crate::peer_origin::PeerOrigin;

pub(crate) use requests::{Owner, RequestConnection, Serving, Watched, Writing};

/// All connections, in total and by address.
pub(crate) struct Connections {
    limits: ConnectionLimits,
    state: Mutex<Census>,
}

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) total: usize,
    pub(crate) per_address: usize,
}

#[derive(Default)]
struct Census {
    total: usize,
    origins: HashMap<PeerOrigin, Row, foldhash::fast::RandomState>,
    /// Those that carry requests, by their numbers.
    requests: HashMap<u64, Arc<RequestConnection>, foldhash::fast::RandomState>,
    next: u64,
    /// When it was last said that there is no room.
    warned: Option<Instant>,
}

/// The connections from one place.
struct Peers {
    connections: Arc<Connections>,
    origin: PeerOrigin,
    /// Changed under the lock of [`Connections`] only.
    count: AtomicUsize,
}

/// The connections from one place, and the same as those that have a seat among them see it.
struct Row {
    peers: Arc<Peers>,
    seats: Arc<Box<dyn Seats>>,
}

/// A connection for which there is room, and which counts.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) seat: Seat,
    peers: Arc<Peers>,
}

/// Takes those who leave out of the account.
#[derive(Debug)]
struct Counted(Arc<Peers>);

/// Why there is no room for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Full {
    #[error("there are as many connections as there may be")]
    Total,
    #[error("there are as many connections from this address as there may be")]
    Address,
}

/// Where there is no room, one in so many of the connections that can be done without makes some.
const SHARE: usize = 64;

/// How often the log says that there is no room.
const WARNING_PAUSE: Duration = Duration::from_secs(10);

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 1_000_000,
            per_address: 20_000,
        }
    }
}

impl Connections {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().total
    }

    /// Counts a new connection. If there is no room, some that carry no request at the moment, or
    /// whose peers do not read the answers, are closed for it.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, Full> {
        let origin = PeerOrigin::of(address);
        loop {
            let mut state = self.state.lock();
            let from_there = state
                .origins
                .get(&origin)
                .map_or(0, |row| row.peers.count());
            let full = if origin != PeerOrigin::Local && from_there >= self.limits.per_address {
                Full::Address
            } else if state.total >= self.limits.total {
                Full::Total
            } else {
                return Ok(self.seat(&mut state, origin));
            };
            let among = (full == Full::Address).then_some(origin);
            let dispensable = state.most_dispensable(among);
            if dispensable.is_empty() {
                self.warn(&mut state, full);
                return Err(full);
            }
            drop(state);
            // Gives the seats back, which takes the lock. Others may be faster to take them, but then
            // there are fewer to close, so that this comes to an end.
            dispensable.iter().for_each(|found| found.cut());
        }
    }

    /// Closes connections that nobody would miss; whether there were any.
    pub(crate) fn shed(&self) -> bool {
        let dispensable = self.state.lock().most_dispensable(None);
        dispensable.iter().for_each(|found| found.cut());
        !dispensable.is_empty()
    }

    fn seat(self: &Arc<Self>, state: &mut Census, origin: PeerOrigin) -> Admitted {
        let row = state.origins.entry(origin).or_insert_with(|| {
            let peers = Arc::new(Peers {
                connections: Arc::clone(self),
                origin,
                count: AtomicUsize::new(0),
            });
            let seats: Box<dyn Seats> = Box::new(Counted(Arc::clone(&peers)));
            let seats = Arc::new(seats);
            Row { peers, seats }
        });
        row.peers.count.fetch_add(1, Ordering::Relaxed);
        state.total += 1;
        Admitted {
            seat: Seat::among(&row.seats),
            peers: Arc::clone(&row.peers),
        }
    }

    fn warn(&self, state: &mut Census, full: Full) {
        let now = now();
        let recently = |at: Instant| now.saturating_duration_since(at) < WARNING_PAUSE;
        if !state.warned.is_some_and(recently) {
            state.warned = Some(now);
            tracing::warn!(limits = ?self.limits, "a connection is refused: {full}");
        }
    }
}

impl Census {
    /// Of the connections that can be done without, those from where most come, and of these the
    /// ones that have done nothing for longest: so whoever takes all there are loses the first.
    ///
    /// All are looked at for that. So that this costs little for each new connection, it finds a
    /// [share](SHARE) of them at once.
    fn most_dispensable(&self, among: Option<PeerOrigin>) -> Vec<Arc<RequestConnection>> {
        let mut found: Vec<_> = self
            .requests
            .values()
            .filter(|found| among.is_none_or(|origin| found.peers().origin == origin))
            .filter_map(|found| {
                let idle = (found.useless_since()?, found.number());
                Some((Reverse(found.peers().count()), idle, found))
            })
            .collect();
        let share = found.len().div_ceil(SHARE);
        if share < found.len() {
            found.select_nth_unstable_by_key(share, |(peers, idle, _)| (*peers, *idle));
            found.truncate(share);
        }
        found
            .into_iter()
            .map(|(.., found)| Arc::clone(found))
            .collect()
    }
}

impl Peers {
    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Seats for Counted {
    fn leave(&self) {
        let peers = &self.0;
        let mut state = peers.connections.state.lock();
        state.total -= 1;
        if peers.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.origins.remove(&peers.origin);
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("limits", &self.limits)
            .field("total", &self.count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peers").field(&self.origin).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn connections(total: usize, per_address: usize) -> Arc<Connections> {
        Connections::new(ConnectionLimits { total, per_address })
    }

    #[test]
    fn seats_are_counted_in_total_and_by_address() {
        let all = connections(3, 2);
        let first = all.admit(address("10.0.0.1")).unwrap();
        let second = all.admit(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(all.admit(address("10.0.0.1")).unwrap_err(), Full::Address);
        let other = all.admit(address("10.0.0.2")).unwrap();
        assert_eq!(all.admit(address("10.0.0.3")).unwrap_err(), Full::Total);
        drop((first, second));
        assert_eq!(all.count(), 1);
        all.admit(address("10.0.0.1")).unwrap();
        drop(other);
        assert!(all.state.lock().origins.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_addresses_is_one_place() {
        let all = connections(9, 1);
        let _first = all.admit(address("2001:db8::1")).unwrap();
        let again = all.admit(address("2001:db8::ffff:2"));
        assert_eq!(again.unwrap_err(), Full::Address);
        all.admit(address("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn what_has_no_address_is_only_in_the_total() {
        let all = connections(2, 1);
        let _both = (all.admit(None).unwrap(), all.admit(None).unwrap());
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
    }

    #[test]
    fn whoever_has_most_and_does_least_makes_room() {
        let all = connections(4, 3);
        let open = |text| all.watch(all.admit(address(text)).unwrap());
        let (busy, other) = (open("10.0.0.1"), open("10.0.0.2"));
        let _serving = busy.serve();
        let (old, young) = (open("10.0.0.1"), open("10.0.0.1"));
        let _new = open("10.0.0.3");
        let cut = [&busy, &other, &old, &young].map(|watched| watched.is_cut());
        assert_eq!(cut, [false, false, true, false]);
        assert_eq!(all.count(), 4);
        let _fourth = open("10.0.0.1");
        assert!(young.is_cut() && !other.is_cut());
    }

    #[test]
    fn who_serves_a_request_is_not_cut() {
        let all = connections(1, 1);
        let watched = all.watch(all.admit(address("10.0.0.1")).unwrap());
        let serving = watched.serve();
        assert_eq!(all.admit(address("10.0.0.2")).unwrap_err(), Full::Total);
        assert!(!all.shed());
        drop(serving);
        all.admit(address("10.0.0.2")).unwrap();
        assert!(watched.is_cut());
    }

    #[test]
    fn many_make_room_at_once_if_there_are_many() {
        let all = connections(128, 200);
        let open: Vec<_> = (0..128)
            .map(|_| all.watch(all.admit(address("10.0.0.1")).unwrap()))
            .collect();
        all.admit(address("10.0.0.2")).unwrap();
        let cut: Vec<_> = open.iter().map(|watched| watched.is_cut()).collect();
        assert_eq!(cut.iter().filter(|cut| **cut).count(), 2);
        assert!(cut[0] && cut[1]);
    }

    #[tokio::test]
    async fn owner_that_does_not_read_yet_notices_that_it_is_cut() {
        let all = connections(1, 1);
        let watched = all.watch(all.admit(None).unwrap());
        let mut until_cut = std::pin::pin!(watched.until_cut());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(until_cut.as_mut().poll(&mut cx).is_pending());
        watched.cut();
        until_cut.await;
        all.admit(None).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn buffer_that_is_full_for_a_moment_costs_no_connection() {
        let all = connections(1, 1);
        let watched = all.watch(all.admit(None).unwrap());
        let _serving = watched.serve();
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        watched.wait_to_write(&cx);
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        tokio::time::advance(Duration::from_secs(1)).await;
        all.admit(None).unwrap();
    }
}
