//! Clusters on a real Postgres, which the tests start.
//!
//! In one program, which is built and linked once.

mod contract;
mod failures;
#[cfg(feature = "tls")]
mod tls;
