use std::io::Write;

use super::Sink;
use crate::value::write_text;
use crate::{EncodeError, Event, Value};

#[derive(Debug)]
pub(crate) struct JsonSink<'a> {
    out: &'a mut Vec<u8>,
    /// Another value would need one.
    comma: bool,
}

impl<'a> JsonSink<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    /// What the next value is written into.
    fn next(&mut self) -> &mut Vec<u8> {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        self.out
    }

    fn open(&mut self, bracket: u8) {
        self.next().push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }
}

impl Sink for JsonSink<'_> {
    fn map(&mut self, _: usize) -> Result<(), EncodeError> {
        self.open(b'{');
        Ok(())
    }

    fn end_map(&mut self) {
        self.close(b'}');
    }

    fn key(&mut self, key: &'static str) -> Result<(), EncodeError> {
        let out = self.next();
        out.reserve(key.len() + 3);
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        self.comma = false;
        Ok(())
    }

    fn any_key(&mut self, key: &str) -> Result<(), EncodeError> {
        write_text(self.next(), key);
        self.out.push(b':');
        self.comma = false;
        Ok(())
    }

    fn list(&mut self, _: usize) -> Result<(), EncodeError> {
        self.open(b'[');
        Ok(())
    }

    fn end_list(&mut self) {
        self.close(b']');
    }

    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        write_text(self.next(), text);
        Ok(())
    }

    fn whole(&mut self, number: u64) {
        let out = self.next();
        match u8::try_from(number) {
            // Those of types.
            Ok(digit @ ..10) => out.push(b'0' + digit),
            _ => write!(out, "{number}").expect("a Vec takes everything"),
        }
    }

    fn truth(&mut self, value: bool) {
        let word: &[u8] = if value { b"true" } else { b"false" };
        self.next().extend_from_slice(word);
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        event.write_json(self.next())
    }

    fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        value.write_json(self.next())
    }
}
