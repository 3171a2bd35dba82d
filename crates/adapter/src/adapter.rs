//! What the other servers of a cluster have to do with a namespace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use sockeye_socket_proto::Args;

use crate::{
    Answer, BroadcastOptions, ClusterChange, ClusterCounts, ClusterState, EventBody, Incomplete,
    Local, RecoveryStore, RoomEvent, SocketDetails, Target,
};

/// A cluster that a server is to be a member of: it opens an [`Adapter`] for each namespace.
///
/// Given to the server's configuration, and seen nowhere else.
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// A namespace has come into being, in which nobody is yet: opens its adapter, which knows this server's part of the
    /// namespace as `local`.
    ///
    /// What is not ready when this returns must not keep it: it must neither block nor look for namespaces of the server,
    /// whose table is locked. The server keeps both adapter and `local` for as long as the namespace lives; a task of the
    /// adapter's should hold `local` weakly, or end with [`close`](Adapter::close) and when the adapter is dropped.
    fn open(&self, local: Arc<dyn Local>) -> Arc<dyn Adapter>;

    /// A server wants to be the one that this is for, which is asked once and last of all, when nothing else can be wrong with
    /// its configuration. Says whether it may: what only one server can have is refused to a second one, which was given a
    /// clone of the same configuration, even when the first is gone. Default: it may.
    fn claim(&self) -> bool {
        true
    }

    /// An adapter for somebody who has no sockets, and only tells the servers of a cluster what to do: it is not counted
    /// among them, hears nothing, and is asked for nothing. Default: there is none.
    fn emitter(&self, namespace: &str) -> Option<Arc<dyn Adapter>> {
        let _ = namespace;
        None
    }

    /// Whether the others can be reached. Default: they always can.
    fn state(&self) -> ClusterState {
        ClusterState::Up
    }

    /// Waits until the others can be heard in what this server has joined so far, and have been sent what was sent. Default:
    /// that is so at once.
    fn settled(&self) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }

    /// What happens to it from now on. Whoever does not take it for long misses the older of it. Default: nothing.
    fn changes(&self) -> BoxStream<'static, ClusterChange> {
        stream::empty().boxed()
    }

    /// What was counted. Default: nothing.
    fn counts(&self) -> ClusterCounts {
        ClusterCounts::default()
    }
}

/// What a server can be configured with to become a member of a cluster: a [`Cluster`], or what one is made of.
pub trait IntoCluster {
    /// Makes it. Nothing is connected to yet.
    fn into_cluster(self) -> Arc<dyn Cluster>;
}

impl IntoCluster for Arc<dyn Cluster> {
    fn into_cluster(self) -> Self {
        self
    }
}

impl<T: Cluster> IntoCluster for T {
    fn into_cluster(self) -> Arc<dyn Cluster> {
        Arc::new(self)
    }
}

/// The other servers of a cluster, for one namespace.
///
/// A server alone has none: what it does itself, it does without an adapter, and what an adapter does for it is the rest.
/// Each method is one operation of the API, called on the server on which the application asked for it, and is to bring
/// about on every other server what the method of the same name of its [`Local`] does. What the application wants of this
/// server only does not come here.
///
/// What returns no future must not wait for the cluster: it queues, within limits of its own. What returns one sends at
/// once as well, before the future is polled; dropping the future only ends the waiting for answers.
///
/// # Ordering and delivery
///
/// Calls of one thread come in its order, and it is for the adapter to keep it. This server does its own part after the call
/// at once, however long the others take, but for a broadcast that the adapter wants to deliver [later](Delivery::Later).
pub trait Adapter: Send + Sync + 'static {
    /// An event is emitted to many, without acknowledgements.
    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> Delivery;

    /// An event is emitted to many, who are to answer: gives the answers of the other servers' sockets.
    ///
    /// The stream ends when all have answered, and by itself when the time in the options is over, at the latest; what is
    /// missing by then is said by [`Answer::Missing`].
    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer>;

    /// Asks the other servers for their sockets. `timeout` is how long to wait, `None` for as long as the adapter likes.
    fn fetch_sockets(
        &self,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<SocketDetails>, Incomplete<SocketDetails>>>;

    /// Sockets are put into rooms.
    fn join(&self, target: &Target, rooms: &[Arc<str>]);

    /// Sockets are taken out of rooms.
    fn leave(&self, target: &Target, rooms: &[Arc<str>]);

    /// Sockets are disconnected; with `close`, together with their connections.
    fn disconnect(&self, target: &Target, close: bool);

    /// An event is emitted to the other servers themselves.
    fn server_side_emit(&self, event: &EventBody<'_>);

    /// The same, and each of them is to answer.
    fn server_side_ask(
        &self,
        event: &EventBody<'_>,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<Args>, Incomplete<Args>>>;

    /// How many servers there are, with this one, as far as is known.
    fn server_count(&self) -> BoxFuture<'static, usize>;

    /// Something has happened to a room of this server, in the order and with the promises of
    /// [`Rooms::watch`](crate::Rooms::watch): what subscriptions by interest follow. Rooms named like the ids of sockets are
    /// among them.
    fn room_changed(&self, event: &RoomEvent);

    /// What lets sockets come back to any server of the cluster, after their connections were lost. Asked for once, if the
    /// server is configured for that. Default: nothing, they come back as new ones.
    ///
    /// With it, broadcasts that are neither volatile nor wait for answers are logged, and delivered
    /// [later](Delivery::Later).
    fn recovery(&self) -> Option<Arc<dyn RecoveryStore>> {
        None
    }

    /// The server closes, and this namespace with it: its sockets are gone. The future is ready when what is queued has been
    /// sent and the others know that this server is none of them any more. It is waited for as long as
    /// [`close_timeout`](Self::close_timeout) says.
    fn close(&self) -> BoxFuture<'static, ()>;

    /// How long the server waits for [`close`](Self::close). Default: 5 s, longer than its sockets take, as another machine has
    /// to take what is queued.
    fn close_timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// When this server delivers a broadcast to its own sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// At once, which is what it does.
    Now,
    /// When the adapter calls [`Local::broadcast`], with the [offset](BroadcastOptions::offset) that the event has in a log,
    /// which has to be known first.
    Later,
}
