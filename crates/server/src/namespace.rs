mod streams;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use sockeye_adapter::{RoomIndex, RoomNames, Target};
use sockeye_events::{
    Callback, EmitError, EventError, EventErrorKind, IntoReply, ListenerId, Listeners, Snapshot,
    StateMap, erase,
};
use sockeye_link::middleware::{self, BoxMiddleware, IntoVerdict};
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::link::ACK_ID_LIMIT;
use crate::{BroadcastAcks, BroadcastOperator, ServerConfig, Socket};

/// One multiplexed path of a server, such as `/` or `/admin`: its sockets, rooms and handlers.
///
/// Cheap to clone. Methods that add something return the namespace, so that they can be chained.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    config: Arc<ServerConfig>,
    state: Arc<StateMap>,
    rooms: RwLock<RoomIndex<Socket>>,
    listeners: Snapshot<Listeners<Socket>>,
    /// Whether there are handlers of outgoing events, so that emitting need not look.
    has_outgoing: AtomicBool,
    middlewares: Snapshot<Vec<BoxMiddleware<Socket>>>,
    error_hook: Snapshot<Option<ErrorHook>>,
    next_broadcast_ack: AtomicU32,
}

type ErrorHook = Arc<dyn Fn(&Socket, &EventError) + Send + Sync>;

/// The names of the handlers that the library itself calls. No event from the wire can have
/// them.
pub(crate) const CONNECT: &str = "connect";
pub(crate) const DISCONNECTING: &str = "disconnecting";
pub(crate) const DISCONNECT: &str = "disconnect";
pub(crate) use streams::{CLOSE, DRAIN, END};

