//! What rustls makes of certificates.

use std::sync::Arc;

use sockeye_cluster::{EngineTls, EngineTlsError};
use thiserror::Error;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Why certificates are of no use for connections to NATS.
#[derive(Debug, Error)]
#[non_exhaustive]
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
    /// The files that a URL names are of no use.
    #[error(transparent)]
    Files(#[from] EngineTlsError),
}

pub(crate) fn config(tls: &EngineTls) -> Result<Arc<ClientConfig>, NatsTlsError> {
    let mut roots = RootCertStore::empty();
    match tls.authorities() {
        Some(pem) => {
            for certificate in certificates(pem, "authorities")? {
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
    let config = match tls.client() {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(NatsTlsError::Key)?;
            config.with_client_auth_cert(certificates(chain, "the client")?, key)?
        }
        None => config.with_no_client_auth(),
    };
    Ok(Arc::new(config))
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
