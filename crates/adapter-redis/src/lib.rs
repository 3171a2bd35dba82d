//! Clusters on Redis and Valkey: the ways of Node's `@socket.io/redis-adapter` and `@socket.io/redis-streams-adapter`, so that
//! servers of both kinds form one.
//!
//! [`Redis`] is the classic way, by `PUBLISH` and `SUBSCRIBE`; [`ShardedRedis`] is the one by `SPUBLISH` and `SSUBSCRIBE`
//! of Redis 7. [`RedisStreams`] has a log, by which sockets come back to other servers. Which one it is has to be the same on
//! all servers. A server is given one of them in its configuration.
//!
//! The first two have one connection to Redis for both directions, on which the server hears those rooms only that have members
//! on it; the sharded way has one to each primary of a Redis Cluster. Redis 6 or later is needed, or Valkey.
//!
//! A connection on which nothing is answered for 5 seconds is taken for lost, and made again; on a slow network for as much longer
//! as what is on its way takes at 64 KiB a second. The same is done with one that does not bring what is published, after some 15 seconds.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod census;
mod classic;
mod commands;
mod connection;
mod dialect;
mod endpoint;
mod error;
mod glob;
mod refusals;
mod servers;
mod settings;
mod sharded;
mod slots;
mod streams;
#[cfg(feature = "tls")]
mod tls;

pub use classic::{Redis, RoomSubscriptions};
pub use error::RedisUrlError;
pub use sharded::{ShardedRedis, SubscriptionMode};
pub use sockeye_cluster::{ClusterConfig, EngineTls, EngineTlsError};
pub use streams::RedisStreams;
