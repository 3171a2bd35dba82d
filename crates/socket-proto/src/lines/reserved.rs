//! Names that do not travel on lines.

use crate::name::is_reserved_event;

/// Names that servers and sockets of net-socket.io keep for local events.
///
/// A plain peer would take an event of such a name for one of its own: `error` ends its process, `close` fakes the end
/// of the stream.
pub const RESERVED_LINE_EVENTS: [&str; 15] = [
    "close",
    "connect",
    "connection",
    "data",
    "disconnect",
    "disconnecting",
    "drain",
    "end",
    "error",
    "listening",
    "lookup",
    "newListener",
    "ready",
    "removeListener",
    "timeout",
];

/// Whether `name` must not travel: one of [`RESERVED_LINE_EVENTS`], or [reserved in Socket.IO](crate::RESERVED_EVENTS),
/// whose sockets the event may reach.
#[must_use]
pub fn is_reserved_line_event(name: &str) -> bool {
    // The shortest is 3 and the longest 14 bytes.
    ((3..=14).contains(&name.len()) && RESERVED_LINE_EVENTS.contains(&name))
        || is_reserved_event(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_both_lists_and_of_socket_io_are_reserved() {
        for name in RESERVED_LINE_EVENTS.iter().chain(&crate::RESERVED_EVENTS) {
            assert!(is_reserved_line_event(name), "{name}");
        }
        for name in ["", "message", "Error", "ends", "connected"] {
            assert!(!is_reserved_line_event(name), "{name}");
        }
    }
}
