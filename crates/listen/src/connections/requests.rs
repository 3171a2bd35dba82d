//! Connections that carry HTTP requests: what they are doing, and how to end them from outside.

use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sockeye_engine::{Seat, now};

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

struct Live {
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
            })),
        });
        state.requests.insert(number, Arc::clone(&connection));
        Watched(connection)
    }
}

impl RequestConnection {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

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

    /// Since when it has been of no use to anybody: it waits for a request, or for its peer to read.
    pub(super) fn useless_since(&self) -> Option<Instant> {
        let useless = |live: &mut Live| match live.stuck {
            None => (live.serving == 0).then_some(live.rested),
            // A buffer that is full for a moment is what every download looks like.
            Some(since) => (now().saturating_duration_since(since) >= SLOW).then_some(since),
        };
        self.live(useless).flatten()
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

    /// Ends the connection: its next reading or writing fails.
    pub(crate) fn cut(&self) {
        let cut = std::mem::replace(&mut *self.state.lock(), Fate::Cut);
        // Outside of the lock: the seat takes another one when it is given back.
        if let Fate::Live(Live { seat, task, .. }) = cut {
            drop(seat);
            wake(task);
        }
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
    pub(crate) fn wait_to_write(&self, cx: &Context<'_>) -> Writing {
        let stuck = self.live(|live| {
            live.remember(cx);
            let since = *live.stuck.get_or_insert_with(now);
            let due = live.due;
            Writing::Stuck { since, due }
        });
        stuck.unwrap_or(Writing::Cut)
    }

    /// The peer has taken something.
    pub(crate) fn has_written(&self) {
        self.live(|live| live.stuck = None);
    }
}

impl Live {
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
        self.take()
    }

    fn take(&self) -> Option<Seat> {
        let state = std::mem::replace(&mut *self.0.state.lock(), Fate::Cut);
        match state {
            Fate::Live(live) => Some(live.seat),
            Fate::Cut => None,
        }
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
        let connections = &self.0.peers.connections;
        connections.state.lock().requests.remove(&self.0.number);
        drop(self.take());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.live(|live| {
            live.serving -= 1;
            live.rested = now();
        });
    }
}
