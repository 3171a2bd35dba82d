//! The contract of all engines, on the one in memory.

use sockeye_cluster::{ClusterConfig, Counting, MemoryHub, MemoryOptions};
use sockeye_testkit::cluster::Engine;

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
}

#[tokio::test]
async fn configuration_is_for_one_server() {
    let engine = engine(MemoryOptions::default());
    sockeye_testkit::cluster::configuration_is_for_one_server(&engine);
}
