//! RFC 6455 WebSocket frames and handshake without I/O.
