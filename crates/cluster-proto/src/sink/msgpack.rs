use sockeye_socket_proto::parser::msgpack::write;

use super::Sink;
use crate::{EncodeError, Event, Value};

#[derive(Debug)]
pub(crate) struct MessagePackSink<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> MessagePackSink<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }
}

impl Sink for MessagePackSink<'_> {
    fn map(&mut self, pairs: usize) -> Result<(), EncodeError> {
        Ok(write::map(self.out, pairs)?)
    }

    fn end_map(&mut self) {}

    #[inline]
    fn key(&mut self, key: &'static str) -> Result<(), EncodeError> {
        Ok(write::text(self.out, key)?)
    }

    fn any_key(&mut self, key: &str) -> Result<(), EncodeError> {
        Ok(write::text(self.out, key)?)
    }

    fn list(&mut self, items: usize) -> Result<(), EncodeError> {
        Ok(write::array(self.out, items)?)
    }

    fn end_list(&mut self) {}

    fn text(&mut self, text: &str) -> Result<(), EncodeError> {
        Ok(write::text(self.out, text)?)
    }

    fn whole(&mut self, number: u64) {
        write::unsigned(self.out, number);
    }

    fn truth(&mut self, value: bool) {
        write::bool(self.out, value);
    }

    fn event(&mut self, event: &Event) -> Result<(), EncodeError> {
        event.write_msgpack(self.out)
    }

    fn value(&mut self, value: &Value) -> Result<(), EncodeError> {
        value.write_msgpack(self.out)
    }
}
