//! Connections that carry HTTP requests: what they are doing, and how to end them from outside.

use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sockeye_engine::{Seat, now};

use super::order::{Listed, Place};
use super::{Admitted, Connections, Peers};

/// What others know of a connection that carries requests, and may do to it.
pub(crate) struct RequestConnection {
    number: u64,
    peers: Arc<Peers>,
    state: Mutex<Fate>,
}

enum Fate {
    Live(Live),
    /// It is to end, and is not counted any more.
    Cut,
}

/// What there is of a connection until it ends.
pub(super) struct Live {
    seat: Seat,
    /// How many requests are being served, answers included.
    serving: usize,
    /// Since when it has served none, if so.
    rested: Instant,
    /// Since when the peer has taken nothing of what is to be written.
    stuck: Option<Instant>,
    /// When what waits must be written, whatever the peer takes until then.
    due: Option<Instant>,
    /// The task that reads and writes.
    task: Option<Waker>,
    /// Under which time others find it when room is to be made: never a later one than that from which on it can be
    /// done without. None while that is never. Changed under the lock of [`Connections`] only.
    listed: Option<Instant>,
}

/// The connection that a request came on, for the engine's own answers: in the request's extensions.
#[derive(Clone)]
pub(crate) struct Owner(pub(crate) Arc<RequestConnection>);

/// A connection of which account is kept, until this is dropped: the part that owns it.
pub(crate) struct Watched(Arc<RequestConnection>);

/// A request is being served on a connection until this is dropped.
pub(crate) struct Serving(Arc<RequestConnection>);

/// How writing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// The peer has taken nothing since then; it must all be written by the other time, if there is
    /// one.
    Stuck {
        since: Instant,
        due: Option<Instant>,
    },
    Cut,
}

/// A peer that takes nothing for so long does not read, or not as fast as others could.
const SLOW: Duration = Duration::from_secs(1);

impl Connections {
    /// Keeps account of a connection that carries requests.
    pub(crate) fn watch(&self, Admitted { seat, peers }: Admitted) -> Watched {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        let connection = Arc::new(RequestConnection {
            number,
            peers,
            state: Mutex::new(Fate::Live(Live {
                seat,
                serving: 0,
                rested: now(),
                stuck: None,
                due: None,
                task: None,
                listed: None,
            })),
        });
        state.list(&connection);
        Watched(connection)
    }
}

impl Listed for Arc<RequestConnection> {
    fn number(&self) -> u64 {
        self.number
    }

    fn place(&self) -> &Place {
        &self.peers.place
    }
}

