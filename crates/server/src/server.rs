use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use sockeye_engine::SessionHandle;
use sockeye_events::{Callback, Event, EventSocket, ExtractError, FromEvent, StateMap};
use sockeye_listen::{
    Application, ConfigError, ConnectionInfo, Engine, EngineLayer, EngineService, LayeredService,
    ListenError, ListenOptions, Listener, OtherService, WeakEngine,
};
use sockeye_meter as meter;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::common::Common;
use crate::connection::ServerConnection;
use crate::family::Family;
use crate::parent::with_slash;
use crate::pattern::PatternError;
use crate::{Namespace, NamespaceRequest, ParentNamespace, ServerConfig, ServerSide, Socket};

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
    pub(crate) common: Arc<Common>,
    engine: Engine<App>,
}

/// What [`Server::layer`] gives.
pub type ServerLayer = EngineLayer<App>;

/// What [`Server::service`] gives.
pub type ServerService = EngineService<App>;

/// What a [`ServerLayer`] makes of another service.
pub type LayeredServer<S> = LayeredService<App, S>;

/// The server as the engine sees it. Public for the three above, and nobody else's affair.
pub struct App(Arc<Common>);

/// A handle that does not keep the server alive: for its own handlers and hooks, as a `Server` in them would keep
/// itself for ever. Cheap to clone.
///
/// ```
/// # use sockeye_server as sockeye;
/// use sockeye::Server;
///
/// let io = Server::new();
/// let server = io.downgrade();
/// io.on_room_event(move |event| {
///     if let Some(news) = server.namespace("/news") {
///         let _ = news.emit("room", &**event.room());
///     }
/// });
/// ```
#[derive(Clone)]
pub struct WeakServer {
    common: Weak<Common>,
    engine: WeakEngine<App>,
}

impl WeakServer {
    /// The server, unless it is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Server> {
        let common = self.common.upgrade()?;
        Some(Server {
            root: common.namespaces().keep("/"),
            engine: self.engine.upgrade()?,
            common,
        })
    }

    /// The namespace of this name, if it and the server are there. It costs less than to ask the
    /// [server](Self::upgrade) for it. The slash in front may be left out.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        let common = self.common.upgrade()?;
        common.namespaces().find(&with_slash(name))
    }
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

/// The kind of namespaces that the socket's is of.
impl FromEvent<Socket> for ParentNamespace {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        let family = event.socket().namespace().family();
        let family = family.ok_or(ExtractError::NotAvailable("a parent of the namespace"))?;
        let server = Server::from_event(event)?;
        let namespaces = server.common.namespaces();
        Ok(Self::new(Arc::clone(family), namespaces))
    }
}

impl FromEvent<NamespaceRequest> for Server {
    fn from_event(event: &Event<'_, NamespaceRequest>) -> Result<Self, ExtractError> {
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
    /// [`ConfigError`] names the setting that cannot work, or the [place in a cluster](ServerConfig::cluster) that is another
    /// server's.
    pub fn with_config(config: ServerConfig) -> Result<Self, ConfigError> {
        meter::attach();
        let mut engine_config = config.engine.clone();
        engine_config = crate::files::serve(
            engine_config,
            config.serve_client,
            config.client_files.as_ref(),
        );
        let common = Arc::new(Common::new(config));
        let engine = Engine::new(engine_config, App(Arc::clone(&common)))?;
        let cluster = common.config().cluster.as_ref();
        if cluster.is_some_and(|cluster| !cluster.claim()) {
            return Err(ConfigError::ClusterTaken);
        }
        let root = common.namespaces().keep("/");
        let server = Self {
            root,
            common,
            engine,
        };
        // Handlers find it among the states, which it keeps, and not the other way round.
        server.common.state().insert(server.downgrade());
        Ok(server)
    }

    /// The server that has these states, unless it is gone.
    fn find(state: &StateMap) -> Option<Self> {
        state.cloned::<WeakServer>()?.upgrade()
    }

    /// The server, without keeping it.
    #[must_use]
    pub fn downgrade(&self) -> WeakServer {
        WeakServer {
            common: Arc::downgrade(&self.common),
            engine: self.engine.downgrade(),
        }
    }

    /// The namespace of this name, which is created if there is none. The slash in front may be
    /// left out; `""` is `/`.
    ///
    /// Clients can join the namespaces that were created; for others they get the
    /// `connect_error` `Invalid namespace`, unless they are of a kind that is made on demand:
    /// [`of_pattern`](Self::of_pattern), [`of_fn`](Self::of_fn). If the name looks like one of such a
    /// kind, the namespace has the handlers and middlewares of that, too.
    ///
    /// The namespace lives as long as the server from now on, so names should not come from clients.
    #[must_use]
    pub fn of(&self, name: &str) -> Namespace {
        self.common.namespaces().keep(&with_slash(name))
    }

    /// The namespace of this name, if it is there. The slash in front may be left out.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<Namespace> {
        self.common.namespaces().find(&with_slash(name))
    }

