use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sockeye_meter::{self as meter, Moment};

use crate::EventSocket;

/// A handler that did not finish at once.
pub type HandlerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a handler outside of a connection's task: polls it for the first time, in place, as those of other events are
/// before the next one starts, and gives it back if it waits for something.
#[must_use = "what waits goes on only if somebody drives it"]
pub fn start(mut handler: HandlerFuture) -> Option<HandlerFuture> {
    let mut cx = Context::from_waker(Waker::noop());
    let waits = handler.as_mut().poll(&mut cx).is_pending();
    waits.then_some(handler)
}

/// [Starts](start) a handler and lets the runtime drive it if it waits.
pub fn start_alone(handler: HandlerFuture) {
    if let Some(handler) = start(handler) {
        tokio::spawn(handler);
    }
}

/// Whether the next event of a connection waits until the handlers of the last one are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// Events start in order; what a handler does before its first real wait happens before the
    /// next event starts, the rest runs concurrently.
    #[default]
    Concurrent,
    /// One event at a time, over all sockets of the connection: the next one starts when the
    /// handlers of the last one are done. Acknowledgements and disconnects do not wait: events that a client sent
    /// before it left may have their turn after its `disconnect` handlers.
    Serial,
}

/// The handlers of one connection that are waiting for something.
///
/// Costs one pointer while there are none, which is the state of an idle connection.
#[derive(Default)]
pub struct Running {
    set: Option<Box<Set>>,
}

#[derive(Default)]
struct Set {
    handlers: FuturesUnordered<Weighed>,
    /// What they hold together, in bytes.
    held: usize,
}

/// A handler, and how many bytes it may hold of what its event has brought.
struct Weighed {
    handler: HandlerFuture,
    bytes: usize,
    since: Stopwatch,
}

impl Future for Weighed {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        ready!(self.handler.as_mut().poll(cx));
        self.since.stop();
        Poll::Ready(self.bytes)
    }
}

/// When a handler was called, if that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Moment);

impl Stopwatch {
    pub(crate) const OFF: Self = Self(Moment::NONE);

    /// One for a handler that is about to be called.
    #[inline]
    pub(crate) fn start<S: EventSocket>() -> Self {
        match S::IS_MEASURED {
            true => Self(meter::moment(Instant::now)),
            false => Self::OFF,
        }
    }

    /// It is done.
    #[inline]
    pub(crate) fn stop(self) {
        meter::handled(self.0, Instant::now);
    }
}

/// Whether a handler is done after its first poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It is done.
    Done,
    /// It waits, and was added to the set.
    Waiting,
}

impl Running {
    /// Polls a handler for the first time, in place, and keeps it if it is not done.
    pub fn start(&mut self, handler: HandlerFuture, cx: &mut Context<'_>) -> Started {
        self.start_with(handler, || 0, Stopwatch::OFF, cx)
    }

    /// The same for a handler that may hold so many bytes of what its event has brought, until it is done. They are
    /// asked for only if it waits.
    pub(crate) fn start_with(
        &mut self,
        mut handler: HandlerFuture,
        bytes: impl FnOnce() -> usize,
        since: Stopwatch,
        cx: &mut Context<'_>,
    ) -> Started {
        if handler.as_mut().poll(cx).is_ready() {
            since.stop();
            return Started::Done;
        }
        let set = self.set.get_or_insert_default();
        let bytes = bytes();
        set.held = set.held.saturating_add(bytes);
        set.handlers.push(Weighed {
            handler,
            bytes,
            since,
        });
        // The handler has stored the task's own waker. The set polls it again with a waker of
        // its own, which needs one poll of the set to happen.
        cx.waker().wake_by_ref();
        Started::Waiting
    }

    /// Drives the handlers that were woken; ready when none is left.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(set) = &mut self.set else {
            return Poll::Ready(());
        };
        loop {
            match set.handlers.poll_next_unpin(cx) {
                Poll::Ready(Some(bytes)) => set.held = set.held.saturating_sub(bytes),
                Poll::Ready(None) => {
                    self.set = None;
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// How many handlers are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.handlers.len())
    }

    /// How many bytes the waiting handlers may hold of what their events have brought.
    #[must_use]
    pub fn held(&self) -> usize {
        self.set.as_ref().map_or(0, |set| set.held)
    }

    /// Whether no handler is waiting.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set.is_none()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn ready_handler_costs_nothing() {
        let mut running = Running::default();
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(running.start(Box::pin(async {}), &mut cx), Started::Done);
        assert!(running.is_empty());
    }

    #[tokio::test]
    async fn waiting_handler_finishes_later() {
        let mut running = Running::default();
        let done = Arc::new(AtomicU32::new(0));
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let count = Arc::clone(&done);
        let handler = async move {
            receiver.await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(running.start(Box::pin(handler), &mut cx), Started::Waiting);
        assert_eq!(running.len(), 1);
        sender.send(()).unwrap();
        std::future::poll_fn(|cx| running.poll(cx)).await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
        assert!(running.is_empty());
    }

    #[tokio::test]
    async fn bytes_are_held_until_their_handler_is_done() {
        let mut running = Running::default();
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let mut cx = Context::from_waker(Waker::noop());
        let unasked = || unreachable!("it does not wait");
        running.start_with(Box::pin(async {}), unasked, Stopwatch::OFF, &mut cx);
        running.start_with(
            Box::pin(async move { receiver.await.unwrap() }),
            || 1000,
            Stopwatch::OFF,
            &mut cx,
        );
        running.start(Box::pin(std::future::pending()), &mut cx);
        assert_eq!((running.len(), running.held()), (2, 1000));
        sender.send(()).unwrap();
        std::future::poll_fn(|cx| {
            let _ = running.poll(cx);
            if running.len() == 1 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        assert_eq!(running.held(), 0);
    }
}
