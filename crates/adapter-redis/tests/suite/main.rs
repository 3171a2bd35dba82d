//! Clusters on a real Redis, which the tests start.
//!
//! In one program, which is built and linked once.

mod access;
mod contract;
mod legacy;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod topology;
