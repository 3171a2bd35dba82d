use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_dial::ConnectUrl;
use sockeye_engine::TransportKind;
use sockeye_events::EventError;
use sockeye_socket_proto::ClientConnection;

use crate::config::check_timeout;
use crate::run;
use crate::socket::shared::{Alive, ClientCore};
use crate::{ClientConfig, ClientEvent, ConfigError, Reconnection, Socket, SocketConfig};

/// The connection to one server, shared by the [`Socket`]s of all its namespaces.
///
/// There is one session with the server at a time. It is opened when a first socket wants to be
/// connected, comes back by itself when it is lost, and is closed when no socket wants it any
/// more. Two clients of one URL are two connections.
///
/// | URL | is reached by |
/// |---|---|
/// | `http://host:port`, `https://…`, `ws://…`, `wss://…` | long-polling and WebSocket, as configured |
/// | `tcp://host:port`, `tls://host:port` | packets on a TCP stream, or JSON lines |
/// | `unix:/path`, a path with a slash or a name with a dot, `unix:@name` | the same on a Unix-domain socket |
///
/// What follows the host of an HTTP URL is the namespace: `http://host/admin` is `/admin`.
///
/// Cheap to clone. When the last handle of it and of its sockets is dropped, it disconnects.
#[derive(Clone)]
pub struct Client(Arc<Alive>);

impl Client {
    /// A client that is not connected yet, with the default configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the URL makes no sense, or needs TLS without the feature `tls`.
    pub fn new(url: impl ToString) -> Result<Self, ConfigError> {
        Self::with_config(url, ClientConfig::default())
    }

