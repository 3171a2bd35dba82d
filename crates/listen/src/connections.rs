//! The connections of an engine's own listeners: each has an owner that counts it, and those that
//! nobody would miss make room for others.

#[cfg(test)]
mod model;
mod order;
mod requests;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use sockeye_engine::{Seat, Seats, now};
use thiserror::Error;

use crate::peer_origin::PeerOrigin;
use order::{Order, Place};
use requests::Live;

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

struct Census {
    total: usize,
    origins: HashMap<PeerOrigin, Row, foldhash::fast::RandomState>,
    /// Those that can be done without, or will be able to if nothing happens to them.
    order: Order<Arc<RequestConnection>>,
    /// The number of the next one that carries requests.
    next: u64,
    /// When it was last said that there is no room.
    warned: Option<Instant>,
}

/// The connections from one place.
struct Peers {
    connections: Arc<Connections>,
    place: Place,
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

/// What came of looking for connections that can be done without.
enum Looked {
    Found(Vec<Live>),
    /// None of those that were looked at; there may be others.
    Undecided,
    Nothing,
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

/// Where there is no room, one in so many of the connections from one place makes some, as far as they can be done
/// without.
const SHARE: usize = 64;

/// How many connections are ranked before others may have the lock.
const BATCH: usize = 256;

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
            state: Mutex::new(Census {
                total: 0,
                origins: HashMap::default(),
                order: Order::new(now()),
                next: 0,
                warned: None,
            }),
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.state.lock().total
    }

    /// Counts a new connection. If there is no room, some that carry no request at the moment, or
    /// whose peers do not read the answers, are closed for it.
    pub(crate) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Admitted, Full> {
        let (origin, now) = (PeerOrigin::of(address), now());
        loop {
            let mut state = self.state.lock();
            let row = state.origins.get(&origin);
            let from_there = row.map_or(0, |row| row.peers.place.count());
            let full = if origin != PeerOrigin::Local && from_there >= self.limits.per_address {
                Full::Address
            } else if state.total >= self.limits.total {
                Full::Total
            } else {
                return Ok(self.seat(&mut state, origin));
            };
            let among = (full == Full::Address).then_some(origin);
            // Others may be faster to take the seats, but then there are fewer to close, so that this comes to an end.
            if !make_room(state, among, now) {
                self.warn(full, now);
                return Err(full);
            }
        }
    }

    /// Closes connections that nobody would miss; whether there were any.
    pub(crate) fn shed(&self) -> bool {
        make_room(self.state.lock(), None, now())
    }

    fn seat(self: &Arc<Self>, state: &mut Census, origin: PeerOrigin) -> Admitted {
        let row = state.origins.entry(origin).or_insert_with(|| {
            let peers = Arc::new(Peers {
                connections: Arc::clone(self),
                place: Place::new(origin),
            });
            let seats: Box<dyn Seats> = Box::new(Counted(Arc::clone(&peers)));
            let seats = Arc::new(seats);
            Row { peers, seats }
        });
        state.order.enter(&row.peers.place);
        state.total += 1;
        Admitted {
            seat: Seat::among(&row.seats),
            peers: Arc::clone(&row.peers),
        }
    }

    fn warn(&self, full: Full, now: Instant) {
        let mut state = self.state.lock();
        let recently = |at: Instant| now.saturating_duration_since(at) < WARNING_PAUSE;
        if !state.warned.is_some_and(recently) {
            state.warned = Some(now);
            tracing::warn!(limits = ?self.limits, "a connection is refused: {full}");
        }
    }
}

/// Closes some connections that can be done without at this time; whether there were any.
fn make_room(mut state: MutexGuard<'_, Census>, among: Option<PeerOrigin>, now: Instant) -> bool {
    loop {
        match state.look(among, now) {
            Looked::Found(found) => {
                // Gives the seats back, which takes the lock.
                drop(state);
                found.into_iter().for_each(Live::close);
                return true;
            }
            Looked::Nothing => return false,
            Looked::Undecided => MutexGuard::bump(&mut state),
        }
    }
}

