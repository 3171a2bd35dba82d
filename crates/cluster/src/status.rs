//! Whether the others can be reached, and what was counted.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sockeye_adapter::{ClusterChange, ClusterCounts, ClusterState};

use crate::sync::{self, Mutex, Notify};

use crate::clock::now;

/// How a cluster does, as one of its servers sees it.
pub(crate) struct Status {
    /// The engine's name.
    name: &'static str,
    history: Mutex<History>,
    /// There is more in the history, or another state.
    news: Notify,
    /// How many messages the current burst of losses has cost; 0 between two of them.
    burst: sync::AtomicU64,
    pub(crate) published: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) unwanted: AtomicU64,
    pub(crate) dropped_old: AtomicU64,
    pub(crate) dropped_large: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dropped_events: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) incomplete_requests: AtomicU64,
}

/// The state, and what has led to it, for those who listen.
struct History {
    state: ClusterState,
    /// The last changes, each with its number. A loss often comes in hundreds of pieces, which are one gap to somebody who has
    /// not heard of the first one; so each gap stands here once, and leaves room for the other changes.
    changes: VecDeque<(u64, ClusterChange)>,
    /// The number of the last.
    last: u64,
    /// When the engine could be reached again after the last outage.
    again: Option<Instant>,
    /// Why it is not up when it can be reached: not all is heard that should be.
    refused: Option<Arc<str>>,
}

/// How long it may take until all servers have connected again after an outage.
const RETURN: Duration = Duration::from_secs(5);

/// How many changes whoever listens to them can be behind.
const CHANGES: usize = 64;

impl Status {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            history: Mutex::new(History {
                state: ClusterState::Starting,
                changes: VecDeque::new(),
                last: 0,
                again: None,
                refused: None,
            }),
            news: Notify::new(),
            burst: sync::AtomicU64::new(0),
            published: AtomicU64::new(0),
            received: AtomicU64::new(0),
            unwanted: AtomicU64::new(0),
            dropped_old: AtomicU64::new(0),
            dropped_large: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped_events: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
            incomplete_requests: AtomicU64::new(0),
        }
    }

    pub(crate) fn state(&self) -> ClusterState {
        self.history.lock().state.clone()
    }

    /// Changes the state, and tells of it if it is another one. After the end there is no other.
    pub(crate) fn set(&self, new: ClusterState) {
        self.change(|_| Some(new));
    }

    /// Something is refused, so that there is no other state than this one while the engine can be reached.
    pub(crate) fn refused(&self, reason: Arc<str>) {
        self.change(|history| {
            history.refused = Some(Arc::clone(&reason));
            Some(ClusterState::Degraded(reason))
        });
    }

    /// Nothing is refused any more. If there was no other reason, the engine is up.
    pub(crate) fn allowed(&self) {
        self.change(|history| {
            let reason = history.refused.take()?;
            let is_why = history.state == ClusterState::Degraded(reason);
            is_why.then_some(ClusterState::Up)
        });
    }

    fn change(&self, new: impl FnOnce(&mut History) -> Option<ClusterState>) {
        let engine = self.name;
        let mut history = self.history.lock();
        let new = match (new(&mut history), &history.refused) {
            (Some(ClusterState::Up), Some(reason)) => ClusterState::Degraded(Arc::clone(reason)),
            (Some(new), _) => new,
            (None, _) => return,
        };
        if history.state == new || history.state == ClusterState::Closed {
            return;
        }
        match &new {
            ClusterState::Up => {
                if matches!(history.state, ClusterState::Degraded(_)) {
                    history.again = Some(now());
                }
                tracing::info!(engine, "the cluster can be reached");
                history.tell(ClusterChange::Up);
            }
            ClusterState::Degraded(reason) => {
                tracing::warn!(engine, %reason, "the cluster cannot be reached; local delivery goes on");
                history.tell(ClusterChange::Degraded(Arc::clone(reason)));
            }
            _ => {}
        }
        // Under the same lock, so that the last change that is heard is the state.
        history.state = new;
        drop(history);
        self.news.notify_waiters();
    }

    /// Whether servers may not be back that are there, as the engine is away, or was a moment ago.
    pub(crate) fn is_recovering(&self) -> bool {
        let history = self.history.lock();
        let is_recent = |again| now().saturating_duration_since(again) < RETURN;
        matches!(history.state, ClusterState::Degraded(_)) || history.again.is_some_and(is_recent)
    }

    /// Waits for the end.
    pub(crate) async fn closed(&self) {
        self.until(|state| *state == ClusterState::Closed).await;
    }

    /// Waits until the engine is away, or it is the end.
    pub(crate) async fn not_up(&self) {
        self.until(|state| *state != ClusterState::Up).await;
    }

    async fn until(&self, is_so: impl Fn(&ClusterState) -> bool) {
        loop {
            // Before the look, so that it is not missed.
            let news = self.news.notified();
            if is_so(&self.history.lock().state) {
                return;
            }
            news.await;
        }
    }

    pub(crate) fn gap(&self, namespace: Option<Arc<str>>) {
        let gap = ClusterChange::Gap { namespace };
        self.history.lock().tell(gap);
        self.news.notify_waiters();
    }

    /// A message is lost; the first of a burst is logged and told.
    pub(crate) fn lost(&self, counter: &AtomicU64, namespace: &Arc<str>) {
        count(counter);
        if self.burst.fetch_add(1, Relaxed) == 0 {
            let engine = self.name;
            tracing::warn!(
                engine,
                "messages for the cluster are lost, with a connection or as they wait for too long or are too many"
            );
            self.gap(Some(Arc::clone(namespace)));
        }
    }

    /// The bus takes something: the end of a burst.
    pub(crate) fn goes_on(&self) {
        if self.burst.load(Relaxed) == 0 {
            return;
        }
        let messages = self.burst.swap(0, Relaxed);
        if messages > 0 {
            let engine = self.name;
            tracing::warn!(
                engine,
                messages,
                "the cluster takes messages again; so many were lost"
            );
            self.gap(None);
        }
    }

    /// What happens from now on, until the end.
    pub(crate) fn changes(self: &Arc<Self>) -> BoxStream<'static, ClusterChange> {
        let heard = self.history.lock().last;
        stream::unfold((Arc::clone(self), heard), |(this, heard)| async move {
            loop {
                let news = this.news.notified();
                let next = this.history.lock().after(heard);
                match next {
                    Next::Change(number, change) => {
                        drop(news);
                        return Some((change, (this, number)));
                    }
                    Next::End => return None,
                    Next::Later => news.await,
                }
            }
        })
        .boxed()
    }

    pub(crate) fn counts(&self) -> ClusterCounts {
        let mut counts = ClusterCounts::default();
        counts.published = self.published.load(Relaxed);
        counts.received = self.received.load(Relaxed);
        counts.unwanted = self.unwanted.load(Relaxed);
        counts.dropped_old = self.dropped_old.load(Relaxed);
        counts.dropped_large = self.dropped_large.load(Relaxed);
        counts.failed = self.failed.load(Relaxed);
        counts.dropped_events = self.dropped_events.load(Relaxed);
        counts.undecodable = self.undecodable.load(Relaxed);
        counts.incomplete_requests = self.incomplete_requests.load(Relaxed);
        counts
    }
}

