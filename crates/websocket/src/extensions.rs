use std::borrow::Cow;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn any_header_value_is_read_or_refused(value in "[ -~]*|[a;,=\" \\\\]*|\\PC*") {
            let _ = parse_extensions(&value);
        }
    }
}
