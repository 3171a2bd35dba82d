//! What can be wrong with a line, and what is to be done about it.

use super::config::{BadLines, LinesConfig};
use crate::decode_error::DecodeError;
use crate::scan::ScanError;

/// Why a line means nothing. The blame is the peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is not UTF-8.
    #[error("line is not valid utf-8")]
    Utf8,
    /// The line does not begin as a JSON object does.
    #[error("line is not a JSON object")]
    NotAnObject,
    /// The JSON is broken.
    #[error("broken JSON at byte {at} of the line: expected {expected}")]
    Json {
        /// Offset in the line.
        at: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// The name of the event is not a string.
    #[error("eventName is not a string")]
    EventName,
    /// The line is a JSON object that is no kind of line; see [`Line::Other`](super::Line::Other).
    #[error("line is neither an event nor an acknowledgement nor an error")]
    Unknown,
    /// The arguments of an acknowledgement are not an array.
    #[error("args of the acknowledgement {id} are not an array")]
    AckArgs {
        /// What is acknowledged.
        id: u64,
    },
    /// The event has a name that must not travel; see [`is_reserved_line_event`](super::is_reserved_line_event).
    #[error("the event name {0:?} is reserved")]
    ReservedEvent(Box<str>),
}

/// What is to be done about a bad line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Go on with the next line.
    Ignore,
    /// Tell the application and go on with the next line.
    Report,
    /// Tell the application and close the stream.
    Close,
}

impl LineError {
    /// What is to be done: a reserved name is reported, and all else is as [`LinesConfig::bad_lines`] has it.
    #[must_use]
    pub fn verdict(&self, config: &LinesConfig) -> Verdict {
        match (self, config.bad_lines) {
            (_, BadLines::Close) => Verdict::Close,
            (Self::ReservedEvent(_), BadLines::Ignore) => Verdict::Report,
            (_, BadLines::Ignore) => Verdict::Ignore,
        }
    }

    pub(super) fn json(base: usize, error: ScanError) -> Self {
        Self::Json {
            at: base + error.at,
            expected: error.expected,
        }
    }

    /// What was found in an array that begins at `base`.
    pub(super) fn array(base: usize, error: &DecodeError) -> Self {
        match *error {
            DecodeError::Json { at, expected } => Self::Json {
                at: base + at,
                expected,
            },
            _ => Self::Json {
                at: base,
                expected: "the closing bracket of this array",
            },
        }
    }
}
