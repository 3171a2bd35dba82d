use std::borrow::Cow;

use crate::opcode::OpCode;

/// Whether a message is compressed where the connection allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compress {
    /// Sent as it is: the caller knows that it is short, random, or compressed already.
    Never,
    /// Compressed if it is at least as long as [`DeflateConfig::threshold`].
    #[default]
    Auto,
    /// Compressed whatever its length.
    Always,
}

/// Settings of permessage-deflate (RFC 7692).
///
/// Nothing is compressed yet: these are accepted, and every offer is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// Shortest message that [`Compress::Auto`] compresses, in bytes; 1024 by default. 0 compresses all.
    pub threshold: usize,
}

impl DeflateConfig {
    /// Sets the shortest message that [`Compress::Auto`] compresses.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self { threshold: 1024 }
    }
}

/// The extensions that both ends of one connection agreed on; none by default.
///
/// It is made by the handshake and then given to the [`Decoder`](crate::Decoder) and to whatever encodes.
/// No extension exists yet, so it is always empty and costs nothing to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    // permessage-deflate will keep here what was agreed on: windows, context takeover, threshold.
    _private: (),
}

impl Extensions {
    /// Picks from what a client offered; `deflate` is `None` to decline permessage-deflate.
    ///
    /// A server may decline every offer, and declines all for now.
    pub const fn accept(_offers: &[ExtensionOffer<'_>], _deflate: Option<&DeflateConfig>) -> Self {
        Self { _private: () }
    }

    /// The value of `Sec-WebSocket-Extensions` for a client's request; `None` offers nothing.
    pub const fn request_header(_deflate: Option<&DeflateConfig>) -> Option<String> {
        None
    }

    /// The value of `Sec-WebSocket-Extensions` for the server's response; `None` leaves the header out.
    pub const fn response_header(self) -> Option<String> {
        None
    }

    /// Whether a message of `payload_len` bytes is to be compressed on this connection. Never, for now.
    pub const fn compresses(self, _compress: Compress, _payload_len: usize) -> bool {
        false
    }

    /// The RSV bits that have a meaning in a frame of this kind (in place, 0x40 is RSV1).
    #[expect(
        clippy::unused_self,
        reason = "what was agreed on will decide the answer"
    )]
    pub(crate) const fn allowed_rsv(self, _op: OpCode) -> u8 {
        0
    }
}

/// One entry of a `Sec-WebSocket-Extensions` header (RFC 6455 §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionOffer<'a> {
    /// The name of the extension, as written.
    pub name: &'a str,
    /// Its parameters in order; a parameter may stand alone. Quotes are taken off the values.
    pub params: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// A `Sec-WebSocket-Extensions` header that does not follow the grammar of RFC 6455 §9.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("extension list is malformed at byte {at}")]
pub struct ExtensionSyntaxError {
    /// Where in the header's value.
    pub at: usize,
}

/// Reads the value of a `Sec-WebSocket-Extensions` header, in the order of preference it is written in.
///
/// # Errors
///
/// If the value does not follow the grammar. The handshake must fail then (RFC 6455 §9.1).
///
/// ```
/// use sockeye_websocket::{DeflateOffer, parse_extensions};
///
/// let offers = parse_extensions("permessage-deflate; client_max_window_bits, x-foo")?;
/// assert_eq!(offers[1].name, "x-foo");
/// assert!(DeflateOffer::from_extension(&offers[0]).is_some());
/// # Ok::<(), sockeye_websocket::ExtensionSyntaxError>(())
/// ```
pub fn parse_extensions(value: &str) -> Result<Vec<ExtensionOffer<'_>>, ExtensionSyntaxError> {
    let mut scan = Scanner { value, at: 0 };
    let mut offers = Vec::new();
    loop {
        // Empty entries are part of the list grammar: ", a,,b".
        while scan.take(',') {}
        if scan.is_at_end() {
            return Ok(offers);
        }
        let name = scan.token()?;
        let mut params = Vec::new();
        while scan.take(';') {
            let key = scan.token()?;
            let value = if scan.take('=') {
                Some(scan.token_or_quoted()?)
            } else {
                None
            };
            params.push((key, value));
        }
        offers.push(ExtensionOffer { name, params });
        if !scan.is_at_end() && !scan.peek(',') {
            return Err(scan.error());
        }
    }
}

