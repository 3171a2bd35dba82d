//! What only clients and servers of former times need.

use super::EngineConfig;
use crate::origins::Origins;

impl EngineConfig {
    /// Whether pages are served that can only load scripts and send forms (JSONP polling): old browsers, and clients of
    /// Socket.IO 1.x and 2.x with `forceJSONP`. Default: no; their requests, which have the parameter `j`, are refused with
    /// code 0. Node's server always takes them.
    ///
    /// Scripts are loaded across origins, with cookies and without an `Origin` header. So with this, pages of any origin can
    /// open sessions and read them over HTTP, whatever [`cors`](Self::cors) says, and an
    /// [`allow_request`](Self::allow_request) that looks at the origin must not take its absence for a sign of something
    /// that is no page; [`origins`](Self::origins) falls back to the `Referer`. Binary data travels as base64, and a form is
    /// up to three times as long as what is in it, and counts as it comes for
    /// [`max_payload`](sockeye_engine::SessionLimits::max_payload()).
    #[must_use]
    pub const fn jsonp(mut self, allow: bool) -> Self {
        self.jsonp = allow;
        self
    }

    /// Whether the answer that opens a session on long-polling also has what the application has sent by then, as servers of
    /// Socket.IO 2.x put the CONNECT of `/` into it: clients of 1.x and 2.x save a request. Default: no, as with later
    /// servers, of whose clients no other has anything to be sent by then.
    #[must_use]
    pub const fn merge_first_packets(mut self, merge: bool) -> Self {
        self.merge_first_packets = merge;
        self
    }

    /// Opens sessions only for pages of these origins, and lets them use long-polling with credentials: the `origins` of
    /// Socket.IO 1.x and 2.x. It replaces [`cors`](Self::cors), and is asked before
    /// [`allow_request`](Self::allow_request). Default: not set.
    ///
    /// An origin is one of `http://example.org:8080`, `example.org:8080`, `example.org:*`, `*:8080` and `*:*`; after a scheme,
    /// its usual port may be left out. What is none is a [`ConfigError`](crate::ConfigError) when the server is built. Whose
    /// request has neither `Origin` nor `Referer`, which is no page's, is let in only by `*:*`, and the others get status 403
    /// and code 4, on WebSockets 400. Bare streams are not asked.
    ///
    /// New applications have more use for [`cors`](Self::cors), which does not keep pages from opening WebSockets, and
    /// `allow_request`, which does.
    #[must_use]
    pub fn origins<I>(mut self, origins: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let origins = Origins::new(origins);
        self.cors = Some(origins.cors());
        self.origins = Some(origins);
        self
    }
}
