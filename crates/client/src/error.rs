use std::error::Error;
use std::fmt;
use std::sync::Arc;

use sockeye_dial::{ConnectUrlError, ConnectorError, OpenError};
use sockeye_events::{DisconnectReason, Refusal, write_causes};
use thiserror::Error as ThisError;

/// Why a socket is not connected.
///
/// Cheap to clone: everyone who waits for one connection gets the same error.
///
/// `{error}` says what went wrong, `{error:#}` what caused that, too: which address refused, for one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// No session could be opened with the server.
    Open(
        /// What went wrong.
        Arc<OpenError>,
    ),
    /// The session was not open after the configured time, 20 s by default, or the server had not
    /// answered the socket.
    Timeout,
    /// The server refused the socket: one of its middlewares did, or there is no such namespace.
    Refused(
        /// The server's message, and its data if it sent some.
        Refusal,
    ),
    /// The session ended before the server had answered.
    Ended(
        /// Why it ended.
        DisconnectReason,
    ),
    /// The socket was disconnected by this side before it was connected.
    Cancelled,
    /// The namespace cannot be joined over this connection.
    Namespace(
        /// Why not.
        Box<str>,
    ),
    /// What the application was asked for before connecting (auth, headers) could not be had.
    Application(
        /// What it said.
        Arc<str>,
    ),
    /// The settings of the client cannot work.
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
    #[error("auth cannot be serialised")]
    Auth(#[source] serde_json::Error),
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

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("the server cannot be reached"),
            Self::Timeout => f.write_str("timeout"),
            Self::Refused(refusal) => f.write_str(refusal.message()),
            Self::Ended(reason) => write!(f, "the connection ended: {reason}"),
            Self::Cancelled => f.write_str("the socket was disconnected"),
            Self::Namespace(why) => f.write_str(why),
            Self::Application(message) => f.write_str(message),
            Self::Config(error) => write!(f, "{error}"),
        }?;
        write_causes(self, f)
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open(error) => Some(&**error),
            Self::Config(error) => error.source(),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_its_cause_in_it() {
        let auth = serde_json::from_str::<bool>("no").unwrap_err();
        let url = "http://[".parse::<sockeye_dial::ConnectUrl>();
        for error in [
            ConnectError::from(OpenError::Silent),
            ConnectError::from(ConfigError::Auth(auth)),
            ConnectError::from(ConfigError::Url(url.unwrap_err())),
            ConnectError::from(ConfigError::Zero("the delay")),
            ConnectError::application("no token"),
        ] {
            let mut whole = error.to_string();
            let mut next: &dyn Error = &error;
            while let Some(cause) = next.source() {
                let (text, why) = (next.to_string(), cause.to_string());
                assert!(!text.contains(&why), "{text}");
                whole += &format!(": {why}");
                next = cause;
            }
            assert_eq!(format!("{error:#}"), whole);
        }
    }
}
