//! The first bytes of a value, which say what it is and how much follows.

use crate::parser::ParserError;

/// What a value is; of those of variable length, the bytes or values that follow are still to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Head {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number that is not below zero.
    Unsigned(u64),
    /// Less than zero, or written as if it could be.
    Signed(i64),
    /// Any other number.
    Float(f64),
    /// Bytes of text.
    Text(usize),
    /// Bytes.
    Bytes(usize),
    /// Values.
    Array(usize),
    /// Pairs of values.
    Map(usize),
    /// Bytes whose meaning depends on a number.
    Extension {
        /// The number.
        kind: i8,
        /// How many bytes.
        len: usize,
        /// How their number is written.
        form: ExtensionForm,
    },
}

/// How the length of an extension is written, which for notepack.io is a part of its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionForm {
    /// In the first byte.
    Fixed,
    /// By itself.
    Long,
}

/// Reads values from the beginning of a message on.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader that stands in front of the first value.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes this many bytes as they are.
    ///
    /// # Errors
    ///
    /// When there are not as many.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], ParserError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads a head. What it announces fits into the rest, if every value has a single byte: nothing need be believed that
    /// has not been sent.
    ///
    /// # Errors
    ///
    /// When nothing follows, or what follows begins no value, or one that is cut off.
    #[inline]
    pub fn head(&mut self) -> Result<Head, ParserError> {
        // Short texts are most of all values.
        if let [first @ 0xa0..=0xbf, rest @ ..] = self.rest {
            let len = usize::from(first & 0x1f);
            if len <= rest.len() {
                self.rest = rest;
                return Ok(Head::Text(len));
            }
        }
        self.checked_head()
    }

    fn checked_head(&mut self) -> Result<Head, ParserError> {
        let head = self.any_head()?;
        let least = match head {
            Head::Text(len) | Head::Bytes(len) | Head::Extension { len, .. } => len,
            Head::Array(items) => items,
            Head::Map(pairs) => pairs.saturating_mul(2),
            _ => 0,
        };
        match least <= self.rest.len() {
            true => Ok(head),
            false => Err(cut_off()),
        }
    }

    fn any_head(&mut self) -> Result<Head, ParserError> {
        let first = self.number::<1>()?[0];
        Ok(match first {
            0x00..=0x7f => Head::Unsigned(first.into()),
            0x80..=0x8f => Head::Map((first & 0x0f).into()),
            0x90..=0x9f => Head::Array((first & 0x0f).into()),
            0xa0..=0xbf => Head::Text((first & 0x1f).into()),
            0xc0 => Head::Nil,
            0xc1 => return Err(ParserError::new("the byte c1, which begins no value")),
            0xc2 | 0xc3 => Head::Bool(first == 0xc3),
            0xc4 => Head::Bytes(self.len8()?),
            0xc5 => Head::Bytes(self.len16()?),
            0xc6 => Head::Bytes(self.len32()?),
            0xc7 => {
                let len = self.len8()?;
                self.extension(len, ExtensionForm::Long)?
            }
            0xc8 => {
                let len = self.len16()?;
                self.extension(len, ExtensionForm::Long)?
            }
            0xc9 => {
                let len = self.len32()?;
                self.extension(len, ExtensionForm::Long)?
            }
            0xca => Head::Float(f32::from_be_bytes(self.number()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.number()?)),
            0xcc => Head::Unsigned(self.number::<1>()?[0].into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.number()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.number()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.number()?)),
            0xd0 => Head::Signed(i8::from_be_bytes(self.number()?).into()),
            0xd1 => Head::Signed(i16::from_be_bytes(self.number()?).into()),
            0xd2 => Head::Signed(i32::from_be_bytes(self.number()?).into()),
            0xd3 => Head::Signed(i64::from_be_bytes(self.number()?)),
            0xd4..=0xd8 => self.extension(1 << (first - 0xd4), ExtensionForm::Fixed)?,
            0xd9 => Head::Text(self.len8()?),
            0xda => Head::Text(self.len16()?),
            0xdb => Head::Text(self.len32()?),
            0xdc => Head::Array(self.len16()?),
            0xdd => Head::Array(self.len32()?),
            0xde => Head::Map(self.len16()?),
            0xdf => Head::Map(self.len32()?),
            0xe0..=0xff => Head::Signed(i8::from_be_bytes([first]).into()),
        })
    }

    fn extension(&mut self, len: usize, form: ExtensionForm) -> Result<Head, ParserError> {
        let kind = i8::from_be_bytes(self.number()?);
        Ok(Head::Extension { kind, len, form })
    }

    fn len8(&mut self) -> Result<usize, ParserError> {
        Ok(self.number::<1>()?[0].into())
    }

    fn len16(&mut self) -> Result<usize, ParserError> {
        Ok(u16::from_be_bytes(self.number()?).into())
    }

    fn len32(&mut self) -> Result<usize, ParserError> {
        let len = u32::from_be_bytes(self.number()?);
        // Where it does not fit there cannot be as much.
        usize::try_from(len).map_err(|_| cut_off())
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], ParserError> {
        let (number, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*number)
    }

    /// Reads over a value, however deep.
    ///
    /// # Errors
    ///
    /// When it is broken or cut off.
    pub fn skip(&mut self) -> Result<(), ParserError> {
        let mut left = 1;
        while left > 0 {
            left -= 1;
            match self.head()? {
                Head::Text(len) | Head::Bytes(len) | Head::Extension { len, .. } => {
                    self.take(len)?;
                }
                Head::Array(items) => left += items,
                Head::Map(pairs) => left += 2 * pairs,
                _ => {}
            }
            if left > self.rest.len() {
                return Err(cut_off());
            }
        }
        Ok(())
    }
}

