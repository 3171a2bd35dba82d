use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What is different on one transport from what a [`ConnectorConfig`](crate::ConnectorConfig) says of all.
///
/// ```
/// use sockeye_dial::ConnectorConfig;
/// use sockeye_engine::TransportKind;
///
/// let config = ConnectorConfig::default()
///     .path("/socket.io")
///     .transport_options(TransportKind::WebSocket, |websocket| {
///         websocket.path("/sockets").query([("edge", "eu")])
///     });
/// ```
#[derive(Clone, Default)]
pub struct TransportOptions {
    pub(super) path: Option<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) timestamp_requests: Option<bool>,
}

impl TransportOptions {
    /// The path of this transport's requests. Default: that of all.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Keys and values for the query of this transport's requests, besides those of all; where both have a key, these are
    /// used. Default: none.
    #[must_use]
    pub fn query<K: Into<String>, V: Into<String>>(
        mut self,
        query: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let pairs = query.into_iter();
        let pairs = pairs.map(|(key, value)| (key.into(), value.into()));
        self.query = pairs.collect();
        self
    }

    /// Headers for this transport's requests, instead of those of the same name for all, those of a
    /// [`ConnectRequest`](crate::ConnectRequest) included. Default: none.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// One more of these headers.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Whether this transport's requests have a parameter that is different each time. Default: as for
    /// [all](crate::ConnectorConfig::timestamp_requests).
    #[must_use]
    pub const fn timestamp_requests(mut self, timestamp: bool) -> Self {
        self.timestamp_requests = Some(timestamp);
        self
    }
}

/// Without the values of headers and query, which may be tokens.
impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.query.iter().map(|(key, _)| key).collect();
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("TransportOptions")
            .field("path", &self.path)
            .field("query", &keys)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}
