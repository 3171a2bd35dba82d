//! The cookie with a session's id.
//!
//! Writing one line takes fewer lines than the crate `cookie`, which brings `time` along, would save; and a name that no
//! header can carry is found here (`cookie_that_no_header_can_carry_is_left_out`).

use std::fmt::Write;
use std::time::Duration;

use http::HeaderValue;

/// A cookie that carries the session id, for load balancers that route by it.
///
/// Sent only with the answer to a polling handshake. Off unless configured.
#[derive(Clone, Debug)]
pub struct Cookie {
    name: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    same_site: SameSite,
}

/// The `SameSite` attribute of a cookie (RFC 6265bis §5.4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Also sent when a link of another site is followed.
    #[default]
    Lax,
    /// Only sent with requests of the own site.
    Strict,
    /// Always sent; browsers want `secure` with it.
    None,
}

impl Default for Cookie {
    /// The cookie `io` for the path `/`, `HttpOnly` and `SameSite=Lax`.
    fn default() -> Self {
        Self::new("io")
    }
}

impl Cookie {
    /// A cookie of this name with the default attributes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: Some("/".into()),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: SameSite::Lax,
        }
    }

    /// The path for which the cookie is sent; `None` leaves it to the browser. Default: `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<Option<String>>) -> Self {
        self.path = path.into();
        self
    }

    /// The domain for which the cookie is sent. Default: not said, which means this host.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How long the browser keeps it. Default: as long as the browser runs.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Whether scripts are kept from reading it. Default: yes.
    #[must_use]
    pub const fn http_only(mut self, yes: bool) -> Self {
        self.http_only = yes;
        self
    }

    /// Whether it is sent over TLS only. Default: no.
    #[must_use]
    pub const fn secure(mut self, yes: bool) -> Self {
        self.secure = yes;
        self
    }

    /// The `SameSite` attribute. Default: `Lax`.
    #[must_use]
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// The `Set-Cookie` header; `None` if a part has characters that no header can carry.
    pub(crate) fn header(&self, value: &str) -> Option<HeaderValue> {
        let mut text = format!("{}={value}", self.name);
        if let Some(age) = self.max_age {
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if let Some(domain) = &self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        if let Some(path) = &self.path {
            let _ = write!(text, "; Path={path}");
        }
        for (set, attribute) in [(self.http_only, "; HttpOnly"), (self.secure, "; Secure")] {
            text.push_str(if set { attribute } else { "" });
        }
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        HeaderValue::from_str(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_cookie_has_the_usual_attributes() {
        let header = Cookie::default().header("abc").unwrap();
        assert_eq!(header, "io=abc; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn cookie_is_http_only_whatever_else_is_said_of_it() {
        let cookie = Cookie::new("sid").path(None).secure(true);
        let cookie = cookie.same_site(SameSite::None).domain("example.org");
        let header = cookie.max_age(Duration::ZERO).header("v").unwrap();
        assert!(header.to_str().unwrap().contains("; HttpOnly;"));
    }

    #[test]
    fn every_attribute_is_written() {
        let cookie = Cookie::new("sid")
            .path(None)
            .domain("example.org")
            .max_age(Duration::from_secs(60))
            .http_only(false)
            .secure(true)
            .same_site(SameSite::None);
        let header = cookie.header("v").unwrap();
        assert_eq!(
            header,
            "sid=v; Max-Age=60; Domain=example.org; Secure; SameSite=None"
        );
    }

    #[test]
    fn cookie_that_no_header_can_carry_is_left_out() {
        assert_eq!(Cookie::new("a\r\nb").header("v"), None);
        assert_eq!(Cookie::default().domain("a\nb").header("v"), None);
    }
}
