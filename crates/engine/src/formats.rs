//! The framings of bare streams: length-prefixed packets, and lines.

use bytes::Bytes;
use sockeye_engine_proto::frame::{self, Decoded, FrameError};
use sockeye_socket_proto::lines::{self, LineError, next_line};

use crate::application::Incoming;
use crate::frames::{Format, Found};

/// Length-prefixed frames, one Engine.IO packet each.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) max_payload: usize,
}

impl Format for Native {
    type Event<'b> = Incoming<'b>;
    type Error = FrameError;

    fn decode<'b>(&mut self, buf: &'b mut [u8]) -> Result<Found<Incoming<'b>>, FrameError> {
        Ok(match frame::decode(buf, self.max_payload)? {
            Decoded::Frame {
                frame: frame::Frame::Text(text),
                used,
            } => Found::Event {
                event: Incoming::Text(text),
                used,
            },
            Decoded::Frame {
                frame: frame::Frame::Binary(data),
                used,
            } => Found::Event {
                event: Incoming::Binary(data),
                used,
            },
            Decoded::NeedMore { total } => Found::NeedMore { total },
        })
    }

    fn decode_owned<'b>(
        &mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Incoming<'b>>, FrameError> {
        let kept = match frame::decode(buf, self.max_payload)? {
            Decoded::Frame {
                frame: frame::Frame::Binary(data),
                used,
            } if used == buf.len() => buf.len() - data.len(),
            _ => return self.decode(buf),
        };
        let data = Bytes::from(std::mem::take(buf)).split_off(kept);
        Ok(Found::Event {
            event: Incoming::Owned(data),
            used: 0,
        })
    }
}

/// Lines of text, which mean something only to the application.
#[derive(Debug)]
pub(crate) struct Lines {
    max_line: usize,
    /// How much of the unfinished line was searched for its end.
    searched: usize,
}

impl Lines {
    pub(crate) const fn new(max_line: usize) -> Self {
        Self {
            max_line,
            searched: 0,
        }
    }
}

impl Format for Lines {
    type Event<'b> = &'b [u8];
    type Error = LineError;

    fn decode<'b>(&mut self, buf: &'b mut [u8]) -> Result<Found<&'b [u8]>, LineError> {
        let searched = std::mem::take(&mut self.searched);
        Ok(match next_line(buf, searched, self.max_line)? {
            lines::Found::Line { line, used } => Found::Event { event: line, used },
            lines::Found::NeedMore { used: 0, searched } => {
                self.searched = searched;
                Found::NeedAny
            }
            lines::Found::NeedMore { used, .. } => Found::Skip { used },
        })
    }

    fn decode_owned<'b>(&mut self, buf: &'b mut Vec<u8>) -> Result<Found<&'b [u8]>, LineError> {
        self.decode(buf)
    }
}
