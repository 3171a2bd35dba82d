//! The server that a command connects to, and how.

use std::error::Error;
use std::io;
use std::path::Path;

use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sockeye::Client;
use sockeye::client::{
    ClientBuilder, ConfigError, ConnectError, DialError, Dialect, OpenError, Reconnection,
    Revision, TlsOptions, TransportKind, UnixProblem,
};
use thiserror::Error;

use crate::report::{self, Exit, Explain};
use crate::shown;
use crate::units::Span;

/// Which server, and how to get there.
#[derive(Clone, Debug, Args)]
pub(crate) struct PeerOptions {
    /// The server: http://HOST:PORT/NAMESPACE, https, ws or wss; tcp://HOST:PORT, tls, unix:PATH,
    /// or simply the path of a socket.
    pub(crate) url: String,

    #[command(flatten, next_help_heading = "Connection")]
    how: Way,
}

/// How to get to a server.
#[derive(Clone, Debug, Args)]
struct Way {
    /// What to show the server when joining the namespace: a JSON object, or @FILE with one in it.
    #[arg(long, value_name = "JSON", value_parser = parse_auth)]
    auth: Option<Value>,

    /// A header for every request and WebSocket handshake. May be given several times.
    #[arg(short = 'H', long, value_name = "NAME: VALUE", value_parser = parse_header)]
    header: Vec<(HeaderName, HeaderValue)>,

    /// The namespace, in place of the one in the URL.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,

    /// The transport with http and ws URLs; "upgrade" begins with polling and goes on to a
    /// WebSocket. Default: upgrade; for bench websocket.
    #[arg(short, long, value_enum)]
    transport: Option<Transport>,

    /// The version of Engine.IO: 4 for servers of Socket.IO 3 and 4, 3 for older ones.
    #[arg(long, value_enum, default_value_t = Version::Auto)]
    protocol: Version,

    /// What to speak on a bare stream (tcp, tls, unix): native is packets, lines is JSON lines.
    #[arg(long, value_enum, default_value_t = Language::Auto)]
    dialect: Language,

    /// The path of requests.
    #[arg(long, value_name = "PATH", default_value = "/socket.io")]
    path: String,

    /// Take any certificate of the server's. (SSL_CERT_FILE names a file of authorities to trust.)
    #[arg(long)]
    insecure: bool,

    /// How long connecting may take.
    #[arg(long, value_name = "TIME", default_value = "20s")]
    connect_timeout: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Polling,
    Websocket,
    Upgrade,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    Auto,
    #[value(name = "3")]
    V3,
    #[value(name = "4")]
    V4,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Language {
    Auto,
    Native,
    Lines,
}

/// Why there is no connection. URLs in it are [shown](shown::url) without what may be a secret.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    #[error("cannot connect to {url}")]
    Config { url: String, source: ConfigError },
    #[error(transparent)]
    Unreachable(ConnectError),
    /// There is a server, of another kind.
    #[error("there is no Socket.IO server at {url}: {}", stranger.what)]
    Stranger { url: String, stranger: Stranger },
    #[error("the server refuses: {0}{data}", data = Data(.0))]
    Refused(ConnectError),
}

/// What is at the other end instead of a Socket.IO server.
#[derive(Debug)]
pub(crate) struct Stranger {
    what: String,
    hint: Option<&'static str>,
}

/// What the server says beyond its message.
struct Data<'a>(&'a ConnectError);

impl PeerOptions {
    /// Says aloud what is dangerous about these options.
    pub(crate) fn warn(&self) {
        if self.how.insecure {
            report::warn(
                "certificates are not checked (--insecure): anyone on the way to the server can \
                 read and change everything",
            );
        }
    }

