//! The servers that this program can be besides the load: peers, the floor and the bare loop.

pub(crate) mod floor;
pub(crate) mod socketioxide;
pub(crate) mod tokio;
