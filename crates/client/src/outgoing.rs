//! Events on their way out, and the answers to them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sockeye_engine::{Dialect, Revision, SessionHandle};
use sockeye_events::{
    AckFuture, AckTable, EmitError, Event, EventError, EventErrorKind, EventSocket, NoAnswer,
};
use sockeye_link::packet::{self, Flags, encode_for, send, with_buffers};
use sockeye_link::{EmitOptions, Emitter};
use sockeye_socket_proto::{Args, BytesOut, FromArgs, ToArgs};

use crate::Socket;
use crate::clock::now;
use crate::life::buffer::{Full, Waiting};
use crate::life::member::{Flush, NotKept};
use crate::life::retry::RetryQueue;
use crate::socket::{ClientSocket, is_in};

impl Emitter for Socket {
    fn emit_with<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> Result<(), EmitError> {
        self.emit_named(name, args, None, options)
    }

    fn ask_with<A: ToArgs + ?Sized, T: FromArgs>(
        &self,
        name: &str,
        args: &A,
        options: EmitOptions,
    ) -> AckFuture<T> {
        let inner = self.inner();
        let id = inner.lock().begin_emit();
        let timeout = options.timeout.or(inner.config.ack_timeout);
        let options = EmitOptions { timeout, ..options };
        // With retries, the time is that of one try.
        let whole = timeout.filter(|_| inner.config.retries.is_none());
        let owner: Arc<dyn AsRef<AckTable> + Send + Sync> = Arc::clone(inner) as _;
        let limit = inner.client_config.max_pending_acks;
        let mut sent = false;
        let answer = AckFuture::register(&owner, id, limit, whole, || {
            let result = self.emit_named(name, args, Some(id), options);
            sent = result.is_ok();
            result
        });
        if !sent {
            inner.lock().end_emit(Some(id));
        }
        answer
    }
}