    /// A client that is not connected yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as with listen: `Client::new(5000)`"
    )]
    pub fn with_config(url: impl ToString, config: ClientConfig) -> Result<Self, ConfigError> {
        let url: ConnectUrl = url.to_string().parse()?;
        Ok(Self(ClientCore::start(url, config)?))
    }

    fn shared(&self) -> &Arc<ClientCore> {
        &self.0.0
    }

    /// The socket of a namespace; there is one for each, which stays for as long as the client
    /// does. The slash in front may be left out.
    ///
    /// Unless [`auto_connect`](ClientConfig::auto_connect) is off, it connects in the background
    /// if it is new or not active. A name that the protocol cannot carry, as one with a comma, is
    /// refused then: [`ConnectError::Namespace`](crate::ConnectError::Namespace).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if it connects.
    #[must_use]
    pub fn socket(&self, namespace: &str) -> Socket {
        self.socket_of(namespace, SocketConfig::default)
    }

    /// Like [`socket`](Self::socket), with settings for a socket that does not exist yet.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    ///
    /// # Panics
    ///
    /// As for `socket`.
    pub fn socket_with(
        &self,
        namespace: &str,
        config: SocketConfig,
    ) -> Result<Socket, ConfigError> {
        config.check()?;
        self.check_namespace(namespace)?;
        Ok(self.socket_of(namespace, || config))
    }

    fn socket_of(&self, namespace: &str, config: impl FnOnce() -> SocketConfig) -> Socket {
        let socket = self.add_socket(namespace, config);
        if self.shared().config.auto_connect {
            socket.connect_lazy();
        }
        socket
    }

    /// The socket of a namespace, not connected by this.
    pub(crate) fn add_socket(
        &self,
        namespace: &str,
        config: impl FnOnce() -> SocketConfig,
    ) -> Socket {
        let namespace = with_slash(namespace);
        let make = || Socket::new(&namespace, self.shared(), config());
        let socket = self.shared().find_or_add(&namespace, make);
        socket.held(Arc::clone(&self.0))
    }

    /// Finds names that the protocol cannot carry.
    pub(crate) fn check_namespace(&self, namespace: &str) -> Result<(), ConfigError> {
        let max_len = self.shared().config.connection.max_namespace_len;
        ClientConnection::check_namespace(&with_slash(namespace), max_len)
            .map_err(|_| ConfigError::Namespace(namespace.into()))
    }

    /// The sockets that were made.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        let sockets = self.shared().sockets().into_iter();
        sockets
            .map(|socket| socket.held(Arc::clone(&self.0)))
            .collect()
    }

    /// The URL, as it was given.
    #[must_use]
    pub fn url(&self) -> &ConnectUrl {
        &self.shared().url
    }

    /// How a lost connection is brought back now; `None` for not at all.
    #[must_use]
    pub fn reconnection(&self) -> Option<Reconnection> {
        self.shared().settings().reconnection
    }

    /// Changes [how a lost connection is brought back](ClientConfig::reconnection), from the next delay on.
    ///
    /// `None` is for not at all. If the next attempt is waited for just then, it is not made: the sockets are not
    /// [active](Socket::active) any more, a [`connect`](Socket::connect) that is awaited is
    /// [cancelled](crate::ConnectError::Cancelled), and what was emitted stays for the next connect. A connection that is
    /// open, or being opened, goes on.
    ///
    /// ```
    /// # use sockeye_client as sockeye;
    /// use std::time::Duration;
    ///
    /// use sockeye::Client;
    ///
    /// # fn example(client: Client) -> Result<(), sockeye::ConfigError> {
    /// let slower = client.reconnection().unwrap_or_default();
    /// client.set_reconnection(slower.delay_max(Duration::from_secs(60)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work; nothing is changed then.
    pub fn set_reconnection(
        &self,
        reconnection: impl Into<Option<Reconnection>>,
    ) -> Result<(), ConfigError> {
        let reconnection = reconnection.into();
        if let Some(reconnection) = &reconnection {
            reconnection.check()?;
        }
        let is_off = reconnection.is_none();
        let shared = self.shared();
        shared.change_settings(|settings| settings.reconnection = reconnection);
        if is_off {
            run::give_up(shared);
        }
        Ok(())
    }

    /// How long one attempt may take now; `None` for as long as it takes.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.shared().settings().timeout
    }

    /// Changes [how long one attempt may take](ClientConfig::timeout), from the next one on; `None` for as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if it is zero; nothing is changed then.
    pub fn set_timeout(&self, timeout: impl Into<Option<Duration>>) -> Result<(), ConfigError> {
        let timeout = timeout.into();
        check_timeout(timeout)?;
        self.shared()
            .change_settings(|settings| settings.timeout = timeout);
        Ok(())
    }

    /// The transport of the session that is open.
    #[must_use]
    pub fn transport(&self) -> Option<TransportKind> {
        self.shared().session().map(|session| session.transport())
    }

    /// Stores a value that handlers get with the [`State`](crate::State) extractor. It replaces an
    /// earlier one of the same type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self, value: T) -> &Self {
        self.shared().states.insert(value);
        self
    }

    /// Calls this function when something happens to the connection: it is opened, lost, tried
    /// again. It must not block.
    pub fn on_client_event(&self, hook: impl Fn(&ClientEvent) + Send + Sync + 'static) -> &Self {
        self.shared().hooks.add(hook);
        self
    }

    /// Calls this function when an event goes wrong: a handler fails or panics, the arguments are
    /// not what it takes, a packet cannot be decoded. It replaces an earlier one. Default: a
    /// warning in the log.
    pub fn on_error(&self, hook: impl Fn(&Socket, &EventError) + Send + Sync + 'static) -> &Self {
        self.shared()
            .error_hook
            .update(|current| *current = Some(Arc::new(hook)));
        self
    }

    /// Disconnects all sockets. What was emitted before is still sent.
    pub fn disconnect(&self) {
        self.shared().disconnect_all();
    }

    /// Disconnects all sockets, and waits until what was emitted before is sent and the
    /// connection is closed, which takes a few seconds at most, or up to 15 s if the server leaves an
    /// upgrade to another transport unanswered.
    pub async fn close(&self) {
        self.disconnect();
        self.shared().gone().await;
    }

    /// Waits until no socket is connected, or wants to be: the server has disconnected them, they
    /// have been disconnected, or reconnecting was given up.
    pub async fn closed(&self) {
        self.shared().rested().await;
    }
}

impl Socket {
    /// The client that this is a socket of.
    ///
    /// # Panics
    ///
    /// Only for a socket that an extractor of the application's own has cloned out of an event and
    /// kept beyond the client's end. Every other handle keeps its client.
    #[must_use]
    pub fn client(&self) -> Client {
        Client(self.alive().expect("a socket's handle keeps its client"))
    }
}

fn with_slash(namespace: &str) -> Cow<'_, str> {
    match namespace.starts_with('/') {
        true => namespace.into(),
        false => format!("/{namespace}").into(),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared().fmt(f)
    }
}
