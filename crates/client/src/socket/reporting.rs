//! Handlers of `error` that wait for something.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use sockeye_events::HandlerFuture;

/// How many of them one socket may have. No acknowledgement is owed for an error, and no queue stands before its handlers,
/// so that nothing else bounds what a server can start by events of the wrong shape.
const MAX: u16 = 256;

/// How many handlers of `error` are waiting.
#[derive(Debug, Default)]
pub(crate) struct Reporting(AtomicU16);

/// One of them, of the socket that counts it.
struct Waiting<T: AsRef<Reporting>>(Arc<T>);

impl<T: AsRef<Reporting>> Waiting<T> {
    fn begin(socket: &Arc<T>) -> Option<Self> {
        let Reporting(count) = (**socket).as_ref();
        let more = |waiting| (waiting < MAX).then_some(waiting + 1);
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Self(Arc::clone(socket)))
    }
}

impl<T: AsRef<Reporting>> Drop for Waiting<T> {
    fn drop(&mut self) {
        let Reporting(count) = (*self.0).as_ref();
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a handler, and has `spawn` give it a task of its own if it waits; `false` if it would wait and too many do.
pub(super) fn start<T>(
    socket: &Arc<T>,
    handler: HandlerFuture,
    spawn: impl FnOnce(HandlerFuture),
) -> bool
where
    T: AsRef<Reporting> + Send + Sync + 'static,
{
    let Some(handler) = sockeye_events::start(handler) else {
        return true;
    };
    let Some(waiting) = Waiting::begin(socket) else {
        return false;
    };
    spawn(Box::pin(async move {
        handler.await;
        drop(waiting);
    }));
    true
}
