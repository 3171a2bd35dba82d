//! The way of sharded channels: `SPUBLISH`, whose messages stay on the server that a channel belongs to.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{BusProfile, ClusterConfig, Counting, Link, Publish, Route};
use sockeye_cluster_proto::{EncodeError, NodeId, cluster};

use crate::connection::RedisBus;
use crate::dialect::{self, Dialect, Verbs};
use crate::endpoint::Endpoint;
use crate::error::RedisUrlError;
use crate::settings::common_settings;

/// A cluster of servers that use Redis as Node's `createShardedAdapter` of `@socket.io/redis-adapter` does, from version 8.3
/// on.
///
/// It needs Redis 7 or later, or Valkey. In a Redis Cluster each server has some of the channels, and this is connected to all
/// of its primaries. Where channels move from one to another, by hand or because a replica has taken its primary's place, they
/// are subscribed to again there, and the [gap](sockeye_adapter::ClusterChange::Gap) is told. While one of the primaries
/// cannot be reached, what the others bring goes on to come, and what is published waits.
///
/// There is no order between what is published to different rooms of a Redis Cluster, nor between that and what is for all.
#[derive(Debug)]
#[must_use]
pub struct ShardedRedis {
    endpoint: Endpoint,
    channels: Sharded,
    config: ClusterConfig,
}

/// Which rooms have a channel of their own, to which only those servers subscribe that have members of the room. It has to
/// be the same on all servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubscriptionMode {
    /// None: every server gets everything.
    Static,
    /// Those whose names do not have the 20 characters of a socket's id.
    #[default]
    Dynamic,
    /// All, those that are the ids of sockets among them.
    DynamicPrivate,
}

impl ShardedRedis {
    /// A cluster on the Redis of this URL; `redis+sharded://localhost`, say. Nothing is connected to yet.
    ///
    /// The scheme is `redis` or `valkey`, `rediss` or `valkeys` for TLS (with the feature `tls`), or `redis+unix` for a
    /// Unix-domain socket, each with `+sharded` at its end. Credentials and a database may be in it. Several hosts, with commas
    /// between them, are tried one after the other. The parameter `sentinel` says that they are sentinels, and the name by
    /// which they know the primary; `ca` is a file with the authorities to trust, `cert` and `key` are files with a certificate
    /// of this server's, as in `EngineTls`; `prefix` is [`prefix`](Self::prefix), and `mode` is
    /// [`subscription_mode`](Self::subscription_mode), one of `static`, `dynamic` and `dynamic-private`.
    ///
    /// # Errors
    ///
    /// If the URL is none of these.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let mut channels = Sharded::default();
        let endpoint = Endpoint::parse(url, "+sharded", |name, value| {
            match (name, value) {
                ("prefix", prefix) => channels.prefix = prefix.into(),
                ("mode", "static") => channels.mode = SubscriptionMode::Static,
                ("mode", "dynamic") => channels.mode = SubscriptionMode::Dynamic,
                ("mode", "dynamic-private") => channels.mode = SubscriptionMode::DynamicPrivate,
                ("mode", _) => {
                    let (name, value) = (name.to_owned(), value.to_owned());
                    return Err(RedisUrlError::Value { name, value });
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            endpoint,
            channels,
            config: ClusterConfig::default(),
        })
    }

    /// What the names of all channels begin with, on all servers. Default: `socket.io`.
    #[doc(alias = "channelPrefix")]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.channels.prefix = prefix.into();
        self
    }

    /// Which rooms have channels of their own, on all servers. Default: those that are not the ids of sockets.
    pub fn subscription_mode(mut self, mode: SubscriptionMode) -> Self {
        self.channels.mode = mode;
        self
    }
}

common_settings!(ShardedRedis);

impl IntoCluster for ShardedRedis {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        RedisBus::cluster(self.endpoint, self.channels, self.config)
    }
}

/// Its channels.
#[derive(Debug)]
struct Sharded {
    prefix: String,
    mode: SubscriptionMode,
}

impl Default for Sharded {
    fn default() -> Self {
        Self {
            prefix: "socket.io".to_owned(),
            mode: SubscriptionMode::default(),
        }
    }
}

impl Dialect for Sharded {
    fn verbs(&self) -> &'static Verbs {
        &Verbs {
            publish: "SPUBLISH",
            subscribe: "SSUBSCRIBE",
            unsubscribe: "SUNSUBSCRIBE",
            count: "SHARDNUMSUB",
            is_sharded: true,
        }
    }

    fn profile(&self) -> BusProfile {
        let mut profile = BusProfile::new("redis");
        profile.counting = Counting::Engine;
        profile.interest = self.mode != SubscriptionMode::Static;
        profile.announces_close = false;
        profile
    }

    fn channels(&self, namespace: &str, uid: &NodeId) -> Vec<String> {
        vec![
            self.counted_channel(namespace),
            self.own_channel(namespace, uid),
        ]
    }

    fn room_channel(&self, namespace: &str, room: &str) -> Option<String> {
        let has_one = match self.mode {
            SubscriptionMode::Static => false,
            // JavaScript counts so.
            SubscriptionMode::Dynamic => room.encode_utf16().count() != 20,
            SubscriptionMode::DynamicPrivate => true,
        };
        has_one.then(|| format!("{}#{namespace}#{room}#", self.prefix))
    }

    fn counted_channel(&self, namespace: &str) -> String {
        format!("{}#{namespace}#", self.prefix)
    }

    fn own_channel(&self, namespace: &str, uid: &NodeId) -> String {
        format!("{}#{namespace}#{uid}#", self.prefix)
    }

    fn encode(&self, publish: &Publish, payload: &mut Vec<u8>) -> Result<String, EncodeError> {
        let Publish {
            namespace, message, ..
        } = publish;
        cluster::encode_json_unless_binary(payload, &publish.uid, namespace, message)?;
        let own = match &publish.route {
            Route::Room(room) => self.room_channel(namespace, room),
            Route::Response(Some(to)) => Some(self.own_channel(namespace, to)),
            Route::All | Route::Request | Route::Response(None) => None,
        };
        Ok(own.unwrap_or_else(|| self.counted_channel(namespace)))
    }

    fn receive(&self, link: &Link, channel: &str, payload: Bytes) {
        dialect::receive(&self.prefix, link, channel, &payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_nodes_adapter() {
        let channels = Sharded::default();
        let uid = NodeId::new("8c7cec449aa27f87");
        assert_eq!(
            channels.channels("/", &uid),
            ["socket.io#/#", "socket.io#/#8c7cec449aa27f87#"]
        );
    }

    #[test]
    fn mode_says_which_rooms_have_channels() {
        let rooms = ["room", "é", "0123456789abcdefghij", "0123456789abcdefgh💬"];
        for (mode, expected) in [
            ("static", [false; 4]),
            ("dynamic", [true, true, false, false]),
            ("dynamic-private", [true; 4]),
        ] {
            let url = format!("redis+sharded://localhost?mode={mode}");
            let channels = ShardedRedis::new(&url).unwrap().channels;
            let have = rooms.map(|room| channels.room_channel("/", room).is_some());
            assert_eq!(have, expected, "{mode}");
            assert_eq!(channels.profile().interest, mode != "static");
        }
        let error = ShardedRedis::new("redis+sharded://localhost?mode=x").unwrap_err();
        assert!(matches!(error, RedisUrlError::Value { .. }));
    }
}
