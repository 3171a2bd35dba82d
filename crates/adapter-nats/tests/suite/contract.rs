//! The contract of all engines, on NATS.

use sockeye_adapter_nats::Nats;
use sockeye_testkit::cluster::{Engine, Ways};
use sockeye_testkit::engines;

async fn started() -> Option<(Engine, engines::Engine)> {
    let server = engines::nats("contract")?;
    let url = server.url();
    let engine =
        Engine::with_config(move |config| Nats::new(&url).expect("a URL of NATS").cluster(config));
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
    let open = |url: &str, config| Nats::new(url).expect("a URL of NATS").cluster(config);
    Some(Ways::to(engines::nats("ways")?, open).await)
}

sockeye_testkit::cluster_ways!(ways);
