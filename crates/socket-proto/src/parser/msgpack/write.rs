//! Values and the heads of longer ones, in as few bytes as they can have.

use crate::parser::ParserError;

/// The first bytes that announce a length: together with it (and up to which one), in front of one byte, of two, of four.
struct Heads(Option<(u8, u8)>, Option<u8>, u8, u8);

const TEXT: Heads = Heads(Some((0xa0, 31)), Some(0xd9), 0xda, 0xdb);
const BYTES: Heads = Heads(None, Some(0xc4), 0xc5, 0xc6);
const ARRAY: Heads = Heads(Some((0x90, 15)), None, 0xdc, 0xdd);
const MAP: Heads = Heads(Some((0x80, 15)), None, 0xde, 0xdf);

/// Nothing.
pub fn nil(out: &mut Vec<u8>) {
    out.push(0xc0);
}

/// A truth value.
pub fn bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { 0xc3 } else { 0xc2 });
}

/// A number of the JSON grammar. Whole ones of up to 64 bits keep all of their digits.
///
/// # Errors
///
/// When it is no number.
pub fn number(out: &mut Vec<u8>, token: &str) -> Result<(), ParserError> {
    if let Ok(value) = token.parse() {
        unsigned(out, value);
    } else if let (Ok(value), false) = (token.parse(), token == "-0") {
        negative(out, value);
    } else {
        // What is too large for one is infinite, as it is to JavaScript.
        let value: f64 = token.parse().map_err(ParserError::new)?;
        float(out, value);
    }
    Ok(())
}

/// A whole number that is not below zero.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, value: u64) {
    if let Ok(value) = u8::try_from(value) {
        if value > 0x7f {
            out.push(0xcc);
        }
        out.push(value);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xcd);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xce);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xcf);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// A whole number.
pub fn signed(out: &mut Vec<u8>, value: i64) {
    match u64::try_from(value) {
        Ok(value) => unsigned(out, value),
        Err(_) => negative(out, value),
    }
}

/// Any other number.
pub fn float(out: &mut Vec<u8>, value: f64) {
    out.push(0xcb);
    out.extend_from_slice(&value.to_be_bytes());
}

fn negative(out: &mut Vec<u8>, value: i64) {
    if let Ok(value) = i8::try_from(value) {
        if value < -0x20 {
            out.push(0xd0);
        }
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i16::try_from(value) {
        out.push(0xd1);
        out.extend_from_slice(&value.to_be_bytes());
    } else if let Ok(value) = i32::try_from(value) {
        out.push(0xd2);
        out.extend_from_slice(&value.to_be_bytes());
    } else {
        out.push(0xd3);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// A text.
///
/// # Errors
///
/// When it is longer than 4 GiB.
#[inline]
pub fn text(out: &mut Vec<u8>, value: &str) -> Result<(), ParserError> {
    // Keys and names, which most of all values are.
    match u8::try_from(value.len()) {
        Ok(len @ ..32) => out.push(0xa0 | len),
        _ => len(out, value.len(), &TEXT)?,
    }
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

/// Bytes.
///
/// # Errors
///
/// When there are more than 4 GiB.
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) -> Result<(), ParserError> {
    len(out, value.len(), &BYTES)?;
    out.extend_from_slice(value);
    Ok(())
}

/// The head of an array of so many values.
///
/// # Errors
///
/// When they are more than 32 bits can count.
#[inline]
pub fn array(out: &mut Vec<u8>, items: usize) -> Result<(), ParserError> {
    match u8::try_from(items) {
        Ok(items @ ..16) => out.push(0x90 | items),
        _ => len(out, items, &ARRAY)?,
    }
    Ok(())
}

/// The head of a map of so many pairs.
///
/// # Errors
///
/// When they are more than 32 bits can count.
#[inline]
pub fn map(out: &mut Vec<u8>, pairs: usize) -> Result<(), ParserError> {
    match u8::try_from(pairs) {
        Ok(pairs @ ..16) => out.push(0x80 | pairs),
        _ => len(out, pairs, &MAP)?,
    }
    Ok(())
}

fn len(out: &mut Vec<u8>, len: usize, heads: &Heads) -> Result<(), ParserError> {
    let &Heads(inside, one, two, four) = heads;
    match (u8::try_from(len), inside, one) {
        (Ok(len), Some((head, max)), _) if len <= max => out.push(head | len),
        (Ok(len), _, Some(head)) => out.extend([head, len]),
        _ => {
            if let Ok(len) = u16::try_from(len) {
                out.push(two);
                out.extend_from_slice(&len.to_be_bytes());
            } else {
                let len = u32::try_from(len)
                    .map_err(|_| ParserError::new("a value of more than 4 GiB"))?;
                out.push(four);
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::head::{Head, Reader};
    use super::*;

    #[test]
    fn numbers_have_as_few_bytes_as_they_can() {
        for (token, head, len) in [
            ("0", Head::Unsigned(0), 1),
            ("127", Head::Unsigned(127), 1),
            ("128", Head::Unsigned(128), 2),
            ("256", Head::Unsigned(256), 3),
            ("65536", Head::Unsigned(65_536), 5),
            ("4294967296", Head::Unsigned(1 << 32), 9),
            ("18446744073709551615", Head::Unsigned(u64::MAX), 9),
            (
                "18446744073709551616",
                Head::Float(18_446_744_073_709_551_616.0),
                9,
            ),
            ("-1", Head::Signed(-1), 1),
            ("-32", Head::Signed(-32), 1),
            ("-33", Head::Signed(-33), 2),
            ("-128", Head::Signed(-128), 2),
            ("-129", Head::Signed(-129), 3),
            ("-32769", Head::Signed(-32_769), 5),
            ("-2147483649", Head::Signed(-2_147_483_649), 9),
            ("-9223372036854775808", Head::Signed(i64::MIN), 9),
            ("-0", Head::Float(-0.0), 9),
            ("1.0", Head::Float(1.0), 9),
            ("1e400", Head::Float(f64::INFINITY), 9),
        ] {
            let mut out = Vec::new();
            number(&mut out, token).unwrap();
            assert_eq!(out.len(), len, "{token}");
            assert_eq!(Reader::new(&out).head(), Ok(head), "{token}");
        }
    }

    #[test]
    fn lengths_have_as_few_bytes_as_they_can() {
        for (size, heads) in [
            (15, [1, 2, 1, 1]),
            (16, [1, 2, 3, 3]),
            (31, [1, 2, 3, 3]),
            (32, [2, 2, 3, 3]),
            (255, [2, 2, 3, 3]),
            (256, [3, 3, 3, 3]),
            (65_535, [3, 3, 3, 3]),
            (65_536, [5, 5, 5, 5]),
        ] {
            for (head, form) in heads.into_iter().zip([&TEXT, &BYTES, &ARRAY, &MAP]) {
                let mut out = Vec::new();
                len(&mut out, size, form).unwrap();
                assert_eq!(out.len(), head, "{size}");
            }
        }
    }
}
