//! What a client's requests look like.

use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use sockeye_engine_proto::{Revision, TransportKind, WireKind};

use super::config::ConnectorConfig;
use super::{ConnectRequest, ConnectUrl};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use sockeye_engine::mask;

/// The requests of one session, or of the attempt to open one.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: ConnectUrl,
    path: String,
    /// The user's part of the query, encoded, with an ampersand behind each pair.
    query: String,
    headers: HeaderMap,
    sub_protocols: Option<HeaderValue>,
    pub(super) revision: Revision,
    pub(super) sid: Option<String>,
    base64: bool,
    timestamp_requests: Option<bool>,
    timestamp_param: String,
}

impl Target {
    pub(super) fn new(
        config: &ConnectorConfig,
        request: &ConnectRequest,
        revision: Revision,
    ) -> Self {
        let slash = if config.add_trailing_slash { "/" } else { "" };
        let mut headers = config.headers.clone();
        for name in request.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &request.headers {
            headers.append(name, value.clone());
        }
        let sub_protocols = config.sub_protocols.join(", ");
        Self {
            url: request.url.clone(),
            path: format!("{}{slash}", config.path),
            query: user_query(request),
            headers,
            sub_protocols: HeaderValue::try_from(sub_protocols)
                .ok()
                .filter(|value| !value.is_empty()),
            revision,
            sid: None,
            base64: config.force_base64,
            timestamp_requests: config.timestamp_requests,
            timestamp_param: encode(&config.timestamp_param).to_string(),
        }
    }

    /// The path and the query of the next request. The keys stand in the order of the JavaScript
    /// client.
    pub(super) fn path_and_query(&self, transport: TransportKind) -> String {
        let Self { path, query, .. } = self;
        let revision = self.revision.as_query();
        let mut target = format!("{path}?{query}EIO={revision}&transport={transport}");
        if let Some(sid) = &self.sid {
            target.push_str("&sid=");
            target.extend(encode(sid));
        }
        let on_polling = transport == TransportKind::Polling;
        if self.timestamp_requests.unwrap_or(on_polling) {
            target.push('&');
            target.push_str(&self.timestamp_param);
            target.push('=');
            target.push_str(&mask::token());
        }
        // It counts in the request that makes the transport.
        if self.base64 && !(on_polling && self.sid.is_some()) {
            target.push_str("&b64=1");
        }
        target
    }

    /// The headers of requests of this transport.
    pub(super) fn headers(&self, transport: TransportKind) -> HeaderMap {
        let mut headers = self.headers.clone();
        if transport == TransportKind::WebSocket
            && let Some(protocols) = &self.sub_protocols
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols.clone());
        }
        headers
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

/// The pairs of the URL and of the request; where both have a key, the request's are used.
fn user_query(request: &ConnectRequest) -> String {
    let of_url = form_urlencoded::parse(request.url.query().unwrap_or_default().as_bytes());
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
        if request.query.iter().all(|(known, _)| *known != key) {
            push(&key, &value);
        }
    }
    for (key, value) in &request.query {
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

    fn target(url: &str, query: &[(&str, &str)], config: &ConnectorConfig) -> Target {
        let query = query
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut request = ConnectRequest::new(url.parse().unwrap());
        request.query = query;
        Target::new(config, &request, Revision::V4)
    }

    #[test]
    fn keys_stand_in_the_order_of_the_javascript_client() {
        let config = ConnectorConfig::default()
            .timestamp_requests(true)
            .force_base64(true)
            .checked()
            .unwrap();
        let mut target = target("http://a/?x=1&y=2", &[("y", "é &"), ("z", "3")], &config);
        let first = target.path_and_query(TransportKind::WebSocket);
        let start = "/socket.io/?x=1&y=%C3%A9%20%26&z=3&EIO=4&transport=websocket&t=";
        let token = first.strip_prefix(start).unwrap();
        assert_eq!(token.find("&b64=1"), Some(8), "{token}");

        target.sid = Some("a b".into());
        let next = target.path_and_query(TransportKind::Polling);
        let start = "/socket.io/?x=1&y=%C3%A9%20%26&z=3&EIO=4&transport=polling&sid=a%20b&t=";
        assert_eq!(next.strip_prefix(start).unwrap().len(), 8);
        assert_ne!(next, target.path_and_query(TransportKind::Polling));
    }

    #[test]
    fn what_the_protocol_says_itself_is_not_said_twice() {
        let url = "http://a/?EIO=3&x=1&transport=polling";
        let query = [("sid", "mine"), ("transport", "tcp"), ("y", "2")];
        let target = target(url, &query, &ConnectorConfig::default());
        let path = target.path_and_query(TransportKind::WebSocket);
        assert_eq!(path, "/socket.io/?x=1&y=2&EIO=4&transport=websocket");
    }

    #[test]
    fn only_polling_has_timestamps_unless_told_otherwise() {
        let default = target("http://a", &[], &ConnectorConfig::default());
        let path = default.path_and_query(TransportKind::WebSocket);
        assert_eq!(path, "/socket.io/?EIO=4&transport=websocket");
        let path = default.path_and_query(TransportKind::Polling);
        assert!(path.starts_with("/socket.io/?EIO=4&transport=polling&t="));

        let config = ConnectorConfig::default()
            .path("/x/")
            .add_trailing_slash(false)
            .timestamp_requests(false)
            .checked()
            .unwrap();
        let path = target("http://a", &[], &config).path_and_query(TransportKind::Polling);
        assert_eq!(path, "/x?EIO=4&transport=polling");
    }

    #[test]
    fn headers_of_the_request_replace_the_default_ones() {
        let mut config = ConnectorConfig::default().sub_protocols(["one", "two"]);
        config.headers.append("x-a", HeaderValue::from_static("1"));
        config.headers.append("x-b", HeaderValue::from_static("1"));
        let mut request = ConnectRequest::new("http://a".parse().unwrap());
        request.headers.append("x-a", HeaderValue::from_static("2"));
        request.headers.append("x-a", HeaderValue::from_static("3"));
        let target = Target::new(&config, &request, Revision::V4);
        let headers = target.headers(TransportKind::WebSocket);
        assert_eq!(
            headers.get_all("x-a").iter().collect::<Vec<_>>(),
            ["2", "3"]
        );
        assert_eq!(headers["x-b"], "1");
        assert_eq!(headers[SEC_WEBSOCKET_PROTOCOL], "one, two");
        let polling = target.headers(TransportKind::Polling);
        assert!(!polling.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }
}
