//! What Redis lets a server do, and what it does not.

use sockeye_adapter::{ClusterState, IntoCluster};
use sockeye_adapter_redis::{Redis, RedisStreams, ShardedRedis};
use sockeye_testkit::cluster::{Engine, eventually, meet, settled};
use sockeye_testkit::engines;

/// Everybody may publish to all servers, and hear that, but not what is for one server alone.
async fn until_it_may<C: IntoCluster + 'static>(scheme: &str, open: fn(&str) -> C) {
    let Some(server) = engines::redis("access") else {
        return;
    };
    let allow = |rules: &str| {
        let command = format!("ACL SETUSER app {rules}");
        assert_eq!(server.redis_command(&command), "+OK");
    };
    allow("on >secret ~* +@all allchannels");
    let url = format!("{scheme}://app:secret@127.0.0.1:{}", server.port());
    let engine = Engine::new(move || open(&url));
    let nodes = engine.nodes::<2>().await;
    let mut peer = nodes[1].peer(&[]).await;
    settled(&nodes).await;
    allow("resetchannels &*sockeye-probe* &socket.io#/#");
    let _ = server.redis_command("CLIENT KILL TYPE pubsub");
    let clusters = nodes.each_ref().map(|node| node.io.cluster());
    for cluster in clusters.map(|cluster| cluster.expect("a cluster")) {
        let is_refused = || {
            let state = cluster.state();
            matches!(state, ClusterState::Degraded(why) if why.contains("refuses a subscription"))
        };
        eventually("it is refused", async || is_refused()).await;
        let before = cluster.counts().published;
        nodes[0].io.emit("x", ()).expect("sent");
        nodes[1].io.emit("x", ()).expect("sent");
        eventually("it is connected", async || {
            cluster.counts().published > before
        })
        .await;
        assert!(is_refused(), "{:?}", cluster.state());
    }
    allow("allchannels");
    meet(&nodes).await;
    settled(&nodes).await;
    nodes[0].io.emit("y", ()).expect("sent");
    while peer.text().await != r#"2["y"]"# {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_may_not_subscribe_stays_degraded_until_it_may() {
    until_it_may("redis", |url| Redis::new(url).expect("a URL of Redis")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_may_not_subscribe_to_sharded_channels_stays_degraded_until_it_may() {
    let open = |url: &str| ShardedRedis::new(url).expect("a URL of Redis");
    until_it_may("redis+sharded", open).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_on_streams_that_may_not_subscribe_stays_degraded_until_it_may() {
    let open = |url: &str| RedisStreams::new(url).expect("a URL of Redis");
    until_it_may("redis+streams", open).await;
}
