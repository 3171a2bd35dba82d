//! Named pipes, which are to Windows what Unix-domain sockets are elsewhere.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

use super::ListenOptions;

/// Listens on a named pipe.
///
/// Every client gets an instance of the pipe to itself; one is always there for the next. The
/// name goes with the last instance, so that there is nothing to remove.
pub(super) struct PipeListener {
    name: String,
    /// The instance for the next client, unless it could not be made.
    next: Option<NamedPipeServer>,
}

/// The server's end of one connection.
pub(super) struct PipeStream {
    pipe: NamedPipeServer,
    /// This end has said its last word. A pipe has no halves, so that the peer learns of it by
    /// the end of the whole: nothing is waited for any more.
    ended: bool,
}

/// Whether a path names a pipe.
pub(super) fn is_pipe(path: &str) -> bool {
    let prefix = path.get(..9).unwrap_or_default();
    matches!(
        prefix.to_ascii_lowercase().as_str(),
        r"\\.\pipe\" | r"\\?\pipe\"
    ) && path.len() > 9
}

/// Makes the first instance; a name that is in use is an error.
pub(super) fn bind(path: &Path, options: &ListenOptions) -> io::Result<PipeListener> {
    let name = path.to_str().filter(|name| is_pipe(name));
    let Some(name) = name else {
        let what = r"only named pipes can be listened on, such as \\.\pipe\name";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    };
    if options.readable_all || options.writable_all {
        let what = "a named pipe cannot be opened to other users";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    }
    let first = ServerOptions::new()
        .first_pipe_instance(true)
        .create(name)
        .map_err(|error| match error.kind() {
            // What the system says of a name that somebody else has.
            io::ErrorKind::PermissionDenied => io::Error::new(io::ErrorKind::AddrInUse, error),
            _ => error,
        })?;
    Ok(PipeListener {
        name: name.to_owned(),
        next: Some(first),
    })
}

impl PipeListener {
    /// The next client. Dropped before it is ready, it has taken none.
    pub(super) async fn accept(&mut self) -> io::Result<PipeStream> {
        if self.next.is_none() {
            self.next = Some(self.instance()?);
        }
        let waiting = self.next.as_ref().expect("there is one");
        waiting.connect().await?;
        // The name must never be without an instance, or clients find nothing there.
        let next = self.instance().ok();
        let pipe = std::mem::replace(&mut self.next, next).expect("there is one");
        Ok(PipeStream { pipe, ended: false })
    }

    fn instance(&self) -> io::Result<NamedPipeServer> {
        ServerOptions::new().create(&self.name)
    }
}

impl AsyncRead for PipeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.pipe).poll_read(cx, buf)) {
            // The peer has closed its end.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

impl AsyncWrite for PipeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.ended = true;
        // Whoever waits for the peer is to find that there is nothing more to come.
        cx.waker().wake_by_ref();
        Poll::Ready(Ok(()))
    }
}
