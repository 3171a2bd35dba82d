//! Connecting to a server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sockeye_cluster::EngineTls;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::account::Account;
use crate::protocol::{self, Garbled, Hello, Info, Said};
use crate::tls::{self, NatsTlsError};
use crate::url::Server;

/// A connection that a server has agreed to.
pub(crate) struct Wire {
    pub(crate) stream: Box<dyn Stream>,
    /// What has come behind its agreement.
    pub(crate) input: BytesMut,
    pub(crate) info: Info,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot connect to NATS on {host}: {cause}")]
    Unreachable { host: String, cause: io::Error },
    #[error("NATS on {0} does not answer")]
    Mute(String),
    #[error("the connection to NATS is lost: {0}")]
    Io(#[from] io::Error),
    #[error("what comes is not from NATS: {0}")]
    Garbled(#[from] Garbled),
    #[error(transparent)]
    Tls(#[from] NatsTlsError),
    #[error("NATS: {0}")]
    Refused(String),
    #[error("NATS does not answer")]
    Silent,
    #[error("the connection to NATS is closed")]
    Closed,
    #[error("the server of NATS is about to leave")]
    Leaving,
}

/// What every server is shown.
pub(crate) struct Manners {
    pub(crate) account: Account,
    /// How TLS is spoken; as the operating system has it, if nothing is said.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// Connects to one server, at the first of its addresses that works, each of which has so much time.
pub(crate) async fn connect(
    server: &Server,
    manners: &Manners,
    limit: Duration,
) -> Result<Wire, Failure> {
    let mute = || Failure::Mute(server.to_string());
    let unreachable = |cause| Failure::Unreachable {
        host: server.to_string(),
        cause,
    };
    let addresses = timeout(limit, tokio::net::lookup_host((&*server.host, server.port)));
    let addresses = addresses.await.map_err(|_| mute())?.map_err(unreachable)?;
    let mut last = unreachable(io::ErrorKind::NotFound.into());
    for address in addresses {
        let connecting = async {
            let stream = TcpStream::connect(address).await.map_err(unreachable)?;
            stream.set_nodelay(true).map_err(unreachable)?;
            agree(stream, server, manners).await
        };
        match timeout(limit, connecting).await {
            Ok(Ok(wire)) => return Ok(wire),
            Ok(Err(error)) => last = error,
            Err(_) => last = mute(),
        }
    }
    Err(last)
}

/// The server says what it is, then this client does, and the server that it is fine.
async fn agree(mut stream: TcpStream, server: &Server, manners: &Manners) -> Result<Wire, Failure> {
    let mut input = BytesMut::new();
    let info = match next(&mut stream, &mut input).await? {
        Said::Info(info) => *info,
        Said::Error(reason) => return Err(Failure::Refused(reason)),
        _ => return Err(Garbled::Unknown.into()),
    };
    let tls = server.tls || info.tls_required;
    let mut stream: Box<dyn Stream> = match tls {
        // What has come before is not encrypted, and so of nobody.
        true if !input.is_empty() => return Err(Garbled::Unknown.into()),
        true => {
            let name = server.certified().to_owned();
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            let config = match &manners.tls {
                Some(config) => Arc::clone(config),
                None => tls::config(&EngineTls::default())?,
            };
            Box::new(TlsConnector::from(config).connect(name, stream).await?)
        }
        false => Box::new(stream),
    };
    let mut hello = Hello::new();
    hello.tls_required = tls;
    manners.account.show(&info.nonce, &mut hello);
    let mut output = BytesMut::new();
    hello.write(&mut output);
    protocol::ping(&mut output);
    stream.write_all(&output).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut input).await? {
            Said::Pong => break,
            Said::Ping => stream.write_all(b"PONG\r\n").await?,
            Said::Error(reason) => return Err(Failure::Refused(reason)),
            _ => {}
        }
    }
    Ok(Wire {
        stream,
        input,
        info,
    })
}

async fn next(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> Result<Said, Failure> {
    loop {
        if let Some(said) = protocol::take(input)? {
            return Ok(said);
        }
        input.reserve(READ);
        if stream.read_buf(input).await? == 0 {
            return Err(Failure::Closed);
        }
    }
}

/// What is read at once, at least.
pub(crate) const READ: usize = 16 * 1024;
