//! Events and acknowledgements on their way out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sockeye_engine::{Dialect, HEADROOM, SendError, SendOptions, SessionHandle};
use sockeye_events::{AckFuture, AckTable, EmitError, Event, NoAnswer};
use sockeye_link::packet::{self, AckForm, Flags, emit_error, encode_for, send, with_buffers};
use sockeye_socket_proto::{Args, FromArgs, ToArgs, encode_disconnect, is_reserved_event};

use crate::Socket;
use crate::buffer::Waiting;
use crate::socket::{Inner, Phase};

impl Socket {
    /// Emits, or keeps the event until that is possible.
    pub(crate) fn emit_named<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        timeout: Option<Duration>,
        flags: Flags,
    ) -> Result<(), EmitError> {
        if is_reserved_event(name) {
            return Err(EmitError::ReservedName(name.into()));
        }
        let inner = self.inner();
        if inner.config.retries.is_some() && !flags.send.volatile {
            return self.emit_until_answered(name, args, ack_id, timeout, flags);
        }
        if let Some(session) = inner.live_session() {
            self.notify_outgoing(name, || Args::new(args))?;
            if let Some(result) = inner.send_event(&session, name, args, ack_id, flags) {
                return result;
            }
        }
        if flags.send.volatile {
            // Nobody waits for an event that may be dropped, unless for its answer.
            return ack_id.map_or(Ok(()), |_| Err(EmitError::NotReady));
        }
        let event = waiting(name, args, ack_id, flags)?;
        self.keep(event)
    }

    pub(crate) fn emit_named_with_ack<A: ToArgs + ?Sized, T: FromArgs>(
        &self,
        name: &str,
        args: &A,
        timeout: Option<Duration>,
        flags: Flags,
    ) -> AckFuture<T> {
        let inner = self.inner();
        let id = inner.next_ack_id();
        let timeout = timeout.or(inner.config.ack_timeout);
        // With retries, the time is that of one try.
        let whole = timeout.filter(|_| inner.config.retries.is_none());
        let owner: Arc<dyn AsRef<AckTable> + Send + Sync> = Arc::clone(inner) as _;
        let limit = inner.client_config.max_pending_acks;
        AckFuture::register(&owner, id, limit, whole, || {
            self.emit_named(name, args, Some(id), timeout, flags)
        })
    }

    /// Keeps an event until there is a connection.
    fn keep(&self, event: Waiting) -> Result<(), EmitError> {
        let inner = self.inner();
        let mut state = inner.lock();
        if let Phase::Connected(session) = &state.phase
            && session.is_open()
        {
            // It came to be connected just now.
            let session = session.clone();
            drop(state);
            self.notify_outgoing(&event.name, || Ok::<_, EmitError>(event.args.clone()))?;
            let Waiting {
                name,
                args,
                ack_id,
                flags,
            } = &event;
            if let Some(result) = inner.send_event(&session, name, args, *ack_id, *flags) {
                return result;
            }
            state = inner.lock();
        }
        let dropped = state.buffer.push(event, &inner.client_config.buffer)?;
        drop(state);
        for waiter in dropped
            .iter()
            .filter_map(|event| inner.acks.remove(event.ack_id?))
        {
            waiter.tell(Err(NoAnswer::Disconnected));
        }
        Ok(())
    }

    /// Sends what waited for the connection, until the outbox is full; false if it was.
    /// When nothing waits any more the socket is connected, under one lock, so that nothing can
    /// overtake.
    pub(crate) fn flush(&self, session: &SessionHandle) -> bool {
        let inner = self.inner();
        loop {
            let mut state = inner.lock();
            let Some(event) = state.buffer.pop() else {
                state.phase = Phase::Connected(session.clone());
                return true;
            };
            drop(state);
            if event.ack_id.is_some_and(|id| !inner.acks.contains(id)) {
                // Its time is over, or nobody waits for the answer any more.
                continue;
            }
            if session.queued() >= session.outbox_limit() {
                inner.lock().buffer.put_back(event);
                return false;
            }
            let Waiting {
                name,
                args,
                ack_id,
                flags,
            } = &event;
            let notified = self.notify_outgoing(name, || Ok::<_, EmitError>(args.clone()));
            let sent = notified.and_then(|()| {
                let options = flags.send;
                inner.write_event(session, name, args, *ack_id, options, flags.binary)
            });
            if let Err(error) = sent {
                tracing::debug!(event = %name, %error, "a kept event was not sent");
                if let Some(waiter) = ack_id.and_then(|id| inner.acks.remove(id)) {
                    waiter.tell(Err(NoAnswer::Disconnected));
                }
            }
        }
    }

    /// Puts an event into the retry queue, and sends it if it is its turn.
    fn emit_until_answered<A: ToArgs + ?Sized>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        timeout: Option<Duration>,
        flags: Flags,
    ) -> Result<(), EmitError> {
        let inner = self.inner();
        let id = ack_id.unwrap_or_else(|| inner.next_ack_id());
        let event = waiting(name, args, Some(id), flags)?;
        let timeout = timeout
            .or(inner.config.ack_timeout)
            .unwrap_or(Duration::MAX);
        let mut state = inner.lock();
        if let Some(queue) = &mut state.retry {
            queue.push(event, id, timeout, &inner.client_config.buffer)?;
        }
        drop(state);
        self.send_next();
        Ok(())
    }

    /// Sends the head of the retry queue, if it is not on its way.
    pub(crate) fn send_next(&self) {
        let inner = self.inner();
        let Some(session) = inner.live_session() else {
            return;
        };
        let mut state = inner.lock();
        let now = tokio::time::Instant::now().into_std();
        let Some((event, id)) = state.retry.as_mut().and_then(|queue| queue.next(now)) else {
            return;
        };
        let (name, args, flags) = (event.name.clone(), event.args.clone(), event.flags);
        drop(state);
        let notified = self.notify_outgoing(&name, || Ok::<_, EmitError>(args.clone()));
        let sent = notified.and_then(|()| {
            inner.write_event(&session, &name, &args, Some(id), flags.send, flags.binary)
        });
        if let Err(error) = sent {
            // It counts as a try: its time passes, or the connection ends.
            tracing::debug!(event = %name, %error, "an event was not sent");
        }
        // The connection has a deadline more to look after.
        session.wake();
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
        if let Some(waiter) = given_up.and_then(|id| inner.acks.remove(id)) {
            waiter.tell(Err(NoAnswer::Timeout));
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

    /// Tells the handlers of outgoing events, if there are any.
    fn notify_outgoing<E>(
        &self,
        name: &str,
        args: impl FnOnce() -> Result<Args, E>,
    ) -> Result<(), E> {
        let inner = self.inner();
        if !inner.has_outgoing() {
            return Ok(());
        }
        let args = args()?;
        let event = Event::incoming(self, name, args.as_raw(), None);
        for future in inner.listeners.load().dispatch_outgoing(&event) {
            tokio::spawn(future);
        }
        Ok(())
    }
}

impl Inner {
    pub(crate) fn has_outgoing(&self) -> bool {
        self.has_outgoing.load(Ordering::Acquire)
    }

    /// The session over which an event may go now. A machine that has slept through its heartbeat
    /// still believes in a connection that the server has given up: it is ended here.
    fn live_session(&self) -> Option<SessionHandle> {
        let session = self.session()?;
        if self.heartbeat.is_overdue() {
            session.abort(sockeye_engine::CloseReason::PingTimeout);
            return None;
        }
        Some(session)
    }

    /// Sends an event if the socket is still connected over this session.
    fn send_event<A: ToArgs + ?Sized>(
        &self,
        session: &SessionHandle,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        flags: Flags,
    ) -> Option<Result<(), EmitError>> {
        with_buffers(|buffers| {
            let namespace = self.namespace();
            let encoded = encode_for(
                session,
                buffers,
                namespace,
                name,
                args,
                ack_id,
                flags.binary,
            );
            let start = match encoded {
                Ok(start) => start,
                Err(error) => return Some(Err(error.into())),
            };
            // Locked, so that nothing can be sent behind the packet that leaves the namespace.
            let state = self.lock();
            if !state.is_in(session) {
                return None;
            }
            let sent = send(session, buffers, start, flags.send);
            drop(state);
            match sent {
                // The connection is gone, though nobody has been told so: the event waits.
                Err(SendError::Closed) => None,
                // Nobody waits for an event that may be dropped, unless for its answer.
                Err(SendError::NotReady) if ack_id.is_none() => Some(Ok(())),
                result => Some(result.map_err(emit_error)),
            }
        })
    }

    /// Sends an event over this session, whatever the state of the socket.
    fn write_event<A: ToArgs + ?Sized>(
        &self,
        session: &SessionHandle,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        options: SendOptions,
        binary: bool,
    ) -> Result<(), EmitError> {
        with_buffers(|buffers| {
            let start = encode_for(
                session,
                buffers,
                self.namespace(),
                name,
                args,
                ack_id,
                binary,
            )?;
            send(session, buffers, start, options).map_err(emit_error)
        })
    }

    /// Answers an event that came over this session.
    pub(crate) fn acknowledge<A: ToArgs + ?Sized>(
        &self,
        session: &SessionHandle,
        id: u64,
        args: &A,
    ) -> Result<(), EmitError> {
        // Encoded first: what the answer is made of may emit by itself.
        let args = Args::new(args)?;
        // Locked, so that nothing can be sent behind the packet that leaves the namespace.
        let state = self.lock();
        if !state.is_in(session) {
            return Err(EmitError::Disconnected);
        }
        packet::acknowledge(session, self.namespace(), id, &args, AckForm::Plain)
    }
}

/// Tells the server that a namespace is left. Over lines the end of the stream says it.
pub(crate) fn send_disconnect(session: &SessionHandle, namespace: &str) {
    if session.dialect() == Dialect::Lines {
        return;
    }
    with_buffers(|buffers| {
        let start = encode_disconnect(&mut buffers.text, HEADROOM, namespace);
        let _ = send(session, buffers, start, SendOptions::default());
    });
}

fn waiting<A: ToArgs + ?Sized>(
    name: &str,
    args: &A,
    ack_id: Option<u64>,
    flags: Flags,
) -> Result<Waiting, EmitError> {
    Ok(Waiting {
        name: name.into(),
        args: Args::new(args)?,
        ack_id,
        flags,
    })
}
