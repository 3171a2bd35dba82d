//! How a cluster does, as its members see it.

use std::sync::Arc;

/// Whether a server can reach the others of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterState {
    /// Nothing has been heard of the engine between the servers yet.
    Starting,
    /// What this server publishes gets to the others, and what they publish comes here.
    Up,
    /// One of the two does not, for this reason. Local delivery goes on.
    Degraded(Arc<str>),
    /// This server has left.
    Closed,
}

/// Something that has happened to the cluster, as this server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClusterChange {
    /// It can be reached, for the first time or again.
    Up,
    /// It cannot be reached, for this reason.
    Degraded(Arc<str>),
    /// Messages to or from other servers were lost: of this namespace, or of any.
    Gap {
        /// The namespace; `None` for all.
        namespace: Option<Arc<str>>,
    },
}

/// What a server has counted of its cluster, since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterCounts {
    /// Messages that the engine has taken.
    pub published: u64,
    /// Messages that were for one of this server's namespaces, and not its own.
    pub received: u64,
    /// Of these, broadcasts that were for nobody here, and so were not decoded.
    pub unwanted: u64,
    /// Messages that were not published because they had waited too long.
    pub dropped_old: u64,
    /// Messages that were not published because too many bytes waited, or because the engine does not take that many at once.
    pub dropped_large: u64,
    /// Messages that the engine has refused, or whose publishing has failed.
    pub failed: u64,
    /// What came and is no message, or one of a namespace of which this server knows nothing.
    pub undecodable: u64,
    /// Of the received ones, events for this server itself that were dropped, as its handlers did not get on with those before.
    pub dropped_events: u64,
    /// Messages that wait for being published, now.
    pub queued: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Requests that wait for answers, now.
    pub pending_requests: usize,
    /// Requests that ended without all answers.
    pub incomplete_requests: u64,
}
