//! Rooms: the index of who is in which, and the targets of broadcasts; and the seam to a cluster.
//!
//! A [`RoomIndex`] knows the sockets of one namespace and the rooms they are in; a [`Target`] says whom a broadcast is
//! for. Both are plain data: no lock, no I/O. [`Rooms`] is an index that several threads use, each for the few microseconds
//! that [`RoomIndex::select`] takes; what is selected is sent to afterwards.
//!
//! A server that is alone needs no more. In a [`Cluster`], two objects join it to the others, one pair for each namespace:
//! [`Local`] is what the server can do with its own sockets, and [`Adapter`] what the others are to do with theirs. An
//! adapter is called for what the application asks for, carries it to the other servers, and calls `Local` for what comes
//! from there. Neither knows how the other works: the server has no type parameter for the one, and whoever writes an
//! adapter needs this crate alone.
//!
//! What lets a socket come back after its connection was lost is a [`RecoveryStore`]: a [`MemoryStore`] if the server is
//! alone, and else one that the adapter has.

mod adapter;
mod details;
mod event_log;
mod feed;
mod index;
mod local;
mod memory_store;
mod message;
mod recovery;
mod rooms;
mod secret_map;
mod select;
mod slot_set;
mod status;
mod target;

pub use adapter::{Adapter, Cluster, Delivery, IntoCluster};
pub use details::{HandshakeDetails, SocketDetails};
pub use event_log::{EventLog, LogLimits};
pub use feed::RoomEvent;
pub use index::{Joined, Left, LeftRoom, RoomIndex, Slot};
pub use local::{AnswerTo, Local, Reception};
pub use memory_store::{Budget, Budgeted, MemoryLimits, MemoryStore, Swept};
pub use message::{Answer, BroadcastOptions, EventBody, Incomplete};
pub use recovery::{
    Claim, KeptSocket, LoggedEvent, Progress, Receivers, RecoveryStore, Restored, Resume, Save,
};
pub use rooms::Rooms;
pub use secret_map::SecretMap;
pub use status::{ClusterChange, ClusterCounts, ClusterState};
pub use target::{RoomName, RoomNames, Target};
