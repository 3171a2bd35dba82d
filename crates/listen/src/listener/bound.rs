//! Sockets that are listened on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use sockeye_engine::net::Place;
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

#[cfg(windows)]
use super::pipe;
#[cfg(unix)]
use super::unix;
use super::{ListenOptions, ListenUrl, url};
use crate::gate::{Door, Gate};

/// A listening socket.
pub(super) enum Bound {
    Tcp(TcpListener),
    /// With the file that goes when the listener goes.
    #[cfg(unix)]
    Unix {
        socket: UnixListener,
        _file: Option<unix::SocketFile>,
    },
    #[cfg(windows)]
    Pipe(pipe::PipeListener),
}

/// A connection that was accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(windows)]
    Pipe(pipe::PipeStream),
}

impl Bound {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix { .. } => None,
            #[cfg(windows)]
            Self::Pipe(_) => None,
        }
    }

    pub(super) async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                Ok(Accepted::Tcp(stream, address))
            }
            #[cfg(unix)]
            Self::Unix { socket, .. } => Ok(Accepted::Unix(socket.accept().await?.0)),
            #[cfg(windows)]
            Self::Pipe(pipe) => Ok(Accepted::Pipe(pipe.accept().await?)),
        }
    }
}

/// Binds what the URL names; nothing if the engine closes. Before there is a socket, the engine's end
/// has the door of it to wait for.
pub(super) async fn bind(
    url: &ListenUrl,
    options: &ListenOptions,
    gate: &Arc<Gate>,
) -> io::Result<Option<(Vec<Bound>, Door)>> {
    let addresses = match url.place() {
        Place::Host { host, port } => url::resolve(host, *port).await?,
        _ => Vec::new(),
    };
    let Some(door) = gate.open_door() else {
        return Ok(None);
    };
    let bound = match url.place() {
        Place::Host { port, .. } => bind_host(addresses, *port, options)?,
        #[cfg(unix)]
        place => {
            let (socket, file) = unix::bind(place, options)?;
            vec![Bound::Unix {
                socket,
                _file: file,
            }]
        }
        #[cfg(windows)]
        Place::Path(path) => vec![Bound::Pipe(pipe::bind(path, options)?)],
        #[cfg(not(unix))]
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(Some((bound, door)))
}

/// Binds every address of a host; what cannot be had is left out as long as one can.
fn bind_host(
    addresses: Vec<SocketAddr>,
    port: u16,
    options: &ListenOptions,
) -> io::Result<Vec<Bound>> {
    let mut bound = Vec::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match options.bind(address) {
            Ok(socket) => {
                bound.push(Bound::Tcp(socket));
                if port == 0 {
                    break;
                }
            }
            // Where a host has several addresses, one that is taken must not go unnoticed.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failure = error,
        }
    }
    if bound.is_empty() {
        Err(failure)
    } else {
        Ok(bound)
    }
}
