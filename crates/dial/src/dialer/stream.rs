//! Connecting over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::{ConnectUrl, DialConfig, DialError};
use sockeye_engine::net;

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

/// Says of a URL that its place is not what the code at hand is for.
pub(super) fn unsupported(url: &ConnectUrl) -> DialError {
    DialError::Unix {
        url: url.origin(),
        problem: super::UnixProblem::Unsupported,
        source: io::ErrorKind::Unsupported.into(),
    }
}
