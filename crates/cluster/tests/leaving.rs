//! How long a server waits for an engine that does not let it go.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::Cluster;
use sockeye_cluster::{Bus, BusCluster, BusProfile, ClusterConfig, Emitter, Link};
use sockeye_testkit::cluster::Engine;
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
