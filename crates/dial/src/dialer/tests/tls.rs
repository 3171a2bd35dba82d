use std::error::Error as _;
use std::sync::Arc;

use http::HeaderMap;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use sockeye_engine_proto::WireKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::proxies::Proxy;
use super::{
    ConnectUrl, ConnectorError, DialConfig, DialError, Dialer, TlsOptions, local, url, with,
};

/// An authority of our own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that it has signed, and the key.
struct Signed {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, names: &[&str]) -> Signed {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Signed {
            chain: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Answers one request on each connection, after telling whose name was asked for.
async fn server(certificate: &Signed, clients: Option<&Authority>) -> ConnectUrl {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let pem = authority.pem();
            roots
                .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    let config = builder
        .with_single_cert(
            chain.collect::<Result<_, _>>().unwrap(),
            PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("https", &listener);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not like the certificate hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buf = [0; 4096];
            if let Ok(1..) = stream.read(&mut buf).await {
                let name = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", name.len());
                let _ = stream.write_all((head + &name).as_bytes()).await;
                let _ = stream.flush().await;
            }
        }
    });
    url
}

fn dialer(tls: TlsOptions) -> Dialer {
    with(DialConfig::default().tls(tls)).unwrap()
}

/// Trusting only this authority.
fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions::default()
        .ca_certificates(authority.pem())
        .system_certificates(false)
}

/// The name that the server was asked for.
async fn asked(dialer: &Dialer, url: &ConnectUrl) -> Result<String, DialError> {
    let answer = dialer.request(url, "/", &HeaderMap::new(), None).await?;
    assert_eq!(answer.content, WireKind::Text);
    Ok(String::from_utf8(answer.body.to_vec()).unwrap())
}

/// What the TLS library says.
async fn refusal(dialer: &Dialer, url: &ConnectUrl) -> String {
    match asked(dialer, url).await {
        Err(error @ DialError::Tls { .. }) => error.source().unwrap().to_string(),
        other => panic!("{other:?} instead of a refusal"),
    }
}

fn named(url_of: &ConnectUrl, host: &str) -> ConnectUrl {
    url(&format!("https://{host}:{}", url_of.port().unwrap()))
}

#[tokio::test]
async fn certificate_of_a_given_authority_is_trusted() {
    let authority = Authority::new();
    let url = server(&authority.sign(&["localhost", "127.0.0.1"]), None).await;
    let dialer = dialer(trusting(&authority));
    assert_eq!(
        asked(&dialer, &named(&url, "localhost")).await.unwrap(),
        "localhost"
    );
    // Addresses are never asked for (RFC 6066 §3).
    assert_eq!(asked(&dialer, &url).await.unwrap(), "-");
}

#[tokio::test]
async fn unknown_authority_is_refused() {
    let url = server(&Authority::new().sign(&["127.0.0.1"]), None).await;
    let text = refusal(&dialer(trusting(&Authority::new())), &url).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn wrong_host_name_is_refused_unless_told_otherwise() {
    let authority = Authority::new();
    let url = server(&authority.sign(&["elsewhere.test"]), None).await;
    let text = refusal(&dialer(trusting(&authority)), &named(&url, "localhost")).await;
    assert!(text.contains("not valid for name"), "{text}");
    let options = trusting(&authority).server_name("elsewhere.test");
    assert_eq!(
        asked(&dialer(options), &url).await.unwrap(),
        "elsewhere.test"
    );
}

#[tokio::test]
async fn any_certificate_is_taken_on_demand() {
    let url = server(&Authority::new().sign(&["elsewhere.test"]), None).await;
    let options = TlsOptions::default().danger_accept_invalid_certs(true);
    assert_eq!(asked(&dialer(options), &url).await.unwrap(), "-");
}

#[tokio::test]
async fn client_certificate_is_shown() {
    let authority = Authority::new();
    let url = server(&authority.sign(&["127.0.0.1"]), Some(&authority)).await;
    let own = authority.sign(&["client.test"]);
    let options = trusting(&authority).client_certificate(own.chain, own.key);
    assert_eq!(asked(&dialer(options), &url).await.unwrap(), "-");
    // In TLS 1.3 the server's refusal comes with the first answer.
    let error = asked(&dialer(trusting(&authority)), &url).await;
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        DialError::Http { .. } | DialError::Tls { .. }
    ));
}