impl Socket {
    /// Emits, or keeps the event until that is possible.
    fn emit_named<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        options: EmitOptions,
    ) -> Result<(), EmitError> {
        let flags = options.flags;
        let inner = self.inner();
        let session = inner.session();
        let dialect = match &session {
            Some(session) => Some(session.dialect()),
            None => inner.client().and_then(|client| client.next_dialect()),
        };
        // Where it is not known yet, the name is looked at once more when the event is sent.
        let on_stream = || match &session {
            Some(session) => packet::is_on_stream(session),
            None => inner.client().is_some_and(|client| client.next_is_stream()),
        };
        packet::check_name(dialect.unwrap_or(Dialect::Packets), on_stream, name)?;
        if inner.config.retries.is_some() && !flags.send.volatile {
            return self.emit_until_answered(name, args, ack_id, options, dialect);
        }
        let mut gone = None;
        if let Some(session) = session {
            if inner.is_live(&session) {
                match inner.send_event(&session, name, args, ack_id, flags)? {
                    Sent::Yes => {
                        self.notify_outgoing(name, || Args::new(args).ok());
                        return Ok(());
                    }
                    Sent::Dropped => return Ok(()),
                    Sent::Gone => {}
                }
            }
            gone = Some(session);
        }
        if flags.send.volatile {
            // Nobody waits for an event that may be dropped, unless for its answer.
            return ack_id.map_or(Ok(()), |_| Err(EmitError::NotReady));
        }
        let event = waiting(name, args, ack_id, flags, dialect, inner.limits())?;
        self.keep(event, gone)
    }

    /// Keeps an event until there is a connection, which is another than the one that is gone.
    fn keep(&self, mut event: Waiting, mut gone: Option<SessionHandle>) -> Result<(), EmitError> {
        let inner = self.inner();
        let limits = &inner.client_config.buffer;
        loop {
            // The socket may not have been told yet.
            let is_gone = |session: &_| gone.as_ref().is_some_and(|gone| gone.is_same(session));
            let is_awaited = |event: &_| inner.is_awaited(event);
            let kept = inner.lock().keep(event, limits, is_gone, is_awaited);
            let (session, returned) = match kept {
                Ok(dropped) => {
                    let dropped = dropped.iter().filter_map(|event| event.ack_id);
                    for waiter in dropped.filter_map(|id| inner.acks.remove(id)) {
                        waiter.tell(Err(NoAnswer::Disconnected));
                    }
                    return Ok(());
                }
                Err(NotKept::Full) => return Err(EmitError::BufferFull),
                // It came to be connected just now.
                Err(NotKept::Connected(session, event)) => (session, event),
            };
            let Waiting {
                name,
                args,
                ack_id,
                flags,
            } = &returned;
            match inner.send_event(&session, name, args, *ack_id, *flags)? {
                Sent::Yes => {
                    self.notify_outgoing(name, || Some(args.clone()));
                    return Ok(());
                }
                Sent::Dropped => return Ok(()),
                Sent::Gone => (gone, event) = (Some(session), returned),
            }
        }
    }

    /// Sends what waited for the connection, until the outbox is full or the socket does not want
    /// to be connected any more; false if so. When nothing waits any more the socket is connected,
    /// under one lock, so that nothing can overtake.
    pub(crate) fn flush(&self, session: &SessionHandle) -> bool {
        let inner = self.inner();
        loop {
            let next = inner.lock().flush(session, |event| inner.is_awaited(event));
            let event = match next {
                Flush::Send(event) => event,
                Flush::Entered => {
                    inner.warn_of_unseen_auth(session);
                    return true;
                }
                // Whoever has disconnected it wakes the connection, which lets go of it.
                Flush::Unwanted => return false,
            };
            if session.queued() >= session.outbox_limit() {
                inner.lock().put_back(event);
                return false;
            }
            match inner.write_event(session, &event) {
                Ok(()) => self.notify_outgoing(&event.name, || Some(event.args)),
                // Another socket was faster, or the session has just ended.
                Err(EmitError::OutboxFull | EmitError::Disconnected) => {
                    inner.lock().put_back(event);
                    return false;
                }
                // It cannot be sent over this connection, nor perhaps over any other.
                Err(error) => self.fail_kept(&event.name, event.ack_id, error),
            }
        }
    }

    /// A kept event cannot be sent: whoever waits for its answer is told, or else the error hook.
    fn fail_kept(&self, name: &str, ack_id: Option<u64>, error: EmitError) {
        match ack_id.and_then(|id| self.inner().acks.remove(id)) {
            Some(waiter) => waiter.tell(Err(NoAnswer::NotSent(error))),
            None => self.report(EventError::new(name, EventErrorKind::NotSent(error))),
        }
    }

    /// Puts an event into the retry queue, and sends it if it is its turn.
    fn emit_until_answered<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        options: EmitOptions,
        dialect: Option<Dialect>,
    ) -> Result<(), EmitError> {
        let EmitOptions { flags, timeout } = options;
        let inner = self.inner();
        let id = ack_id.unwrap_or_else(|| inner.lock().next_ack_id());
        let event = waiting(name, args, Some(id), flags, dialect, inner.limits())?;
        let timeout = timeout
            .or(inner.config.ack_timeout)
            .unwrap_or(Duration::MAX);
        let mut state = inner.lock();
        if let Some(queue) = &mut state.retry {
            let limits = &inner.client_config.buffer;
            let pushed = queue.push(event, id, timeout, limits);
            pushed.map_err(|Full| EmitError::BufferFull)?;
        }
        state.end_emit(ack_id);
        drop(state);
        self.send_next();
        Ok(())
    }

    /// Sends the head of the retry queue, if it is not on its way.
    pub(crate) fn send_next(&self) {
        let inner = self.inner();
        let session = inner.session();
        let Some(session) = session.filter(|session| inner.is_live(session)) else {
            return;
        };
        loop {
            let mut state = inner.lock();
            if !is_in(&state, &session) {
                // The next connection begins with the head of the queue.
                return;
            }
            let Some(queue) = &mut state.retry else {
                return;
            };
            let Some((event, id)) = queue.next(now()) else {
                return;
            };
            let (name, args) = (event.name.clone(), event.args.clone());
            // Still locked, so that it is not sent behind the end of the connection that it counts
            // for.
            match inner.write_event(&session, event) {
                Ok(()) => {
                    drop(state);
                    self.notify_outgoing(&name, || Some(args));
                    // The connection has a deadline more to look after.
                    session.wake();
                    return;
                }
                // Nothing was written, so that it is no try. Without a connection it is the next
                // one that begins with it; here somebody has to look when there is room again.
                Err(EmitError::Disconnected) => return queue.put_off(),
                Err(EmitError::OutboxFull) => {
                    queue.put_off();
                    let waits = queue.wait_for_room();
                    drop(state);
                    if waits {
                        // The connection looks after it, which outlives whoever emits here.
                        session.wake();
                    }
                    return;
                }
                // To try again would not help. The next one may go.
                Err(error) => {
                    queue.drop_head();
                    drop(state);
                    self.fail_kept(&name, Some(id), error);
                }
            }
        }
    }

    /// The outbox has room: sends the head of the retry queue, if it waits for that.
    pub(crate) fn handle_room(&self) {
        let mut state = self.inner().lock();
        let waited = state.retry.as_mut().is_some_and(RetryQueue::found_room);
        drop(state);
        if waited {
            self.send_next();
        }
    }

    /// The time of the head of the retry queue is over: it is sent again, or given up.
    pub(crate) fn handle_retry_timeout(&self, now: Instant) {
        let inner = self.inner();
        let mut state = inner.lock();
        let Some(queue) = state.retry.as_mut() else {
            return;
        };
        if queue.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let given_up = queue.handle_failure();
        drop(state);
        if let Some(event) = given_up {
            self.give_up_event(&event, NoAnswer::Timeout);
        }
        self.send_next();
    }

    /// An acknowledgement came.
    pub(crate) fn handle_ack(&self, id: u64, args: impl FnOnce() -> Args) {
        let inner = self.inner();
        inner.acks.answer(id, args);
        if inner.config.retries.is_some() {
            let is_head = inner
                .lock()
                .retry
                .as_mut()
                .is_some_and(|queue| queue.handle_ack(id));
            if is_head {
                self.send_next();
            }
        }
    }

    /// Tells the handlers of outgoing events, if there are any, that one was sent.
    fn notify_outgoing(&self, name: &str, args: impl FnOnce() -> Option<Args>) {
        let inner = self.inner();
        let Some(handlers) = inner.listeners.load_outgoing() else {
            return;
        };
        let Some((args, client)) = args().zip(inner.client()) else {
            return;
        };
        let event = Event::incoming(self, name, args.as_raw(), None);
        for future in handlers.dispatch_outgoing(&event) {
            client.spawn(future);
        }
    }
}

