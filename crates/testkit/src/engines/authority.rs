//! Certificates for engines that speak TLS.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::HOST;

/// The files of a certificate.
pub(super) struct Signed {
    pub(super) authority: PathBuf,
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

impl Signed {
    /// Makes an authority, and has it sign a certificate for this machine.
    pub(super) fn write(folder: &Path) -> Self {
        let key = || KeyPair::generate().expect("there is randomness");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Under the same name OpenSSL takes what it has signed for signed by itself.
        let names = &mut params.distinguished_name;
        names.push(DnType::CommonName, "authority of tests");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("it signs itself");
        let own_key = key();
        let own = CertificateParams::new([HOST.to_owned()]).expect("a name");
        let own = own.signed_by(&own_key, &authority).expect("it is signed");
        let file = |name, text: String| {
            let file = folder.join(name);
            fs::write(&file, text).expect("its folder is there");
            file
        };
        let key = file("key.pem", own_key.serialize_pem());
        let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&key, secret).expect("it is ours");
        Self {
            authority: file("ca.pem", authority.pem()),
            cert: file("cert.pem", own.pem()),
            key,
        }
    }
}
