//! Peers that are taken for plain ones before they have said anything.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_engine_proto::{Dialect, dialect_of_first_byte};
use sockeye_engine_proto::{RequestError, TransportKind};

use super::Manners;
use super::bare::{NOT_HTTP, refusal};
use crate::handshake::Handshake;
use crate::outbox::Framing;
use crate::stream_dialect::StreamDialect;

/// A peer at the door: what is known of it, and how it is to be treated.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) transport: TransportKind,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) manners: Manners,
}

/// A peer with a session of lines that has not said anything yet. Its first byte tells whether it
/// was taken for what it is.
pub(crate) struct Unheard {
    guest: Guest,
    /// What it has said first, if that is no line.
    said: Vec<u8>,
}

// Whoever only listens has one of these for as long as it lives.
const _: () = assert!(size_of::<Unheard>() <= 72);

/// What becomes of a peer that was taken for a plain one and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistaken {
    /// It goes back to the door with what it has said, as if it had come just now.
    Readmitted,
    /// It is told why it cannot stay.
    Refused,
}

impl Unheard {
    pub(crate) const fn new(guest: Guest) -> Self {
        let said = Vec::new();
        Self { guest, said }
    }

    /// Whether these bytes, its first, begin a line. They are kept if not.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> bool {
        let is_line = bytes
            .first()
            .is_none_or(|first| dialect_of_first_byte(*first) == Dialect::Lines);
        if !is_line {
            self.said = bytes.to_vec();
        }
        is_line
    }

    /// What is to become of it now that it turns out to speak something else; `spoken` says whether
    /// it was sent something, which it cannot have read.
    pub(crate) fn judge(&self, spoken: bool) -> Mistaken {
        match self.guest.manners.dialect {
            StreamDialect::Auto if !spoken => Mistaken::Readmitted,
            _ => Mistaken::Refused,
        }
    }

    /// What it is told when it is refused: in its own words, unless lines were spoken to it.
    pub(crate) fn last_words(&self, spoken: bool) -> Bytes {
        let dialect = self.said.first().copied().map(dialect_of_first_byte);
        let framing = match dialect {
            Some(Dialect::Http) if !spoken => return Bytes::from_static(NOT_HTTP),
            Some(Dialect::Native) if !spoken => Framing::Native,
            _ => Framing::Lines,
        };
        let text = match self.guest.manners.dialect {
            StreamDialect::Lines => "this listener takes lines only",
            _ => "lines are spoken here already, as nothing was said in time",
        };
        refusal(framing, &RequestError::Forbidden(Some(text.into()))).into()
    }

    /// The guest, and what it has said.
    pub(crate) fn into_parts(self) -> (Guest, Vec<u8>) {
        (self.guest, self.said)
    }
}
