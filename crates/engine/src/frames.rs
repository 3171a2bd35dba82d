use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll, ready};

use thiserror::Error;

use crate::io::Io;
use crate::scratch::{self, Scratch};

/// How the bytes of a stream are cut into frames.
pub trait Format: 'static {
    /// One frame's meaning, borrowed from the bytes or from what was made of them.
    type Event<'b>
    where
        Self: 'b;
    /// Why the bytes are not a frame. Nothing can be read after it.
    type Error;

    /// Looks for one frame at the front of `buf`, which may be changed in place.
    fn decode<'b>(&'b mut self, buf: &'b mut [u8]) -> Result<Found<Self::Event<'b>>, Self::Error>;

    /// The same, for a buffer that holds one large frame and nothing else: the frame may keep
    /// the buffer's memory.
    fn decode_owned<'b>(
        &'b mut self,
        buf: &'b mut Vec<u8>,
    ) -> Result<Found<Self::Event<'b>>, Self::Error>;

    /// The events that were found are done with, and so is what they were borrowed from.
    fn release(&mut self) {}

    /// How many fragments of a message have been put aside, and their bytes.
    fn put_aside(&self) -> (u32, usize) {
        (0, 0)
    }
}

/// How much there is of a message that is not complete; the default if there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of a frame.
    kept: usize,
    /// Fragments before that frame, and their bytes.
    put_aside: (u32, usize),
}

impl Extent {
    /// How many bytes there are.
    pub(crate) const fn bytes(&self) -> usize {
        self.kept + self.put_aside.1
    }
}

/// What was found at the front of a buffer.
#[derive(Debug)]
pub enum Found<E> {
    /// A frame; the first `used` bytes are done with.
    Event {
        /// What it means.
        event: E,
        /// Its bytes.
        used: usize,
    },
    /// Bytes that mean nothing by themselves.
    Skip {
        /// How many.
        used: usize,
    },
    /// Too little; come back with `total` bytes.
    NeedMore {
        /// How many there must be, those that are there included.
        total: usize,
    },
    /// Too little, and nobody knows how much it will be.
    NeedAny,
}

/// Reads frames from a stream without a buffer of its own.
///
/// Whole frames are parsed in the thread's scratch buffer, where they lie. Only a frame whose
/// end has not come yet is copied aside, and that memory is freed when the frame is done.
#[derive(Debug)]
pub struct FrameReader<F> {
    format: F,
    /// What was read and not decoded; nothing most of the time, and one pointer then.
    unfinished: Option<Box<Unfinished>>,
}

/// The beginning of a frame.
#[derive(Debug, Default)]
struct Unfinished {
    kept: Vec<u8>,
    need: Need,
}

/// What decoding needs to make sense.
#[derive(Clone, Copy, Debug, Default)]
enum Need {
    /// Nothing that is known.
    #[default]
    Nothing,
    /// As many bytes as this.
    Bytes(usize),
    /// More bytes than there are: it is the beginning of something whose length is not known.
    More,
}

/// Why no more frames come.
#[derive(Debug, Error)]
pub enum ReadError<E> {
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
    pub fn new(format: F, read: &[u8]) -> Self {
        let mut reader = Self {
            format,
            unfinished: None,
        };
        reader.keep(read, Need::Nothing);
        reader
    }

    /// Puts a whole frame back in front of what is to be decoded. Only between two frames.
    pub(crate) fn unread(&mut self, frame: &[u8]) {
        let unfinished = self.unfinished.get_or_insert_default();
        unfinished.kept.splice(..0, frame.iter().copied());
        unfinished.need = Need::Nothing;
    }

    /// Takes out what was read and is no whole frame, when nothing more will come.
    pub(crate) fn take_unread(&mut self) -> Vec<u8> {
        let unfinished = self.unfinished.take();
        unfinished.map_or_else(Vec::new, |unfinished| unfinished.kept)
    }

    /// How much there is of a message that needs more bytes to be complete.
    pub(crate) fn extent(&self) -> Extent {
        let unfinished = self.unfinished.as_ref();
        let kept = unfinished.filter(|unfinished| !unfinished.may_be_decoded());
        Extent {
            kept: kept.map_or(0, |unfinished| unfinished.kept.len()),
            put_aside: self.format.put_aside(),
        }
    }

    /// How the frames are cut.
    pub(crate) const fn format(&self) -> &F {
        &self.format
    }

