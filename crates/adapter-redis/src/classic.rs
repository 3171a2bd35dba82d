//! The classic way: `PUBLISH`, and channels for broadcasts, requests and answers.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{BusProfile, ClusterConfig, Counting, Link, NodeIds, Publish, Route};
use sockeye_cluster_proto::{EncodeError, Message, NodeId, classic};

use crate::connection::RedisBus;
use crate::dialect::{Dialect, Verbs, splits};
use crate::endpoint::Endpoint;
use crate::error::RedisUrlError;
use crate::glob;
use crate::settings::common_settings;

/// A cluster of servers that use Redis as Node's `createAdapter` of `@socket.io/redis-adapter` does, from version 6 on.
///
/// It works with Redis 6 and later, with Valkey, with what sentinels look after and with a Redis Cluster; in the latter,
/// everything that is published goes to all of its servers.
#[derive(Debug)]
#[must_use]
pub struct Redis {
    endpoint: Endpoint,
    channels: Classic,
    config: ClusterConfig,
}

/// How a server hears what others emit to rooms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomSubscriptions {
    /// It subscribes to each room that has members on it, the ids of its sockets among them. What is for others alone does not
    /// come here at all. The price is a subscription for each socket, in Redis and here, and a command when it connects and
    /// when it goes.
    ///
    /// It subscribes when the room has got a member, so that what is emitted to it in the same moment may go by. This kind of
    /// server and emitter sends it so that it does not, when it has itself put sockets into the room right before; Node's do
    /// not, nor does `@socket.io/redis-emitter`.
    #[default]
    ByInterest,
    /// It subscribes to all rooms by one pattern, as Node's servers do. For few servers with many sockets that come and go.
    All,
}

impl Redis {
    /// A cluster on the Redis of this URL; `redis://localhost`, say. Nothing is connected to yet.
    ///
    /// The scheme is `redis` or `valkey`, `rediss` or `valkeys` for TLS (with the feature `tls`), or `redis+unix` for a
    /// Unix-domain socket. Credentials and a database may be in it. Several hosts, with commas between them, are tried one
    /// after the other. The parameter `sentinel` says that they are sentinels, and the name by which they know the primary;
    /// `ca` is a file with the authorities to trust, `cert` and `key` are files with a certificate of this server's, as in
    /// `EngineTls`; `prefix` is [`prefix`](Self::prefix).
    ///
    /// # Errors
    ///
    /// If the URL is none of these.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let mut channels = Classic::default();
        let endpoint = Endpoint::parse(url, "", |name, value| {
            match name {
                "prefix" => channels.prefix = value.into(),
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
    #[doc(alias = "key")]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.channels.prefix = prefix.into();
        self
    }

    /// Answers go to the server that has asked alone, rather than to all. Default: no, as in Node's adapter. Servers of
    /// Node's with an adapter older than 7 do not hear them there.
    #[doc(alias = "publishOnSpecificResponseChannel")]
    pub fn own_response_channels(mut self, own: bool) -> Self {
        self.channels.own_response_channels = own;
        self
    }

    /// How this server hears what others emit to rooms; it need not be the same on all. Default: by interest.
    pub fn room_subscriptions(mut self, rooms: RoomSubscriptions) -> Self {
        self.channels.rooms = rooms;
        self
    }
}

common_settings!(Redis);

impl IntoCluster for Redis {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        RedisBus::cluster(self.endpoint, self.channels, self.config)
    }
}

/// Its channels.
#[derive(Debug)]
struct Classic {
    prefix: String,
    own_response_channels: bool,
    rooms: RoomSubscriptions,
}

impl Default for Classic {
    fn default() -> Self {
        Self {
            prefix: "socket.io".to_owned(),
            own_response_channels: false,
            rooms: RoomSubscriptions::default(),
        }
    }
}

impl Classic {
    fn responses(&self, namespace: &str) -> String {
        format!("{}-response#{namespace}#", self.prefix)
    }

