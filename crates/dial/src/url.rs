mod read;

use std::fmt;
use std::path::Path;

use sockeye_engine_proto::TransportKind;
use thiserror::Error;

pub(crate) use read::host_and_port;
use sockeye_engine::net::Place;

/// Where to connect to.
///
/// | form | meaning |
/// |---|---|
/// | `http://host/namespace?query`, `ws://…` | HTTP: long-polling and WebSocket; port 80 if none is given |
/// | `https://host/namespace?query`, `wss://…` | the same over TLS; port 443 if none is given |
/// | `tcp://host:port/namespace`, a bare port | a TCP stream |
/// | `tls://host:port/namespace` | a TCP stream with TLS |
/// | `unix:/path`, or a bare path with a slash or a dot in it | a Unix-domain socket |
/// | `unix:@name` | a Unix-domain socket in Linux's abstract namespace |
///
/// The host may be a name, an IPv4 address or an IPv6 address in brackets. With the feature `idna`, a name may have letters
/// beyond ASCII, and becomes what resolvers know it by: `http://xn--bcher-kva.example` for `http://bücher.example`. Where there is none, as in
/// `tcp://:5000`, it is `localhost`. The path names the namespace, and a fragment is ignored, as the
/// JavaScript client does. A URL has at most 8000 characters.
///
/// ```
/// use sockeye_dial::ConnectUrl;
///
/// let url: ConnectUrl = "https://example.com/admin?token=abc".parse()?;
/// assert_eq!((url.host(), url.port()), (Some("example.com"), Some(443)));
/// assert_eq!((url.namespace(), url.query()), ("/admin", Some("token=abc")));
/// # Ok::<(), sockeye_dial::ConnectUrlError>(())
/// ```
/// `Debug` leaves the query out, which may hold a secret; `Display` does not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ConnectUrl {
    scheme: Scheme,
    place: Place,
    namespace: Box<str>,
    query: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
    Tcp,
    Tls,
    Unix,
}

/// What is wrong with a URL to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectUrlError {
    /// There is no scheme, or one that cannot be connected to.
    #[error(
        "the scheme must be http, https, ws, wss, tcp, tls or unix, as in http://localhost:3000"
    )]
    Scheme,
    /// A `tcp` or `tls` URL has no port.
    #[error("the port is missing")]
    MissingPort,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// The host is no name and no address, such as an IPv6 address without brackets.
    #[error("the host is not a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The host has letters beyond ASCII, and the library was built without the feature `idna`.
    #[error("the host has letters beyond ASCII, and the feature `idna` is off")]
    NoIdna,
    /// There are a user name and a password in front of the host.
    #[error("a user name in the URL is not sent; use a header instead")]
    UserInfo,
    /// The query has a character in it that has to be percent-encoded.
    #[error("the query has a character that must be percent-encoded")]
    Query,
    /// The path of the socket, or the name behind `@`, is empty.
    #[error("the path of the socket is missing")]
    EmptyPath,
    /// The URL has more than 8000 characters.
    #[error("the URL has more than 8000 characters")]
    TooLong,
}

impl ConnectUrl {
    /// Whether TLS is to be spoken.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Wss | Scheme::Tls)
    }

    /// Whether HTTP is to be spoken, as opposed to packets or lines on the bare stream.
    #[must_use]
    pub const fn is_http(&self) -> bool {
        self.stream_transport().is_none()
    }

    /// The transport of a bare stream; `None` if HTTP is to be spoken.
    #[must_use]
    pub const fn stream_transport(&self) -> Option<TransportKind> {
        match self.scheme {
            Scheme::Http | Scheme::Https | Scheme::Ws | Scheme::Wss => None,
            Scheme::Tcp | Scheme::Tls => Some(TransportKind::Tcp),
            Scheme::Unix => Some(TransportKind::Unix),
        }
    }

    /// The namespace that the path names; `/` if there is none, and for a Unix-domain socket.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What follows the question mark, still encoded.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The host, an IPv6 address with its brackets; `None` for a Unix-domain socket.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        match &self.place {
            Place::Host { host, .. } => Some(host),
            Place::Path(_) | Place::Abstract(_) => None,
        }
    }

    /// The port; `None` for a Unix-domain socket.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self.place {
            Place::Host { port, .. } => Some(port),
            Place::Path(_) | Place::Abstract(_) => None,
        }
    }

    /// The path of a Unix-domain socket.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Path(path) => Some(path),
            Place::Host { .. } | Place::Abstract(_) => None,
        }
    }

    /// The same place without namespace and query, for logs and error messages: a query may hold
    /// a secret.
    #[must_use]
    pub fn origin(&self) -> Self {
        Self {
            scheme: self.scheme,
            place: self.place.clone(),
            namespace: "/".into(),
            query: None,
        }
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Host and port, as a proxy is asked for them.
    pub(crate) fn host_and_port(&self) -> Option<String> {
        Some(format!("{}:{}", self.host()?, self.port()?))
    }

    /// The host and, unless it goes without saying, the port: as a `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        match &self.place {
            Place::Host { host, port } => {
                // A zone is only known to this machine (RFC 6874 §1).
                let host = match host.split_once('%') {
                    Some((address, _)) => &format!("{address}]"),
                    None => host,
                };
                if self.scheme.default_port() == Some(*port) {
                    host.to_owned()
                } else {
                    format!("{host}:{port}")
                }
            }
            Place::Path(_) | Place::Abstract(_) => "localhost".to_owned(),
        }
    }
}

