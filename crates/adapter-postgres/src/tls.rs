//! TLS by rustls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Stream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::error::PostgresUrlError;
use crate::wire::Wire;

/// Whose certificates are taken.
#[derive(Debug)]
pub(crate) enum Trust {
    /// Anybody's, as the command `psql` does unless it is told otherwise: nobody can listen, but for who is in between.
    Anybody,
    /// Those that an authority of the operating system has signed for the host.
    System,
    /// Those that one of these authorities, in PEM, has signed for the host.
    Only(Vec<u8>),
}

/// Whether a certificate has to be for the host as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Checked,
    Ignored,
}

/// Shakes hands with Postgres.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl Tls {
    pub(crate) fn new(trust: &Trust, names: Names) -> Result<Self, PostgresUrlError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| PostgresUrlError::Tls(error.into()))?;
        let roots = match trust {
            Trust::Anybody => None,
            Trust::System => {
                let mut roots = RootCertStore::empty();
                // Some systems have certificates among theirs that cannot be read.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Some(roots)
            }
            Trust::Only(pem) => Some(authorities(pem)?),
        };
        let authorities = match roots {
            None => None,
            Some(roots) => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = verifier.build();
                Some(verifier.map_err(|error| PostgresUrlError::Tls(error.into()))?)
            }
        };
        let verifier: Arc<dyn ServerCertVerifier> = match (authorities, names) {
            (Some(authorities), Names::Checked) => authorities,
            (authorities, _) => Arc::new(AnyHost {
                authorities,
                algorithms,
            }),
        };
        let config = config
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = config.with_no_client_auth();
        // What a server asks for that is spoken to in TLS at once, by `sslnegotiation=direct`.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self(Arc::new(config).into()))
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, PostgresUrlError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| PostgresUrlError::Tls(error.into()))?;
        let added = roots.add(certificate);
        added.map_err(|error| PostgresUrlError::Tls(error.into()))?;
    }
    if roots.is_empty() {
        let none = "there is no certificate in the file of sslrootcert";
        return Err(PostgresUrlError::Tls(none.into()));
    }
    Ok(roots)
}

impl Tls {
    /// With the server of this name.
    pub(crate) fn handshake(&self, name: &str) -> Handshake {
        Handshake(self.0.clone(), name.to_owned())
    }
}

/// One that is about to begin, if the server wants it.
pub(crate) struct Handshake(TlsConnector, String);

impl TlsConnect<Wire> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, socket: Wire) -> Self::Future {
        let Self(connector, host) = self;
        async move {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Ok(Encrypted(connector.connect(name, socket).await?))
        }
        .boxed()
    }
}

/// A connection over TLS.
pub(crate) struct Encrypted(Stream<Wire>);

impl TlsStream for Encrypted {
    /// Passwords are not bound to the certificate: that takes the certificate's own hash function, and so a parser for it.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Takes certificates for whatever host, of which the server has the key: those that an authority has signed, or all.
#[derive(Debug)]
struct AnyHost {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        match authorities.verify_server_cert(certificate, others, name, ocsp, now) {
            // The name is what is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
