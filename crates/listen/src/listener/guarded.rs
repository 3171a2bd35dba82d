//! The stream below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye_engine::Seat;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connections::{RequestConnection, Watched, Writing};

/// A stream on which no writing waits for ever, and that others can end: the HTTP library has a time
/// limit for the head of a request only.
pub(crate) struct Guarded<S> {
    stream: S,
    watched: Watched,
    /// How long the peer may take nothing of what is to be written.
    patience: Duration,
    /// The last attempt to write has found no room.
    stuck: bool,
    /// Not set where there is no limit.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(super) const fn new(stream: S, watched: Watched, patience: Duration) -> Self {
        Self {
            stream,
            watched,
            patience,
            stuck: false,
            timer: None,
        }
    }

    /// The stream, for something else than HTTP, and what counts it; nothing if it was to end.
    pub(crate) fn into_parts(self) -> Option<(S, Seat)> {
        Some((self.stream, self.watched.into_seat()?))
    }

    fn connection(&self) -> &Arc<RequestConnection> {
        self.watched.connection()
    }

    /// Takes account of how an attempt to write has gone.
    fn look_at<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if std::mem::take(&mut self.stuck) {
                self.timer = None;
                self.connection().has_written();
            }
            return written;
        }
        self.stuck = true;
        let (since, due) = match self.connection().wait_to_write(cx) {
            Writing::Stuck { since, due } => (since, due),
            Writing::Cut => return Poll::Ready(Err(cut())),
        };
        let end = since.checked_add(self.patience);
        let Some(end) = end.into_iter().chain(due).min().map(Instant::from_std) else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => {
                let what = "the peer does not read what is written to it";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

fn cut() -> io::Error {
    let what = "closed to make room for others";
    io::Error::new(io::ErrorKind::ConnectionAborted, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_pending() && !this.connection().wait_to_read(cx) {
            return Poll::Ready(Err(cut()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.look_at(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.look_at(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.look_at(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.look_at(shut, cx)
    }
}
