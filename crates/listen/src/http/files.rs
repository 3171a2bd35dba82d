//! Files out of memory.
//!
//! tower-http's file service takes them from the disk, and these are part of the program.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

use super::encoding::weight;
use super::{Body, empty};

/// A file that is served from memory, usually below the engine's path.
///
/// It also is a service, of one file: that answers `/` and its [name](Self::name), and status 404 to all
/// else. With an empty name it is the page of a server that has but one.
#[derive(Clone)]
pub struct StaticFile {
    name: String,
    content_type: &'static str,
    /// Derived from the content, so that it changes with it and with nothing else.
    etag: HeaderValue,
    plain: Bytes,
    /// The same content, compressed beforehand; the best first.
    encoded: Vec<(&'static str, Bytes)>,
}

impl StaticFile {
    /// A file of this name, type and content.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        content_type: &'static str,
        content: impl Into<Bytes>,
    ) -> Self {
        let plain = content.into();
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\""));
        Self {
            name: name.into(),
            content_type,
            etag,
            plain,
            encoded: Vec::new(),
        }
    }

    /// Adds the same content in this encoding. Of those that a client accepts, the one that was
    /// added first is sent.
    #[must_use]
    pub fn encoded(mut self, encoding: &'static str, content: impl Into<Bytes>) -> Self {
        self.encoded.push((encoding, content.into()));
        self
    }

    /// The name, which is what follows the engine's path and a slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The answer to a request for this file: its content, or status 304 if the client knows it.
    ///
    /// The engine calls this for its own files. Other services may serve theirs with it; what
    /// the request's path is does not matter here.
    #[must_use]
    pub fn answer(&self, parts: &Parts) -> Response<Body> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let known = parts
            .headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .any(|list| self.is_named_by(list));
        let mut response = if known {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            self.content(&parts.headers)
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        if !self.encoded.is_empty() {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        response
    }

    fn content(&self, request: &HeaderMap) -> Response<Body> {
        let chosen = self
            .encoded
            .iter()
            .find(|(encoding, _)| weight(request, encoding) > 0.0);
        let body = chosen.map_or(&self.plain, |(_, content)| content);
        let mut response = Response::new(Body::from(body.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some((encoding, _)) = chosen {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }

    /// Whether a list of entity tags has this file's, weak or not (RFC 9110 §13.1.2).
    fn is_named_by(&self, list: &HeaderValue) -> bool {
        let own = self.etag.as_bytes();
        list.as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == own)
    }
}

impl<B> Service<Request<B>> for StaticFile {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let path = parts.uri.path();
        ready(Ok(match path.strip_prefix('/') == Some(&self.name) {
            true => self.answer(&parts),
            false => empty(StatusCode::NOT_FOUND),
        }))
    }
}

impl fmt::Debug for StaticFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFile")
            .field("name", &self.name)
            .field("len", &self.plain.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> StaticFile {
        StaticFile::new("a.js", "text/javascript", "plain")
            .encoded("br", "b")
            .encoded("gzip", "g")
    }

    fn get(headers: &[(&'static str, &str)]) -> Response<Body> {
        let mut request = http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        file().answer(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn best_accepted_encoding_is_sent() {
        assert_eq!(
            get(&[("accept-encoding", "gzip, br")]).headers()[CONTENT_ENCODING],
            "br"
        );
        let response = get(&[("accept-encoding", "br;q=0, gzip;q=0.5")]);
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        assert!(!get(&[]).headers().contains_key(CONTENT_ENCODING));
    }

    #[test]
    fn known_tag_is_answered_without_content() {
        let tag = get(&[]).headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(
            get(&[("if-none-match", &tag)]).status(),
            StatusCode::NOT_MODIFIED
        );
        let weak = format!("\"x\", W/{tag}");
        assert_eq!(
            get(&[("if-none-match", &weak)]).status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(get(&[("if-none-match", "\"x\"")]).status(), StatusCode::OK);
    }

    #[test]
    fn as_a_service_it_is_one_page() {
        let statuses = |name: &str| {
            ["/", "/a.js", "/?a=1", "/b", "//", "*"].map(|target| {
                let request = Request::get(target).body(()).unwrap();
                let mut service = StaticFile::new(name, "text/plain", "x");
                let answer = service.call(request).into_inner().unwrap();
                answer.status().as_u16()
            })
        };
        assert_eq!(statuses(""), [200, 404, 200, 404, 404, 404]);
        assert_eq!(statuses("a.js"), [404, 200, 404, 404, 404, 404]);
    }
}
