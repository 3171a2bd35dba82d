//! What answers say to pages of other origins.
//!
//! The layer of tower-http is not below this: it tells a page that is refused of credentials all the same
//! (`page_that_is_refused_hears_of_no_credentials`), lets every answer vary with what only a preflight's depends on
//! (`listed_origin_is_mirrored_with_credentials`), answers a preflight with 200 where the reference server has 204
//! (`preflight_is_answered_with_204`), and panics where a configuration is to be refused (`star_with_credentials_is_refused`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config::ConfigError;

/// Which pages of other origins may use this server (Cross-Origin Resource Sharing, as the
/// Fetch standard has it).
///
/// This is about HTTP requests of browsers only: browsers do not ask before they open a
/// WebSocket. Refuse unwanted origins with `allow_request`.
#[derive(Clone, Debug)]
pub struct Cors {
    origin: AllowedOrigin,
    methods: HeaderValue,
    allowed_headers: Option<HeaderValue>,
    exposed_headers: Option<HeaderValue>,
    credentials: bool,
    max_age: Option<Duration>,
}

/// Which origins are allowed.
#[derive(Clone)]
enum AllowedOrigin {
    /// `*`: any, but without credentials.
    Any,
    /// The origin of the request, whatever it is.
    Mirror,
    /// In lower case, as browsers write them.
    List(Vec<Box<str>>),
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Cors {
    /// Any origin, answered with `*`. Browsers then send no cookies.
    ///
    /// Pages whose client asks with credentials get nothing: no browser takes `*` for that (Fetch
    /// standard, "CORS check"). Long-polling of Socket.IO 1.x and 2.x clients does so unless told
    /// otherwise, and newer ones with `withCredentials`. They need [`mirror`](Self::mirror) or
    /// [`origins`](Self::origins), with [`credentials`](Self::credentials).
    #[must_use]
    pub fn any() -> Self {
        Self::new(AllowedOrigin::Any)
    }

    /// Any origin, answered with itself, which works together with
    /// [`credentials`](Self::credentials). Every page in the world can then act for its
    /// visitors here. It is what `origin: true` means to Node's `cors`.
    #[must_use]
    pub fn mirror() -> Self {
        Self::new(AllowedOrigin::Mirror)
    }

    /// These origins: `https://example.org`, `http://localhost:8080`, or `null` for pages without
    /// one. What can be no origin, such as one with a path or `*`, is a
    /// [`ConfigError`](crate::ConfigError) when the server is built.
    pub fn origins<I>(origins: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let origins = origins.into_iter();
        Self::new(AllowedOrigin::List(
            origins
                .map(|origin| origin.as_ref().to_ascii_lowercase().into())
                .collect(),
        ))
    }

    /// The origins for which the function says yes.
    pub fn matching(predicate: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::new(AllowedOrigin::Predicate(Arc::new(predicate)))
    }

    fn new(origin: AllowedOrigin) -> Self {
        Self {
            origin,
            methods: HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"),
            allowed_headers: None,
            exposed_headers: None,
            credentials: false,
            max_age: None,
        }
    }

    /// Whether pages may send cookies and other credentials. Default: no.
    ///
    /// Beside [`any`](Self::any), or a list of headers that is `*`, it is a
    /// [`ConfigError`](crate::ConfigError) when the server is built: browsers take that star
    /// literally then.
    #[must_use]
    pub const fn credentials(mut self, allowed: bool) -> Self {
        self.credentials = allowed;
        self
    }

    /// The request headers that pages may set. Default: whatever they ask for.
    ///
    /// # Panics
    ///
    /// If the list has a character that a header cannot carry.
    #[must_use]
    pub fn allowed_headers(mut self, list: &str) -> Self {
        let value = HeaderValue::from_str(list).expect("a list of header names");
        self.allowed_headers = Some(value);
        self
    }

    /// The response headers that pages may read, besides the usual ones. Default: none.
    ///
    /// # Panics
    ///
    /// If the list has a character that a header cannot carry.
    #[must_use]
    pub fn exposed_headers(mut self, list: &str) -> Self {
        let value = HeaderValue::from_str(list).expect("a list of header names");
        self.exposed_headers = Some(value);
        self
    }

    /// How long a browser may remember the answer to a preflight. Default: not said.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Finds what no browser would take, or what no request would ever match.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if let AllowedOrigin::List(list) = &self.origin
            && let Some(origin) = list.iter().find(|origin| !is_origin(origin))
        {
            return Err(ConfigError::CorsOrigin(origin.to_string()));
        }
        let stars = [
            (matches!(self.origin, AllowedOrigin::Any), "any origin"),
            (is_star(self.allowed_headers.as_ref()), "any header allowed"),
            (is_star(self.exposed_headers.as_ref()), "any header exposed"),
        ];
        match stars.iter().find(|(star, _)| *star) {
            Some((_, what)) if self.credentials => Err(ConfigError::CorsCredentials(what)),
            _ => Ok(()),
        }
    }

