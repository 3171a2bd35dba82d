//! Clients and servers, real and scripted ones.
//!
//! In one program, which is built and linked once. What looks at the memory of a whole process is a program of its own beside
//! this folder.

mod answers;
#[cfg(target_os = "linux")]
mod broken;
mod edges;
mod events;
mod features;
#[cfg(target_os = "linux")]
mod joining;
mod lifecycle;
mod own_streams;
mod own_transport;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod recovery;
mod return_types;
mod transports;
