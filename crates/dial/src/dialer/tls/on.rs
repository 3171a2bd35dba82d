//! TLS by rustls.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::{ClientCertificate, TlsOptions};
use crate::dialer::link::Link;
use crate::dialer::{ConnectorError, DialError};
use crate::url::ConnectUrl;

/// The TLS of one dialer. The system's certificates are read when they are first needed.
pub(in crate::dialer) struct Tls {
    server_name: Option<ServerName<'static>>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(in crate::dialer) fn new(options: &TlsOptions) -> Result<Self, ConnectorError> {
        let server_name = match &options.server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| ConnectorError::ServerName(name.clone()))?,
            ),
            None => None,
        };
        let config = OnceLock::new();
        if !options.is_default() {
            let _ = config.set(match &options.config {
                Some(config) => Arc::clone(config),
                None => Arc::new(configure(options)?),
            });
        }
        Ok(Self {
            server_name,
            config,
        })
    }

    /// Shakes hands over a stream to the URL's host.
    pub(in crate::dialer) async fn connect(
        &self,
        url: &ConnectUrl,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Link, DialError> {
        let failed = |source| DialError::Tls {
            to: url.origin().to_string(),
            source,
        };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => server_name(url.host().unwrap_or_default()).map_err(failed)?,
        };
        let config = match self.config.get() {
            Some(config) => config,
            None => {
                let config = configure(&TlsOptions::default());
                let config = config.map_err(|error| failed(io::Error::other(error)))?;
                self.config.get_or_init(|| Arc::new(config))
            }
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        Ok(Link::Boxed(Box::pin(stream)))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The name that a certificate must have: the host without what only URLs need.
fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split('%').next().unwrap_or(bare);
    ServerName::try_from(bare.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn configure(options: &TlsOptions) -> Result<ClientConfig, ConnectorError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectorError::Tls(error.into()))?;
    let builder = if options.accept_invalid_certs {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        for pem in &options.ca_certificates {
            add(&mut roots, pem)?;
        }
        if !options.without_system_certificates {
            roots.extend(system_certificates().roots.iter().cloned());
        }
        if roots.is_empty() {
            return Err(ConnectorError::NoCaCertificates);
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build();
        builder.with_webpki_verifier(
            verifier.map_err(|error| ConnectorError::CaCertificates(error.into()))?,
        )
    };
    match &options.client_certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(ClientCertificate { chain, key }) => {
            let refused = ConnectorError::ClientCertificate;
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<_, _>>()
                .map_err(|error| refused(error.into()))?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| refused(error.into()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| refused(error.into()))
        }
    }
}

/// Adds what a PEM text has, which must be something.
fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), ConnectorError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate =
            certificate.map_err(|error| ConnectorError::CaCertificates(error.into()))?;
        roots
            .add(certificate)
            .map_err(|error| ConnectorError::CaCertificates(error.into()))?;
    }
    if roots.len() == before {
        let what = "there is no certificate in the text";
        return Err(ConnectorError::CaCertificates(what.into()));
    }
    Ok(())
}

/// The authorities that the operating system trusts, read once for the whole process. What
/// cannot be read is left out: systems have certificates that no library understands.
fn system_certificates() -> &'static RootCertStore {
    static CERTIFICATES: OnceLock<RootCertStore> = OnceLock::new();
    CERTIFICATES.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "cannot read certificates of the system");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "read the certificates of the system");
        roots
    })
}

/// Takes every certificate, and signatures by any key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // With any certificate taken, a proof that its key is there proves nothing, and it would
    // keep out certificates that are too old or too odd for the library.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = self.0.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