impl Census {
    /// Of the connections that can be done without, those from where most come, and of these the ones that have done
    /// nothing for longest: so whoever takes all there are loses the first. They have ended when this returns, and only
    /// their owners do not know yet.
    ///
    /// Looked at are only those that are found, and those that were expected before them but have done something since
    /// the last look. So what it costs to refuse somebody does not depend on how many others there are.
    fn look(&mut self, among: Option<PeerOrigin>, now: Instant) -> Looked {
        if !self.order.rank(now, BATCH) {
            return Looked::Undecided;
        }
        let Some(first) = self.order.first(among) else {
            return Looked::Nothing;
        };
        let share = first.peers().place.ranked().div_ceil(SHARE);
        let mut found = Vec::new();
        for _ in 0..share {
            let Some(next) = self.order.take_first(among) else {
                break;
            };
            match next.dispense_with() {
                Ok(live) => found.push(live),
                Err(Some(time)) => self.order.insert(time, next),
                Err(None) => {}
            }
        }
        match found.is_empty() {
            true => Looked::Undecided,
            false => Looked::Found(found),
        }
    }

    /// Lists a connection anew, as it can be done without earlier than it is listed.
    fn list(&mut self, connection: &Arc<RequestConnection>) {
        let Some((before, time)) = connection.list_anew() else {
            return;
        };
        if let Some(before) = before {
            self.order.remove(before, connection);
        }
        if let Some(time) = time {
            self.order.insert(time, Arc::clone(connection));
        }
    }

    /// Ends a connection, or its carrying requests; nothing if that has happened.
    fn end(&mut self, connection: &Arc<RequestConnection>) -> Option<Live> {
        let live = connection.end()?;
        if let Some(time) = live.listed() {
            self.order.remove(time, connection);
        }
        Some(live)
    }
}

