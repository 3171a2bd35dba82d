use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{VERSION, accept_key, is_token, list};
use crate::deflate::{Deflate, DeflateConfig};
use crate::extensions::{ExtensionOffer, ExtensionSyntaxError, parse_extensions};

/// A request that may be upgraded to a WebSocket connection.
#[derive(Clone, Debug)]
pub struct AcceptedRequest<'a> {
    accept: String,
    protocols: Vec<&'a str>,
    offers: Vec<ExtensionOffer<'a>>,
}

/// Checks a client's opening handshake (RFC 6455 §4.2.1).
///
/// `version` is that of HTTP, `(1, 1)` for HTTP/1.1. `headers` are all headers of the request; those that
/// do not matter are skipped.
///
/// # Errors
///
/// The first rule that the request breaks; [`RequestError::status`] says how to answer.
///
/// # Examples
///
/// ```
/// use sockeye_websocket::handshake::verify_request;
///
/// let headers: [(&str, &[u8]); 4] = [
///     ("connection", b"keep-alive, Upgrade"),
///     ("upgrade", b"websocket"),
///     ("sec-websocket-version", b"13"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
/// ];
/// let request = verify_request("GET", (1, 1), headers)?;
/// assert_eq!(request.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), sockeye_websocket::handshake::RequestError>(())
/// ```
pub fn verify_request<'a>(
    method: &str,
    version: (u8, u8),
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<AcceptedRequest<'a>, RequestError> {
    if method != "GET" {
        return Err(RequestError::Method);
    }
    if version.0 != 1 || version.1 < 1 {
        return Err(RequestError::HttpVersion);
    }
    let mut seen = Seen::default();
    for (name, value) in headers {
        seen.read(name, value)?;
    }
    if has_repeated(&seen.protocols) {
        return Err(RequestError::Protocols);
    }
    if !seen.upgrade {
        return Err(RequestError::Upgrade);
    }
    if !seen.connection {
        return Err(RequestError::Connection);
    }
    if !seen.version {
        return Err(RequestError::Version);
    }
    let key = seen.key.ok_or(RequestError::KeyMissing)?;
    // The value is checked as well as it can be: 16 bytes in base64, which is 24 characters.
    if STANDARD.decode(key).map_or(true, |bytes| bytes.len() != 16) {
        return Err(RequestError::KeyInvalid);
    }
    Ok(AcceptedRequest {
        accept: accept_key(key),
        protocols: seen.protocols,
        offers: seen.offers,
    })
}

impl<'a> AcceptedRequest<'a> {
    /// The value of `Sec-WebSocket-Accept`.
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// The sub-protocols that the client offers, most wanted first; empty if it offers none.
    pub fn protocols(&self) -> &[&'a str] {
        &self.protocols
    }

    /// The first sub-protocol the client offers that is also in `supported`. Names are case-sensitive.
    pub fn pick_protocol(&self, supported: &[&str]) -> Option<&'a str> {
        self.protocols
            .iter()
            .copied()
            .find(|offered| supported.contains(offered))
    }

    /// The extensions that the client offers.
    pub fn extension_offers(&self) -> &[ExtensionOffer<'a>] {
        &self.offers
    }

    /// Agrees on permessage-deflate, by the first of the client's offers that can be kept; `None` if there is none.
    pub fn accept_deflate(&self, config: &DeflateConfig) -> Option<Deflate> {
        config.accept(&self.offers)
    }

    /// The headers of the response, whose status is 101. `protocol` is one that the client offered, and `deflate` what
    /// [`accept_deflate`](Self::accept_deflate) gave.
    pub fn response_headers(
        &self,
        protocol: Option<&str>,
        deflate: Option<Deflate>,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        [
            Some(("upgrade", "websocket".to_owned())),
            Some(("connection", "Upgrade".to_owned())),
            Some(("sec-websocket-accept", self.accept.clone())),
            protocol.map(|protocol| ("sec-websocket-protocol", protocol.to_owned())),
            deflate.map(|agreed| ("sec-websocket-extensions", agreed.response_header())),
        ]
        .into_iter()
        .flatten()
    }
}

