//! Writes a message value by value, whatever the format, so that each dialect is written in one place.

mod json;
mod msgpack;

use crate::{EncodeError, Event, Value};

pub(crate) use json::JsonSink;
pub(crate) use msgpack::MessagePackSink;

/// Takes values in their order. How many there are in a map or list is said in front of them, and its end after them.
pub(crate) trait Sink {
    fn map(&mut self, pairs: usize) -> Result<(), EncodeError>;

    fn end_map(&mut self);

    /// Comes before each value of a map; one of ours, which needs no escapes.
    fn key(&mut self, key: &'static str) -> Result<(), EncodeError>;

    /// Comes before a value of a map, as [`key`](Self::key), and may be anything.
    fn any_key(&mut self, key: &str) -> Result<(), EncodeError>;

    fn list(&mut self, items: usize) -> Result<(), EncodeError>;

    fn end_list(&mut self);

    fn text(&mut self, text: &str) -> Result<(), EncodeError>;

    fn whole(&mut self, number: u64);

    fn truth(&mut self, value: bool);

    fn event(&mut self, event: &Event) -> Result<(), EncodeError>;

    fn value(&mut self, value: &Value) -> Result<(), EncodeError>;

    fn texts<T: AsRef<str>>(&mut self, texts: &[T]) -> Result<(), EncodeError> {
        self.list(texts.len())?;
        for text in texts {
            self.text(text.as_ref())?;
        }
        self.end_list();
        Ok(())
    }
}
