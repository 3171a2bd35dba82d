//! Clusters on a real NATS, which the tests start.
//!
//! In one program, which is built and linked once.

mod account;
mod accounts;
mod contract;
mod failures;
mod mickl;
mod tls;
