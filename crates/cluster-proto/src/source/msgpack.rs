use std::borrow::Cow;

use bytes::Bytes;
use sockeye_socket_proto::parser::msgpack::{Head, Reader};

use super::{Shape, Source, whole_float};
use crate::DecodeError;
use crate::value::{Wire, WireForm};

#[derive(Debug, Clone)]
pub(crate) struct MessagePackSource<'a> {
    frame: &'a Bytes,
    reader: Reader<'a>,
}

impl<'a> MessagePackSource<'a> {
    pub(crate) fn new(frame: &'a Bytes) -> Self {
        Self {
            frame,
            reader: Reader::new(frame),
        }
    }

    fn str(&mut self, len: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.reader.take(len)?).map_err(|_| DecodeError::Utf8)
    }
}

impl<'a> Source<'a> for MessagePackSource<'a> {
    fn shape(&self) -> Shape {
        match self.reader.rest() {
            // Nil, and what old notepack.io calls undefined.
            [0xc0, ..] | [0xd4, 0, ..] => Shape::Nothing,
            [0x80..=0x8f | 0xde | 0xdf, ..] => Shape::Map,
            [0x90..=0x9f | 0xdc | 0xdd, ..] => Shape::List,
            [0xa0..=0xbf | 0xd9..=0xdb, ..] => Shape::Text,
            _ => Shape::Other,
        }
    }

    fn map(
        &mut self,
        mut pair: impl FnMut(&mut Self, &[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let Head::Map(pairs) = self.reader.head()? else {
            return Err(DecodeError::Expected("a map"));
        };
        for _ in 0..pairs {
            match self.reader.head()? {
                Head::Text(len) | Head::Bytes(len) => {
                    let key = self.reader.take(len)?;
                    pair(self, key)?;
                }
                _ => return Err(DecodeError::Expected("a key")),
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let Head::Array(items) = self.reader.head()? else {
            return Err(DecodeError::Expected("a list"));
        };
        for _ in 0..items {
            item(self)?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        Ok(match self.reader.head()? {
            // Some emitters in other languages cannot tell the two apart.
            Head::Text(len) | Head::Bytes(len) => self.str(len)?.into(),
            Head::Unsigned(number) => number.to_string().into(),
            Head::Signed(number) => number.to_string().into(),
            Head::Float(number) => number.to_string().into(),
            _ => return Err(DecodeError::Expected("a text")),
        })
    }

    fn whole(&mut self) -> Result<u64, DecodeError> {
        let number = match self.reader.head()? {
            Head::Unsigned(number) => Some(number),
            Head::Signed(number) => u64::try_from(number).ok(),
            Head::Float(number) => whole_float(number),
            _ => None,
        };
        number.ok_or(DecodeError::Expected("a whole number"))
    }

    fn truth(&mut self) -> Result<bool, DecodeError> {
        match self.reader.head()? {
            Head::Bool(value) => Ok(value),
            Head::Nil => Ok(false),
            Head::Unsigned(number) => Ok(number != 0),
            _ => Err(DecodeError::Expected("true or false")),
        }
    }

    fn wire(&mut self) -> Result<Wire, DecodeError> {
        let before = self.reader.rest();
        self.reader.skip()?;
        let len = before.len() - self.reader.rest().len();
        Ok(Wire {
            form: WireForm::MessagePack,
            bytes: self.frame.slice_ref(&before[..len]),
        })
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        Ok(self.reader.skip()?)
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.reader.rest() {
            [] => Ok(()),
            _ => Err(DecodeError::Expected("the end of the message")),
        }
    }
}
