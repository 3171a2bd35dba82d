//! Peers that are taken for plain ones before they have said anything.

use bytes::Bytes;

use crate::io::Io;

/// A peer with a session of lines that has not said anything yet, in the eyes of whoever let it in: its first byte tells
/// whether it was taken for what it is.
pub trait Unheard: Send {
    /// Whether these bytes, its first, begin a line. They are kept if not.
    fn hear(&mut self, bytes: &[u8]) -> bool;

    /// What is to become of it now that it turns out to speak something else; `spoken` says whether
    /// it was sent something, which it cannot have read.
    fn judge(&self, spoken: bool) -> Mistaken;

    /// What it is told when it is refused.
    fn last_words(&self, spoken: bool) -> Bytes;

    /// Receives it again, as its session is over.
    fn readmit(self: Box<Self>, io: Io);
}

/// What becomes of a peer that was taken for a plain one and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistaken {
    /// It goes back to the door with what it has said, as if it had come just now.
    Readmitted,
    /// It is told why it cannot stay.
    Refused,
}
