//! How the cluster does that a server is in.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sockeye_adapter::{Cluster, ClusterChange, ClusterCounts, ClusterState};

use crate::Server;

/// The cluster that a server is in, as [`Server::cluster`] gives it. Cheap to clone.
#[derive(Clone)]
pub struct ClusterView(Arc<dyn Cluster>);

impl Server {
    /// The cluster that this server is [in](crate::ServerConfig::cluster): its state, changes and counts; `None` if it
    /// is in none.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// # async fn start(io: sockeye::Server) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(cluster) = io.cluster() {
    ///     // Rather not start than be alone.
    ///     cluster.ready().await;
    ///     println!("{} servers in {:?}", io.server_count().await, cluster.state());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterView> {
        self.config().cluster.clone().map(ClusterView)
    }
}

impl ClusterView {
    /// Whether the other servers can be reached, right now.
    #[must_use]
    pub fn state(&self) -> ClusterState {
        self.0.state()
    }

    /// Changes from now on: the cluster can be reached, or cannot, or messages were lost. A reader that falls behind
    /// misses the oldest; [`state`](Self::state) is always current.
    #[must_use]
    pub fn changes(&self) -> BoxStream<'static, ClusterChange> {
        self.0.changes()
    }

    /// What was counted since the server started.
    #[must_use]
    pub fn counts(&self) -> ClusterCounts {
        self.0.counts()
    }

    /// Waits until the engine between the servers has done all that this server has asked it for so far: what it was to
    /// publish, and the rooms that it is to bring messages for.
    ///
    /// A socket that joins the first room of its name on this server can miss what another server emits at that very moment.
    /// Whoever tells somebody that it has joined, and knows that they emit to it elsewhere, waits for this before. It does
    /// not wait for an engine that is away or goes away meanwhile, nor for longer than answers of other servers are waited
    /// for.
    pub async fn settled(&self) {
        self.0.settled().await;
    }

    /// Waits until the cluster can be reached, or the server has left it. A server that does not wait begins alone if
    /// its engine is away, and joins the others later. For a limit, put a timeout around it.
    pub async fn ready(&self) {
        // Listened to before it is looked at, so that no change falls between the two.
        let mut changes = self.changes();
        loop {
            match self.state() {
                ClusterState::Up | ClusterState::Closed => return,
                _ if changes.next().await.is_none() => return,
                _ => {}
            }
        }
    }
}

impl fmt::Debug for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterView")
            .field("cluster", &self.0)
            .field("state", &self.state())
            .finish()
    }
}
