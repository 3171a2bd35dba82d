//! Reaching real servers over loopback.

mod streams;

use super::{ConnectUrl, DialConfig, DialError, Dialer};

fn dialer() -> Dialer {
    Dialer::new(&DialConfig::default()).unwrap()
}

fn url(text: &str) -> ConnectUrl {
    text.parse().unwrap()
}
