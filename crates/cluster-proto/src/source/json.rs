use std::borrow::Cow;

use bytes::Bytes;
use sockeye_socket_proto::{ScanError, read_name, skip_space, skip_value};

use super::{Shape, Source, whole_float};
use crate::DecodeError;
use crate::value::{Wire, WireForm};

#[derive(Debug, Clone)]
pub(crate) struct JsonSource<'a> {
    frame: &'a Bytes,
    text: &'a str,
    /// White space is always behind us.
    at: usize,
    form: WireForm,
}

impl<'a> JsonSource<'a> {
    /// `form` is what bytes look like in it.
    pub(crate) fn new(frame: &'a Bytes, form: WireForm) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(frame).map_err(|_| DecodeError::Utf8)?;
        Ok(Self {
            frame,
            text,
            at: skip_space(frame, 0),
            form,
        })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn go_to(&mut self, at: usize) {
        self.at = skip_space(self.text.as_bytes(), at);
    }

    /// Goes behind a byte, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.byte() == Some(byte);
        if is_next {
            self.go_to(self.at + 1);
        }
        is_next
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), DecodeError> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(ScanError {
                at: self.at,
                expected,
            }
            .into()),
        }
    }

    fn name(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let (name, end) = read_name(self.text, self.at)?;
        self.go_to(end);
        Ok(name)
    }

    /// The text of a value, which goes up to the last byte of it.
    fn raw(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let end = skip_value(self.text.as_bytes(), start)?;
        self.go_to(end);
        Ok(&self.text[start..end])
    }
}

impl<'a> Source<'a> for JsonSource<'a> {
    fn shape(&self) -> Shape {
        match self.byte() {
            Some(b'n') => Shape::Nothing,
            Some(b'{') => Shape::Map,
            Some(b'[') => Shape::List,
            Some(b'"') => Shape::Text,
            _ => Shape::Other,
        }
    }

    fn map(
        &mut self,
        mut pair: impl FnMut(&mut Self, &[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.shape() != Shape::Map {
            return Err(DecodeError::Expected("a map"));
        }
        self.go_to(self.at + 1);
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            if self.shape() != Shape::Text {
                return Err(DecodeError::Expected("a key"));
            }
            let key = self.name()?;
            self.expect(b':', "a colon")?;
            pair(self, key.as_bytes())?;
            if !self.take(b',') {
                return self.expect(b'}', "the end of an object");
            }
        }
    }

    fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.shape() != Shape::List {
            return Err(DecodeError::Expected("a list"));
        }
        self.go_to(self.at + 1);
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                return self.expect(b']', "the end of an array");
            }
        }
    }

    fn text(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.byte() {
            Some(b'"') => self.name(),
            Some(b'-' | b'0'..=b'9') => self.raw().map(Cow::Borrowed),
            _ => Err(DecodeError::Expected("a text")),
        }
    }

    fn whole(&mut self) -> Result<u64, DecodeError> {
        let raw = self.raw()?;
        let number = raw.parse().ok();
        let number = number.or_else(|| whole_float(raw.parse().ok()?));
        number.ok_or(DecodeError::Expected("a whole number"))
    }

    fn truth(&mut self) -> Result<bool, DecodeError> {
        match self.raw()? {
            "true" | "1" => Ok(true),
            "false" | "0" | "null" => Ok(false),
            _ => Err(DecodeError::Expected("true or false")),
        }
    }

    fn wire(&mut self) -> Result<Wire, DecodeError> {
        let raw = self.raw()?;
        Ok(Wire {
            form: self.form,
            bytes: self.frame.slice_ref(raw.as_bytes()),
        })
    }

    fn skip(&mut self) -> Result<(), DecodeError> {
        self.raw().map(drop)
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.at == self.text.len() {
            true => Ok(()),
            false => Err(DecodeError::Expected("the end of the message")),
        }
    }
}
