//! The `sockeye` command as its users meet it.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod bench;
#[cfg(feature = "cluster")]
mod cluster;
mod connect;
mod emit;
mod help;
mod plain;
mod serve;
mod server;
#[cfg(target_os = "linux")]
mod terminal;
mod tls;
