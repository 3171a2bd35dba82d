use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use sockeye_websocket::{Decoded, Decoder, Event, ProtocolError};
use thiserror::Error;

use crate::io::Io;
use crate::scratch::{self, Scratch};

/// How the bytes of a stream are cut into frames.
pub(crate) trait Format {
    /// One frame's meaning, borrowed from the bytes.
    type Event<'b>;
    /// Why the bytes are not a frame. Nothing can be read after it.
    type Error;

    /// Looks for one frame at the front of `buf`, which may be changed in place.
    fn decode<'b>(&mut self, buf: &'b mut [u8]) -> Result<Found<Self::Event<'b>>, Self::Error>;

    /// The same, for a buffer that holds one large frame and nothing else: the frame may keep
    /// the buffer's memory.
    fn decode_owned<'b>(
        &mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Self::Event<'b>>, Self::Error>;
}

/// What was found at the front of a buffer.
pub(crate) enum Found<E> {
    /// A frame; the first `used` bytes are done with.
    Event { event: E, used: usize },
    /// Bytes that mean nothing by themselves.
    Skip { used: usize },
    /// Too little; come back with `total` bytes.
    NeedMore { total: usize },
}

/// Reads frames from a stream without a buffer of its own.
///
/// Whole frames are parsed in the thread's scratch buffer, where they lie. Only a frame whose
/// end has not come yet is copied aside, and that memory is freed when the frame is done.
#[derive(Debug)]
pub(crate) struct FrameReader<F> {
    format: F,
    /// Bytes that were read but not decoded.
    kept: Vec<u8>,
    /// How many bytes `kept` must have before decoding makes sense.
    wanted: usize,
}

/// Why no more frames come.
#[derive(Debug, Error)]
pub(crate) enum ReadError<E> {
    /// The peer does not keep to the format.
    #[error(transparent)]
    Format(E),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended between two frames, or inside one.
    #[error("the stream ended")]
    End,
}

impl<F: Format> FrameReader<F> {
    /// `read` is what came already.
    pub(crate) fn new(format: F, read: &[u8]) -> Self {
        Self {
            format,
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
        handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Poll<Result<(), ReadError<F::Error>>> {
        if !self.kept.is_empty() && self.kept.len() >= self.wanted {
            return Poll::Ready(self.decode_kept(handle));
        }
        let mut scratch = Scratch::take();
        let buf = scratch.bytes();
        if self.wanted > scratch::SIZE {
            // A large frame: read no further than its end, so that its buffer holds nothing else
            // and can be handed on as it is. It grows with what came, not with what was promised.
            let missing = self.wanted - self.kept.len();
            let room = buf.len().min(missing);
            let read = nonzero(ready!(io.poll_read(cx, &mut buf[..room]))?)?;
            self.kept
                .reserve_exact(self.kept.len().min(missing).max(read));
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
        mut handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError<F::Error>> {
        let mut kept = std::mem::take(&mut self.kept);
        if self.wanted == 0 || kept.len() > self.wanted {
            let used = self.decode(&mut kept, handle)?;
            self.keep(&kept[used..]);
            return Ok(());
        }
        // Exactly what was asked for: one frame, or no more than its header.
        self.wanted = 0;
        let found = self.format.decode_owned(&mut kept);
        let needed = match found.map_err(ReadError::Format)? {
            Found::Event { event, .. } => {
                let _ = handle(event);
                None
            }
            Found::Skip { .. } => None,
            Found::NeedMore { total } => Some(total),
        };
        if let Some(total) = needed {
            self.wanted = total;
            self.kept = kept;
        }
        Ok(())
    }

    /// Decodes what is complete; says how much of `buf` that was.
    fn decode(
        &mut self,
        buf: &mut [u8],
        mut handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError<F::Error>> {
        let mut done = 0;
        self.wanted = 0;
        while done < buf.len() {
            match self
                .format
                .decode(&mut buf[done..])
                .map_err(ReadError::Format)?
            {
                Found::Event { event, used } => {
                    let flow = handle(event);
                    done += used;
                    if flow.is_break() {
                        break;
                    }
                }
                Found::Skip { used } => done += used,
                Found::NeedMore { total } => {
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

impl Format for Decoder {
    type Event<'b> = Event<'b>;
    type Error = ProtocolError;

    fn decode<'b>(&mut self, buf: &'b mut [u8]) -> Result<Found<Event<'b>>, ProtocolError> {
        Self::decode(self, buf).map(Found::from)
    }

    fn decode_owned<'b>(
        &mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Event<'b>>, ProtocolError> {
        Self::decode_owned(self, buf).map(Found::from)
    }
}

impl<'b> From<Decoded<'b>> for Found<Event<'b>> {
    fn from(decoded: Decoded<'b>) -> Self {
        match decoded {
            Decoded::Event { event, used } => Self::Event { event, used },
            Decoded::Skip { used } => Self::Skip { used },
            Decoded::NeedMore { total } => Self::NeedMore { total },
        }
    }
}

fn nonzero<E>(read: usize) -> Result<usize, ReadError<E>> {
    if read == 0 {
        Err(ReadError::End)
    } else {
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use sockeye_websocket::{Limits, OpCode, Role, encode_header};
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Everything that comes out of a stream on which these bytes were written in such pieces.
    async fn read_all(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut near, far) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { near.write_all(&bytes).await });
        let mut io = Io::Boxed(Box::pin(far));
        let mut reader = FrameReader::new(Decoder::new(Role::Server, Limits::default()), &[]);
        let mut seen = Vec::new();
        loop {
            let read = poll_fn(|cx| {
                reader.poll_events(&mut io, cx, |event| {
                    if let Event::Binary(data) = event {
                        seen.push(data.to_vec());
                    }
                    ControlFlow::Continue(())
                })
            });
            match read.await {
                Ok(()) => {}
                Err(ReadError::End) => return seen,
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn frame(out: &mut Vec<u8>, op: OpCode, fin: bool, payload: &[u8]) {
        let key = [1, 2, 3, 4];
        let mut header = encode_header(op, payload.len(), Some(key)).to_vec();
        if !fin {
            header[0] &= 0x7f;
        }
        out.extend_from_slice(&header);
        out.extend(
            payload
                .iter()
                .zip(key.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[tokio::test]
    async fn frames_of_any_size_come_out_whole() {
        let sizes = [0, 1, 125, 126, 65_535, 65_536, 65_537, 200_000, 3];
        let mut bytes = Vec::new();
        for size in sizes {
            frame(&mut bytes, OpCode::Binary, true, &pattern(size));
        }
        for piece in [1000, 65_536, 1 << 20] {
            let seen = read_all(&bytes, piece).await;
            assert_eq!(seen, sizes.map(pattern), "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn large_fragments_make_one_message() {
        let mut bytes = Vec::new();
        frame(&mut bytes, OpCode::Binary, false, &pattern(100_000));
        frame(&mut bytes, OpCode::Continuation, false, &pattern(150_000));
        frame(&mut bytes, OpCode::Continuation, true, &pattern(70_000));
        frame(&mut bytes, OpCode::Binary, true, b"next");
        let whole = [pattern(100_000), pattern(150_000), pattern(70_000)].concat();
        for piece in [1000, 65_536, 1 << 20] {
            assert_eq!(
                read_all(&bytes, piece).await,
                [whole.clone(), b"next".to_vec()]
            );
        }
    }
}
