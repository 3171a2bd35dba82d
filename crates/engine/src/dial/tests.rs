//! Reaching real servers over loopback.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod streams;

use super::{ConnectUrl, DialConfig, DialError, Dialer};

fn dialer() -> Dialer {
    Dialer::new(&DialConfig::default()).unwrap()
}

fn url(text: &str) -> ConnectUrl {
    text.parse().unwrap()
}
