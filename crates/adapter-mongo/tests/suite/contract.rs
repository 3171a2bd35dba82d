//! The contract of all engines, on what speaks MongoDB's protocol.

use std::time::Duration;

use sockeye_adapter_mongo::{ClusterConfig, Mongo};
use sockeye_testkit::cluster::Engine;
use sockeye_testkit::engines;

fn started(make: fn(&str) -> Mongo) -> Option<(Engine, engines::Engine)> {
    let server = engines::mongo("contract")?;
    let url = server.url();
    Some((Engine::new(move || make(&url)), server))
}

fn capped(url: &str) -> Mongo {
    Mongo::new(url).expect("a URL of MongoDB")
}

fn by_age(url: &str) -> Mongo {
    capped(url).expire_after(Duration::from_secs(3600))
}

/// Servers that wait for the order of all, however long the engine takes for it where others need its processor.
fn patient(mongo: Mongo) -> Mongo {
    mongo.cluster(ClusterConfig::default().max_local_wait(Duration::from_secs(60)))
}

mod operations {
    use super::*;

    async fn engine() -> Option<Engine> {
        let (engine, server) = started(capped)?;
        Some(engine.keeping(server))
    }

    async fn with_process() -> Option<(Engine, engines::Engine)> {
        let (engine, server) = started(capped)?;
        Some((engine.durable(), server))
    }

    sockeye_testkit::cluster_contract!(engine);
    sockeye_testkit::cluster_outages!(with_process);
}

mod recovery {
    use super::*;

    async fn engine() -> Option<Engine> {
        let (engine, server) = started(|url| patient(capped(url)))?;
        Some(engine.recovering().keeping(server))
    }

    async fn with_process() -> Option<(Engine, engines::Engine)> {
        let (engine, server) = started(capped)?;
        Some((engine.recovering(), server))
    }

    sockeye_testkit::recovery_contract!(engine);
    sockeye_testkit::durable_outages!(with_process);
}

mod recovery_by_age {
    use super::*;

    async fn engine() -> Option<Engine> {
        let (engine, server) = started(|url| patient(by_age(url)))?;
        Some(engine.recovering().keeping(server))
    }

    sockeye_testkit::recovery_contract!(engine);
}
