mod remote;

use std::fmt;
use std::time::Duration;

use sockeye_adapter::{
    Adapter, BroadcastOptions, Delivery, EventBody, Incomplete, Local, RoomNames, SocketDetails,
    Target,
};
use sockeye_events::EmitError;
use sockeye_link::Encoded;
use sockeye_socket_proto::{Args, FromArgs, ToArgs};

use crate::acks::{LocalAcks, RemoteAcks};
use crate::namespace::check_name;
use crate::{BroadcastAcks, Namespace, Socket};

pub use remote::RemoteSocket;

/// To whom an event goes, and how.
///
/// Made by `to`, `except`, `broadcast` and the like of a server, namespace or socket. Each method
/// adds to it; a socket that is in several of the rooms gets one copy.
///
/// The event is encoded once. Receivers that are ready are written to directly, the others find
/// it in their outbox.
///
/// `N` is whose sockets are meant: those of one namespace, or of all [of a kind](crate::ParentNamespace).
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
pub struct BroadcastOperator<N = Namespace> {
    namespace: N,
    options: BroadcastOptions,
    reach: Reach,
}

/// Which servers are meant.
#[derive(Clone, Copy, Debug)]
enum Reach {
    Cluster,
    /// This one only.
    Local,
}

/// Who is meant, and how.
impl<N> BroadcastOperator<N> {
    pub(crate) const fn new(namespace: N, target: Target) -> Self {
        Self {
            namespace,
            options: BroadcastOptions::new(target),
            reach: Reach::Cluster,
        }
    }

    /// Adds a room, or several: who is in any of the rooms is meant, once. Without a room, and
    /// after an empty list of rooms, it is everyone in the namespace.
    #[doc(alias = "in")]
    pub fn to<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        self.options.target = self.options.target.to(rooms);
        self
    }

    /// Leaves out the sockets in this room, or in any of these.
    pub fn except<M>(mut self, rooms: impl RoomNames<M>) -> Self {
        self.options.target = self.options.target.except(rooms);
        self
    }

    /// Only sockets of this server, where several form a cluster.
    pub const fn local(mut self) -> Self {
        self.reach = Reach::Local;
        self
    }

    /// Leaves out, for this event, the receivers that cannot take it right now: those on
    /// long-polling between two polls, and those that have not read what was sent before.
    /// Nobody learns who they were.
    pub const fn volatile(mut self) -> Self {
        self.options.volatile = true;
        self
    }

    /// Whether the event may be compressed, where the transport compresses at all. Default: yes.
    pub const fn compress(mut self, compress: bool) -> Self {
        self.options.compress = compress;
        self
    }

    /// Whether bytes travel as binary attachments. Default: yes. Otherwise they stay inside of the
    /// event's JSON, in the form that Node gives to a Buffer: `{"type":"Buffer","data":[1,2]}`. They
    /// grow to up to four times their size then, but there may be more of them than a peer takes
    /// attachments.
    pub const fn binary(mut self, binary: bool) -> Self {
        self.options.binary = binary;
        self
    }

    pub(crate) const fn namespace(&self) -> &N {
        &self.namespace
    }

    /// The same of another namespace.
    pub(crate) fn with_namespace<M>(self, namespace: M) -> BroadcastOperator<M> {
        BroadcastOperator {
            namespace,
            options: self.options,
            reach: self.reach,
        }
    }
}

