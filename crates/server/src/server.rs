use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use parking_lot::RwLock;
use sockeye_adapter::Adapter;
use sockeye_engine::SessionHandle;
use sockeye_events::{Event, EventSocket, ExtractError, FromEvent, StateMap};
use sockeye_link::InboxLimits;
use sockeye_listen::{
    Application, ConfigError, Engine, EngineLayer, EngineService, ListenError, ListenOptions,
    Listener, WeakEngine,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::connection::Connection;
use crate::{Namespace, ServerConfig, ServerSide, Socket};

/// A Socket.IO server.
///
/// It starts without listening: register handlers, then call [`listen`](Self::listen), or put
/// its [`layer`](Self::layer) into a tower application. Cheap to clone.
///
/// It dereferences to its namespace `/`, so that handlers can be registered and events emitted
/// on the server itself. Handlers can take it as a parameter.
///
/// ```no_run
/// # use sockeye_server as sockeye;
/// use sockeye::{Data, Server, Socket};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let io = Server::new();
/// io.on("chat", |socket: Socket, Data(text): Data<String>| {
///     socket.broadcast().emit("chat", text)
/// });
/// io.of("/admin").on("users", |io: Server| io.sockets().len());
/// io.listen("http://localhost:3000").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    root: Namespace,
    pub(crate) shared: Arc<Shared>,
    engine: Engine<App>,
}

/// What the parts of a server share.
pub(crate) struct Shared {
    config: Arc<ServerConfig>,
    /// For the connections, which share them.
    inbox_limits: Arc<InboxLimits>,
    state: Arc<StateMap>,
    namespaces: RwLock<HashMap<Box<str>, Namespace, foldhash::fast::RandomState>>,
    closing: AtomicBool,
}

/// How long adapters may take to close. Longer than the engine's sockets may, as another machine has to take what is queued.
const FAREWELL: Duration = Duration::from_secs(5);

/// The server as the engine sees it.
pub(crate) struct App(Arc<Shared>);

/// The server as handlers find it, among the states: it keeps these, and not the other way round.
#[derive(Clone)]
struct Itself {
    shared: Weak<Shared>,
    engine: WeakEngine<App>,
}

impl FromEvent<Socket> for Server {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        Self::find(event.socket().state()).ok_or(ExtractError::NotAvailable("the server"))
    }
}

impl FromEvent<ServerSide> for Server {
    fn from_event(event: &Event<'_, ServerSide>) -> Result<Self, ExtractError> {
        Self::find(event.socket().state()).ok_or(ExtractError::NotAvailable("the server"))
    }
}

