mod error;
mod hooks;
mod old_clients;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use sockeye_engine_proto::{SessionConfig, TransportKind};
use sockeye_websocket::DeflateConfig;

pub use error::ConfigError;
pub use hooks::ConnectionError;
use hooks::Hooks;

use crate::connections::ConnectionLimits;
use crate::cookie::Cookie;
use crate::cors::Cors;
use crate::gate::SessionCounts;
use crate::handshake::Handshake;
use crate::http::{Body, HttpCompression, Layers, RequestBody, RequestService, StaticFile};
use crate::origins::Origins;
use sockeye_engine::SessionLimits;
use tower_layer::Layer;
use tower_service::Service;

/// How an engine serves its sessions.
///
/// Durations and limits are those of the protocol's reference server unless a field says
/// otherwise. Everything is checked once, when the engine is built.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub(crate) path: String,
    pub(crate) session: SessionConfig,
    pub(crate) limits: SessionLimits,
    pub(crate) allow_v3: bool,
    pub(crate) missing_revision: MissingRevision,
    pub(crate) jsonp: bool,
    pub(crate) merge_first_packets: bool,
    pub(crate) origins: Option<Origins>,
    pub(crate) transports: Vec<TransportKind>,
    pub(crate) allow_upgrades: bool,
    pub(crate) stream_compression: Option<usize>,
    pub(crate) per_message_deflate: Option<DeflateConfig>,
    pub(crate) http_compression: Option<HttpCompression>,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_address: Option<usize>,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) max_body_chunks: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) cors: Option<Cors>,
    pub(crate) cookie: Option<Cookie>,
    pub(crate) hooks: Hooks,
    pub(crate) layers: Layers,
    pub(crate) files: Vec<Arc<StaticFile>>,
}

/// What a request without an `EIO` parameter means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingRevision {
    /// It is refused with code 5.
    #[default]
    Refuse,
    /// It is read as revision 3, which is how the Swift client up to version 15 asks.
    V3,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: "/engine.io".into(),
            session: SessionConfig::default(),
            limits: SessionLimits::default(),
            allow_v3: true,
            missing_revision: MissingRevision::default(),
            jsonp: false,
            merge_first_packets: false,
            origins: None,
            transports: vec![TransportKind::Polling, TransportKind::WebSocket],
            allow_upgrades: true,
            stream_compression: Some(1024),
            per_message_deflate: None,
            http_compression: Some(HttpCompression::default()),
            max_sessions: 1_000_000,
            max_sessions_per_address: None,
            connection_limits: ConnectionLimits::default(),
            max_body_chunks: 10_000,
            body_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(1),
            cors: None,
            cookie: None,
            hooks: Hooks::default(),
            layers: Layers::default(),
            files: Vec::new(),
        }
    }
}

impl EngineConfig {
    /// The path under which the engine answers, with or without a final slash. Default:
    /// `/engine.io` (and `/socket.io` for a Socket.IO server).
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Changes the times of sessions: heartbeats, upgrades, how long closed ones are kept.
    ///
    /// What moves between the two ends counts as a sign of life: packets, or 512 bytes of one that is
    /// not complete, or a socket that was full and takes more. Heartbeats go ahead of messages that
    /// wait.
    #[must_use]
    pub fn session(mut self, change: impl FnOnce(SessionConfig) -> SessionConfig) -> Self {
        self.session = change(self.session);
        self
    }

