use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use sockeye_engine_proto::TransportKind;
use thiserror::Error;

use super::ConnectUrl;

/// Any cause, kept for [`source`](std::error::Error::source).
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a server could not be reached, or what it answered instead of what was asked for.
///
/// The messages name the place without its query, which may hold a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// The host has no address.
    #[error("cannot find an address of {host}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing took the connection, at none of the host's addresses.
    #[error("cannot connect to {to}")]
    Connect {
        /// Where to.
        to: String,
        /// What the operating system said of the address that failed last.
        source: io::Error,
    },
    /// A Unix-domain socket cannot be connected to.
    #[error("cannot connect to {url}: {problem}")]
    Unix {
        /// The URL of the socket.
        url: ConnectUrl,
        /// What is wrong with it.
        problem: UnixProblem,
        /// What the operating system said.
        source: io::Error,
    },
    /// The proxy could not be reached, or has refused to connect us.
    #[error("the proxy {proxy} does not connect to {to}")]
    Proxy {
        /// The proxy, without its password.
        proxy: String,
        /// Where to.
        to: String,
        /// Why.
        source: Cause,
    },
    /// TLS could not be agreed on, which includes a certificate that is not trusted.
    #[error("no TLS with {to}")]
    Tls {
        /// With whom.
        to: String,
        /// Why.
        source: io::Error,
    },
    /// The URL asks for TLS, and the library was built without the feature `tls`.
    #[error("{url} needs TLS, and the feature `tls` is off")]
    NoTls {
        /// The URL.
        url: ConnectUrl,
    },
    /// A request cannot be written: its path or one of its headers is not valid.
    #[error("the request to {to} cannot be written")]
    Request {
        /// To whom.
        to: String,
        /// Why.
        source: Cause,
    },
    /// The connection broke during a request, or the answer is no HTTP.
    #[error("no answer from {to}")]
    Http {
        /// From whom.
        to: String,
        /// Why.
        source: Cause,
    },
    /// The answer to a WebSocket handshake has another status than 101.
    #[error(
        "{to} answered {status} instead of opening a WebSocket{}",
        Excerpt(body)
    )]
    Refused {
        /// Who answered.
        to: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the body, as text; at most 512 bytes of it.
        body: String,
    },
    /// The server sends whoever asks to another place. That is not gone to, as it would be with all that was meant for
    /// this one: headers, query, cookies.
    #[error("{to} answered {status}, which leads to {location}")]
    Redirected {
        /// Who answered.
        to: String,
        /// The status.
        status: StatusCode,
        /// Where that leads.
        location: RedirectLocation,
    },
    /// The answer to a WebSocket handshake breaks the rules of one.
    #[error("{to} answered the WebSocket handshake wrongly")]
    Handshake {
        /// Who answered.
        to: String,
        /// Which rule.
        source: sockeye_websocket::handshake::ResponseError,
    },
    /// The body of an answer is larger than may be.
    #[error("the answer of {to} has more than {limit} bytes")]
    TooLarge {
        /// Who answered.
        to: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A request took longer than it may.
    #[error("{to} did not answer within {after:?}")]
    Timeout {
        /// Who did not answer.
        to: String,
        /// The time that it had.
        after: Duration,
    },
}

/// Where a redirection leads, as the server says it; at most 512 bytes of it.
///
/// `Display` and `Debug` leave query, fragment and user out, which may hold secrets; [`as_str`](Self::as_str) does not.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectLocation(String);

/// What is wrong with the path of a Unix-domain socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnixProblem {
    /// There is no file at the path, or nobody listens under the abstract name.
    #[error("there is no such socket")]
    Missing,
    /// The same, of a path that may be meant for a host, as it begins neither with a slash nor with a dot.
    #[error(
        "it was taken for the path of a socket, which is not there; a server's URL begins with http://"
    )]
    MissingOrHost,
    /// There is a file, and it is not a socket.
    #[error("the file is not a socket")]
    NotASocket,
    /// The file is there, and no process listens: a server has left it behind.
    #[error("no server listens on the socket")]
    NobodyListens,
    /// Connecting takes the permission to write to the socket, and to search its folders.
    #[error("permission denied")]
    Denied,
    /// More connections wait to be accepted than the server lets wait.
    #[error("too many connections wait for the server")]
    Busy,
    /// The operating system has no room for a path of this length.
    #[error("the path of {length} bytes is longer than the system's limit of {limit}")]
    TooLong {
        /// The length of the path, in bytes.
        length: usize,
        /// The longest path that the operating system takes, in bytes.
        limit: usize,
    },
    /// This operating system has no such sockets.
    #[error("this system has no sockets of this kind")]
    Unsupported,
    /// Anything else.
    #[error("the system refused")]
    Other,
}