    /// The namespaces that are there, in no particular order.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Namespace> {
        self.common.namespaces().all()
    }

    /// The namespaces whose names have this pattern, such as `/chat/{room}`: each comes into being when a client asks for it,
    /// and goes when nobody is in it any more. The same pattern gives the same [`ParentNamespace`] again.
    ///
    /// `{name}` stands for at least one character other than a slash, and may have text around it, up to the next slashes;
    /// `{*name}` at the end stands for all that is left. Handlers get what they stand for with the extractor
    /// [`Captures`](crate::Captures).
    ///
    /// A namespace that [`of`](Self::of) has made comes before any pattern; of several patterns that match, the one
    /// that was registered first counts. There is a [bound](ServerConfig::max_dynamic_namespaces) on their number, so
    /// that clients cannot fill memory.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Captures, Server, Socket};
    ///
    /// let io = Server::new();
    /// io.of_pattern("/chat/{room}")?
    ///     .on_connect(|socket: Socket, Captures(room): Captures<String>| {
    ///         socket.emit("welcome", format!("to {room}"))
    ///     });
    /// # Ok::<(), sockeye::PatternError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pattern makes no sense.
    pub fn of_pattern(&self, pattern: &str) -> Result<ParentNamespace, PatternError> {
        let pattern = with_slash(pattern);
        let family = Family::of_pattern(&pattern)?;
        Ok(self.parent(|family| family.has_pattern(&pattern), family))
    }

    /// The namespaces in whose names this regular expression finds something, otherwise as for
    /// [`of_pattern`](Self::of_pattern).
    ///
    /// Without `^` and `$` it may find it anywhere in a name, as in JavaScript: a client can then have as many namespaces as
    /// it likes, of names of its choosing. It is one of the crate `regex`, whose time grows no faster than the name.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Captures, Server};
    ///
    /// let io = Server::new();
    /// io.of_regex(r"^/orders-(?<year>\d{4})$")?
    ///     .on("year", |Captures(year): Captures<u16>| year);
    /// # Ok::<(), sockeye::PatternError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is no regular expression.
    #[cfg(feature = "regex")]
    #[cfg_attr(docsrs, doc(cfg(feature = "regex")))]
    pub fn of_regex(&self, regex: &str) -> Result<ParentNamespace, PatternError> {
        let family = Family::of_regex(regex)?;
        Ok(self.parent(|family| family.has_regex(regex), family))
    }

    /// The namespaces that this function accepts, otherwise as for [`of_pattern`](Self::of_pattern). It is a plain or async
    /// function that takes the [`NamespaceRequest`], with name and auth data, and parameters of handlers that need no
    /// socket; and returns whether the client may have the namespace.
    ///
    /// It is asked about each client that wants to join, also if the namespace is there already. A panic, or a
    /// parameter that cannot be had, means no. As with middlewares, a connection that is in no namespace yet is closed
    /// after the [`connect_timeout`](crate::ConnectionConfig::connect_timeout()) (45 s); a function that asks a
    /// database should have a limit of its own. Meanwhile the client's connection goes on as usual.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{NamespaceRequest, Server, State};
    ///
    /// # #[derive(Clone)]
    /// # struct Database;
    /// # impl Database {
    /// #     async fn has_tenant(&self, _: &str) -> bool {
    /// #         true
    /// #     }
    /// # }
    /// #[derive(serde::Deserialize)]
    /// struct Credentials {
    ///     token: String,
    /// }
    ///
    /// let io = Server::new();
    /// io.state(Database);
    /// io.of_fn(async |request: NamespaceRequest, State(database): State<Database>| {
    ///     let Ok(Credentials { token }) = request.handshake().auth() else {
    ///         return false;
    ///     };
    ///     token == "secret" && database.has_tenant(request.name()).await
    /// });
    /// ```
    pub fn of_fn<M: 'static, F>(&self, accepts: F) -> ParentNamespace
    where
        F: Callback<NamespaceRequest, M, Output = bool>,
    {
        self.parent(|_| false, Family::of_fn(accepts))
    }

    /// Calls this function with every namespace that comes into being, but for `/`: before anybody is in it, so that it can
    /// be given handlers and middlewares. It must not block. Those that were there before are among
    /// [`namespaces`](Self::namespaces).
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::Server;
    ///
    /// let io = Server::new();
    /// io.on_new_namespace(|namespace| {
    ///     println!("{} is new", namespace.name());
    ///     namespace.on_connect(|| println!("somebody came"));
    /// });
    /// ```
    #[doc(alias = "new_namespace")]
    pub fn on_new_namespace(&self, watcher: impl Fn(&Namespace) + Send + Sync + 'static) -> &Self {
        self.common.namespaces().watch(watcher);
        self
    }

    fn parent(
        &self,
        is_it: impl Fn(&Family<Socket>) -> bool,
        new: Family<Socket>,
    ) -> ParentNamespace {
        let namespaces = self.common.namespaces();
        ParentNamespace::new(namespaces.family_or_new(is_it, new), namespaces)
    }

    /// Stores a value that the handlers of all namespaces get with the
    /// [`State`](crate::State) extractor. It replaces an earlier one of the same type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self, value: T) -> &Self {
        self.common.state().insert(value);
        self
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        self.common.config()
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
        self.open(url.to_string(), options, OtherService::none())
            .await
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
        self.open(url.to_owned(), options, OtherService::new(service))
            .await
    }

    /// Boxed, and of no type but this crate's: otherwise each program that listens would compile all that serves connections.
    fn open(
        &self,
        url: String,
        options: ListenOptions,
        other: OtherService,
    ) -> BoxFuture<'_, Result<Listener, ListenError>> {
        async move { self.engine.listen_with(&url, options, other).await }.boxed()
    }

    /// Serves HTTP, which is long-polling and WebSocket, on a connection that somebody else has accepted:
    /// one that comes out of a tunnel, a socket between virtual machines, a pipe in memory. A task of its
    /// own does it, until the connection ends or the server is closed. Requests that are not for the
    /// server's path get status 404.
    ///
    /// It counts among the connections of the listeners and has the limits of time that `options` set; what
    /// they say of sockets and TLS has no meaning here. As with TLS, nothing but the session's own task writes
    /// to the stream.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve_http<S>(&self, stream: S, info: ConnectionInfo, options: ListenOptions)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        self.engine.serve_http(stream, info, options);
    }

    /// The same for a [bare stream](Self::listen), with packets or JSON lines. Its transport is called `tcp` if
    /// the peer has an address, and `unix` if it has none.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn serve_stream<S>(&self, stream: S, info: ConnectionInfo, options: ListenOptions)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.engine.serve_stream(stream, info, options);
    }

    /// The server as a tower layer: it answers what is for its path (`/socket.io` and all below
    /// it), the wrapped service the rest. The HTTP server around it must support upgrades, or
    /// there is no WebSocket.
    ///
    /// For [`Handshake::remote_addr`](sockeye_listen::Handshake::remote_addr), put a `SocketAddr`
    /// or a [`ConnectionInfo`](crate::ConnectionInfo) into the extensions of the requests.
    #[must_use]
    pub fn layer(&self) -> ServerLayer {
        self.engine.layer()
    }

    /// The server as a tower service of its own, which answers status 404 to what is not for
    /// its path. Otherwise as [`layer`](Self::layer).
    #[must_use]
    pub fn service(&self) -> ServerService {
        self.engine.service()
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
    /// when the sockets are gone, which may take 5 s more if it does not respond, or as long as its
    /// settings say. Where sockets can
    /// [come back](crate::ServerConfig::recovery) to other servers of a cluster, they are kept first, for which there are 2 s. Handlers
    /// that are still waiting for something are not waited for. A server that was closed stays closed.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, the server closes all the same, but nobody is dropped before the
    /// [`linger`](crate::SessionLimits::linger()) time and the
    /// [`close_timeout`](crate::SessionConfig::close_timeout()) are over.
    pub async fn close(&self) {
        self.common.set_closing();
        // With those that go with their last sockets, and would leave the cluster with nobody waiting for it.
        let mut namespaces = self.namespaces();
        let saved = join_all(namespaces.iter().filter_map(Namespace::save));
        let is_late = tokio::time::timeout(SAVING, saved).await.is_err();
        let sockets: usize = namespaces.iter().map(Namespace::unsaved).sum();
        if is_late || sockets > 0 {
            tracing::warn!(
                unsaved = sockets,
                "the sockets could not be kept in time, and may not come back"
            );
        }
        self.engine.close().await;
        namespaces.extend(self.namespaces());
        join_all(namespaces.iter().filter_map(Namespace::close)).await;
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

/// How long the cluster may take to keep the sockets of a server that closes.
const SAVING: Duration = Duration::from_secs(2);

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

impl Application for App {
    type Connection = ServerConnection;

    fn connect(
        &self,
        session: SessionHandle,
        handshake: Arc<sockeye_listen::Handshake>,
    ) -> ServerConnection {
        let now = tokio::time::Instant::now().into_std();
        let mut connection = ServerConnection::new(Arc::clone(&self.0), session, handshake, now);
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

impl fmt::Debug for WeakServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakServer")
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}
