//! Connections that wait for their next request.

use std::collections::VecDeque;
use std::fmt;
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
pub(super) struct Pool(Mutex<VecDeque<Idle>>);

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
        let mut idle = self.0.lock();
        idle.retain(Idle::is_fresh);
        let found = idle.iter().rposition(|one| one.origin == origin)?;
        idle.remove(found).map(|one| one.sender)
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, origin: String, sender: Sender) {
        let mut idle = self.0.lock();
        idle.retain(Idle::is_fresh);
        if idle.len() == MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle {
            origin,
            sender,
            since: Instant::now(),
        });
    }

    #[cfg(test)]
    pub(super) fn has_fresh(&self) -> bool {
        self.0.lock().iter().any(Idle::is_fresh)
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
            .field("idle", &self.0.lock().len())
            .finish()
    }
}
