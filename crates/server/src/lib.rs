//! The Socket.IO server: namespaces, sockets, rooms and broadcasts.
