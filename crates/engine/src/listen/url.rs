use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Where to listen: `http://host:port` or `https://host:port`.
///
/// The host may be a name, an IPv4 address, an IPv6 address in brackets, or be left out, which
/// means every address of this machine. Port 0 lets the operating system choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    secure: bool,
    host: String,
    port: u16,
}

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no scheme, or one that cannot be listened on.
    #[error("the scheme must be http or https")]
    Scheme,
    /// There is no port, or it is not a number up to 65535.
    #[error("the port is missing or not a number up to 65535")]
    Port,
    /// Something follows the port.
    #[error("nothing may follow the port")]
    Path,
}

impl ListenUrl {
    /// Whether TLS is to be spoken.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The port; 0 if any will do.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn with_port(&self, port: u16) -> Self {
        Self {
            port,
            ..self.clone()
        }
    }

    /// The addresses of the host.
    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            return Ok(vec![self.everywhere()]);
        }
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![(address, self.port).into()]);
        }
        let mut found: Vec<_> = tokio::net::lookup_host((bare, self.port)).await?.collect();
        found.dedup();
        Ok(found)
    }

    /// `::`, which takes IPv4 connections too, or `0.0.0.0` where there is no IPv6.
    fn everywhere(&self) -> SocketAddr {
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port));
        match std::net::UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
            Ok(_) => v6,
            Err(_) => (Ipv4Addr::UNSPECIFIED, self.port).into(),
        }
    }
}

impl FromStr for ListenUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(UrlError::Path);
        }
        let (host, port) = rest.rsplit_once(':').ok_or(UrlError::Port)?;
        if !port.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(UrlError::Port);
        }
        let port = port.parse().map_err(|_| UrlError::Port)?;
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let host = if self.host.is_empty() {
            "[::]"
        } else {
            &self.host
        };
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        for url in [
            "http://0.0.0.0:3000",
            "https://[::1]:0",
            "http://localhost:80",
        ] {
            assert_eq!(url.parse::<ListenUrl>().unwrap().to_string(), url);
        }
        assert_eq!(
            "http://:3000/".parse::<ListenUrl>().unwrap().to_string(),
            "http://[::]:3000"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |url: &str| url.parse::<ListenUrl>().unwrap_err();
        assert_eq!(error("ftp://a:1"), UrlError::Scheme);
        assert_eq!(error("localhost:3000"), UrlError::Scheme);
        assert_eq!(error("http://localhost"), UrlError::Port);
        assert_eq!(error("http://localhost:70000"), UrlError::Port);
        assert_eq!(error("http://localhost:+1"), UrlError::Port);
        assert_eq!(error("http://localhost:1/a"), UrlError::Path);
    }
}
