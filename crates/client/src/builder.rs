use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde_json::Value;
use sockeye_dial::ConnectUrl;
use sockeye_events::{Callback, EventCallback, IntoReply, Listeners};

use crate::{Client, ClientConfig, ConfigError, ConnectError, Reconnection, Socket, SocketConfig};

/// A client in the making, and the socket of its URL's namespace.
///
/// Handlers that are added here are there before the first event can come.
///
/// ```no_run
/// # use sockeye_client as sockeye;
/// use sockeye::{Client, Data};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Client::builder("https://example.org/admin")
///     .auth(serde_json::json!({ "token": "t0" }))
///     .on("news", async |Data(text): Data<String>| println!("{text}"))
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `connect`, `connect_lazy` or `build`"]
pub struct ClientBuilder {
    url: String,
    namespace: Option<String>,
    config: ClientConfig,
    socket: Result<SocketConfig, ConfigError>,
    listeners: Listeners<Socket>,
    states: Vec<SetState>,
}

/// Hands a state to the client that is built.
type SetState = Box<dyn FnOnce(&Client) + Send>;

impl Client {
    /// Connects to a server with the default configuration, and waits until the socket of the
    /// URL's namespace is connected.
    ///
    /// Handlers of events that the server emits right away may come too late here;
    /// [`builder`](Self::builder) takes them along.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the URL makes no sense, the server cannot be reached, or refuses.
    pub async fn connect(url: impl ToString) -> Result<Socket, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Like [`connect`](Self::connect), but returns at once and connects in the background, again
    /// and again until it succeeds, as the JavaScript client does.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the URL makes no sense, or needs TLS without the feature `tls`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect_lazy(url: impl ToString) -> Result<Socket, ConfigError> {
        Self::builder(url).connect_lazy()
    }

    /// Begins a client with other settings, and with the handlers that are to be there from the
    /// start.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as with listen: `Client::builder(5000)`"
    )]
    pub fn builder(url: impl ToString) -> ClientBuilder {
        ClientBuilder::new(url.to_string())
    }
}

impl ClientBuilder {
    fn new(url: String) -> Self {
        Self {
            url,
            namespace: None,
            config: ClientConfig::default(),
            socket: Ok(SocketConfig::default()),
            listeners: Listeners::default(),
            states: Vec::new(),
        }
    }

    /// Changes settings of the client.
    pub fn config(mut self, change: impl FnOnce(ClientConfig) -> ClientConfig) -> Self {
        self.config = change(self.config);
        self
    }

    /// Changes settings of the socket.
    pub fn socket_config(mut self, change: impl FnOnce(SocketConfig) -> SocketConfig) -> Self {
        self.socket = self.socket.map(change);
        self
    }

    /// The namespace of the socket, in place of the one in the URL. The slash in front may be
    /// left out.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// What the socket shows when it joins its namespace: anything that serialises to a JSON
    /// object.
    ///
    /// Servers before Socket.IO 3 let everyone into `/` without asking, so they never see it there; use the
    /// [`query`](ClientConfig::query) for them. Servers that speak lines have nothing like it. The log warns in both
    /// cases.
    pub fn auth(mut self, auth: impl Serialize) -> Self {
        self.socket = self.socket.and_then(|socket| socket.auth(auth));
        self
    }

    /// Asks this function for it at every connection; see [`SocketConfig::auth_with`].
    pub fn auth_with<F, Fut>(self, auth: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, ConnectError>> + Send + 'static,
    {
        self.socket_config(|socket| socket.auth_with(auth))
    }

    /// How a lost connection is brought back; `None` for not at all.
    pub fn reconnection(self, reconnection: impl Into<Option<Reconnection>>) -> Self {
        self.config(|config| config.reconnection(reconnection))
    }

    /// Stores a value that handlers get with the [`State`](crate::State) extractor, before the first of
    /// them can run; see [`Client::state`].
    ///
    /// ```
    /// # use sockeye_client as sockeye;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use sockeye::{Client, Data, State};
    ///
    /// #[derive(Clone, Default)]
    /// struct Total(Arc<AtomicU64>);
    ///
    /// let socket = Client::builder("http://localhost:3000")
    ///     .state(Total::default())
    ///     .on("sold", |State(Total(total)): State<Total>, Data(n): Data<u64>| {
    ///         total.fetch_add(n, Ordering::Relaxed) + n
    ///     })
    ///     .build()?;
    /// # Ok::<(), sockeye::ConfigError>(())
    /// ```
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.push(Box::new(move |client| {
            client.state(value);
        }));
        self
    }

    /// Adds a handler of an event; see [`Listeners::on`].
    pub fn on<M: 'static, F>(self, name: &str, handler: F) -> Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.listeners(|listeners| {
            listeners.on(name, handler);
        })
    }

    /// Adds a handler of a typed event; see [`Listeners::on_event`].
    pub fn on_event<M: 'static, F>(self, handler: F) -> Self
    where
        F: EventCallback<Socket, M>,
    {
        self.listeners(|listeners| {
            listeners.on_event(handler);
        })
    }

    /// Adds handlers of other kinds: those that the socket is to begin with.
    ///
    /// ```no_run
    /// # use sockeye_client as sockeye;
    /// use sockeye::{Client, DisconnectReason, EventName};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = Client::builder("https://example.org")
    ///     .listeners(|socket| {
    ///         socket
    ///             .once("welcome", || println!("we are in"))
    ///             .on_any(|EventName(name): EventName| println!("{name}"))
    ///             .on_disconnect(|reason: DisconnectReason| println!("gone: {reason}"));
    ///     })
    ///     .connect()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn listeners(self, add: impl FnOnce(&Listeners<Socket>)) -> Self {
        add(&self.listeners);
        self
    }

    /// Makes the socket, which is not connected yet: for what has no method here.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    pub fn build(self) -> Result<Socket, ConfigError> {
        let url: ConnectUrl = self.url.parse()?;
        let namespace = self.namespace.unwrap_or_else(|| url.namespace().to_owned());
        let config = self.socket?;
        config.check()?;
        let client = Client::with_config(self.url, self.config)?;
        client.check_namespace(&namespace)?;
        for give in self.states {
            give(&client);
        }
        let socket = client.add_socket(&namespace, || config);
        socket.adopt(&self.listeners);
        Ok(socket)
    }

    /// Connects, and waits for the server's answer; see [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if a setting cannot work, the server cannot be reached, or refuses.
    pub async fn connect(self) -> Result<Socket, ConnectError> {
        let socket = self.build()?;
        socket.connect().await?;
        Ok(socket)
    }

    /// Connects in the background; see [`Socket::connect_lazy`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn connect_lazy(self) -> Result<Socket, ConfigError> {
        let socket = self.build()?;
        socket.connect_lazy();
        Ok(socket)
    }
}

/// Without the values of the URL's query, in which tokens travel.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("url", &self.url.parse::<ConnectUrl>().ok())
            .field("namespace", &self.namespace)
            .field("config", &self.config)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secrets() {
        let builder = Client::builder("http://localhost:3000/?token=secret")
            .config(|config| config.query([("key", "secret")]))
            .auth(serde_json::json!({ "token": "secret" }));
        let shown = format!("{builder:?}");
        assert!(
            shown.contains("localhost") && shown.contains("key"),
            "{shown}"
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
