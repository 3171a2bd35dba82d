use crate::close_code;
use crate::error::ProtocolError;
use crate::opcode::OpCode;
use crate::utf8;

/// What a close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'b> {
    /// The status code; always one that [`close_code::is_valid`].
    pub code: u16,
    /// Why, in words for a log; at most 123 bytes, often empty.
    pub reason: &'b str,
}

impl<'b> CloseFrame<'b> {
    /// Reads the payload of a close frame; an empty one is `None`.
    pub(crate) fn parse(payload: &'b [u8]) -> Result<Option<Self>, ProtocolError> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            [_] => return Err(ProtocolError::TruncatedCloseCode),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        };
        if !close_code::is_valid(code) {
            return Err(ProtocolError::InvalidCloseCode(code));
        }
        let reason = utf8::check(reason).map_err(|error| ProtocolError::InvalidUtf8 {
            op: OpCode::Close,
            error,
        })?;
        Ok(Some(Self { code, reason }))
    }
}

/// How far the closing handshake of one connection has come (RFC 6455 §7.1).
///
/// When it is [`Finished`](Self::Finished) the server drops the TCP connection, and the client waits a
/// moment for that (§7.1.1).
///
/// ```
/// use sockeye_websocket::CloseState;
///
/// let mut state = CloseState::Open;
/// // The peer's close frame came: the answer is still ours to send.
/// assert!(state.handle_received());
/// assert!(state.handle_sent());
/// assert_eq!(state, CloseState::Finished);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseState {
    /// No close frame either way.
    #[default]
    Open,
    /// Ours is sent: send nothing more, and read on until the peer's comes.
    Sent,
    /// The peer's has come: read nothing more, and send ours.
    Received,
    /// Both have passed.
    Finished,
}

impl CloseState {
    /// The peer's close frame came. True if one of ours is owed in answer; it should repeat the code.
    #[must_use = "an answer may be owed to the peer"]
    pub const fn handle_received(&mut self) -> bool {
        match self {
            Self::Open | Self::Received => {
                *self = Self::Received;
                true
            }
            Self::Sent | Self::Finished => {
                *self = Self::Finished;
                false
            }
        }
    }

    /// A close frame is about to be sent. False if there was one already: then it must not be sent.
    #[must_use = "a second close frame must not be sent"]
    pub const fn handle_sent(&mut self) -> bool {
        match self {
            Self::Open => {
                *self = Self::Sent;
                true
            }
            Self::Received => {
                *self = Self::Finished;
                true
            }
            Self::Sent | Self::Finished => false,
        }
    }

    /// Whether messages, pings and pongs may still be sent.
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Open | Self::Received)
    }

    /// Whether what comes in is still to be decoded.
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::Sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_payload_is_a_close_without_code() {
        assert_eq!(CloseFrame::parse(b""), Ok(None));
    }

    #[test]
    fn one_byte_is_too_short_for_a_code() {
        assert_eq!(
            CloseFrame::parse(b"\x03"),
            Err(ProtocolError::TruncatedCloseCode)
        );
    }

    #[test]
    fn code_and_reason_are_read() {
        let frame = CloseFrame {
            code: 1001,
            reason: "né",
        };
        assert_eq!(
            CloseFrame::parse("\x03\u{e9}né".as_bytes()),
            Err(bad_code(0x03c3))
        );
        assert_eq!(CloseFrame::parse(b"\x03\xe9n\xc3\xa9"), Ok(Some(frame)));
    }

    #[test]
    fn reason_must_be_utf8() {
        let error = CloseFrame::parse(b"\x03\xe8a\xff").unwrap_err();
        assert_eq!(error.close_code(), close_code::INVALID_PAYLOAD);
    }

    #[test]
    fn codes_for_local_use_and_unknown_codes_are_refused() {
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            assert_eq!(
                CloseFrame::parse(&u16::to_be_bytes(code)),
                Err(bad_code(code))
            );
        }
        for code in [1000, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
            assert!(CloseFrame::parse(&u16::to_be_bytes(code)).is_ok(), "{code}");
        }
    }

    #[test]
    fn own_close_is_sent_once_and_finished_by_the_peers() {
        let mut state = CloseState::default();
        assert!(state.handle_sent());
        assert!(!state.may_send());
        assert!(!state.handle_sent());
        assert!(state.may_receive());
        assert!(!state.handle_received());
        assert_eq!(state, CloseState::Finished);
    }

    fn bad_code(code: u16) -> ProtocolError {
        ProtocolError::InvalidCloseCode(code)
    }
}
