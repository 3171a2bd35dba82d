//! Socket.IO 4 and 5 packets and namespaces without I/O.
