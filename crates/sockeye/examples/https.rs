//! A server on `https://`, with a certificate of your own.
//!
//! ```text
//! openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost \
//!     -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//! cargo run --example https --features tls -- cert.pem key.pem
//! ```
//!
//! Try it, after `npm install socket.io-client`; `NODE_EXTRA_CA_CERTS` makes Node trust the
//! certificate:
//!
//! ```text
//! NODE_EXTRA_CA_CERTS=cert.pem node -e '
//! const socket = require("socket.io-client")("https://localhost:3443");
//! socket.emit("secure", (answer) => { console.log(answer); socket.close(); });
//! '
//! ```

use std::sync::Arc;

use sockeye::rustls::ServerConfig;
use sockeye::rustls::pki_types::pem::PemObject;
use sockeye::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sockeye::{Handshake, ListenOptions, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: https CERTIFICATES.pem KEY.pem [URL]";
    let (certificates, key) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let url = args.next();
    let url = url.as_deref().unwrap_or("https://localhost:3443");

    let certificates = CertificateDer::pem_file_iter(certificates)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;

    let io = Server::new();
    io.on("secure", |handshake: Handshake| handshake.is_secure());

    let options = ListenOptions::default().tls(Arc::new(tls));
    let listener = io.listen_with(url, options).await?;
    println!("listening on {}", listener.url());
    tokio::signal::ctrl_c().await?;
    io.close().await;
    Ok(())
}
