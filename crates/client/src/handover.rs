//! Hands events from handlers to a stream, in the order in which the handlers were called.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Notify, mpsc};

/// How many events may wait to be taken before the handlers wait, which count against the
/// connection's limits.
pub(crate) const CAPACITY: usize = 64;

/// The handlers' end.
pub(crate) struct Giver<T> {
    events: mpsc::UnboundedSender<T>,
    room: Arc<Room>,
}

/// The stream's end.
pub(crate) struct Taker<T> {
    events: mpsc::UnboundedReceiver<T>,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    /// How many events wait.
    taken: AtomicUsize,
    freed: Notify,
}

pub(crate) fn handover<T>() -> (Giver<T>, Taker<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::<Room>::default();
    let giver = Giver {
        events: sender,
        room: Arc::clone(&room),
    };
    let taker = Taker {
        events: receiver,
        room,
    };
    (giver, taker)
}

impl<T: Send + 'static> Giver<T> {
    /// Hands over an event at once, and waits until there is room, or the stream is gone and nobody
    /// wants it.
    ///
    /// A bounded channel would not do: handlers that wait for its room at the same time get it in
    /// whichever order they are polled.
    pub(crate) fn give(&self, event: T) -> impl Future<Output = ()> + Send + use<T> {
        self.room.taken.fetch_add(1, Ordering::Relaxed);
        let _ = self.events.send(event);
        let (events, room) = (self.events.clone(), Arc::clone(&self.room));
        async move {
            tokio::select! {
                () = room.freed() => {}
                () = events.closed() => {}
            }
        }
    }
}

impl<T> Taker<T> {
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.events.poll_recv(cx).map(|event| {
            let event = event?;
            if self.room.taken.fetch_sub(1, Ordering::Relaxed) == CAPACITY + 1 {
                self.room.freed.notify_waiters();
            }
            Some(event)
        })
    }
}

impl Room {
    async fn freed(&self) {
        loop {
            // Made before looking, so that nothing is missed in between.
            let freed = self.freed.notified();
            if self.taken.load(Ordering::Relaxed) <= CAPACITY {
                return;
            }
            freed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_util::FutureExt;
    use futures_util::stream::{FuturesUnordered, StreamExt};

    use super::*;

    #[tokio::test]
    async fn events_keep_their_order_whichever_giver_is_polled_first() {
        let (giver, mut taker) = handover();
        let waiting: FuturesUnordered<_> = (0..200).map(|n| giver.give(n)).collect();
        let waiting = tokio::spawn(waiting.collect::<Vec<_>>());
        for n in 0..200 {
            assert_eq!(poll_fn(|cx| taker.poll_take(cx)).await, Some(n));
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting.await.unwrap().len(), 200);
    }

    #[tokio::test]
    async fn giver_waits_until_there_is_room_or_nobody_takes_any_more() {
        let (giver, mut taker) = handover();
        for n in 0..CAPACITY {
            assert!(giver.give(n).now_or_never().is_some(), "{n}");
        }
        let mut late: Pin<Box<dyn Future<Output = ()>>> = Box::pin(giver.give(CAPACITY));
        assert!((&mut late).now_or_never().is_none());
        let mut later = Box::pin(giver.give(CAPACITY + 1));
        assert_eq!(poll_fn(|cx| taker.poll_take(cx)).await, Some(0));
        assert!((&mut later).now_or_never().is_none());
        assert_eq!(poll_fn(|cx| taker.poll_take(cx)).await, Some(1));
        late.await;
        later.await;
        let last = giver.give(CAPACITY + 2);
        drop(taker);
        last.await;
    }
}
