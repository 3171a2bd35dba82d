mod connect;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::url::{ConnectUrlError, host_and_port};

/// A proxy that TCP connections go through.
///
/// | form | meaning |
/// |---|---|
/// | `http://user:password@host:port` | HTTP with the CONNECT method; port 80 if none is given |
/// | `socks5://user:password@host:port`, `socks5h://…` | SOCKS 5 (RFC 1928); port 1080 if none is given |
///
/// User and password may be left out, and are percent-encoded in a URL. The proxy looks up the names
/// of hosts, with both schemes for SOCKS. `Debug` and `Display` leave user and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    kind: Kind,
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

/// What is wrong with a proxy's URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// There is no scheme, or one of a proxy that is not known.
    #[error("the scheme must be http, socks5 or socks5h")]
    Scheme,
    /// The host or the port is not valid, or something follows them.
    #[error("the host or the port of the proxy is not valid")]
    Host,
    /// User and password are not percent-encoded text, or cannot be sent: SOCKS takes 1 to 255
    /// bytes for each, and HTTP no user with a colon.
    #[error("the user name or the password cannot be sent to the proxy")]
    Login,
}

impl ProxyUrl {
    /// The same with this user name and password, which are taken as they are.
    ///
    /// # Errors
    ///
    /// [`ProxyUrlError::Login`] if they cannot be sent.
    pub fn login(mut self, user: &str, password: &str) -> Result<Self, ProxyUrlError> {
        let can_be_sent = match self.kind {
            Kind::Http => !user.contains(':'),
            Kind::Socks5 => [user, password]
                .iter()
                .all(|text| (1..=255).contains(&text.len())),
        };
        if !can_be_sent {
            return Err(ProxyUrlError::Login);
        }
        self.login = Some((user.to_owned(), password.to_owned()));
        Ok(self)
    }
}

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    fn from_str(url: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(ProxyUrlError::Scheme)?;
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(ProxyUrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => (Some(login), authority),
            None => (None, rest),
        };
        let (host, port) =
            host_and_port(authority).map_err(|_: ConnectUrlError| ProxyUrlError::Host)?;
        let proxy = Self {
            kind,
            host,
            port: port.unwrap_or(default_port),
            login: None,
        };
        match login {
            None => Ok(proxy),
            Some(login) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let decoded = (percent_decoded(user), percent_decoded(password));
                match decoded {
                    (Some(user), Some(password)) => proxy.login(&user, &password),
                    _ => Err(ProxyUrlError::Login),
                }
            }
        }
    }
}

/// Text with every `%xy` replaced; `None` if that is not possible, or is no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).ok()
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Http => "http",
            Kind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialer::DialConfig;

    fn read(url: &str) -> Result<ProxyUrl, ProxyUrlError> {
        url.parse()
    }

    #[test]
    fn urls_are_read() {
        let proxy = read("http://me%40home:p%3a%25@[::1]:3128/").unwrap();
        let login = ("me@home".to_owned(), "p:%".to_owned());
        assert_eq!(proxy.login, Some(login));
        assert_eq!(proxy.to_string(), "http://[::1]:3128");
        assert_eq!(read("http://a").unwrap().port, 80);
        assert_eq!(read("SOCKS5h://a").unwrap().to_string(), "socks5://a:1080");
    }

    #[test]
    fn password_is_neither_shown_nor_debugged() {
        let proxy = read("http://user:secret@a:1").unwrap();
        let config = DialConfig::default().proxy(Some(proxy.clone()));
        let shown = format!("{proxy} {proxy:?} {config:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("user:"),
            "{shown}"
        );
        assert!(shown.contains("http://a:1"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |url: &str| read(url).unwrap_err();
        assert_eq!(error("a:1"), ProxyUrlError::Scheme);
        assert_eq!(error("https://a:1"), ProxyUrlError::Scheme);
        assert_eq!(error("http://a:1/path"), ProxyUrlError::Host);
        assert_eq!(error("http://"), ProxyUrlError::Host);
        assert_eq!(error("http://a:b:1"), ProxyUrlError::Host);
        for login in ["%", "%4", "%zz", "%ff", "%+1", "a:%a"] {
            assert_eq!(error(&format!("http://{login}@a")), ProxyUrlError::Login);
        }
        assert_eq!(error("http://a%3Ab:c@a"), ProxyUrlError::Login);
        assert_eq!(error("socks5://user@a"), ProxyUrlError::Login);
        let long = format!("socks5://a:{}@a", "b".repeat(256));
        assert_eq!(error(&long), ProxyUrlError::Login);
    }
}
