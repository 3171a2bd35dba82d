//! Names: read out of a packet's JSON, escapes resolved; those that are reserved.

use std::borrow::Cow;

use crate::scan::{ScanError, skip_string};

/// Names that the protocol keeps for local events; they may not travel as the name of an event.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether `name` is one of [`RESERVED_EVENTS`].
#[must_use]
pub fn is_reserved_event(name: &str) -> bool {
    // The shortest is 7 and the longest 14 bytes, which settles most names without a comparison.
    (7..=14).contains(&name.len()) && RESERVED_EVENTS.contains(&name)
}

/// Reads the JSON string whose opening quote is at `start`; returns it and the index behind its closing quote. A lone
/// surrogate becomes U+FFFD.
///
/// # Errors
///
/// When it has no end, a control character in it, or an escape that JSON does not know.
#[inline]
pub fn read_name(text: &str, start: usize) -> Result<(Cow<'_, str>, usize), ScanError> {
    let bytes = text.as_bytes();
    let first = start + 1;
    // A plain loop is through with a name before a vectorised search has begun.
    let plain = bytes[first..]
        .iter()
        .take_while(|byte| !matches!(byte, ..0x20 | b'"' | b'\\'))
        .count();
    if bytes.get(first + plain) == Some(&b'"') {
        let name = &text[first..first + plain];
        return Ok((Cow::Borrowed(name), first + plain + 1));
    }
    let end = skip_string(bytes, start)?;
    let raw = &text[first..end - 1];
    no_controls(raw, first)?;
    Ok((Cow::Owned(unescape(raw, first)?), end))
}

fn no_controls(raw: &str, base: usize) -> Result<(), ScanError> {
    match raw.bytes().position(|byte| byte < 0x20) {
        None => Ok(()),
        Some(at) => Err(ScanError {
            at: base + at,
            expected: "an escape instead of a control character",
        }),
    }
}

/// Resolves the escapes of a JSON string given without its quotes.
fn unescape(raw: &str, base: usize) -> Result<String, ScanError> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let wrong = ScanError {
            at: base + (raw.len() - rest.len()) + at,
            expected: "a JSON escape",
        };
        let mut chars = rest[at + 1..].chars();
        out.push(match chars.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let (char, tail) = read_unicode(chars.as_str()).ok_or(wrong)?;
                chars = tail.chars();
                char
            }
            _ => return Err(wrong),
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads `XXXX` or `XXXX\uXXXX` behind a `\u`. A surrogate without its partner cannot be held by a Rust string:
/// it becomes U+FFFD, and what follows it is read on its own.
fn read_unicode(text: &str) -> Option<(char, &str)> {
    let (unit, rest) = read_hex(text)?;
    if let 0xD800..=0xDBFF = unit
        && let Some((low @ 0xDC00..=0xDFFF, tail)) = rest.strip_prefix("\\u").and_then(read_hex)
    {
        let scalar = 0x1_0000 + ((u32::from(unit) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
        return Some((char::from_u32(scalar)?, tail));
    }
    let scalar = char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((scalar, rest))
}

fn read_hex(text: &str) -> Option<(u16, &str)> {
    let digits = text.get(..4)?;
    // `from_str_radix` alone would accept a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((u16::from_str_radix(digits, 16).ok()?, &text[4..]))
}
