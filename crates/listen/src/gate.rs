//! Who may still come in, and who is still there: what the end of an engine waits for.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use crate::peer_origin::PeerOrigin;
use crate::trace;

/// Counts what an engine has open, and says how far the engine is in its life.
///
/// Both stand behind one lock, so that nobody can come in between looking at the one and changing
/// the other: a session is counted in the same step in which it is found that there is room for
/// it, and none is once the engine closes.
pub(crate) struct Gate {
    limits: SessionCounts,
    state: Mutex<Occupancy>,
    /// Told of every change that somebody may wait for.
    changed: Notify,
}

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCounts {
    pub(crate) total: usize,
    pub(crate) per_address: usize,
}

#[derive(Debug)]
struct Occupancy {
    phase: Phase,
    /// Sessions that are open, and places that are kept for those about to be.
    sessions: usize,
    /// How many of them are from where, as far as they have an address.
    origins: HashMap<PeerOrigin, Row, foldhash::fast::RandomState>,
    /// Listening sockets, and the connections that came by them and belong to no session.
    doors: usize,
}

/// The sessions from one place.
#[derive(Debug)]
struct Row {
    origin: Arc<PeerOrigin>,
    sessions: usize,
}

/// From where a session is, if that is counted. One pointer, as every session keeps it until it leaves.
pub(crate) type Whence = Option<Arc<PeerOrigin>>;

/// Why there is no place for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum NoPlace {
    #[error("{}", trace::FULL)]
    Total,
    #[error("{}", trace::FULL_FROM_THERE)]
    Address,
}

/// How far an engine is in its life. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// No more sessions are opened; nobody is hurried.
    Draining,
    /// Every session was told to close, and has time for it until then.
    Closing {
        until: Instant,
    },
    /// That time is over.
    Expired,
}

/// What a session that is registered now has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Live,
    Close,
    Vanish,
}

/// A place that is kept for a session which is about to be opened.
#[must_use = "the place is free again when this is dropped"]
pub(crate) struct Place {
    /// `None` once it is taken.
    gate: Option<Arc<Gate>>,
    from: Whence,
}

/// A way in; the engine is not gone before all of them are closed.
pub(crate) struct Door(Arc<Gate>);

impl Occupancy {
    /// What others wait for: nobody does for fewer sessions, only for none.
    fn awaited(&self) -> (Phase, bool, bool) {
        (
            self.phase,
            self.sessions == 0,
            self.sessions + self.doors == 0,
        )
    }

    /// Counts one more session, and says from where it is.
    fn enter(&mut self, origin: Option<PeerOrigin>) -> Whence {
        self.sessions += 1;
        let row = self
            .origins
            .entry(origin?)
            .or_insert_with_key(|origin| Row {
                origin: Arc::new(*origin),
                sessions: 0,
            });
        row.sessions += 1;
        Some(Arc::clone(&row.origin))
    }

    fn leave(&mut self, from: &Whence) {
        self.sessions -= 1;
        let Some(origin) = from.as_deref() else {
            return;
        };
        if let Some(row) = self.origins.get_mut(origin) {
            row.sessions -= 1;
            if row.sessions == 0 {
                self.origins.remove(origin);
            }
        }
    }

    fn from(&self, origin: PeerOrigin) -> usize {
        self.origins.get(&origin).map_or(0, |row| row.sessions)
    }

    fn advance(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }
}

