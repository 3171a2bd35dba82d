use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use futures_util::future::{self, BoxFuture, FutureExt};
use parking_lot::Mutex;
use sockeye_adapter::SecretMap;
use tokio::time::Instant;

/// Keeps the sessions of those who have shown their credentials, so that the page can connect again without them.
///
/// The servers of a cluster may have one in common, in a database: then a page that has shown its credentials to one of
/// them is let in by all. A session is a text of 32 characters, which is as good as a password for as long as it lasts, and
/// the store says how long.
pub trait SessionStore: Send + Sync + fmt::Debug {
    /// Keeps a session, which the page is about to be told.
    fn save(&self, session: &str) -> BoxFuture<'static, ()>;

    /// Whether the session was saved, and is still good. It is asked with whatever a client claims, up to 128 bytes.
    fn is_known(&self, session: &str) -> BoxFuture<'static, bool>;
}

/// The sessions of one process: the newest thousand, for a day each.
#[derive(Debug)]
pub struct MemorySessions {
    kept: Mutex<Kept>,
    max: usize,
    lasting: Duration,
}

#[derive(Default)]
struct Kept {
    since: SecretMap<Instant>,
    /// The same, the oldest first.
    order: VecDeque<(Instant, Box<str>)>,
}

impl MemorySessions {
    /// At most so many sessions, of which the oldest goes for another one; each for so long.
    #[must_use]
    pub fn new(max: usize, lasting: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            max,
            lasting,
        }
    }

    fn is_good(&self, since: Instant) -> bool {
        since.elapsed() < self.lasting
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new(1000, Duration::from_secs(24 * 60 * 60))
    }
}

impl SessionStore for MemorySessions {
    fn save(&self, session: &str) -> BoxFuture<'static, ()> {
        let mut kept = self.kept.lock();
        while let Some((since, oldest)) = kept.order.pop_front() {
            if self.is_good(since) && kept.order.len() + 1 < self.max {
                kept.order.push_front((since, oldest));
                break;
            }
            kept.since.remove(&oldest);
        }
        let now = Instant::now();
        kept.since.insert(session.into(), now);
        kept.order.push_back((now, session.into()));
        future::ready(()).boxed()
    }

    fn is_known(&self, session: &str) -> BoxFuture<'static, bool> {
        let since = self.kept.lock().since.get(session).copied();
        future::ready(since.is_some_and(|since| self.is_good(since))).boxed()
    }
}

/// How many, and none of them.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sessions", self.order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sessions_are_few_and_do_not_last() {
        let sessions = MemorySessions::new(2, Duration::from_secs(10));
        for id in ["a", "b", "c"] {
            sessions.save(id).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let known = async |id| sessions.is_known(id).await;
        assert!(!known("a").await, "the oldest has made room");
        assert!(known("b").await && known("c").await);
        assert!(!known("d").await);
        tokio::time::advance(Duration::from_secs(8)).await;
        assert!(!known("b").await && known("c").await);
        sessions.save("e").await;
        assert_eq!(sessions.kept.lock().since.len(), 2, "what is over is gone");
    }
}
