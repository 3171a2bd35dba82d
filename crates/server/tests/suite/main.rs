//! Servers and their clients, over every transport.
//!
//! In one program, which is built and linked once. What counts the memory of a whole process, or listens to all that it logs, is
//! a program of its own beside this folder.

mod abuse;
mod accepted_elsewhere;
mod acks;
#[cfg(unix)]
mod attachments;
mod connecting;
mod disconnect_details;
mod disconnecting;
mod dynamic_namespaces;
mod engine_events;
mod events;
mod files;
mod legacy;
mod order;
#[cfg(windows)]
mod pipes;
mod recovery;
mod rooms;
#[cfg(unix)]
mod streams;
mod streams_compression;
mod streams_errors;
#[cfg(unix)]
mod streams_failures;
#[cfg(unix)]
mod streams_halves;
mod streams_silent;
mod tower;
