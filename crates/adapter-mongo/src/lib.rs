//! Clusters on MongoDB: the way of Node's `@socket.io/mongo-adapter`, so that servers of both kinds form one.
//!
//! [`Mongo`] is given to a server in its configuration. Messages are documents of one collection, and all servers follow its
//! change stream, which only a replica set or a sharded cluster has. Sockets that have lost their connections are kept in
//! there as well, so that they can come back to any server, of either kind, and get what they have missed.
//!
//! The collection forgets, by its size or by age, and whoever has been away for longer is told so rather than left with a
//! hole. Messages are not signed, so whoever can write into the collection is one of the cluster's servers.
//!
//! # Cost and limits
//!
//! - Each message is a document, which MongoDB writes to most of its servers before it brings it to anybody, and which it
//!   brings whole to every server of the cluster, also to those with nobody in its rooms. A server sends what waits at once, up
//!   to 1,000 documents and 256 KiB, and the next when these are written: they stay in order.
//! - A message of more than 16 MiB (less 16 KiB) is refused, as nobody could follow the change stream past it; so is the session
//!   of a socket, which is a document with all its rooms and data. A capped collection has to be larger than what is put in.
//! - A server knows the order of the last 262,144 events of each namespace, at 12 bytes each. What a socket has missed is read
//!   from the collection by these ids, 500 at a time, and in memory is no more of it than
//!   [`max_replay_bytes`](ClusterConfig::max_replay_bytes). A server that has just begun reads the change stream once more from
//!   where its sockets left, for 5 s at most; eight sockets are looked for at a time.
//! - The clocks of servers and of MongoDB may be some 30 s apart. If they are further apart, a socket may be another one when it
//!   comes back to a server that has just begun. It is kept for as much longer or shorter as they are apart.
//! - Sessions are found by an index on `data.pid`, which a collection has that was made here. Where somebody else has made it,
//!   each socket that comes back costs a look at all of it.
//! - Up to 16 MiB of changes wait in a server until they are taken, and what waits to be written is
//!   [limited](ClusterConfig::max_queue_bytes) as on any engine. Of the driver's connections two are for the change stream and
//!   what is written; so `maxPoolSize` should not be less than 3.

mod collection;
mod connection;
mod documents;
mod mongo;
mod order;
mod outbox;
mod sessions;
mod stream;

pub use mongo::{Mongo, MongoUrlError};
pub use sockeye_cluster::ClusterConfig;
