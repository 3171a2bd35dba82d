use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sockeye_engine::{ConnectUrlError, ConnectorError, OpenError};
use sockeye_events::{DisconnectReason, Refusal};
use thiserror::Error as ThisError;

/// Why a socket is not connected.
///
/// Cheap to clone: everyone who waits for one connection gets the same error.
#[derive(Clone, Debug, ThisError)]
#[non_exhaustive]
pub enum ConnectError {
    /// No session could be opened with the server. The text has all that is known of the cause, which
    /// is therefore not its `source()`.
    #[error("the server cannot be reached: {}", Chain(&**.0))]
    Open(
        /// What went wrong.
        Arc<OpenError>,
    ),
    /// The session was not open after the configured time, 20 s by default, or the server had not
    /// answered the socket.
    #[error("timeout")]
    Timeout,
    /// The server refused the socket: one of its middlewares did, or there is no such namespace.
    #[error("{}", .0.message())]
    Refused(
        /// The server's message, and its data if it sent some.
        Refusal,
    ),
    /// The session ended before the server had answered.
    #[error("the connection ended: {0}")]
    Ended(
        /// Why it ended.
        DisconnectReason,
    ),
    /// The socket was disconnected by this side before it was connected.
    #[error("the socket was disconnected")]
    Cancelled,
    /// The namespace cannot be joined over this connection.
    #[error("{0}")]
    Namespace(
        /// Why not.
        Box<str>,
    ),
    /// What the application was asked for before connecting (auth, headers) could not be had.
    #[error("{0}")]
    Application(
        /// What it said.
        Arc<str>,
    ),
    /// The settings of the client cannot work.
    #[error(transparent)]
    Config(
        /// Which one.
        Arc<ConfigError>,
    ),
}

/// A setting that cannot work.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL makes no sense.
    #[error(transparent)]
    Url(#[from] ConnectUrlError),
    /// One of the settings of the connector.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// A duration that must not be zero is.
    #[error("{0} must not be zero")]
    Zero(&'static str),
    /// The longest reconnection delay is shorter than the first.
    #[error("the longest reconnection delay is shorter than the first")]
    DelayMax,
    /// The randomization factor is out of range.
    #[error("the randomization factor must be between 0 and 1")]
    Randomization,
    /// The auth value cannot be serialised.
    #[error("auth cannot be serialised: {0}")]
    Auth(serde_json::Error),
    /// The auth value is no JSON object.
    #[error("auth must be an object")]
    AuthShape,
    /// The name cannot be that of a namespace: it has a comma or the record separator 0x1E in it,
    /// or is longer than may be.
    #[error("{0:?} cannot be the name of a namespace")]
    Namespace(Box<str>),
    /// Retries were asked for without a time after which to try again.
    #[error("retries need an ack timeout")]
    RetriesWithoutTimeout,
}

impl ConnectError {
    /// An error of the application's own, for hooks that are asked before connecting.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "for `map_err(ConnectError::application)`"
    )]
    pub fn application(message: impl ToString) -> Self {
        Self::Application(message.to_string().into())
    }

    /// What the server said, if it was the server that refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// An error and its causes, in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl ConnectError {
    /// Whether another attempt to open a session may succeed, without anything being changed on
    /// this side.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Open(error) => error.is_retryable(),
            _ => true,
        }
    }
}

impl From<OpenError> for ConnectError {
    fn from(error: OpenError) -> Self {
        Self::Open(Arc::new(error))
    }
}

impl From<ConfigError> for ConnectError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Arc::new(error))
    }
}
