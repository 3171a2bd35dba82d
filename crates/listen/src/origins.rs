//! The origins of servers of Socket.IO 1.x and 2.x.

use std::sync::Arc;

use http::header::{ORIGIN, REFERER};
use http::{HeaderMap, Uri};

use crate::config::ConfigError;
use crate::cors::Cors;

/// From where sessions may be opened.
#[derive(Clone, Debug)]
pub(crate) struct Origins(Arc<[Pattern]>);

/// What an origin has to be; `None` for whatever it is.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    Of {
        scheme: Option<Box<str>>,
        host: Option<Box<str>>,
        port: Option<u16>,
    },
    /// It cannot be understood, which is said when the server is built.
    Invalid(Box<str>),
}

impl Origins {
    pub(crate) fn new<I>(patterns: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let patterns = patterns.into_iter();
        let read =
            |text: &str| Pattern::read(text).unwrap_or_else(|| Pattern::Invalid(text.into()));
        Self(patterns.map(|text| read(text.as_ref())).collect())
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let invalid = self.0.iter().find_map(|pattern| match pattern {
            Pattern::Invalid(text) => Some(text.to_string()),
            Pattern::Of { .. } => None,
        });
        invalid.map_or(Ok(()), |text| Err(ConfigError::Origins(text)))
    }

    /// Lets pages of these origins use the server, with credentials.
    pub(crate) fn cors(&self) -> Cors {
        let origins = self.clone();
        Cors::matching(move |origin| origins.have(Some(origin))).credentials(true)
    }

    /// Whether this request may open a session.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get(ORIGIN).or_else(|| headers.get(REFERER));
        let origin = origin.and_then(|origin| origin.to_str().ok());
        self.have(origin)
    }

    /// Whether this origin is one of them. What is none, as that of a page from a file (`null`), may only be any.
    fn have(&self, origin: Option<&str>) -> bool {
        let place = origin.and_then(place);
        self.0.iter().any(|pattern| pattern.matches(place.as_ref()))
    }
}

impl Pattern {
    /// `None` if it cannot be understood.
    fn read(text: &str) -> Option<Self> {
        if text.contains("://") {
            let (scheme, host, port) = place(text)?;
            let has_path = text
                .splitn(4, '/')
                .nth(3)
                .is_some_and(|path| !path.is_empty());
            return (!has_path && host != "*").then(|| Self::Of {
                scheme: Some(scheme.into()),
                host: Some(host.into()),
                port: Some(port),
            });
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = match port {
            "*" => None,
            port => Some(port.parse().ok()?),
        };
        let host = match host {
            "*" => None,
            host => {
                let (_, read, _) = place(&format!("http://{host}"))?;
                (read.eq_ignore_ascii_case(host)).then_some(())?;
                Some(read.into())
            }
        };
        Some(Self::Of {
            scheme: None,
            host,
            port,
        })
    }

    fn matches(&self, place: Option<&(String, String, u16)>) -> bool {
        let Self::Of { scheme, host, port } = self else {
            return false;
        };
        let Some(place) = place else {
            return scheme.is_none() && host.is_none() && port.is_none();
        };
        scheme.as_deref().is_none_or(|scheme| scheme == place.0)
            && host.as_deref().is_none_or(|host| host == place.1)
            && port.is_none_or(|port| port == place.2)
    }
}

/// Scheme, host and port of a URL; the port that is usual, if none is named.
fn place(url: &str) -> Option<(String, String, u16)> {
    let url: Uri = url.parse().ok()?;
    let scheme = url.scheme_str()?.to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = url.port_u16().unwrap_or(usual);
    Some((scheme, url.host()?.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(pattern: &str, origin: &str) -> bool {
        let origins = Origins::new([pattern]);
        assert_eq!(origins.check(), Ok(()));
        origins.have(Some(origin))
    }

    #[test]
    fn origins_match_the_patterns_of_former_servers() {
        for (pattern, yes, no) in [
            ("http://a.org:80", "http://a.org", "https://a.org"),
            ("https://A.org", "https://a.org", "https://a.org:444"),
            ("a.org:80", "http://a.org", "http://b.a.org"),
            ("a.org:443", "https://a.org/page?x", "http://a.org"),
            ("a.org:*", "http://A.org:8080", "http://a.org.evil.com"),
            ("*:8080", "http://b.org:8080", "http://b.org"),
            ("[::1]:*", "http://[::1]:7", "http://[::2]:7"),
            ("localhost:3000", "http://localhost:3000", "null"),
        ] {
            assert!(have(pattern, yes), "{pattern} {yes}");
            assert!(!have(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn only_any_origin_includes_none() {
        let none = HeaderMap::new();
        assert!(Origins::new(["a.org:80", "*:*"]).allow(&none));
        assert!(!Origins::new(["a.org:80", "*:80"]).allow(&none));
        assert!(have("*:*", "null") && have("*:*", "nonsense"));
    }

    #[test]
    fn referer_stands_in_for_the_origin() {
        let origins = Origins::new(["a.org:80"]);
        let mut headers = HeaderMap::new();
        headers.insert(REFERER, "http://a.org/page".parse().unwrap());
        assert!(origins.allow(&headers));
        headers.insert(ORIGIN, "http://b.org".parse().unwrap());
        assert!(!origins.allow(&headers));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for pattern in [
            "",
            "*",
            "a.org",
            "a.org:x",
            "a.org:70000",
            "http://",
            "http://*:80",
            "http://a.org/page",
            "a.org/x:80",
            "u@a.org:80",
            "a b:80",
            ":80",
            "http://a.org:80 http://b.org:80",
        ] {
            let error = Origins::new(["*:*", pattern]).check();
            assert_eq!(
                error,
                Err(ConfigError::Origins(pattern.into())),
                "{pattern}"
            );
        }
    }
}