#[tokio::test]
async fn stream_over_tls_is_not_bare() {
    let authority = Authority::new();
    let https = server(&authority.sign(&["localhost"]), None).await;
    let url = url(&format!("tls://localhost:{}", https.port().unwrap()));
    let io = dialer(trusting(&authority)).stream(&url).await.unwrap();
    assert!(io.direct().is_none());
}

#[tokio::test]
async fn websocket_handshake_goes_over_tls() {
    let authority = Authority::new();
    let https = server(&authority.sign(&["localhost"]), None).await;
    let url = url(&format!("wss://localhost:{}", https.port().unwrap()));
    let dialer = dialer(trusting(&authority));
    let opened = dialer.websocket(&url, "/", &HeaderMap::new(), None).await;
    let Err(DialError::Refused { status, body, .. }) = opened else {
        panic!("{opened:?}")
    };
    assert_eq!((status.as_u16(), body.as_str()), (200, "localhost"));
}

#[tokio::test]
async fn tls_goes_through_proxies_to_the_server() {
    let authority = Authority::new();
    let https = server(&authority.sign(&["localhost"]), None).await;
    let url = named(&https, "localhost");
    let (http, socks) = (
        Proxy::http(None).await,
        Proxy::socks(None, https.authority()).await,
    );
    for (scheme, proxy) in [("http", &http), ("socks5", &socks)] {
        let proxy = format!("{scheme}://{}", proxy.address);
        let config = DialConfig::default()
            .tls(trusting(&authority))
            .proxy(Some(proxy.parse().unwrap()));
        let dialer = with(config).unwrap();
        assert_eq!(asked(&dialer, &url).await.unwrap(), "localhost");
    }
}

#[tokio::test]
async fn peer_without_tls_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = local("wss", &listener);
    let dialer = dialer(trusting(&Authority::new()));
    let (opened, ()) = tokio::join!(dialer.stream(&url), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    assert!(matches!(opened, Err(DialError::Tls { .. })), "{opened:?}");
}

#[test]
fn options_are_checked_when_they_are_set() {
    let error = |options: TlsOptions| {
        let config = DialConfig::default().tls(options);
        with(config).unwrap_err()
    };
    let authority = Authority::new();
    let own = authority.sign(&["a.test"]);
    let other = authority.sign(&["a.test"]);
    for pem in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let error = error(TlsOptions::default().ca_certificates(pem));
        assert!(
            matches!(error, ConnectorError::CaCertificates(_)),
            "{error:?}"
        );
    }
    let none = error(TlsOptions::default().system_certificates(false));
    assert!(matches!(none, ConnectorError::NoCaCertificates));
    for (chain, key) in [
        (own.chain.as_str(), other.key.as_str()),
        (own.chain.as_str(), "no key"),
        ("", own.key.as_str()),
    ] {
        let options = trusting(&authority).client_certificate(chain, key);
        let error = error(options);
        assert!(
            matches!(error, ConnectorError::ClientCertificate(_)),
            "{error:?}"
        );
    }
    let error = error(trusting(&authority).server_name("not a name"));
    assert!(matches!(error, ConnectorError::ServerName(_)));
}

#[test]
fn key_is_not_shown() {
    let own = Authority::new().sign(&["a.test"]);
    let middle: String = own.key.lines().nth(1).unwrap().chars().take(20).collect();
    let options = TlsOptions::default().client_certificate(own.chain, own.key.clone());
    let config = DialConfig::default().tls(options);
    let shown = format!("{config:?}");
    let as_bytes = format!("{:?}", own.key.as_bytes());
    assert!(!shown.contains(&middle) && !shown.contains(as_bytes.trim_matches(['[', ']'])));
}
