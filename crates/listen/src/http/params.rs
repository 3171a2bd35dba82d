use std::borrow::Cow;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use sockeye_engine_proto::{Revision, TransportKind};

use crate::config::{EngineConfig, MissingRevision};

/// The query parameters that the protocol itself uses. Of a repeated one, the last counts.
#[derive(Debug, Default)]
pub(super) struct Params<'a> {
    pub(super) transport: Option<TransportKind>,
    pub(super) sid: Option<Cow<'a, str>>,
    pub(super) eio: Option<Cow<'a, str>>,
    pub(super) t: Option<Cow<'a, str>>,
    pub(super) b64: Option<Cow<'a, str>>,
    /// The callback of a page that can only load scripts.
    pub(super) j: Option<Cow<'a, str>>,
}

impl<'a> Params<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let mut params = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "transport" => params.transport = TransportKind::from_name(&value),
                "sid" => params.sid = Some(value),
                "EIO" => params.eio = Some(value),
                "t" => params.t = Some(value),
                "b64" => params.b64 = Some(value),
                "j" => params.j = Some(value),
                _ => {}
            }
        }
        params
    }

    /// The revision in which a request of an open session speaks: the reference server takes whatever
    /// is not 4 for 3 here.
    pub(super) fn revision_of_session(&self) -> Revision {
        match self.eio.as_deref() {
            Some("4") => Revision::V4,
            _ => Revision::V3,
        }
    }

    /// Whether text on a WebSocket of this peer may be encoded twice, as clients of Socket.IO 1.0 do: in browsers they show
    /// by the revision they ask for, in Node by an origin that is none, which the WebSockets of Socket.IO 1.0 to 1.2 send.
    /// Others would be misread if they meant text that only looks like it.
    pub(super) fn may_double_text(&self, headers: &HeaderMap) -> bool {
        self.eio.as_deref() == Some("2")
            || self.eio.as_deref() == Some("3")
                && headers
                    .get(ORIGIN)
                    .is_some_and(|origin| headers.get(HOST) == Some(origin))
    }

    /// The revision that is asked for, unless it is not served.
    pub(super) fn revision(&self, config: &EngineConfig) -> Option<Revision> {
        match self.eio.as_deref() {
            Some("4") => Some(Revision::V4),
            // Browsers with Socket.IO 1.0 say 2, and mean the same as Node's clients of that time, which say 3.
            Some("2" | "3") if config.allow_v3 => Some(Revision::V3),
            None if config.allow_v3 && config.missing_revision == MissingRevision::V3 => {
                Some(Revision::V3)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_of_javascript_prototypes_are_no_transports() {
        for name in ["constructor", "__proto__", "toString", ""] {
            assert_eq!(Params::parse(&format!("transport={name}")).transport, None);
        }
    }

    #[test]
    fn clients_that_may_encode_text_twice_are_told_by_their_requests() {
        let may = |query, origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("example.org:80"));
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            Params::parse(query).may_double_text(&headers)
        };
        assert!(may("EIO=2", "http://example.org"));
        assert!(may("EIO=3", "example.org:80"));
        assert!(!may("EIO=3", "http://example.org:80"));
        assert!(!may("EIO=4", "example.org:80"));
        assert!(!may("", "example.org:80"));
    }

    #[test]
    fn revision_follows_the_configuration() {
        let config = EngineConfig::default();
        assert_eq!(Params::parse("EIO=4").revision(&config), Some(Revision::V4));
        assert_eq!(Params::parse("EIO=3").revision(&config), Some(Revision::V3));
        assert_eq!(Params::parse("EIO=2").revision(&config), Some(Revision::V3));
        assert_eq!(Params::parse("EIO=5").revision(&config), None);
        assert_eq!(Params::parse("").revision(&config), None);
        let lenient = config.clone().missing_revision(MissingRevision::V3);
        assert_eq!(Params::parse("").revision(&lenient), Some(Revision::V3));
        let strict = config.allow_v3(false).missing_revision(MissingRevision::V3);
        assert_eq!(Params::parse("EIO=3").revision(&strict), None);
        assert_eq!(Params::parse("").revision(&strict), None);
    }
}
