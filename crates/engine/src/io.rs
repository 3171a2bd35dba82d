//! The byte streams under a session.

use std::fmt;
use std::io::{self, IoSlice, Read};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::scratch::Scratch;
use crate::seat::Seat;

/// A stream that a driver owns.
pub enum Io {
    /// A bare socket, which other threads may write to directly.
    Bare(Socket),
    /// Anything else, such as TLS: only the driver reads and writes. One pointer, so that it does not
    /// make a bare socket larger.
    Boxed(Box<Pin<Box<dyn Stream>>>),
}

/// A bare socket. Clones are the same socket.
#[derive(Clone, Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(Arc<Seated<TcpStream>>),
    /// Over a Unix-domain socket.
    #[cfg(unix)]
    Unix(Arc<Seated<UnixStream>>),
}

/// A stream, and what counts it among its listener's connections, if it came by one. So the
/// connection counts until the socket is closed, whoever holds it last.
#[derive(Debug)]
pub struct Seated<S> {
    stream: S,
    _seat: Option<Seat>,
}

/// A byte stream both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// Calls a method that the sockets of both kinds have.
macro_rules! either {
    ($socket:expr, $bare:ident => $call:expr) => {
        match $socket {
            Socket::Tcp($bare) => $call,
            #[cfg(unix)]
            Socket::Unix($bare) => $call,
        }
    };
}

impl Socket {
    /// Writes what the socket takes now.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`io::ErrorKind::WouldBlock`] if it takes nothing.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, socket => match slices {
            [single] => socket.try_write(single),
            _ => socket.try_write_vectored(slices),
        })
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read_ready(cx))
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_write_ready(cx))
    }

    fn shutdown_write(&self) -> io::Result<()> {
        either!(self, socket => {
            socket2::SockRef::from(&socket.stream).shutdown(std::net::Shutdown::Write)
        })
    }

    /// One read. If it did not fill the buffer, the socket is empty, and saying so to the
    /// reactor here saves the read that would only find that out.
    ///
    /// The reactor takes "would block" as the word for it. Both happen under one readiness
    /// event, so that bytes which arrive in between raise a new one. Other systems than Linux do
    /// not promise that a short read has emptied the socket.
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut short = None;
        let result = either!(self, socket => socket.try_io(Interest::READABLE, || {
            let read = (&*socket2::SockRef::from(&socket.stream)).read(buf)?;
            if cfg!(target_os = "linux") && read > 0 && read < buf.len() {
                short = Some(read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(read)
        }));
        short.map_or(result, Ok)
    }
}

impl<S> Seated<S> {
    /// A stream that counts as long as it is open, if it has a seat.
    pub const fn new(stream: S, seat: Option<Seat>) -> Self {
        Self {
            stream,
            _seat: seat,
        }
    }
}

impl<S> Deref for Seated<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Io {
    /// A TCP connection.
    pub fn tcp(stream: TcpStream, seat: Option<Seat>) -> Self {
        Self::Bare(Socket::Tcp(Arc::new(Seated::new(stream, seat))))
    }

    /// A connection over a Unix-domain socket.
    #[cfg(unix)]
    pub fn unix(stream: UnixStream, seat: Option<Seat>) -> Self {
        Self::Bare(Socket::Unix(Arc::new(Seated::new(stream, seat))))
    }

    /// Any other stream.
    pub fn boxed(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self::Boxed(Box::new(Box::pin(stream)))
    }

    /// The socket, for writes from other threads.
    pub fn direct(&self) -> Option<Socket> {
        match self {
            Self::Bare(socket) => Some(socket.clone()),
            Self::Boxed(_) => None,
        }
    }

    /// Reads into `buf`; 0 is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Bare(socket) => loop {
                ready!(socket.poll_read_ready(cx))?;
                match socket.read(buf) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Boxed(stream) => {
                let mut buf = ReadBuf::new(buf);
                ready!((**stream).as_mut().poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(buf.filled().len()))
            }
        }
    }

    /// Writes; for a driver whose stream nobody else can write to.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Bare(socket) => loop {
                ready!(socket.poll_write_ready(cx))?;
                match socket.try_write(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Boxed(stream) => (**stream).as_mut().poll_write_vectored(cx, slices),
        }
    }

    /// Ready when a bare socket takes more. Other streams have said so by their last write.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Bare(socket) => socket.poll_write_ready(cx).map(drop),
            Self::Boxed(_) => Poll::Pending,
        }
    }

    /// Hands on what the stream itself has buffered, as TLS does.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Bare(_) => Poll::Ready(Ok(())),
            Self::Boxed(stream) => (**stream).as_mut().poll_flush(cx),
        }
    }

    /// Reads and forgets until the stream ends.
    ///
    /// Closing a socket with unread bytes in it resets the connection, and the peer might then
    /// never see what was written last.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = Scratch::take();
        loop {
            if let Ok(0) | Err(_) = ready!(self.poll_read(cx, scratch.bytes())) {
                return Poll::Ready(());
            }
        }
    }

    /// Says that nothing more will be written.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Bare(socket) => Poll::Ready(socket.shutdown_write()),
            Self::Boxed(stream) => (**stream).as_mut().poll_shutdown(cx),
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bare(_) => "Bare",
            Self::Boxed(_) => "Boxed",
        })
    }
}
