mod broadcasting;
mod early;
mod local;
mod logged;
mod server_side;
mod socket;

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sockeye_adapter::{Adapter, Budget, RoomEvent};
use sockeye_events::{Callback, EventError, Listeners, StateMap};
use sockeye_link::middleware::{self, BoxMiddleware, IntoVerdict};

use crate::ServerConfig;
use crate::captures::Captured;
use crate::directory::{Directory, Guest};
use crate::family::Family;
use crate::handlers::{Handlers, tell};
use crate::pattern::Ranges;
use crate::recovery::Recovery;

pub(crate) use local::{LocalSockets, check_name};
#[cfg(test)]
pub(crate) use socket::Phase;
pub use socket::Socket;

/// One multiplexed path of a server, such as `/` or `/admin`: its sockets, rooms and handlers.
///
/// Cheap to clone. It dereferences to its [`Listeners`], which have the methods that add handlers and remove them: they
/// are for all its sockets, also those that are there already.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Data, DisconnectReason, Server, Socket};
///
/// let io = Server::new();
/// io.on("chat", |socket: Socket, Data(text): Data<String>| {
///     socket.broadcast().emit("chat", text)
/// })
/// .on("sum", async |Data(numbers): Data<Vec<i64>>| numbers.iter().sum::<i64>())
/// .on_end(|socket: Socket| socket.emit("summary", "that was all"))
/// .on_disconnect(|socket: Socket, reason: DisconnectReason| {
///     println!("{socket:?} is gone: {reason}");
/// });
/// ```
#[derive(Clone)]
pub struct Namespace(Arc<NamespaceCore>);

pub(crate) struct NamespaceCore {
    local: Arc<LocalSockets>,
    /// The other servers of the cluster, if this one is in one.
    adapter: Option<Arc<dyn Adapter>>,
    kind: Kind,
    /// Those who want to know of new namespaces were told.
    announced: Once,
    is_closed: AtomicBool,
}

/// A kind of namespaces.
pub(crate) type SharedFamily = Arc<Family<Socket>>;

/// Where the handlers are.
enum Kind {
    /// Nowhere else.
    Made(Handlers<Socket>),
    Asked(Asked),
}

/// What a namespace has that was made on demand, or looks as if it had been.
struct Asked {
    family: SharedFamily,
    captures: Ranges,
    /// Those that are for this namespace alone, which few have.
    own: OnceLock<Box<Handlers<Socket>>>,
    /// Counts it among those that one peer has made, if it was one.
    _share: Option<Arc<()>>,
    directory: Weak<Directory<NamespaceCore>>,
}

/// How a namespace comes into being.
pub(crate) enum Origin {
    /// By its name.
    Made,
    /// As one of a kind.
    Asked {
        family: SharedFamily,
        captures: Ranges,
        /// Of those that one peer has made, if it was one.
        share: Option<Arc<()>>,
        directory: Weak<Directory<NamespaceCore>>,
        /// What all of them may keep for sockets that come back.
        budget: Option<Arc<Budget>>,
    },
}

impl Origin {
    fn budget(&self) -> Option<Arc<Budget>> {
        match self {
            Self::Made => None,
            Self::Asked { budget, .. } => budget.clone(),
        }
    }
}

