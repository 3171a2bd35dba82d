//! The way to the bus, which all namespaces share.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use sockeye_adapter::{ClusterCounts, Save};
use sockeye_cluster_proto::Limits;
use tokio::sync::Notify;

use crate::clock::now;
use crate::config::ClusterConfig;
use crate::fate::Fate;
use crate::job::{Job, Publish};
use crate::profile::BusProfile;
use crate::queue::{Dropped, Entry, Queue};
use crate::status::{Status, count};

/// The queue, and what is known of how the bus gets on.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) profile: BusProfile,
    pub(crate) config: ClusterConfig,
    pub(crate) queue: Queue,
    pub(crate) status: Arc<Status>,
    pub(crate) limits: Limits,
    keys: AtomicU64,
    /// What the namespaces remember of broadcasts that were delivered before the log brought them.
    pub(crate) early_bytes: Arc<AtomicUsize>,
    /// Something is due before the next tick.
    pub(crate) urgent: Notify,
}

impl Post {
    pub(crate) fn new(profile: BusProfile, config: ClusterConfig) -> Self {
        Self {
            queue: Queue::new(config.queue, &profile, now),
            profile,
            config,
            status: Arc::new(Status::new(profile.name)),
            limits: Limits::default(),
            keys: AtomicU64::new(0),
            early_bytes: Arc::default(),
            urgent: Notify::new(),
        }
    }

    /// A number that nothing else has: for namespaces, tags, and who waits.
    pub(crate) fn key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    /// Queues a message.
    pub(crate) fn publish(&self, publish: Publish) {
        let bytes = publish.size();
        let dropped = self.queue.push(Job::Publish(publish), bytes);
        self.lost(dropped);
    }

    /// Queues something else, which is of use for this long.
    pub(crate) fn call(&self, job: Job, bytes: usize, time: Duration) {
        let dropped = self.queue.push_for(job, bytes, time);
        self.lost(dropped);
    }

    /// Queues something else for which nothing is to be dropped, and which is dropped for nothing else.
    pub(crate) fn save(self: &Arc<Self>, job: Job, bytes: usize, time: Duration) -> Save {
        let (entry, old) = self.queue.save(job, bytes, time);
        self.too_old(old);
        match entry {
            Entry::Taken => Save::Taken,
            Entry::Full => {
                let this = Arc::clone(self);
                Save::Later(async move { this.queue.room(bytes).await }.boxed())
            }
            Entry::Refused => Save::Never,
        }
    }

    /// The next job for the bus.
    pub(crate) async fn next(&self) -> Option<Job> {
        loop {
            let (job, old) = self.queue.next().await;
            let is_over = job.is_none() && old.is_empty();
            self.too_old(old);
            if job.is_some() || is_over {
                return job.map(|job| self.give(job));
            }
        }
    }

    /// The next one, if it is there already.
    pub(crate) fn try_next(&self) -> Option<Job> {
        let (job, old) = self.queue.try_next();
        self.too_old(old);
        job.map(|job| self.give(job))
    }

    /// The bus is responsible for it from now on.
    fn give(&self, mut job: Job) -> Job {
        if let Job::Publish(publish) = &mut job {
            self.status.goes_on();
            publish.fate = Fate::given(&self.status, &publish.namespace);
        }
        job
    }

    /// The bus could not do it, and is not responsible any more.
    pub(crate) fn put_back(&self, mut job: Job) {
        if let Job::Publish(publish) = &mut job {
            publish.fate.tell();
            publish.fate = Fate::Waiting;
        }
        self.queue.put_back(job);
    }

    /// The engine is there again, and others may not have noticed yet. These are waited for as long as messages that have
    /// just been queued do not get too old by it, nor the next ones.
    pub(crate) fn hold(&self) {
        self.queue.hold(self.queue_age() / 2);
        self.urgent.notify_one();
    }

    /// How long a message may wait.
    pub(crate) fn queue_age(&self) -> Duration {
        self.queue.age
    }

    /// Drops what has waited too long.
    pub(crate) fn expire(&self) {
        self.too_old(self.queue.expire());
    }

    /// The bus could not publish this.
    pub(crate) fn failed(&self, publish: &Publish, error: &(dyn Error + 'static)) {
        publish.fate.tell();
        count(&self.status.failed);
        let (engine, namespace) = (self.profile.name, &*publish.namespace);
        tracing::warn!(
            engine,
            namespace,
            error,
            "a message for the cluster could not be published"
        );
        self.status.gap(Some(Arc::clone(&publish.namespace)));
    }

    pub(crate) fn counts(&self) -> ClusterCounts {
        let mut counts = self.status.counts();
        (counts.queued, counts.queued_bytes) = self.queue.waiting();
        counts
    }

    fn too_old(&self, old: Vec<Job>) {
        let large = Vec::new();
        self.lost(Dropped { old, large });
    }

    /// Counts, logs and tells what is lost. What nobody waits for any more, of questions and answers, is no loss.
    fn lost(&self, dropped: Dropped) {
        let counters = [
            (dropped.old, &self.status.dropped_old),
            (dropped.large, &self.status.dropped_large),
        ];
        for (jobs, counter) in counters {
            for job in jobs {
                let namespace = match &job {
                    Job::Publish(publish) => &publish.namespace,
                    Job::Keep(keep) => &keep.namespace,
                    _ => continue,
                };
                self.status.lost(counter, namespace);
            }
        }
    }
}
