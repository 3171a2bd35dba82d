//! What is answered to a request that is refused.

use std::borrow::Cow;

/// Why a request was refused, and the answer to it.
///
/// This is the one place that maps a refusal to what goes on the wire: [`code`](Self::code) and
/// [`message`](Self::message) are those of the protocol, [`status`](Self::status) and [`body`](Self::body) make the
/// HTTP answer. A WebSocket upgrade is always refused with status 400 and the bare message as its body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The `transport` parameter is missing, unknown or names a transport that is switched off.
    #[error("Transport unknown")]
    UnknownTransport,
    /// There is no session with that id (any more).
    #[error("Session ID unknown")]
    UnknownSession,
    /// A handshake was tried with a method other than GET.
    #[error("Bad handshake method")]
    BadHandshakeMethod,
    /// The request does not fit the session or cannot be served.
    #[error("Bad request")]
    BadRequest(BadRequest),
    /// The application refused the handshake, perhaps with a text for the client.
    #[error("{}", .0.as_deref().unwrap_or("Forbidden"))]
    Forbidden(Option<Box<str>>),
    /// Engine.IO 3 was asked for and is switched off.
    #[error("Unsupported protocol version")]
    UnsupportedRevision,
    /// A second GET or POST came while the first was still pending; the session is closed by it. Answered with an
    /// empty 400.
    #[error("request overlap from client")]
    Overlap,
    /// A POST of type `application/octet-stream` under Engine.IO 4; the session is closed by it. Answered with an
    /// empty 400.
    #[error("invalid content")]
    BadContentType,
    /// The body could not be decoded; the session is closed by it. Answered with an empty 400.
    #[error("undecodable payload")]
    BadPayload,
    /// The body is larger than the limit, or comes in more chunks than it may; where the rest of it is not read, the
    /// session is closed by it. Answered with an empty 413.
    #[error("payload too large")]
    PayloadTooLarge,
    /// The body did not come in time; the session is closed by it. Answered with an empty 408.
    #[error("http request timeout")]
    Timeout,
    /// A method other than GET and POST with a valid session id. Answered with an empty 500, as the originals do; the
    /// session goes on.
    #[error("unexpected method")]
    UnexpectedMethod,
}

/// The circumstance behind [`RequestError::BadRequest`]; it is for logs and the `connection_error` event, the peer is
/// not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRequest {
    /// A middleware failed.
    MiddlewareFailure,
    /// The `Origin` header holds characters that no header may hold.
    InvalidOrigin,
    /// The session is on another transport than the request's.
    TransportMismatch,
    /// The transport could not be set up, for example `transport=websocket` without an upgrade.
    TransportHandshake,
    /// The request speaks another revision than the session.
    ProtocolMismatch,
    /// No session id could be made.
    IdGeneration,
}

impl BadRequest {
    /// The name that the JavaScript server gives this circumstance.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MiddlewareFailure => "MIDDLEWARE_FAILURE",
            Self::InvalidOrigin => "INVALID_ORIGIN",
            Self::TransportMismatch => "TRANSPORT_MISMATCH",
            Self::TransportHandshake => "TRANSPORT_HANDSHAKE_ERROR",
            Self::ProtocolMismatch => "PROTOCOL_MISMATCH",
            Self::IdGeneration => "ID_GENERATION_ERROR",
        }
    }
}

