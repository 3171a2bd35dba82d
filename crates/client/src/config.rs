use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sockeye_dial::{ConnectRequest, ConnectorConfig};
use sockeye_engine::SessionHandle;
use sockeye_link::{InboxLimits, Peer};
use sockeye_socket_proto::ConnectionConfig;
use sockeye_socket_proto::lines::LinesConfig;
use sockeye_socket_proto::parser::Parser;

use crate::{ConfigError, ConnectError};

/// How a client works.
///
/// The layers below have their own settings, which are part of this one:
/// [`connector`](Self::connector) for transports, HTTP, TLS and proxies,
/// [`connection`](Self::connection) for the limits of the Socket.IO protocol.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Shared with the connector that is made of it.
    pub(crate) connector: Arc<ConnectorConfig>,
    pub(crate) connection: ConnectionConfig,
    pub(crate) lines: LinesConfig,
    pub(crate) parser: Option<Arc<dyn Parser>>,
    pub(crate) inbox: InboxLimits,
    pub(crate) auto_connect: bool,
    pub(crate) reconnection: Option<Reconnection>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) buffer: BufferLimits,
    pub(crate) max_pending_acks: usize,
    pub(crate) query: Query,
    pub(crate) request: Option<RequestHook>,
}

/// Keys and values for the query of requests, where old servers are shown tokens.
#[derive(Clone, Default)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

/// Without the values.
impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|(key, _)| key);
        f.debug_set().entries(keys).finish()
    }
}

/// How a lost connection is brought back.
///
/// The delay before attempt *n* is `delay` × 2ⁿ⁻¹, give or take a random part of it, but never
/// more than `delay_max`.
#[derive(Clone, Debug)]
pub struct Reconnection {
    pub(crate) attempts: Option<u32>,
    pub(crate) delay: Duration,
    pub(crate) delay_max: Duration,
    pub(crate) randomization: f64,
}

/// What one socket brings along; see [`Client::socket_with`](crate::Client::socket_with).
#[derive(Clone, Debug, Default)]
pub struct SocketConfig {
    pub(crate) auth: Option<Auth>,
    pub(crate) retries: Option<u32>,
    pub(crate) ack_timeout: Option<Duration>,
}

/// What may be kept of events that are emitted while there is no connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferLimits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) policy: BufferPolicy,
}

/// What becomes of an event that is emitted while there is no connection and the buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BufferPolicy {
    /// It is refused: [`EmitError::BufferFull`](crate::EmitError::BufferFull).
    #[default]
    Refuse,
    /// The oldest events are dropped for it; who waits for their acknowledgement is told that
    /// the socket is disconnected.
    DropOldest,
}

type RequestFuture = Pin<Box<dyn Future<Output = Result<ConnectRequest, ConnectError>> + Send>>;
type AuthFuture = Pin<Box<dyn Future<Output = Result<Value, ConnectError>> + Send>>;

/// Changes where and with what the next attempt goes out.
#[derive(Clone)]
pub(crate) struct RequestHook(
    pub(crate) Arc<dyn Fn(ConnectRequest) -> RequestFuture + Send + Sync>,
);

/// What a socket shows when it joins its namespace.
#[derive(Clone)]
pub(crate) enum Auth {
    Value(Value),
    Function(Arc<dyn Fn() -> AuthFuture + Send + Sync>),
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connector: Arc::default(),
            connection: ConnectionConfig::default(),
            lines: LinesConfig::default(),
            parser: None,
            inbox: InboxLimits::default(),
            auto_connect: true,
            reconnection: Some(Reconnection::default()),
            timeout: Some(Duration::from_secs(20)),
            buffer: BufferLimits {
                events: 10_000,
                bytes: 8 * 1024 * 1024,
                policy: BufferPolicy::Refuse,
            },
            max_pending_acks: 10_000,
            query: Query::default(),
            request: None,
        }
    }
}

impl ClientConfig {
    /// Changes how the server is reached: transports, path, protocol revision, headers, TLS,
    /// proxy, the dialect of bare streams, limits of the outbox.
    #[must_use]
    pub fn connector(mut self, change: impl FnOnce(ConnectorConfig) -> ConnectorConfig) -> Self {
        self.connector = Arc::new(change(Arc::unwrap_or_clone(self.connector)));
        self
    }

    /// Changes limits of the Socket.IO protocol: attachments and namespaces.
    #[must_use]
    pub fn connection(mut self, change: impl FnOnce(ConnectionConfig) -> ConnectionConfig) -> Self {
        self.connection = change(self.connection);
        self
    }

    /// Changes how plain servers are spoken to, which send JSON lines over a TCP or Unix-domain
    /// socket.
    #[must_use]
    pub fn lines(mut self, change: impl FnOnce(LinesConfig) -> LinesConfig) -> Self {
        self.lines = change(self.lines);
        self
    }