/// What became of an event that could be encoded.
enum Sent {
    Yes,
    /// It is volatile.
    Dropped,
    /// The socket is not connected over this session any more.
    Gone,
}

impl ClientSocket {
    /// Some servers let everyone into `/` without being asked, so that there is nothing to show what
    /// was configured with. Said once, and without what it is.
    fn warn_of_unseen_auth(&self, session: &SessionHandle) {
        let unseen = session.dialect() == Dialect::Lines || session.revision() == Revision::V3;
        if unseen
            && self.config.auth.is_some()
            && self.namespace() == "/"
            && !self.has_warned_of_auth.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the server takes no auth for `/`: it is not sent");
        }
    }

    /// Whether an event may go over the session now. A machine that has slept through its
    /// heartbeat still believes in a connection that the server has given up: it is ended here. There
    /// is no heartbeat in a session that takes nothing more, such as one of which this side has closed its half.
    fn is_live(&self, session: &SessionHandle) -> bool {
        let overdue = self.heartbeat.is_overdue() && !session.is_paused() && session.is_open();
        if overdue {
            let cause = "the machine has slept past the heartbeat";
            session.abort(sockeye_engine::CloseReason::PingTimeout, cause);
        }
        !overdue
    }

    /// Whether a kept event is to be sent: not if its time is over, or nobody waits for the answer
    /// any more.
    fn is_awaited(&self, event: &Waiting) -> bool {
        event.ack_id.is_none_or(|id| self.acks.contains(id))
    }

    /// Sends an event if the socket is still connected over this session.
    fn send_event<A: ToArgs + ?Sized>(
        &self,
        session: &SessionHandle,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        flags: Flags,
    ) -> Result<Sent, EmitError> {
        with_buffers(|buffers| {
            let namespace = self.namespace();
            let limits = self.limits().inline(!flags.binary);
            let start = encode_for(session, buffers, namespace, name, args, ack_id, limits)?;
            // Locked, so that nothing can be sent behind the packet that leaves the namespace.
            let mut state = self.lock();
            if !is_in(&state, session) {
                return Ok(Sent::Gone);
            }
            match send(self.peer(session), buffers, start, flags.send) {
                Ok(()) => {
                    state.end_emit(ack_id);
                    Ok(Sent::Yes)
                }
                // The connection is gone, though nobody has been told so: the event waits.
                Err(EmitError::Disconnected) => Ok(Sent::Gone),
                // Nobody waits for an event that may be dropped, unless for its answer.
                Err(EmitError::NotReady) if ack_id.is_none() => Ok(Sent::Dropped),
                Err(EmitError::Encode(error)) => Err(error.of_event(name).into()),
                Err(error) => Err(error),
            }
        })
    }

    /// Sends an event over this session, whatever the state of the socket.
    fn write_event(&self, session: &SessionHandle, event: &Waiting) -> Result<(), EmitError> {
        let Waiting {
            name,
            args,
            ack_id,
            flags,
        } = event;
        tracing::trace!(
            namespace = self.namespace(),
            event = &**name,
            wants_ack = ack_id.is_some(),
            "emit"
        );
        with_buffers(|buffers| {
            let (peer, namespace) = (self.peer(session), self.namespace());
            let limits = self.limits().inline(!flags.binary);
            let start = encode_for(session, buffers, namespace, name, args, *ack_id, limits)?;
            packet::send_event_if(peer, buffers, start, (name, *ack_id), flags.send, || true)
        })
    }
}

/// An event that is kept. What could not be sent later is refused now, as far as that can be known.
fn waiting<A: ToArgs + ?Sized>(
    name: &str,
    args: &A,
    ack_id: Option<u64>,
    flags: Flags,
    dialect: Option<Dialect>,
    limits: BytesOut,
) -> Result<Waiting, EmitError> {
    let args = Args::new(args).map_err(|error| error.of_event(name))?;
    let inline = dialect == Some(Dialect::Lines) || !flags.binary;
    // Where it is not known yet, lines may take what attachments would not.
    if inline || dialect.is_some() {
        let checked = limits.inline(inline).check(args.attachments());
        checked.map_err(|error| error.of_event(name))?;
    }
    Ok(Waiting {
        name: name.into(),
        args,
        ack_id,
        flags,
    })
}
