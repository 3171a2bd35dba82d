//! The opening handshake (RFC 6455 §4): what an HTTP request and its response must say.
//!
//! Headers come in as pairs of a name and a value, in any order and any case, from whatever HTTP library
//! read them. What has to be sent comes out as names and values. The server's part is
//! [`verify_request`], the client's is [`ClientRequest`].

mod client;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

use crate::extensions::is_token_byte;

pub use client::{AcceptedResponse, ClientRequest, ResponseError};
pub use server::{AcceptedRequest, RequestError, verify_request};

/// The value of `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (§4.2.2).
///
/// ```
/// use sockeye_websocket::handshake::accept_key;
///
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: impl AsRef<[u8]>) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_ref());
    hash.update(GUID.as_bytes());
    STANDARD.encode(hash.digest().bytes())
}

/// Whether this can be the name of a sub-protocol: a `token` of HTTP (§4.1, RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Proof that the answer comes from something that knows the protocol; the RFC picked it.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The one version of the protocol that is spoken.
const VERSION: &str = "13";

/// The entries of a comma-separated header value, without blanks and empty entries.
fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(|entry| entry.trim_matches([' ', '\t']))
        .filter(|entry| !entry.is_empty())
}
