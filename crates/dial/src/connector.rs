//! Sessions of a client: opening them, and the future that runs one.

mod config;
mod error;
mod exchange;
mod http;
mod options;
mod stream;
mod target;
pub mod transport;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::http::HeaderMap;
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use sockeye_engine_proto::{CloseReason, Revision, Session, TransportKind};

use crate::dialer::{ConnectorError, Dialer};
use crate::url::ConnectUrl;
use sockeye_engine::Connection;
use sockeye_engine::SessionId;
use sockeye_engine::SessionLimits;
use sockeye_engine::mask;
use sockeye_engine::now;
use sockeye_engine::{Agreed, AnyCarrier, Driver, Side};
use sockeye_engine::{Dialect, SessionHandle};

pub use config::ConnectorConfig;
pub use error::OpenError;
pub use options::TransportOptions;

/// Opens sessions with servers.
///
/// Cheap to clone; clones share what is known of servers: cookies, connections that are kept
/// alive, and what the last session has moved to.
#[derive(Clone)]
pub struct Connector {
    shared: Arc<ConnectorCore>,
}

struct ConnectorCore {
    config: Arc<ConnectorConfig>,
    dialer: Dialer,
    /// What the last session has moved to, or begun on, for [`ConnectorConfig::remember_upgrade`].
    worked: Mutex<Option<TransportKind>>,
}

impl ConnectorCore {
    /// The transport to begin on, if one is remembered.
    fn remembered(&self) -> Option<TransportKind> {
        *self.worked.lock()
    }

    /// This transport works, or what was remembered does not.
    fn remember(&self, worked: Option<TransportKind>) {
        *self.worked.lock() = worked;
    }
}

/// Where to open a session, and with what; all of it may differ from one attempt to the next.
#[derive(Clone)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The server. Its namespace means nothing to a session.
    pub url: ConnectUrl,
    /// Keys and values for the query of every HTTP request, besides those of the URL; where both
    /// have a key, these are used, and `EIO`, `transport` and `sid` are left out. Bare streams have
    /// no query.
    pub query: Vec<(String, String)>,
    /// Headers for every HTTP request, instead of those of the same name in the configuration.
    pub headers: HeaderMap,
    /// The transports to use with an `http`, `https`, `ws` or `wss` URL, the one to begin with first; `None` for those of
    /// the configuration.
    pub transports: Option<Vec<TransportKind>>,
    /// Which attempt it is: 0 for the first one after the client was told to connect. Those that follow if it fails, and
    /// those that bring a lost connection back, count from 1. It changes nothing; it is for whoever decides about the rest
    /// of the request.
    pub attempt: u32,
    /// By when whoever asks wants to have the session, if that is limited. What is known of a server
    /// that stays silent is told just before, as [`OpenError::Silent`]; nothing else ends at this time.
    pub deadline: Option<Instant>,
}

/// A session that was just opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct Opened {
    /// What sends to it and closes it.
    pub session: SessionHandle,
    /// The revision of Engine.IO that the server speaks.
    pub revision: Revision,
    /// The server's name for the session; empty where peers speak in lines. Whoever has it can
    /// take the session over.
    pub sid: String,
    /// The transport that it begins on.
    pub transport: TransportKind,
    /// What is spoken.
    pub dialect: Dialect,
    /// By when the server's first heartbeat must have come; `None` where it is not the server that
    /// sends them.
    pub heartbeat_due: Option<Instant>,
}

/// Runs one session: a future that is ready when the session is over and its connection has
/// nothing left to do. It tells why the session was closed.
///
/// It is to be spawned, or polled otherwise, from the beginning: nothing is read and no heartbeat
/// answered without. Dropping it drops the connection without a word.
#[must_use = "a session is not run unless this future is"]
pub struct ClientSession<C: Connection> {
    driver: Driver<ClientSide, C>,
    handle: SessionHandle,
}

