//! Socket.IO on every wire.
