//! Sessions of a client: with our own engine, and with servers that misbehave.

mod compression;
mod farewell;
mod misbehaviour;
mod opening;
mod rig;
mod sessions;
mod transports;