/// Why a request is not a WebSocket handshake that can be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The method is not GET.
    #[error("method is not GET")]
    Method,
    /// The request is not HTTP/1.1.
    #[error("request is not HTTP/1.1")]
    HttpVersion,
    /// `Upgrade` does not ask for `websocket`.
    #[error("no Upgrade header that asks for websocket")]
    Upgrade,
    /// `Connection` has no token `Upgrade`.
    #[error("no Connection header with the token Upgrade")]
    Connection,
    /// `Sec-WebSocket-Version` is missing or not 13.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// `Sec-WebSocket-Key` is missing.
    #[error("no Sec-WebSocket-Key header")]
    KeyMissing,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64, or given twice.
    #[error("Sec-WebSocket-Key is not a single key of 16 bytes in base64")]
    KeyInvalid,
    /// `Sec-WebSocket-Protocol` has an entry that is no token, or the same entry twice.
    #[error("Sec-WebSocket-Protocol is malformed")]
    Protocols,
    /// `Sec-WebSocket-Extensions` cannot be read.
    #[error("Sec-WebSocket-Extensions is malformed")]
    Extensions(#[source] Option<ExtensionSyntaxError>),
}

impl RequestError {
    /// The HTTP status to answer with: 400, 405 or 426.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Version | Self::Upgrade => 426,
            _ => 400,
        }
    }

    /// Headers that have to be in that answer besides the usual ones.
    pub const fn headers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            Self::Version | Self::Upgrade => &[
                ("sec-websocket-version", VERSION),
                ("upgrade", "websocket"),
                ("connection", "Upgrade"),
            ],
            _ => &[],
        }
    }
}

/// What the headers of a request say, read in one pass.
#[derive(Default)]
struct Seen<'a> {
    upgrade: bool,
    connection: bool,
    version: bool,
    key: Option<&'a [u8]>,
    protocols: Vec<&'a str>,
    offers: Vec<ExtensionOffer<'a>>,
}

