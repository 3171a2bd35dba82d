//! No TLS, and clear words about it.

use super::TlsOptions;
use crate::dialer::link::Link;
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
    pub(in crate::dialer) async fn connect<S>(
        &self,
        url: &ConnectUrl,
        _stream: S,
    ) -> Result<Link, DialError> {
        Err(DialError::NoTls { url: url.origin() })
    }
}