impl Namespace {
    pub(crate) fn new(name: &str, config: Arc<ServerConfig>, state: Arc<StateMap>) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            config,
            state,
            rooms: RwLock::new(RoomIndex::new()),
            listeners: Snapshot::default(),
            has_outgoing: AtomicBool::new(false),
            middlewares: Snapshot::default(),
            error_hook: Snapshot::default(),
            next_broadcast_ack: AtomicU32::new(0),
        }))
    }

    /// The name, with its slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Calls this handler for every socket that has joined the namespace, before its first event.
    ///
    /// What an async handler does after it first had to wait may happen after that event: what
    /// must be there in time belongs into a [`middleware`](Self::middleware).
    pub fn on_connect<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on(CONNECT, handler)
    }

    /// Calls this handler for every socket that is about to leave. What it does before it first
    /// has to wait finds the socket still in its rooms. Emitting to the socket is an error
    /// already.
    pub fn on_disconnecting<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECTING, handler)
    }

    /// Calls this handler for every socket that has left, once.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{DisconnectReason, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_disconnect(|socket: Socket, reason: DisconnectReason| {
    ///     println!("{socket:?} is gone: {reason}");
    /// });
    /// ```
    pub fn on_disconnect<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECT, handler)
    }

    /// Adds a handler of an event, for all sockets of the namespace, also those that are there.
    ///
    /// `connect` (or `connection`), `disconnecting` and `disconnect` are the library's own.
    /// Several handlers of one event run in the order of their adding; the first answer counts.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Data, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on("chat", |socket: Socket, Data(text): Data<String>| {
    ///     socket.broadcast().emit("chat", text)
    /// })
    /// .on("sum", async |Data(numbers): Data<Vec<i64>>| numbers.iter().sum::<i64>());
    /// ```
    pub fn on<M: 'static, F>(&self, name: &str, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.add_listener(name, handler);
        self
    }

    /// Like [`on`](Self::on), but returns an id with which just this handler can be removed.
    pub fn add_listener<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        let handler = erase(handler);
        self.0
            .listeners
            .update(|listeners| listeners.on(own_name(name), handler))
    }

    /// Adds a handler that runs for the next such event only, of whichever socket.
    pub fn once<M: 'static, F>(&self, name: &str, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        let handler = erase(handler);
        self.0
            .listeners
            .update(|listeners| listeners.once(own_name(name), handler));
        self
    }

    /// Adds a handler of every incoming event, which runs before the event's own, for events that
    /// have none too, and before the socket's middlewares. It stays for good:
    /// [`off_all`](Self::off_all) leaves it.
    pub fn on_any<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        let handler = erase(handler);
        self.0
            .listeners
            .update(|listeners| listeners.on_any(handler));
        self
    }

    /// Adds a handler of every incoming event in front of the others.
    pub fn prepend_any<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        let handler = erase(handler);
        self.0
            .listeners
            .update(|listeners| listeners.prepend_any(handler));
        self
    }

    /// Adds a handler that is told of every event that is emitted to a socket of the namespace:
    /// for a broadcast, once for each receiver. It is called by whoever emits, before the event
    /// is sent. Acknowledgements are no events.
    pub fn on_any_outgoing<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.add_outgoing(|listeners| listeners.on_any_outgoing(erase(handler)))
    }

    /// Adds a handler of every event that is emitted in front of the others; see
    /// [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn prepend_any_outgoing<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.add_outgoing(|listeners| listeners.prepend_any_outgoing(erase(handler)))
    }

    fn add_outgoing(&self, add: impl FnOnce(&mut Listeners<Socket>) -> ListenerId) -> &Self {
        self.0.listeners.update(add);
        self.0.has_outgoing.store(true, Ordering::Release);
        self
    }

    /// Removes the handlers of one event; says how many there were. What [`on_end`](Self::on_end),
    /// [`on_drain`](Self::on_drain) and [`on_close`](Self::on_close) have added goes by `end`,
    /// `drain` and `close`, here and in [`event_names`](Self::event_names), beside the handlers of
    /// events that are called so.
    pub fn off(&self, name: &str) -> usize {
        self.0
            .listeners
            .update(|listeners| listeners.off(own_name(name)))
    }

    /// Removes the handlers of all events, those of the library's own included. Those of
    /// [`on_any`](Self::on_any) and [`on_any_outgoing`](Self::on_any_outgoing) stay.
    pub fn off_all(&self) {
        self.0.listeners.update(Listeners::off_all);
    }

    /// Removes the handlers of [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any).
    pub fn off_any(&self) {
        self.0.listeners.update(Listeners::off_any);
    }

    /// Removes the handlers of [`on_any_outgoing`](Self::on_any_outgoing).
    pub fn off_any_outgoing(&self) {
        self.0.listeners.update(Listeners::off_any_outgoing);
    }

    /// Removes one handler; says whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.0.listeners.update(|listeners| listeners.remove(id))
    }

    /// The events that have handlers, in the order in which their oldest handlers were added.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        self.0.listeners.load().event_names()
    }

    /// How many handlers one event has. Those of every event, and of single sockets, do not count.
    #[must_use]
    pub fn listener_count(&self, name: &str) -> usize {
        self.0.listeners.load().count(own_name(name))
    }

    /// Whether an event has handlers, for all sockets of the namespace.
    #[must_use]
    pub fn has_listeners(&self, name: &str) -> bool {
        self.listener_count(name) > 0
    }

    /// Adds a middleware that decides whether a socket may join. They run in the order of their
    /// adding; the first refusal ends it, and the client's `connect_error` has its message and
    /// data. A panic or a parameter that cannot be had is a refusal.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Handshake, Refusal, Server};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Credentials {
    ///     token: String,
    /// }
    ///
    /// let io = Server::new();
    /// io.middleware(|handshake: Handshake| match handshake.auth::<Credentials>() {
    ///     Ok(Credentials { token }) if token == "secret" => Ok(()),
    ///     _ => Err(Refusal::new("not with that token")),
    /// });
    /// ```
    ///
    /// It may take as long as it likes: there is no time limit.
    pub fn middleware<M: 'static, F>(&self, middleware: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        self.0
            .middlewares
            .update(|middlewares| middlewares.push(middleware));
        self
    }

    /// Calls this function with every event that went wrong: arguments of the wrong type, a
    /// handler's `Err` or panic, an answer that could not be sent, a refusal by a socket's
    /// middleware, a packet that cannot be decoded. It replaces an earlier one. Without one, they
    /// are logged: at `debug` what is the peer's fault, else at `warn`.
    ///
    /// It runs on the task of the connection, so it must not block.
    pub fn on_error(&self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> &Self {
        self.0
            .error_hook
            .update(|current| *current = Some(Arc::new(hook)));
        self
    }

    /// The connected sockets of this namespace, in the order in which they came.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        let index = self.0.rooms.read();
        let connected = index
            .iter()
            .map(|(_, socket)| socket)
            .filter(|socket| socket.connected());
        let mut sockets: Vec<_> = connected.cloned().collect();
        drop(index);
        sockets.sort_unstable_by_key(Socket::number);
        sockets
    }

    /// The connected socket with this id.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0
            .rooms
            .read()
            .by_id(id)
            .filter(|socket| socket.connected())
            .cloned()
    }

    /// The names of the rooms that somebody has joined, in no particular order. The rooms that
    /// every socket has to itself, by its id, are not among them.
    #[must_use]
    pub fn room_names(&self) -> Vec<String> {
        self.0.rooms.read().rooms().map(str::to_owned).collect()
    }

    /// Everyone in the namespace.
    pub fn all(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.clone(), Target::all())
    }

    /// The sockets in this room, or in any of these.
    pub fn to<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.all().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn within<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.to(rooms)
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
    /// [`ack_timeout`](ServerConfig::ack_timeout), 20 s.
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

    /// The connected sockets; see [`BroadcastOperator::fetch_sockets`].
    #[must_use]
    pub fn fetch_sockets(&self) -> Vec<Socket> {
        self.all().fetch_sockets()
    }

    /// Puts everyone who is there now into a room, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        self.all().sockets_join(rooms);
    }

    /// Takes everyone out of a room, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        self.all().sockets_leave(rooms);
    }

    /// Disconnects everyone; see [`Socket::disconnect`].
    pub fn disconnect_sockets(&self, close: bool) {
        self.all().disconnect_sockets(close);
    }
}

