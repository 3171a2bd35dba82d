//! Reaching real servers over loopback.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod http;
mod proxies;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod websockets;

use std::sync::Arc;

use tokio::net::TcpListener;

use super::{ConnectUrl, ConnectorError, DialConfig, DialError, Dialer, ProxyUrl, TlsOptions};

fn dialer() -> Dialer {
    with(DialConfig::default()).unwrap()
}

fn with(config: DialConfig) -> Result<Dialer, ConnectorError> {
    Dialer::new(Arc::new(config), 16 * 1024 * 1024)
}

fn url(text: &str) -> ConnectUrl {
    text.parse().unwrap()
}

/// The URL of this scheme for a listener.
fn local(scheme: &str, listener: &TcpListener) -> ConnectUrl {
    url(&format!("{scheme}://{}", listener.local_addr().unwrap()))
}

#[tokio::test]
#[cfg(not(feature = "tls"))]
async fn tls_without_the_feature_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for scheme in ["https", "wss", "tls"] {
        let url = local(scheme, &listener);
        let error = dialer().stream(&url).await.unwrap_err();
        let text = format!("{url} needs TLS, and the feature `tls` is off");
        assert_eq!(error.to_string(), text);
        assert!(!error.is_retryable());
    }
    let options = TlsOptions::default().danger_accept_invalid_certs(true);
    let error = with(DialConfig::default().tls(options)).unwrap_err();
    assert!(matches!(error, ConnectorError::NoTls));
}

#[test]
fn limit_of_zero_is_refused() {
    let config = DialConfig::default().request_timeout(Some(std::time::Duration::ZERO));
    let error = with(config).unwrap_err();
    assert!(matches!(error, ConnectorError::Zero("the request timeout")));
}
