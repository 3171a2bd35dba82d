//! How long is waited for an engine that does nothing any more.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use sockeye_adapter::{Cluster, ClusterChange};
use sockeye_cluster::{Bus, BusCluster, BusProfile, ClusterConfig, Counting, Emitter, Job, Link};
use sockeye_testkit::cluster::Engine;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A bus that takes one job, and does nothing any more.
#[derive(Debug)]
struct Stuck;

impl Bus for Stuck {
    fn profile(&self) -> BusProfile {
        BusProfile::new("stuck")
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let _job = link.next().await;
            link.up();
            future::pending::<()>().await;
        }
        .boxed()
    }
}

fn cluster(timeout: Option<Duration>) -> Arc<dyn Cluster> {
    let config = match timeout {
        None => ClusterConfig::default(),
        Some(timeout) => ClusterConfig::default().leave_timeout(timeout),
    };
    Arc::new(BusCluster::new(Stuck, config))
}

const CASES: [(Option<Duration>, Duration); 3] = [
    (None, Duration::from_secs(5)),
    (Some(Duration::from_secs(60)), Duration::from_secs(60)),
    (Some(Duration::ZERO), Duration::ZERO),
];

/// A bus that takes one job, and does nothing any more; until somebody says that its engine is gone.
#[derive(Debug, Default)]
struct Leaving(Arc<Notify>);

impl Bus for Leaving {
    fn profile(&self) -> BusProfile {
        BusProfile::new("leaving")
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            link.up();
            let _job = link.next().await;
            self.0.notified().await;
            link.degraded("it is gone");
            future::pending::<()>().await;
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_to_settle_where_the_engine_is_away() {
    const SECOND: Duration = Duration::from_secs(1);
    for (gone_after, expected) in [(SECOND, SECOND), (600 * SECOND, 5 * SECOND)] {
        let bus = Leaving::default();
        let gone = Arc::clone(&bus.0);
        let config = ClusterConfig::default().max_queue_age(60 * SECOND);
        let cluster: Arc<dyn Cluster> = Arc::new(BusCluster::new(bus, config));
        let mut changes = cluster.changes();
        let emitter = Emitter::new(Arc::clone(&cluster)).expect("there can be emitters");
        emitter.emit("x", 1).expect("sent");
        assert_eq!(changes.next().await, Some(ClusterChange::Up));
        tokio::task::yield_now().await;
        emitter.emit("x", 2).expect("sent");
        let start = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(gone_after).await;
            gone.notify_one();
        });
        cluster.settled().await;
        let took = start.elapsed();
        assert!(took >= expected && took <= expected + TOLERANCE, "{took:?}");
    }
}

/// Timers are exact to the millisecond.
const TOLERANCE: Duration = Duration::from_millis(10);

/// A bus with a log that takes its time for each job, and keeps these sockets.
#[derive(Debug)]
struct Slow {
    pause: Duration,
    kept: Arc<Mutex<Vec<Arc<str>>>>,
}

impl Bus for Slow {
    fn profile(&self) -> BusProfile {
        let mut profile = BusProfile::new("slow");
        profile.log = true;
        profile.counting = Counting::Nobody;
        profile
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            link.up();
            while let Some(job) = link.next().await {
                tokio::time::sleep(self.pause).await;
                match job {
                    Job::Open(opening) => link.opened(&opening.namespace, Some("0")),
                    Job::Close(closing) => closing.done(),
                    Job::Publish(publish) => link.published(&publish),
                    Job::Keep(keep) => self.kept.lock().push(keep.socket.id.clone()),
                    _ => {}
                }
            }
        }
        .boxed()
    }
}

/// A server that is closed with more sockets than its queue has room for: how long that takes, how many sockets are kept and
/// how many jobs were dropped.
async fn closes_with_many_sockets(pause: Duration) -> (Duration, usize, u64) {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let slow = Arc::clone(&kept);
    let open = move || -> Arc<dyn Cluster> {
        let kept = Arc::clone(&slow);
        let config = ClusterConfig::default().max_queue_bytes(2048);
        Arc::new(BusCluster::new(Slow { pause, kept }, config))
    };
    let node = Engine::new(open).recovering().node("node");
    let io = &node.io;
    let cluster = io.cluster().expect("it is in a cluster");
    cluster.ready().await;
    let _peers = node.rig.connect_many(SOCKETS).await;
    let mut ids: Vec<_> = io.sockets().iter().map(|s| s.id().to_owned()).collect();
    for number in 0..3 {
        io.emit("x", number).expect("sent");
    }
    let start = Instant::now();
    io.close().await;
    let took = start.elapsed();
    let mut kept: Vec<_> = kept.lock().iter().map(|id| id.to_string()).collect();
    let count = kept.len();
    kept.sort_unstable();
    kept.dedup();
    assert_eq!(kept.len(), count, "each once");
    ids.retain(|id| kept.binary_search(id).is_err());
    assert_eq!(ids.len(), SOCKETS - count);
    (took, count, cluster.counts().dropped_large)
}

const SOCKETS: usize = 100;

#[tokio::test(start_paused = true)]
async fn server_waits_for_room_to_keep_its_sockets() {
    let (_, kept, dropped) = closes_with_many_sockets(Duration::from_millis(5)).await;
    assert_eq!((kept, dropped), (SOCKETS, 0));
}

#[tokio::test(start_paused = true)]
async fn sockets_that_are_not_kept_in_time_are_counted() {
    let (took, kept, dropped) = closes_with_many_sockets(Duration::from_millis(50)).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!((30..SOCKETS).contains(&kept), "{kept}");
    assert_eq!(kept as u64 + dropped, SOCKETS as u64);
}

#[tokio::test(start_paused = true)]
async fn server_leaves_when_its_time_is_over() {
    for (timeout, expected) in CASES {
        let node = Engine::new(move || cluster(timeout)).node("node");
        let io = &node.io;
        io.cluster().expect("it is in a cluster").ready().await;
        io.emit("x", 1).expect("sent");
        let start = Instant::now();
        io.close().await;
        let took = start.elapsed();
        assert!(took >= expected && took <= expected + TOLERANCE, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn emitter_leaves_when_its_time_is_over() {
    for (timeout, expected) in CASES {
        let emitter = Emitter::new(cluster(timeout)).expect("there can be emitters");
        emitter.emit("x", 1).expect("sent");
        let start = Instant::now();
        emitter.close().await;
        let took = start.elapsed();
        assert!(took >= expected && took <= expected + TOLERANCE, "{took:?}");
    }
}
