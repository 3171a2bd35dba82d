//! How URLs to connect to are read.
//!
//! Not read by the crate `url`, which reads as browsers do: it refuses the zone of an IPv6 address, and a host that is left
//! out (`urls_are_read_and_written`); resolves dots and escapes characters in a path, which is a namespace here and taken
//! as it is written (`namespace_is_taken_as_it_is_written`); and mends or drops what has no place in a host, a port or a
//! query, where this says what is wrong (`what_is_wrong_is_named`). What would remain of it is less than what it brings: two
//! dozen crates.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::str::FromStr;

use sockeye_engine::net::{self, Place};

use super::{ConnectUrl, ConnectUrlError, Scheme};

/// The limit of the JavaScript client.
const MAX_CHARACTERS: usize = 8000;

impl FromStr for ConnectUrl {
    type Err = ConnectUrlError;

    fn from_str(url: &str) -> Result<Self, ConnectUrlError> {
        // No character has more than four bytes, so that counting is the exception.
        if url.len() > MAX_CHARACTERS && url.chars().count() > MAX_CHARACTERS {
            return Err(ConnectUrlError::TooLong);
        }
        if !url.is_empty() && url.bytes().all(|byte| byte.is_ascii_digit()) {
            return network(Scheme::Tcp, &format!(":{url}"));
        }
        if let Some(path) = url.strip_prefix("unix:") {
            return unix(path.strip_prefix("//").unwrap_or(path));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            // A bare path must look like one, so that a forgotten scheme is noticed: the slash of
            // `localhost:3000/admin` comes too late, that of `./a:1/b` does not.
            let is_path = match url.split_once('/') {
                Some((first, _)) => !first.contains(':'),
                None => net::is_file_name(url),
            };
            return match is_path {
                true => unix(url),
                false => Err(ConnectUrlError::Scheme),
            };
        };
        let scheme = Scheme::from_name(scheme).ok_or(ConnectUrlError::Scheme)?;
        network(scheme, rest)
    }
}

fn unix(path: &str) -> Result<ConnectUrl, ConnectUrlError> {
    Ok(ConnectUrl {
        scheme: Scheme::Unix,
        place: Place::unix(path).ok_or(ConnectUrlError::EmptyPath)?,
        namespace: "/".into(),
        query: None,
    })
}

fn network(scheme: Scheme, rest: &str) -> Result<ConnectUrl, ConnectUrlError> {
    let rest = rest.split('#').next().unwrap_or(rest);
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query).filter(|query| !query.is_empty())),
        None => (rest, None),
    };
    if query.is_some_and(|query| !query.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ConnectUrlError::Query);
    }
    let (authority, namespace) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    if authority.contains('@') {
        return Err(ConnectUrlError::UserInfo);
    }
    let (host, port) = host_and_port(authority)?;
    let port = port
        .or_else(|| scheme.default_port())
        .ok_or(ConnectUrlError::MissingPort)?;
    Ok(ConnectUrl {
        scheme,
        place: Place::Host { host, port },
        namespace: namespace.into(),
        query: query.map(Box::from),
    })
}

/// Takes `host`, `host:port`, `:port` apart and checks both.
pub(crate) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), ConnectUrlError> {
    // The colons of an IPv6 address are inside its brackets.
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[end..].find(':') {
        Some(colon) => (
            &authority[..end + colon],
            Some(&authority[end + colon + 1..]),
        ),
        None => (authority, None),
    };
    let port = match port {
        Some(digits) if digits.contains(':') => return Err(ConnectUrlError::Host),
        Some(digits) => {
            let port = net::port(digits).filter(|port| *port != 0);
            Some(port.ok_or(ConnectUrlError::Port)?)
        }
        None => None,
    };
    let host = match host {
        "" if port.is_some() => "localhost".into(),
        host => to_ascii(host)?,
    };
    match is_host(&host) {
        true => Ok((host.into_owned(), port)),
        false => Err(ConnectUrlError::Host),
    }
}

/// The name as resolvers, certificates and requests have it: `xn--bcher-kva.example` for `bücher.example`, as browsers
/// read it (UTS #46).
#[cfg(feature = "idna")]
fn to_ascii(host: &str) -> Result<Cow<'_, str>, ConnectUrlError> {
    if host.is_ascii() {
        // Nothing is judged that is written as it is sent: names with an underscore, say, are none for browsers.
        return Ok(host.into());
    }
    idna::domain_to_ascii_cow(host.as_bytes(), idna::AsciiDenyList::URL)
        .map_err(|_| ConnectUrlError::Host)
}

#[cfg(not(feature = "idna"))]
fn to_ascii(host: &str) -> Result<Cow<'_, str>, ConnectUrlError> {
    match host.is_ascii() {
        true => Ok(host.into()),
        false => Err(ConnectUrlError::NoIdna),
    }
}

fn is_host(host: &str) -> bool {
    let inside = host.strip_prefix('[');
    if let Some(address) = inside.and_then(|rest| rest.strip_suffix(']')) {
        let (address, zone) = address.split_once('%').unwrap_or((address, "0"));
        let is_zone = zone
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        return address.parse::<Ipv6Addr>().is_ok() && is_zone && !zone.is_empty();
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_name)
}
