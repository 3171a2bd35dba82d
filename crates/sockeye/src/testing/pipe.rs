//! Connections in memory.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::time::expect;

/// One end of a connection in memory.
///
/// What is written at one end is read at the other, as with a socket: the bytes of several writes may come in one read.
/// Up to 64 KiB wait to be read, then writing waits. When an end is dropped, the other one reads to the end of what was
/// written.
///
/// For a script of bytes it has methods of its own, which panic where the script is not followed.
pub struct Pipe {
    cable: Arc<Cable>,
    /// Which of the two ends this is.
    end: usize,
    /// What was read too far by those methods.
    read: Vec<u8>,
}

/// What both ends share.
pub(super) struct Cable(Mutex<Ways>);

#[derive(Default)]
struct Ways {
    /// What each end has written, by its number.
    ways: [Way; 2],
    flow: Flow,
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// Nothing more will be written.
    is_over: bool,
    /// Nobody will read any more.
    is_vain: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Flow {
    #[default]
    Running,
    Stalled,
    Cut,
}

/// How many bytes wait in one direction: what a socket's buffers hold, more or less.
const CAPACITY: usize = 64 * 1024;

impl Pipe {
    /// Both ends of a connection.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let cable = Arc::new(Cable(Mutex::default()));
        let end = |end| Self {
            cable: Arc::clone(&cable),
            end,
            read: Vec::new(),
        };
        (end(0), end(1))
    }

    /// Writes these bytes.
    ///
    /// # Panics
    ///
    /// If the other end takes them no more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = expect(self.write_all(bytes.as_ref()), || {
            "the other end does not read".to_owned()
        });
        if let Err(error) = written.await {
            panic!("the other end has hung up: {error}");
        }
    }

    /// Reads as many bytes, which must be these.
    ///
    /// # Panics
    ///
    /// If others come, or none in time.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        while self.read.len() < expected.len() && expected.starts_with(&self.read) {
            assert!(
                self.fill().await,
                "the stream ended: {}",
                self.shown(expected)
            );
        }
        let read = self.read.get(..expected.len());
        assert!(read == Some(expected), "{}", self.shown(expected));
        self.read.drain(..expected.len());
    }

    /// Reads up to these bytes, and gives all with them.
    ///
    /// # Panics
    ///
    /// If they do not come, or what comes is no text.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|at| at == end.as_bytes());
            if let Some(at) = found {
                let text = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(text).expect("what comes is a text");
            }
            assert!(
                self.fill().await,
                "the stream ended: {}",
                self.shown(end.as_bytes())
            );
        }
    }

    /// Reads a line, and gives it without its end.
    ///
    /// # Panics
    ///
    /// If none comes, or it is no text.
    pub async fn line(&mut self) -> String {
        let mut line = self.until("\n").await;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        line
    }

    /// Waits until the other end has hung up, and gives what it has said until then.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn closed(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }

    /// Reads more; false at the end, be it a good one or not.
    pub(super) async fn fill(&mut self) -> bool {
        let mut read = std::mem::take(&mut self.read);
        let filled = expect(self.read_buf(&mut read), || {
            "nothing is to be read".to_owned()
        });
        let filled = filled.await;
        self.read = read;
        filled.is_ok_and(|filled| filled > 0)
    }

    /// What was read and not taken yet.
    pub(super) const fn unread(&mut self) -> &mut Vec<u8> {
        &mut self.read
    }

    pub(super) fn cable(&self) -> Weak<Cable> {
        Arc::downgrade(&self.cable)
    }

    fn shown(&self, expected: &[u8]) -> String {
        let (expected, read) = (expected.escape_ascii(), self.read.escape_ascii());
        format!("\"{expected}\" is expected, and \"{read}\" was read")
    }

    fn state(&self) -> MutexGuard<'_, Ways> {
        self.cable.state()
    }
}

impl Cable {
    /// Ends the connection at once, for both ends and with all that is on the way.
    pub(super) fn cut(&self) {
        self.set(Flow::Cut);
    }

    /// What is on the way stays there, or goes on.
    pub(super) fn stall(&self, stalled: bool) {
        let flow = match stalled {
            true => Flow::Stalled,
            false => Flow::Running,
        };
        if self.state().flow != Flow::Cut {
            self.set(flow);
        }
    }

    fn set(&self, flow: Flow) {
        let mut state = self.state();
        state.flow = flow;
        state.ways.iter_mut().for_each(Way::wake);
    }

    fn state(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().expect("nothing panics with it in hand")
    }
}

impl Way {
    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.read.is_empty() {
            let len = this.read.len().min(buf.remaining());
            buf.put_slice(&this.read[..len]);
            this.read.drain(..len);
            return Poll::Ready(Ok(()));
        }
        let mut state = this.state();
        let flow = state.flow;
        let way = &mut state.ways[1 - this.end];
        match flow {
            Flow::Cut => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Flow::Running if !way.bytes.is_empty() => {
                let (front, _) = way.bytes.as_slices();
                let len = front.len().min(buf.remaining());
                buf.put_slice(&front[..len]);
                way.bytes.drain(..len);
                way.wake();
                return Poll::Ready(Ok(()));
            }
            Flow::Running if way.is_over => return Poll::Ready(Ok(())),
            Flow::Running | Flow::Stalled => {}
        }
        way.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.flow == Flow::Cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let way = &mut state.ways[self.end];
        if way.is_over || way.is_vain {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = buf.len().min(CAPACITY - way.bytes.len());
        if len == 0 && !buf.is_empty() {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(&buf[..len]);
        way.wake();
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let way = &mut self.state().ways[self.end];
        way.is_over = true;
        way.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.state();
        state.ways[self.end].is_over = true;
        state.ways[1 - self.end].is_vain = true;
        state.ways.iter_mut().for_each(Way::wake);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}