struct Scanner<'a> {
    value: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.value[self.at..];
        let trimmed = rest.trim_start_matches([' ', '\t']);
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn is_at_end(&mut self) -> bool {
        self.rest().is_empty()
    }

    fn peek(&mut self, separator: char) -> bool {
        self.rest().starts_with(separator)
    }

    fn take(&mut self, separator: char) -> bool {
        let found = self.peek(separator);
        self.at += usize::from(found);
        found
    }

    fn token(&mut self) -> Result<&'a str, ExtensionSyntaxError> {
        let rest = self.rest();
        let len = rest.bytes().take_while(|byte| is_token_byte(*byte)).count();
        if len == 0 {
            return Err(self.error());
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn token_or_quoted(&mut self) -> Result<Cow<'a, str>, ExtensionSyntaxError> {
        if !self.take('"') {
            return self.token().map(Cow::Borrowed);
        }
        // What stands between the quotes has to be a token again (RFC 6455 §9.1), so blanks and
        // separators are refused; only a backslash can make it differ from what is written.
        let mut unquoted = String::new();
        let mut escaped = false;
        for (index, char) in self.value[self.at..].char_indices() {
            match char {
                '"' if !escaped => {
                    if unquoted.is_empty() {
                        return Err(self.error());
                    }
                    self.at += index + 1;
                    return Ok(Cow::Owned(unquoted));
                }
                '\\' if !escaped => escaped = true,
                _ if u8::try_from(char).is_ok_and(is_token_byte) => {
                    unquoted.push(char);
                    escaped = false;
                }
                _ => break,
            }
        }
        Err(self.error())
    }

    fn error(&self) -> ExtensionSyntaxError {
        ExtensionSyntaxError { at: self.at }
    }
}

/// The bytes of a `token` (RFC 9110 §5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An offer of permessage-deflate whose parameters are in order (RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflateOffer {
    /// The client asks the server to forget its window after each message.
    pub server_no_context_takeover: bool,
    /// The client says that it will forget its window after each message.
    pub client_no_context_takeover: bool,
    /// The largest window that the client wants the server to use, as a power of two: 8 to 15.
    pub server_max_window_bits: Option<u8>,
    /// Whether and how far the client can limit its own window.
    pub client_max_window_bits: ClientWindow,
}

/// What a client says about the window that it compresses with (RFC 7692 §7.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientWindow {
    /// Not mentioned: the server must not ask for a limit.
    #[default]
    Fixed,
    /// The server may ask for a limit.
    Negotiable,
    /// The server may ask for a limit, and the client will use no more than this anyway: 8 to 15.
    AtMost(u8),
}

impl DeflateOffer {
    /// Reads an offer; `None` if it is of another extension, or has to be declined because a parameter
    /// is unknown, given twice, or has a bad value (RFC 7692 §7.1).
    pub fn from_extension(offer: &ExtensionOffer<'_>) -> Option<Self> {
        if !offer.name.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut deflate = Self::default();
        for (index, (key, value)) in offer.params.iter().enumerate() {
            if offer.params[..index]
                .iter()
                .any(|(earlier, _)| earlier == key)
            {
                return None;
            }
            match (*key, value.as_deref()) {
                ("server_no_context_takeover", None) => deflate.server_no_context_takeover = true,
                ("client_no_context_takeover", None) => deflate.client_no_context_takeover = true,
                ("server_max_window_bits", Some(bits)) => {
                    deflate.server_max_window_bits = Some(window_bits(bits)?);
                }
                ("client_max_window_bits", bits) => {
                    deflate.client_max_window_bits = match bits {
                        None => ClientWindow::Negotiable,
                        Some(bits) => ClientWindow::AtMost(window_bits(bits)?),
                    };
                }
                _ => return None,
            }
        }
        Some(deflate)
    }
}

/// A window size in decimal without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0')).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deflate(value: &str) -> Option<DeflateOffer> {
        DeflateOffer::from_extension(&parse_extensions(value).unwrap()[0])
    }

    #[test]
    fn list_is_read_with_parameters_and_blanks() {
        let offers = parse_extensions(" ,foo ; a = 1;b ;c=\"x\\y\" ,, bar,").unwrap();
        assert_eq!(
            offers,
            [
                ExtensionOffer {
                    name: "foo",
                    params: vec![
                        ("a", Some("1".into())),
                        ("b", None),
                        ("c", Some("xy".into()))
                    ],
                },
                ExtensionOffer {
                    name: "bar",
                    params: vec![]
                },
            ]
        );
    }

    #[test]
    fn malformed_list_is_refused_where_it_breaks() {
        for (value, at) in [
            ("foo bar", 4),
            ("foo;", 4),
            ("foo;a=", 6),
            ("foo;a=\"b", 7),
            ("é", 0),
            ("a;b=\"\"", 5),
        ] {
            assert_eq!(
                parse_extensions(value),
                Err(ExtensionSyntaxError { at }),
                "{value}"
            );
        }
    }

    #[test]
    fn browser_offer_is_understood() {
        let offer = deflate("permessage-deflate; client_max_window_bits").unwrap();
        assert_eq!(offer.client_max_window_bits, ClientWindow::Negotiable);
        assert_eq!(offer.server_max_window_bits, None);
    }

    #[test]
    fn every_deflate_parameter_is_understood() {
        let offer = deflate(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=10; client_max_window_bits=\"12\"",
        );
        let expected = DeflateOffer {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(10),
            client_max_window_bits: ClientWindow::AtMost(12),
        };
        assert_eq!(offer, Some(expected));
    }

    #[test]
    fn deflate_offer_with_a_bad_parameter_is_declined() {
        for params in [
            "unknown",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "client_max_window_bits=0",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
        ] {
            assert_eq!(
                deflate(&format!("permessage-deflate; {params}")),
                None,
                "{params}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_header_value_is_read_or_refused(value in "[ -~]*|[a;,=\" \\\\]*|\\PC*") {
            let _ = parse_extensions(&value);
        }
    }
}
