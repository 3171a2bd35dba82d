//! What goes to many sockets of a namespace.

use std::time::Duration;

use sockeye_adapter::{Incomplete, RoomNames, Target};
use sockeye_events::EmitError;
use sockeye_socket_proto::{FromArgs, ToArgs};

use super::Namespace;
use crate::{BroadcastAcks, BroadcastOperator, RemoteSocket};

impl Namespace {
    /// Everyone in the namespace.
    pub fn all(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.clone(), Target::all())
    }

    /// The sockets in this room, or in any of these.
    #[doc(alias = "in")]
    pub fn to<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.all().to(rooms)
    }

    /// Everyone but the sockets in this room, or in any of these.
    pub fn except<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.all().except(rooms)
    }

    /// Everyone on this server, where several form a cluster.
    pub fn local(&self) -> BroadcastOperator {
        self.all().local()
    }

    /// Everyone who can take the event right now; see [`BroadcastOperator::volatile`].
    pub fn volatile(&self) -> BroadcastOperator {
        self.all().volatile()
    }

    /// Everyone; the event may be compressed or not.
    pub fn compress(&self, compress: bool) -> BroadcastOperator {
        self.all().compress(compress)
    }

    /// Everyone; answers are waited for this long. Default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 20 s.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.all().timeout(timeout)
    }

    /// Emits an event to everyone.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.all().emit(name, args)
    }

    /// Emits the event `message` to everyone.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.all().send(args)
    }

    /// Emits an event to everyone and collects the answers; see
    /// [`BroadcastOperator::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn emit_with_ack<T: FromArgs + Send + 'static>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<BroadcastAcks<T>, EmitError> {
        self.all().emit_with_ack(name, args)
    }

    /// The connected sockets of all servers of the cluster; see [`BroadcastOperator::fetch_sockets`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Incomplete<RemoteSocket>> {
        self.all().fetch_sockets().await
    }

    /// Puts everyone who is there now into a room, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        self.all().sockets_join(rooms);
    }

    /// Takes everyone out of a room, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        self.all().sockets_leave(rooms);
    }

    /// Takes everyone out of the namespace; see [`Socket::disconnect`](crate::Socket::disconnect).
    pub fn disconnect_sockets(&self) {
        self.all().disconnect_sockets();
    }

    /// Closes everyone's connection; see [`Socket::close`](crate::Socket::close).
    pub fn close_sockets(&self) {
        self.all().close_sockets();
    }
}
