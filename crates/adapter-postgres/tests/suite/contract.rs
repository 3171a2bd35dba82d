//! The contract of all engines, on Postgres.

use sockeye_adapter_postgres::Postgres;
use sockeye_testkit::cluster::{Engine, Ways};
use sockeye_testkit::engines;

async fn started() -> Option<(Engine, engines::Engine)> {
    let server = engines::postgres("contract")?;
    let url = server.url();
    let engine = Engine::with_config(move |config| {
        Postgres::new(&url)
            .expect("a URL of Postgres")
            .cluster(config)
    });
    Some((engine, server))
}

async fn engine() -> Option<Engine> {
    let (engine, server) = started().await?;
    Some(engine.keeping(server))
}

sockeye_testkit::cluster_contract!(engine);
sockeye_testkit::cluster_outages!(started);
sockeye_testkit::cluster_failures!(started);

async fn ways() -> Option<Ways> {
    let open = |url: &str, config| {
        Postgres::new(url)
            .expect("a URL of Postgres")
            .cluster(config)
    };
    Some(Ways::to(engines::postgres("ways")?, open).await)
}

sockeye_testkit::cluster_ways!(ways);
