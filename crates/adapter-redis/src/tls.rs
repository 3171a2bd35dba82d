//! Certificates for connections over TLS.

use std::fmt;
use std::path::Path;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::RedisUrlError;

/// How TLS is spoken with Redis. By default its certificate must be for the host of the URL, and signed by an authority that
/// the operating system trusts.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisTls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl RedisTls {
    /// Trusts these authorities, and not those of the operating system: one or more certificates in PEM.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows this certificate, which Redis asks for unless it is told otherwise: the chain, the own certificate first, and
    /// its key, both in PEM.
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
    ) -> Result<Self, RedisUrlError> {
        let file = |path: &str| {
            std::fs::read(path).map_err(|source| RedisUrlError::File {
                path: Path::new(path).to_owned(),
                source,
            })
        };
        let mut tls = Self::default();
        if let Some(ca) = ca {
            tls = tls.ca_certificates(file(ca)?);
        }
        match (cert, key) {
            (Some(cert), Some(key)) => tls = tls.client_certificate(file(cert)?, file(key)?),
            (None, None) => {}
            _ => {
                let without = "a client's certificate goes with its key";
                return Err(RedisUrlError::Invalid(without.into()));
            }
        }
        Ok(tls)
    }

    pub(crate) fn certificates(self) -> Result<TlsCertificates, RedisUrlError> {
        if let Some(pem) = &self.authorities {
            // The client would take anything, and then trust nobody.
            let first = CertificateDer::from_pem_slice(pem);
            first.map_err(|error| RedisUrlError::Invalid(error.into()))?;
        }
        let client = self
            .client
            .map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            });
        Ok(TlsCertificates {
            client_tls: client,
            root_cert: self.authorities,
        })
    }
}

/// Without the key.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("ca_certificates", &self.authorities.is_some())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}
