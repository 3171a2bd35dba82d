//! What a client's requests look like.

use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use sockeye_engine_proto::{Revision, TransportKind, WireKind};

use super::config::ConnectorConfig;
use super::transport::TransportTarget;
use super::{ConnectRequest, ConnectUrl};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use sockeye_engine::{SessionLimits, mask};

/// The requests of one transport, for one session or the attempt to open one.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: ConnectUrl,
    pub(super) transport: TransportKind,
    path: String,
    /// The user's part of the query, encoded, with an ampersand behind each pair.
    query: String,
    pub(super) headers: HeaderMap,
    pub(super) revision: Revision,
    sid: Option<String>,
    base64: bool,
    timestamp_requests: bool,
    timestamp_param: String,
}

impl Target {
    pub(super) fn new(
        config: &ConnectorConfig,
        request: &ConnectRequest,
        transport: TransportKind,
        revision: Revision,
    ) -> Self {
        let own = config.options_of(transport).cloned().unwrap_or_default();
        let path = own.path.as_deref().unwrap_or(&config.path);
        let slash = if config.add_trailing_slash { "/" } else { "" };
        let mut headers = config.headers.clone();
        replace(&mut headers, &request.headers);
        replace(&mut headers, &own.headers);
        if transport == TransportKind::WebSocket
            && !config.sub_protocols.is_empty()
            && let Ok(protocols) = HeaderValue::try_from(config.sub_protocols.join(", "))
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols);
        }
        Self {
            url: request.url.clone(),
            transport,
            path: format!("{}{slash}", path.trim_end_matches('/')),
            query: user_query(request, &own.query),
            headers,
            revision,
            sid: None,
            base64: config.force_base64,
            timestamp_requests: own
                .timestamp_requests
                .or(config.timestamp_requests)
                .unwrap_or(transport == TransportKind::Polling),
            timestamp_param: encode(&config.timestamp_param).to_string(),
        }
    }

    /// The same for a session that is open.
    pub(super) fn of(mut self, sid: &str) -> Self {
        self.sid = Some(sid.to_owned());
        self
    }

    /// The same for a transport of the application's.
    pub(super) fn handed_out(&self, limits: &SessionLimits) -> TransportTarget {
        TransportTarget {
            url: self.url.clone(),
            path_and_query: self.path_and_query(),
            headers: self.headers.clone(),
            revision: self.revision,
            sid: self.sid.clone(),
            limits: limits.clone(),
        }
    }

    /// The path and the query of the next request. The keys stand in the order of the JavaScript
    /// client.
    pub(super) fn path_and_query(&self) -> String {
        let Self {
            path,
            query,
            transport,
            ..
        } = self;
        let revision = self.revision.as_query();
        let mut target = format!("{path}?{query}EIO={revision}&transport={transport}");
        if let Some(sid) = &self.sid {
            target.push_str("&sid=");
            target.extend(encode(sid));
        }
        if self.timestamp_requests {
            target.push('&');
            target.push_str(&self.timestamp_param);
            target.push('=');
            target.push_str(&mask::token());
        }
        // It counts in the request that makes the transport.
        let goes_on = *transport == TransportKind::Polling && self.sid.is_some();
        if self.base64 && !goes_on {
            target.push_str("&b64=1");
        }
        target
    }
}

/// Puts headers in the place of those of the same name.
fn replace(headers: &mut HeaderMap, others: &HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    for (name, value) in others {
        headers.append(name, value.clone());
    }
}

/// How an answer is framed. Under revision 4 there is only text, whatever the server calls it: the
/// JavaScript client does not look, so that some, such as netty-socketio, say
/// `application/octet-stream`.
pub(super) const fn framing(revision: Revision, announced: WireKind) -> WireKind {
    match revision {
        Revision::V4 => WireKind::Text,
        Revision::V3 => announced,
    }
}

/// The keys that are the protocol's own. The JavaScript client, too, lets them be nobody else's;
/// and servers read a key that is there twice in different ways.
const RESERVED: [&str; 3] = ["EIO", "transport", "sid"];

/// The pairs of the URL, the request and the transport; where several have a key, the last one's are used.
fn user_query(request: &ConnectRequest, own: &[(String, String)]) -> String {
    let of_url = form_urlencoded::parse(request.url.query().unwrap_or_default().as_bytes());
    let knows = |pairs: &[(String, String)], key: &str| pairs.iter().any(|(known, _)| known == key);
    let mut text = String::new();
    let mut push = |key: &str, value: &str| {
        if RESERVED.contains(&key) {
            return;
        }
        text.extend(encode(key));
        text.push('=');
        text.extend(encode(value));
        text.push('&');
    };
    for (key, value) in of_url {
        if !knows(&request.query, &key) && !knows(own, &key) {
            push(&key, &value);
        }
    }
    for (key, value) in &request.query {
        if !knows(own, key) {
            push(key, value);
        }
    }
    for (key, value) in own {
        push(key, value);
    }
    text
}

/// What `encodeURIComponent` leaves as it is, besides letters and digits. A form's encoding would write `+` for spaces,
/// which not every server reads as one.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

