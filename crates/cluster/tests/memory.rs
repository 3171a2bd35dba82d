//! The contract of all engines, on the one in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::{ClusterChange, ClusterState};
use sockeye_cluster::{ClusterConfig, Counting, MemoryHub, MemoryOptions};
use sockeye_server::{Server, ServerConfig};
use sockeye_testkit::cluster::{Engine, eventually, meet};
use tokio::sync::Semaphore;

fn engine(options: MemoryOptions) -> Engine {
    started(options).0
}

fn started(options: MemoryOptions) -> (Engine, MemoryHub) {
    let hub = MemoryHub::with_options(options);
    let process = hub.clone();
    let open = move |config: ClusterConfig| hub.server().cluster(|_| config);
    (Engine::with_config(open), process)
}

mod counted {
    use super::*;

    async fn engine() -> Option<Engine> {
        Some(super::engine(MemoryOptions::default()))
    }

    sockeye_testkit::cluster_contract!(engine);

    async fn started() -> Option<(Engine, MemoryHub)> {
        Some(super::started(MemoryOptions::default()))
    }

    sockeye_testkit::cluster_failures!(started);
}

mod heard {
    use super::*;

    async fn engine() -> Option<Engine> {
        let options = MemoryOptions::default().counting(Counting::Heartbeats);
        Some(super::engine(options.interest(false).always_binary(true)))
    }

    sockeye_testkit::cluster_contract!(engine);

    async fn started() -> Option<(Engine, MemoryHub)> {
        Some(super::started(
            MemoryOptions::default().counting(Counting::Heartbeats),
        ))
    }

    sockeye_testkit::cluster_failures!(started);
}

mod logged {
    use super::*;

    async fn engine() -> Option<Engine> {
        Some(super::engine(MemoryOptions::default().log(10_000)).recovering())
    }

    sockeye_testkit::cluster_contract!(engine);
    sockeye_testkit::recovery_contract!(engine);

    async fn started() -> Option<(Engine, MemoryHub)> {
        let (engine, hub) = super::started(MemoryOptions::default().log(100_000));
        Some((engine.recovering(), hub))
    }

    sockeye_testkit::cluster_failures!(started);
    sockeye_testkit::cluster_outages!(@each started: socket_comes_back_with_the_engine);
}

#[tokio::test]
async fn events_that_handlers_do_not_get_on_with_are_counted_and_told() {
    const EVENTS: u64 = 100;
    let (_, hub) = started(MemoryOptions::default());
    let config = || ServerConfig::default().cluster(hub.server());
    let slow = config().server_side(|limits| limits.max_handlers(2).max_queued_events(10));
    let [emits, slow] = [config(), slow].map(|config| Server::with_config(config).expect("valid"));
    let (started, may_end) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let of_handler = (Arc::clone(&started), Arc::clone(&may_end));
    slow.server_side().on("x", move || {
        let (started, may_end) = of_handler.clone();
        async move {
            started.fetch_add(1, Ordering::Relaxed);
            may_end.acquire().await.expect("it is open").forget();
        }
    });
    eventually("all are counted", async || emits.server_count().await == 2).await;
    let cluster = slow.cluster().expect("a cluster");
    let mut changes = cluster.changes();
    let before = cluster.counts().received;
    for _ in 0..EVENTS {
        emits.server_side_emit("x", ()).expect("sent");
    }
    eventually("all have come", async || {
        cluster.counts().received - before == EVENTS
    })
    .await;
    assert_eq!(cluster.counts().dropped_events, EVENTS - 12);
    assert_eq!(started.load(Ordering::Relaxed), 2);
    let namespace = Some("/".into());
    assert_eq!(changes.next().await, Some(ClusterChange::Gap { namespace }));
    assert_eq!(changes.next().now_or_never(), None, "a burst is one gap");
    may_end.add_permits(12);
    eventually("what has waited is handled", async || {
        started.load(Ordering::Relaxed) == 12
    })
    .await;
}

#[tokio::test]
async fn configuration_is_for_one_server() {
    let engine = engine(MemoryOptions::default());
    sockeye_testkit::cluster::configuration_is_for_one_server(&engine);
}

#[tokio::test]
async fn times_may_be_as_long_as_never() {
    let config = ClusterConfig::default()
        .max_queue_age(Duration::MAX)
        .requests_timeout(Duration::MAX)
        .max_local_wait(Duration::MAX)
        .heartbeat_timeout(Duration::MAX)
        .leave_timeout(Duration::MAX);
    for (options, has_log) in [
        (MemoryOptions::default(), false),
        (
            MemoryOptions::default().counting(Counting::Heartbeats),
            false,
        ),
        (MemoryOptions::default().log(100), true),
    ] {
        let (mut engine, hub) = started(options);
        if has_log {
            engine = engine.recovering();
        }
        let [a, b] = ["a", "b"].map(|name| engine.node_with(name, config.clone()));
        let nodes = [a, b];
        meet(&nodes).await;
        let mut peer = nodes[1].peer(&["room"]).await;
        let io = &nodes[0].io;
        let operator = io.to("nobody").timeout(Duration::MAX);
        let summary = operator.emit_with_ack::<()>("q", 1).expect("sent").await;
        assert_eq!(summary.missing_servers, 0);
        let sockets = io.to("room").fetch_sockets().await;
        assert_eq!(sockets.expect("all answer").len(), 1);
        io.to("room").emit("x", 1).expect("sent");
        assert!(peer.text().await.starts_with(r#"2["x",1"#));
        // Whoever keeps the time does so still, and lets messages go when the others are back.
        hub.stop();
        eventually("it is away", async || {
            let cluster = io.cluster().expect("a cluster");
            matches!(cluster.state(), ClusterState::Degraded(_))
        })
        .await;
        hub.start();
        io.to("room").emit("x", 2).expect("sent");
        assert!(peer.text().await.starts_with(r#"2["x",2"#));
        for node in &nodes {
            node.io.close().await;
        }
    }
}
