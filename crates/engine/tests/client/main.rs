//! Sessions of a client: with our own engine, and with servers that misbehave.

mod compression;
mod opening;
mod rig;
mod sessions;
