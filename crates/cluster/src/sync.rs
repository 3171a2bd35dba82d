//! What threads share of a node: locks, notices and counters.
//!
//! In tests they are seen by loom as well, so that models run the very code and not a copy of it.

#[cfg(test)]
mod seen;

#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use tokio::sync::Notify;

#[cfg(test)]
pub(crate) use self::seen::{
    AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, Notify, model, spawn,
};
