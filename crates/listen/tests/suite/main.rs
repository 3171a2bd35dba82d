//! Doors of a server with an application that is the smallest possible, and clients that are bytes.
//!
//! In one program, which is built and linked once.

mod closing;
mod compression;
mod connections;
mod layers;
mod listen;
mod old_clients;
mod polling;
mod pressure;
mod requests;
mod sessions;
mod slow;
mod time;
mod unfinished;
mod upgrade;
