use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::uri::PathAndQuery;
use sockeye_engine_proto::{Revision, TransportKind};
use sockeye_websocket::{DeflateConfig, handshake};

use super::options::TransportOptions;
use super::transport::Transport;
use crate::dialer::{ConnectorError, DialConfig};
use crate::url::ConnectUrl;
use sockeye_engine::{Dialect, SessionLimits};

/// How a client opens and runs its sessions.
///
/// The defaults are those of the JavaScript client unless a field says otherwise. Everything is
/// checked once, when a [`Connector`](crate::Connector) is made of it.
#[derive(Clone)]
pub struct ConnectorConfig {
    pub(super) dial: Arc<DialConfig>,
    pub(super) transports: Vec<TransportKind>,
    pub(super) upgrade: bool,
    pub(super) remember_upgrade: bool,
    pub(super) try_all_transports: bool,
    /// At most one for each kind.
    pub(super) transport_options: Vec<(TransportKind, TransportOptions)>,
    /// Likewise.
    pub(super) own_transports: Vec<Arc<dyn Transport>>,
    pub(super) transport_timeout: Option<Duration>,
    pub(super) force_base64: bool,
    /// `None` to find it out.
    pub(super) revision: Option<Revision>,
    /// What to speak on a bare stream; `None` to find it out.
    pub(super) dialect: Option<Dialect>,
    pub(super) path: String,
    pub(super) add_trailing_slash: bool,
    pub(super) timestamp_requests: Option<bool>,
    pub(super) timestamp_param: String,
    pub(super) headers: HeaderMap,
    pub(super) sub_protocols: Vec<String>,
    pub(super) limits: SessionLimits,
    pub(super) stream_compression: Option<usize>,
    pub(super) per_message_deflate: Option<DeflateConfig>,
}

impl Default for ConnectorConfig {
    fn default() -> Self {
        Self {
            dial: Arc::default(),
            transports: vec![TransportKind::Polling, TransportKind::WebSocket],
            upgrade: true,
            remember_upgrade: false,
            try_all_transports: false,
            transport_options: Vec::new(),
            own_transports: Vec::new(),
            transport_timeout: Some(Duration::from_secs(5)),
            force_base64: false,
            revision: None,
            dialect: Some(Dialect::Packets),
            path: "/socket.io".to_owned(),
            add_trailing_slash: true,
            timestamp_requests: None,
            timestamp_param: "t".to_owned(),
            headers: HeaderMap::new(),
            sub_protocols: Vec::new(),
            limits: SessionLimits::default()
                .max_payload(16 * 1024 * 1024)
                .max_packets_per_payload(1_000_000)
                .max_line_bytes(16 * 1024 * 1024),
            stream_compression: None,
            per_message_deflate: Some(DeflateConfig::default()),
        }
    }
}

impl ConnectorConfig {
    /// Changes how servers are reached: TLS, proxy, cookies, sockets. Called again, it goes on where it was.
    #[must_use]
    pub fn dial(mut self, change: impl FnOnce(DialConfig) -> DialConfig) -> Self {
        let dial = Arc::unwrap_or_clone(self.dial);
        self.dial = Arc::new(change(dial));
        self
    }

    /// The transports that are used with `http`, `https`, `ws` and `wss` URLs, the one to begin
    /// with first. Only polling and WebSocket can be, and the application's [own](Self::transport); a URL of a bare
    /// stream has its own.
    /// Default: polling, then WebSocket.
    ///
    /// A [`ConnectRequest`](crate::ConnectRequest) may have others, and so may every attempt.
    #[must_use]
    pub fn transports(mut self, transports: impl IntoIterator<Item = TransportKind>) -> Self {
        self.transports = transports.into_iter().collect();
        self
    }

    /// Whether a session on polling moves to a WebSocket if it can. Default: yes.
    #[must_use]
    pub const fn upgrade(mut self, upgrade: bool) -> Self {
        self.upgrade = upgrade;
        self
    }

    /// Whether to begin on what the last session has moved to, whatever the order of the transports: a WebSocket, or a
    /// [transport](Self::transport) of the application's. So it is with one that the last session has begun on. One that
    /// fails is forgotten. Default: no.
    #[must_use]
    pub const fn remember_upgrade(mut self, remember: bool) -> Self {
        self.remember_upgrade = remember;
        self
    }

    /// Whether to try the other transports when one cannot open a session, or does not within the
    /// [`transport_timeout`](Self::transport_timeout). Default: no.
    #[must_use]
    pub const fn try_all_transports(mut self, try_all: bool) -> Self {
        self.try_all_transports = try_all;
        self
    }

