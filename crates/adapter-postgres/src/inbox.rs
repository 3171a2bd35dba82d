//! What Postgres says by itself, on its way from the connection.

use std::future::poll_fn;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Connection, Notification};

use crate::wire::Wire;

/// What comes from a connection, which is over when this is dropped.
pub(crate) struct Inbox {
    heard: mpsc::Receiver<Heard>,
    driving: AbortHandle,
}

/// Something from the connection.
pub(crate) enum Heard {
    Notification(Notification),
    /// There were more notifications than can wait.
    Gap,
    /// Nothing will come any more.
    End(Option<tokio_postgres::Error>),
}

/// Drives a connection, in a task of its own: nothing moves without it, neither there nor back.
pub(crate) fn drive<T>(mut connection: Connection<Wire, T>) -> Inbox
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, heard) = mpsc::channel(MAX_WAITING + 1);
    let driving = tokio::spawn(async move {
        let mut is_full = false;
        let error = loop {
            match poll_fn(|cx| connection.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notification(notification))) => {
                    // One place is left for what says that there was no place.
                    let heard = match sender.capacity() {
                        0 | 1 if is_full => continue,
                        0 | 1 => Heard::Gap,
                        _ => Heard::Notification(notification),
                    };
                    is_full = matches!(heard, Heard::Gap);
                    if let Err(TrySendError::Closed(_)) = sender.try_send(heard) {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        let _ = sender.send(Heard::End(error)).await;
    });
    Inbox {
        heard,
        driving: driving.abort_handle(),
    }
}

impl Inbox {
    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Heard {
        let heard = self.heard.recv().await;
        heard.unwrap_or(Heard::End(None))
    }

    /// Waits until nothing comes any more.
    pub(crate) async fn end(&mut self) {
        while self.heard.recv().await.is_some() {}
    }
}

/// A server that says nothing would keep it for ever, and all that was asked for on it.
impl Drop for Inbox {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// How many notifications may wait for this server, of 8 kB at most. They are taken at once, but for large ones, which have
/// to be fetched.
const MAX_WAITING: usize = 4096;