impl RequestError {
    /// The protocol's error code, 0 to 5. What has no code of its own counts as a bad request (3).
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSession => 1,
            Self::BadHandshakeMethod => 2,
            Self::Forbidden(_) => 4,
            Self::UnsupportedRevision => 5,
            Self::BadRequest(_)
            | Self::Overlap
            | Self::BadContentType
            | Self::BadPayload
            | Self::PayloadTooLarge
            | Self::Timeout
            | Self::UnexpectedMethod => 3,
        }
    }

    /// Whether it is about a request of a session that is there and of the right kind, as opposed to one that gets to none.
    #[must_use]
    pub const fn is_about_session(&self) -> bool {
        match self {
            Self::UnknownTransport
            | Self::UnknownSession
            | Self::BadHandshakeMethod
            | Self::BadRequest(_)
            | Self::Forbidden(_)
            | Self::UnsupportedRevision => false,
            Self::Overlap
            | Self::BadContentType
            | Self::BadPayload
            | Self::PayloadTooLarge
            | Self::Timeout
            | Self::UnexpectedMethod => true,
        }
    }

    /// The protocol's message for the code, or the application's own text for a forbidden handshake.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSession => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::Forbidden(text) => text.as_deref().unwrap_or("Forbidden"),
            Self::UnsupportedRevision => "Unsupported protocol version",
            Self::BadRequest(_)
            | Self::Overlap
            | Self::BadContentType
            | Self::BadPayload
            | Self::PayloadTooLarge
            | Self::Timeout
            | Self::UnexpectedMethod => "Bad request",
        }
    }

    /// The status of the answer to a plain HTTP request.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Forbidden(_) => 403,
            Self::Timeout => 408,
            Self::PayloadTooLarge => 413,
            Self::UnexpectedMethod => 500,
            _ => 400,
        }
    }

    /// Whether the rest of the request's body is left unread by the refusal, so that the connection cannot be used
    /// again.
    #[must_use]
    pub const fn leaves_body_unread(&self) -> bool {
        matches!(self, Self::PayloadTooLarge | Self::Timeout)
    }

    /// The body of the answer to a plain HTTP request: `{"code":N,"message":"…"}`, or nothing where the originals
    /// answer with an empty body. If it is not empty its content type is `application/json`.
    #[must_use]
    pub fn body(&self) -> Cow<'static, str> {
        match self {
            Self::UnknownTransport => Cow::Borrowed(r#"{"code":0,"message":"Transport unknown"}"#),
            Self::UnknownSession => Cow::Borrowed(r#"{"code":1,"message":"Session ID unknown"}"#),
            Self::BadHandshakeMethod => {
                Cow::Borrowed(r#"{"code":2,"message":"Bad handshake method"}"#)
            }
            Self::BadRequest(_) => Cow::Borrowed(r#"{"code":3,"message":"Bad request"}"#),
            Self::Forbidden(None) => Cow::Borrowed(r#"{"code":4,"message":"Forbidden"}"#),
            Self::Forbidden(Some(text)) => {
                // `Value`'s Display is compact JSON and cannot fail, which a serializer call could in its signature.
                let text = serde_json::Value::from(&**text);
                Cow::Owned(format!(r#"{{"code":4,"message":{text}}}"#))
            }
            Self::UnsupportedRevision => {
                Cow::Borrowed(r#"{"code":5,"message":"Unsupported protocol version"}"#)
            }
            Self::Overlap
            | Self::BadContentType
            | Self::BadPayload
            | Self::PayloadTooLarge
            | Self::Timeout
            | Self::UnexpectedMethod => Cow::Borrowed(""),
        }
    }
}

/// What a client is told by the body of a refusal: the other direction of [`RequestError::body`], for whatever a server
/// has to say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Refusal {
    /// The protocol's error code; 0 to 5, unless the server has codes of its own.
    pub code: u8,
    /// The text that goes with it.
    pub message: String,
}

impl Refusal {
    /// Reads a body; `None` if it comes from something else than an Engine.IO server.
    #[must_use]
    pub fn from_body(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }

    /// Whether it says that the server does not speak the revision that was asked for. Refusals of WebSocket upgrades
    /// consist of the message alone.
    #[must_use]
    pub fn is_unsupported_version(body: &str) -> bool {
        let unsupported = RequestError::UnsupportedRevision;
        match Self::from_body(body) {
            Some(refusal) => refusal.code == unsupported.code(),
            None => body == unsupported.message(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_carry_code_and_message() {
        for error in [
            RequestError::UnknownTransport,
            RequestError::UnknownSession,
            RequestError::BadHandshakeMethod,
            RequestError::BadRequest(BadRequest::TransportMismatch),
            RequestError::Forbidden(None),
            RequestError::Forbidden(Some("say \"please\"".into())),
            RequestError::UnsupportedRevision,
        ] {
            let body: serde_json::Value = serde_json::from_str(&error.body()).unwrap();
            assert_eq!(body["code"], error.code());
            assert_eq!(body["message"], error.message());
            let refusal = Refusal::from_body(&error.body()).unwrap();
            assert_eq!(refusal.code, error.code());
            assert_eq!(refusal.message, error.message());
        }
    }

    #[test]
    fn an_unsupported_version_is_known_by_either_body() {
        let error = RequestError::UnsupportedRevision;
        assert!(Refusal::is_unsupported_version(&error.body()));
        assert!(Refusal::is_unsupported_version(error.message()));
        let other = RequestError::UnknownSession;
        assert!(!Refusal::is_unsupported_version(&other.body()));
        assert!(!Refusal::is_unsupported_version("<html>"));
    }

    #[test]
    fn overlap_is_an_empty_400() {
        assert_eq!(RequestError::Overlap.status(), 400);
        assert_eq!(RequestError::Overlap.body(), "");
    }
}