    /// How long a transport may take to open a session before the next one is tried: some proxies
    /// swallow a WebSocket without a word. It counts only with
    /// [`try_all_transports`](Self::try_all_transports) and while there is a next one; the last one has
    /// all the time that is left for the whole attempt, which is the client's `timeout`. Keep it well
    /// below that. `None` waits for each as long as it takes. Default: 5 s.
    #[must_use]
    pub fn transport_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.transport_timeout = timeout.into();
        self
    }

    /// Changes what is different on one transport: path, query, headers. Called again for the same one, it goes on where
    /// it was. Default: nothing is.
    #[must_use]
    pub fn transport_options(
        mut self,
        transport: TransportKind,
        change: impl FnOnce(TransportOptions) -> TransportOptions,
    ) -> Self {
        let all = &mut self.transport_options;
        let known = all.iter().position(|(kind, _)| *kind == transport);
        let options = known.map_or_else(TransportOptions::default, |at| all.swap_remove(at).1);
        all.push((transport, change(options)));
        self
    }

    /// Brings a transport along. Where [`transports`](Self::transports) names its kind, it is used instead of the one
    /// that is built in, if there is one, for sessions that begin on it and for those that move to it. Default: none.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        let kind = transport.kind();
        self.own_transports.retain(|own| own.kind() != kind);
        self.own_transports.push(Arc::new(transport));
        self
    }

    pub(super) fn options_of(&self, transport: TransportKind) -> Option<&TransportOptions> {
        let mut all = self.transport_options.iter();
        all.find(|(kind, _)| *kind == transport)
            .map(|(_, options)| options)
    }

    /// Whether binary messages travel as base64 on every transport over HTTP. Default: no.
    #[must_use]
    pub const fn force_base64(mut self, force: bool) -> Self {
        self.force_base64 = force;
        self
    }

    /// The revision of Engine.IO to speak over HTTP. Default: `None`, for whichever the server speaks.
    ///
    /// That is found out by asking for revision 4: what the server answers tells whether it speaks
    /// revision 3, as servers before Socket.IO 3 do not look at what is asked for. A session that
    /// begins on a WebSocket needs up to half a second more for it with servers of Socket.IO 3.0 to
    /// 4.4: only what they send next tells them from older ones.
    #[must_use]
    pub fn revision(mut self, revision: impl Into<Option<Revision>>) -> Self {
        self.revision = revision.into();
        self
    }

    /// What to speak on a bare stream (`tcp`, `tls` and `unix` URLs). Default:
    /// [`Dialect::Packets`].
    ///
    /// `None` is for whatever the server speaks: it is sent packets; and lines, on another connection,
    /// if it answers in lines, does not answer within three seconds, or hangs up on packets but not on
    /// a connection without any. A refusal is an answer, and an error.
    #[must_use]
    pub fn dialect(mut self, dialect: impl Into<Option<Dialect>>) -> Self {
        self.dialect = dialect.into();
        self
    }

    /// The path of HTTP requests, with or without a final slash. Default: `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Whether the path of requests ends with a slash. Default: yes.
    #[must_use]
    pub const fn add_trailing_slash(mut self, add: bool) -> Self {
        self.add_trailing_slash = add;
        self
    }

    /// Whether requests have a parameter that is different each time, so that no cache answers
    /// them. Default: those of long-polling have it, WebSocket handshakes do not.
    #[must_use]
    pub const fn timestamp_requests(mut self, timestamp: bool) -> Self {
        self.timestamp_requests = Some(timestamp);
        self
    }

    /// The name of that parameter. Default: `t`.
    #[must_use]
    pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
        self.timestamp_param = name.into();
        self
    }

    /// Headers for every request and every WebSocket handshake. Those of a
    /// [`ConnectRequest`](crate::ConnectRequest) replace them by name. Default: none.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The sub-protocols that are offered in WebSocket handshakes. Default: none.
    #[must_use]
    pub fn sub_protocols<T: Into<String>>(
        mut self,
        protocols: impl IntoIterator<Item = T>,
    ) -> Self {
        self.sub_protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// What is spoken with the server of this URL, if that is known before it has been asked.
    #[must_use]
    pub const fn dialect_for(&self, url: &ConnectUrl) -> Option<Dialect> {
        if url.is_http() {
            return Some(Dialect::Packets);
        }
        self.dialect
    }

    /// Changes what one session may take: bytes, packets and times.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(SessionLimits) -> SessionLimits) -> Self {
        self.limits = change(self.limits);
        self
    }

    /// From how many bytes on messages are compressed on bare streams to native peers; `None` does
    /// without compression, and does not offer it. Worth it where the network is slower than the
    /// processor, which it is not between processes of one machine. A server that is too old to
    /// know of it refuses the session. Default: `None`.
    ///
    /// Below TLS, the length of a compressed message tells something about it: do not let secrets
    /// and what others can choose travel in one message, or emit it uncompressed.
    #[must_use]
    pub const fn stream_compression(mut self, from_bytes: Option<usize>) -> Self {
        self.stream_compression = from_bytes;
        self
    }

    /// Finds settings that cannot work with this URL; those that never can are found when a
    /// [`Connector`](crate::Connector) is made. A connector does not look at this, as the URL may
    /// be another one each time.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] names the setting.
    pub fn check_for(&self, url: &ConnectUrl) -> Result<(), ConnectorError> {
        if cfg!(not(feature = "tls")) && url.is_secure() {
            return Err(ConnectorError::NoTlsFor(url.origin()));
        }
        if url.is_http() && self.transports.is_empty() {
            return Err(ConnectorError::NoTransport);
        }
        Ok(())
    }

    /// How messages are compressed on WebSockets (permessage-deflate, RFC 7692), if the server agrees; `None` does not
    /// offer it. Default: messages of 1024 bytes and more are, each by itself. A server that has it switched off, as all
    /// are by default, gets and sends them as they are.
    ///
    /// Below TLS, the length of a compressed message tells something about it: do not let secrets
    /// and what others can choose travel in one message, or emit it uncompressed.
    #[must_use]
    pub const fn per_message_deflate(mut self, deflate: Option<DeflateConfig>) -> Self {
        self.per_message_deflate = deflate;
        self
    }

    /// Whether this can be used with an `http` URL.
    pub(super) fn can_use(&self, kind: TransportKind) -> bool {
        kind.is_over_http() || self.own_transport(kind).is_some()
    }

    pub(super) fn own_transport(&self, kind: TransportKind) -> Option<&dyn Transport> {
        let mut own = self.own_transports.iter();
        own.find(|own| own.kind() == kind).map(|own| &**own)
    }

    /// Finds settings that cannot work.
    pub(super) fn check(&self) -> Result<(), ConnectorError> {
        check_path(&self.path)?;
        if let Some(name) = self
            .sub_protocols
            .iter()
            .find(|name| !handshake::is_token(name))
        {
            return Err(ConnectorError::SubProtocol(name.clone()));
        }
        let with_options = self.transport_options.iter().map(|(kind, _)| kind);
        let mut named = self.transports.iter().chain(with_options);
        if let Some(kind) = named.find(|kind| !self.can_use(**kind)) {
            return Err(ConnectorError::Transport(*kind));
        }
        for (_, options) in &self.transport_options {
            options.path.as_deref().map_or(Ok(()), check_path)?;
        }
        if let Some(name) = self.limits.zero() {
            return Err(ConnectorError::Zero(name));
        }
        Ok(())
    }
}

