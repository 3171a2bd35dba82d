//! The client's task: it does what the [attempts](crate::life::attempts) ask for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use sockeye_dial::{ClientSession, Opened};
use sockeye_events::DisconnectReason;
use sockeye_link::disconnect_reason;
use tokio::sync::oneshot;

use crate::connection::Connection;
use crate::hooks::caught;
use crate::life::attempts::{Attempts, Next};
use crate::socket::shared::ClientCore;
use crate::{ClientEvent, ConnectError};

/// The client's task, as long as it has something to do.
pub(crate) struct Task {
    shared: Arc<ClientCore>,
    ended: bool,
}

impl Task {
    /// A socket wants to be connected. Gives the task that is to be run for that, if there is none that now knows.
    pub(crate) fn begin(shared: &Arc<ClientCore>) -> Option<Self> {
        shared.begin().then(|| Self {
            shared: Arc::clone(shared),
            ended: false,
        })
    }

    fn next(&mut self) -> Next {
        let next = self.shared.next();
        self.ended = next == Next::Rest;
        next
    }
}

impl Drop for Task {
    /// Nobody must wait for a task that is gone: if it has not come to its end, its runtime was
    /// shut down, or something in it panicked.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.shared.forget_task();
        for socket in self.shared.sockets() {
            socket.inner().handle_lost_task();
        }
        self.shared.tell_rested();
    }
}

/// Does what is [next](Next) until nothing is.
pub(crate) async fn run(mut task: Task) {
    let shared = Arc::clone(&task.shared);
    loop {
        match task.next() {
            Next::Rest => return,
            Next::Open { attempt } => {
                match attempt {
                    // A handler may want another attempt at once, over and over: others are to
                    // have their turn in between.
                    0 => tokio::task::yield_now().await,
                    _ => shared.hooks.tell(&ClientEvent::ReconnectAttempt(attempt)),
                }
                connect(&shared, attempt).await;
            }
            Next::Schedule(delay) => {
                shared.hooks.tell(&ClientEvent::ReconnectScheduled(delay));
            }
            Next::Wait(until) => tokio::select! {
                () = sleep_until(until) => {}
                () = shared.lapsed() => {}
            },
        }
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Opens a session and runs it to its end.
///
/// In one function: the future of another one would have room for the session twice, where it is handed in and where it is
/// run, for as long as the client lives.
async fn connect(shared: &Arc<ClientCore>, attempt: u32) {
    let (tell, mut ended) = oneshot::channel();
    let opened = tokio::select! {
        biased;
        () = shared.lapsed() => return,
        opened = open(shared, attempt, tell) => opened,
    };
    let mut session = match opened {
        Ok(session) => session,
        Err(error) => {
            fail(shared, error);
            return;
        }
    };
    shared.set_session(Some(session.handle().clone()));
    let attempt = shared.attempts(Attempts::handle_opened);
    shared.hooks.tell(&ClientEvent::Open);
    if attempt > 0 {
        shared.hooks.tell(&ClientEvent::Reconnect(attempt));
    }
    let reason = tokio::select! {
        biased;
        over = &mut session => ended.try_recv().unwrap_or_else(|_| disconnect_reason(over)),
        Ok(reason) = &mut ended => {
            // The sockets know. What is left are the last words, which a dead server makes last:
            // the next session does not wait for them.
            shared.linger(session);
            reason
        }
    };
    shared.set_session(None);
    shared.hooks.tell(&ClientEvent::Close(reason));
    // Whoever changed their mind during the session has been seen to.
    let forced = reason == DisconnectReason::ForcedClose;
    shared.attempts(|attempts| attempts.handle_ended(forced));
}

/// No session was had.
fn fail(shared: &ClientCore, error: ConnectError) {
    shared.hooks.tell(&ClientEvent::Error(error.clone()));
    let (retryable, reconnection) = (error.is_retryable(), shared.settings().reconnection);
    let failure =
        shared.attempts(|attempts| attempts.handle_failure(retryable, reconnection.as_ref()));
    let sockets = shared.sockets().into_iter();
    // All of them know before one is told: it may connect others.
    let failures: Vec<_> = sockets
        .filter_map(|socket| Arc::clone(socket.inner()).handle_failure(&error, failure.will_retry))
        .collect();
    let gave_up = !failure.will_retry && !failures.is_empty();
    for tell in failures {
        tell();
    }
    if failure.attempt > 0 {
        shared.hooks.tell(&ClientEvent::ReconnectError(error));
        if gave_up {
            shared.hooks.tell(&ClientEvent::ReconnectFailed);
        }
    }
}

/// The connection is not to be brought back any more. Whoever waits for that, waits for nothing; what is open, or being
/// opened, is not concerned.
pub(crate) fn give_up(shared: &ClientCore) {
    if !shared.attempts(|attempts| attempts.is_waiting()) {
        return;
    }
    let sockets = shared.sockets().into_iter();
    let gave_up = sockets.filter(|socket| socket.inner().give_up()).count() > 0;
    shared.poke();
    if gave_up {
        shared.hooks.tell(&ClientEvent::ReconnectFailed);
    }
}

/// Opens a session. What becomes of it is told by `tell`.
async fn open(
    shared: &Arc<ClientCore>,
    attempt: u32,
    tell: oneshot::Sender<DisconnectReason>,
) -> Result<ClientSession<Connection>, ConnectError> {
    let deadline = (shared.settings().timeout)
        .and_then(|timeout| tokio::time::Instant::now().checked_add(timeout));
    let work = async {
        let mut request = shared.connector.request(shared.url.clone());
        request.attempt = attempt;
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
