//! Sockets of any server of the cluster.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use sockeye_adapter::{HandshakeDetails, RoomNames, SocketDetails};
use sockeye_events::{AckError, EmitError};
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::BroadcastOperator;

/// A socket that is connected to any server of the cluster, this one or another: what
/// [`fetch_sockets`](BroadcastOperator::fetch_sockets) gives.
///
/// Its id, rooms and data are a snapshot from when it was fetched. Its methods are carried out by the server that has
/// the socket, and do nothing if the socket is gone.
///
/// ```
/// # use sockeye_server as sockeye;
/// # async fn run(io: sockeye::Server) -> Result<(), Box<dyn std::error::Error>> {
/// for socket in io.to("table-7").fetch_sockets().await? {
///     println!("{} in {:?}", socket.data()["name"], socket.rooms());
///     socket.emit("table closes", ())?;
///     socket.leave("table-7");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteSocket {
    details: SocketDetails,
    operator: BroadcastOperator,
}

impl RemoteSocket {
    /// `operator` is for nobody but this socket.
    pub(crate) const fn new(details: SocketDetails, operator: BroadcastOperator) -> Self {
        Self { details, operator }
    }

    /// The id. What is said at [`Socket::id`](crate::Socket::id) of telling it to others goes for this one, too.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.details.id
    }

    /// The rooms that it was in; its own id is one.
    #[must_use]
    pub fn rooms(&self) -> &[String] {
        &self.details.rooms
    }

    /// What its server has stored with [`Socket::set_shared_data`](crate::Socket::set_shared_data), or in Node as the socket's
    /// `data`. An empty object if nothing was stored.
    #[must_use]
    pub const fn data(&self) -> &Value {
        &self.details.data
    }

    /// How it introduced itself.
    #[must_use]
    pub const fn handshake(&self) -> &HandshakeDetails {
        &self.details.handshake
    }

    /// The next emit waits this long for its acknowledgement. Default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 20 s.
    #[must_use]
    pub fn timeout(&self, timeout: Duration) -> Self {
        Self {
            details: self.details.clone(),
            operator: self.operator.clone().timeout(timeout),
        }
    }

    /// Emits an event to this socket.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`]: that the socket is gone is none.
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.operator.emit(name, args)
    }

    /// Emits an event and waits for the socket's answer. Nothing is sent before this is awaited.
    ///
    /// # Errors
    ///
    /// [`AckError::Disconnected`] if no server has the socket any more; else as for a [`Socket`](crate::Socket).
    pub async fn emit_with_ack<T: FromArgs + Send + 'static>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<T, AckError> {
        let mut acks = self.operator.emit_with_ack(name, args)?;
        match acks.next().await {
            Some((_, answer)) => answer,
            None if acks.pending() == 0 && acks.missing_servers() == 0 => {
                Err(AckError::Disconnected)
            }
            None => Err(AckError::Timeout),
        }
    }

    /// Puts the socket into a room, or into several.
    pub fn join<M>(&self, rooms: impl RoomNames<M>) {
        self.operator.sockets_join(rooms);
    }

    /// Takes the socket out of a room, or of several.
    pub fn leave<M>(&self, rooms: impl RoomNames<M>) {
        self.operator.sockets_leave(rooms);
    }

    /// Takes the socket out of its namespace; see [`Socket::disconnect`](crate::Socket::disconnect).
    pub fn disconnect(&self) {
        self.operator.disconnect_sockets();
    }

    /// Closes the socket's connection; see [`Socket::close`](crate::Socket::close).
    pub fn close(&self) {
        self.operator.close_sockets();
    }
}

/// Without the id, which is a secret if the peer speaks revision 3.
impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("details", &self.details)
            .finish_non_exhaustive()
    }
}