    /// How the frames are cut.
    pub(crate) const fn format_mut(&mut self) -> &mut F {
        &mut self.format
    }

    pub(crate) fn into_format(self) -> F {
        self.format
    }

    /// Reads once, and hands on the events until `handle` breaks. What is left then waits for
    /// the next call. Says how many bytes were read.
    pub fn poll_events(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Poll<Result<usize, ReadError<F::Error>>> {
        let mut scratch;
        let (buf, kept) = match &mut self.unfinished {
            None => {
                scratch = Scratch::take();
                (scratch.bytes(), 0)
            }
            Some(unfinished) if unfinished.may_be_decoded() => {
                return Poll::Ready(self.decode_kept(handle).map(|()| 0));
            }
            Some(unfinished) => {
                scratch = Scratch::take();
                let (buf, kept) = (scratch.bytes(), &mut unfinished.kept);
                match unfinished.need {
                    Need::More if kept.len() > scratch::SIZE / 2 => {
                        let read = nonzero(ready!(io.poll_read(cx, buf))?)?;
                        kept.extend_from_slice(&buf[..read]);
                        return Poll::Ready(self.decode_kept(handle).map(|()| read));
                    }
                    Need::Bytes(wanted) if wanted > scratch::SIZE => {
                        // A large frame: read no further than its end, so that its buffer holds
                        // nothing else and can be handed on as it is. It grows with what came, not
                        // with what was promised.
                        let missing = wanted - kept.len();
                        let room = buf.len().min(missing);
                        let read = nonzero(ready!(io.poll_read(cx, &mut buf[..room]))?)?;
                        kept.reserve_exact(kept.len().min(missing).max(read));
                        kept.extend_from_slice(&buf[..read]);
                        return Poll::Ready(match kept.len() < wanted {
                            true => Ok(read),
                            false => self.decode_kept(handle).map(|()| read),
                        });
                    }
                    _ => {}
                }
                (buf, kept.len())
            }
        };
        let read = nonzero(ready!(io.poll_read(cx, &mut buf[kept..]))?)?;
        if let Some(unfinished) = &self.unfinished {
            buf[..kept].copy_from_slice(&unfinished.kept);
        }
        let buf = &mut buf[..kept + read];
        let (used, need) = self.decode(buf, handle)?;
        self.keep(&buf[used..], need);
        Poll::Ready(Ok(read))
    }

    fn decode_kept(
        &mut self,
        mut handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError<F::Error>> {
        let Some(mut unfinished) = self.unfinished.take() else {
            return Ok(());
        };
        let kept = &mut unfinished.kept;
        if !matches!(unfinished.need, Need::Bytes(wanted) if wanted == kept.len()) {
            let (used, need) = self.decode(kept, handle)?;
            match used {
                // What is long is not copied again and again while it grows.
                0 => {
                    unfinished.need = need;
                    self.unfinished = Some(unfinished);
                }
                used => self.keep(&kept[used..], need),
            }
            return Ok(());
        }
        // Exactly what was asked for: one frame, or no more than its header.
        let found = self.format.decode_owned(kept);
        let need = match found.map_err(ReadError::Format)? {
            Found::Event { event, .. } => {
                let _ = handle(event);
                None
            }
            Found::Skip { .. } => None,
            Found::NeedMore { total } => Some(Need::Bytes(total)),
            Found::NeedAny => Some(Need::More),
        };
        self.format.release();
        if let Some(need) = need {
            unfinished.need = need;
            self.unfinished = Some(unfinished);
        }
        Ok(())
    }

    /// Decodes what is complete; says how much of `buf` that was, and what the rest needs.
    #[inline]
    fn decode(
        &mut self,
        buf: &mut [u8],
        mut handle: impl FnMut(F::Event<'_>) -> ControlFlow<()>,
    ) -> Result<(usize, Need), ReadError<F::Error>> {
        let (mut done, mut need) = (0, Need::Nothing);
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
                    need = Need::Bytes(total);
                    break;
                }
                Found::NeedAny => {
                    need = Need::More;
                    break;
                }
            }
        }
        self.format.release();
        Ok((done, need))
    }

    fn keep(&mut self, rest: &[u8], need: Need) {
        if rest.is_empty() {
            self.unfinished = None;
            return;
        }
        let unfinished = self.unfinished.get_or_insert_default();
        // A new vector, so that one large frame does not leave a large buffer behind.
        unfinished.kept = rest.to_vec();
        unfinished.need = need;
    }
}

