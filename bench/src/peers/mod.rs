//! The servers that this program can be besides the load: peers and the floor.

pub(crate) mod floor;
pub(crate) mod socketioxide;
