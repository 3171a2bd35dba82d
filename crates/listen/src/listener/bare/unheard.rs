//! Peers that are taken for plain ones before they have said anything.

use bytes::Bytes;
use sockeye_engine::{Io, Mistaken};
use sockeye_engine_proto::{FirstByte, RequestError};

use super::{Guest, NOT_HTTP, refusal, serve_again};
use crate::application::Application;
use crate::engine::Engine;
use sockeye_engine::Dialect;

/// A peer with a session of lines that has not said anything yet. Its first byte tells whether it
/// was taken for what it is.
pub(super) struct Unheard<A> {
    engine: Engine<A>,
    guest: Guest,
    /// What it has said first, if that is no line.
    said: Vec<u8>,
}

// Whoever only listens has one of these for as long as it lives.
const _: () = assert!(size_of::<Unheard<()>>() <= 72);

impl<A> Unheard<A> {
    pub(super) const fn new(engine: Engine<A>, guest: Guest) -> Self {
        let said = Vec::new();
        Self {
            engine,
            guest,
            said,
        }
    }
}

impl<A: Application> sockeye_engine::Unheard for Unheard<A> {
    fn hear(&mut self, bytes: &[u8]) -> bool {
        let is_line = bytes
            .first()
            .is_none_or(|first| FirstByte::of(*first) == FirstByte::Lines);
        if !is_line {
            self.said = bytes.to_vec();
        }
        is_line
    }

    fn judge(&self, spoken: bool) -> Mistaken {
        match self.guest.manners.dialect {
            None if !spoken => Mistaken::Readmitted,
            _ => Mistaken::Refused,
        }
    }

    /// In its own words, unless lines were spoken to it.
    fn last_words(&self, spoken: bool) -> Bytes {
        let first = self.said.first().copied().map(FirstByte::of);
        let dialect = match first {
            Some(FirstByte::Http) if !spoken => return Bytes::from_static(NOT_HTTP),
            Some(FirstByte::Native) if !spoken => Dialect::Packets,
            _ => Dialect::Lines,
        };
        let text = match self.guest.manners.dialect {
            Some(Dialect::Lines) => "this listener takes lines only",
            _ => "lines are spoken here already, as nothing was said in time",
        };
        refusal(dialect, &RequestError::Forbidden(Some(text.into()))).into()
    }

    fn readmit(self: Box<Self>, io: Io) {
        let Self {
            engine,
            guest,
            said,
        } = *self;
        tokio::spawn(serve_again(engine, io, guest, said));
    }
}
