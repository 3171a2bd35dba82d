//! What the events of the library itself are called.

/// A socket is connected. No event from the wire can have this name, nor the next three.
pub const CONNECT: &str = "connect";
/// A client's attempt to connect has failed.
pub const CONNECT_ERROR: &str = "connect_error";
/// A socket is about to be disconnected.
pub const DISCONNECTING: &str = "disconnecting";
/// A socket has been disconnected.
pub const DISCONNECT: &str = "disconnect";

/// The peer has closed its half of the connection. The events of peers may well have this name, or one of the next:
/// a table of listeners keeps what happens to the connection apart.
pub const END: &str = "end";
/// Everything is written after much had to wait.
pub const DRAIN: &str = "drain";
/// The connection is closed for good.
pub const CLOSE: &str = "close";
/// A packet has come over the connection.
pub const PACKET: &str = "packet";
/// The peer's part of a heartbeat has come.
pub const HEARTBEAT: &str = "heartbeat";
/// The connection is about to go over to another transport.
pub const UPGRADING: &str = "upgrading";
/// The connection has gone over to another transport.
pub const UPGRADE: &str = "upgrade";
