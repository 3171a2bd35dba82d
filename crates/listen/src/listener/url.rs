use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use sockeye_engine::net::{self, Place};

/// Where to listen.
///
/// | form | meaning |
/// |---|---|
/// | `http://host:port`, `https://host:port` | HTTP: long-polling and WebSocket |
/// | `tcp://host:port`, `tls://host:port`, a bare port | a TCP stream |
/// | `unix:/path`, or a bare path with a slash or a dot in it | a Unix-domain socket |
/// | `unix:@name` | a Unix-domain socket in Linux's abstract namespace |
/// | `\\.\pipe\name` | on Windows, a named pipe; its transport is called `unix` all the same |
///
/// The host may be a name, an IPv4 address, an IPv6 address in brackets, or be left out, which
/// means every address of this machine. Port 0 lets the operating system choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    scheme: Scheme,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Tcp,
    Tls,
    Unix,
}

/// What is wrong with a URL to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenUrlError {
    /// There is no scheme, or one that cannot be listened on.
    #[error("the scheme must be http, https, tcp, tls or unix")]
    Scheme,
    /// There is no port, or it is not a number up to 65535.
    #[error("the port is missing or not a number up to 65535")]
    Port,
    /// Something follows the port.
    #[error("nothing may follow the port")]
    Path,
    /// The path, or the name behind `@`, is empty.
    #[error("the path of the socket is missing")]
    EmptyPath,
}

impl ListenUrl {
    /// Whether TLS is to be spoken.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.scheme, Scheme::Https | Scheme::Tls)
    }

    /// Whether HTTP is to be spoken, as opposed to packets or lines on the bare stream.
    #[must_use]
    pub const fn is_http(&self) -> bool {
        matches!(self.scheme, Scheme::Http | Scheme::Https)
    }

    /// The port; 0 if any will do, or if there are no ports.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self.place {
            Place::Host { port, .. } => port,
            Place::Path(_) | Place::Abstract(_) => 0,
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

    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// This URL with a host, if it has none and could have one.
    pub(super) fn or_host(mut self, default: &str) -> Self {
        if let Place::Host { host, .. } = &mut self.place
            && host.is_empty()
        {
            default.clone_into(host);
        }
        self
    }

    pub(super) fn with_port(&self, port: u16) -> Self {
        let mut url = self.clone();
        if let Place::Host { port: own, .. } = &mut url.place {
            *own = port;
        }
        url
    }
}

/// The addresses of a host; every address of this machine if there is none.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Ok(vec![everywhere(port)]);
    }
    net::resolve(host, port).await
}

/// `::`, which takes IPv4 connections too, or `0.0.0.0` where there is no IPv6.
fn everywhere(port: u16) -> SocketAddr {
    match std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

impl FromStr for ListenUrl {
    type Err = ListenUrlError;

    fn from_str(url: &str) -> Result<Self, ListenUrlError> {
        if !url.is_empty() && url.bytes().all(|byte| byte.is_ascii_digit()) {
            let place = host_and_port(&format!(":{url}"))?;
            return Ok(Self {
                scheme: Scheme::Tcp,
                place,
            });
        }
        if let Some(path) = url.strip_prefix("unix:") {
            return unix(path.strip_prefix("//").unwrap_or(path));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            // A bare path must look like one, so that a forgotten scheme is noticed.
            let is_pipe = cfg!(windows) && url.starts_with('\\');
            return if is_pipe || url.contains('/') || net::is_file_name(url) {
                unix(url)
            } else {
                Err(ListenUrlError::Scheme)
            };
        };
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "tcp" => Scheme::Tcp,
            "tls" => Scheme::Tls,
            _ => return Err(ListenUrlError::Scheme),
        };
        Ok(Self {
            scheme,
            place: host_and_port(rest.strip_suffix('/').unwrap_or(rest))?,
        })
    }
}

fn unix(path: &str) -> Result<ListenUrl, ListenUrlError> {
    Ok(ListenUrl {
        scheme: Scheme::Unix,
        place: Place::unix(path).ok_or(ListenUrlError::EmptyPath)?,
    })
}

fn host_and_port(text: &str) -> Result<Place, ListenUrlError> {
    if text.contains(['/', '?', '#']) {
        return Err(ListenUrlError::Path);
    }
    let (host, port) = text.rsplit_once(':').ok_or(ListenUrlError::Port)?;
    Ok(Place::Host {
        host: host.to_owned(),
        port: net::port(port).ok_or(ListenUrlError::Port)?,
    })
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Tcp => "tcp",
            Scheme::Tls => "tls",
            Scheme::Unix => "unix",
        };
        match &self.place {
            Place::Host { host, port } => {
                let host = if host.is_empty() { "[::]" } else { host };
                write!(f, "{scheme}://{host}:{port}")
            }
            Place::Path(path) => write!(f, "{scheme}:{}", path.display()),
            Place::Abstract(name) => write!(f, "{scheme}:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        let urls = [
            "http://0.0.0.0:3000",
            "https://[::1]:0",
            "http://localhost:80",
            "tcp://127.0.0.1:5000",
            "tls://localhost:5000",
            "unix:/run/app.sock",
            "unix:app.sock",
            "unix:@name",
        ];
        for url in urls {
            assert_eq!(url.parse::<ListenUrl>().unwrap().to_string(), url);
        }
        let written = |url: &str| url.parse::<ListenUrl>().unwrap().to_string();
        assert_eq!(written("http://:3000/"), "http://[::]:3000");
        assert_eq!(written("5000"), "tcp://[::]:5000");
        assert_eq!(written("./app.sock"), "unix:./app.sock");
        assert_eq!(written("unix:///run/app.sock"), "unix:/run/app.sock");
        assert_eq!(written("app.sock"), "unix:app.sock");
        assert_eq!(written(".sock"), "unix:.sock");
    }

    #[test]
    fn default_host_is_for_urls_that_could_have_one() {
        let written = |url: &str| {
            let url = url.parse::<ListenUrl>().unwrap();
            url.or_host("127.0.0.1").to_string()
        };
        assert_eq!(written("5000"), "tcp://127.0.0.1:5000");
        assert_eq!(written("http://localhost:80"), "http://localhost:80");
        assert_eq!(written("./app.sock"), "unix:./app.sock");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |url: &str| url.parse::<ListenUrl>().unwrap_err();
        assert_eq!(error("ftp://a:1"), ListenUrlError::Scheme);
        assert_eq!(error("localhost:3000"), ListenUrlError::Scheme);
        assert_eq!(error("example.org:3000"), ListenUrlError::Scheme);
        assert_eq!(error("127.0.0.1"), ListenUrlError::Scheme);
        assert_eq!(error(".."), ListenUrlError::Scheme);
        assert_eq!(error("socket"), ListenUrlError::Scheme);
        assert_eq!(error("http://localhost"), ListenUrlError::Port);
        assert_eq!(error("http://localhost:70000"), ListenUrlError::Port);
        assert_eq!(error("http://localhost:+1"), ListenUrlError::Port);
        assert_eq!(error("70000"), ListenUrlError::Port);
        assert_eq!(error("tcp://localhost:1/a"), ListenUrlError::Path);
        assert_eq!(error("unix:"), ListenUrlError::EmptyPath);
        assert_eq!(error("unix:@"), ListenUrlError::EmptyPath);
    }
}