impl RequestConnection {
    pub(super) const fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    fn live<T>(&self, look: impl FnOnce(&mut Live) -> T) -> Option<T> {
        match &mut *self.state.lock() {
            Fate::Live(live) => Some(look(live)),
            Fate::Cut => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.live(|_| ()).is_none()
    }

    /// Ends it, if it has been of no use since the time under which it was found; the error is under which time it is to
    /// be listed now.
    pub(super) fn dispense_with(&self) -> Result<Live, Option<Instant>> {
        let mut state = self.state.lock();
        let Fate::Live(live) = &mut *state else {
            return Err(None);
        };
        let found = live.listed.take();
        live.listed = live.useless_from();
        if live.listed != found {
            return Err(live.listed);
        }
        match std::mem::replace(&mut *state, Fate::Cut) {
            Fate::Live(live) => Ok(live),
            Fate::Cut => Err(None),
        }
    }

    /// Under which time it was listed, and under which it is to be listed now.
    pub(super) fn list_anew(&self) -> Option<(Option<Instant>, Option<Instant>)> {
        self.live(|live| {
            let before = live.listed.take();
            live.listed = live.useless_from();
            (before, live.listed)
        })
    }

    /// It ends, or is no connection for requests any more: the next reading or writing fails.
    pub(super) fn end(&self) -> Option<Live> {
        match std::mem::replace(&mut *self.state.lock(), Fate::Cut) {
            Fate::Live(live) => Some(live),
            Fate::Cut => None,
        }
    }

    /// Makes a change after which it may be done without earlier than before, and sees to it that it is found then.
    fn relax<T>(self: &Arc<Self>, change: impl FnOnce(&mut Live) -> T) -> Option<T> {
        let (result, is_late) = self.live(|live| {
            let result = change(live);
            (result, live.is_listed_late())
        })?;
        // Seldom: only after somebody has looked for room, and has found that it is of use.
        if is_late {
            self.peers.connections.state.lock().list(self);
        }
        Some(result)
    }

    /// Ready when the connection is to end, for an owner that does not read or write through it yet.
    #[cfg(any(feature = "tls", test))]
    pub(crate) async fn until_cut(&self) {
        use std::future::poll_fn;
        use std::task::Poll;

        poll_fn(|cx| match self.wait_to_read(cx) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// What is being written must be through by then.
    pub(crate) fn hurry(&self, until: Instant) {
        let task = self.live(|live| {
            live.due = Some(live.due.map_or(until, |due| due.min(until)));
            live.task.take()
        });
        wake(task.flatten());
    }

    /// There is nothing any more that must be written by some time.
    pub(crate) fn forget_due(&self) {
        self.live(|live| live.due = None);
    }

    /// A request has come.
    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        self.live(|live| live.serving += 1);
        Serving(Arc::clone(self))
    }

    /// Nothing can be read at the moment; whether the connection goes on.
    pub(crate) fn wait_to_read(&self, cx: &Context<'_>) -> bool {
        self.live(|live| live.remember(cx)).is_some()
    }

    /// Nothing can be written at the moment.
    pub(crate) fn wait_to_write(self: &Arc<Self>, cx: &Context<'_>) -> Writing {
        let stuck = self.relax(|live| {
            live.remember(cx);
            let since = *live.stuck.get_or_insert_with(now);
            let due = live.due;
            Writing::Stuck { since, due }
        });
        stuck.unwrap_or(Writing::Cut)
    }

    /// The peer has taken something.
    pub(crate) fn has_written(self: &Arc<Self>) {
        self.relax(|live| live.stuck = None);
    }
}

impl Live {
    /// From when on it is of no use to anybody: it waits for a request, or for its peer to read.
    fn useless_from(&self) -> Option<Instant> {
        match self.stuck {
            None => (self.serving == 0).then_some(self.rested),
            // A buffer that is full for a moment is what every download looks like.
            Some(since) => Some(since + SLOW),
        }
    }

    fn is_listed_late(&self) -> bool {
        let is_late = |time| self.listed.is_none_or(|listed| time < listed);
        self.useless_from().is_some_and(is_late)
    }

    pub(super) const fn listed(&self) -> Option<Instant> {
        self.listed
    }

    /// Gives the seat back, and has the owner notice that it is not to go on. Takes the lock of [`Connections`].
    pub(super) fn close(self) {
        drop(self.seat);
        wake(self.task);
    }

    fn remember(&mut self, cx: &Context<'_>) {
        match &mut self.task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

fn wake(task: Option<Waker>) {
    if let Some(task) = task {
        task.wake();
    }
}

impl Watched {
    pub(crate) const fn connection(&self) -> &Arc<RequestConnection> {
        &self.0
    }

    /// The connection carries requests no longer, but counts as before; nothing if it was cut.
    pub(crate) fn into_seat(self) -> Option<Seat> {
        self.end().map(|live| live.seat)
    }

    fn end(&self) -> Option<Live> {
        self.0.peers.connections.state.lock().end(&self.0)
    }
}

impl Deref for Watched {
    type Target = Arc<RequestConnection>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The seat is given back when the lock is free again.
        drop(self.end());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.relax(|live| {
            live.serving -= 1;
            live.rested = now();
        });
    }
}
