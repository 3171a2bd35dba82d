use std::fmt;

use sockeye_engine_proto::CloseReason;

use crate::carrier::Probe;
use crate::request::Request;

/// What others ask of a session's driver.
pub(crate) enum Command {
    /// A request came for whatever carries the session.
    Request(Request),
    /// A transport was opened to which the session may move.
    Upgrade(Box<dyn Probe>),
    /// Write what waits, and nothing after it; the peer may go on.
    End,
    /// Close after what waits is written.
    Close,
    /// Close now.
    Abort {
        reason: CloseReason,
        /// What is to be known beyond the reason.
        cause: &'static str,
    },
    /// Be gone in this turn: the server closes, and its time for last words is over.
    Vanish,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request(_) => "Request",
            Self::Upgrade(_) => "Upgrade",
            Self::End => "End",
            Self::Close => "Close",
            Self::Abort { .. } => "Abort",
            Self::Vanish => "Vanish",
        })
    }
}
