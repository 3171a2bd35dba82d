use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use sockeye_adapter::{RoomNames, Target};
use sockeye_engine::batch;
use sockeye_events::EmitError;
use sockeye_link::Encoded;
use sockeye_link::packet::Flags;
use sockeye_socket_proto::{FromArgs, ToArgs, is_reserved_event};

use crate::config::SlowReceiver;
use crate::{BroadcastAcks, Namespace, Socket, trace};

/// To whom an event goes, and how.
///
/// Made by `to`, `except`, `broadcast` and the like of a server, namespace or socket. Each method
/// adds to it; a socket that is in several of the rooms gets one copy.
///
/// The event is encoded once. Receivers that are ready are written to directly, the others find
/// it in their outbox.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{EmitError, Server};
///
/// # fn news(io: &Server) -> Result<(), EmitError> {
/// io.emit("news", "for everyone")?;
/// io.to(["red", "blue"]).except("quiet").emit("news", "for some")?;
/// io.to("red").volatile().emit("news", "for those who listen right now")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before `emit` is called"]
pub struct BroadcastOperator {
    namespace: Namespace,
    target: Target,
    flags: Flags,
    timeout: Option<Duration>,
}

impl BroadcastOperator {
    pub(crate) const fn new(namespace: Namespace, target: Target) -> Self {
        let flags = Flags::new();
        Self {
            namespace,
            target,
            flags,
            timeout: None,
        }
    }

    /// Adds a room, or several: who is in any of the rooms is meant, once. Without a room, and
    /// after an empty list of rooms, it is everyone in the namespace.
    pub fn to<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        self.target = self.target.to(rooms);
        self
    }

    /// The same as [`to`](Self::to); `in` is a keyword.
    pub fn within<M>(self, rooms: impl RoomNames<M>) -> Self {
        self.to(rooms)
    }

    /// Leaves out the sockets in this room, or in any of these.
    pub fn except<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        self.target = self.target.except(rooms);
        self
    }

    /// Only sockets of this server, where several form a cluster.
    pub const fn local(self) -> Self {
        // There is no cluster yet, so that every socket is of this server.
        self
    }

    /// Leaves out, for this event, the receivers that cannot take it right now: those on
    /// long-polling between two polls, and those that have not read what was sent before.
    /// Nobody learns who they were.
    pub const fn volatile(mut self) -> Self {
        self.flags.send.volatile = true;
        self
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.flags.send.compress = compress;
        self
    }

    /// Whether bytes travel as binary attachments. Default: yes. Otherwise they stay inside of the
    /// event's JSON, in the form that Node gives to a Buffer: `{"type":"Buffer","data":[1,2]}`. They
    /// grow to up to four times their size then, but there may be more of them than a peer takes
    /// attachments.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.flags.binary = binary;
        self
    }

    /// How long answers are waited for. Default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 20 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Emits an event. A tuple becomes several arguments, `()` none, anything else one; `Bytes`
    /// anywhere inside travel as binary attachments.
    ///
    /// What becomes of a receiver whose outbox is full is the server's
    /// [`slow_receiver`](crate::ServerConfig::slow_receiver) setting. Plain peers are left out if
    /// the name is one that is [reserved](EmitError::ReservedName) for them alone, or if there are
    /// more bytes than [may](crate::ConnectionConfig::max_inline_bytes) go into a line.
    ///
    /// # Errors
    ///
    /// If the name is reserved, an argument cannot be encoded, or there are more bytes values than a
    /// packet may have [attachments](crate::ConnectionConfig::max_attachments), also where all receivers
    /// speak lines, which have none: an event is the same for all. That nobody is there is no error.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        let name = name.as_ref();
        let event = self.encode(name, &args, None)?;
        let receivers = self.receivers_of(&event);
        trace::broadcast(self.namespace.name(), name, receivers.len());
        batch(|| {
            for socket in &receivers {
                show(socket, name, &event);
                let _ = self.deliver(socket, &event);
            }
        });
        Ok(())
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Emits an event and collects the answers, as they come or all together. Who is left out, as
    /// for [`emit`](Self::emit), is not waited for.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit_with_ack<T: FromArgs + Send + 'static>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> Result<BroadcastAcks<T>, EmitError> {
        let name = name.as_ref();
        let id = self.namespace.next_broadcast_ack();
        let event = self.encode(name, &args, Some(id))?;
        let timeout = self
            .timeout
            .unwrap_or_else(|| self.namespace.config().ack_timeout);
        let mut acks = BroadcastAcks::new(id, timeout);
        let receivers = self.receivers_of(&event);
        trace::broadcast(self.namespace.name(), name, receivers.len());
        batch(|| {
            for socket in receivers {
                show(&socket, name, &event);
                acks.expect(socket, |socket| self.deliver(socket, &event));
            }
        });
        acks.sent();
        Ok(acks)
    }

    /// The sockets that are meant.
    #[must_use]
    pub fn fetch_sockets(&self) -> Vec<Socket> {
        self.receivers()
    }

    /// Puts them into a room, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        for socket in self.receivers() {
            socket.join(rooms.rooms().map(str::to_owned));
        }
    }

    /// Takes them out of a room, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        for socket in self.receivers() {
            socket.leave(rooms.rooms().map(str::to_owned));
        }
    }

    /// Disconnects them; see [`Socket::disconnect`].
    pub fn disconnect_sockets(&self, close: bool) {
        batch(|| {
            for socket in self.receivers() {
                socket.disconnect(close);
            }
        });
    }

    fn encode<A: ToArgs>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
    ) -> Result<Encoded, EmitError> {
        if is_reserved_event(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let limits = self.namespace.config().connection.bytes_out();
        let limits = limits.inline(!self.flags.binary);
        Ok(Encoded::event(
            self.namespace.name(),
            name,
            args,
            ack_id,
            limits,
        )?)
    }

    /// A snapshot, so that no lock is held while they are sent to.
    fn receivers(&self) -> Vec<Socket> {
        let mut receivers = self.namespace.rooms().read().select(&self.target);
        // Middlewares may still be deciding about some.
        receivers.retain(Socket::connected);
        receivers
    }

    /// Those that can be told.
    fn receivers_of(&self, event: &Encoded) -> Vec<Socket> {
        let mut receivers = self.namespace.rooms().read().select(&self.target);
        receivers.retain(|socket| socket.connected() && event.reaches(&socket.link().session));
        receivers
    }

    fn deliver(&self, socket: &Socket, event: &Encoded) -> Result<(), EmitError> {
        let result = socket.send_encoded(event, self.flags.send);
        if matches!(result, Err(EmitError::OutboxFull))
            && self.namespace.config().slow_receiver == SlowReceiver::Disconnect
        {
            tracing::debug!(
                id = socket.loggable_id(),
                "disconnecting a receiver that is too slow"
            );
            socket
                .link()
                .session
                .abort(sockeye_engine::CloseReason::TransportError);
        }
        result
    }
}

/// Shows an event to the outgoing listeners of one of its receivers.
fn show(socket: &Socket, name: &str, event: &Encoded) {
    let Ok(()) = socket.notify_outgoing(name, || Ok::<_, Infallible>(event.args().clone()));
}

/// Without the rooms: the id of a socket is one, and under revision 3 a secret.
impl fmt::Debug for BroadcastOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastOperator")
            .field("namespace", &self.namespace.name())
            .field("rooms", &self.target.rooms().len())
            .field("excepted", &self.target.excepted().len())
            .finish_non_exhaustive()
    }
}
