//! What the client of Redis takes as certificates.

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sockeye_cluster::EngineTls;

use crate::error::RedisUrlError;

pub(crate) fn certificates(tls: &EngineTls) -> Result<TlsCertificates, RedisUrlError> {
    if let Some(pem) = tls.authorities() {
        // The client would take anything, and then trust nobody.
        let first = CertificateDer::from_pem_slice(pem);
        first.map_err(|error| RedisUrlError::Invalid(error.into()))?;
    }
    let client_tls = tls.client().map(|(chain, key)| ClientTlsConfig {
        client_cert: chain.to_vec(),
        client_key: key.to_vec(),
    });
    Ok(TlsCertificates {
        client_tls,
        root_cert: tls.authorities().map(<[u8]>::to_vec),
    })
}