impl<'a> Seen<'a> {
    fn read(&mut self, name: &str, value: &'a [u8]) -> Result<(), RequestError> {
        if name.eq_ignore_ascii_case("upgrade") {
            self.upgrade |= has_token(value, "websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            self.connection |= has_token(value, "upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            self.version |= has_token(value, VERSION);
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            if self.key.replace(value.trim_ascii()).is_some() {
                return Err(RequestError::KeyInvalid);
            }
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") {
            let value = std::str::from_utf8(value).map_err(|_| RequestError::Protocols)?;
            for protocol in list(value) {
                if !is_token(protocol) {
                    return Err(RequestError::Protocols);
                }
                self.protocols.push(protocol);
            }
        } else if name.eq_ignore_ascii_case("sec-websocket-extensions") {
            let value = std::str::from_utf8(value).map_err(|_| RequestError::Extensions(None))?;
            let offers =
                parse_extensions(value).map_err(|error| RequestError::Extensions(Some(error)))?;
            self.offers.extend(offers);
        }
        Ok(())
    }
}

/// Whether two of them are the same. There may be as many as the header has room for, so that not each is compared with all.
fn has_repeated(protocols: &[&str]) -> bool {
    let mut sorted = protocols.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

fn has_token(value: &[u8], token: &str) -> bool {
    std::str::from_utf8(value)
        .is_ok_and(|value| list(value).any(|entry| entry.eq_ignore_ascii_case(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Headers = Vec<(&'static str, &'static [u8])>;

    fn good() -> Headers {
        vec![
            ("Host", b"example.com"),
            ("Upgrade", b"WebSocket"),
            ("Connection", b"keep-alive, upgrade"),
            ("Sec-WebSocket-Version", b"13"),
            ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ]
    }

    fn with(name: &'static str, value: &'static [u8]) -> Headers {
        let mut headers = without(name);
        headers.push((name, value));
        headers
    }

    fn without(name: &str) -> Headers {
        good()
            .into_iter()
            .filter(|(other, _)| *other != name)
            .collect()
    }

    fn error(headers: Headers) -> RequestError {
        verify_request("GET", (1, 1), headers).unwrap_err()
    }

    #[test]
    fn good_request_is_accepted() {
        let request = verify_request("GET", (1, 1), good()).unwrap();
        assert_eq!(request.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let headers: Vec<_> = request.response_headers(None, None).collect();
        assert_eq!(headers.len(), 3);
        assert_eq!(
            headers[2],
            ("sec-websocket-accept", request.accept().to_owned())
        );
    }

    #[test]
    fn method_and_http_version_are_checked() {
        let method = verify_request("POST", (1, 1), good()).unwrap_err();
        assert_eq!((method, method.status()), (RequestError::Method, 405));
        for version in [(1, 0), (2, 0)] {
            let error = verify_request("GET", version, good()).unwrap_err();
            assert_eq!(error, RequestError::HttpVersion);
        }
    }

    #[test]
    fn every_required_header_is_required() {
        assert_eq!(error(without("Upgrade")), RequestError::Upgrade);
        assert_eq!(error(with("Upgrade", b"h2c")), RequestError::Upgrade);
        assert_eq!(error(without("Connection")), RequestError::Connection);
        assert_eq!(
            error(with("Connection", b"upgraded")),
            RequestError::Connection
        );
        assert_eq!(
            error(without("Sec-WebSocket-Key")),
            RequestError::KeyMissing
        );
    }

    #[test]
    fn other_version_is_told_the_right_one() {
        for headers in [
            without("Sec-WebSocket-Version"),
            with("Sec-WebSocket-Version", b"8"),
        ] {
            let error = error(headers);
            assert_eq!((error, error.status()), (RequestError::Version, 426));
            assert!(error.headers().contains(&("sec-websocket-version", "13")));
        }
    }

    #[test]
    fn key_must_be_sixteen_bytes() {
        for key in [
            &b"short"[..],
            b"dGhlIHNhbXBsZSBub25j",
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"\xff",
        ] {
            assert_eq!(
                error(with("Sec-WebSocket-Key", key)),
                RequestError::KeyInvalid
            );
        }
        let mut twice = good();
        twice.push(("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(error(twice), RequestError::KeyInvalid);
    }

    #[test]
    fn protocols_of_all_headers_are_one_list() {
        let mut headers = good();
        headers.push(("sec-websocket-protocol", b"chat, superchat"));
        headers.push(("Sec-WebSocket-Protocol", b"third"));
        let request = verify_request("GET", (1, 1), headers).unwrap();
        assert_eq!(request.protocols(), ["chat", "superchat", "third"]);
        assert_eq!(
            request.pick_protocol(&["third", "superchat"]),
            Some("superchat")
        );
        assert_eq!(request.pick_protocol(&["CHAT"]), None);
        let mut headers = request.response_headers(Some("third"), None);
        assert_eq!(
            headers.nth(3),
            Some(("sec-websocket-protocol", "third".to_owned()))
        );
    }

    #[test]
    fn as_many_protocols_as_a_header_has_room_for_are_compared() {
        let value = |last: &str| {
            let distinct = (0..50_000).map(|n| format!("{n},"));
            distinct.chain([last.to_owned()]).collect::<String>()
        };
        let verify = |value: &str| {
            let protocols = ("sec-websocket-protocol", value.as_bytes());
            let request = verify_request("GET", (1, 1), good().into_iter().chain([protocols]));
            request.map(|request| request.protocols().len())
        };
        assert_eq!(verify(&value("last")), Ok(50_001));
        assert_eq!(verify(&value("0")), Err(RequestError::Protocols));
    }

    #[test]
    fn malformed_protocols_and_extensions_are_refused() {
        for protocols in [&b"a b"[..], b"a, a", b"\xff"] {
            assert_eq!(
                error(with("Sec-WebSocket-Protocol", protocols)),
                RequestError::Protocols
            );
        }
        for extensions in [&b"a;"[..], b"\xff"] {
            let error = error(with("Sec-WebSocket-Extensions", extensions));
            assert!(matches!(error, RequestError::Extensions(_)));
            assert_eq!(error.status(), 400);
        }
    }

    #[test]
    fn deflate_offer_is_seen_and_answered() {
        let headers = with(
            "Sec-WebSocket-Extensions",
            b"permessage-deflate; client_max_window_bits",
        );
        let request = verify_request("GET", (1, 1), headers).unwrap();
        assert_eq!(request.extension_offers()[0].name, "permessage-deflate");
        let agreed = request.accept_deflate(&DeflateConfig::default());
        let header = request.response_headers(None, agreed).last().unwrap();
        assert_eq!(header.0, "sec-websocket-extensions");
        assert!(header.1.starts_with("permessage-deflate; "));
    }
}
