//! The large answers to polls that are on their way.
//!
//! To the session a poll is over when it has an answer. But as long as the peer has not taken it, a
//! next poll would take as much again out of the outbox, whose limit would count for nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sockeye_engine_proto::{CloseReason, RequestError};
use tokio::sync::Notify;

use crate::connections::RequestConnection;
use sockeye_engine::SessionHandle;
use sockeye_engine::SessionId;

/// Which sessions have such an answer on its way; there is one at a time.
#[derive(Default)]
pub(crate) struct Deliveries {
    /// Saves those who look a lock: nearly always there is none.
    len: AtomicUsize,
    underway: Mutex<HashMap<SessionId, Arc<Underway>, foldhash::fast::RandomState>>,
}

struct Underway {
    over: AtomicBool,
    changed: Notify,
    /// The next poll waits already.
    awaited: AtomicBool,
    /// The connection, if it is one of our own listeners'.
    connection: Option<Arc<RequestConnection>>,
}

/// An answer that is on its way.
pub(super) struct Delivery {
    deliveries: Arc<Deliveries>,
    session: SessionHandle,
    underway: Arc<Underway>,
    end: End,
}

/// How a delivery ends when it is dropped now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Lost,
    Taken,
}

impl Deliveries {
    fn find(&self, session: &SessionId) -> Option<Arc<Underway>> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.underway.lock().get(session).cloned()
    }

    /// Waits until the session's last answer has gone out.
    ///
    /// # Errors
    ///
    /// If another poll of the session waits already, which ends it like any two polls at once.
    pub(super) async fn wait(&self, session: &SessionHandle) -> Result<(), RequestError> {
        let Some(underway) = self.find(session.id()) else {
            return Ok(());
        };
        if underway.awaited.swap(true, Ordering::AcqRel) {
            session.abort(CloseReason::TransportError, "overlapping requests");
            return Err(RequestError::Overlap);
        }
        underway.wait().await;
        Ok(())
    }

    /// An answer is ready to go; if another one is still on its way, as two polls have come at once,
    /// after that. If the session is over, the answer has so much time.
    pub(super) async fn begin(
        self: &Arc<Self>,
        session: &SessionHandle,
        connection: Option<Arc<RequestConnection>>,
        linger: Duration,
    ) -> Delivery {
        let new = Arc::new(Underway {
            over: AtomicBool::new(false),
            changed: Notify::new(),
            awaited: AtomicBool::new(false),
            connection,
        });
        loop {
            let earlier = {
                let mut underway = self.underway.lock();
                match underway.get(session.id()) {
                    Some(earlier) => Arc::clone(earlier),
                    None => {
                        underway.insert(*session.id(), Arc::clone(&new));
                        self.len.store(underway.len(), Ordering::Release);
                        break;
                    }
                }
            };
            earlier.wait().await;
        }
        // It may have ended between the answer and this, when there was nothing to be found yet.
        if !session.is_open() {
            new.hurry(linger);
        }
        Delivery {
            deliveries: Arc::clone(self),
            session: session.clone(),
            underway: new,
            end: End::Lost,
        }
    }

    /// The session is over; what it has said last has so much time to arrive.
    pub(crate) fn end(&self, session: &SessionId, linger: Duration) {
        if let Some(underway) = self.find(session) {
            underway.hurry(linger);
        }
    }
}

impl Underway {
    fn hurry(&self, linger: Duration) {
        if let Some(connection) = &self.connection
            && let Some(until) = sockeye_engine::now().checked_add(linger)
        {
            connection.hurry(until);
        }
    }

    async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            if self.over.load(Ordering::Acquire) {
                return;
            }
            changed.await;
        }
    }
}

impl Delivery {
    /// All of it has been handed on.
    pub(super) fn finish(mut self) {
        self.end = End::Taken;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.end == End::Lost {
            // Before the next poll may come, so that this is not taken for its end.
            self.session.lose_poll();
        }
        {
            let mut underway = self.deliveries.underway.lock();
            underway.remove(self.session.id());
            self.deliveries.len.store(underway.len(), Ordering::Release);
        }
        if let Some(connection) = &self.underway.connection {
            connection.forget_due();
        }
        self.underway.over.store(true, Ordering::Release);
        self.underway.changed.notify_waiters();
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A session on long-polling that nobody drives.
#[cfg(test)]
pub(super) fn undriven() -> SessionHandle {
    use sockeye_engine::{Dialect, Revision, SessionLimits, TransportKind};

    SessionHandle::new(
        SessionId::random().expect("random bytes"),
        Revision::V4,
        TransportKind::Polling,
        Dialect::Packets,
        false,
        &SessionLimits::default(),
    )
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::connections::{ConnectionLimits, Connections, Writing};

    const LINGER: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn last_answer_has_little_time_whenever_its_session_ends() {
        for ends_before in [true, false] {
            let connections = Connections::new(ConnectionLimits::default());
            let connection = connections.watch(connections.admit(None).unwrap());
            let due = || match connection.wait_to_write(&Context::from_waker(Waker::noop())) {
                Writing::Stuck { due, .. } => due,
                Writing::Cut => panic!("cut"),
            };
            let session = undriven();
            let deliveries = Arc::new(Deliveries::default());
            let end = || {
                session.retire();
                deliveries.end(session.id(), LINGER);
            };
            if ends_before {
                end();
            }
            let owner = Some(Arc::clone(&connection));
            let delivery = deliveries.begin(&session, owner, LINGER).await;
            if !ends_before {
                assert_eq!(due(), None);
                end();
            }
            let now = sockeye_engine::now();
            assert_eq!(due(), Some(now + LINGER));
            delivery.finish();
            assert_eq!(due(), None);
        }
    }
}
