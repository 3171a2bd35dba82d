//! Certificates for connections over TLS.

use std::fmt;
use std::fs;
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// How TLS is spoken with NATS. By default its certificate must be for the host of the URL, and signed by an authority that
/// the operating system trusts.
#[derive(Clone, Default)]
#[must_use]
pub struct NatsTls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why certificates are of no use for connections to NATS.
#[derive(Debug, Error)]
pub enum NatsTlsError {
    /// What should be one is none.
    #[error("the certificate of {of} cannot be read: {source}")]
    Certificate {
        /// Of authorities, or of this client.
        of: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// The key of the client's certificate is none.
    #[error("the key of the client's certificate cannot be read: {0}")]
    Key(pem::Error),
    /// There is no certificate of an authority, or the client's does not go with its key.
    #[error("the certificates are of no use: {0}")]
    Tls(#[from] rustls::Error),
    /// A file that a URL names.
    #[error("the file {path:?} cannot be read: {source}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A URL names one without the other.
    #[error("a client's certificate goes with its key")]
    Alone,
}

impl NatsTls {
    /// Trusts these authorities, and not those of the operating system: one or more certificates in PEM.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows this certificate to servers that ask for one (`verify` in their configuration): the chain, the own certificate
    /// first, and its key, both in PEM.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// Of the files that a URL names.
    pub(crate) fn read(
        ca: Option<&str>,
        cert: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self, NatsTlsError> {
        let file = |path: &str| {
            let path = path.to_owned();
            fs::read(&path).map_err(|source| NatsTlsError::File { path, source })
        };
        let mut tls = Self::default();
        if let Some(ca) = ca {
            tls = tls.ca_certificates(file(ca)?);
        }
        match (cert, key) {
            (Some(cert), Some(key)) => Ok(tls.client_certificate(file(cert)?, file(key)?)),
            (None, None) => Ok(tls),
            _ => Err(NatsTlsError::Alone),
        }
    }

    /// What rustls makes of it.
    pub(crate) fn config(self) -> Result<Arc<ClientConfig>, NatsTlsError> {
        let mut roots = RootCertStore::empty();
        match self.authorities {
            Some(pem) => {
                for certificate in certificates(&pem, "authorities")? {
                    roots.add(certificate)?;
                }
            }
            // Some systems have certificates among theirs that cannot be read.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match self.client {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(&key).map_err(NatsTlsError::Key)?;
                config.with_client_auth_cert(certificates(&chain, "the client")?, key)?
            }
            None => config.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }
}

/// One at least.
fn certificates(
    pem: &[u8],
    of: &'static str,
) -> Result<Vec<CertificateDer<'static>>, NatsTlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(pem::Error::NoItemsFound),
        all => all,
    }
    .map_err(|source| NatsTlsError::Certificate { of, source })
}

/// Without the key.
impl fmt::Debug for NatsTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTls")
            .field("ca_certificates", &self.authorities.is_some())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}