impl Gate {
    pub(crate) fn new(limits: SessionCounts) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::new(Occupancy {
                phase: Phase::Open,
                sessions: 0,
                origins: HashMap::default(),
                doors: 0,
            }),
            changed: Notify::new(),
        })
    }

    /// Keeps a place for a session of a peer with this address, if there is room for one more.
    pub(crate) fn reserve(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, NoPlace> {
        let origin = address.map(|address| PeerOrigin::of(Some(address)));
        let mut state = self.state.lock();
        if state.phase != Phase::Open || state.sessions >= self.limits.total {
            return Err(NoPlace::Total);
        }
        if origin.is_some_and(|origin| state.from(origin) >= self.limits.per_address) {
            return Err(NoPlace::Address);
        }
        let from = state.enter(origin);
        Ok(Place {
            gate: Some(Arc::clone(self)),
            from,
        })
    }

    /// A session that was counted is over.
    pub(crate) fn leave(&self, from: &Whence) {
        self.change(|state| state.leave(from));
    }

    pub(crate) fn open_door(self: &Arc<Self>) -> Option<Door> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return None;
        }
        state.doors += 1;
        Some(Door(Arc::clone(self)))
    }

    pub(crate) fn sessions(&self) -> usize {
        self.state.lock().sessions
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.lock().phase != Phase::Open
    }

    pub(crate) fn fate(&self) -> Fate {
        match self.state.lock().phase {
            Phase::Open | Phase::Draining => Fate::Live,
            Phase::Closing { .. } => Fate::Close,
            Phase::Expired => Fate::Vanish,
        }
    }

    pub(crate) fn begin_draining(&self) {
        self.go_to(Phase::Draining);
    }

    pub(crate) fn begin_closing(&self, until: Instant) {
        self.change(|state| {
            // Whoever closes once more does not give more time.
            if !matches!(state.phase, Phase::Closing { .. }) {
                state.advance(Phase::Closing { until });
            }
        });
    }

    pub(crate) fn expire(&self) {
        self.go_to(Phase::Expired);
    }

    fn go_to(&self, phase: Phase) {
        self.change(|state| state.advance(phase));
    }

    /// Changes something that may be waited for. Those who do are told once the state is unlocked: on some
    /// executors they run at once, and want the lock.
    fn change(&self, change: impl FnOnce(&mut Occupancy)) {
        let mut state = self.state.lock();
        let before = state.awaited();
        change(&mut state);
        let is_news = state.phase != Phase::Open && state.awaited() != before;
        drop(state);
        if is_news {
            self.changed.notify_waiters();
        }
    }

    /// How long connections without a session may go on, once there are no sessions: what is left
    /// of the time for closing, but long enough to write what has just been answered.
    pub(crate) fn patience(&self, now: Instant, grace: Duration) -> Duration {
        match self.state.lock().phase {
            Phase::Open | Phase::Draining => grace,
            Phase::Closing { until } => until.saturating_duration_since(now).max(grace / 10),
            Phase::Expired => grace / 10,
        }
    }

    /// Waits until no more sessions are opened.
    pub(crate) async fn closing(&self) {
        self.until(|state| state.phase != Phase::Open).await;
    }

    /// Waits until there are no sessions and will be none.
    pub(crate) async fn emptied(&self) {
        self.until(|state| state.phase != Phase::Open && state.sessions == 0)
            .await;
    }

    /// Waits until the time for closing is over.
    pub(crate) async fn expired(&self) {
        self.until(|state| state.phase == Phase::Expired).await;
    }

    /// Waits until nothing is left, and nothing can come.
    pub(crate) async fn gone(&self) {
        self.until(|state| state.phase != Phase::Open && state.sessions == 0 && state.doors == 0)
            .await;
    }

    async fn until(&self, condition: impl Fn(&Occupancy) -> bool) {
        loop {
            // It hears of every change from here on, polled or not.
            let changed = self.changed.notified();
            if condition(&self.state.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl Place {
    /// The session is open, and [leaves](Gate::leave) by itself.
    pub(crate) fn take(mut self) -> Whence {
        self.gate = None;
        self.from.take()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave(&self.from);
        }
    }
}

impl Clone for Door {
    fn clone(&self) -> Self {
        self.0.state.lock().doors += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.change(|state| state.doors -= 1);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.lock().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;

    fn gate(sessions: usize) -> Arc<Gate> {
        Gate::new(SessionCounts {
            total: sessions,
            per_address: 2,
        })
    }

    const MOMENT: Duration = Duration::from_secs(1);

    #[test]
    fn place_that_is_not_taken_is_free_again() {
        let gate = gate(1);
        let place = gate.reserve(None).unwrap();
        assert!(gate.reserve(None).is_err());
        drop(place);
        let from = gate.reserve(None).unwrap().take();
        assert!(gate.reserve(None).is_err());
        gate.leave(&from);
        assert_eq!(gate.sessions(), 0);
    }

    #[test]
    fn places_are_counted_by_address() {
        let gate = gate(4);
        let reserve = |text: &str| gate.reserve(Some(text.parse().unwrap()));
        let first = reserve("2001:db8::1").unwrap();
        let from = reserve("2001:db8::ffff:2").unwrap().take();
        assert_eq!(reserve("2001:db8::3").err(), Some(NoPlace::Address));
        let others = [reserve("10.0.0.1").unwrap(), reserve("10.0.0.2").unwrap()];
        assert_eq!(reserve("10.0.0.3").err(), Some(NoPlace::Total));
        drop(first);
        gate.leave(&from);
        let again = [
            reserve("2001:db8::3").unwrap(),
            reserve("2001:db8::4").unwrap(),
        ];
        drop((others, again));
        let state = gate.state.lock();
        assert!(state.sessions == 0 && state.origins.is_empty());
    }

    #[test]
    fn what_has_no_address_is_only_counted_in_total() {
        let gate = gate(3);
        let places = [(); 3].map(|()| gate.reserve(None).unwrap());
        assert_eq!(gate.reserve(None).err(), Some(NoPlace::Total));
        drop(places);
    }

    #[test]
    fn nobody_comes_in_once_it_closes() {
        let gate = gate(1);
        gate.begin_draining();
        assert!(gate.reserve(None).is_err() && gate.open_door().is_none());
        assert_eq!(gate.fate(), Fate::Live);
    }

    #[test]
    fn time_for_closing_is_given_once_and_ends() {
        let gate = gate(1);
        let now = Instant::now();
        gate.begin_closing(now + MOMENT);
        gate.begin_closing(now + 5 * MOMENT);
        assert_eq!(gate.patience(now, MOMENT), MOMENT);
        assert_eq!(gate.patience(now + MOMENT, MOMENT), MOMENT / 10);
        assert_eq!(gate.fate(), Fate::Close);
        gate.expire();
        gate.begin_draining();
        gate.begin_closing(now + MOMENT);
        assert_eq!(gate.fate(), Fate::Vanish);
    }

    /// Counts wakings, each of which may look at the gate.
    struct Watch {
        gate: Arc<Gate>,
        woken: AtomicUsize,
    }

    impl Wake for Watch {
        fn wake(self: Arc<Self>) {
            assert!(!self.gate.state.is_locked());
            self.woken.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_is_woken_may_look_at_once() {
        let gate = gate(1);
        let (door, place) = (gate.open_door().unwrap(), gate.reserve(None).unwrap());
        let watch = Arc::new(Watch {
            gate: Arc::clone(&gate),
            woken: AtomicUsize::new(0),
        });
        let waker = Waker::from(Arc::clone(&watch));
        let mut gone = pin!(gate.gone());
        type Change<'g> = Box<dyn FnOnce() + 'g>;
        let changes: [(&str, Change<'_>); 5] = [
            ("draining", Box::new(|| gate.begin_draining())),
            ("closing", Box::new(|| gate.begin_closing(Instant::now()))),
            ("expired", Box::new(|| gate.expire())),
            ("place", Box::new(|| drop(place))),
            ("door", Box::new(|| drop(door))),
        ];
        for (round, (name, change)) in changes.into_iter().enumerate() {
            let polled = gone.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending(), "{name}");
            change();
            assert_eq!(watch.woken.load(Ordering::Relaxed), round + 1, "{name}");
        }
    }

    #[test]
    fn only_the_last_to_leave_is_announced() {
        let gate = gate(2);
        let (first, last) = (gate.reserve(None).unwrap(), gate.reserve(None).unwrap());
        let (door, other) = (gate.open_door().unwrap(), gate.open_door().unwrap());
        gate.begin_draining();
        let told = |leave: &mut dyn FnMut()| {
            let mut changed = std::pin::pin!(gate.changed.notified());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(changed.as_mut().poll(&mut cx).is_pending());
            leave();
            changed.as_mut().poll(&mut cx).is_ready()
        };
        let (mut first, mut last) = (Some(first), Some(last));
        let (mut door, mut other) = (Some(door), Some(other));
        assert!(!told(&mut || drop(first.take())));
        assert!(!told(&mut || drop(door.take())));
        assert!(told(&mut || drop(last.take())));
        assert!(told(&mut || drop(other.take())));
        assert!(told(&mut || gate.expire()));
    }

    #[test]
    fn gone_is_what_has_neither_sessions_nor_doors() {
        let gate = gate(1);
        let (door, place) = (gate.open_door().unwrap(), gate.reserve(None).unwrap());
        let mut gone = std::pin::pin!(gate.gone());
        let mut is_waiting = || {
            let mut cx = Context::from_waker(Waker::noop());
            gone.as_mut().poll(&mut cx).is_pending()
        };
        for step in [0, 1, 2, 3] {
            assert!(is_waiting(), "{step}");
            match step {
                0 => gate.begin_draining(),
                1 => drop(door.clone()),
                2 => gate.expire(),
                _ => {}
            }
        }
        drop(door);
        assert!(is_waiting());
        drop(place);
        assert!(!is_waiting());
    }
}
