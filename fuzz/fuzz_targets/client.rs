//! What a server sends and an application does on one Socket.IO connection of a client.
//!
//! The first byte of the input chooses the revision; then each line is an operation: `t` and a text, `b` and an
//! attachment, `j` and the name of a namespace to join, `l` and a digit: leave the namespace that was joined as that one.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;
use sockeye_fuzz::bytes::choice;
use sockeye_socket_proto::{
    ClientConnection, ClientInput, ConnectionConfig, JoinError, Leaving, NamespaceKey,
    SocketRevision,
};

const MAX_NAMESPACES: u16 = 4;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let revision = if choice(&mut data) & 1 == 0 {
        SocketRevision::V5
    } else {
        SocketRevision::V4
    };
    let config = ConnectionConfig::default()
        .max_attachment_bytes(100)
        .max_namespaces(MAX_NAMESPACES);
    let mut peer = Peer {
        connection: ClientConnection::new(revision, &config),
        keys: Vec::new(),
        stays: BTreeMap::new(),
    };
    for line in data.split(|&byte| byte == b'\n') {
        let Some((operation, detail)) = line.split_first() else {
            continue;
        };
        if peer.apply(*operation, detail).is_none() {
            return;
        }
        peer.check();
    }
});

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Asked,
    Abandoned,
    Joined,
}

/// The connection, and what it should think of its namespaces.
struct Peer {
    connection: ClientConnection,
    keys: Vec<NamespaceKey>,
    stays: BTreeMap<String, (Place, NamespaceKey)>,
}

impl Peer {
    /// `None` once the server has broken the protocol: then the session is closed.
    fn apply(&mut self, operation: u8, detail: &[u8]) -> Option<()> {
        let handled = match operation {
            b't' => self
                .connection
                .handle_text(std::str::from_utf8(detail).ok()?),
            b'b' => self
                .connection
                .handle_binary(Bytes::copy_from_slice(detail)),
            b'j' => {
                self.join(std::str::from_utf8(detail).ok()?);
                Ok(None)
            }
            _ => {
                self.leave(*detail.first().unwrap_or(&b'0'));
                Ok(None)
            }
        };
        match handled {
            Ok(Some(input)) => Self::follow(&mut self.stays, &input),
            Ok(None) => {}
            Err(violation) => {
                assert!(violation.is_decode_error(), "{violation}");
                return None;
            }
        }
        Some(())
    }

    fn join(&mut self, name: &str) {
        let before = self.stays.get(name).map(|stay| stay.0);
        match (self.connection.join(name), before) {
            (Ok(key), None) => {
                let place = match self.connection.is_joined(key) {
                    true => Place::Joined,
                    false => Place::Asked,
                };
                let v4_main = name == "/" && self.connection.revision() == SocketRevision::V4;
                assert!(place == Place::Asked || v4_main);
                assert!(self.connection.needs_request(key) || v4_main);
                self.stays.insert(name.to_owned(), (place, key));
                self.keys.push(key);
            }
            (Err(JoinError::Twice), Some(Place::Asked | Place::Joined))
            | (Err(JoinError::Unanswered), Some(Place::Abandoned)) => {}
            (Err(JoinError::Name), None) => {
                let cut = self.connection.revision() == SocketRevision::V4 && name.contains('?');
                let ends = name.contains([',', '\u{1e}']);
                assert!(!name.starts_with('/') || ends || cut);
            }
            (Err(JoinError::TooLong { max }), None) => assert!(name.len() > usize::from(max)),
            (Err(JoinError::TooMany { .. }), None) => {
                assert_eq!(self.stays.len(), usize::from(MAX_NAMESPACES));
            }
            other => panic!("{other:?}"),
        }
    }

    /// The application may leave twice, or what is long gone.
    fn leave(&mut self, digit: u8) {
        let Some(&key) = self.keys.get(usize::from(digit.wrapping_sub(b'0'))) else {
            return;
        };
        let stay = self.stays.values_mut().find(|stay| stay.1 == key);
        match (self.connection.leave(key), stay) {
            (Leaving::Now, Some((Place::Joined, _))) => self.stays.retain(|_, stay| stay.1 != key),
            (Leaving::OnceAnswered, Some((place @ Place::Asked, _))) => *place = Place::Abandoned,
            (Leaving::NotThere, Some((Place::Abandoned, _)) | None) => {}
            other => panic!("{other:?}"),
        }
    }

    fn follow(stays: &mut BTreeMap<String, (Place, NamespaceKey)>, input: &ClientInput<'_>) {
        let (place, over) = match input {
            ClientInput::Connected { .. } => (&[Place::Asked][..], false),
            ClientInput::Refused { .. } => {
                (&[Place::Asked, Place::Abandoned, Place::Joined][..], true)
            }
            ClientInput::TooOld { .. } => (&[Place::Asked][..], true),
            ClientInput::Event { .. } => (&[Place::Asked, Place::Joined][..], false),
            ClientInput::Ack { .. } | ClientInput::Error { .. } => (&[Place::Joined][..], false),
            ClientInput::Disconnected { .. } => (&[Place::Asked, Place::Joined][..], true),
            ClientInput::Abandoned { .. } => (&[Place::Abandoned][..], true),
            ClientInput::ErrorOfAll { .. } => (&[][..], false),
        };
        if let Some(key) = input.key() {
            let stay = stays.values_mut().find(|stay| stay.1 == key);
            let stay = stay.unwrap_or_else(|| panic!("{input:?} without a stay"));
            assert!(place.contains(&stay.0), "{input:?} while {:?}", stay.0);
            if let ClientInput::Connected { .. } = input {
                stay.0 = Place::Joined;
            }
            if over {
                stays.retain(|_, stay| stay.1 != key);
            }
        }
        match input {
            ClientInput::Event { args, .. } | ClientInput::Ack { args, .. } => {
                let _ = args.deserialize::<Value>();
                let _ = args.deserialize::<(Bytes, Bytes)>();
            }
            ClientInput::Refused { data, .. }
            | ClientInput::Error { data, .. }
            | ClientInput::ErrorOfAll { data, .. } => {
                if let Some(data) = data {
                    assert!(serde_json::from_str::<IgnoredAny>(data).is_ok());
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        for (name, &(place, key)) in &self.stays {
            let joined = place == Place::Joined;
            assert_eq!(self.connection.namespace(key), Some(name.as_str()));
            assert_eq!(self.connection.is_joined(key), joined);
            assert_eq!(self.connection.find(name), joined.then_some(key));
        }
        let joined = self.stays.values().filter(|stay| stay.0 == Place::Joined);
        assert_eq!(self.connection.joined().count(), joined.count());
    }
}
