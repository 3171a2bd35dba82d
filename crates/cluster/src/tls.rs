//! Certificates for connections to engines over TLS.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use thiserror::Error;

/// How TLS is spoken with an engine. By default its certificate must be for the host of the URL, and signed by an authority
/// that the operating system trusts.
#[derive(Clone, Default)]
#[must_use]
pub struct EngineTls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why files are of no use as certificates for connections to an engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineTlsError {
    /// One cannot be read.
    #[error("the file {path:?} cannot be read: {error}")]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is one of these without the other.
    #[error("a client's certificate goes with its key")]
    Alone,
}

impl EngineTls {
    /// Trusts these authorities, and not those of the operating system: one or more certificates in PEM.
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Shows this certificate to engines that ask for one, as Redis does unless it is told otherwise: the chain, the own
    /// certificate first, and its key, both in PEM.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// Reads these files: [the authorities](Self::ca_certificates), and [the own certificate and its
    /// key](Self::client_certificate).
    ///
    /// # Errors
    ///
    /// If one cannot be read, or if there is a certificate without its key, or a key alone.
    pub fn from_files(
        ca: Option<&str>,
        cert: Option<&str>,
        key: Option<&str>,
    ) -> Result<Self, EngineTlsError> {
        let file = |path: &str| {
            fs::read(path).map_err(|error| EngineTlsError::File {
                path: Path::new(path).to_owned(),
                error,
            })
        };
        let client = match (cert, key) {
            (Some(cert), Some(key)) => Some((file(cert)?, file(key)?)),
            (None, None) => None,
            _ => return Err(EngineTlsError::Alone),
        };
        let authorities = ca.map(file).transpose()?;
        Ok(Self {
            authorities,
            client,
        })
    }

    /// The authorities in PEM, if not those of the operating system are trusted.
    #[must_use]
    pub fn authorities(&self) -> Option<&[u8]> {
        self.authorities.as_deref()
    }

    /// The certificate that is shown, and its key, in PEM.
    #[must_use]
    pub fn client(&self) -> Option<(&[u8], &[u8])> {
        let (chain, key) = self.client.as_ref()?;
        Some((chain, key))
    }
}

/// Without the key.
impl fmt::Debug for EngineTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineTls")
            .field("ca_certificates", &self.authorities.is_some())
            .field("client_certificate", &self.client.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_files_is_said() {
        let nowhere = EngineTls::from_files(Some("/nowhere/ca.pem"), None, None).unwrap_err();
        assert!(nowhere.to_string().contains("/nowhere/ca.pem"), "{nowhere}");
        let alone = EngineTls::from_files(None, Some("/nowhere/cert.pem"), None).unwrap_err();
        assert!(matches!(alone, EngineTlsError::Alone), "{alone}");
    }

    #[test]
    fn key_is_not_shown() {
        let tls = EngineTls::default().client_certificate("chain", "secret");
        assert!(!format!("{tls:?}").contains("secret"));
    }
}
