//! Connections that wait for their next request.
//!
//! The pool of hyper-util's client is not used. It cannot be told not to keep what a server hangs up on without a word, as
//! netty-socketio does after each answer: requests race with that, and a POST that loses is a lost session
//! (`get_that_crosses_the_hanging_up_goes_over_a_new_connection`). It gives a request whichever connection is there first,
//! and leaves the other one to the server with nothing said on it (`connection_that_was_made_for_a_request_carries_it`).
//! And it bounds what rests by server, not in all.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A connection that takes requests.
pub(super) type Sender = SendRequest<Full<Bytes>>;

/// The connections of one dialer that are at rest.
#[derive(Default)]
pub(super) struct Pool(Arc<Mutex<Stock>>);

#[derive(Default)]
struct Stock {
    idle: VecDeque<Idle>,
    /// The origins that hang up without a word, and until when nothing of theirs is kept.
    distrusted: VecDeque<(String, Instant)>,
    /// A task will look after those that are at rest.
    swept: bool,
}

struct Idle {
    origin: String,
    sender: Sender,
    since: Instant,
}

/// How long a connection may rest. A request that meets the server's hanging up is lost, so this
/// side is to be first; servers on Node.js wait 5 s.
const MAX_REST: Duration = Duration::from_secs(4);

/// How many connections may rest: many sessions may share a dialer.
const MAX_IDLE: usize = 256;

/// Who hangs up that soon after an answer, and has not announced it, does so after each: the next
/// request would race with it. netty-socketio is such a server.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long that is remembered.
const DISTRUST: Duration = Duration::from_secs(600);

/// How many of them are remembered.
const MAX_DISTRUSTED: usize = 64;

/// How long to wait for a connection to be through with its last request. One whose server has
/// answered before it had read the request may never be.
const MAX_WAIT: Duration = Duration::from_millis(250);

impl Pool {
    /// A connection to this origin that can be used again.
    pub(super) async fn take(&self, origin: &str) -> Option<Sender> {
        loop {
            let mut sender = self.take_idle(origin)?;
            let ready = tokio::time::timeout(MAX_WAIT, sender.ready()).await;
            if let Ok(Ok(())) = ready {
                return Some(sender);
            }
        }
    }

    /// The one that was used last, so that those too many grow old.
    fn take_idle(&self, origin: &str) -> Option<Sender> {
        let mut state = self.0.lock();
        state.clear_out();
        let found = state.idle.iter().rposition(|one| one.origin == origin)?;
        state.idle.remove(found).map(|one| one.sender)
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, origin: String, sender: Sender) {
        let mut state = self.0.lock();
        state.clear_out();
        if state.is_distrusted(&origin) {
            return;
        }
        if state.idle.len() == MAX_IDLE {
            state.idle.pop_front();
        }
        state.idle.push_back(Idle {
            origin,
            sender,
            since: Instant::now(),
        });
        let begins = !std::mem::replace(&mut state.swept, true);
        drop(state);
        if begins {
            // Not under the lock: a runtime that is shutting down drops the task at once, which wants it.
            tokio::spawn(sweep(Sweeper(Arc::downgrade(&self.0))));
        }
    }

    /// Takes note that a request to this origin met its hanging up.
    pub(super) fn distrust(&self, origin: &str) {
        self.0.lock().distrust(origin);
    }

    #[cfg(test)]
    pub(super) fn has_fresh(&self) -> bool {
        self.0.lock().idle.iter().any(Idle::is_fresh)
    }
}

/// Closes connections that have rested too long, for as long as there are any: a session that has
/// moved to a WebSocket makes no request by which they would be noticed.
async fn sweep(sweeper: Sweeper) {
    loop {
        tokio::time::sleep(MAX_REST / 2).await;
        let Some(pool) = sweeper.0.upgrade() else {
            return;
        };
        let mut state = pool.lock();
        state.clear_out();
        if state.idle.is_empty() {
            state.idle = VecDeque::new();
            state.swept = false;
            return;
        }
    }
}

/// When the task goes, be it with its runtime, the next connection begins another.
struct Sweeper(Weak<Mutex<Stock>>);

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.lock().swept = false;
        }
    }
}

impl Stock {
    /// Forgets the connections that are of no use any more, and learns from them.
    fn clear_out(&mut self) {
        let mut hung_up = Vec::new();
        self.idle.retain(|one| {
            if one.sender.is_closed() && one.since.elapsed() < AT_ONCE {
                hung_up.push(one.origin.clone());
            }
            one.is_fresh()
        });
        for origin in hung_up {
            self.distrust(&origin);
        }
    }

    fn distrust(&mut self, origin: &str) {
        self.idle.retain(|one| one.origin != origin);
        self.distrusted.retain(|(known, _)| known != origin);
        if self.distrusted.len() == MAX_DISTRUSTED {
            self.distrusted.pop_front();
        }
        let until = Instant::now() + DISTRUST;
        self.distrusted.push_back((origin.to_owned(), until));
    }

    fn is_distrusted(&self, origin: &str) -> bool {
        let known = self.distrusted.iter().find(|(known, _)| known == origin);
        known.is_some_and(|(_, until)| Instant::now() < *until)
    }
}

impl Idle {
    fn is_fresh(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < MAX_REST
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.0.lock().idle.len())
            .finish()
    }
}
