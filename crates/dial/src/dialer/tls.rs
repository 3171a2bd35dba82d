use std::fmt;

/// How TLS is spoken with a server.
///
/// By default the server's certificate must be for the host of the URL, and signed by an
/// authority that the operating system trusts. Setting anything here takes the crate feature
/// `tls`.
#[derive(Clone, Default)]
pub struct TlsOptions {
    ca_certificates: Vec<Vec<u8>>,
    without_system_certificates: bool,
    client_certificate: Option<ClientCertificate>,
    accept_invalid_certs: bool,
    server_name: Option<String>,
    #[cfg(feature = "tls")]
    config: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
}

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
struct ClientCertificate {
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS shows it"))]
    chain: Vec<u8>,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS uses it"))]
    key: Vec<u8>,
}

impl TlsOptions {
    /// Trusts these authorities too: one or more certificates in PEM. May be called again for
    /// more.
    #[must_use]
    pub fn ca_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificates.push(pem.into());
        self
    }

    /// Whether the authorities of the operating system are trusted. Default: yes. They are those
    /// of the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, if these variables are set.
    #[must_use]
    pub const fn system_certificates(mut self, trusted: bool) -> Self {
        self.without_system_certificates = !trusted;
        self
    }

    /// Shows this certificate to servers that ask for one: the chain, the own certificate first,
    /// and its key, both in PEM. Default: none.
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some(ClientCertificate {
            chain: chain.into(),
            key: key.into(),
        });
        self
    }

    /// Whether any certificate is taken, whoever has signed it and whatever it is for. Anyone
    /// between here and the server can then read and change everything. Default: no.
    #[must_use]
    pub const fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accept_invalid_certs = accept;
        self
    }

    /// The name or IP address that the server's certificate must be for, which a name is also
    /// asked for. Default: the host of the URL.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// A configuration of the TLS library to be used as it is. Only
    /// [`server_name`](Self::server_name) counts besides it.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn config(mut self, config: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.config = Some(config);
        self
    }

    /// Whether nothing is set.
    fn is_default(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.config.is_some() {
            return false;
        }
        self.ca_certificates.is_empty()
            && !self.without_system_certificates
            && self.client_certificate.is_none()
            && !self.accept_invalid_certs
            && self.server_name.is_none()
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("ca_certificates", &self.ca_certificates.len())
            .field("system_certificates", &!self.without_system_certificates)
            .field("client_certificate", &self.client_certificate.is_some())
            .field("danger_accept_invalid_certs", &self.accept_invalid_certs)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "tls")]
pub(super) use on::Tls;

#[cfg(not(feature = "tls"))]
pub(super) use off::Tls;

/// TLS by rustls.
#[cfg(feature = "tls")]
mod on {
    use std::fmt;
    use std::io;
    use std::sync::{Arc, OnceLock};

    use tokio::net::TcpStream;
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

    use super::super::stream::Link;
    use super::super::{ConnectUrl, ConnectorError, DialError};
    use super::{ClientCertificate, TlsOptions};

    /// The TLS of one dialer. The system's certificates are read when they are first needed.
    pub(in super::super) struct Tls {
        server_name: Option<ServerName<'static>>,
        config: OnceLock<Arc<ClientConfig>>,
    }

    impl Tls {
        pub(in super::super) fn new(options: &TlsOptions) -> Result<Self, ConnectorError> {
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

        /// Shakes hands over a connection to the URL's host.
        pub(in super::super) async fn connect(
            &self,
            url: &ConnectUrl,
            stream: TcpStream,
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
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|error| refused(error.into()))?;
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
}

/// No TLS, and clear words about it.
#[cfg(not(feature = "tls"))]
mod off {
    use tokio::net::TcpStream;

    use super::super::stream::Link;
    use super::super::{ConnectUrl, ConnectorError, DialError};
    use super::TlsOptions;

    #[derive(Debug)]
    pub(in super::super) struct Tls(());

    impl Tls {
        pub(in super::super) fn new(options: &TlsOptions) -> Result<Self, ConnectorError> {
            match options.is_default() {
                true => Ok(Self(())),
                false => Err(ConnectorError::NoTls),
            }
        }

        /// Nobody gets here: such URLs are refused before anything is connected.
        pub(in super::super) async fn connect(
            &self,
            url: &ConnectUrl,
            _stream: TcpStream,
        ) -> Result<Link, DialError> {
            Err(DialError::NoTls { url: url.origin() })
        }
    }
}
