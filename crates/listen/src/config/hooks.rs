//! What the application wants to decide, change or know itself.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use sockeye_engine_proto::RequestError;

use crate::handshake::Handshake;

type AllowFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type AllowHook = Arc<dyn Fn(Arc<Handshake>) -> AllowFuture + Send + Sync>;
type HeadersHook = Arc<dyn Fn(&mut HeaderMap, &Parts) + Send + Sync>;
type ErrorHook = Arc<dyn Fn(&ConnectionError<'_>) + Send + Sync>;

/// The hooks of a configuration.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) allow_request: Option<AllowHook>,
    pub(crate) initial_headers: Option<HeadersHook>,
    pub(crate) headers: Option<HeadersHook>,
    pub(crate) connection_error: Option<ErrorHook>,
}

/// A request over HTTP that is refused before it gets to a session: what Node's servers tell in the event
/// `connection_error`.
///
/// The peer is told [`code`](Self::code) and [`message`](Self::message); the rest is for this side. Its text, `{error}`, says
/// why.
#[derive(Clone, Copy)]
pub struct ConnectionError<'a> {
    error: &'a RequestError,
    request: &'a Parts,
    cause: Option<&'a (dyn std::error::Error + Send + Sync + 'static)>,
}

impl<'a> ConnectionError<'a> {
    pub(crate) const fn new(error: &'a RequestError, request: &'a Parts) -> Self {
        Self {
            error,
            request,
            cause: None,
        }
    }

    pub(crate) const fn caused_by(
        mut self,
        cause: &'a (dyn std::error::Error + Send + Sync + 'static),
    ) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The protocol's code: 0 unknown transport, 1 unknown session, 2 bad method of a handshake, 3 bad request, 4 forbidden
    /// by the application, 5 unsupported revision.
    #[must_use]
    pub const fn code(&self) -> u8 {
        self.error.code()
    }

    /// The protocol's message of the code, or what the application has said for code 4.
    #[must_use]
    pub fn message(&self) -> &'a str {
        self.error.message()
    }

    /// What kind of bad request it is, for code 3, as Node's servers call it: `TRANSPORT_MISMATCH`,
    /// `TRANSPORT_HANDSHAKE_ERROR`, `PROTOCOL_MISMATCH`, `MIDDLEWARE_FAILURE`, `ID_GENERATION_ERROR`.
    #[must_use]
    pub const fn context(&self) -> Option<&'static str> {
        match self.error {
            RequestError::BadRequest(kind) => Some(kind.name()),
            _ => None,
        }
    }

    /// The request: its method, URL, headers and extensions, of which a
    /// [`ConnectionInfo`](crate::ConnectionInfo) tells the peer's address.
    #[must_use]
    pub const fn request(&self) -> &'a Parts {
        self.request
    }
}

impl fmt::Display for ConnectionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self.context() {
            Some(context) => write!(f, " ({context})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConnectionError<'_> {
    /// What a layer has failed with.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.map(|cause| cause as _)
    }
}

/// Without the request, in whose query and headers tokens are.
impl fmt::Debug for ConnectionError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionError")
            .field("error", &self.error)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("allow_request", &self.allow_request.is_some())
            .field("initial_headers", &self.initial_headers.is_some())
            .field("headers", &self.headers.is_some())
            .field("connection_error", &self.connection_error.is_some())
            .finish()
    }
}
