//! Ids of nodes and requests.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::DecodeError;
use crate::source::Source;

/// Which adapter of which server has sent something: Node's adapters have an id for each namespace, of 6 characters in the
/// classic dialect and of 16 elsewhere. One of more than 128 bytes is not read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(Id);

/// Which request an answer belongs to. One of more than 128 bytes is not read.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Id);

impl NodeId {
    /// An id that is this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Id::new(text))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Of another server. Servers are remembered by their ids, and anybody can be one.
    pub(crate) fn received(text: &str) -> Result<Self, DecodeError> {
        Id::received(text).map(Self)
    }

    pub(crate) fn read<'a, S: Source<'a>>(source: &mut S) -> Result<Self, DecodeError> {
        Self::received(&source.text()?)
    }

    /// Whether this is no node but one of Node's emitters, which publish and hear nothing: never to be counted, and never
    /// to be answered.
    #[must_use]
    pub fn is_emitter(&self) -> bool {
        matches!(self.as_str(), EMITTER | "socket.io-nats-emitter")
    }

    /// The id of all emitters.
    #[must_use]
    pub fn emitter() -> Self {
        Self::new(EMITTER)
    }
}

impl RequestId {
    /// An id that is this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Id::new(text))
    }

    pub(crate) fn read<'a, S: Source<'a>>(source: &mut S) -> Result<Self, DecodeError> {
        Id::received(&source.text()?).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:?})", self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({:?})", self.as_str())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const EMITTER: &str = "emitter";

/// How many bytes an id may have that is received. Those of all servers and emitters are below 40.
const MAX_RECEIVED: usize = 128;

/// Every message has one or two of these, which are short: they are read without an allocation.
#[derive(Clone)]
enum Id {
    Short { len: u8, bytes: [u8; MAX_SHORT] },
    Long(Arc<str>),
}

/// What fits beside the length into the room of three words.
const MAX_SHORT: usize = 22;

impl Id {
    fn new(text: &str) -> Self {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= MAX_SHORT => {
                let mut bytes = [0; MAX_SHORT];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }

    fn received(text: &str) -> Result<Self, DecodeError> {
        match text.len() > MAX_RECEIVED {
            true => Err(DecodeError::TooMany {
                what: "bytes in an id",
                max: MAX_RECEIVED,
            }),
            false => Ok(Self::new(text)),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("it has been made of a text")
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Id {}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Id {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_their_text_whatever_its_length() {
        for text in [
            "",
            "9h4_Td",
            "8c7cec449aa27f87",
            "é",
            &"x".repeat(22),
            &"x".repeat(300),
        ] {
            let id = NodeId::new(text);
            assert_eq!(id.as_str(), text);
            assert_eq!(id, NodeId::new(text));
            assert_ne!(id, NodeId::new(&format!("{text}x")));
        }
        assert_eq!(size_of::<NodeId>(), 24);
    }

    #[test]
    fn emitters_are_no_nodes() {
        assert!(NodeId::emitter().is_emitter());
        assert!(NodeId::new("socket.io-nats-emitter").is_emitter());
        assert!(!NodeId::new("emitter1").is_emitter());
    }
}
