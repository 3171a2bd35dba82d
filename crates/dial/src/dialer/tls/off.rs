//! No TLS, and clear words about it.

use tokio::net::TcpStream;

use super::TlsOptions;
use crate::dialer::stream::Link;
use crate::dialer::{ConnectorError, DialError};
use crate::url::ConnectUrl;

#[derive(Debug)]
pub(in crate::dialer) struct Tls(());

impl Tls {
    pub(in crate::dialer) fn new(options: &TlsOptions) -> Result<Self, ConnectorError> {
        match options.is_default() {
            true => Ok(Self(())),
            false => Err(ConnectorError::NoTls),
        }
    }

    /// Nobody gets here: such URLs are refused before anything is connected.
    pub(in crate::dialer) async fn connect(
        &self,
        url: &ConnectUrl,
        _stream: TcpStream,
    ) -> Result<Link, DialError> {
        Err(DialError::NoTls { url: url.origin() })
    }
}
