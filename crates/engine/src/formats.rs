//! The framings of bare streams: length-prefixed packets, and lines.

use bytes::Bytes;
use sockeye_engine_proto::WireKind;
use sockeye_engine_proto::frame::{self, Decoded, Frame, FrameError, compressed};
use sockeye_engine_proto::lines::{self, LineTooLong, next_line};
use thiserror::Error;

use crate::connection::Incoming;
use crate::deflate;
use crate::frames::{Format, Found};
use crate::unheard::Unheard;

/// Length-prefixed frames, one Engine.IO packet each.
#[derive(Debug)]
pub(crate) struct Native {
    max_payload: usize,
    /// Frames may be compressed.
    compressed: bool,
    /// The text of the last compressed frame, while it is handled.
    inflated: String,
}

impl Native {
    pub(crate) const fn new(max_payload: usize) -> Self {
        Self {
            max_payload,
            compressed: false,
            inflated: String::new(),
        }
    }

    /// Takes compressed frames too, as both ends have agreed.
    pub(crate) const fn expect_compressed(&mut self) {
        self.compressed = true;
    }

    fn inflate(&mut self, kind: WireKind, data: &[u8]) -> Result<Incoming<'_>, FrameError> {
        Ok(match kind {
            WireKind::Text => {
                self.inflated = deflate::decompress_text(data, self.max_payload)?;
                Incoming::Text(&self.inflated)
            }
            WireKind::Binary => Incoming::Owned(deflate::decompress(data, self.max_payload)?),
        })
    }
}

impl Format for Native {
    type Event<'b> = Incoming<'b>;
    type Error = FrameError;

    fn decode<'b>(&'b mut self, buf: &'b mut [u8]) -> Result<Found<Incoming<'b>>, FrameError> {
        let decoded = match self.compressed {
            true => compressed::decode(buf, self.max_payload)?,
            false => frame::decode(buf, self.max_payload)?.into(),
        };
        Ok(match decoded {
            compressed::Decoded::Frame { frame, used } => {
                let event = match frame {
                    Frame::Text(text) => Incoming::Text(text),
                    Frame::Binary(data) => Incoming::Binary(data),
                };
                Found::Event { event, used }
            }
            compressed::Decoded::Compressed { kind, data, used } => Found::Event {
                event: self.inflate(kind, data)?,
                used,
            },
            compressed::Decoded::NeedMore { total } => Found::NeedMore { total },
        })
    }

    fn decode_owned<'b>(
        &'b mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Incoming<'b>>, FrameError> {
        if buf.first() == Some(&0) {
            return self.decode(buf);
        }
        let kept = match frame::decode(buf, self.max_payload)? {
            Decoded::Frame {
                frame: Frame::Binary(data),
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

    fn release(&mut self) {
        self.inflated = String::new();
    }
}

/// Lines of text, which mean something only to the application.
pub(crate) struct Lines {
    max_line: usize,
    /// How much of the unfinished line was searched for its end.
    searched: usize,
    /// The peer, until its first byte has told that it speaks lines.
    unheard: Option<Box<dyn Unheard>>,
}

/// Why bytes are no lines.
#[derive(Debug, Error)]
pub(crate) enum LinesError {
    /// One of them is too long.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// What comes first from a peer that was taken for a plain one is something else altogether.
    #[error("the peer was taken for one that speaks lines, as it had said nothing, and is none")]
    Mistaken,
}

impl Lines {
    pub(crate) const fn new(max_line: usize) -> Self {
        Self {
            max_line,
            searched: 0,
            unheard: None,
        }
    }

    /// The peer has said nothing yet: it may turn out to speak something else.
    pub(crate) fn expect_first_word(&mut self, peer: Box<dyn Unheard>) {
        self.unheard = Some(peer);
    }

    /// The peer that has not spoken in lines, neither yet nor at last.
    pub(crate) fn unheard(&self) -> Option<&dyn Unheard> {
        self.unheard.as_deref()
    }

    pub(crate) fn into_unheard(self) -> Option<Box<dyn Unheard>> {
        self.unheard
    }
}

impl Format for Lines {
    type Event<'b> = &'b [u8];
    type Error = LinesError;

    fn decode<'b>(&'b mut self, buf: &'b mut [u8]) -> Result<Found<&'b [u8]>, LinesError> {
        if let Some(unheard) = &mut self.unheard {
            if !unheard.hear(buf) {
                return Err(LinesError::Mistaken);
            }
            self.unheard = None;
        }
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

    fn decode_owned<'b>(&'b mut self, buf: &'b mut Vec<u8>) -> Result<Found<&'b [u8]>, LinesError> {
        self.decode(buf)
    }
}
