//! What all namespaces of a kind have in common, as the application sees it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};

use sockeye_adapter::{RoomNames, Target};
use sockeye_engine::batch;
use sockeye_events::{Callback, EmitError, EventError, Listeners};
use sockeye_link::middleware::{self, IntoVerdict};
use sockeye_socket_proto::{Args, ToArgs, is_reserved_event};

use crate::namespace::SharedFamily;
use crate::namespaces::Namespaces;
use crate::{BroadcastOperator, Namespace, Socket};

/// A kind of namespaces that come into being when a peer asks for one of them: their handlers and middlewares.
///
/// Made by [`Server::of_pattern`](crate::Server::of_pattern), [`of_fn`](crate::Server::of_fn) and `of_regex`, which say what
/// names its namespaces have. It dereferences to [`Listeners`], as a [`Namespace`] does. What is added to it holds for all its
/// namespaces, whenever they were made; what is added to one of them comes behind that. Handlers of their sockets can
/// take it as a parameter. Cheap to clone.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::{Captures, Data, EmitError, Server, Socket};
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let io = Server::new();
/// let rooms = io.of_pattern("/chat/{room}")?;
/// rooms.on("text", |socket: Socket, Data(text): Data<String>| {
///     socket.namespace().emit("text", text) // to everyone in this room
/// });
/// rooms.emit("news", "the server restarts at noon")?; // to everyone in all rooms
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ParentNamespace {
    family: SharedFamily,
    /// Weakly, as handlers that have this are the server's.
    namespaces: Weak<Namespaces>,
}

impl ParentNamespace {
    pub(crate) fn new(family: SharedFamily, namespaces: &Arc<Namespaces>) -> Self {
        let namespaces = Arc::downgrade(namespaces);
        Self { family, namespaces }
    }

    /// Adds a middleware that decides whether a socket may join one of the namespaces; see
    /// [`Namespace::middleware`]. Those of a single namespace come behind it.
    pub fn middleware<M: 'static, F>(&self, middleware: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        self.family.handlers.add_middleware(middleware);
        self
    }

    /// Calls this function with every event that went wrong in one of the namespaces, unless that has a hook of its own;
    /// see [`Namespace::on_error`].
    pub fn on_error(&self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> &Self {
        self.family.handlers.set_error_hook(Arc::new(hook));
        self
    }

    /// The namespaces of this kind that are there, in no particular order.
    #[must_use]
    pub fn children(&self) -> Vec<Namespace> {
        let Some(namespaces) = self.namespaces.upgrade() else {
            return Vec::new();
        };
        let mut all = namespaces.all();
        all.retain(|namespace| {
            let family = namespace.family();
            family.is_some_and(|family| Arc::ptr_eq(family, &self.family))
        });
        all
    }

    /// The namespace of this kind with this name, made if need be; it lasts as long as somebody is in it or has a handle of
    /// it. For emitting to namespaces whose sockets are, perhaps, on other servers of a cluster, and for names that come
    /// from clients; [`Server::of`](crate::Server::of) would keep them for ever.
    ///
    /// `None` if the name is not of this kind, which nobody knows of those that a [function](crate::Server::of_fn) decides
    /// about; if it is that of a namespace of another kind; or if there are as many namespaces as
    /// [may be](crate::ServerConfig::max_dynamic_namespaces).
    #[must_use]
    pub fn child(&self, name: &str) -> Option<Namespace> {
        let namespaces = self.namespaces.upgrade()?;
        let name = with_slash(name);
        if !self.family.asks() && self.family.matched(&name).is_none() {
            return None;
        }
        let namespace = namespaces.lend(&name, &self.family, None).ok()?;
        let is_ours = namespace
            .family()
            .is_some_and(|family| Arc::ptr_eq(family, &self.family));
        is_ours.then_some(namespace)
    }

    /// Everyone in all of the namespaces.
    pub fn all(&self) -> BroadcastOperator<Self> {
        BroadcastOperator::new(self.clone(), Target::all())
    }

    /// The sockets in this room, or in any of these, of all of the namespaces.
    #[doc(alias = "in")]
    pub fn to<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator<Self> {
        self.all().to(rooms)
    }

    /// Everyone in all of the namespaces but the sockets in this room, or in any of these.
    pub fn except<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator<Self> {
        self.all().except(rooms)
    }

    /// Everyone on this server, where several form a cluster.
    pub fn local(&self) -> BroadcastOperator<Self> {
        self.all().local()
    }

    /// Everyone who can take the event right now; see [`BroadcastOperator::volatile`].
    pub fn volatile(&self) -> BroadcastOperator<Self> {
        self.all().volatile()
    }

    /// Everyone; the event may be compressed or not.
    pub fn compress(&self, compress: bool) -> BroadcastOperator<Self> {
        self.all().compress(compress)
    }

    /// Emits an event to everyone in all of the namespaces.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.all().emit(name, args)
    }

    /// Emits the event `message` to everyone in all of the namespaces.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.all().send(args)
    }
}

/// To all namespaces of a kind. What gives answers, and so is not here, can be had of each of the
/// [`children`](ParentNamespace::children).
///
/// In a cluster, events get to the sockets that other servers have in the namespaces which are there on this one.
impl BroadcastOperator<ParentNamespace> {
    /// Emits an event, which is encoded once for each namespace, as its name is part of the packet.
    ///
    /// # Errors
    ///
    /// As for one namespace; nothing is sent then.
    #[expect(clippy::needless_pass_by_value, reason = "arguments are given away")]
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        let name = name.as_ref();
        if is_reserved_event(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let args = Args::new(&args)?;
        batch(|| {
            let mut each = self.each();
            each.try_for_each(|operator| operator.emit(name, &args))
        })
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// The sockets of this server that are meant.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.each()
            .flat_map(|operator| operator.sockets())
            .collect()
    }

    /// Puts them into a room of their namespace, or into several.
    pub fn sockets_join<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        for operator in self.each() {
            operator.sockets_join(rooms.shared_rooms());
        }
    }

    /// Takes them out of a room of their namespace, or of several.
    pub fn sockets_leave<M>(&self, rooms: impl RoomNames<M>) {
        let rooms = Target::all().to(rooms);
        for operator in self.each() {
            operator.sockets_leave(rooms.shared_rooms());
        }
    }

    /// Takes them out of their namespaces; see [`Socket::disconnect`].
    pub fn disconnect_sockets(&self) {
        for operator in self.each() {
            operator.disconnect_sockets();
        }
    }

    /// Closes their connections; see [`Socket::close`].
    pub fn close_sockets(&self) {
        for operator in self.each() {
            operator.close_sockets();
        }
    }

    /// The same for each namespace.
    fn each(&self) -> impl Iterator<Item = BroadcastOperator> {
        let children = self.namespace().children().into_iter();
        children.map(|child| self.clone().with_namespace(child))
    }
}

/// A namespace's whole name.
pub(crate) fn with_slash(name: &str) -> std::borrow::Cow<'_, str> {
    match name.starts_with('/') {
        true => name.into(),
        false => format!("/{name}").into(),
    }
}

impl Deref for ParentNamespace {
    type Target = Listeners<Socket>;

    fn deref(&self) -> &Listeners<Socket> {
        &self.family.handlers.listeners
    }
}

impl PartialEq for ParentNamespace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.family, &other.family)
    }
}

impl Eq for ParentNamespace {}

impl fmt::Debug for ParentNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParentNamespace")
            .field(&self.family)
            .finish()
    }
}