impl Namespace {
    /// The name, with its slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.local.name
    }

    /// What the name has captured under this name, if the namespace is one by [pattern](crate::Server::of_pattern) or
    /// regular expression, whose groups without a name go by their number. Handlers can have it as
    /// [`Captures`](crate::Captures).
    #[must_use]
    pub fn capture(&self, name: &str) -> Option<&str> {
        let mut captured = self.captured()?;
        captured.find(|(known, _)| *known == name)?.1
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
    /// It may take its time, but a connection that is in no namespace yet is closed after
    /// [`connect_timeout`](crate::ConnectionConfig::connect_timeout()), 45 s, also while a middleware decides about it.
    pub fn middleware<M: 'static, F>(&self, middleware: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoVerdict,
    {
        self.own().add_middleware(middleware::erase(middleware));
        self
    }

    /// Calls this function with every event that went wrong: arguments of the wrong type, a
    /// handler's `Err` or panic, an answer that could not be sent, a refusal by a socket's
    /// middleware, a packet that cannot be decoded. It replaces an earlier one. Without one, they
    /// are logged: at `debug` what is the peer's fault, else at `warn`.
    ///
    /// It runs on the task of the connection, so it must not block.
    pub fn on_error(&self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> &Self {
        self.own().set_error_hook(Arc::new(hook));
        self
    }

    /// The connected sockets of this namespace on this server, in the order in which they came.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        let index = self.0.local.rooms.read();
        let connected = index
            .iter()
            .map(|(_, socket)| socket)
            .filter(|socket| socket.connected());
        let mut sockets: Vec<_> = connected.cloned().collect();
        drop(index);
        sockets.sort_unstable_by_key(Socket::number);
        sockets
    }

    /// How many sockets of this server are connected to the namespace. It looks at each, and copies none.
    #[must_use]
    pub fn socket_count(&self) -> usize {
        let index = self.0.local.rooms.read();
        let sockets = index.iter().map(|(_, socket)| socket);
        sockets.filter(|socket| socket.connected()).count()
    }

    /// The connected socket of this server with this id.
    #[must_use]
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0
            .local
            .rooms
            .read()
            .by_id(id)
            .filter(|socket| socket.connected())
            .cloned()
    }

    /// The names of the rooms that sockets of this server have joined, in no particular order. The rooms that
    /// every socket has to itself, by its id, are not among them.
    #[must_use]
    pub fn room_names(&self) -> Vec<String> {
        self.0
            .local
            .rooms
            .read()
            .rooms()
            .map(str::to_owned)
            .collect()
    }

    /// Calls this function with what happens to the namespace's rooms on this server: a room begins, a socket joins or leaves
    /// it, it ends. Each socket also has a room of its own, by its id, from when the namespace's middlewares are asked about it.
    ///
    /// Events come one at a time and in order, right after they happened, perhaps on another thread than the one that
    /// caused them, so the function must not block. It may join and leave rooms itself, and is told of that after it
    /// has returned.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{RoomEvent, Server};
    ///
    /// let io = Server::new();
    /// io.on_room_event(|event| match event {
    ///     RoomEvent::Created { room } => println!("{room} begins"),
    ///     RoomEvent::Deleted { room } => println!("{room} is empty"),
    ///     _ => {}
    /// });
    /// ```
    pub fn on_room_event(&self, watcher: impl Fn(&RoomEvent) + Send + Sync + 'static) -> &Self {
        self.0.local.rooms.watch(watcher);
        self
    }
}

/// What the other parts of the server need.
impl Namespace {
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.0.local.config
    }

    pub(crate) fn state(&self) -> &StateMap {
        &self.0.local.state
    }

    pub(crate) fn here(&self) -> &Arc<LocalSockets> {
        &self.0.local
    }

    pub(crate) fn adapter(&self) -> Option<&dyn Adapter> {
        self.0.adapter.as_deref()
    }

    /// The handlers of all its sockets, and of those of other namespaces if it is one of a kind.
    pub(crate) fn listeners(&self) -> &Listeners<Socket> {
        match &self.0.kind {
            Kind::Made(handlers) => &handlers.listeners,
            Kind::Asked(asked) => &asked.family.handlers.listeners,
        }
    }

    /// Those that it has beside these.
    pub(crate) fn further_listeners(&self) -> Option<&Listeners<Socket>> {
        match &self.0.kind {
            Kind::Made(_) => None,
            Kind::Asked(asked) => asked.own.get().map(|own| &own.listeners),
        }
    }

    pub(crate) fn middlewares(&self) -> Arc<Vec<BoxMiddleware<Socket>>> {
        match &self.0.kind {
            Kind::Made(handlers) => handlers.middlewares(),
            Kind::Asked(asked) => {
                let mut middlewares = asked.family.handlers.middlewares();
                if let Some(own) = asked.own.get() {
                    Arc::make_mut(&mut middlewares).extend(own.middlewares().iter().cloned());
                }
                middlewares
            }
        }
    }

    pub(crate) fn report(&self, socket: &Socket, error: &EventError) {
        self.report_after(socket, error, false);
    }

    /// The same if the socket's own handlers may have been told before: what they know of need not be
    /// logged.
    pub(crate) fn report_after(&self, socket: &Socket, error: &EventError, told: bool) {
        let hook = match &self.0.kind {
            Kind::Made(handlers) => handlers.error_hook(),
            Kind::Asked(asked) => {
                let own = asked.own.get().and_then(|own| own.error_hook());
                own.or_else(|| asked.family.handlers.error_hook())
            }
        };
        match hook {
            Some(hook) => tell(&hook, socket, error),
            None if told => {}
            None => log(socket, error),
        }
    }

    /// The kind of namespaces that it is of, if it is.
    pub(crate) fn family(&self) -> Option<&SharedFamily> {
        match &self.0.kind {
            Kind::Made(_) => None,
            Kind::Asked(asked) => Some(&asked.family),
        }
    }

    /// Keeps it for those who may come back to it, if nobody else does.
    fn as_guest(&self) -> Option<Guest<NamespaceCore>> {
        let Kind::Asked(asked) = &self.0.kind else {
            return None;
        };
        let directory = asked.directory.upgrade()?;
        Some(directory.host(self.name(), Arc::clone(&self.0)))
    }

    /// What its name captures, if its kind is one by what names look like.
    pub(crate) fn captured(&self) -> Option<impl Iterator<Item = Captured<'_>>> {
        match &self.0.kind {
            Kind::Asked(asked) if !asked.family.asks() => {
                Some(asked.family.captured(self.name(), &asked.captures))
            }
            _ => None,
        }
    }

    /// Tells those who want to know of it, once; returns when they have been told.
    pub(crate) fn announce(&self, tell: impl FnOnce()) {
        self.0.announced.call_once(tell);
    }

    /// Leaves the cluster, once.
    pub(crate) fn close(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.close()
    }

    /// Where handlers go that are added.
    fn own(&self) -> &Handlers<Socket> {
        match &self.0.kind {
            Kind::Made(handlers) => handlers,
            Kind::Asked(asked) => asked.own.get_or_init(Box::default),
        }
    }
}

