//! What a peer sends and an application answers on one Socket.IO connection.
//!
//! The first byte of the input chooses revision and limits; then each line is an operation: `t` and a text, `b` and an
//! attachment, or `a`, `r`, `l` and a digit: accept, refuse, leave the namespace that asked as that one; `w` waits.

#![no_main]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sockeye_fuzz::bytes::choice;
use sockeye_socket_proto::{
    Connection, ConnectionConfig, Input, NamespaceKey, SocketRevision, StrayPackets,
};

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let choice = choice(&mut data);
    let revision = if choice & 1 == 0 {
        SocketRevision::V5
    } else {
        SocketRevision::V4
    };
    let mut config = ConnectionConfig::default()
        .max_attachment_bytes(100)
        .max_namespaces(4);
    if choice & 2 != 0 {
        config = config.stray_packets(StrayPackets::Close);
    }
    let mut now = Instant::now();
    let mut peer = Peer {
        connection: Connection::server(revision, &config, now),
        asked: Vec::new(),
        namespaces: BTreeMap::new(),
    };
    if let Some(input) = peer.connection.implicit_connect() {
        Peer::follow(&mut peer.asked, &mut peer.namespaces, &input);
        assert!(peer.connection.implicit_connect().is_none());
    }
    for line in data.split(|&byte| byte == b'\n') {
        let Some((operation, detail)) = line.split_first() else {
            continue;
        };
        if *operation == b'w' {
            now += Duration::from_secs(30);
            if peer.connection.handle_timeout(now).is_some() {
                assert!(
                    peer.namespaces
                        .values()
                        .all(|state| state.0 != Place::Joined)
                );
                assert!(peer.connection.handle_timeout(now).is_none(), "told twice");
                return;
            }
        } else if peer.apply(*operation, detail).is_none() {
            return;
        }
        peer.check();
    }
});

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Asked,
    Joined,
}

/// The connection, and what it should think of its namespaces.
struct Peer {
    connection: Connection,
    asked: Vec<NamespaceKey>,
    namespaces: BTreeMap<String, (Place, NamespaceKey)>,
}

impl Peer {
    /// `None` once the protocol was broken: then the connection is closed.
    fn apply(&mut self, operation: u8, detail: &[u8]) -> Option<()> {
        let input = match operation {
            b't' => self
                .connection
                .handle_text(std::str::from_utf8(detail).ok()?)
                .ok()?,
            b'b' => self
                .connection
                .handle_binary(Bytes::copy_from_slice(detail))
                .ok()?,
            _ => {
                self.answer(operation, *detail.first().unwrap_or(&b'0'));
                None
            }
        };
        if let Some(input) = input {
            Self::follow(&mut self.asked, &mut self.namespaces, &input);
        }
        Some(())
    }

    fn follow(
        asked: &mut Vec<NamespaceKey>,
        namespaces: &mut BTreeMap<String, (Place, NamespaceKey)>,
        input: &Input<'_>,
    ) {
        let key = input.key();
        let joined = namespaces
            .values()
            .any(|place| *place == (Place::Joined, key));
        match input {
            Input::Connect {
                namespace, auth, ..
            } => {
                let before = namespaces.insert((*namespace).to_owned(), (Place::Asked, key));
                assert!(before.is_none(), "{namespace} was asked for already");
                asked.push(key);
                if let Some(auth) = auth {
                    let auth: Result<Value, _> = serde_json::from_str(auth);
                    assert!(auth.is_ok_and(|auth| auth.is_object()));
                }
            }
            Input::Event { args, .. } | Input::Ack { args, .. } => {
                assert!(joined, "{input:?} without a namespace");
                let _ = args.deserialize::<Value>();
                let _ = args.deserialize::<(Bytes, Bytes)>();
            }
            Input::Error { .. } => assert!(joined, "{input:?} without a namespace"),
            Input::Disconnect { .. } => {
                assert!(joined, "{input:?} without a namespace");
                namespaces.retain(|_, place| place.1 != key);
            }
        }
    }

    /// The application's answers may come late, twice, or to what is long gone.
    fn answer(&mut self, operation: u8, digit: u8) {
        let Some(&key) = self.asked.get(usize::from(digit.wrapping_sub(b'0'))) else {
            return;
        };
        let (from, to) = match operation {
            b'a' => (Place::Asked, Some(Place::Joined)),
            b'r' => (Place::Asked, None),
            _ => (Place::Joined, None),
        };
        match operation {
            b'a' => self.connection.accept(key),
            b'r' => self.connection.refuse(key),
            _ => self.connection.leave(key),
        }
        self.namespaces.retain(|_, place| {
            if *place != (from, key) {
                return true;
            }
            place.0 = to.unwrap_or(from);
            to.is_some()
        });
    }

    fn check(&self) {
        for (name, &(place, key)) in &self.namespaces {
            assert_eq!(self.connection.namespace(key), Some(name.as_str()));
            assert_eq!(self.connection.is_joined(key), place == Place::Joined);
            let found = self.connection.find(name);
            assert_eq!(found, (place == Place::Joined).then_some(key));
        }
        let joined = self
            .namespaces
            .values()
            .filter(|place| place.0 == Place::Joined);
        assert_eq!(self.connection.joined().count(), joined.count());
    }
}