/// A setting of a client that cannot work.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The path of requests must begin with a slash.
    #[error("the path {0:?} does not begin with a slash")]
    Path(String),
    /// The path of requests has characters that no path may have, or in it would begin a query.
    #[error("the path {0:?} cannot be written into a request")]
    UnwritablePath(String),
    /// The name of a sub-protocol is empty, or has characters that none may have (RFC 6455, section 4.1).
    #[error("{0:?} is no name of a sub-protocol")]
    SubProtocol(String),
    /// No transport is left to reach a server over HTTP.
    #[error("there is no transport to use")]
    NoTransport,
    /// The URL asks for TLS, and the library was built without the feature `tls`.
    #[error("{0} needs TLS, and the feature `tls` is off")]
    NoTlsFor(ConnectUrl),
    /// Over HTTP there are only polling and WebSocket.
    #[error("{0} is no transport over http")]
    Transport(TransportKind),
    /// A limit that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// TLS options are set, and the library was built without the feature `tls`.
    #[error("there are TLS options, and the feature `tls` is off")]
    NoTls,
    /// There is a proxy, and the application opens all streams itself.
    #[error("there is a proxy for streams that the application opens itself")]
    ProxyOfStreams,
    /// Cookies are to be kept, and the library was built without the feature `cookies`.
    #[error("cookies are to be kept, and the feature `cookies` is off")]
    NoCookies,
    /// What [`TlsOptions::ca_certificates`](crate::TlsOptions::ca_certificates) was given is not PEM, or has no certificates in it.
    #[error("the certificates of authorities cannot be used")]
    CaCertificates(#[source] Cause),
    /// The operating system trusts no authority that could be found, and none was given.
    #[error("there are no certificates of authorities to trust")]
    NoCaCertificates,
    /// What [`TlsOptions::client_certificate`](crate::TlsOptions::client_certificate) was given is not PEM, or its key is another one's.
    #[error("the client certificate cannot be used")]
    ClientCertificate(#[source] Cause),
    /// [`TlsOptions::server_name`](crate::TlsOptions::server_name) is neither a name nor an address.
    #[error("{0:?} is no name of a server")]
    ServerName(String),
    /// The TLS library refuses to work.
    #[error("TLS cannot be set up")]
    Tls(#[source] Cause),
}

/// The longest place of a redirection that is kept, in bytes.
const MAX_LOCATION: usize = 512;

impl DialError {
    /// What an answer is that leads elsewhere.
    pub(super) fn redirection(
        url: &ConnectUrl,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let location = headers.get(LOCATION).filter(|_| status.is_redirection())?;
        let location = location.as_bytes();
        let location = &location[..location.len().min(MAX_LOCATION)];
        Some(Self::Redirected {
            to: url.origin().to_string(),
            status,
            location: RedirectLocation(String::from_utf8_lossy(location).into_owned()),
        })
    }

    /// Whether the same attempt may succeed later, without anything being changed on this side.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(
            self,
            Self::NoTls { .. }
                | Self::Request { .. }
                | Self::Unix {
                    problem: UnixProblem::TooLong { .. } | UnixProblem::Unsupported,
                    ..
                }
        )
    }

    /// Whether what was answered is no HTTP at all: it is another kind of server, or one that wants
    /// TLS.
    #[must_use]
    pub fn is_not_http(&self) -> bool {
        match self {
            Self::Http { source, .. } => source
                .downcast_ref::<hyper::Error>()
                .is_some_and(|error| error.is_parse() || spoke_first(error)),
            _ => false,
        }
    }
}

/// Whether the server said something before it was asked. hyper has no name for that in public.
fn spoke_first(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.to_string().contains("unexpected message") {
            return true;
        }
        cause = error.source();
    }
    false
}

impl RedirectLocation {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RedirectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.0.split(['?', '#']).next().unwrap_or_default();
        let (before, rest) = match place.find("//") {
            Some(at) => place.split_at(at + 2),
            None => ("", place),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = match authority.rsplit_once('@') {
            Some((_, host)) if !before.is_empty() => host,
            _ => authority,
        };
        for part in [before, host, path] {
            write!(f, "{}", part.escape_debug())?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedirectLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let omission = if self.0.contains(['?', '#']) {
            "…"
        } else {
            ""
        };
        write!(f, "RedirectLocation({self}{omission})")
    }
}

/// A body behind a colon, if there is one.
struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0.escape_debug())
    }
}