impl NamespaceCore {
    pub(crate) fn new(
        name: &str,
        config: Arc<ServerConfig>,
        state: Arc<StateMap>,
        origin: Origin,
    ) -> Self {
        let cluster = config.cluster.clone();
        let local = Arc::new(LocalSockets::new(name, config, state));
        let adapter = cluster.map(|cluster| cluster.open(Arc::clone(&local) as _));
        if let Some(adapter) = &adapter {
            // Weakly, as the adapter keeps what is watched here.
            let adapter = Arc::downgrade(adapter);
            local.rooms.watch(move |event| {
                if let Some(adapter) = adapter.upgrade() {
                    adapter.room_changed(event);
                }
            });
        }
        if let Some(config) = local.config.recovery
            && let Some(recovery) =
                Recovery::open(config, adapter.as_deref(), name, origin.budget())
        {
            if let Some(early) = recovery.early() {
                let early = Arc::clone(early);
                local.rooms.watch(move |event| early.room_changed(event));
            }
            let _ = local.recovery.set(Arc::new(recovery));
        }
        let kind = match origin {
            Origin::Made => Kind::Made(Handlers::default()),
            Origin::Asked {
                family,
                captures,
                share,
                directory,
                budget: _,
            } => Kind::Asked(Asked {
                family,
                captures,
                own: OnceLock::new(),
                _share: share,
                directory,
            }),
        };
        Self {
            local,
            adapter,
            kind,
            announced: Once::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// It has to go, so that nobody can come back to it any more.
    pub(crate) fn give_up_kept(&self) {
        self.local.give_up_kept();
    }

    fn close(&self) -> Option<BoxFuture<'static, ()>> {
        let adapter = self.adapter.as_ref()?;
        let was_closed = self.is_closed.swap(true, Ordering::AcqRel);
        let timeout = adapter.close_timeout();
        (!was_closed).then(|| in_time(adapter.close(), timeout).boxed())
    }
}

impl Drop for NamespaceCore {
    /// Nobody is in it, and nobody has it any more.
    fn drop(&mut self) {
        let Kind::Asked(asked) = &self.kind else {
            return;
        };
        if let Some(directory) = asked.directory.upgrade() {
            directory.forget(&self.local.name, self);
        }
        if let Some(closed) = self.close()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(closed);
        }
    }
}

/// Waits for an adapter to close, but no longer than it may take.
async fn in_time(closed: BoxFuture<'static, ()>, timeout: Duration) {
    if tokio::time::timeout(timeout, closed).await.is_err() {
        tracing::warn!("an adapter has not closed in time");
    }
}

/// What a peer does wrong is no news for whoever runs the server; what a handler does is.
fn log(socket: &Socket, error: &EventError) {
    let (id, namespace) = (socket.loggable_id(), socket.namespace().name());
    if error.kind().is_fault_of_peer() {
        tracing::debug!(id, namespace, error = %format_args!("{error:#}"), "event failed");
    } else {
        tracing::warn!(id, namespace, error = %format_args!("{error:#}"), "event failed");
    }
}

impl Deref for Namespace {
    type Target = Listeners<Socket>;

    fn deref(&self) -> &Listeners<Socket> {
        &self.own().listeners
    }
}

impl From<Arc<NamespaceCore>> for Namespace {
    fn from(inner: Arc<NamespaceCore>) -> Self {
        Self(inner)
    }
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
            .field("name", &self.0.local.name)
            .finish_non_exhaustive()
    }
}
