//! Who else is there, where servers know each other by what they hear.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use sockeye_cluster_proto::NodeId;

/// The other servers of one namespace, by when they were heard last.
#[derive(Debug)]
pub(crate) struct Members {
    interval: Duration,
    timeout: Duration,
    heard: HashMap<NodeId, Instant, RandomState>,
    /// When this server has said last that it is there; never before it has subscribed.
    said: Option<Instant>,
    /// When it was looked last who is gone.
    looked: Option<Instant>,
    /// Since when this server is at work without a pause. Before that it could hear nobody.
    at_work: Option<Instant>,
}

impl Members {
    pub(crate) fn new(interval: Duration, timeout: Duration) -> Self {
        Self {
            interval,
            timeout,
            heard: HashMap::default(),
            said: None,
            looked: None,
            at_work: None,
        }
    }

    /// Another server has said something, whatever it was.
    pub(crate) fn heard(&mut self, node: &NodeId, now: Instant) {
        // Anybody who may publish can have as many names as they like.
        if self.heard.len() < MAX_MEMBERS || self.heard.contains_key(node) {
            self.heard.insert(node.clone(), now);
        }
    }

    /// Another server goes. Says whether it was there.
    pub(crate) fn gone(&mut self, node: &NodeId) -> bool {
        self.heard.remove(node).is_some()
    }

    /// This server says that it is there.
    pub(crate) const fn said(&mut self, now: Instant) {
        self.said = Some(now);
    }

    /// Whether it is time to say so again. Asked for again, it is not.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let said = self.said;
        let is_due = said.is_some_and(|said| now.saturating_duration_since(said) >= self.interval);
        if is_due {
            self.said(now);
        }
        is_due
    }

    /// Those that have not been heard for too long, and are gone with that. To be called often: a server that has stood still
    /// meanwhile, as its process was stopped or its machine slept, begins anew to wait for each, as it may have to read yet what
    /// they have said.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<NodeId> {
        let looked = self.looked.replace(now);
        if looked.is_some_and(|looked| now.saturating_duration_since(looked) > MAX_PAUSE) {
            self.at_work = Some(now);
        }
        let (timeout, at_work) = (self.timeout, self.at_work);
        let is_over = |last: Instant| {
            let since = at_work.map_or(last, |at_work| at_work.max(last));
            now.saturating_duration_since(since) >= timeout
        };
        let expired = self.heard.extract_if(|_, last| is_over(*last));
        expired.map(|(node, _)| node).collect()
    }

    /// Whether each of them was heard after that.
    pub(crate) fn all_heard_since(&self, then: Instant) -> bool {
        self.heard.values().all(|last| *last > then)
    }

    pub(crate) fn nodes(&self) -> HashSet<NodeId, RandomState> {
        self.heard.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.heard.len()
    }
}

/// How late it may be looked who is gone. What is longer is no load, but a server that stands still.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How many others there can be.
const MAX_MEMBERS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn member_is_there_as_long_as_it_is_heard() {
        let start = Instant::now();
        let mut members = Members::new(5 * SECOND, 10 * SECOND);
        let (a, b) = (NodeId::new("a"), NodeId::new("b"));
        members.heard(&a, start);
        members.heard(&b, start);
        members.heard(&a, start + 5 * SECOND);
        for second in 0..10 {
            assert!(members.expire(start + second * SECOND).is_empty());
        }
        assert_eq!(
            members.expire(start + 10 * SECOND),
            std::slice::from_ref(&b)
        );
        assert_eq!(members.len(), 1);
        assert!(members.gone(&a));
        assert!(!members.gone(&a) && !members.gone(&b));
    }

    #[test]
    fn server_that_has_stood_still_takes_nobody_for_gone() {
        let start = Instant::now();
        let mut members = Members::new(5 * SECOND, 10 * SECOND);
        let (a, b) = (NodeId::new("a"), NodeId::new("b"));
        members.heard(&a, start);
        members.heard(&b, start);
        assert!(members.expire(start + SECOND).is_empty());
        let woken = start + 60 * SECOND;
        assert!(members.expire(woken).is_empty(), "it has heard nobody");
        members.heard(&a, woken + SECOND);
        for second in 1..10 {
            assert!(members.expire(woken + second * SECOND).is_empty());
        }
        let gone = members.expire(woken + 10 * SECOND);
        assert_eq!(gone, [b], "that is long enough");
    }

    #[test]
    fn own_heartbeat_is_due_once_an_interval_from_when_it_has_subscribed() {
        let start = Instant::now();
        let mut members = Members::new(5 * SECOND, 10 * SECOND);
        assert!(!members.is_due(start + 60 * SECOND), "nobody could hear it");
        members.said(start);
        assert!(!members.is_due(start + 4 * SECOND));
        assert!(members.is_due(start + 5 * SECOND));
        assert!(!members.is_due(start + 6 * SECOND));
        assert!(members.is_due(start + 10 * SECOND));
        let mut silent = Members::new(Duration::MAX, Duration::MAX);
        silent.said(start);
        silent.heard(&NodeId::new("a"), start);
        assert!(!silent.is_due(start + 60 * SECOND));
        assert!(silent.expire(start + 60 * SECOND).is_empty());
    }

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let now = Instant::now();
        let mut members = Members::new(5 * SECOND, 10 * SECOND);
        for number in 0..2 * MAX_MEMBERS {
            members.heard(&NodeId::new(&number.to_string()), now);
        }
        assert_eq!(members.len(), MAX_MEMBERS);
    }
}