/// Finds paths that no request can have.
fn check_path(path: &str) -> Result<(), ConnectorError> {
    if !path.starts_with('/') {
        return Err(ConnectorError::Path(path.to_owned()));
    }
    // The HTTP library would take these for the end of the path.
    let ends = path.contains(['?', '#']);
    if ends || PathAndQuery::try_from(path).is_err() {
        return Err(ConnectorError::UnwritablePath(path.to_owned()));
    }
    Ok(())
}

/// Without the values of headers, which may be tokens.
impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("ConnectorConfig")
            .field("dial", &self.dial)
            .field("transports", &self.transports)
            .field("transport_options", &self.transport_options)
            .field("own_transports", &self.own_transports)
            .field("upgrade", &self.upgrade)
            .field("revision", &self.revision)
            .field("dialect", &self.dialect)
            .field("path", &self.path)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: &ConnectorConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn what_no_request_can_say_is_refused() {
        for path in ["/a b", "/a?b", "/a#b", "/\u{7f}"] {
            let error = refused(&ConnectorConfig::default().path(path));
            assert!(
                error.ends_with("cannot be written into a request"),
                "{error}"
            );
        }
        for name in ["", "a b", "a,b", "é"] {
            let error = refused(&ConnectorConfig::default().sub_protocols(["chat", name]));
            assert!(error.ends_with("is no name of a sub-protocol"), "{error}");
        }
        let config = ConnectorConfig::default()
            .path("/%20é/")
            .sub_protocols(["graphql-ws"]);
        assert!(config.check().is_ok());
    }

    #[test]
    fn changes_of_how_servers_are_reached_add_up() {
        let minute = Some(Duration::from_secs(60));
        let config = ConnectorConfig::default()
            .dial(|dial| dial.keep_alive(minute))
            .dial(|dial| dial.nodelay(false));
        assert_eq!(
            (config.dial.keep_alive, config.dial.nodelay),
            (minute, false)
        );
    }

    #[test]
    fn transports_are_needed_over_http_only() {
        let config = ConnectorConfig::default().transports([]);
        let check = |url: &str| config.check_for(&url.parse().unwrap());
        let error = check("http://localhost").unwrap_err();
        assert!(matches!(error, ConnectorError::NoTransport), "{error}");
        check("tcp://localhost:1").unwrap();
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn url_that_needs_tls_is_refused_without_it() {
        for url in [
            "https://localhost/?token=1",
            "wss://localhost",
            "tls://localhost:1",
        ] {
            let error = ConnectorConfig::default().check_for(&url.parse().unwrap());
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("needs TLS") && !error.contains("token"),
                "{error}"
            );
        }
    }
}