impl Server {
    /// A server with the default configuration.
    ///
    /// # Panics
    ///
    /// Never: the default configuration is valid.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(ServerConfig::default()).expect("the default configuration is valid")
    }

    /// A server with this configuration, which cannot be changed afterwards.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    pub fn with_config(config: ServerConfig) -> Result<Self, ConfigError> {
        let mut engine_config = config.engine.clone();
        engine_config = crate::files::serve(
            engine_config,
            config.serve_client,
            config.client_files.as_ref(),
        );
        let shared = Arc::new(Shared {
            inbox_limits: Arc::new(config.inbox),
            config: Arc::new(config),
            state: Arc::default(),
            namespaces: RwLock::default(),
            closing: AtomicBool::new(false),
        });
        let engine = Engine::new(engine_config, App(Arc::clone(&shared)))?;
        shared.state.insert(Itself {
            shared: Arc::downgrade(&shared),
            engine: engine.downgrade(),
        });
        let root = shared.namespace_or_new("/");
        Ok(Self {
            root,
            shared,
            engine,
        })
    }

    /// The server that has these states, unless it is gone.
    fn find(state: &StateMap) -> Option<Self> {
        let itself = state.cloned::<Itself>()?;
        let shared = itself.shared.upgrade()?;
        Some(Self {
            root: shared.namespace_or_new("/"),
            engine: itself.engine.upgrade()?,
            shared,
        })
    }

    /// The namespace of this name, which is created if there is none. The slash in front may be
    /// left out; `""` is `/`.
    ///
    /// Clients can join the namespaces that were created; for others they get the
    /// `connect_error` `Invalid namespace`. A namespace lives as long as the server, so names
    /// should not come from clients.
    #[must_use]
    pub fn of(&self, name: &str) -> Namespace {
        if name.starts_with('/') {
            self.shared.namespace_or_new(name)
        } else {
            self.shared.namespace_or_new(&format!("/{name}"))
        }
    }

    /// The namespaces that exist, in no particular order.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.shared.namespaces.read().values().cloned().collect()
    }

    /// Stores a value that the handlers of all namespaces get with the
    /// [`State`](crate::State) extractor. It replaces an earlier one of the same type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self, value: T) -> &Self {
        self.shared.state.insert(value);
        self
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ServerConfig {
        &self.shared.config
    }

    /// How many connections are open, and about to be: those whose handshake is being answered count
    /// already. One connection may have several sockets.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.engine.session_count()
    }

    /// Listens on a URL, for HTTP or for bare streams; one server may listen on many.
    ///
    /// | URL | what is served there |
    /// |---|---|
    /// | `http://host:port` | long-polling and WebSocket; `https://…` with TLS options |
    /// | `tcp://host:port`, or the port alone | packets and JSON lines on TCP; `tls://…` with TLS options |
    /// | `unix:/path`, a path with a slash, `unix:@name` | the same on a Unix-domain socket |
    /// | `\\.\pipe\name` | the same on a named pipe of Windows |
    ///
    /// The host may be left out, which means every address of this machine; port 0 is any free
    /// port. [`ListenUrl`](crate::ListenUrl) has all forms.
    ///
    /// It returns as soon as connections are accepted. The [`Listener`] tells the address, and
    /// can be closed on its own; dropping it changes nothing.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the URL makes no sense or the address cannot be had.
    pub async fn listen(&self, url: impl ToString) -> Result<Listener, ListenError> {
        self.listen_with(url, ListenOptions::default()).await
    }

    /// Listens on a URL with options.
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_with(
        &self,
        url: impl ToString,
        options: ListenOptions,
    ) -> Result<Listener, ListenError> {
        self.engine.listen(&url.to_string(), options).await
    }

    /// Listens on a URL, with `service` to answer every request that is not for the server's
    /// path: pages, files, an API. For programs that need more of HTTP than that there is
    /// [`layer`](Self::layer).
    ///
    /// # Errors
    ///
    /// As for [`listen`](Self::listen).
    pub async fn listen_service<S, B>(
        &self,
        url: &str,
        options: ListenOptions,
        service: S,
    ) -> Result<Listener, ListenError>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let service = self.engine.layer().layer(service);
        self.engine.listen_with(url, options, service).await
    }

    /// The server as a tower layer: it answers what is for its path (`/socket.io` and all below
    /// it), the wrapped service the rest. The HTTP server around it must support upgrades, or
    /// there is no WebSocket.
    ///
    /// For [`Handshake::remote_addr`](sockeye_listen::Handshake::remote_addr), put a `SocketAddr`
    /// or a [`ConnectionInfo`](crate::ConnectionInfo) into the extensions of the requests.
    #[must_use]
    pub fn layer(&self) -> EngineLayer<impl Application> {
        self.engine.layer()
    }

    /// The server as a tower service of its own, which answers status 404 to what is not for
    /// its path. Otherwise as [`layer`](Self::layer).
    #[must_use]
    pub fn service(&self) -> EngineService<impl Application> {
        self.engine.service()
    }

    /// The engine below, for what has no method here.
    #[must_use]
    pub fn engine(&self) -> &Engine<impl Application> {
        &self.engine
    }

    /// Closes the server: lets nobody in any more, disconnects every socket with the reason
    /// `server shutting down`, writes what still waits, and returns when nothing of it is left:
    /// connections and listeners are closed, socket files removed, addresses free for whoever listens
    /// next.
    ///
    /// That takes no longer than the
    /// [`shutdown_timeout`](sockeye_listen::EngineConfig::shutdown_timeout), a second, give or take a
    /// tenth; peers that have not taken their last packets by then are dropped. To let everybody leave
    /// in peace, [drain](Self::close_when_idle) the server before, for as long as you like. A cluster is left
    /// when the sockets are gone, which may take 5 s more if it does not respond. Handlers
    /// that are still waiting for something are not waited for. A server that was closed stays closed.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, the server closes all the same, but nobody is dropped before the
    /// [`linger`](crate::SessionLimits::linger()) time and the
    /// [`close_timeout`](crate::SessionConfig::close_timeout()) are over.
    pub async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.engine.close().await;
        self.leave_cluster().await;
    }

    /// Closes the adapters of all namespaces.
    async fn leave_cluster(&self) {
        let namespaces = self.namespaces();
        let adapters = namespaces.iter().filter_map(Namespace::adapter);
        let closed = join_all(adapters.map(Adapter::close));
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::warn!("an adapter has not closed in time");
        }
    }

    /// Lets nobody in any more and returns when everybody has left by themselves, which is what
    /// closing a server means in Node.js, and the listeners are closed then. Until then these stay, as
    /// peers on long-polling need them; new sessions are refused. To wait no longer, call
    /// [`close`](Self::close):
    ///
    /// ```
    /// # async fn stop(io: sockeye_server::Server) {
    /// let patience = std::time::Duration::from_secs(30);
    /// let _ = tokio::time::timeout(patience, io.close_when_idle()).await;
    /// io.close().await;
    /// # }
    /// ```
    pub async fn close_when_idle(&self) {
        self.engine.close_when_idle().await;
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Server {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.root
    }
}

impl Shared {
    pub(crate) fn config(&self) -> &ServerConfig {
        &self.config
    }

    pub(crate) const fn inbox_limits(&self) -> &Arc<InboxLimits> {
        &self.inbox_limits
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<Namespace> {
        self.namespaces.read().get(name).cloned()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn namespace_or_new(&self, name: &str) -> Namespace {
        if let Some(namespace) = self.namespace(name) {
            return namespace;
        }
        let mut namespaces = self.namespaces.write();
        let new = || Namespace::new(name, Arc::clone(&self.config), Arc::clone(&self.state));
        namespaces.entry(name.into()).or_insert_with(new).clone()
    }
}

impl Application for App {
    type Connection = Connection;

    fn connect(
        &self,
        session: SessionHandle,
        handshake: Arc<sockeye_listen::Handshake>,
    ) -> Connection {
        let now = tokio::time::Instant::now().into_std();
        let mut connection = Connection::new(Arc::clone(&self.0), session, handshake, now);
        // The driver polls everything once more with its own waker when it starts.
        connection.implicit_connect(&mut Context::from_waker(Waker::noop()));
        connection
    }

    fn connect_timeout(&self) -> Duration {
        self.0.config().connection.connect_timeout
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("connections", &self.connection_count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}