    /// Changes what one session may take: bytes, packets and times.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(SessionLimits) -> SessionLimits) -> Self {
        self.limits = change(self.limits);
        self
    }

    /// Whether peers of revision 3 (Socket.IO 1.x and 2.x) are served. Default: yes.
    #[must_use]
    pub const fn allow_v3(mut self, allow: bool) -> Self {
        self.allow_v3 = allow;
        self
    }

    /// What a request without an `EIO` parameter means. Default: it is refused.
    #[must_use]
    pub const fn missing_revision(mut self, meaning: MissingRevision) -> Self {
        self.missing_revision = meaning;
        self
    }

    /// The transports that are served over HTTP: polling, WebSocket or both, which is the default. Another one is refused
    /// with [`ConfigError::Transport`], and none at all with [`ConfigError::NoTransport`]. Bare streams are no matter of
    /// this, but of [`listen`](crate::Engine::listen).
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = TransportKind>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Whether a session may go from polling to a stream. Default: yes.
    #[must_use]
    pub const fn allow_upgrades(mut self, allow: bool) -> Self {
        self.allow_upgrades = allow;
        self
    }

    /// From how many bytes on messages are compressed on bare streams, to native peers that offer
    /// it; `None` for never, and not from them either. Each message is compressed by itself, so
    /// that an idle connection keeps nothing, and a broadcast is compressed once. Default: 1024.
    ///
    /// Below TLS, the length of a compressed message tells something about it: do not let secrets
    /// and what others can choose travel in one message, or emit it uncompressed.
    #[must_use]
    pub const fn stream_compression(mut self, from_bytes: Option<usize>) -> Self {
        self.stream_compression = from_bytes;
        self
    }

    /// How messages are compressed on WebSockets (permessage-deflate, RFC 7692), to and from peers that offer it, which
    /// browsers and the JavaScript client do; `None` for not at all. Default: `None`, as with the JavaScript server.
    ///
    /// By default each message is compressed by itself, so that an idle connection keeps nothing, and a broadcast is
    /// compressed once for all receivers. A peer that asks for a smaller window gets it. What comes out of a compressed
    /// message may have [`max_payload`](SessionLimits::max_payload()) bytes.
    ///
    /// Below TLS, the length of a compressed message tells something about it: do not let secrets
    /// and what others can choose travel in one message, or emit it uncompressed.
    #[must_use]
    pub const fn per_message_deflate(mut self, deflate: Option<DeflateConfig>) -> Self {
        self.per_message_deflate = deflate;
        self
    }

    /// How answers to polls are compressed for clients that take one of the codings gzip, deflate and, with the feature
    /// `brotli`, br; `None` for not at all. Default: from 1024 bytes on, as with the JavaScript server.
    ///
    /// An answer is sent as it is if no message in it may be compressed. What clients send is never inflated.
    ///
    /// As for [`per_message_deflate`](Self::per_message_deflate), its length tells something about what is in it.
    #[must_use]
    pub const fn http_compression(mut self, compression: Option<HttpCompression>) -> Self {
        self.http_compression = compression;
        self
    }

    /// How many sessions may be open at once, those included whose handshake is being answered; a
    /// handshake beyond is refused. Default: 1,000,000, which is more than a process usually has file
    /// descriptors for.
    #[must_use]
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// How many of these sessions there may be from one IP address, or from one network of IPv6 (the first 64 bits of the
    /// address); a handshake beyond is refused. A session on long-polling has no connection between its requests, and
    /// stays for [`ping_timeout`](SessionConfig::ping_timeout()) after the last: a single connection can open any number of
    /// them. Default: as many as [`max_connections_per_address`](Self::max_connections_per_address).
    ///
    /// Behind a proxy, what is said there goes for this, too. In another HTTP server they are counted if that tells the
    /// peer's address; sessions of peers without one, as on Unix-domain sockets, are not counted by this.
    #[must_use]
    pub const fn max_sessions_per_address(mut self, sessions: usize) -> Self {
        self.max_sessions_per_address = Some(sessions);
        self
    }

    /// How many connections all listeners of the engine may have together, sessions' and others.
    /// Default: 1,000,000.
    ///
    /// For one beyond, an HTTP connection is closed that waits for a request, or whose peer does not
    /// read its answers; the first are those of the address that has most. If there is none, the new
    /// connection is closed, on HTTP with status 503. The same is done when the process has no file
    /// descriptors left, whatever the limit.
    ///
    /// Connections of another HTTP server, in which the engine is a layer, are that server's affair.
    #[must_use]
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.connection_limits.total = connections;
        self
    }

    /// How many connections there may be from one IP address, or from one network of IPv6 (the first
    /// 64 bits of the address). Beyond it, the same is done as for
    /// [`max_connections`](Self::max_connections), with connections from there. Default: 20,000. Unless
    /// [said otherwise](Self::max_sessions_per_address), so many sessions there may be from there, too.
    ///
    /// All connections through a proxy come from its address: behind one, this may have to be as
    /// large as `max_connections`, and the proxy to count. On the open internet a few hundred do.
    /// Unix-domain sockets are not counted by this.
    #[must_use]
    pub const fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.connection_limits.per_address = connections;
        self
    }

    /// In how many chunks the body of a POST may come that does not say its length
    /// (`Transfer-Encoding: chunked`); beyond it, it is answered with status 413, and its session ends
    /// with a transport error. A body with a `Content-Length` is not counted. Default: 10,000.
    #[must_use]
    pub const fn max_body_chunks(mut self, chunks: usize) -> Self {
        self.max_body_chunks = chunks;
        self
    }

    /// How long the body of a POST may take to come; after that it is answered with status 408, and
    /// its session ends with a transport error. Default: 30 s.
    #[must_use]
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// How long [closing the engine](crate::Engine::close) may take, for what waits to be written
    /// and requests to be answered; what is not through by then is dropped. Default: 1 s.
    ///
    /// A client on long-polling that makes no request in this time is not told, and finds out by its
    /// next one. To give all of them time, [drain](crate::Engine::close_when_idle) the engine before.
    #[must_use]
    pub const fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Which other origins may use the server. Default: none.
    #[must_use]
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = Some(cors);
        self
    }

    /// Sends the session id as a cookie with polling handshakes. Default: no cookie.
    #[must_use]
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.cookie = Some(cookie);
        self
    }

    /// Asks this function before a session is opened. `Err` refuses it with the text
    /// (HTTP status 403 and code 4; an upgrade request gets status 400). It replaces an earlier
    /// one. Default: everyone is let in, pages of any origin too.
    #[must_use]
    pub fn allow_request<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(Arc<Handshake>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.hooks.allow_request = Some(Arc::new(move |handshake| Box::pin(hook(handshake))));
        self
    }

    /// May change the headers of the response that opens a session.
    #[must_use]
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &http::request::Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.initial_headers = Some(Arc::new(hook));
        self
    }

    /// May change the headers of every response.
    #[must_use]
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &http::request::Parts) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.headers = Some(Arc::new(hook));
        self
    }

    /// Calls this function with each request over HTTP that is refused before it gets to a session, with the reason. It
    /// replaces an earlier one, and must not block. Without one, they are logged at `debug`, as ever.
    ///
    /// Bare streams, which make no requests, are not told of, nor is what goes wrong in a session that is there.
    #[doc(alias = "connection_error")]
    #[must_use]
    pub fn on_connection_error(
        mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.connection_error = Some(Arc::new(hook));
        self
    }

    /// Puts a tower layer around the answers to all requests for the path, on every listener: handshakes, polls, POSTs, and
    /// upgrades. Of several, the one that was added first sees a request first. This is what middlewares of the engine are
    /// in Node.
    ///
    /// A layer may take its time, and answer by itself, which refuses the request; no session has been opened then. If it fails,
    /// the answer is status 400 with code 3, and
    /// [`on_connection_error`](Self::on_connection_error) is told. What it puts into the extensions of a handshake is kept with
    /// the [`Handshake`]; headers that it adds to a response go out, also those of an upgrade. It must hand on the request's
    /// own extensions, in which the upgrade is. Preflight requests of [CORS](Self::cors) and
    /// [files](Self::file) are answered before, and bare streams know no HTTP.
    ///
    /// With a layer, each request costs a few allocations more; a WebSocket pays that once.
    #[doc(alias = "use")]
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<RequestService> + Send + Sync + 'static,
        L::Service: Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error: Into<Box<dyn std::error::Error + Send + Sync>>,
                Future: Send,
            > + Clone
            + Send
            + Sync
            + 'static,
    {
        self.layers.push(layer);
        self
    }

    /// Serves a file below the path, at the path, a slash and its name.
    #[must_use]
    pub fn file(mut self, file: Arc<StaticFile>) -> Self {
        self.files.push(file);
        self
    }

    /// The file that this path names.
    pub(crate) fn find_file(&self, path: &str) -> Option<&StaticFile> {
        let name = path.strip_prefix(&self.path)?.strip_prefix('/')?;
        self.files
            .iter()
            .find(|file| file.name() == name)
            .map(AsRef::as_ref)
    }

    /// How many sessions there may be.
    pub(crate) fn session_counts(&self) -> SessionCounts {
        let connections = self.connection_limits.per_address;
        SessionCounts {
            total: self.max_sessions,
            per_address: self.max_sessions_per_address.unwrap_or(connections),
        }
    }

    /// Finds settings that cannot work, and brings the path into its one form.
    pub(crate) fn checked(mut self) -> Result<Self, ConfigError> {
        if !self.path.starts_with('/') {
            return Err(ConfigError::Path(self.path));
        }
        self.path.truncate(self.path.trim_end_matches('/').len());
        if self.transports.is_empty() {
            return Err(ConfigError::NoTransport);
        }
        if let Some(kind) = self.transports.iter().find(|kind| !kind.is_over_http()) {
            return Err(ConfigError::Transport(*kind));
        }
        let durations = [
            (self.session.ping_interval, "the ping interval"),
            (self.session.ping_timeout, "the ping timeout"),
            (self.session.upgrade_timeout, "the upgrade timeout"),
            (self.body_timeout, "the time for the body of a POST"),
        ];
        if let Some((_, name)) = durations.iter().find(|(duration, _)| duration.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        let sizes = [
            (self.connection_limits.total, "the number of connections"),
            (
                self.connection_limits.per_address,
                "the number of connections from one address",
            ),
            (
                self.session_counts().per_address,
                "the number of sessions from one address",
            ),
            (self.max_body_chunks, "the number of chunks in a POST"),
        ];
        if let Some((_, name)) = sizes.iter().find(|(size, _)| *size == 0) {
            return Err(ConfigError::Zero(name));
        }
        if let Some(name) = self.limits.zero() {
            return Err(ConfigError::Zero(name));
        }
        if let Some(cors) = &self.cors {
            cors.check()?;
        }
        if let Some(origins) = &self.origins {
            origins.check()?;
        }
        Ok(self)
    }

    /// Whether a request for this path is the engine's: the path itself and all below it.
    pub(crate) fn owns(&self, path: &str) -> bool {
        path.strip_prefix(&self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(crate) fn has(&self, transport: TransportKind) -> bool {
        self.transports.contains(&transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_brought_into_one_form() {
        let config = EngineConfig::default().path("/a/").checked().unwrap();
        assert!(config.owns("/a") && config.owns("/a/") && config.owns("/a/b"));
        assert!(!config.owns("/ab") && !config.owns("/"));
    }

    #[test]
    fn impossible_settings_are_named() {
        let error = EngineConfig::default()
            .session(|session| session.ping_interval(Duration::ZERO))
            .checked()
            .unwrap_err();
        assert_eq!(error.to_string(), "the ping interval must not be zero");
        let error = EngineConfig::default()
            .limits(|limits| limits.max_payload(0))
            .checked()
            .unwrap_err();
        assert_eq!(error.to_string(), "the largest payload must not be zero");
        let error = EngineConfig::default().path("a").checked().unwrap_err();
        assert_eq!(error, ConfigError::Path("a".into()));
        let error = EngineConfig::default()
            .transports([])
            .checked()
            .unwrap_err();
        assert_eq!(error, ConfigError::NoTransport);
    }

    #[test]
    fn transport_that_is_not_served_over_http_is_named() {
        for kind in [
            TransportKind::WebTransport,
            TransportKind::Tcp,
            TransportKind::Unix,
        ] {
            let config = EngineConfig::default().transports([TransportKind::Polling, kind]);
            let error = config.checked().unwrap_err();
            assert_eq!(error, ConfigError::Transport(kind));
            let text = format!("{} is no transport over http", kind.name());
            assert_eq!(error.to_string(), text);
        }
    }
}