    /// Writes and reads packets in another format than the standard one; the server must use the same. A plain server
    /// is spoken to in lines as ever. Default: the standard format.
    #[must_use]
    pub fn parser(mut self, parser: impl Parser + 'static) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    /// The other end of a session.
    pub(crate) fn peer<'a>(&'a self, session: &'a SessionHandle) -> Peer<'a> {
        Peer {
            session,
            parser: self.parser.as_deref(),
        }
    }

    /// Changes how events come in: their order, and how many may be handled or wait at once.
    #[must_use]
    pub fn inbox(mut self, change: impl FnOnce(InboxLimits) -> InboxLimits) -> Self {
        self.inbox = change(self.inbox);
        self
    }

    /// Whether [`Client::socket`](crate::Client::socket) connects its socket at once. Default:
    /// yes.
    #[must_use]
    pub const fn auto_connect(mut self, connect: bool) -> Self {
        self.auto_connect = connect;
        self
    }

    /// How a lost connection is brought back; `None` for not at all. Default: for ever, with the
    /// delays of [`Reconnection::default`].
    ///
    /// An attempt that could not succeed later either, without a change on this side, is the last
    /// one in any case: one by TLS without the feature `tls`, say.
    #[must_use]
    pub fn reconnection(mut self, reconnection: impl Into<Option<Reconnection>>) -> Self {
        self.reconnection = reconnection.into();
        self
    }

    /// How long one attempt may take until the session is open, then how long the function of
    /// [`auth_with`](SocketConfig::auth_with) may take if there is one, and then how long until
    /// the server has answered a socket that wants to join its namespace; `None` for as long as
    /// it takes. Zero is an error: [`ConfigError::Zero`]. Default: 20 s.
    ///
    /// A socket that is not answered fails with [`ConnectError::Timeout`]. That is the end of a
    /// [`connect`](crate::Socket::connect) that is awaited. A socket that is to be connected in
    /// any case, by [`connect_lazy`](crate::Socket::connect_lazy) or because it has been before,
    /// goes on waiting, and fails again after the same time: unlike another session, another
    /// answer cannot be asked for. The function is dropped when its time is over, and asked again
    /// for a socket that is to be connected in any case. The JavaScript client waits without a
    /// word for both.
    ///
    /// Servers of Socket.IO 1 and 2 answer no other namespace once they have refused `/`. Whoever
    /// waits for one then waits for a second at most, and fails with what `/` was refused with.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How many events, and how many bytes of their arguments, are kept while there is no
    /// connection, for each socket. Default: 10,000 events and 8 MiB.
    #[must_use]
    pub const fn buffer(mut self, events: usize, bytes: usize) -> Self {
        self.buffer.events = events;
        self.buffer.bytes = bytes;
        self
    }

    /// What happens when that is not enough. Sockets with [`retries`](SocketConfig::retries), whose
    /// events have the same limits whether there is a connection or not, refuse in any case.
    /// Default: [`BufferPolicy::Refuse`].
    #[must_use]
    pub const fn buffer_policy(mut self, policy: BufferPolicy) -> Self {
        self.buffer.policy = policy;
        self
    }

    /// How many acknowledgements one socket may wait for. Default: 10,000.
    #[must_use]
    pub const fn max_pending_acks(mut self, acks: usize) -> Self {
        self.max_pending_acks = acks;
        self
    }

    /// Keys and values for the query of every HTTP request, besides those of the URL. Servers find
    /// them in the handshake; it is where those before Socket.IO 3 look for what `auth` is since.
    /// Default: none.
    #[must_use]
    pub fn query<K: Into<String>, V: Into<String>>(
        mut self,
        query: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let pairs = query.into_iter();
        let pairs = pairs.map(|(key, value)| (key.into(), value.into()));
        self.query = Query(pairs.collect());
        self
    }

    /// Asks this function before every attempt to connect. It gets the request as configured and
    /// gives it back, perhaps with another URL, query, headers (a fresh token, say) or transports; the
    /// request's [`attempt`](ConnectRequest::attempt) says which one it is: 0 for the first after the
    /// client was told to connect; those after it, and those that bring a lost connection back, count from 1. The
    /// function's error is that of the attempt. Default: nothing is changed.
    #[must_use]
    pub fn before_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ConnectRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ConnectRequest, ConnectError>> + Send + 'static,
    {
        self.request = Some(RequestHook(Arc::new(move |request| {
            Box::pin(hook(request))
        })));
        self
    }

    /// Finds settings that cannot work.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        check_timeout(self.timeout)?;
        if let Some(reconnection) = &self.reconnection {
            reconnection.check()?;
        }
        Ok(())
    }
}

pub(crate) fn check_timeout(timeout: Option<Duration>) -> Result<(), ConfigError> {
    match timeout {
        Some(Duration::ZERO) => Err(ConfigError::Zero("the timeout")),
        _ => Ok(()),
    }
}

