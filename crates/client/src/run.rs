//! The client's task: it opens a session while a socket wants one, runs it to its end, and waits
//! longer and longer before it tries again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use sockeye_dial::{ClientSession, ConnectRequest, Opened};
use sockeye_events::DisconnectReason;
use sockeye_link::disconnect_reason;
use tokio::sync::oneshot;

use crate::connection::Connection;
use crate::life::backoff::{Backoff, random};
use crate::shared::{Shared, Task};
use crate::{ClientEvent, ConnectError};

/// How an attempt ended.
enum Outcome {
    /// No session was had.
    Failed(ConnectError),
    /// A session was opened, and is over.
    Ended(DisconnectReason),
    /// Nobody wants to be connected any more.
    Unwanted,
}

/// Runs until no socket wants to be connected.
pub(crate) async fn run(mut task: Task) {
    let shared = Arc::clone(&task.shared);
    let mut backoff = Backoff::default();
    let mut since = shared.lapses();
    while task.goes_on() {
        let attempt = backoff.attempts();
        match connect(&shared, &mut backoff, since).await {
            Outcome::Failed(error) => {
                shared.hooks.tell(&ClientEvent::Error(error.clone()));
                let reconnection = shared.config.reconnection.as_ref();
                let will_retry = error.is_retryable()
                    && reconnection.is_some_and(|reconnection| backoff.goes_on(reconnection));
                let sockets = shared.sockets().into_iter();
                let failures: Vec<_> = sockets
                    .filter_map(|socket| socket.handle_failure(&error, will_retry))
                    .collect();
                let gave_up = !will_retry && attempt > 0 && !failures.is_empty();
                for tell in failures {
                    tell();
                }
                if attempt > 0 {
                    shared.hooks.tell(&ClientEvent::ReconnectError(error));
                }
                if gave_up {
                    shared.hooks.tell(&ClientEvent::ReconnectFailed);
                }
                if !will_retry {
                    // All sockets have been let go of. Whoever has been told of it and wants
                    // another attempt begins anew, and others have their turn in between.
                    backoff.reset();
                    tokio::task::yield_now().await;
                    since = shared.lapses();
                    continue;
                }
            }
            Outcome::Ended(reason) => {
                shared.hooks.tell(&ClientEvent::Close(reason));
                // Whoever changed their mind during the session has been seen to.
                since = shared.lapses();
                if reason == DisconnectReason::ForcedClose {
                    // This side wanted it so. Who wants a new one need not wait.
                    continue;
                }
            }
            Outcome::Unwanted => {}
        }
        if shared.lapses() == since && shared.is_wanted() {
            wait(&shared, &mut backoff, since).await;
        } else {
            backoff.reset();
        }
        if shared.lapses() != since {
            // Whoever wants to be connected now begins anew.
            since = shared.lapses();
            backoff.reset();
        }
    }
}

/// Waits for the time of the next attempt.
async fn wait(shared: &Shared, backoff: &mut Backoff, since: u64) {
    let Some(reconnection) = &shared.config.reconnection else {
        // A handler wants another attempt at once. Others are to have their turn in between.
        tokio::task::yield_now().await;
        return;
    };
    let delay = backoff.next(reconnection, random());
    shared.hooks.tell(&ClientEvent::ReconnectScheduled(delay));
    tokio::select! {
        () = tokio::time::sleep(delay) => {
            shared.hooks.tell(&ClientEvent::ReconnectAttempt(backoff.attempts()));
        }
        () = shared.unwanted(since) => {}
    }
}

/// Opens a session and runs it.
async fn connect(shared: &Arc<Shared>, backoff: &mut Backoff, since: u64) -> Outcome {
    let (tell, mut ended) = oneshot::channel();
    let opened = tokio::select! {
        biased;
        () = shared.unwanted(since) => return Outcome::Unwanted,
        opened = open(shared, tell) => opened,
    };
    let mut session = match opened {
        Ok(opened) => opened,
        Err(error) => return Outcome::Failed(error),
    };
    shared.set_session(Some(session.handle().clone()));
    let attempts = backoff.attempts();
    backoff.reset();
    shared.hooks.tell(&ClientEvent::Open);
    if attempts > 0 {
        shared.hooks.tell(&ClientEvent::Reconnect(attempts));
    }
    let reason = tokio::select! {
        biased;
        over = &mut session => ended.try_recv().unwrap_or_else(|_| disconnect_reason(over.reason)),
        Ok(reason) = &mut ended => {
            // The sockets know. What is left are the last words, which a dead server makes last:
            // the next session does not wait for them.
            shared.linger(session);
            reason
        }
    };
    shared.set_session(None);
    Outcome::Ended(reason)
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

/// Opens a session. What becomes of it is told by `tell`.
async fn open(
    shared: &Arc<Shared>,
    tell: oneshot::Sender<DisconnectReason>,
) -> Result<ClientSession<Connection>, ConnectError> {
    let deadline = (shared.config.timeout)
        .and_then(|timeout| tokio::time::Instant::now().checked_add(timeout));
    let work = async {
        let mut request = ConnectRequest::new(shared.url.clone());
        request.query.clone_from(&shared.config.query.0);
        if let Some(hook) = &shared.config.request {
            request = caught(async { (hook.0)(request).await }, "before_connect").await?;
        }
        request.deadline = deadline.map(tokio::time::Instant::into_std);
        let secure = request.url.is_secure();
        shared.secure.store(secure, Ordering::Relaxed);
        let build = |opened: &Opened| Connection::new(shared, opened, tell);
        Ok(shared.connector.open(request, build).await?)
    };
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work)
            .await
            .unwrap_or(Err(ConnectError::Timeout)),
        None => work.await,
    }
}
