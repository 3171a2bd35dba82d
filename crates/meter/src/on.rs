//! What is counted, for the recorder of the crate `metrics`.

mod names;

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, IntoF64};

use crate::totals::Life;
use crate::{Gauged, Recovery, SOCKETS};
use names as name;
pub use names::{Kind, METRICS, Metric};

/// What is touched often has its handle made once. The rest is looked up each time, as its labels have values that may never
/// come.
struct Handles {
    events_received: Counter,
    events_sent: Counter,
    received: Counter,
    sent: Counter,
    acks_timed_out: Counter,
    handler_time: Histogram,
    /// By [`Gauged`].
    gauges: [Gauge; 5],
}

static HANDLES: OnceLock<Option<Handles>> = OnceLock::new();

/// Looks for a recorder, and stays with what is found. To be called before anything is counted.
pub fn attach() {
    HANDLES.get_or_init(|| {
        names::describe();
        let handles = Handles {
            events_received: metrics::counter!(name::EVENTS_RECEIVED),
            events_sent: metrics::counter!(name::EVENTS_SENT),
            received: metrics::counter!(name::RECEIVED_BYTES),
            sent: metrics::counter!(name::SENT_BYTES),
            acks_timed_out: metrics::counter!(name::ACKS_TIMED_OUT),
            handler_time: metrics::histogram!(name::HANDLER_SECONDS),
            gauges: [
                metrics::gauge!(name::SOCKETS),
                metrics::gauge!(name::NAMESPACES),
                metrics::gauge!(name::ROOMS),
                metrics::gauge!(name::ACKS_PENDING),
                metrics::gauge!(name::OUTBOX_BYTES),
            ],
        };
        handles.are_recorded().then_some(handles)
    });
}

fn handles() -> Option<&'static Handles> {
    HANDLES.get()?.as_ref()
}

impl Handles {
    /// Whether there is a recorder behind them. A handle does not tell, but only one that is recorded asks for its value.
    fn are_recorded(&self) -> bool {
        struct Probe<'a>(&'a Cell<bool>);
        impl IntoF64 for Probe<'_> {
            fn into_f64(self) -> f64 {
                self.0.set(true);
                0.0
            }
        }
        let asked = Cell::new(false);
        for gauge in &self.gauges {
            gauge.increment(Probe(&asked));
        }
        asked.get()
    }
}

fn count(counter: impl FnOnce(&Handles) -> &Counter, count: usize) {
    if let Some(handles) = handles() {
        counter(handles).increment(count as u64);
    }
}

/// Events have come from peers.
#[inline]
pub fn events_received(events: usize) {
    count(|handles| &handles.events_received, events);
}

/// Events were sent to peers.
#[inline]
pub fn events_sent(events: usize) {
    count(|handles| &handles.events_sent, events);
}

/// Bytes have come from the peer of a session, if that is a server's.
#[inline]
pub fn received(bytes: usize, at_server: impl FnOnce() -> bool) {
    if let Some(handles) = handles()
        && at_server()
    {
        handles.received.increment(bytes as u64);
    }
}

/// Bytes were written to a peer.
#[inline]
pub fn sent(bytes: usize) {
    count(|handles| &handles.sent, bytes);
}

/// So many have not acknowledged in time.
pub fn acks_timed_out(acks: usize) {
    count(|handles| &handles.acks_timed_out, acks);
}

/// Somebody does not get a session.
pub fn refused(reason: &'static str) {
    if handles().is_some() {
        metrics::counter!(name::REFUSED, "reason" => reason).increment(1);
    }
}

/// A socket was kept, or is back, or will not come back.
pub fn recovery(what: Recovery) {
    if handles().is_some() {
        let outcome = match what {
            Recovery::Kept => "kept",
            Recovery::Recovered => "recovered",
            Recovery::Expired => "expired",
        };
        metrics::counter!(name::RECOVERY, "outcome" => outcome).increment(1);
    }
}

/// When a handler was called.
#[derive(Clone, Copy, Debug)]
pub struct Moment(Option<Instant>);

impl Moment {
    /// That of a handler which is not measured.
    pub const NONE: Self = Self(None);
}

/// The time, if it is wanted.
#[inline]
pub fn moment(now: impl FnOnce() -> Instant) -> Moment {
    Moment(handles().map(|_| now()))
}

