//! How many others there are, and whether they are all there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Node;
use super::tally::Found;
use crate::clock::now;
use crate::job::{FindNodes, Job, OVERHEAD};
use crate::profile::Counting;

impl Node {
    /// Asks again how many servers there are while a request waits, which one may be waited for that is gone.
    pub(super) fn recount(&self, now: Instant) {
        if self.requests.any_since(now - RECOUNT) {
            self.count_again(now, RECOUNT, Whom::AllAndEach);
        }
    }

    /// The engine is there again; whether messages are held still after another outage.
    pub(crate) fn begin_again(&self, is_held: bool) {
        self.census.lock().begin_again(is_held);
    }

    /// Keeps up to date how many there are, for the day on which the engine is [away](Self::is_complete_since).
    pub(crate) fn count_from_time_to_time(&self, now: Instant) {
        if self.post.profile.counting == Counting::Engine {
            self.count_again(now, self.post.config.heartbeat_interval, Whom::All);
        }
    }

    /// Whether all have been heard of since the engine is there again who were there before; asks, if that is not known.
    pub(crate) fn is_complete_since(&self, then: Instant) -> bool {
        match self.post.profile.counting {
            Counting::Nobody => true,
            Counting::Heartbeats => self.members.lock().all_heard_since(then),
            Counting::Engine => {
                let is_complete = self.census.lock().is_complete_since(then);
                if !is_complete {
                    self.count_again(now(), Duration::ZERO, Whom::All);
                }
                is_complete
            }
        }
    }

    /// Asks the engine, if that is so long ago.
    fn count_again(&self, now: Instant, pause: Duration, whom: Whom) {
        let mut census = self.census.lock();
        if census.is_asking || now.saturating_duration_since(census.asked) < pause {
            return;
        }
        census.is_asking = true;
        drop(census);
        let counted = self.count_nodes(self.post.config.requests_timeout);
        let found = match whom {
            Whom::All => None,
            Whom::AllAndEach => self.find_nodes(self.post.config.requests_timeout),
        };
        let this = self.this.clone();
        tokio::spawn(async move {
            let counted = counted.await;
            let found = match found {
                Some(found) => found.await,
                None => Found::default(),
            };
            let Some(this) = this.upgrade() else { return };
            this.census.lock().is_asking = false;
            // Whoever is there all the same is known again with its next answer.
            for node in &found.gone {
                this.members.lock().gone(node);
            }
            // Whoever is not back after an outage is not taken for gone.
            if let Ok(nodes) = counted
                && !this.post.status.is_recovering()
            {
                this.requests
                    .counted(nodes.saturating_sub(1), &Arc::new(found), now);
            }
        });
    }

    /// Asks for those that have answered before; `None` if nobody has.
    fn find_nodes(&self, timeout: Duration) -> Option<impl Future<Output = Found> + use<>> {
        let mut nodes: Vec<_> = self.members.lock().nodes().into_iter().collect();
        nodes.truncate(MAX_FOUND);
        if nodes.is_empty() {
            return None;
        }
        let (reply, there) = oneshot::channel();
        let asked = nodes.clone();
        let find = FindNodes::new(Arc::clone(&self.namespace), nodes, reply);
        let bytes = OVERHEAD * asked.len();
        self.post.call(Job::FindNodes(find), bytes, timeout);
        Some(async move {
            let Ok(there) = there.await else {
                return Found::default();
            };
            let there: HashSet<_, _> = there.into_iter().collect();
            let mut gone = asked;
            gone.retain(|node| !there.contains(node));
            Found { there, gone }
        })
    }
}

/// Whom to ask the engine for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// How many there are.
    All,
    /// The same, and which of those that are known.
    AllAndEach,
}

/// How many others are asked for one by one.
const MAX_FOUND: usize = 256;

/// How often the engine is asked again.
const RECOUNT: Duration = Duration::from_millis(250);
