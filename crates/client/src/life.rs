//! What the client decides, without I/O: each file is a machine that knows no socket, task, lock, clock or random source.
//!
//! What happens goes in, with the time where that matters; what is to be done comes out, and somebody else does it.

mod answers;
pub(crate) mod attempts;
mod backoff;
pub(crate) mod buffer;
pub(crate) mod member;
pub(crate) mod membership;
pub(crate) mod recovery;
pub(crate) mod retry;
pub(crate) mod stays;

#[cfg(test)]
mod tests;