impl BroadcastOperator {
    /// How long answers are waited for. Default: the server's
    /// [`ack_timeout`](crate::ServerConfig::ack_timeout), 20 s.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
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
        let local = self.namespace.here();
        if let Some(log) = local.log_for(&self.options) {
            check_name(name)?;
            // What is serialised by code of the application's is so before the log is locked.
            let args = Args::new(&args).map_err(|error| error.of_event(name))?;
            return local.emit_logged(log, name, args, &self.options);
        }
        let event = local.encode(name, &args, None, &self.options)?;
        self.emit_encoded(name, &event);
        Ok(())
    }

    fn emit_encoded(&self, name: &str, event: &Encoded) {
        let delivery = match self.others() {
            None => Delivery::Now,
            Some(adapter) => adapter.broadcast(&body(name, event), &self.options),
        };
        match delivery {
            Delivery::Now => self.namespace.here().send(name, event, &self.options),
            Delivery::Later => {}
        }
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
        let local = self.namespace.here();
        let id = local.next_broadcast_ack();
        let event = local.encode(name, &args, Some(id), &self.options)?;
        let (acks, remote) = self.ask_encoded(name, (&event, id));
        Ok(BroadcastAcks::new(acks, remote))
    }

    fn ask_encoded(
        &self,
        name: &str,
        (event, id): (&Encoded, u64),
    ) -> (LocalAcks, Option<RemoteAcks>) {
        let local = self.namespace.here();
        let mut options = self.options.clone();
        let timeout = *options.timeout.get_or_insert(local.config.ack_timeout);
        let remote = self
            .others()
            .map(|adapter| RemoteAcks::new(adapter.ask(&body(name, event), &options), timeout));
        let acks = local.send_with_ack(name, (event, id), timeout, &options);
        (acks, remote)
    }

    /// The sockets of this server that are meant.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.namespace.here().receivers(&self.options.target)
    }

    /// The sockets that are meant, of all servers of the cluster; those of this server come first.
    ///
    /// For sockets of this server alone there is [`sockets`](Self::sockets), which does not wait and gives them whole.
    ///
    /// # Errors
    ///
    /// [`Incomplete`] if servers of the cluster have not answered, within the [`timeout`](Self::timeout) if one is set; it has
    /// the sockets that were found. A server that is alone has nobody to wait for.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Incomplete<RemoteSocket>> {
        let target = &self.options.target;
        // The others are asked before this server looks, so that a socket that moves between them is rather found twice.
        let others = self
            .others()
            .map(|adapter| adapter.fetch_sockets(target, self.options.timeout));
        let here = self.namespace.here().sockets(target);
        let mut sockets: Vec<_> = here
            .into_iter()
            .map(|details| self.remote(details, Reach::Local))
            .collect();
        let Some(others) = others else {
            return Ok(sockets);
        };
        let (others, missing) = match others.await {
            Ok(others) => (others, None),
            Err(Incomplete { answers, missing }) => (answers, Some(missing)),
        };
        let others = others.into_iter();
        sockets.extend(others.map(|details| self.remote(details, Reach::Cluster)));
        match missing {
            None => Ok(sockets),
            Some(missing) => Err(Incomplete {
                answers: sockets,
                missing,
            }),
        }
    }

    /// Puts them into a room, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        let (target, rooms) = (&self.options.target, Target::all().to(rooms));
        if let Some(adapter) = self.others() {
            adapter.join(target, rooms.shared_rooms());
        }
        self.namespace.here().join(target, rooms.shared_rooms());
    }

    /// Takes them out of a room, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        let (target, rooms) = (&self.options.target, Target::all().to(rooms));
        if let Some(adapter) = self.others() {
            adapter.leave(target, rooms.shared_rooms());
        }
        self.namespace.here().leave(target, rooms.shared_rooms());
    }

    /// Takes them out of the namespace; see [`Socket::disconnect`].
    pub fn disconnect_sockets(&self) {
        self.end_sockets(false);
    }

    /// Closes their connections; see [`Socket::close`].
    pub fn close_sockets(&self) {
        self.end_sockets(true);
    }

    fn end_sockets(&self, close: bool) {
        let target = &self.options.target;
        if let Some(adapter) = self.others() {
            adapter.disconnect(target, close);
        }
        self.namespace.here().disconnect(target, close);
    }

    /// The other servers, if there are any and they are meant.
    fn others(&self) -> Option<&dyn Adapter> {
        match self.reach {
            Reach::Cluster => self.namespace.adapter(),
            Reach::Local => None,
        }
    }

    /// A socket that was fetched, on a server within this reach.
    fn remote(&self, details: SocketDetails, reach: Reach) -> RemoteSocket {
        let target = Target::all().to(details.id.as_str());
        let operator = Self {
            reach,
            ..Self::new(self.namespace.clone(), target)
        };
        RemoteSocket::new(details, operator)
    }
}

/// An event as adapters take it.
fn body<'a>(name: &'a str, event: &'a Encoded) -> EventBody<'a> {
    let args = event.args().as_raw();
    EventBody { name, args }
}

/// Without the rooms: the id of a socket is one, and under revision 3 a secret.
impl<N: fmt::Debug> fmt::Debug for BroadcastOperator<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastOperator")
            .field("namespace", &self.namespace)
            .field("rooms", &self.options.target.rooms().len())
            .field("excepted", &self.options.target.excepted().len())
            .finish_non_exhaustive()
    }
}