fn encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, COMPONENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLLING: TransportKind = TransportKind::Polling;
    const WEBSOCKET: TransportKind = TransportKind::WebSocket;

    fn target(
        transport: TransportKind,
        url: &str,
        query: &[(&str, &str)],
        config: &ConnectorConfig,
    ) -> Target {
        let query = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut request = ConnectRequest::new(url.parse().unwrap());
        request.query = query;
        Target::new(config, &request, transport, Revision::V4)
    }

    #[test]
    fn keys_stand_in_the_order_of_the_javascript_client() {
        let config = ConnectorConfig::default()
            .timestamp_requests(true)
            .force_base64(true);
        let (url, query) = ("http://a/?x=1&y=2", [("y", "é &"), ("z", "3")]);
        let websocket = target(WEBSOCKET, url, &query, &config);
        let first = websocket.path_and_query();
        let start = "/socket.io/?x=1&y=%C3%A9%20%26&z=3&EIO=4&transport=websocket&t=";
        let token = first.strip_prefix(start).unwrap();
        assert_eq!(token.find("&b64=1"), Some(8), "{token}");

        let mut polling = target(POLLING, url, &query, &config);
        polling.sid = Some("a b".into());
        let next = polling.path_and_query();
        let start = "/socket.io/?x=1&y=%C3%A9%20%26&z=3&EIO=4&transport=polling&sid=a%20b&t=";
        assert_eq!(next.strip_prefix(start).unwrap().len(), 8);
        assert_ne!(next, polling.path_and_query());
    }

    #[test]
    fn what_the_protocol_says_itself_is_not_said_twice() {
        let url = "http://a/?EIO=3&x=1&transport=polling";
        let query = [("sid", "mine"), ("transport", "tcp"), ("y", "2")];
        let target = target(WEBSOCKET, url, &query, &ConnectorConfig::default());
        let path = target.path_and_query();
        assert_eq!(path, "/socket.io/?x=1&y=2&EIO=4&transport=websocket");
    }

    #[test]
    fn only_polling_has_timestamps_unless_told_otherwise() {
        let default = ConnectorConfig::default();
        let path = |transport, config| target(transport, "http://a", &[], config).path_and_query();
        let websocket = path(WEBSOCKET, &default);
        assert_eq!(websocket, "/socket.io/?EIO=4&transport=websocket");
        let path_of_polling = path(POLLING, &default);
        assert!(path_of_polling.starts_with("/socket.io/?EIO=4&transport=polling&t="));

        let config = ConnectorConfig::default()
            .path("/x/")
            .add_trailing_slash(false)
            .timestamp_requests(false);
        assert_eq!(path(POLLING, &config), "/x?EIO=4&transport=polling");
    }

    #[test]
    fn headers_of_the_request_replace_the_default_ones() {
        let mut config = ConnectorConfig::default().sub_protocols(["one", "two"]);
        config.headers.append("x-a", HeaderValue::from_static("1"));
        config.headers.append("x-b", HeaderValue::from_static("1"));
        let mut request = ConnectRequest::new("http://a".parse().unwrap());
        request.headers.append("x-a", HeaderValue::from_static("2"));
        request.headers.append("x-a", HeaderValue::from_static("3"));
        let headers = |transport| Target::new(&config, &request, transport, Revision::V4).headers;
        let websocket = headers(WEBSOCKET);
        assert_eq!(
            websocket.get_all("x-a").iter().collect::<Vec<_>>(),
            ["2", "3"]
        );
        assert_eq!(websocket["x-b"], "1");
        assert_eq!(websocket[SEC_WEBSOCKET_PROTOCOL], "one, two");
        assert!(!headers(POLLING).contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn options_of_a_transport_are_for_its_requests_alone() {
        let header = |value| HeaderValue::from_static(value);
        let config = ConnectorConfig::default().transport_options(WEBSOCKET, |websocket| {
            websocket
                .path("/sockets/")
                .query([("y", "own"), ("sid", "mine")])
                .header("x-a".parse().unwrap(), header("own"))
                .timestamp_requests(true)
        });
        // Called again, it goes on.
        let mut config = config.transport_options(WEBSOCKET, |websocket| {
            websocket.header("x-a".parse().unwrap(), header("too"))
        });
        config.headers.append("x-b", header("all"));
        let mut request = ConnectRequest::new("http://a/?x=1&y=2".parse().unwrap());
        request.headers.append("x-a", header("attempt"));
        request.query = vec![("y".into(), "3".into()), ("z".into(), "4".into())];
        let target = |transport| Target::new(&config, &request, transport, Revision::V4);

        let websocket = target(WEBSOCKET);
        let path = websocket.path_and_query();
        let start = "/sockets/?x=1&z=4&y=own&EIO=4&transport=websocket&t=";
        assert!(path.starts_with(start), "{path}");
        let own: Vec<_> = websocket.headers.get_all("x-a").iter().collect();
        assert_eq!(own, ["own", "too"]);
        assert_eq!(websocket.headers["x-b"], "all");

        let polling = target(POLLING);
        let path = polling.path_and_query();
        let start = "/socket.io/?x=1&y=3&z=4&EIO=4&transport=polling&t=";
        assert!(path.starts_with(start), "{path}");
        assert_eq!(polling.headers["x-a"], "attempt");
    }
}
