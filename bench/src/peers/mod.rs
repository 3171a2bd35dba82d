//! What this program can be besides the load: servers and a client to compare with, the floor and the bare loop.

pub(crate) mod floor;
pub(crate) mod rust_socketio;
pub(crate) mod socketioxide;
pub(crate) mod tokio;
