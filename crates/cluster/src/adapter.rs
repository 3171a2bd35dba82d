//! What the server knows of the others, in one namespace.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sockeye_adapter::{
    Adapter, Answer, BroadcastOptions, Delivery, EventBody, Incomplete, RecoveryStore, RoomEvent,
    SocketDetails, Target,
};
use sockeye_cluster_proto::Message;
use sockeye_socket_proto::Args;

use crate::convert::{event_of, opts_of};
use crate::host::Host;
use crate::job::Route;
use crate::node::Node;

/// The other servers of a cluster, in one namespace.
pub(crate) struct ClusterAdapter {
    node: Arc<Node>,
    host: Arc<Host>,
    role: Role,
}

/// What this process is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// One of them.
    Server,
    /// Somebody who only tells them what to do.
    Emitter,
}

impl ClusterAdapter {
    pub(crate) const fn new(node: Arc<Node>, host: Arc<Host>, role: Role) -> Self {
        Self { node, host, role }
    }

    fn publish(&self, message: Message) {
        self.host.start();
        self.node.publish(Route::All, message);
    }
}

impl Adapter for ClusterAdapter {
    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> Delivery {
        self.host.start();
        self.node.broadcast(event, options)
    }

    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer> {
        self.host.start();
        self.node.ask(event, options)
    }

    fn fetch_sockets(
        &self,
        target: &Target,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<SocketDetails>, Incomplete<SocketDetails>>> {
        self.host.start();
        self.node.fetch_sockets(target, timeout)
    }

    fn join(&self, target: &Target, rooms: &[Arc<str>]) {
        self.host.start();
        self.node.join(opts_of(target), rooms);
    }

    fn leave(&self, target: &Target, rooms: &[Arc<str>]) {
        let (opts, rooms) = (opts_of(target), rooms.to_vec());
        self.publish(Message::Leave { opts, rooms });
    }

    fn disconnect(&self, target: &Target, close: bool) {
        let opts = opts_of(target);
        self.publish(Message::Disconnect { opts, close });
    }

    fn server_side_emit(&self, event: &EventBody<'_>) {
        let event = event_of(event);
        let request = None;
        self.publish(Message::ServerSideEmit { event, request });
    }

    fn server_side_ask(
        &self,
        event: &EventBody<'_>,
        timeout: Option<Duration>,
    ) -> BoxFuture<'static, Result<Vec<Args>, Incomplete<Args>>> {
        self.host.start();
        self.node.server_side_ask(event, timeout)
    }

    fn server_count(&self) -> BoxFuture<'static, usize> {
        self.host.start();
        self.node.server_count()
    }

    fn room_changed(&self, event: &RoomEvent) {
        self.node.room_changed(event);
    }

    fn recovery(&self) -> Option<Arc<dyn RecoveryStore>> {
        self.node.recovery()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        if self.role == Role::Emitter {
            return self.host.end();
        }
        let closed = self.node.close();
        self.host.closed(&self.node);
        closed
    }

    fn close_timeout(&self) -> Duration {
        self.host.link.post.config.leave_timeout
    }
}

impl Drop for ClusterAdapter {
    /// A server that is dropped without being closed leaves as well, though nobody waits for it.
    fn drop(&mut self) {
        if self.role == Role::Server {
            drop(self.close());
        }
    }
}
