//! The way of streams: a log of all that is published, by which sockets come back to another server than they were on.

mod connection;
mod entries;
mod entry_id;
mod kept;
mod lanes;
mod log;
mod names;
mod reader;

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{Cluster, IntoCluster};
use sockeye_cluster::{Attempts, Bus, BusCluster, BusProfile, ClusterConfig, Counting, Link};

use self::connection::Connection;
use self::lanes::is_elsewhere;
use self::log::Log;
use self::names::Names;
use crate::endpoint::Endpoint;
use crate::error::RedisUrlError;
use crate::settings::common_settings;

/// A cluster of servers that use Redis as Node's `@socket.io/redis-streams-adapter` does, from version 0.3 on.
///
/// What is emitted goes into a stream, which all servers read: it has one order for all of them, a server that has lost its
/// connection to Redis for a while gets what it has missed, and so does a client that has lost the one to its server and comes
/// back to another, where servers are configured for recovery. Questions to the other servers and their answers go by
/// `PUBLISH`.
///
/// It works with Redis 6 and later, and with Valkey: one server, one that sentinels look after, or a Redis Cluster. It has two
/// connections to Redis, one of which waits for the stream. In a Redis Cluster it has one to each primary, as kept sockets are
/// on all of them, and another one for each stream; where slots move, by hand or because a replica has taken its primary's
/// place, it goes on there.
///
/// What the stream and the kept sockets cost is memory of Redis: some [10,000 events](Self::max_len), and for each socket that
/// was lost a few hundred bytes and what its shared data take, for as long as it may come back.
#[derive(Debug)]
#[must_use]
pub struct RedisStreams {
    endpoint: Endpoint,
    names: Names,
    config: ClusterConfig,
}

impl RedisStreams {
    /// A cluster on the Redis of this URL; `redis+streams://localhost`, say. Nothing is connected to yet.
    ///
    /// The scheme is `redis` or `valkey`, `rediss` or `valkeys` for TLS (with the feature `tls`), or `redis+unix` for a
    /// Unix-domain socket, each with `+streams` at its end. Credentials and a database may be in it. Several hosts, with commas
    /// between them, are tried one after the other. The parameter `sentinel` says that they are sentinels, and the name by
    /// which they know the primary; `ca` is a file with the authorities to trust, `cert` and `key` are files with a certificate
    /// of this server's, as in `EngineTls`; `stream` is [`stream`](Self::stream), `streams` is
    /// [`stream_count`](Self::stream_count), `max-len` is [`max_len`](Self::max_len), `prefix` is [`prefix`](Self::prefix), and
    /// `sessions` is [`session_prefix`](Self::session_prefix).
    ///
    /// # Errors
    ///
    /// If the URL is none of these.
    pub fn new(url: &str) -> Result<Self, RedisUrlError> {
        let mut names = Names::default();
        let endpoint = Endpoint::parse(url, "+streams", |name, value| {
            let invalid = || RedisUrlError::Value {
                name: name.to_owned(),
                value: value.to_owned(),
            };
            match name {
                "prefix" => names.prefix = value.into(),
                "stream" => names.stream = value.into(),
                "streams" => names.count = value.parse().map_err(|_| invalid())?,
                "max-len" => names.max_len = value.parse().map_err(|_| invalid())?,
                "sessions" => names.sessions = value.into(),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            endpoint,
            names,
            config: ClusterConfig::default(),
        })
    }

    /// What the stream is called, on all servers. Default: `socket.io`.
    #[doc(alias = "streamName")]
    pub fn stream(mut self, name: &str) -> Self {
        self.names.stream = name.into();
        self
    }

    /// How many streams there are, of which each namespace has one, on all servers. Default: 1, as with 0.
    ///
    /// It spreads nothing as long as there is one Redis, and there is no order between what is in one and in another. With more
    /// than one, some namespaces have a stream that Node's adapter
    /// writes to but never reads, which is logged when such a namespace is opened: Node's servers do not hear what is emitted
    /// in these, not even from each other.
    #[doc(alias = "streamCount")]
    pub fn stream_count(mut self, count: u16) -> Self {
        self.names.count = count;
        self
    }

    /// About how many entries a stream keeps, on all servers. Default: 10,000.
    ///
    /// A socket that has missed more than these does not come back, and a server that has missed more has a
    /// [gap](sockeye_adapter::ClusterChange::Gap).
    #[doc(alias = "maxLen")]
    pub fn max_len(mut self, entries: u64) -> Self {
        self.names.max_len = entries;
        self
    }

    /// What the names of all channels begin with, on all servers. Default: `socket.io`.
    ///
    /// [`Redis`](crate::Redis) and Node's classic adapter have channels of the same names, and some versions of the latter end
    /// their process when they hear something else on them; whoever has both on one Redis has to give one of them another prefix.
    #[doc(alias = "channelPrefix")]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.names.prefix = prefix.into();
        self
    }

    /// What the keys of kept sockets begin with, on all servers. Default: `sio:session:`.
    #[doc(alias = "sessionKeyPrefix")]
    pub fn session_prefix(mut self, prefix: &str) -> Self {
        self.names.sessions = prefix.into();
        self
    }
}

common_settings!(RedisStreams);

impl IntoCluster for RedisStreams {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        let bus = StreamsBus {
            endpoint: self.endpoint,
            log: Arc::new(Log::new(self.names)),
        };
        Arc::new(BusCluster::new(bus, self.config))
    }
}

/// A bus on streams.
#[derive(Debug)]
struct StreamsBus {
    endpoint: Endpoint,
    log: Arc<Log>,
}

impl Bus for StreamsBus {
    fn profile(&self) -> BusProfile {
        let mut profile = BusProfile::new("redis-streams");
        profile.counting = Counting::Engine;
        profile.announces_close = false;
        profile.log = true;
        profile
    }

    fn run(self: Arc<Self>, link: Link) -> BoxFuture<'static, ()> {
        async move {
            let mut attempts = Attempts::new(&link);
            loop {
                let outcome = async {
                    let mut open = Connection::open(&self.endpoint, &self.log, &link).await?;
                    // What was missed has been read, and if there was a gap, it was told.
                    attempts.resumed();
                    let served = open.serve().await;
                    open.end(served.as_ref().err()).await;
                    served
                };
                match outcome.await {
                    Ok(()) => return,
                    Err(error) => {
                        // Whoever has said where everything is does not know it, or is cut off from those who do.
                        if is_elsewhere(&error) {
                            self.endpoint.look_elsewhere();
                        }
                        attempts.failed(&error).await;
                    }
                }
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_the_options_of_nodes_adapter() {
        let url = "redis+streams://a,b:2/1?stream=s&streams=3&max-len=5&prefix=p&sessions=x:";
        let streams = RedisStreams::new(url).unwrap();
        let expected = Names {
            stream: "s".to_owned(),
            count: 3,
            max_len: 5,
            prefix: "p".to_owned(),
            sessions: "x:".to_owned(),
        };
        assert_eq!(streams.names, expected);
        for url in [
            "redis+streams://a?streams=x",
            "redis+streams://a?max-len=-1",
        ] {
            let error = RedisStreams::new(url).unwrap_err();
            assert!(matches!(error, RedisUrlError::Value { .. }), "{error}");
        }
        let error = RedisStreams::new("redis+streams://a?mode=static").unwrap_err();
        assert!(matches!(error, RedisUrlError::Parameter(_)), "{error}");
    }
}