/// What the other parts of the server need.
impl Namespace {
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0.config
    }

    pub(crate) fn state(&self) -> &StateMap {
        &self.0.state
    }

    pub(crate) fn rooms(&self) -> &RwLock<RoomIndex<Socket>> {
        &self.0.rooms
    }

    pub(crate) fn listeners(&self) -> &Snapshot<Listeners<Socket>> {
        &self.0.listeners
    }

    pub(crate) fn middlewares(&self) -> Arc<Vec<BoxMiddleware<Socket>>> {
        self.0.middlewares.load()
    }

    pub(crate) fn outgoing_listeners(&self) -> Option<Arc<Listeners<Socket>>> {
        self.0
            .has_outgoing
            .load(Ordering::Acquire)
            .then(|| self.0.listeners.load())
    }

    /// An id for a broadcast with acknowledgements. Every receiver's answer carries it, so it
    /// must not be one that a receiver's own counter gives out.
    pub(crate) fn next_broadcast_ack(&self) -> u64 {
        let count = self.0.next_broadcast_ack.fetch_add(1, Ordering::Relaxed);
        u64::from(ACK_ID_LIMIT + count % ACK_ID_LIMIT)
    }

    pub(crate) fn report(&self, socket: &Socket, error: &EventError) {
        self.report_after(socket, error, false);
    }

    /// The same if the socket's own handlers may have been told before: what they know of need not be
    /// logged.
    pub(crate) fn report_after(&self, socket: &Socket, error: &EventError, told: bool) {
        match &*self.0.error_hook.load() {
            Some(hook) => {
                // The hook is the last resort: what it panics with can only be logged.
                if catch_unwind(AssertUnwindSafe(|| hook(socket, error))).is_err() {
                    tracing::error!("the error hook panicked");
                }
            }
            None if told => {}
            None => log(socket, error),
        }
    }
}

/// What a peer does wrong is no news for whoever runs the server; what a handler does is.
fn log(socket: &Socket, error: &EventError) {
    let (id, namespace) = (socket.loggable_id(), socket.namespace().name());
    match error.kind() {
        EventErrorKind::Extract(_) | EventErrorKind::Undecodable(_) => {
            tracing::debug!(id, namespace, %error, "event failed");
        }
        _ => tracing::warn!(id, namespace, %error, "event failed"),
    }
}

/// `connection` is what the JavaScript API calls it.
fn own_name(name: &str) -> &str {
    if name == "connection" { CONNECT } else { name }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Namespace {}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
