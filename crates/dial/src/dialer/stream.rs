//! Connecting over TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::{ConnectUrl, DialConfig, DialError};
use sockeye_engine::net;

/// How long one of several addresses is tried alone before the next one is tried beside it (RFC 8305, section 5), so that
/// a route that swallows everything, as broken IPv6 does, is hardly noticed.
const HEAD_START: Duration = Duration::from_millis(250);

/// How long any but the last of several addresses may take to answer. If the others have refused, nobody is to wait longer
/// to hear of that.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to a host, at whichever of its addresses answers first.
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
    let addresses = by_turns(addresses);
    race(addresses, |address| connect(address, config))
        .await
        .map_err(failed)
}

/// The addresses of both families by turns, as one of them may lead nowhere altogether.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut turns = Vec::with_capacity(first.len() + second.len());
    for address in first {
        turns.push(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// Connects to the addresses in this order, to each when the one before has failed or had its head start. The first that
/// is there is taken, and the others are let go of.
async fn race<F, T>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut failure = None;
    loop {
        if let Some(address) = waiting.next() {
            let is_last = waiting.len() == 0;
            let connecting = connect(address);
            trying.push(async move {
                let connected = match is_last {
                    true => connecting.await,
                    false => timeout(ADDRESS_TIMEOUT, connecting)
                        .await
                        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
                };
                (address, connected)
            });
        }
        tokio::select! {
            biased;
            tried = trying.next() => match tried {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => {
                    tracing::debug!(%address, %error, "cannot connect");
                    // What the system says is worth more than that it said nothing.
                    let is_silence = error.kind() == io::ErrorKind::TimedOut;
                    failure = failure.filter(|_| is_silence).or(Some(error));
                }
                None => return Err(failure.unwrap_or_else(|| {
                    let what = "the host has no address of the local address's family";
                    io::Error::new(io::ErrorKind::AddrNotAvailable, what)
                })),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        format!("{text}:1").parse().unwrap()
    }

    /// Addresses that are told by their ports.
    fn addresses(count: u16) -> Vec<SocketAddr> {
        let numbered = |port| ([127, 0, 0, 1], port).into();
        (0..count).map(numbered).collect()
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn families_are_tried_by_turns() {
        let found = ["[::1]", "[::2]", "[::3]", "1.0.0.1", "1.0.0.2"].map(address);
        let turns = ["[::1]", "1.0.0.1", "[::2]", "1.0.0.2", "[::3]"].map(address);
        assert_eq!(by_turns(found.to_vec()), turns);
        let found = ["1.0.0.1", "[::1]", "[::2]"].map(address);
        assert_eq!(by_turns(found.to_vec()), found);
        assert_eq!(by_turns(Vec::new()), []);
    }

    #[tokio::test(start_paused = true)]
    async fn address_that_swallows_everything_has_its_head_start_only() {
        let begun = Instant::now();
        let port = race(addresses(3), |address| async move {
            match address.port() {
                2 => Ok(2),
                _ => std::future::pending().await,
            }
        });
        assert_eq!(port.await.unwrap(), 2);
        assert_eq!(begun.elapsed(), 2 * HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn next_address_is_tried_when_one_has_failed() {
        let begun = Instant::now();
        let port = race(addresses(3), |address| async move {
            match address.port() {
                2 => Ok(2),
                _ => Err(refused()),
            }
        });
        assert_eq!(port.await.unwrap(), 2);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn first_to_connect_is_taken_though_others_are_tried_beside_it() {
        let tried = Cell::new(0);
        let port = race(addresses(3), |address| {
            tried.set(tried.get() + 1);
            async move {
                sleep(HEAD_START * 3 / 2).await;
                Ok(address.port())
            }
        });
        assert_eq!(port.await.unwrap(), 0);
        assert_eq!(tried.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_of_one_address_does_not_hide_for_long_that_the_others_refuse() {
        let begun = Instant::now();
        let failed = race(addresses(2), |address| async move {
            match address.port() {
                0 => std::future::pending::<io::Result<()>>().await,
                _ => Err(refused()),
            }
        });
        let error = failed.await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(begun.elapsed(), ADDRESS_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn single_address_has_all_the_time_there_is() {
        let connected = race(addresses(1), |_| async {
            sleep(ADDRESS_TIMEOUT * 2).await;
            Ok(())
        });
        connected.await.unwrap();
    }

    #[tokio::test]
    async fn host_without_an_address_of_the_family_is_told() {
        let config = DialConfig::default().local_address(Some([127, 0, 0, 1].into()));
        let error = tcp("::1", 1, &config).await.unwrap_err();
        let DialError::Connect { source, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
