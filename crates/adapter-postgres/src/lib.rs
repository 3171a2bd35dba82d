//! Clusters on Postgres: the way of Node's `@socket.io/postgres-adapter`, so that servers of both kinds form one.
//!
//! [`Postgres`] is given to a server in its configuration. Messages are notifications (`LISTEN` and `NOTIFY`); those that are
//! too large for that, or have bytes in them, are rows of a table for a while. Unlike Node's servers, this one keeps the
//! order of what it sends, and of what it gets.
//!
//! Postgres keeps nothing for who is not connected. It needs a connection of its own: a pooler that gives each transaction
//! another one cannot be in between. Messages are not signed, so whoever can notify in this database is one of the cluster's
//! servers.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
mod connection;
mod error;
mod failure;
mod inbox;
mod place;
mod postgres;
mod reach;
mod statements;
#[cfg(feature = "tls")]
mod tls;
mod url;
mod wire;

pub use error::PostgresUrlError;
pub use postgres::Postgres;
pub use sockeye_cluster::ClusterConfig;
