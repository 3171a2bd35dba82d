//! The contract of all engines, on Redis.

use sockeye_adapter_redis::{
    Redis, RedisStreams, RoomSubscriptions, ShardedRedis, SubscriptionMode,
};
use sockeye_testkit::cluster::{Engine, Ways};
use sockeye_testkit::engines;

/// The tests of what may be away: a process, and what joins it by its URL, of which the scheme is this.
macro_rules! contract {
    ($process:expr, $scheme:literal, $kind:ident) => {
        async fn started() -> Option<(Engine, engines::Engine)> {
            let server = $process?;
            let url = server.url().replace("redis:", $scheme);
            let engine = Engine::with_config(move |config| {
                $kind::new(&url).expect("a URL of Redis").cluster(config)
            });
            Some((engine, server))
        }

        async fn engine() -> Option<Engine> {
            let (engine, server) = started().await?;
            Some(engine.keeping(server))
        }

        sockeye_testkit::cluster_contract!(engine);
        sockeye_testkit::cluster_outages!(started);
    };
}

/// The tests of what goes wrong on the way.
macro_rules! ways {
    ($process:expr, $scheme:literal, $kind:ident) => {
        async fn ways() -> Option<Ways> {
            let open = |url: &str, config| {
                let url = url.replace("redis:", $scheme);
                $kind::new(&url).expect("a URL of Redis").cluster(config)
            };
            Some(Ways::to($process?, open).await)
        }

        sockeye_testkit::cluster_ways!(ways);
    };
}

mod classic {
    use super::*;

    contract!(engines::redis("classic"), "redis:", Redis);
    ways!(engines::redis("classic-ways"), "redis:", Redis);
    sockeye_testkit::cluster_failures!(started);
}

mod all_rooms {
    use super::*;

    async fn engine() -> Option<Engine> {
        let server = engines::redis("all-rooms")?;
        let url = server.url();
        let engine = Engine::new(move || {
            let redis = Redis::new(&url).expect("a URL of Redis");
            let redis = redis.room_subscriptions(RoomSubscriptions::All);
            redis.own_response_channels(true).prefix("a[b]*")
        });
        Some(engine.keeping(server))
    }

    sockeye_testkit::cluster_contract!(engine);
}

mod redis_cluster {
    use super::*;

    async fn engine() -> Option<Engine> {
        let servers = engines::redis_cluster("classic")?;
        let hosts: Vec<_> = servers.hosts().split(',').map(str::to_owned).collect();
        // Each server of ours is at another one of Redis.
        let hosts = std::sync::Mutex::new(hosts);
        let engine = Engine::new(move || {
            let mut hosts = hosts.lock().expect("nobody panics with it");
            hosts.rotate_left(1);
            Redis::new(&format!("redis://{}", hosts.join(","))).expect("a URL of Redis")
        });
        Some(engine.keeping(servers))
    }

    sockeye_testkit::cluster_contract!(engine);
}

mod sharded {
    use super::*;

    contract!(engines::redis("sharded"), "redis+sharded:", ShardedRedis);
    sockeye_testkit::cluster_failures!(started);
}

mod sharded_private {
    use super::*;

    async fn engine() -> Option<Engine> {
        let server = engines::redis("private")?;
        let url = server.url().replace("redis:", "redis+sharded:");
        let engine = Engine::new(move || {
            let redis = ShardedRedis::new(&url).expect("a URL of Redis");
            redis.subscription_mode(SubscriptionMode::DynamicPrivate)
        });
        Some(engine.keeping(server))
    }

    sockeye_testkit::cluster_contract!(engine);
}

mod streams {
    use super::*;

    contract!(engines::redis("streams"), "redis+streams:", RedisStreams);
    ways!(
        engines::redis("streams-ways"),
        "redis+streams:",
        RedisStreams
    );
    sockeye_testkit::cluster_failures!(started);
}

mod streams_with_recovery {
    use super::*;

    async fn engine() -> Option<Engine> {
        let server = engines::redis("recovery")?;
        let url = server.url().replace("redis:", "redis+streams:");
        let engine = Engine::new(move || {
            let redis = RedisStreams::new(&url).expect("a URL of Redis");
            redis.stream_count(3)
        });
        Some(engine.recovering().keeping(server))
    }

    sockeye_testkit::cluster_contract!(engine);
    sockeye_testkit::recovery_contract!(engine);
}

mod sharded_cluster {
    use super::*;

    async fn engine() -> Option<Engine> {
        let servers = engines::redis_cluster("sharded")?;
        let url = servers.url().replace("redis:", "redis+sharded:");
        let engine = Engine::new(move || ShardedRedis::new(&url).expect("a URL of Redis"));
        Some(engine.keeping(servers))
    }

    sockeye_testkit::cluster_contract!(engine);
}

mod streams_cluster {
    use super::*;

    async fn engine() -> Option<Engine> {
        let servers = engines::redis_cluster("streams")?;
        let url = servers.url().replace("redis:", "redis+streams:");
        let engine = Engine::new(move || {
            let redis = RedisStreams::new(&url).expect("a URL of Redis");
            redis.stream_count(3)
        });
        Some(engine.recovering().keeping(servers))
    }

    // It takes its time until a Redis Cluster has formed, so this is what goes by another way there.
    sockeye_testkit::cluster_contract!(
        @each engine:
        broadcasts_reach_the_sockets_of_all_servers_once
        namespaces_are_apart
        server_that_leaves_is_not_waited_for
        sockets_of_all_servers_are_found
        emitter_tells_all_servers
    );
    sockeye_testkit::recovery_contract!(engine);
}

mod valkey {
    use super::*;

    async fn engine() -> Option<Engine> {
        let server = engines::valkey("contract")?;
        let url = server.url().replace("redis:", "valkey:");
        let engine = Engine::new(move || Redis::new(&url).expect("a URL of Valkey"));
        Some(engine.keeping(server))
    }

    sockeye_testkit::cluster_contract!(engine);
}

mod sharded_valkey {
    use super::*;

    contract!(engines::valkey("sharded"), "valkey+sharded:", ShardedRedis);
}

mod streams_valkey {
    use super::*;

    contract!(engines::valkey("streams"), "valkey+streams:", RedisStreams);
}