impl Default for Reconnection {
    fn default() -> Self {
        Self {
            attempts: None,
            delay: Duration::from_secs(1),
            delay_max: Duration::from_secs(5),
            randomization: 0.5,
        }
    }
}

impl Reconnection {
    /// After how many attempts it is given up. 0 means never, as in the JavaScript client.
    /// Default: never.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { None } else { Some(attempts) };
        self
    }

    /// The delay before the first attempt, which doubles from then on. Zero is an error: [`ConfigError::Zero`].
    /// Default: 1 s.
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest delay. One that is shorter than the [first](Self::delay) is an error: [`ConfigError::DelayMax`].
    /// Default: 5 s.
    #[must_use]
    pub const fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// How large the random part of a delay may be, from 0 (none) to 1 (all of it). Anything else is an error:
    /// [`ConfigError::Randomization`]. Default: 0.5.
    #[must_use]
    pub const fn randomization(mut self, factor: f64) -> Self {
        self.randomization = factor;
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.delay.is_zero() {
            return Err(ConfigError::Zero("the reconnection delay"));
        }
        if self.delay_max < self.delay {
            return Err(ConfigError::DelayMax);
        }
        if !(0.0..=1.0).contains(&self.randomization) {
            return Err(ConfigError::Randomization);
        }
        Ok(())
    }
}

impl SocketConfig {
    /// What the socket shows when it joins its namespace, at every connection: anything that
    /// serialises to a JSON object. Default: nothing.
    ///
    /// # Errors
    ///
    /// If the value cannot be serialised, or is no object.
    pub fn auth(mut self, auth: impl Serialize) -> Result<Self, ConfigError> {
        let value = serde_json::to_value(auth).map_err(ConfigError::Auth)?;
        if !value.is_object() {
            return Err(ConfigError::AuthShape);
        }
        self.auth = Some(Auth::Value(value));
        Ok(self)
    }

    /// Asks this function for the auth data at every connection. Its error becomes the connect error, as if the server
    /// had refused: the socket does not try again by itself. If it can fail for a while, let it retry until it
    /// succeeds. What takes longer than the client's [`timeout`](ClientConfig::timeout) is dropped, and fails with
    /// [`ConnectError::Timeout`].
    #[must_use]
    pub fn auth_with<F, Fut>(mut self, auth: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, ConnectError>> + Send + 'static,
    {
        self.auth = Some(Auth::Function(Arc::new(move || Box::pin(auth()))));
        self
    }

    /// Delivers every event at least once and in order: one at a time is sent, again and again
    /// until the server acknowledges it, up to this many times more. An event that is given up
    /// fails with the last error. Volatile events are not concerned. Needs an
    /// [`ack_timeout`](Self::ack_timeout), and is an error without one: [`ConfigError::RetriesWithoutTimeout`].
    /// Default: off.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// How long acknowledgements are waited for unless an emit says otherwise. Zero is an error:
    /// [`ConfigError::Zero`]. Default: until the socket is disconnected.
    #[must_use]
    pub const fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = Some(timeout);
        self
    }

    /// Finds settings that cannot work.
    pub(crate) const fn check(&self) -> Result<(), ConfigError> {
        match (self.retries, self.ack_timeout) {
            (Some(_), None) => Err(ConfigError::RetriesWithoutTimeout),
            (_, Some(Duration::ZERO)) => Err(ConfigError::Zero("the ack timeout")),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for RequestHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestHook")
    }
}

impl fmt::Debug for Auth {
    /// Without the value, which is where tokens are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::Function(_) => "Function",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reconnection: Reconnection) -> String {
        let config = ClientConfig::default().reconnection(reconnection);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn impossible_settings_are_named() {
        let base = Reconnection::default;
        assert_eq!(
            error(base().delay(Duration::ZERO)),
            "the reconnection delay must not be zero"
        );
        assert_eq!(
            error(base().delay_max(Duration::from_millis(1))),
            "the longest reconnection delay is shorter than the first"
        );
        assert_eq!(
            error(base().randomization(1.1)),
            "the randomization factor must be between 0 and 1"
        );
        let config = ClientConfig::default().timeout(Duration::ZERO);
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "the timeout must not be zero"
        );
    }

    #[test]
    fn time_to_answer_must_not_be_zero() {
        let config = SocketConfig::default().ack_timeout(Duration::ZERO);
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "the ack timeout must not be zero"
        );
    }

    #[test]
    fn auth_must_be_an_object() {
        let error = SocketConfig::default().auth("token").unwrap_err();
        assert_eq!(error.to_string(), "auth must be an object");
        assert!(
            SocketConfig::default()
                .auth(serde_json::json!({ "token": "t" }))
                .is_ok()
        );
    }
}