impl Scheme {
    fn from_name(name: &str) -> Option<Self> {
        [
            Self::Http,
            Self::Https,
            Self::Ws,
            Self::Wss,
            Self::Tcp,
            Self::Tls,
        ]
        .into_iter()
        .find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Unix => "unix",
        }
    }

    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Tcp | Self::Tls | Self::Unix => None,
        }
    }
}

impl fmt::Display for ConnectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        match &self.place {
            Place::Host { host, port } => {
                write!(f, "{scheme}://{host}")?;
                if self.scheme.default_port() != Some(*port) {
                    write!(f, ":{port}")?;
                }
            }
            Place::Path(path) => {
                // Two slashes are read as those that URLs of other schemes have.
                let slashes = if path.as_os_str().as_encoded_bytes().starts_with(b"//") {
                    "//"
                } else {
                    ""
                };
                write!(f, "{scheme}:{slashes}{}", path.display())?;
            }
            Place::Abstract(name) => write!(f, "{scheme}:@{name}")?,
        }
        if self.namespace() != "/" {
            f.write_str(&self.namespace)?;
        }
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ConnectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Self {
            query: None,
            ..self.clone()
        };
        let omission = if self.query.is_some() { "?…" } else { "" };
        write!(f, "ConnectUrl({shown}{omission})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_can_be_read_is_written_as_the_same(
            text in "(http|wss|tcp|unix|)(://|:|)[a-z0-9.:/@%?#\\[\\]\u{fc} -]{0,24}"
        ) {
            if let Ok(url) = text.parse::<ConnectUrl>() {
                prop_assert_eq!(url.to_string().parse::<ConnectUrl>(), Ok(url));
            }
        }
    }

    fn url(text: &str) -> ConnectUrl {
        text.parse().unwrap()
    }

    #[test]
    fn urls_are_read_and_written() {
        let urls = [
            "http://localhost",
            "https://example.com:8443/admin?token=a%20b&x",
            "ws://127.0.0.1:8080",
            "wss://[::1]:3000/chat",
            "tcp://localhost:5000",
            "tcp://10.0.0.1:5000/admin",
            "tls://[fe80::1%eth0]:5000",
            "unix:/run/app.sock",
            "unix:./app.sock?not-a-query",
            "unix:@name",
        ];
        for text in urls {
            assert_eq!(url(&url(text).to_string()), url(text));
        }
        let written = |text: &str| url(text).to_string();
        assert_eq!(written("HTTP://localhost:80/"), "http://localhost");
        assert_eq!(written("wss://a:443?x#y"), "wss://a?x");
        assert_eq!(written("http://:3000/#/b"), "http://localhost:3000");
        assert_eq!(written("5000"), "tcp://localhost:5000");
        assert_eq!(written("tcp://:5000/?"), "tcp://localhost:5000");
        assert_eq!(written("./app.sock"), "unix:./app.sock");
        assert_eq!(written("run/a:1"), "unix:run/a:1");
        assert_eq!(written("app.sock"), "unix:app.sock");
        assert_eq!(written("app.sock?x"), "unix:app.sock?x");
        assert_eq!(written("//run/app.sock"), "unix:////run/app.sock");
        assert_eq!(written("unix:///run/app.sock"), "unix:/run/app.sock");
    }

    #[test]
    fn path_is_the_namespace_and_query_stays_encoded() {
        let equals = url("http://a?x=b=c==");
        assert_eq!(equals.query(), Some("x=b=c=="));
        let url = url("https://example.com/a/b?x=%20&y#z");
        assert_eq!((url.namespace(), url.query()), ("/a/b", Some("x=%20&y")));
        assert_eq!((url.host(), url.port()), (Some("example.com"), Some(443)));
        assert_eq!(url.origin().to_string(), "https://example.com");
        let unix: ConnectUrl = "unix:/a?b".parse().unwrap();
        assert_eq!((unix.namespace(), unix.query()), ("/", None));
        assert_eq!(unix.path(), Some(Path::new("/a?b")));
        assert_eq!((unix.host(), unix.port()), (None, None));
    }

    #[test]
    fn namespace_is_taken_as_it_is_written() {
        for namespace in [
            "/a/../b", "/./a", "/a b", "/ä", "/%41", "/a\\b", "//a", "/a/",
        ] {
            assert_eq!(url(&format!("http://a{namespace}")).namespace(), namespace);
            assert_eq!(url(&format!("tcp://a:1{namespace}")).namespace(), namespace);
        }
    }

    #[test]
    fn debug_leaves_the_query_out() {
        let shown = format!("{:?}", url("https://a/b?token=secret"));
        assert!(
            shown.contains("https://a/b") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn kinds_are_told_apart() {
        assert!(url("ws://a").is_http() && !url("ws://a").is_secure());
        assert!(url("wss://a").is_http() && url("wss://a").is_secure());
        assert!(!url("tls://a:1").is_http() && url("tls://a:1").is_secure());
        let transport = |text: &str| url(text).stream_transport();
        assert_eq!(transport("http://a"), None);
        assert_eq!(transport("tls://a:1"), Some(TransportKind::Tcp));
        assert_eq!(transport("/a"), Some(TransportKind::Unix));
    }

    #[test]
    fn authority_has_neither_default_port_nor_zone() {
        assert_eq!(url("wss://a").authority(), "a");
        assert_eq!(url("ws://a:443").authority(), "a:443");
        assert_eq!(url("http://[fe80::1%eth0]:1").authority(), "[fe80::1]:1");
    }

    #[cfg(feature = "idna")]
    #[test]
    fn host_beyond_ascii_is_written_as_resolvers_know_it() {
        let host = |text: &str| url(text).host().unwrap().to_owned();
        assert_eq!(host("http://bücher.example/ä"), "xn--bcher-kva.example");
        assert_eq!(host("wss://BÜCHER.example:444"), "xn--bcher-kva.example");
        assert_eq!(
            host("tcp://bu\u{308}cher。example:1"),
            "xn--bcher-kva.example"
        );
        // As RFC 5891 has it, and not as its predecessor.
        assert_eq!(host("http://faß.example"), "xn--fa-hia.example");
        assert_eq!(host("http://例え.テスト"), "xn--r8jz45g.xn--zckzah");
        assert_eq!(host("http://１２７.0.0.1:80"), "127.0.0.1");
        // ASCII is nobody's business.
        assert_eq!(host("http://My_Host"), "My_Host");
        assert_eq!(host("http://xn--a"), "xn--a");
        let same = url("http://bücher.example/x?y");
        assert_eq!(same, url("http://xn--bcher-kva.example/x?y"));
        for wrong in [
            "http://ü b",
            "http://ü%41",
            "http://ü％41",
            "http://ü／a",
            "http://ü＠b",
            "http://ü：1",
            "http://xn--ü",
            "http://\u{ad}",
            "http://[ü]:1",
            "http://ü\u{202e}a.example",
        ] {
            let error = wrong.parse::<ConnectUrl>();
            assert_eq!(error, Err(ConnectUrlError::Host), "{wrong}");
        }
        let long = format!("http://{}", "ü".repeat(300));
        assert_eq!(long.parse::<ConnectUrl>(), Err(ConnectUrlError::Host));
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn host_beyond_ascii_takes_its_feature() {
        let error = "http://bücher.example".parse::<ConnectUrl>();
        assert_eq!(error, Err(ConnectUrlError::NoIdna));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |url: &str| url.parse::<ConnectUrl>().unwrap_err();
        assert_eq!(error(""), ConnectUrlError::Scheme);
        assert_eq!(error("ftp://a:1"), ConnectUrlError::Scheme);
        assert_eq!(error("localhost:3000"), ConnectUrlError::Scheme);
        assert_eq!(error("localhost:3000/admin"), ConnectUrlError::Scheme);
        assert_eq!(error("example.com:3000"), ConnectUrlError::Scheme);
        assert_eq!(error("127.0.0.1"), ConnectUrlError::Scheme);
        assert_eq!(error("localhost"), ConnectUrlError::Scheme);
        assert_eq!(error("tcp://localhost"), ConnectUrlError::MissingPort);
        assert_eq!(error("http://localhost:"), ConnectUrlError::Port);
        assert_eq!(error("http://localhost:0"), ConnectUrlError::Port);
        assert_eq!(error("http://localhost:70000"), ConnectUrlError::Port);
        assert_eq!(error("http://localhost:+1"), ConnectUrlError::Port);
        assert_eq!(error("70000"), ConnectUrlError::Port);
        assert_eq!(error("http://"), ConnectUrlError::Host);
        assert_eq!(error("http://::1"), ConnectUrlError::Host);
        assert_eq!(error("http://[::1"), ConnectUrlError::Host);
        assert_eq!(error("http://[::1]3000"), ConnectUrlError::Host);
        assert_eq!(error("http://[::1%]:1"), ConnectUrlError::Host);
        assert_eq!(error("http://a b"), ConnectUrlError::Host);
        assert_eq!(error("http://me:secret@a"), ConnectUrlError::UserInfo);
        assert_eq!(error("http://a?b c"), ConnectUrlError::Query);
        assert_eq!(error("http://a?b\r\nc"), ConnectUrlError::Query);
        assert_eq!(error("unix:"), ConnectUrlError::EmptyPath);
        assert_eq!(error("unix:@"), ConnectUrlError::EmptyPath);
        let long = |len: usize| format!("http://a/{}", "ä".repeat(len - 9));
        assert!(long(8000).parse::<ConnectUrl>().is_ok());
        assert_eq!(error(&long(8001)), ConnectUrlError::TooLong);
    }
}
