//! Clusters on a real MongoDB, which the tests start.
//!
//! In one program, which is built and linked once.

mod contract;
mod failures;
mod wire;
