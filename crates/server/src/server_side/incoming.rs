//! What other servers emit, in its order and within limits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use sockeye_adapter::{AnswerTo, EventBody, Reception};
use sockeye_events::{HandlerFuture, Listeners, StateMap, start};
use sockeye_link::EventLimits;
use sockeye_socket_proto::Args;

use super::{ServerSide, ServerSideLimits, dispatch};

/// The events of other servers in one namespace, and their handlers.
///
/// They start in the order in which they come: what handlers do before they wait for something is done one event after the
/// other, by whoever brings one, or by the handler whose end has made room for those that are queued.
pub(crate) struct Incoming {
    pub(crate) listeners: Listeners<ServerSide>,
    namespace: Arc<str>,
    state: Arc<StateMap>,
    limits: EventLimits,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    /// Somebody starts handlers, and looks at the queue before it leaves.
    is_starting: bool,
    /// How many handlers wait for something.
    waiting: usize,
    /// What these may hold of their events, in bytes.
    held: usize,
    /// Events for which no handler was free.
    queue: VecDeque<Queued>,
    queued_bytes: usize,
}

struct Queued {
    name: Box<str>,
    args: Args,
    answer: Option<AnswerTo>,
    bytes: usize,
}

impl Incoming {
    pub(crate) fn new(
        namespace: Arc<str>,
        state: Arc<StateMap>,
        limits: ServerSideLimits,
    ) -> Arc<Self> {
        Arc::new(Self {
            listeners: Listeners::default(),
            namespace,
            state,
            limits: limits.events,
            turns: Mutex::default(),
        })
    }

    /// An event of so many bytes has come.
    pub(crate) fn handle(
        self: &Arc<Self>,
        event: &EventBody<'_>,
        bytes: usize,
        answer: Option<AnswerTo>,
    ) -> Reception {
        let mut turns = self.turns.lock();
        if turns.is_starting || !self.limits.is_free(turns.waiting, turns.held) {
            if !self.limits.has_room(turns.queue.len(), turns.queued_bytes) {
                return Reception::Dropped;
            }
            turns.queued_bytes += bytes;
            turns.queue.push_back(Queued {
                name: event.name.into(),
                args: event.args.to_args(),
                answer,
                bytes,
            });
            return Reception::Queued;
        }
        turns.is_starting = true;
        drop(turns);
        self.start(event, bytes, answer);
        self.start_queued();
        Reception::Started
    }

    fn start(self: &Arc<Self>, event: &EventBody<'_>, bytes: usize, answer: Option<AnswerTo>) {
        dispatch(
            &self.listeners,
            &self.namespace,
            &self.state,
            event,
            answer,
            |handler| {
                if let Some(handler) = start(handler) {
                    self.wait_for(handler, bytes);
                }
            },
        );
    }

    fn wait_for(self: &Arc<Self>, handler: HandlerFuture, bytes: usize) {
        let mut turns = self.turns.lock();
        turns.waiting += 1;
        turns.held += bytes;
        drop(turns);
        let this = Arc::clone(self);
        tokio::spawn(async move {
            // Its panics end in it.
            handler.await;
            this.ended(bytes);
        });
    }

    fn ended(self: &Arc<Self>, bytes: usize) {
        let mut turns = self.turns.lock();
        turns.waiting -= 1;
        turns.held -= bytes;
        if turns.is_starting {
            return;
        }
        turns.is_starting = true;
        drop(turns);
        self.start_queued();
    }

    /// Starts what is queued, as long as handlers are free.
    fn start_queued(self: &Arc<Self>) {
        while let Some(queued) = self.next() {
            let Queued {
                name,
                args,
                answer,
                bytes,
            } = queued;
            let event = EventBody {
                name: &name,
                args: args.as_raw(),
            };
            self.start(&event, bytes, answer);
        }
    }

    /// The next event; without one, nobody starts handlers any more.
    fn next(&self) -> Option<Queued> {
        let mut turns = self.turns.lock();
        let is_free = self.limits.is_free(turns.waiting, turns.held);
        let next = match is_free {
            true => turns.queue.pop_front(),
            false => None,
        };
        match &next {
            Some(next) => turns.queued_bytes -= next.bytes,
            None => turns.is_starting = false,
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::Data;

    /// Handlers that wait until they may go on.
    struct Rig {
        incoming: Arc<Incoming>,
        started: Arc<Mutex<Vec<u64>>>,
        may_end: Arc<Semaphore>,
        ended: Arc<AtomicUsize>,
    }

    impl Rig {
        fn new(limits: ServerSideLimits) -> Self {
            let incoming = Incoming::new("/".into(), Arc::default(), limits);
            let started = Arc::new(Mutex::new(Vec::new()));
            let (may_end, ended) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
            let all = (
                Arc::clone(&started),
                Arc::clone(&may_end),
                Arc::clone(&ended),
            );
            let handler = move |Data(number): Data<u64>| {
                let (started, may_end, ended) = all.clone();
                async move {
                    started.lock().push(number);
                    may_end.acquire().await.unwrap().forget();
                    ended.fetch_add(1, Ordering::Relaxed);
                    assert_ne!(number, 1, "this one panics");
                }
            };
            incoming.listeners.on("x", handler);
            Self {
                incoming,
                started,
                may_end,
                ended,
            }
        }

        fn emit(&self, number: u64, bytes: usize) -> Reception {
            let args = Args::new(&number).unwrap();
            let event = EventBody {
                name: "x",
                args: args.as_raw(),
            };
            self.incoming.handle(&event, bytes, None)
        }

        /// Lets so many go on, and waits until they have ended.
        async fn end(&self, handlers: usize) {
            let ended = self.ended.load(Ordering::Relaxed) + handlers;
            self.may_end.add_permits(handlers);
            while self.ended.load(Ordering::Relaxed) < ended {
                tokio::task::yield_now().await;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn events_of_other_servers_are_handled_in_order_within_limits() {
        use Reception::{Dropped, Queued, Started};
        let limits = ServerSideLimits::new().max_handlers(2).max_queued_events(3);
        let rig = Rig::new(limits);
        let received: Vec<_> = (0..7).map(|number| rig.emit(number, 1)).collect();
        let expected = [Started, Started, Queued, Queued, Queued, Dropped, Dropped];
        assert_eq!(received, expected);
        assert_eq!(*rig.started.lock(), [0, 1]);
        rig.end(2).await;
        assert_eq!(*rig.started.lock(), [0, 1, 2, 3], "one has panicked");
        assert_eq!(rig.emit(7, 1), Queued);
        rig.end(4).await;
        assert_eq!(*rig.started.lock(), [0, 1, 2, 3, 4, 7]);
        assert_eq!(rig.emit(8, 1), Started);
        rig.end(1).await;
        let turns = rig.incoming.turns.lock();
        assert_eq!((turns.waiting, turns.held, turns.queued_bytes), (0, 0, 0));
    }

    #[tokio::test]
    async fn events_of_other_servers_wait_for_handlers_that_hold_too_much() {
        use Reception::{Dropped, Queued, Started};
        let rig = Rig::new(ServerSideLimits::new().max_queued_bytes(10));
        let bytes = [
            (6, Started),
            (6, Started),
            (6, Queued),
            (6, Queued),
            (6, Dropped),
        ];
        for (number, (bytes, expected)) in (2..).zip(bytes) {
            assert_eq!(rig.emit(number, bytes), expected);
        }
        rig.end(4).await;
        assert_eq!(*rig.started.lock(), [2, 3, 4, 5]);
    }
}
