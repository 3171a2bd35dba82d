//! Sockets as other servers see them.

use std::time::UNIX_EPOCH;

use serde_json::{Map, Value};
use sockeye_adapter::{HandshakeDetails, SocketDetails};

use crate::{Handshake, Socket};

/// What other servers may know of a socket.
pub(crate) fn of(socket: &Socket) -> SocketDetails {
    let mut details = SocketDetails::new(socket.id().to_owned());
    details.handshake = of_handshake(socket.handshake());
    details.rooms = socket.rooms();
    if let Some(data) = socket.shared_data() {
        details.data = data;
    }
    details
}

fn of_handshake(handshake: &Handshake) -> HandshakeDetails {
    let time = handshake.time();
    let issued = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let address = handshake.remote_addr().map(|address| address.ip());
    let mut details = HandshakeDetails::default();
    for (name, value) in handshake.headers().iter() {
        let value = String::from_utf8_lossy(value).into_owned();
        add(&mut details.headers, name.to_ascii_lowercase(), value);
    }
    for (key, value) in handshake.query() {
        add(&mut details.query, key.into_owned(), value.into_owned());
    }
    details.time = httpdate::fmt_http_date(time);
    details.address = address.map_or_else(String::new, |address| address.to_string());
    details.xdomain = handshake.is_cross_domain();
    details.secure = handshake.is_secure();
    details.issued = u64::try_from(issued.as_millis()).unwrap_or(u64::MAX);
    details.url = handshake.url().to_owned();
    details.auth = handshake.auth().unwrap_or_default();
    details
}

/// Adds a value; what has several becomes a list, as in Node.
fn add(map: &mut Map<String, Value>, name: String, value: String) {
    let value = Value::String(value);
    match map.get_mut(&name) {
        None => drop(map.insert(name, value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}
