use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{VERSION, accept_key, list};
use crate::deflate::{Deflate, DeflateConfig};
use crate::extensions::parse_extensions;

/// The client's part of the opening handshake (RFC 6455 §4.1).
///
/// Send [`headers`](Self::headers) in a GET request of HTTP/1.1, besides `Host` and whatever else the
/// server wants, and give the response to [`verify`](Self::verify).
///
/// ```
/// use sockeye_websocket::handshake::ClientRequest;
///
/// let request = ClientRequest::new(*b"the sample nonce").protocols(&["chat"]);
/// let response: [(&str, &[u8]); 4] = [
///     ("upgrade", b"websocket"),
///     ("connection", b"Upgrade"),
///     ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
///     ("sec-websocket-protocol", b"chat"),
/// ];
/// assert_eq!(request.verify(101, response)?.protocol, Some("chat"));
/// # Ok::<(), sockeye_websocket::handshake::ResponseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientRequest<'p> {
    key: String,
    protocols: &'p [&'p str],
    deflate: Option<DeflateConfig>,
}

impl<'p> ClientRequest<'p> {
    /// A request with this key: 16 random bytes, drawn anew for each connection.
    pub fn new(key: [u8; 16]) -> Self {
        Self {
            key: STANDARD.encode(key),
            protocols: &[],
            deflate: None,
        }
    }

    /// Offers sub-protocols, most wanted first; none by default. Each has to be a token.
    #[must_use]
    pub const fn protocols(mut self, protocols: &'p [&'p str]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Offers permessage-deflate, or with `None`, the default, does not.
    #[must_use]
    pub const fn deflate(mut self, config: Option<DeflateConfig>) -> Self {
        self.deflate = config;
        self
    }

    /// The headers to send.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let protocols = (!self.protocols.is_empty())
            .then(|| ("sec-websocket-protocol", self.protocols.join(", ")));
        let offer = self.deflate.as_ref().map(DeflateConfig::request_header);
        [
            Some(("upgrade", "websocket".to_owned())),
            Some(("connection", "Upgrade".to_owned())),
            Some(("sec-websocket-version", VERSION.to_owned())),
            Some(("sec-websocket-key", self.key.clone())),
            protocols,
            offer.map(|value| ("sec-websocket-extensions", value)),
        ]
        .into_iter()
        .flatten()
    }

    /// Checks the server's response.
    ///
    /// # Errors
    ///
    /// The first rule that the response breaks. The connection is of no use then.
    pub fn verify<'a>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<AcceptedResponse<'a>, ResponseError> {
        if status != 101 {
            return Err(ResponseError::Status(status));
        }
        let (mut upgrade, mut connection, mut accept) = (false, false, false);
        let (mut protocol, mut deflate) = (None, None);
        for (name, value) in headers {
            let value = std::str::from_utf8(value)
                .unwrap_or("\u{fffd}")
                .trim_ascii();
            if name.eq_ignore_ascii_case("upgrade") {
                upgrade |= value.eq_ignore_ascii_case("websocket");
            } else if name.eq_ignore_ascii_case("connection") {
                connection |= list(value).any(|entry| entry.eq_ignore_ascii_case("upgrade"));
            } else if name.eq_ignore_ascii_case("sec-websocket-accept") {
                accept = value == accept_key(&self.key);
            } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
                if !self.protocols.contains(&value) || protocol.replace(value).is_some() {
                    return Err(ResponseError::Protocol);
                }
            } else if name.eq_ignore_ascii_case("sec-websocket-extensions")
                && list(value).next().is_some()
            {
                if deflate.is_some() {
                    return Err(ResponseError::Extensions);
                }
                deflate = Some(self.verify_extensions(value)?);
            }
        }
        match (upgrade, connection, accept) {
            (false, ..) => Err(ResponseError::Upgrade),
            (_, false, _) => Err(ResponseError::Connection),
            (.., false) => Err(ResponseError::Accept),
            _ => Ok(AcceptedResponse { protocol, deflate }),
        }
    }

    fn verify_extensions(&self, value: &str) -> Result<Deflate, ResponseError> {
        let config = self.deflate.as_ref();
        match (config, parse_extensions(value).as_deref()) {
            (Some(config), Ok([answer])) => config.verify(answer),
            _ => None,
        }
        .ok_or(ResponseError::Extensions)
    }
}

/// A response that turns the connection into a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedResponse<'a> {
    /// The sub-protocol that the server picked, if any.
    pub protocol: Option<&'a str>,
    /// What was agreed on about compression, for the decoder and for whatever encodes; `None` without it.
    pub deflate: Option<Deflate>,
}

/// Why a response does not open a WebSocket connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The server answered with another status than 101.
    #[error("status {0} instead of 101")]
    Status(u16),
    /// `Upgrade` is not `websocket`.
    #[error("no Upgrade header with the value websocket")]
    Upgrade,
    /// `Connection` has no token `Upgrade`.
    #[error("no Connection header with the token Upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing or does not answer our key.
    #[error("Sec-WebSocket-Accept does not answer the key")]
    Accept,
    /// The server picked a sub-protocol that was not offered, or more than one.
    #[error("sub-protocol that was not offered")]
    Protocol,
    /// The server agreed to an extension that was not offered, or to more of it than was.
    #[error("extension that was not offered like this")]
    Extensions,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = Vec<(&'static str, &'static [u8])>;

    fn request() -> ClientRequest<'static> {
        ClientRequest::new(*b"the sample nonce")
    }

    fn good() -> Headers {
        vec![
            ("Upgrade", b"WebSocket"),
            ("Connection", b"upgrade"),
            ("Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
    }

    #[test]
    fn request_has_all_headers() {
        let headers: Vec<_> = request().protocols(&["a", "b"]).headers().collect();
        let key = "dGhlIHNhbXBsZSBub25jZQ==".to_owned();
        assert_eq!(headers[3], ("sec-websocket-key", key));
        assert_eq!(headers[4], ("sec-websocket-protocol", "a, b".to_owned()));
        assert_eq!(request().headers().count(), 4);
    }

    #[test]
    fn own_server_accepts_the_request() {
        let headers: Vec<_> = request().headers().collect();
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        let accepted = crate::handshake::verify_request("GET", (1, 1), headers).unwrap();
        let response: Vec<_> = accepted.response_headers(None, None).collect();
        let response = response
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        assert!(request().verify(101, response).is_ok());
    }

    #[test]
    fn every_required_header_is_required() {
        let errors = [
            ResponseError::Upgrade,
            ResponseError::Connection,
            ResponseError::Accept,
        ];
        for (index, error) in errors.into_iter().enumerate() {
            let mut headers = good();
            headers.remove(index);
            assert_eq!(request().verify(101, headers), Err(error));
        }
        assert_eq!(
            request().verify(200, good()),
            Err(ResponseError::Status(200))
        );
    }

    #[test]
    fn wrong_accept_is_refused() {
        let error = ClientRequest::new([0; 16]).verify(101, good());
        assert_eq!(error, Err(ResponseError::Accept));
    }

    #[test]
    fn what_was_not_offered_is_refused() {
        let mut headers = good();
        headers.push(("sec-websocket-protocol", b"chat"));
        assert_eq!(
            request().verify(101, headers.clone()),
            Err(ResponseError::Protocol)
        );
        let accepted = request().protocols(&["chat"]).verify(101, headers).unwrap();
        assert_eq!(accepted.protocol, Some("chat"));
        let mut headers = good();
        headers.push(("sec-websocket-extensions", b"permessage-deflate"));
        assert_eq!(
            request().verify(101, headers),
            Err(ResponseError::Extensions)
        );
    }
}
