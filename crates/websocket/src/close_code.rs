//! Status codes of close frames (RFC 6455 §7.4.1 and the IANA registry).

/// The purpose of the connection has been fulfilled.
pub const NORMAL: u16 = 1000;
/// The server stops, or the page is left.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A kind of message that this end does not take.
pub const UNSUPPORTED: u16 = 1003;
/// Text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A message that breaks a rule of the application.
pub const POLICY: u16 = 1008;
/// A message that is too big.
pub const TOO_BIG: u16 = 1009;
/// The server did not agree on an extension that the client needs.
pub const MISSING_EXTENSION: u16 = 1010;
/// This end cannot go on, for a reason of its own.
pub const INTERNAL_ERROR: u16 = 1011;

/// Whether the code may appear in a close frame.
///
/// Not so 1004 (reserved), 1005, 1006 and 1015 (for local use), what the registry does not know
/// below 3000, and everything from 5000 up. 3000–3999 belong to libraries, 4000–4999 to applications.
pub const fn is_valid(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
