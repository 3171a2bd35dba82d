//! A cluster over any bus.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::BoxStream;
use sockeye_adapter::{Adapter, Cluster, ClusterChange, ClusterCounts, ClusterState, Local};
use sockeye_cluster_proto::NodeId;
use tokio::sync::oneshot;

use crate::adapter::{ClusterAdapter, Role};
use crate::bus::Bus;
use crate::config::ClusterConfig;
use crate::host::Host;
use crate::job::{Job, OVERHEAD, Settling};
use crate::link::Link;
use crate::node::Node;
use crate::profile::IdScope;

/// The servers that meet on a bus, as one of them sees it. For one server; another one in the same process needs another.
///
/// Its task begins when the server is made, or, where there is no Tokio runtime then, with the first thing that is done
/// within one. It ends when the server is closed.
pub struct BusCluster {
    host: Arc<Host>,
    /// What this server is called, if all its namespaces share that.
    uid: OnceLock<NodeId>,
    is_claimed: AtomicBool,
}

impl BusCluster {
    /// A cluster over this bus.
    #[must_use]
    pub fn new(bus: impl Bus, config: ClusterConfig) -> Self {
        Self {
            host: Arc::new(Host::new(bus, config)),
            uid: OnceLock::new(),
            is_claimed: AtomicBool::new(false),
        }
    }

    fn uid(&self) -> NodeId {
        let profile = &self.host.link.post.profile;
        match profile.scope {
            IdScope::Namespace => NodeId::new(&profile.ids.some()),
            IdScope::Process => {
                let id = self.uid.get_or_init(|| NodeId::new(&profile.ids.some()));
                id.clone()
            }
        }
    }
}

impl Cluster for BusCluster {
    fn open(&self, local: Arc<dyn Local>) -> Arc<dyn Adapter> {
        let Link { post, nodes } = &self.host.link;
        let node = Node::new(&local, self.uid(), post, &self.host.moved);
        let name = Arc::clone(&node.namespace);
        // An earlier one is that of a namespace which is about to be dropped.
        let earlier = nodes.write().insert(name, Arc::clone(&node));
        if let Some(earlier) = earlier {
            drop(earlier.close());
        }
        node.open();
        self.host.start();
        let host = Arc::clone(&self.host);
        Arc::new(ClusterAdapter::new(node, host, Role::Server))
    }

    /// Two servers would take each other's namespaces for earlier ones of theirs.
    fn claim(&self) -> bool {
        !self.is_claimed.swap(true, Ordering::AcqRel)
    }

    fn emitter(&self, namespace: &str) -> Option<Arc<dyn Adapter>> {
        let node = Node::emitter(namespace, &self.host.link.post, &self.host.moved);
        let host = Arc::clone(&self.host);
        Some(Arc::new(ClusterAdapter::new(node, host, Role::Emitter)))
    }

    fn state(&self) -> ClusterState {
        self.host.link.post.status.state()
    }

    fn settled(&self) -> BoxFuture<'static, ()> {
        let post = Arc::clone(&self.host.link.post);
        // What waits for an engine that is away is dropped sooner or later, and not to be waited for.
        if post.status.state() != ClusterState::Up {
            return future::ready(()).boxed();
        }
        let (waiting, settled) = oneshot::channel();
        let settling = Job::Settle(Settling { _waiting: waiting });
        let timeout = post.config.requests_timeout;
        post.call(settling, OVERHEAD, timeout);
        // It may stand behind what is of use for longer, and is dropped with that only.
        async move {
            tokio::select! {
                _ = settled => {}
                () = post.status.not_up() => {}
                () = tokio::time::sleep(timeout) => {}
            }
        }
        .boxed()
    }

    fn changes(&self) -> BoxStream<'static, ClusterChange> {
        self.host.link.post.status.changes()
    }

    fn counts(&self) -> ClusterCounts {
        self.host.link.counts()
    }
}

impl fmt::Debug for BusCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BusCluster").field(&self.host.bus).finish()
    }
}
