//! Places in the network and in the file system: what listening and connecting have in common.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpStream;

/// A place in the network or in the file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A host and a port of it.
    Host {
        /// The name or the address.
        host: String,
        /// The port.
        port: u16,
    },
    /// The file of a Unix-domain socket, or a named pipe.
    Path(PathBuf),
    /// A name of Linux that no file has.
    Abstract(String),
}

impl Place {
    /// A path, or a name behind `@`; `None` if it is empty.
    pub fn unix(path: &str) -> Option<Self> {
        match path.strip_prefix('@') {
            Some("") => None,
            Some(name) => Some(Self::Abstract(name.to_owned())),
            None if path.is_empty() => None,
            None => Some(Self::Path(path.into())),
        }
    }
}

/// Whether a URL without scheme and slash is the path of a file in the working directory, such as
/// `app.sock`: it has a dot in it, and is neither an address nor a host with its port.
pub fn is_file_name(url: &str) -> bool {
    url.contains('.')
        && !url.contains(':')
        && !url
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// A port as a URL writes it: digits only, so no sign as Rust's own parser would take.
pub fn port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The addresses of a host: a name, an IPv4 address, or an IPv6 address with or without brackets.
///
/// # Errors
///
/// What the operating system says.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let mut found: Vec<_> = tokio::net::lookup_host((bare, port)).await?.collect();
    found.dedup();
    Ok(found)
}

/// How many bytes the system keeps unsent for one TCP connection: a few round trips of a fast peer, and
/// two or three seconds of a slow one.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 256 * 1024;

/// Sets what a new connection needs. It works without, so that failure is no reason to end.
///
/// The system is to keep little that it cannot send yet. What waits there can be overtaken by no
/// heartbeat, and may be megabytes, which a slow peer takes longer for than a heartbeat, or the next sign
/// that it reads, may be late.
pub fn prepare(stream: &TcpStream, nodelay: bool, keep_alive: Option<Duration>) {
    let _ = stream.set_nodelay(nodelay);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    if let Some(idle) = keep_alive {
        let keep_alive = socket2::TcpKeepalive::new().with_time(idle);
        let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keep_alive);
    }
}
