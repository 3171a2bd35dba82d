//! A balance scanner over JSON text.
//!
//! It finds where values end without building or validating them: strings are closed, brackets are balanced,
//! arguments are separated by single commas. Everything finer (numbers inside objects, escapes, `[}`) is left to
//! serde_json, which reads the same text later and in any case. Measured, this is two to three times cheaper than a
//! validating split, and an event that nobody listens to pays for nothing more.

use memchr::memchr2;

/// Where and why a scan of JSON text stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken JSON at byte {at}: expected {expected}")]
pub struct ScanError {
    /// The index of the byte.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// Index of the first byte at or after `at` that is not JSON white space.
#[inline]
#[must_use]
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Index behind the JSON value that starts at `at`, of which no more than the outline is looked at: strings are closed, and
/// brackets balanced.
///
/// # Errors
///
/// When there is no value, or it has no end.
#[inline]
pub fn skip_value(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    match bytes.get(at) {
        Some(b'"') => skip_string(bytes, at),
        Some(b'[' | b'{') => skip_nested(bytes, at),
        _ => skip_scalar(bytes, at),
    }
}

/// Index behind the string whose opening quote is at `at`.
#[inline]
pub(crate) fn skip_string(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    let mut next = at + 1;
    while let Some(found) = bytes
        .get(next..)
        .and_then(|rest| memchr2(b'"', b'\\', rest))
    {
        next += found;
        if bytes[next] == b'"' {
            return Ok(next + 1);
        }
        next += 2; // the backslash and what it escapes
    }
    Err(ScanError {
        at,
        expected: "the end of this string",
    })
}

fn skip_nested(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    // A count instead of a stack: `[}` passes here and fails in serde_json, and no depth can exhaust memory.
    let mut depth = 0usize;
    let mut next = at;
    while let Some(&byte) = bytes.get(next) {
        match CLASS[usize::from(byte)] {
            Class::Other => next += 1,
            Class::Quote => next = skip_string(bytes, next)?,
            Class::Open => {
                depth += 1;
                next += 1;
            }
            Class::Close => {
                depth -= 1;
                next += 1;
                if depth == 0 {
                    return Ok(next);
                }
            }
        }
    }
    Err(ScanError {
        at,
        expected: "the closing bracket of this value",
    })
}

fn skip_scalar(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.'))
        .unwrap_or(rest.len());
    let token = &rest[..len];
    if matches!(token, b"true" | b"false" | b"null") || is_number(token) {
        Ok(at + len)
    } else {
        Err(ScanError {
            at,
            expected: "a JSON value",
        })
    }
}

/// Whether `token` is a whole number literal of the JSON grammar.
pub(crate) fn is_number(token: &[u8]) -> bool {
    let digits = |from: usize| {
        from + token[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(token.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == at || (token[at] == b'0' && whole > at + 1) {
        return false;
    }
    at = whole;
    if token.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == at + 1 {
            return false;
        }
        at = fraction;
    }
    if let Some(b'e' | b'E') = token.get(at) {
        let sign = usize::from(matches!(token.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == at + 1 + sign {
            return false;
        }
        at = exponent;
    }
    at == token.len()
}

/// Whether `text` is a string without escapes and nothing else. It is valid JSON then, which is cheaper to find out
/// here than from serde_json; and most values that are only passed on are such strings.
pub(crate) fn is_plain_string(text: &str) -> bool {
    let content = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    // A fold that looks at every byte becomes vector instructions; a search that may stop does not.
    content.is_some_and(|content| {
        content.bytes().fold(true, |plain, byte| {
            plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
        })
    })
}

/// Counts the comma separated values of `list` (an array without its brackets) and checks their outline.
pub(crate) fn count_values(list: &str) -> Result<usize, ScanError> {
    let bytes = list.as_bytes();
    let mut at = skip_space(bytes, 0);
    if at == bytes.len() {
        return Ok(0);
    }
    let mut count = 0;
    loop {
        at = skip_space(bytes, skip_value(bytes, at)?);
        count += 1;
        match bytes.get(at) {
            None => return Ok(count),
            Some(b',') => at = skip_space(bytes, at + 1),
            Some(_) => {
                return Err(ScanError {
                    at,
                    expected: "a comma between values",
                });
            }
        }
    }
}

/// The values of a list that [`count_values`] has accepted, each without the space around it.
#[derive(Debug, Clone)]
pub(crate) struct Values<'a> {
    rest: &'a str,
}

impl<'a> Values<'a> {
    pub(crate) fn new(list: &'a str) -> Self {
        Self { rest: list }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let start = skip_space(bytes, 0);
        let end = skip_value(bytes, start).ok()?;
        let comma = skip_space(bytes, end);
        let value = self.rest.get(start..end)?;
        self.rest = self.rest.get(comma + 1..).unwrap_or_default();
        Some(value)
    }
}

#[derive(Clone, Copy)]
enum Class {
    Other,
    Quote,
    Open,
    Close,
}

/// What a byte means to the scanner outside strings; a table lookup keeps the loop free of chained comparisons.
static CLASS: [Class; 256] = {
    let mut table = [Class::Other; 256];
    table[b'"' as usize] = Class::Quote;
    table[b'[' as usize] = Class::Open;
    table[b'{' as usize] = Class::Open;
    table[b']' as usize] = Class::Close;
    table[b'}' as usize] = Class::Close;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_top_level_commas_only() {
        let list = r#" 1 , "a,]\"\\" ,{"k":[1,{"x":"}"}]},[],null, -1.5e+3"#;
        assert_eq!(count_values(list), Ok(6));
        let values: Vec<_> = Values::new(list).collect();
        assert_eq!(
            values,
            [
                "1",
                r#""a,]\"\\""#,
                r#"{"k":[1,{"x":"}"}]}"#,
                "[]",
                "null",
                "-1.5e+3"
            ]
        );
    }

    #[test]
    fn nothing_is_no_values() {
        assert_eq!(count_values(" \n"), Ok(0));
        assert_eq!(Values::new(" ").count(), 0);
    }

    #[test]
    fn garbage_between_values_is_refused() {
        for list in [
            ",",
            "1,",
            ",1",
            "1 2",
            r#""a""b""#,
            "{}x",
            "[1",
            "1]",
            "}",
            r#""open"#,
            r#""\"#,
            "tru",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            "NaN",
            "é",
            "[]]",
        ] {
            assert!(count_values(list).is_err(), "{list}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let list = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(count_values(&list), Ok(1));
    }
}