fn cut_off() -> ParserError {
    ParserError::new("values that are cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Result<Head, ParserError> {
        Reader::new(bytes).head()
    }

    #[test]
    fn nothing_is_announced_that_has_not_been_sent() {
        for bytes in [
            &[][..],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xdf, 0x80, 0, 0, 0, 1, 2],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'],
            &[0xc6, 0, 0, 0, 2, 1],
            &[0xc9, 0, 0, 0, 1, 0],
            &[0x81, 0],
            &[0x91],
            &[0xcf, 0, 0],
            &[0xd8, 0],
            &[0xc1],
        ] {
            assert!(head(bytes).is_err(), "{bytes:x?}");
        }
        assert_eq!(head(&[0x81, 0, 0]), Ok(Head::Map(1)));
        assert_eq!(
            head(&[0xd5, 0xff, 1, 2]),
            Ok(Head::Extension {
                kind: -1,
                len: 2,
                form: ExtensionForm::Fixed
            })
        );
    }

    #[test]
    fn values_are_read_over_without_a_stack() {
        let mut bytes = vec![0x91; 100_000];
        bytes.push(0xc0);
        let mut reader = Reader::new(&bytes);
        reader.skip().unwrap();
        assert!(reader.rest().is_empty());
        bytes.pop();
        assert!(Reader::new(&bytes).skip().is_err());
        // Each of these claims all that follows as its own.
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            bytes.extend([0xdc, 0x20, 0]);
        }
        assert!(Reader::new(&bytes).skip().is_err());
    }

    #[test]
    fn numbers_have_their_sign() {
        assert_eq!(head(&[0xff]), Ok(Head::Signed(-1)));
        assert_eq!(head(&[0xd0, 5]), Ok(Head::Signed(5)));
        assert_eq!(head(&[0xcc, 0xff]), Ok(Head::Unsigned(255)));
        assert_eq!(head(&[0xca, 0x3f, 0x80, 0, 0]), Ok(Head::Float(1.0)));
    }
}
