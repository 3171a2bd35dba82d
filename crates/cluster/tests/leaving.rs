//! How long is waited for an engine that does nothing any more.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::{Cluster, ClusterChange};
use sockeye_cluster::{Bus, BusCluster, BusProfile, ClusterConfig, Emitter, Link};
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