/// What comes behind a change.
enum Next {
    /// Another one, with its number.
    Change(u64, ClusterChange),
    /// Nothing for now.
    Later,
    /// Nothing any more.
    End,
}

impl History {
    fn after(&self, heard: u64) -> Next {
        let mut changes = self.changes.iter();
        match changes.find(|(number, _)| *number > heard) {
            Some((number, change)) => Next::Change(*number, change.clone()),
            None if self.state == ClusterState::Closed => Next::End,
            None => Next::Later,
        }
    }

    fn tell(&mut self, change: ClusterChange) {
        if matches!(change, ClusterChange::Gap { .. }) {
            self.changes.retain(|(_, earlier)| *earlier != change);
        }
        if self.changes.len() >= CHANGES {
            self.changes.pop_front();
        }
        self.last += 1;
        self.changes.push_back((self.last, change));
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Counts one more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use loom::future::block_on;

    use super::*;
    use crate::sync::{model, spawn};

    fn next(changes: &mut BoxStream<'static, ClusterChange>) -> Option<ClusterChange> {
        changes.next().now_or_never().flatten()
    }

    fn gap() -> ClusterChange {
        ClusterChange::Gap { namespace: None }
    }

    #[test]
    fn a_thousand_gaps_hide_no_other_change() {
        let status = Arc::new(Status::new("test"));
        let mut changes = status.changes();
        status.gap(None);
        status.set(ClusterState::Degraded("away".into()));
        for _ in 0..1000 {
            status.gap(None);
        }
        status.set(ClusterState::Up);
        let all = std::array::from_fn(|_| next(&mut changes));
        let degraded = ClusterChange::Degraded("away".into());
        let expected = [Some(degraded), Some(gap()), Some(ClusterChange::Up), None];
        assert_eq!(all, expected);
        status.gap(None);
        assert_eq!(next(&mut changes), Some(gap()), "a new one");
        assert_eq!(next(&mut changes), None);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_have_some_time_to_come_back_after_an_outage() {
        let status = Status::new("test");
        status.set(ClusterState::Up);
        assert!(!status.is_recovering(), "there was no outage");
        status.set(ClusterState::Degraded("away".into()));
        assert!(status.is_recovering());
        tokio::time::advance(2 * RETURN).await;
        status.set(ClusterState::Up);
        assert!(status.is_recovering());
        tokio::time::advance(RETURN).await;
        assert!(!status.is_recovering());
    }

    #[test]
    fn what_is_refused_keeps_it_degraded_until_it_is_allowed() {
        let status = Status::new("test");
        let because = |reason: &str| ClusterState::Degraded(reason.into());
        status.refused("forbidden".into());
        status.set(ClusterState::Up);
        assert_eq!(status.state(), because("forbidden"));
        status.set(because("away"));
        status.allowed();
        assert_eq!(status.state(), because("away"), "it is no better");
        status.set(ClusterState::Up);
        status.refused("forbidden".into());
        assert_eq!(status.state(), because("forbidden"));
        status.allowed();
        assert_eq!(status.state(), ClusterState::Up);
        status.allowed();
        assert_eq!(status.state(), ClusterState::Up);
    }

    #[tokio::test]
    async fn changes_end_with_the_cluster() {
        let status = Arc::new(Status::new("test"));
        let mut changes = status.changes();
        assert!(changes.next().now_or_never().is_none(), "it has not ended");
        status.set(ClusterState::Up);
        status.set(ClusterState::Closed);
        status.set(ClusterState::Up);
        let rest: Vec<_> = changes.collect().await;
        assert_eq!(rest, [ClusterChange::Up]);
    }

    #[test]
    fn last_change_that_is_heard_is_the_state_in_any_order() {
        model(3, || {
            let status = Arc::new(Status::new("test"));
            let changes = status.changes();
            let away = Arc::clone(&status);
            let away = spawn(move || away.set(ClusterState::Degraded("away".into())));
            status.set(ClusterState::Up);
            away.join().unwrap();
            let state = status.state();
            status.set(ClusterState::Closed);
            let heard: Vec<_> = block_on(changes.collect());
            let last = match state {
                ClusterState::Up => ClusterChange::Up,
                _ => ClusterChange::Degraded("away".into()),
            };
            assert_eq!(heard.len(), 2);
            assert_eq!(heard.last(), Some(&last));
        });
    }

    #[test]
    fn whoever_waits_for_the_end_learns_of_it_in_any_order() {
        model(3, || {
            let status = Arc::new(Status::new("test"));
            let end = Arc::clone(&status);
            spawn(move || {
                end.set(ClusterState::Up);
                end.set(ClusterState::Closed);
            });
            block_on(status.closed());
        });
    }

    #[test]
    fn whoever_listens_hears_all_and_the_end_in_any_order() {
        model(3, || {
            let status = Arc::new(Status::new("test"));
            let changes = status.changes();
            spawn(move || {
                status.gap(None);
                status.set(ClusterState::Up);
                status.set(ClusterState::Closed);
            });
            let heard: Vec<_> = block_on(changes.collect());
            assert_eq!(heard, [gap(), ClusterChange::Up]);
        });
    }

    #[test]
    fn each_burst_of_losses_is_told_and_counted_in_any_order() {
        model(3, || {
            let status = Arc::new(Status::new("test"));
            let (one, bus) = (Arc::clone(&status), Arc::clone(&status));
            let namespace: Arc<str> = "/".into();
            let other = Arc::clone(&namespace);
            let loses = spawn(move || one.lost(&one.failed, &other));
            let takes = spawn(move || bus.goes_on());
            status.lost(&status.failed, &namespace);
            loses.join().unwrap();
            takes.join().unwrap();
            assert_eq!(status.counts().failed, 2);
            let burst = status.burst.load(Relaxed);
            let told = match burst {
                // A burst, and its end.
                0 => 2,
                // And another one that goes on.
                1 => 3,
                _ => 1,
            };
            assert_eq!(status.history.lock().last, told, "{burst}");
        });
    }
}