impl Seats for Counted {
    fn leave(&self) {
        let Peers { connections, place } = &*self.0;
        let mut state = connections.state.lock();
        state.total -= 1;
        if state.order.leave(place) == 0 {
            state.origins.remove(&place.origin);
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
        f.debug_tuple("Peers").field(&self.place.origin).finish()
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
        assert!(all.shed());
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

    /// How many connections are looked at meanwhile.
    fn looks(all: &Arc<Connections>, act: impl FnOnce()) -> usize {
        let looks = || all.state.lock().order.looks;
        let before = looks();
        act();
        looks() - before
    }

    #[test]
    fn refusing_who_has_taken_all_costs_no_look_at_others() {
        let all = connections(1_000_000, 20);
        let watch = |text: &str| all.watch(all.admit(address(text)).unwrap());
        let others: Vec<_> = (0..1000)
            .map(|n| watch(&format!("10.0.1.{}", n % 100)))
            .collect();
        // WebSockets, and polls that wait.
        let _seats: Vec<_> = (0..10).map(|_| watch("10.0.0.1").into_seat()).collect();
        let polls: Vec<_> = (0..10).map(|_| watch("10.0.0.1")).collect();
        let mut serving: Vec<_> = polls.iter().map(|poll| poll.serve()).collect();
        let refuse = || {
            assert_eq!(all.admit(address("10.0.0.1")).unwrap_err(), Full::Address);
        };
        let first = looks(&all, refuse);
        assert!(
            first <= 1010 + 10,
            "{first} at first, each of them ranked once"
        );
        assert_eq!(looks(&all, || (0..1000).for_each(|_| refuse())), 0);

        // What others do changes nothing about that.
        let busy: Vec<_> = others.iter().map(|other| other.serve()).collect();
        drop(busy);
        assert_eq!(looks(&all, refuse), 0);
        // And of one's own, only those are looked at that have done something.
        for n in 0..serving.len() {
            serving[n] = polls[n].serve();
            let cost = looks(&all, refuse);
            assert!(cost <= 2, "{cost}");
        }
        drop(serving.pop());
        let cost = looks(&all, || drop(all.admit(address("10.0.0.1")).unwrap()));
        assert!(cost <= 2 && polls[9].is_cut(), "{cost}");
        assert!(others.iter().all(|other| !other.is_cut()));
    }

    #[test]
    fn making_room_among_all_costs_a_look_at_those_that_go() {
        let all = connections(1000, 1000);
        let watched: Vec<_> = (0..1000_u32)
            .map(|n| {
                let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
                all.watch(all.admit(Some(address)).unwrap())
            })
            .collect();
        let serving: Vec<_> = watched[..500].iter().map(|one| one.serve()).collect();
        let admit = || all.admit(None).unwrap();
        let mut admitted = vec![];
        let first = looks(&all, || admitted.push(admit()));
        assert!(
            first <= 1000 + 501,
            "{first}: all are ranked, and half of them are busy"
        );
        for _ in 0..100 {
            let cost = looks(&all, || admitted.push(admit()));
            assert_eq!(cost, 1);
        }
        assert!(watched[500..601].iter().all(|one| one.is_cut()));
        drop(serving);
        assert!(watched[601..].iter().all(|one| !one.is_cut()));
    }

    #[test]
    fn many_are_found_however_the_lock_is_given_away_meanwhile() {
        let count = 3 * BATCH;
        let all = connections(count, count);
        let watched: Vec<_> = (0..count)
            .map(|_| all.watch(all.admit(None).unwrap()))
            .collect();
        let serving: Vec<_> = watched[1..].iter().map(|one| one.serve()).collect();
        drop(all.admit(None).unwrap());
        assert!(watched[0].is_cut());
        let refill = all.admit(None).unwrap();
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        drop((serving, refill));
    }

    #[test]
    fn whoever_becomes_idle_is_found_again() {
        let all = connections(2, 2);
        let [one, other] = [(); 2].map(|()| all.watch(all.admit(None).unwrap()));
        let (serving, _busy) = (one.serve(), other.serve());
        for _ in 0..2 {
            assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        }
        let more = one.serve();
        drop(serving);
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        drop(more);
        all.admit(None).unwrap();
        assert!(one.is_cut() && !other.is_cut());
    }

    #[test]
    fn connections_that_end_leave_nothing_behind() {
        let all = connections(3, 3);
        let watched = [(); 3].map(|()| all.watch(all.admit(None).unwrap()));
        let serving = watched.each_ref().map(|one| one.serve());
        assert!(!all.shed());
        let [first, second, third] = watched;
        let [of_first, of_second, _] = serving;
        drop(first);
        drop(of_first);
        let seat = second.into_seat();
        drop(of_second);
        drop(third);
        let mut state = all.state.lock();
        assert_eq!(state.total, 1);
        assert!(state.order.rank(now(), 1) && state.order.first(None).is_none());
        drop(state);
        drop(seat);
        assert!(all.state.lock().origins.is_empty());
    }

    /// Whoever is of use for a moment only must neither be lost nor be cut for that.
    #[tokio::test(start_paused = true)]
    async fn whose_peer_reads_again_is_as_idle_as_before() {
        let all = connections(2, 2);
        let [one, other] = [(); 2].map(|()| all.watch(all.admit(None).unwrap()));
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        let second = Duration::from_secs(1);
        tokio::time::advance(second).await;
        drop(other.serve());
        // The rest of an answer.
        one.wait_to_write(&cx);
        let _first = all.admit(None).unwrap();
        assert!(other.is_cut() && !one.is_cut());
        assert_eq!(all.admit(None).unwrap_err(), Full::Total);
        one.has_written();
        all.admit(None).unwrap();
        assert!(one.is_cut());
    }
}
