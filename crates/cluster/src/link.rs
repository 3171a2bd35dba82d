//! What the core lends to a bus.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::RwLock;
use sockeye_adapter::{ClusterCounts, ClusterState};
use sockeye_cluster_proto::{Envelope, Limits};

use crate::job::{Job, Publish};
use crate::node::{Node, Place};
use crate::post::Post;
use crate::queue::Subscription;
use crate::status::count;

/// Both ways between a [`Bus`](crate::Bus) and the core: jobs come from here, and what comes from the engine goes in here.
///
/// Cheap to clone. No method waits for a client, nor for another server.
#[derive(Clone)]
pub struct Link {
    pub(crate) post: Arc<Post>,
    pub(crate) nodes: Arc<Nodes>,
}

/// The namespaces of this server, by name.
pub(crate) type Nodes = RwLock<HashMap<Arc<str>, Arc<Node>, RandomState>>;

/// What is to be done.
impl Link {
    /// Waits for the next job. They come in the order in which they are to be done, but for changes of interest, which come
    /// before all else. `None` when there will be none: the server has left the cluster, and the bus is to end.
    ///
    /// # Cancel safety
    ///
    /// A job that was not given stays where it is.
    pub async fn next(&self) -> Option<Job> {
        self.post.next().await
    }

    /// The next job if there is one right now: for a bus that does many at once.
    #[must_use]
    pub fn try_next(&self) -> Option<Job> {
        self.post.try_next()
    }

    /// Takes back a job that could not be done because the connection was lost; it comes first again. Of several, the one
    /// that was given last is to be put back first. Who has it dropped when it is too old is the core.
    pub fn put_back(&self, job: Job) {
        self.post.put_back(job);
    }

    /// What is to be subscribed to by a bus that has lost all it had subscribed to: what it was told of by jobs, and is not
    /// over.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.post.queue.subscriptions()
    }

    /// The bus has subscribed to a namespace, so that from now on it hears what is published there. `end` is the offset of the
    /// last event in its log, or of any, if it has a log.
    pub fn opened(&self, namespace: &str, end: Option<&str>) {
        if let Some(node) = self.node(namespace) {
            node.opened(end);
        }
    }

    /// The engine has taken a message. To be said of each that it has; what was given back is none of them, and of those that
    /// may be lost with a connection nothing is to be said: they are dropped.
    pub fn published(&self, publish: &Publish) {
        publish.fate.tell();
        count(&self.post.status.published);
    }

    /// The engine has refused a message, or cannot take it: it is lost.
    pub fn failed(&self, publish: &Publish, error: &(dyn Error + 'static)) {
        self.post.failed(publish, error);
    }
}

/// What has come.
impl Link {
    /// Hands over a message that has come for a namespace. Those of one namespace are to come in their order, one at a time.
    /// What this server has sent itself may be among them.
    pub fn receive(&self, namespace: &str, envelope: Envelope) {
        self.handle(namespace, envelope, None);
    }

    /// The same with its offset in the log, and with the [tag](Publish::tag) if it is one that this server has published.
    pub fn receive_logged(
        &self,
        namespace: &str,
        envelope: Envelope,
        offset: &str,
        tag: Option<u64>,
    ) {
        self.handle(namespace, envelope, Some(Place { offset, tag }));
    }

    fn handle(&self, namespace: &str, envelope: Envelope, place: Option<Place<'_>>) {
        // Other servers may have namespaces that this one has not.
        if let Some(node) = self.node(namespace) {
            node.handle(envelope, place);
        }
    }

    /// Whether a message for this room alone is for anybody here, which can be said before it is decoded. With a log, each is.
    #[must_use]
    pub fn is_wanted(&self, namespace: &str, room: &str) -> bool {
        self.node(namespace).is_some_and(|node| node.has_room(room))
    }

    /// Whether this server has this namespace.
    #[must_use]
    pub fn has_namespace(&self, namespace: &str) -> bool {
        self.nodes.read().contains_key(namespace)
    }

    /// Something has come that is no message.
    pub fn undecodable(&self, error: &(dyn Error + 'static)) {
        count(&self.post.status.undecodable);
        let engine = self.post.profile.name;
        tracing::debug!(engine, error, "what came from the cluster is no message");
    }

    /// What may be read of a message.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.post.limits
    }

    pub(crate) fn counts(&self) -> ClusterCounts {
        let mut counts = self.post.counts();
        counts.pending_requests = self.nodes.read().values().map(|node| node.pending()).sum();
        counts
    }

    fn node(&self, namespace: &str) -> Option<Arc<Node>> {
        self.nodes.read().get(namespace).map(Arc::clone)
    }
}

/// How it is.
impl Link {
    /// The engine takes what is published, and all is subscribed to.
    pub fn up(&self) {
        self.post.status.set(ClusterState::Up);
    }

    /// The same after an outage, which others may have had as well: what was published meanwhile may have been missed, and
    /// messages wait until all servers hear again that were there before, or for half of the time that they may wait.
    pub fn up_again(&self) {
        self.gap(None);
        if !self.post.profile.log {
            let is_held = self.post.queue.held_since().is_some();
            for node in self.nodes.read().values() {
                node.begin_again(is_held);
            }
            self.post.hold();
        }
        self.up();
    }

    /// It cannot be reached, or does not do all it should, for this reason.
    pub fn degraded(&self, reason: &str) {
        self.post.status.set(ClusterState::Degraded(reason.into()));
    }

    /// The engine does not let this server subscribe to something: it is [degraded](Self::degraded) for this reason until that
    /// is [over](Self::allowed), even if all else is [up](Self::up).
    pub fn refused(&self, reason: &str) {
        self.post.status.refused(reason.into());
    }

    /// All is subscribed to, or not wanted any more, that was [refused](Self::refused). To be said on a new connection as well,
    /// where nothing is refused yet.
    pub fn allowed(&self) {
        self.post.status.allowed();
    }

    /// What others have published may have been missed, in this namespace or in all.
    pub fn gap(&self, namespace: Option<&str>) {
        let engine = self.post.profile.name;
        tracing::warn!(
            engine,
            namespace,
            "messages of the cluster may have been missed"
        );
        self.post.status.gap(namespace.map(Into::into));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("post", &self.post)
            .finish_non_exhaustive()
    }
}
