//! Reaching real servers over loopback.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod http;
mod streams;
mod websockets;

use tokio::net::TcpListener;

use super::{ConnectUrl, DialConfig, DialError, Dialer};

fn dialer() -> Dialer {
    Dialer::new(&DialConfig::default()).unwrap()
}

fn url(text: &str) -> ConnectUrl {
    text.parse().unwrap()
}

/// The URL of this scheme for a listener.
fn local(scheme: &str, listener: &TcpListener) -> ConnectUrl {
    url(&format!("{scheme}://{}", listener.local_addr().unwrap()))
}