/// A handler is done that was called at this moment.
#[inline]
pub fn handled(since: Moment, now: impl FnOnce() -> Instant) {
    if let (Some(since), Some(handles)) = (since.0, handles()) {
        let took = now().saturating_duration_since(since);
        handles.handler_time.record(took.as_secs_f64());
    }
}

/// A share that nothing has.
const UNCOUNTED: usize = usize::MAX;

/// A share of the gauge of this number in [`Gauged`], which is given back when this is dropped.
#[derive(Default)]
pub struct Tally<const GAUGE: usize> {
    share: usize,
}

impl<const GAUGE: usize> Tally<GAUGE> {
    /// A share of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { share: 0 }
    }

    /// No share, whatever it is set to.
    #[must_use]
    pub const fn uncounted() -> Self {
        Self { share: UNCOUNTED }
    }

    /// Whether it has a share.
    #[inline]
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.share != UNCOUNTED
    }

    /// The share is so much from now on.
    #[inline]
    pub fn set(&mut self, share: usize) {
        if share != self.share {
            self.change(share);
        }
    }

    fn change(&mut self, share: usize) {
        let Some(handles) = handles().filter(|_| self.is_counted()) else {
            return;
        };
        let gauge = &handles.gauges[GAUGE];
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole numbers up to 2^53 are exact, and so are their sums"
        )]
        match share > self.share {
            true => gauge.increment((share - self.share) as f64),
            false => gauge.decrement((self.share - share) as f64),
        }
        self.share = share;
    }
}

impl<const GAUGE: usize> Drop for Tally<GAUGE> {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl<const GAUGE: usize> fmt::Debug for Tally<GAUGE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tally").field(&self.share).finish()
    }
}

/// A session that is open, and counted as that.
#[derive(Debug)]
pub struct Session {
    recorded: Option<Recorded>,
    life: Option<Life>,
    is_closed: bool,
}

/// A session that there was a recorder for when it was opened.
#[derive(Debug)]
struct Recorded {
    transport: &'static str,
    revision: &'static str,
    sockets: Tally<SOCKETS>,
}

impl Session {
    /// A session was opened; `None` if nobody counts.
    #[must_use]
    pub fn open(transport: &'static str, revision: &'static str) -> Option<Self> {
        let recorded = handles().map(|_| Recorded::open(transport, revision));
        let life = Life::open(transport);
        (recorded.is_some() || life.is_some()).then_some(Self {
            recorded,
            life,
            is_closed: false,
        })
    }

    /// Another transport carries it from now on.
    pub fn upgraded(&mut self, to: &'static str) {
        if self.is_closed {
            return;
        }
        if let Some(recorded) = &mut self.recorded {
            metrics::counter!(name::UPGRADES, "transport" => to).increment(1);
            recorded.gauge().decrement(1);
            recorded.transport = to;
            recorded.gauge().increment(1);
        }
        if let Some(life) = &mut self.life {
            life.upgraded();
        }
    }

    /// So many of its sockets are connected.
    pub fn sockets(&mut self, count: usize) {
        if let Some(recorded) = &mut self.recorded {
            recorded.sockets.set(count);
        }
    }

    /// It was closed.
    pub fn closed(&mut self, reason: &'static str) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        if let Some(recorded) = &self.recorded {
            metrics::counter!(name::CLOSED, "reason" => reason).increment(1);
            recorded.gauge().decrement(1);
        }
        if let Some(life) = &mut self.life {
            life.closed(reason);
        }
    }
}

impl Recorded {
    fn open(transport: &'static str, revision: &'static str) -> Self {
        let labels = [("transport", transport), ("revision", revision)];
        metrics::counter!(name::OPENED, &labels).increment(1);
        let session = Self {
            transport,
            revision,
            sockets: Tally::new(),
        };
        session.gauge().increment(1);
        session
    }

    fn gauge(&self) -> Gauge {
        let labels = [("transport", self.transport), ("revision", self.revision)];
        metrics::gauge!(name::CONNECTIONS, &labels)
    }
}

impl Drop for Session {
    /// The runtime was shut down under it, or something has panicked.
    fn drop(&mut self) {
        self.closed("dropped");
    }
}

const _: () = assert!(Gauged::Outbox as usize == 4, "each has its gauge");
