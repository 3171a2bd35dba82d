//! Requests of this server that wait for the others.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use futures_util::future::OptionFuture;
use sockeye_cluster_proto::{NodeId, RequestId, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use super::tally::{Expect, Found, Tally};
use crate::clock::after;
use crate::sync::Mutex;

/// Those of one namespace.
#[derive(Debug)]
pub(super) struct Requests(Mutex<Table>);

#[derive(Debug)]
enum Table {
    Open(HashMap<RequestId, Entry, RandomState>),
    /// Nobody will answer any more.
    Ended,
}

#[derive(Debug)]
struct Entry {
    since: Instant,
    inputs: mpsc::UnboundedSender<Input>,
    /// How many answers it may have yet.
    room: usize,
}

/// Something that is of interest to a request.
#[derive(Debug)]
pub(super) enum Input {
    /// A server has answered.
    Answer {
        from: Option<NodeId>,
        value: Option<Value>,
    },
    /// A server has asked so many clients.
    Clients { from: Option<NodeId>, count: usize },
    /// A client has answered.
    Ack {
        from: Option<NodeId>,
        value: Option<Value>,
    },
    /// A server is gone.
    Gone(NodeId),
    /// There are so many others, of which some may be known.
    Counted { others: usize, found: Arc<Found> },
}

/// One that waits. To drop it is to wait no more.
pub(super) struct Waiting {
    requests: Weak<Requests>,
    id: RequestId,
    inputs: mpsc::UnboundedReceiver<Input>,
    /// The engine's answer, until it is there.
    count: Option<oneshot::Receiver<usize>>,
    /// How many others there are at least.
    least: usize,
    until: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    pub(super) tally: Tally,
}

/// How many answers a request can have that nobody has taken yet: more than there are clients, and less than there is memory.
const MAX_ANSWERS: usize = 1_000_000;

impl Requests {
    /// Begins one, which hears from now on who goes; so those who are there, and are expected to answer, are to be looked up
    /// behind this. `None` if that would be too many.
    pub(super) fn begin(
        self: &Arc<Self>,
        id: RequestId,
        (now, timeout): (Instant, Duration),
        max: usize,
    ) -> Option<Waiting> {
        let (sender, inputs) = mpsc::unbounded_channel();
        // Behind the end, nothing is left that could be waited for.
        if let Table::Open(entries) = &mut *self.0.lock() {
            if entries.len() >= max {
                return None;
            }
            let entry = Entry {
                since: now,
                inputs: sender,
                room: MAX_ANSWERS,
            };
            entries.insert(id.clone(), entry);
        }
        Some(Waiting {
            requests: Arc::downgrade(self),
            id,
            inputs,
            count: None,
            least: 0,
            until: after(now, timeout),
            sleep: None,
            tally: Tally::new(Expect::Unknown),
        })
    }

    /// Something has come for a request. Those that are over, or were never made, get nothing.
    pub(super) fn answer(&self, id: &RequestId, input: Input) {
        if let Table::Open(entries) = &mut *self.0.lock()
            && let Some(entry) = entries.get_mut(id)
            && entry.room > 0
        {
            entry.room -= 1;
            let _ = entry.inputs.send(input);
        }
    }

    /// A server is gone, of which all should know.
    pub(super) fn gone(&self, node: &NodeId) {
        for entry in self.0.lock().entries() {
            let _ = entry.inputs.send(Input::Gone(node.clone()));
        }
    }

    /// There were so many others then. Whoever has come later may be asked by a request that was begun later.
    pub(super) fn counted(&self, others: usize, found: &Arc<Found>, asked: Instant) {
        let table = self.0.lock();
        for entry in table.entries().filter(|entry| entry.since <= asked) {
            let found = Arc::clone(found);
            let _ = entry.inputs.send(Input::Counted { others, found });
        }
    }

    /// Whether one has waited since before then.
    pub(super) fn any_since(&self, then: Instant) -> bool {
        self.0.lock().entries().any(|entry| entry.since <= then)
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().entries().count()
    }

    /// Nobody will answer any more, neither those that wait nor others.
    pub(super) fn end(&self) {
        *self.0.lock() = Table::Ended;
    }
}

impl Default for Requests {
    fn default() -> Self {
        Self(Mutex::new(Table::Open(HashMap::default())))
    }
}

impl Table {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let entries = match self {
            Self::Open(entries) => Some(entries.values()),
            Self::Ended => None,
        };
        entries.into_iter().flatten()
    }
}

impl Waiting {
    pub(super) const fn id(&self) -> &RequestId {
        &self.id
    }

    /// These servers are to answer, of which none has gone before this has begun.
    pub(super) fn expect_nodes(&mut self, nodes: HashSet<NodeId, RandomState>) {
        self.tally = Tally::new(Expect::Nodes(nodes));
    }

    /// Waits for what the engine says as well, and expects so many others at least, whatever it says.
    pub(super) fn expect_count(&mut self, count: oneshot::Receiver<usize>, least: usize) {
        self.count = Some(count);
        self.least = least;
    }

    /// Waits for the next thing that the tally does not know of yet; `None` when the time is over.
    pub(super) async fn next(&mut self) -> Option<Input> {
        let until = self.until;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        loop {
            let count: OptionFuture<_> = self.count.as_mut().into();
            tokio::select! {
                biased;
                input = self.inputs.recv() => return input,
                Some(counted) = count => {
                    self.count = None;
                    // With this one. If the engine was not asked in time, it is when it is there again.
                    if let Ok(nodes) = counted {
                        let others = nodes.saturating_sub(1).max(self.least);
                        let found = Arc::default();
                        return Some(Input::Counted { others, found });
                    }
                }
                () = sleep.as_mut() => return None,
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(requests) = self.requests.upgrade()
            && let Table::Open(entries) = &mut *requests.0.lock()
        {
            entries.remove(&self.id);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}