impl Unfinished {
    /// Whether decoding makes sense without another byte.
    fn may_be_decoded(&self) -> bool {
        match self.need {
            Need::Nothing => true,
            Need::Bytes(wanted) => self.kept.len() >= wanted,
            Need::More => false,
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
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Waker;

    use proptest::prelude::*;
    use sockeye_websocket::{Event, Limits, OpCode, Role, encode_header};
    use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

    use super::*;
    use crate::websocket::WebSocketFormat;

    fn plain() -> WebSocketFormat {
        WebSocketFormat::new(Role::Server, Limits::default(), None)
    }

    /// Everything that comes out of a stream on which these bytes were written in such pieces.
    async fn read_all(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut near, far) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move { near.write_all(&bytes).await });
        let mut io = Io::boxed(far);
        let mut reader = FrameReader::new(plain(), &[]);
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
                Ok(_) => {}
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

    /// A stream that gives its bytes in just these pieces, as far as the reader has room.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Some(piece) = self.0.front_mut() else {
                return Poll::Ready(Ok(()));
            };
            let fits = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..fits]);
            piece.drain(..fits);
            if piece.is_empty() {
                self.0.pop_front();
            }
            Poll::Ready(Ok(()))
        }
    }

    /// Cuts bytes into pieces of these sizes, over and over.
    fn cut(bytes: &[u8], sizes: &[usize]) -> VecDeque<Vec<u8>> {
        let (mut pieces, mut rest) = (VecDeque::new(), bytes);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push_back(piece.to_vec());
            rest = tail;
        }
        pieces
    }

    fn payload_size() -> impl Strategy<Value = usize> {
        prop_oneof![
            5 => 0_usize..200,
            2 => 65_500_usize..65_600,
            2 => 100_usize..300_000,
        ]
    }

    fn piece_size() -> impl Strategy<Value = usize> {
        prop_oneof![1_usize..20, 500_usize..5000, 60_000_usize..200_000]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cut_gives_the_same_frames(
            messages in prop::collection::vec((payload_size(), 1_usize..4), 1..8),
            sizes in prop::collection::vec(piece_size(), 1..6),
            early in 0_usize..30,
            pause in 1_usize..4,
        ) {
            let mut bytes = Vec::new();
            for (size, fragments) in &messages {
                let data = pattern(*size);
                let length = data.len() / fragments;
                for at in 0..*fragments {
                    let last = at + 1 == *fragments;
                    let end = if last { data.len() } else { (at + 1) * length };
                    let op = if at == 0 { OpCode::Binary } else { OpCode::Continuation };
                    frame(&mut bytes, op, last, &data[at * length..end]);
                    // Control frames may come between fragments.
                    frame(&mut bytes, OpCode::Ping, true, b"?");
                }
            }
            // Very small pieces of very much take too long to be worth it.
            prop_assume!(bytes.len() / sizes.iter().sum::<usize>() * sizes.len() < 100_000);
            let early = early.min(bytes.len());
            let stream = tokio::io::join(Pieces(cut(&bytes[early..], &sizes)), tokio::io::sink());
            let mut io = Io::boxed(stream);
            let mut reader = FrameReader::new(plain(), &bytes[..early]);
            let mut cx = Context::from_waker(Waker::noop());
            let (mut seen, mut pings, mut events) = (Vec::new(), 0, 0);
            loop {
                let read = reader.poll_events(&mut io, &mut cx, |event| {
                    match event {
                        Event::Binary(data) => seen.push(data.to_vec()),
                        Event::Ping(_) => pings += 1,
                        other => panic!("{other:?}"),
                    }
                    events += 1;
                    // Every so often the reader is told to stop for now.
                    match events % pause == 0 {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    }
                });
                match read {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(ReadError::End)) => break,
                    other => panic!("{other:?}"),
                }
            }
            let expected: Vec<_> = messages.iter().map(|(size, _)| pattern(*size)).collect();
            prop_assert!(seen == expected, "{} of {} messages", seen.len(), expected.len());
            prop_assert_eq!(pings, messages.iter().map(|(_, fragments)| fragments).sum::<usize>());
            prop_assert!(reader.unfinished.is_none(), "nothing is left over");
        }
    }
}