    /// What a channel is for, and the rest of its name.
    fn kind<'c>(&self, channel: &'c str) -> Option<(Kind, &'c str)> {
        let rest = channel.strip_prefix(&*self.prefix)?;
        KINDS
            .iter()
            .find_map(|(kind, infix)| Some((*kind, rest.strip_prefix(infix)?)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Broadcast,
    Request,
    Response,
}

const KINDS: &[(Kind, &str)] = &[
    (Kind::Broadcast, "#"),
    (Kind::Request, "-request#"),
    (Kind::Response, "-response#"),
];

impl Dialect for Classic {
    fn verbs(&self) -> &'static Verbs {
        &Verbs {
            publish: "PUBLISH",
            subscribe: "SUBSCRIBE",
            unsubscribe: "UNSUBSCRIBE",
            count: "NUMSUB",
            is_sharded: false,
        }
    }

    fn profile(&self) -> BusProfile {
        let mut profile = BusProfile::new("redis");
        profile.counting = Counting::Engine;
        profile.ids = NodeIds::Short;
        profile.interest = self.rooms == RoomSubscriptions::ByInterest;
        profile.announces_close = false;
        profile
    }

    fn channels(&self, namespace: &str, uid: &NodeId) -> Vec<String> {
        let mut channels = vec![
            self.counted_channel(namespace),
            self.responses(namespace),
            self.own_channel(namespace, uid),
        ];
        if self.rooms == RoomSubscriptions::ByInterest {
            channels.push(format!("{}#{namespace}#", self.prefix));
        }
        channels
    }

    fn pattern(&self, namespace: &str) -> Option<String> {
        let all = self.rooms == RoomSubscriptions::All;
        all.then(|| glob::escape(&format!("{}#{namespace}#", self.prefix)) + "*")
    }

    fn room_channel(&self, namespace: &str, room: &str) -> Option<String> {
        Some(format!("{}#{namespace}#{room}#", self.prefix))
    }

    fn counted_channel(&self, namespace: &str) -> String {
        format!("{}-request#{namespace}#", self.prefix)
    }

    fn own_channel(&self, namespace: &str, uid: &NodeId) -> String {
        format!("{}{uid}#", self.responses(namespace))
    }

    fn encode(&self, publish: &Publish, payload: &mut Vec<u8>) -> Result<String, EncodeError> {
        let Publish {
            namespace, message, ..
        } = publish;
        match message.answers() {
            Some(_) => classic::encode_answer(payload, &publish.uid, message)?,
            None => classic::encode(payload, &publish.uid, namespace, message)?,
        }
        Ok(match (message, &publish.route) {
            (Message::Broadcast { request: None, .. }, Route::Room(room)) => {
                format!("{}#{namespace}#{room}#", self.prefix)
            }
            (Message::Broadcast { request: None, .. }, _) => {
                format!("{}#{namespace}#", self.prefix)
            }
            (_, Route::Response(Some(to))) if self.own_response_channels => {
                self.own_channel(namespace, to)
            }
            (_, Route::Response(_)) => self.responses(namespace),
            // All else is a request, also if nobody is to answer it.
            _ => self.counted_channel(namespace),
        })
    }

    fn receive(&self, link: &Link, channel: &str, payload: Bytes) {
        let Some((kind, rest)) = self.kind(channel) else {
            return;
        };
        let limits = link.limits();
        for (namespace, room) in splits(rest) {
            if !link.has_namespace(namespace) {
                continue;
            }
            let decoded = match kind {
                Kind::Broadcast if !room.is_empty() && !link.is_wanted(namespace, room) => continue,
                Kind::Broadcast => classic::decode_broadcast(&payload, limits),
                Kind::Request => classic::decode_request(&payload, limits),
                Kind::Response => classic::decode_response(&payload, limits),
            };
            return match decoded {
                Ok(envelope) => link.receive(namespace, envelope),
                Err(error) => link.undecodable(&error),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_those_of_nodes_adapter() {
        let channels = Classic::default();
        let uid = NodeId::new("9h4_Td");
        assert_eq!(
            channels.channels("/admin", &uid),
            [
                "socket.io-request#/admin#",
                "socket.io-response#/admin#",
                "socket.io-response#/admin#9h4_Td#",
                "socket.io#/admin#",
            ]
        );
        assert_eq!(channels.pattern("/admin"), None);
        assert_eq!(
            channels.room_channel("/", "a#b").as_deref(),
            Some("socket.io#/#a#b#")
        );
        for (channel, kind, rest) in [
            ("socket.io#/#", Kind::Broadcast, "/#"),
            ("socket.io-request#/#", Kind::Request, "/#"),
            ("socket.io-response#/#x#", Kind::Response, "/#x#"),
        ] {
            assert_eq!(channels.kind(channel), Some((kind, rest)));
        }
        assert_eq!(channels.kind("socket.ioo#/#"), None);
    }

    #[test]
    fn all_rooms_are_one_pattern() {
        let channels = Redis::new("redis://localhost?prefix=a*b").unwrap();
        let channels = channels.room_subscriptions(RoomSubscriptions::All).channels;
        assert_eq!(channels.pattern("/[x]").as_deref(), Some(r"a\*b#/\[x\]#*"));
        assert!(!channels.profile().interest);
    }
}
