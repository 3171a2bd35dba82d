#[cfg_attr(not(feature = "tls"), path = "tls/off.rs")]
mod on;

use std::fmt;

pub(super) use on::Tls;

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