    /// The namespace that an option names.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.how.namespace.as_deref()
    }

    /// Has a WebSocket opened right away if nothing else is said: what moves from one transport to
    /// another meanwhile cannot be measured.
    pub(crate) fn prefer_websocket(&mut self) {
        self.how.transport.get_or_insert(Transport::Websocket);
    }

    /// A client of the server, which is yet to connect.
    pub(crate) fn builder(&self, reconnection: Option<Reconnection>) -> ClientBuilder {
        let how = &self.how;
        let transport = how.transport.unwrap_or(Transport::Upgrade);
        let headers: HeaderMap = how.header.iter().cloned().collect();
        let mut builder = Client::builder(&self.url).config(|config| {
            config
                .reconnection(reconnection)
                .timeout(how.connect_timeout.0)
                .connector(|connector| {
                    let connector = match how.insecure {
                        true => connector.dial(|dial| {
                            dial.tls(TlsOptions::default().danger_accept_invalid_certs(true))
                        }),
                        false => connector,
                    };
                    connector
                        .headers(headers)
                        .path(how.path.as_str())
                        .transports(transport.kinds().iter().copied())
                        .upgrade(transport == Transport::Upgrade)
                        .revision(how.protocol.revision())
                        .dialect(how.dialect.dialect())
                })
        });
        if let Some(auth) = &how.auth {
            builder = builder.auth(auth);
        }
        if let Some(namespace) = &how.namespace {
            builder = builder.namespace(namespace);
        }
        builder
    }

    /// Why there is no connection, and, if that is known, to whom there would have been one.
    pub(crate) fn connect_error(&self, error: ConnectError) -> PeerError {
        if error.refusal().is_some() {
            return PeerError::Refused(error);
        }
        match Stranger::behind(&self.url, &error) {
            Some(stranger) => PeerError::Stranger {
                url: shown::url(&self.url).into_owned(),
                stranger,
            },
            None => PeerError::Unreachable(error),
        }
    }

    /// The error of a setting that cannot work.
    pub(crate) fn config_error(&self, source: ConfigError) -> PeerError {
        let url = shown::url(&self.url).into_owned();
        PeerError::Config { url, source }
    }
}

impl Transport {
    const fn kinds(self) -> &'static [TransportKind] {
        match self {
            Self::Polling => &[TransportKind::Polling],
            Self::Websocket => &[TransportKind::WebSocket],
            Self::Upgrade => &[TransportKind::Polling, TransportKind::WebSocket],
        }
    }
}

impl Version {
    const fn revision(self) -> Option<Revision> {
        match self {
            Self::Auto => None,
            Self::V3 => Some(Revision::V3),
            Self::V4 => Some(Revision::V4),
        }
    }
}

impl Language {
    const fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Auto => None,
            Self::Native => Some(Dialect::Packets),
            Self::Lines => Some(Dialect::Lines),
        }
    }
}

impl Stranger {
    /// Who has answered, if it was nobody who speaks Socket.IO.
    fn behind(url: &str, error: &ConnectError) -> Option<Self> {
        let ConnectError::Open(error) = error else {
            return None;
        };
        match &**error {
            // Engine.IO servers say a code, and proxies in front of them have other statuses.
            OpenError::Status {
                status,
                code: None,
                message,
            } if status.is_success() || FOREIGN.contains(status) => {
                let (status, body) = (status.as_u16(), excerpt(message));
                Some(Self {
                    what: format!("an HTTP server answers with status {status}{body}"),
                    hint: Some(ELSEWHERE),
                })
            }
            OpenError::Handshake { source } => {
                let why = report::chain(&**source);
                let hint = if url.starts_with("http") || url.starts_with("ws") {
                    Some(ELSEWHERE)
                } else if why.contains("\"HTTP/") {
                    Some("A web server's URL begins with http://.")
                } else {
                    None
                };
                let what = match why.contains("packet type '<'") {
                    true => "a web page answers".into(),
                    false => format!("what answers cannot be understood ({why})"),
                };
                Some(Self { what, hint })
            }
            OpenError::Dial(dial) if dial.is_not_http() => Some(Self {
                what: "what answers does not speak HTTP".into(),
                hint: Some(
                    "If it wants TLS, the URL begins with https://; a Socket.IO server on a bare \
                     stream is reached by tcp://HOST:PORT.",
                ),
            }),
            _ => None,
        }
    }
}

const ELSEWHERE: &str = "If Socket.IO is served under another path there, say so by --path.";

/// What web servers answer to requests that mean nothing to them.
const FOREIGN: [http::StatusCode; 5] = [
    http::StatusCode::BAD_REQUEST,
    http::StatusCode::NOT_FOUND,
    http::StatusCode::METHOD_NOT_ALLOWED,
    http::StatusCode::UPGRADE_REQUIRED,
    http::StatusCode::NOT_IMPLEMENTED,
];