    /// Adds the headers of an answer to an actual request.
    pub(crate) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        self.apply_origin(request, response);
        if let Some(list) = &self.exposed_headers {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, list.clone());
        }
    }

    /// Adds the headers of the answer to a preflight.
    pub(crate) fn apply_preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        self.apply_origin(request, response);
        response.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        match (
            &self.allowed_headers,
            request.get(ACCESS_CONTROL_REQUEST_HEADERS),
        ) {
            (Some(list), _) => {
                response.insert(ACCESS_CONTROL_ALLOW_HEADERS, list.clone());
            }
            (None, Some(asked)) => {
                response.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                response.append(
                    VARY,
                    HeaderValue::from_static("Access-Control-Request-Headers"),
                );
            }
            (None, None) => {}
        }
        if let Some(age) = self.max_age {
            response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
    }

    fn apply_origin(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let any = matches!(self.origin, AllowedOrigin::Any);
        if !any {
            response.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = self.answer(request.get(ORIGIN)) else {
            return;
        };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            response.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }

    /// The value of the allow-origin header for a request of this origin.
    fn answer(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let allowed = match &self.origin {
            AllowedOrigin::Any => return Some(HeaderValue::from_static("*")),
            AllowedOrigin::Mirror => true,
            AllowedOrigin::List(list) => {
                let origin = origin?.as_bytes();
                list.iter().any(|known| known.as_bytes() == origin)
            }
            AllowedOrigin::Predicate(matches) => origin?.to_str().is_ok_and(|text| matches(text)),
        };
        origin.filter(|_| allowed).cloned()
    }
}

fn is_star(list: Option<&HeaderValue>) -> bool {
    list.is_some_and(|list| list == "*")
}

/// Whether a browser may call a page's origin so: `null`, or a scheme, a host and perhaps a port.
fn is_origin(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b"/?#*,".contains(&byte);
    match text.split_once("://") {
        Some((scheme, authority)) => {
            let is_whole = |part: &str| !part.is_empty() && part.bytes().all(is_part);
            is_whole(scheme) && is_whole(authority)
        }
        None => text == "null",
    }
}

impl fmt::Debug for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("Any"),
            Self::Mirror => f.write_str("Mirror"),
            Self::List(list) => list.fmt(f),
            Self::Predicate(_) => f.write_str("Predicate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static(origin));
        let mut response = HeaderMap::new();
        cors.apply(&request, &mut response);
        response
    }

    #[test]
    fn any_origin_is_a_star_and_does_not_vary() {
        let response = answer(&Cors::any(), "http://a.example");
        assert_eq!(response[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!response.contains_key(VARY));
    }

    #[test]
    fn listed_origin_is_mirrored_with_credentials() {
        let cors = Cors::origins(["http://a.example"]).credentials(true);
        let response = answer(&cors, "http://a.example");
        assert_eq!(response[ACCESS_CONTROL_ALLOW_ORIGIN], "http://a.example");
        assert_eq!(response[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(response[VARY], "Origin");
    }

    #[test]
    fn page_that_is_refused_hears_of_no_credentials() {
        let cors = Cors::origins(["http://a.example"]).credentials(true);
        let response = answer(&cors, "http://b.example");
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[test]
    fn star_with_credentials_is_refused() {
        let error = |cors: Cors| cors.credentials(true).check().unwrap_err();
        assert_eq!(
            error(Cors::any()),
            ConfigError::CorsCredentials("any origin")
        );
        let cors = || Cors::origins(["https://a.example"]);
        error(cors().allowed_headers("*"));
        error(cors().exposed_headers("*"));
        for cors in [Cors::mirror(), cors().allowed_headers("x-a")] {
            assert_eq!(cors.credentials(true).check(), Ok(()));
        }
        assert_eq!(Cors::any().allowed_headers("*").check(), Ok(()));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for origin in [
            "*",
            "https://*.example",
            "a.example",
            "https://a.example/",
            "https://",
            "https://a.example, https://b.example",
            "",
        ] {
            let error = Cors::origins(["https://a.example", origin])
                .check()
                .unwrap_err();
            assert_eq!(error, ConfigError::CorsOrigin(origin.into()));
        }
        for origin in ["null", "http://localhost:8080", "app://-", "http://[::1]:1"] {
            assert_eq!(Cors::origins([origin]).check(), Ok(()));
        }
    }

    #[test]
    fn listed_origin_is_found_in_any_case() {
        let response = answer(&Cors::origins(["HTTPS://A.Example"]), "https://a.example");
        assert_eq!(response[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
    }

    #[test]
    fn other_origin_gets_no_permission_but_varies() {
        let response = answer(&Cors::origins(["http://a.example"]), "http://b.example");
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(response[VARY], "Origin");
    }

    #[test]
    fn preflight_mirrors_the_asked_headers() {
        let mut request = HeaderMap::new();
        request.insert(
            ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("x-a"),
        );
        let mut response = HeaderMap::new();
        Cors::any()
            .max_age(Duration::from_secs(60))
            .apply_preflight(&request, &mut response);
        assert_eq!(response[ACCESS_CONTROL_ALLOW_HEADERS], "x-a");
        assert_eq!(response[ACCESS_CONTROL_MAX_AGE], "60");
    }
}
