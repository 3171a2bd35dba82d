//! Byte streams to a server.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::net::{TcpSocket, TcpStream};

use super::{ConnectUrl, DialConfig, DialError};
use sockeye_engine::net;
use sockeye_engine::{Io, Stream};

/// A stream to a server, before it is known what runs over it.
pub(super) enum Link {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Boxed(Pin<Box<dyn Stream>>),
}

/// How long one of several addresses may take to answer, so that a route that swallows
/// everything, as broken IPv6 does, leaves time for the next one.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to a host, trying all of its addresses in turn.
pub(super) async fn tcp(
    host: &str,
    port: u16,
    config: &DialConfig,
) -> Result<TcpStream, DialError> {
    let failed = |source| DialError::Connect {
        to: format!("{host}:{port}"),
        source,
    };
    let mut addresses = net::resolve(host, port)
        .await
        .and_then(|found| match found.is_empty() {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(found),
        })
        .map_err(|source| DialError::Resolve {
            host: host.to_owned(),
            source,
        })?;
    if let Some(local) = config.local_address {
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
    }
    let Some(last) = addresses.pop() else {
        let what = "the host has no address of the local address's family";
        return Err(failed(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            what,
        )));
    };
    for address in addresses {
        match tokio::time::timeout(ADDRESS_TIMEOUT, connect(address, config)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tracing::debug!(%address, %error, "cannot connect"),
            Err(_) => tracing::debug!(%address, "cannot connect in time"),
        }
    }
    connect(last, config).await.map_err(failed)
}

async fn connect(address: SocketAddr, config: &DialConfig) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(local) = config.local_address {
        socket.bind((local, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    net::prepare(&stream, config.nodelay, config.keep_alive);
    Ok(stream)
}

impl Link {
    /// The same for a driver: a bare socket, if it is one.
    pub(super) fn into_io(self) -> Io {
        match self {
            Self::Tcp(stream) => Io::tcp(stream, None),
            #[cfg(unix)]
            Self::Unix(stream) => Io::unix(stream, None),
            #[cfg(feature = "tls")]
            Self::Boxed(stream) => Io::Boxed(Box::new(stream)),
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut dyn Stream> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::<&mut TcpStream>::new(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::<&mut UnixStream>::new(stream),
            #[cfg(feature = "tls")]
            Self::Boxed(stream) => stream.as_mut(),
        }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Boxed(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

/// Says of a URL that its place is not what the code at hand is for.
pub(super) fn unsupported(url: &ConnectUrl) -> DialError {
    DialError::Unix {
        url: url.origin(),
        problem: super::UnixProblem::Unsupported,
        source: io::ErrorKind::Unsupported.into(),
    }
}
