//! Connections to Redis over TLS.

use std::fs;

use sockeye_adapter::ClusterState;
use sockeye_adapter_redis::{EngineTls, Redis, RedisStreams, RedisUrlError, ShardedRedis};
use sockeye_testkit::cluster::{
    Engine, broadcasts_reach_the_sockets_of_all_servers_once, eventually,
};
use sockeye_testkit::engines;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_of_a_file_is_trusted() {
    let Some(server) = engines::redis_tls("file") else {
        return;
    };
    all_ways_reach(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authority_may_be_given_as_it_is() {
    let Some(server) = engines::redis_tls("given") else {
        return;
    };
    let url = server.url();
    let pem = fs::read(server.authority()).expect("a file");
    let engine = Engine::new(move || {
        let redis = Redis::new(&url).expect("a URL of Redis");
        let redis = redis.tls(&EngineTls::default().ca_certificates(pem.clone()));
        redis.expect("a certificate")
    });
    broadcasts_reach_the_sockets_of_all_servers_once(&engine).await;
}

/// The classic way, the sharded one and streams.
async fn all_ways_reach(server: &engines::Engine) {
    let url = server.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{separator}ca={}", server.authority().display());
    let sharded = url.replace("rediss:", "rediss+sharded:");
    let streams = url.replace("rediss:", "rediss+streams:");
    let engines = [
        Engine::new(move || Redis::new(&url).expect("a URL of Redis")),
        Engine::new(move || ShardedRedis::new(&sharded).expect("a URL of Redis")),
        Engine::new(move || RedisStreams::new(&streams).expect("a URL of Redis")),
    ];
    for engine in &engines {
        broadcasts_reach_the_sockets_of_all_servers_once(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_a_redis_cluster_are_reached_over_tls() {
    if let Some(servers) = engines::redis_cluster_tls("cluster") {
        all_ways_reach(&servers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_their_primary_are_reached_over_tls() {
    if let Some(servers) = engines::redis_sentinel_tls("sentinel") {
        all_ways_reach(&servers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_authorities_are_not_trusted() {
    let (Some(server), Some(other)) = (engines::redis_tls("one"), engines::redis_tls("other"))
    else {
        return;
    };
    let strange = format!("{}?ca={}", server.url(), other.authority().display());
    for url in [server.url(), strange] {
        let engine = Engine::new(move || Redis::new(&url).expect("a URL of Redis"));
        let node = engine.node("alone");
        let cluster = node.io.cluster().expect("a cluster");
        eventually("the certificate is refused", async || {
            matches!(cluster.state(), ClusterState::Degraded(why) if why.contains("invalid peer certificate"))
        })
        .await;
    }
}

#[test]
fn plain_connections_have_no_certificates() {
    let plain = Redis::new("redis://localhost").expect("a URL of Redis");
    let error = plain.tls(&EngineTls::default()).unwrap_err();
    assert!(matches!(error, RedisUrlError::Invalid(_)), "{error}");
}
