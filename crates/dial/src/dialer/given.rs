//! Streams that the application opens itself.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use super::link::Link;
use crate::url::ConnectUrl;

/// What opens them, in the place of sockets.
#[derive(Clone)]
pub(crate) struct Opener(Arc<dyn Fn(ConnectUrl) -> Opening + Send + Sync>);

type Opening = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

impl Opener {
    pub(super) fn new<F, Fut, S>(open: F) -> Self
    where
        F: Fn(ConnectUrl) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        Self(Arc::new(move |url| {
            let opening = open(url);
            Box::pin(async move { Ok(link(opening.await?)) })
        }))
    }

    /// Gives this stream to whoever asks first.
    pub(super) fn once(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let stream = Mutex::new(Some(link(stream)));
        Self(Arc::new(move |_| {
            let stream = stream.lock().take();
            let used = || io::Error::new(io::ErrorKind::NotConnected, "the one stream is used up");
            Box::pin(async move { stream.ok_or_else(used) })
        }))
    }

    /// Opens a stream to the place of this URL. A panic of the application's is an error, and ends nothing else.
    pub(super) async fn open(&self, url: &ConnectUrl) -> io::Result<Link> {
        let opened = AssertUnwindSafe(async { (self.0)(url.clone()).await }).catch_unwind();
        opened
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the application's function panicked")))
    }
}

/// Sockets of the system are as good as those that are opened here: other threads can write to them.
fn link<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Link {
    let mut stream = Some(stream);
    let any: &mut dyn Any = &mut stream;
    if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>() {
        return Link::Tcp(tcp.take().expect("it was put there"));
    }
    #[cfg(unix)]
    if let Some(unix) = any.downcast_mut::<Option<UnixStream>>() {
        return Link::Unix(unix.take().expect("it was put there"));
    }
    Link::Boxed(Box::pin(stream.expect("it is of another type")))
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}