/// The first line of a body, unless that is one of a web page, which says nothing.
fn excerpt(body: &str) -> String {
    let line = body.trim_start().lines().next().unwrap_or_default();
    match line.chars().next() {
        None => String::new(),
        Some('<') => " and a web page".into(),
        Some(_) => {
            let start: String = line.chars().take(MAX_EXCERPT).collect();
            format!(": {start}")
        }
    }
}

const MAX_EXCERPT: usize = 80;

impl Explain for PeerError {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Config { .. } => return None,
            Self::Refused(error) => match error.to_string().as_str() {
                "Invalid namespace" => {
                    "The path of the URL, or --namespace, names the namespace; --path is for the \
                     path of requests."
                }
                _ => return None,
            },
            Self::Stranger { stranger, .. } => stranger.hint?,
            Self::Unreachable(error) => unreachable_hint(error)?,
        };
        Some(hint.to_owned())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Config { .. } => Exit::Failure,
            Self::Unreachable(_) | Self::Stranger { .. } | Self::Refused(_) => Exit::Unreachable,
        }
    }
}

fn unreachable_hint(error: &ConnectError) -> Option<&'static str> {
    let mut cause: &(dyn Error + 'static) = error;
    if let ConnectError::Open(open) = error {
        match &**open {
            OpenError::Dial(DialError::Redirected { .. }) => {
                return Some(
                    "Redirects are not followed; give the URL of the server that this one leads to.",
                );
            }
            OpenError::Dial(DialError::Unix {
                problem: UnixProblem::MissingOrHost,
                ..
            }) => {
                return Some("If it is a host, write http:// or https:// in front of it.");
            }
            OpenError::UnsupportedRevision => {
                return Some("Leave --protocol out to have the version found out.");
            }
            OpenError::Dial(DialError::Tls { .. }) => {
                return Some(
                    "If it is the certificate: SSL_CERT_FILE names a file of authorities to \
                     trust, and --insecure takes any certificate.",
                );
            }
            _ => cause = &**open,
        }
    }
    match io_kind(cause)? {
        io::ErrorKind::ConnectionRefused => Some("Is the server running, and on this port?"),
        io::ErrorKind::NotFound => Some("Is the server running?"),
        _ => None,
    }
}

/// What the operating system said, if it is behind an error.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

impl std::fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.refusal().and_then(|refusal| refusal.data()) {
            Some(data) => write!(f, " {data}"),
            None => Ok(()),
        }
    }
}

/// What a socket shows: an object, on the command line or, so that nobody else sees it there, in a
/// file.
fn parse_auth(text: &str) -> Result<Value, String> {
    let json = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(Path::new(path))
            .map_err(|error| format!("{path} cannot be read: {error}"))?,
        None => text.to_owned(),
    };
    match serde_json::from_str(json.trim_start_matches('\u{feff}')) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("it must be a JSON object, such as {\"token\":\"t0\"}".into()),
        Err(error) => Err(format!("it must be a JSON object: {error}")),
    }
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("write it with a colon, such as 'x-token: t0'")?;
    let name = name
        .trim()
        .parse()
        .map_err(|_| "the name has characters that it must not have")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| "the value has characters that it must not have")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_has_a_name_and_a_value() {
        let (name, value) = parse_header("X-Token:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-token", &b"a: b"[..]));
        for wrong in ["x-token", ": a", "a b: c", "a: b\nc"] {
            assert!(parse_header(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn body_of_a_stranger_is_shown_if_it_says_something() {
        assert_eq!(excerpt(""), "");
        assert_eq!(excerpt("\n<!doctype html>\n<title>a"), " and a web page");
        assert_eq!(excerpt("no such page\nb"), ": no such page");
    }

    #[test]
    fn auth_is_an_object() {
        assert!(parse_auth(r#"{"token":"t0"}"#).is_ok());
        assert!(parse_auth("\u{feff}{}").is_ok());
        for wrong in ["", "token", "[1]", "{", "@/no/such/file"] {
            assert!(parse_auth(wrong).is_err(), "{wrong:?}");
        }
    }
}
