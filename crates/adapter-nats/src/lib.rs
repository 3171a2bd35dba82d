//! Clusters on NATS.
//!
//! [`Nats`] is given to a server in its configuration. Every operation works between all servers, and order is kept: what one
//! server has sent arrives as it was sent, whichever rooms it was for. What is for one room goes only to those servers that
//! have members in it.
//!
//! Node's servers take part with a small adapter on the base class of `socket.io-adapter`, which is in this project's
//! `clients/node-nats-adapter`. With `@mickl/socket.io-nats-adapter`, which carries broadcasts and nothing else, they do where
//! this server speaks [like it](Nats::mickl).
//!
//! The connection is this crate's own: what NATS has not confirmed when it is lost counts as lost, and nothing waits but in the
//! cluster's queue.
//!
//! NATS keeps nothing: who is not connected misses what is sent. Messages are not signed, so whoever can publish in the
//! cluster's subjects is one of its servers: give it an account, or permissions, of its own.

mod account;
mod connection;
mod dialect;
mod nats;
mod protocol;
mod reach;
mod servers;
mod subjects;
mod tls;
mod url;

pub use nats::{Nats, NatsCredentialsError, NatsUrlError};
pub use sockeye_cluster::{ClusterConfig, EngineTls, EngineTlsError};
pub use tls::NatsTlsError;
