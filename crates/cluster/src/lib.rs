//! Several servers as one: the part that is the same for every engine between them.
//!
//! A [`Bus`] carries messages between servers: Redis, Postgres, NATS, or the [memory](MemoryBus) of one process. What these
//! messages mean is known here alone. The server knows a cluster as a [`Cluster`](sockeye_adapter::Cluster), which a
//! [`BusCluster`] over any bus is, and the application sees neither.
mod adapter;
mod attempts;
mod bus;
mod census;
mod clock;
mod cluster;
mod config;
mod convert;
mod emitter;
mod fate;
mod host;
mod job;
mod kept;
mod link;
mod members;
mod memory;
mod node;
mod patience;
mod post;
mod profile;
mod queue;
mod replay;
mod saves;
mod status;
mod sync;
mod tls;

pub use attempts::Attempts;
pub use bus::Bus;
pub use cluster::BusCluster;
pub use config::ClusterConfig;
pub use emitter::{Emitter, EmitterError};
pub use job::{
    Closing, CountNodes, FindNodes, Forget, Found, Interest, Job, Keep, Opening, Publish, Restore,
    Route, Settling,
};
pub use kept::{session_of, socket_of};
pub use link::Link;
pub use memory::{MemoryBus, MemoryHub, MemoryOptions};
pub use patience::{Asked, Patience};
pub use profile::{BusProfile, Counting, IdScope, NodeIds};
pub use queue::Subscription;
pub use replay::{Between, Logged, Replay};
pub use tls::{EngineTls, EngineTlsError};
