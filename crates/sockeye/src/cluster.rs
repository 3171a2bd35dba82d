//! What servers meet on that form a cluster: what [`ServerConfig::cluster`](crate::ServerConfig::cluster) takes.
//!
//! Each engine is a feature of its own, and none is on by default. [`from_url`] takes whichever a URL names.

use std::error::Error as StdError;
use std::sync::Arc;

#[cfg(feature = "mongo")]
pub use sockeye_adapter_mongo::{Mongo, MongoUrlError};
#[cfg(feature = "nats")]
pub use sockeye_adapter_nats::{Nats, NatsCredentialsError, NatsTlsError, NatsUrlError};
#[cfg(feature = "postgres")]
pub use sockeye_adapter_postgres::{Postgres, PostgresUrlError};
#[cfg(feature = "redis")]
pub use sockeye_adapter_redis::{
    Redis, RedisStreams, RedisUrlError, RoomSubscriptions, ShardedRedis, SubscriptionMode,
};
#[cfg(feature = "cluster")]
pub use sockeye_cluster::{
    ClusterConfig, Counting, EngineTls, EngineTlsError, MemoryBus, MemoryHub, MemoryOptions,
};
use thiserror::Error;

use crate::adapter::{Cluster, IntoCluster};

/// The cluster of a URL. Its scheme says which engine there is, and how it is used:
///
/// | scheme | what it is |
/// |---|---|
#[cfg_attr(feature = "mongo", doc = "| `mongodb`, `mongodb+srv` | [`Mongo`] |")]
#[cfg_attr(
    feature = "nats",
    doc = "| `nats`, `tls`, and these with `+mickl` | [`Nats`] |"
)]
#[cfg_attr(
    feature = "postgres",
    doc = "| `postgres`, `postgresql` | [`Postgres`] |"
)]
#[cfg_attr(
    feature = "redis",
    doc = "| `redis`, `rediss`, `redis+unix`, and the same of `valkey` | [`Redis`] |\n| these with `+sharded` | [`ShardedRedis`] |\n| these with `+streams` | [`RedisStreams`] |"
)]
///
/// # Errors
///
/// If the scheme is none of these, or none that this program was built with, or if the rest of the URL is wrong.
pub fn from_url(url: &str) -> Result<UrlCluster, ClusterUrlError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    // What is no scheme is not shown: what a database's own clients take may have a password there.
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let scheme = if scheme.bytes().all(is_part) {
        scheme
    } else {
        ""
    };
    match scheme {
        #[cfg(feature = "mongo")]
        "mongodb" | "mongodb+srv" => made(Mongo::new(url)),
        #[cfg(feature = "nats")]
        "nats" | "tls" | "nats+mickl" | "tls+mickl" => made(Nats::new(url)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => made(Postgres::new(url)),
        #[cfg(feature = "redis")]
        _ if is_redis(scheme, "") => made(Redis::new(url)),
        #[cfg(feature = "redis")]
        _ if is_redis(scheme, "+sharded") => made(ShardedRedis::new(url)),
        #[cfg(feature = "redis")]
        _ if is_redis(scheme, "+streams") => made(RedisStreams::new(url)),
        _ => Err(unknown(scheme)),
    }
}

/// What [`from_url`] gives: some cluster.
#[derive(Debug)]
#[must_use]
pub struct UrlCluster(Arc<dyn Cluster>);

impl IntoCluster for UrlCluster {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        self.0
    }
}

/// Why a URL is not one of a cluster.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterUrlError {
    /// There is no such scheme.
    #[error("{0:?} is the scheme of no cluster")]
    Scheme(String),
    /// It is that of an engine that was left out when this program was built.
    #[error("{scheme:?} needs the feature {feature:?}, which this program was built without")]
    LeftOut {
        /// The URL's scheme.
        scheme: String,
        /// The feature that brings the engine.
        feature: &'static str,
    },
    /// It is not a URL of that engine.
    #[error("the URL of the cluster is invalid")]
    Url(#[source] Box<dyn StdError + Send + Sync>),
}

/// What is wrong with a scheme that nothing was compiled in for.
fn unknown(scheme: &str) -> ClusterUrlError {
    let (feature, is_in) = match scheme.split('+').next() {
        Some("mongodb") => ("mongo", cfg!(feature = "mongo")),
        Some("nats" | "tls") => ("nats", cfg!(feature = "nats")),
        Some("postgres" | "postgresql") => ("postgres", cfg!(feature = "postgres")),
        Some("redis" | "rediss" | "valkey" | "valkeys") => ("redis", cfg!(feature = "redis")),
        _ => ("", true),
    };
    let scheme = scheme.to_owned();
    match is_in {
        true => ClusterUrlError::Scheme(scheme),
        false => ClusterUrlError::LeftOut { scheme, feature },
    }
}

#[cfg(any(
    feature = "mongo",
    feature = "nats",
    feature = "postgres",
    feature = "redis"
))]
fn made<E: StdError + Send + Sync + 'static>(
    cluster: Result<impl IntoCluster, E>,
) -> Result<UrlCluster, ClusterUrlError> {
    match cluster {
        Ok(cluster) => Ok(UrlCluster(cluster.into_cluster())),
        Err(error) => Err(ClusterUrlError::Url(error.into())),
    }
}

#[cfg(feature = "redis")]
fn is_redis(scheme: &str, way: &str) -> bool {
    let Some(scheme) = scheme.strip_suffix(way) else {
        return false;
    };
    [
        "redis",
        "rediss",
        "redis+unix",
        "valkey",
        "valkeys",
        "valkey+unix",
    ]
    .contains(&scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_scheme_is_not_shown() {
        let error = from_url("host=a password=secret://b").unwrap_err();
        assert_eq!(error.to_string(), r#""" is the scheme of no cluster"#);
        let error = from_url("mysql://a").unwrap_err();
        assert_eq!(error.to_string(), r#""mysql" is the scheme of no cluster"#);
    }
}
