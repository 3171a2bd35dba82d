use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use sockeye_websocket::{Decoded, Decoder, Event, Limits, ProtocolError, Role};
use thiserror::Error;

use crate::io::Io;
use crate::scratch::{self, Scratch};

/// Reads WebSocket frames from a stream without a buffer of its own.
///
/// Whole frames are parsed in the thread's scratch buffer, where they lie. Only a frame whose
/// end has not come yet is copied aside, and that memory is freed when the frame is done.
#[derive(Debug)]
pub(crate) struct FrameReader {
    decoder: Decoder,
    /// Bytes that were read but not decoded.
    kept: Vec<u8>,
    /// How many bytes `kept` must have before decoding makes sense.
    wanted: usize,
}

/// Why no more frames come.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The peer broke the WebSocket protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended without a close frame.
    #[error("the stream ended")]
    End,
}

impl FrameReader {
    /// `read` is what came behind the handshake already.
    pub(crate) fn new(role: Role, limits: Limits, read: &[u8]) -> Self {
        Self {
            decoder: Decoder::new(role, limits),
            kept: read.to_vec(),
            wanted: 0,
        }
    }

    /// Reads once, and hands on the events until `handle` breaks. What is left then waits for
    /// the next call.
    pub(crate) fn poll_events(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        handle: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Poll<Result<(), ReadError>> {
        if !self.kept.is_empty() && self.kept.len() >= self.wanted {
            return Poll::Ready(self.decode_kept(handle));
        }
        let mut scratch = Scratch::take();
        let buf = scratch.bytes();
        if self.wanted > scratch::SIZE {
            // A large frame: read no further than its end, so that its buffer holds nothing else
            // and can be handed on as it is. It grows with what came, not with what was promised.
            let room = buf.len().min(self.wanted - self.kept.len());
            let read = nonzero(ready!(io.poll_read(cx, &mut buf[..room]))?)?;
            let grow = self.kept.len().max(read).min(self.wanted - self.kept.len());
            self.kept.reserve_exact(grow.max(read));
            self.kept.extend_from_slice(&buf[..read]);
            return Poll::Ready(match self.kept.len() < self.wanted {
                true => Ok(()),
                false => self.decode_kept(handle),
            });
        }
        let kept = self.kept.len();
        let read = nonzero(ready!(io.poll_read(cx, &mut buf[kept..]))?)?;
        buf[..kept].copy_from_slice(&self.kept);
        let buf = &mut buf[..kept + read];
        let used = self.decode(buf, handle)?;
        self.keep(&buf[used..]);
        Poll::Ready(Ok(()))
    }

    fn decode_kept(
        &mut self,
        mut handle: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut kept = std::mem::take(&mut self.kept);
        if kept.len() == self.wanted
            && let Decoded::Event { event, used } = self.decoder.decode_owned(&mut kept)?
        {
            let _ = handle(event);
            self.wanted = 0;
            debug_assert!(used == 0 || used == kept.len(), "the buffer held one frame");
            return Ok(());
        }
        if kept.is_empty() {
            // A large fragment was swallowed.
            self.wanted = 0;
            return Ok(());
        }
        let used = self.decode(&mut kept, handle)?;
        self.keep(&kept[used..]);
        Ok(())
    }

    /// Decodes what is complete; says how much of `buf` that was.
    fn decode(
        &mut self,
        buf: &mut [u8],
        mut handle: impl FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ProtocolError> {
        let mut done = 0;
        self.wanted = 0;
        while done < buf.len() {
            match self.decoder.decode(&mut buf[done..])? {
                Decoded::Event { event, used } => {
                    let flow = handle(event);
                    done += used;
                    if flow.is_break() {
                        break;
                    }
                }
                Decoded::Skip { used } => done += used,
                Decoded::NeedMore { total } => {
                    self.wanted = total;
                    break;
                }
            }
        }
        Ok(done)
    }

    fn keep(&mut self, rest: &[u8]) {
        // A new vector, so that one large frame does not leave a large buffer behind.
        self.kept = rest.to_vec();
    }
}

fn nonzero(read: usize) -> Result<usize, ReadError> {
    if read == 0 {
        Err(ReadError::End)
    } else {
        Ok(read)
    }
}
