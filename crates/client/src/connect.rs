//! Connecting a socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::run::{Task, run};
use crate::socket::shared::ClientCore;
use crate::socket::{ClientSocket, Waiter};
use crate::{ConnectError, Socket};

impl Socket {
    /// Connects, and waits for the server's answer. Does nothing if the socket is connected.
    ///
    /// It fails if the server cannot be reached at once, refuses, or has not answered within the
    /// [timeout](crate::ClientConfig::timeout); the socket is then not
    /// connected in the background either, unless it was before. After a success it comes back
    /// by itself when the connection is lost.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says what went wrong.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is ready gives the attempt up, unless somebody else waits
    /// for it or it has just succeeded.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let Some(attempt) = Attempt::begin(self.inner()) else {
            return Ok(());
        };
        start(&self.inner().client().ok_or(ConnectError::Cancelled)?);
        attempt.outcome().await
    }

    /// Connects in the background, and tries again until it succeeds, as the JavaScript client
    /// does. What became of it is told by `connect` and `connect_error`. Does nothing if the
    /// socket is connected, or being connected.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, unless the client has been connected before: it goes on where
    /// it was then.
    pub fn connect_lazy(&self) {
        if self.inner().want()
            && let Some(client) = self.inner().client()
        {
            start(&client);
        }
    }
}

/// Sees to it that the client's task knows of a socket that wants to be connected.
///
/// # Panics
///
/// Outside of a tokio runtime, if there never was a task.
fn start(client: &Arc<ClientCore>) {
    if let Some(task) = Task::begin(client) {
        let span = span(client);
        // A task with a place for a span is larger: one that nobody wants is not to cost that.
        if span.is_disabled() {
            client.run(run(task));
        } else {
            client.run(run(task).instrument(span));
        }
    }
}

/// The span of a client's task. Like those of a server's connections it has a number, and no secrets: the URL is without
/// its query.
fn span(client: &ClientCore) -> Span {
    static STARTED: AtomicU64 = AtomicU64::new(1);
    tracing::info_span!(
        parent: None,
        "client",
        n = STARTED.fetch_add(1, Ordering::Relaxed),
        url = ?client.url,
    )
}

/// An attempt that somebody waits for: given up if nobody does any more.
struct Attempt {
    socket: Arc<ClientSocket>,
    /// In here, so that it is closed when the others are counted.
    outcome: oneshot::Receiver<Result<(), ConnectError>>,
}

impl Attempt {
    /// Begins to wait; `None` if the socket is connected.
    fn begin(socket: &Arc<ClientSocket>) -> Option<Self> {
        let (sender, outcome) = oneshot::channel();
        let waits = socket.lock().membership.want_for(sender);
        waits.then(|| Self {
            socket: Arc::clone(socket),
            outcome,
        })
    }

    async fn outcome(mut self) -> Result<(), ConnectError> {
        let outcome = (&mut self.outcome).await;
        outcome.unwrap_or(Err(ConnectError::Cancelled))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.outcome.close();
        let mut state = self.socket.lock();
        let given_up = state.membership.forget(Waiter::is_closed);
        drop(state);
        if given_up && let Some(client) = self.socket.client() {
            client.poke();
        }
    }
}