impl Connector {
    /// A connector, once its settings are found to work.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] names the setting that cannot work.
    pub fn new(config: impl Into<Arc<ConnectorConfig>>) -> Result<Self, ConnectorError> {
        let config = config.into();
        config.check()?;
        let shared = ConnectorCore {
            dialer: Dialer::new(Arc::clone(&config.dial), config.limits.payload.max_payload)?,
            config,
            worked: Mutex::new(None),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A request as the configuration has it.
    #[must_use]
    pub fn request(&self, url: ConnectUrl) -> ConnectRequest {
        ConnectRequest::new(url).transports(self.shared.config.transports.iter().copied())
    }

    /// Opens a session: connects, shakes hands and reads the open packet. `build` makes the upper
    /// layer; what that sends meanwhile is the first that the server gets.
    ///
    /// Nothing limits the time that this takes but the system's own limits: it is meant to be
    /// used with a timeout.
    ///
    /// # Errors
    ///
    /// [`OpenError`], of the last transport that was tried.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives everything up. A server that had opened a session on polling
    /// learns of it by the missing heartbeat.
    pub async fn open<C: Connection>(
        &self,
        request: ConnectRequest,
        build: impl FnOnce(&Opened) -> C,
    ) -> Result<ClientSession<C>, OpenError> {
        mask::check()?;
        let begun = self.begin(&request).await?;
        begun.run(&self.shared, build)
    }

    /// All that has nothing to do with the upper layer, so that it is compiled here rather than in each crate that has one.
    fn begin<'a>(&'a self, request: &'a ConnectRequest) -> BoxFuture<'a, Result<Begun, OpenError>> {
        match request.url.stream_transport() {
            Some(transport) => self.open_stream(request, transport).boxed(),
            None => self.open_http(request).boxed(),
        }
    }
}

/// A session that the server has opened.
struct Begun {
    state: Session,
    sid: String,
    dialect: Dialect,
    base64: bool,
    carrier: AnyCarrier,
    agreed: Agreed,
}

impl Begun {
    fn run<C: Connection>(
        self,
        shared: &Arc<ConnectorCore>,
        build: impl FnOnce(&Opened) -> C,
    ) -> Result<ClientSession<C>, OpenError> {
        // Only servers look sessions up by their ids, so that any will do for one that a foreign
        // server has named in a way of its own.
        let id = SessionId::parse(&self.sid).map_or_else(SessionId::random, Ok)?;
        let (revision, transport) = (self.state.revision(), self.state.transport());
        let limits = &shared.config.limits;
        let handle = SessionHandle::new(id, revision, transport, self.dialect, self.base64, limits);
        handle.begin(self.carrier.outlet().agree(self.agreed));
        let opened = Opened {
            session: handle.clone(),
            revision,
            sid: self.sid,
            transport,
            dialect: self.dialect,
            heartbeat_due: match revision {
                Revision::V4 => self.state.heartbeat_due(),
                Revision::V3 => None,
            },
        };
        let connection = build(&opened);
        let side = ClientSide {
            shared: Arc::clone(shared),
        };
        let session = handle.clone();
        let driver = Driver::new(side, session, self.state, connection, self.carrier, now());
        Ok(ClientSession { driver, handle })
    }
}

impl ConnectRequest {
    /// A request without anything in particular.
    #[must_use]
    pub fn new(url: ConnectUrl) -> Self {
        Self {
            url,
            query: Vec::new(),
            headers: HeaderMap::new(),
            transports: None,
            attempt: 0,
            deadline: None,
        }
    }

    /// Sets [`query`](Self::query).
    #[must_use]
    pub fn query(mut self, query: Vec<(String, String)>) -> Self {
        self.query = query;
        self
    }

    /// Sets [`transports`](Self::transports).
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = TransportKind>) -> Self {
        self.transports = Some(transports.into_iter().collect());
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets [`headers`](Self::headers).
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }
}

impl<C: Connection> ClientSession<C> {
    /// What sends to the session and closes it.
    #[must_use]
    pub const fn handle(&self) -> &SessionHandle {
        &self.handle
    }
}

impl<C: Connection> Future for ClientSession<C> {
    type Output = CloseReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        ready!(Pin::new(&mut self.driver).poll(cx));
        let (reason, side) = self.driver.outcome();
        let reason = reason.expect("a driver ends behind its session");
        if reason == CloseReason::TransportError {
            side.shared.remember(None);
        }
        Poll::Ready(reason)
    }
}

/// What a driver needs to know of a client.
struct ClientSide {
    shared: Arc<ConnectorCore>,
}

impl Side for ClientSide {
    const WAITS_FOR_ROOM: bool = false;

    fn limits(&self) -> &SessionLimits {
        &self.shared.config.limits
    }

    fn slack(&self) -> Duration {
        // A client that has slept is to find out soon, rather than to give the server another
        // round of time: it has closed the session long since, and a new one is what it takes.
        Duration::MAX
    }

    fn forget(&self, _session: &SessionHandle) {}
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// Without the values of headers and query, in which tokens travel.
impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.query.iter().map(|(key, _)| key).collect();
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("ConnectRequest")
            .field("url", &self.url.origin().to_string())
            .field("query", &keys)
            .field("headers", &names)
            .field("transports", &self.transports)
            .field("attempt", &self.attempt)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// Without the session's id, which is a secret.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("revision", &self.revision)
            .field("transport", &self.transport)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

impl<C: Connection> fmt::Debug for ClientSession<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secrets() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "secret".parse().unwrap());
        let config = ConnectorConfig::default().headers(headers.clone());
        let url = "http://host/chat?token=secret".parse().unwrap();
        let query = vec![("key".to_owned(), "secret".to_owned())];
        let request = ConnectRequest::new(url).query(query).headers(headers);
        let connector = Connector::new(config.clone()).unwrap();
        let text = format!("{config:?} {connector:?} {request:?}");
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("authorization") && text.contains("key"));
    }

    #[test]
    fn impossible_settings_are_named() {
        let error = |config| Connector::new(config).unwrap_err().to_string();
        let default = ConnectorConfig::default;
        assert!(error(default().path("x")).contains("\"x\""));
        assert!(error(default().transports([TransportKind::Tcp])).contains("tcp"));
        assert!(error(default().limits(|limits| limits.outbox_limit(0))).contains("outbox limit"));
    }
}
