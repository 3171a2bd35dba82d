//! Who is at the other end of a session's network socket.

use std::net::SocketAddr;

/// What is known of the peer before its socket is looked at, and when that is gone or cannot be got at.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerInfo {
    /// Whether TLS is spoken, as far as this end terminates it.
    pub secure: bool,
    /// The address, where the transport has one.
    pub remote_addr: Option<SocketAddr>,
    /// Who it is, over a Unix-domain socket.
    pub credentials: Option<PeerCredentials>,
}

/// Who is at the other end of a Unix-domain socket, as the operating system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The process, where the system tells it.
    pub pid: Option<i32>,
}

#[cfg(unix)]
impl PeerCredentials {
    /// Who is at the other end of this socket.
    #[must_use]
    pub fn of(stream: &tokio::net::UnixStream) -> Option<Self> {
        let found = stream.peer_cred().ok()?;
        Some(Self {
            uid: found.uid(),
            gid: found.gid(),
            pid: found.pid(),
        })
    }
}
