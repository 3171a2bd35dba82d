use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sockeye_engine::TransportKind;
use sockeye_events::{DisconnectReason, Snapshot};

use crate::ConnectError;

/// Something that happened to the connection of a [`Client`](crate::Client), as opposed to one of
/// its sockets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// A session with the server is open; the sockets join their namespaces next.
    Open,
    /// The session has gone over from long-polling to this transport.
    Upgrade(TransportKind),
    /// The session is over.
    Close(DisconnectReason),
    /// The server has sent its heartbeat. Servers of Engine.IO 3 send none.
    Ping,
    /// An attempt to open a session has failed.
    Error(ConnectError),
    /// The connection was lost, or could not be had, and is tried again after this delay.
    ReconnectScheduled(Duration),
    /// The attempt of this number, counted from 1, to bring the connection back begins.
    ReconnectAttempt(u32),
    /// It has failed.
    ReconnectError(ConnectError),
    /// Reconnecting was given up: the last allowed attempt failed, or one failed in a way that no further attempt can
    /// mend, or the application [switched it off](crate::Client::set_reconnection) during the wait. Connecting a socket
    /// in this hook begins anew.
    ///
    /// If there is only a first attempt, its failure is told by [`Error`](Self::Error) alone.
    ReconnectFailed,
    /// The connection is back, after this many attempts.
    Reconnect(u32),
}

type Hook = Arc<dyn Fn(&ClientEvent) + Send + Sync>;

/// Who wants to know of these.
#[derive(Default)]
pub(crate) struct Hooks(Snapshot<Vec<Hook>>);

impl Hooks {
    pub(crate) fn add(&self, hook: impl Fn(&ClientEvent) + Send + Sync + 'static) {
        let hook: Hook = Arc::new(hook);
        self.0.update(|hooks| hooks.push(hook));
    }

    pub(crate) fn tell(&self, event: &ClientEvent) {
        tracing::debug!(?event, "client");
        for hook in self.0.load().iter() {
            // As with handlers, a panic must end nothing but the hook's own work.
            if catch_unwind(AssertUnwindSafe(|| hook(event))).is_err() {
                tracing::error!(?event, "a hook of the client panicked");
            }
        }
    }
}

/// What a function of the application's gives; a panic in it is an error like any other.
pub(crate) async fn caught<T>(
    work: impl Future<Output = Result<T, ConnectError>>,
    name: &str,
) -> Result<T, ConnectError> {
    let result = AssertUnwindSafe(work).catch_unwind().await;
    result.unwrap_or_else(|_| {
        let message = format!("the application's function for {name} panicked");
        Err(ConnectError::application(message))
    })
}
