//! What the crate promises as a whole.
//!
//! In one program, which is built and linked once.

#[cfg(all(feature = "admin", feature = "cluster", feature = "testing"))]
mod admin;
#[cfg(all(unix, feature = "client", feature = "server"))]
mod examples;
mod names;
#[cfg(feature = "metrics")]
mod observability;
#[cfg(feature = "testing")]
mod parity;
#[cfg(all(feature = "client", feature = "server"))]
mod parser;
mod readme;
#[cfg(all(feature = "client", feature = "server"))]
mod return_types;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "macros")]
mod typed;
#[cfg(all(feature = "client", feature = "server", feature = "macros"))]
mod typed_client;
