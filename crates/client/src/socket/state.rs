//! What is known of one socket, and what becomes of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};
use sockeye_engine::SessionHandle;
use sockeye_events::names::{CONNECT_ERROR, DISCONNECTING};
use sockeye_events::{AckTable, DisconnectReason, Event, Listeners, NoAnswer, StateMap};

use sockeye_link::{Own, Peer, packet};
use tokio::sync::oneshot;

use super::Socket;
use super::reporting::Reporting;
use crate::config::SocketConfig;
use crate::heartbeat::Heartbeat;
use crate::life::buffer::Buffer;
use crate::life::recovery::Recovery;
use crate::life::retry::RetryQueue;
use crate::shared::Shared;
use crate::{ClientConfig, ConnectError};

/// One namespace of a client, as its handles, its task and its connection share it.
pub(crate) struct Inner {
    namespace: Box<str>,
    client: Weak<Shared>,
    states: Arc<StateMap>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) client_config: Arc<ClientConfig>,
    pub(crate) config: SocketConfig,
    pub(crate) listeners: Listeners<Socket>,
    /// What the application keeps with the socket.
    pub(super) data: StateMap,
    /// What few sockets have.
    pub(crate) own: OnceLock<Box<Own<Socket>>>,
    /// Whether the session can be recovered, so that offsets of events need not be looked for
    /// otherwise.
    pub(crate) recovers: AtomicBool,
    /// Whether the server expects acknowledgements in the form of the first releases.
    pub(crate) counted_acks: AtomicBool,
    pub(crate) has_warned_of_auth: AtomicBool,
    reporting: Reporting,
    pub(crate) acks: AckTable,
    state: Mutex<State>,
}

/// What changes.
pub(crate) struct State {
    activation: Activation,
    pub(crate) phase: Phase,
    /// Who waits for the outcome of an attempt to connect.
    waiters: Vec<Waiter>,
    pub(crate) buffer: Buffer,
    pub(crate) retry: Option<RetryQueue>,
    pub(crate) recovery: Recovery,
    id: Option<Arc<str>>,
    recovered: bool,
    next_ack: u64,
    /// The ack ids of events that are being emitted right now, neither sent nor kept yet.
    emitting: Vec<u64>,
}

type Waiter = oneshot::Sender<Result<(), ConnectError>>;

/// Whether the socket wants to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activation {
    Off,
    /// For the attempt that somebody waits for.
    Attempt,
    /// Until it is disconnected.
    Kept,
}

/// How far the socket is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Idle,
    /// It cannot ask to be let in before the server has answered an earlier request.
    PutOff,
    /// The connection sees to its joining.
    Joining,
    /// The server has let it in.
    Connected(SessionHandle),
    /// It was disconnected by this side, which the connection does not know yet.
    Leaving,
    /// The same, but while it was joining.
    Abandoned,
    /// Its stay has been ended by the server, or with the connection, and its handlers are being
    /// told. What is emitted meanwhile must not go to a namespace that the server may have left
    /// already, but the id is still known.
    Ending,
}

/// What a connection finds out about a socket that may not want to be in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It does, or was not in.
    Stays,
    /// It was being connected, and nobody wants that any more.
    Abandoned,
    /// It was connected, and left.
    Left,
}

impl AsRef<Reporting> for Inner {
    fn as_ref(&self) -> &Reporting {
        &self.reporting
    }
}

impl Inner {
    pub(crate) fn new(namespace: &str, client: &Arc<Shared>, config: SocketConfig) -> Arc<Self> {
        let state = State {
            activation: Activation::Off,
            phase: Phase::Idle,
            waiters: Vec::new(),
            buffer: Buffer::default(),
            retry: config.retries.map(RetryQueue::new),
            recovery: Recovery::default(),
            id: None,
            recovered: false,
            next_ack: 0,
            emitting: Vec::new(),
        };
        Arc::new(Self {
            namespace: namespace.into(),
            client: Arc::downgrade(client),
            states: Arc::clone(&client.states),
            heartbeat: Arc::clone(&client.heartbeat),
            client_config: Arc::clone(&client.config),
            config,
            listeners: Listeners::default(),
            data: StateMap::default(),
            own: OnceLock::new(),
            recovers: AtomicBool::new(false),
            counted_acks: AtomicBool::new(false),
            has_warned_of_auth: AtomicBool::new(false),
            reporting: Reporting::default(),
            acks: AckTable::default(),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn client(&self) -> Option<Arc<Shared>> {
        self.client.upgrade()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Ids count per socket and go on through reconnections: an answer that was meant for an
    /// earlier connection cannot be taken for another's.
    pub(crate) fn next_ack_id(&self) -> u64 {
        self.lock().next_ack_id()
    }

    /// The same, for an event that is about to be emitted: until it is sent or kept, its
    /// acknowledgement cannot have been lost with a connection.
    pub(crate) fn begin_emit(&self) -> u64 {
        let mut state = self.lock();
        let id = state.next_ack_id();
        state.emitting.push(id);
        id
    }

    pub(crate) fn id(&self) -> Option<Arc<str>> {
        self.lock().id.clone()
    }

    pub(crate) fn recovered(&self) -> bool {
        self.lock().recovered
    }

    pub(crate) fn is_active(&self) -> bool {
        self.lock().is_active()
    }

    pub(crate) fn waiting_events(&self) -> usize {
        let state = self.lock();
        state.buffer.len() + state.retry.as_ref().map_or(0, RetryQueue::len)
    }

    /// The session over which the socket is connected.
    pub(crate) fn session(&self) -> Option<SessionHandle> {
        match &self.lock().phase {
            Phase::Connected(session) => Some(session.clone()),
            _ => None,
        }
    }

    /// Whether the socket is connected over this session.
    pub(crate) fn is_in(&self, session: Option<&SessionHandle>) -> bool {
        session.is_some_and(|session| self.lock().is_in(session))
    }

    /// The values for the `State` extractor.
    pub(crate) fn states(&self) -> &StateMap {
        &self.states
    }
}

/// Connecting and disconnecting.
impl Inner {
    /// Wants to be connected, for good; false if that is nothing new.
    pub(crate) fn activate(&self) -> bool {
        let mut state = self.lock();
        std::mem::replace(&mut state.activation, Activation::Kept) == Activation::Off
    }

    /// Wants to be connected for somebody who waits; false if it is connected.
    pub(crate) fn activate_for(&self, waiter: Waiter) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Connected(_)) {
            return false;
        }
        state.waiters.push(waiter);
        if state.activation == Activation::Off {
            state.activation = Activation::Attempt;
        }
        true
    }

    /// Wants nothing any more; whoever waits is told that it was cancelled.
    pub(crate) fn deactivate(&self) {
        let mut state = self.lock();
        state.activation = Activation::Off;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        tell(waiters, &Err(ConnectError::Cancelled));
    }

    /// Who is sent to over this session.
    pub(crate) fn peer<'a>(&'a self, session: &'a SessionHandle) -> Peer<'a> {
        self.client_config.peer(session)
    }

    pub(crate) fn disconnect(&self) {
        let mut state = self.lock();
        state.activation = Activation::Off;
        let waiters = std::mem::take(&mut state.waiters);
        state.abandon();
        match &state.phase {
            Phase::Connected(session) => {
                packet::leave(self.peer(session), &self.namespace);
                state.phase = Phase::Leaving;
            }
            // It leaves on purpose what was about to be lost.
            Phase::Ending => state.recovery = Recovery::default(),
            _ => {}
        }
        drop(state);
        tell(waiters, &Err(ConnectError::Cancelled));
    }

    /// The connection lets go of the socket, if it does not want to be in any more.
    pub(crate) fn take_leave(self: &Arc<Self>) -> Leave {
        let leaving = matches!(self.lock().phase, Phase::Leaving);
        if leaving {
            // Nobody but the one who calls this leads out of that phase.
            self.tell_disconnecting(DisconnectReason::IoClientDisconnect);
        }
        let mut state = self.lock();
        match (&state.phase, state.activation) {
            (Phase::Leaving, _) => {
                state.leave();
                // What was left on purpose cannot be recovered.
                state.recovery = Recovery::default();
                Leave::Left
            }
            (Phase::Abandoned, _) | (Phase::Joining | Phase::PutOff, Activation::Off) => {
                state.leave();
                Leave::Abandoned
            }
            _ => Leave::Stays,
        }
    }

    /// The connection sees to the socket's joining from now on, if it wants to be in and is not.
    pub(crate) fn begin_join(&self) -> bool {
        let mut state = self.lock();
        let waits = matches!(state.phase, Phase::Idle | Phase::PutOff);
        let wants = waits && state.activation != Activation::Off;
        if wants {
            state.phase = Phase::Joining;
        }
        wants
    }

    /// The connection cannot see to it yet.
    pub(crate) fn put_off_join(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Joining) {
            state.phase = Phase::PutOff;
        }
    }

    /// An attempt to open a session has failed. What is to be told of it comes back, if it
    /// concerns this socket: once all sockets know, as those that are told may connect others.
    pub(crate) fn handle_failure(
        self: Arc<Self>,
        error: &ConnectError,
        will_retry: bool,
    ) -> Option<impl FnOnce() + use<>> {
        let mut state = self.lock();
        if state.activation == Activation::Off {
            return None;
        }
        if state.activation == Activation::Attempt || !will_retry {
            state.activation = Activation::Off;
        }
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        let error = error.clone();
        Some(move || {
            tell(waiters, &Err(error.clone()));
            self.tell_connect_error(&error);
        })
    }

    /// The client's task is gone without having ended its session: its runtime was shut down, or
    /// something in it panicked.
    pub(crate) fn handle_lost_task(self: &Arc<Self>) {
        self.lock().leave();
        self.deactivate();
        self.fail_acks();
    }

    /// The server has refused the socket, or it could not even be asked.
    pub(crate) fn handle_refused(self: &Arc<Self>, error: &ConnectError) {
        let mut state = self.lock();
        state.leave();
        let wanted = std::mem::replace(&mut state.activation, Activation::Off);
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        tell(waiters, &Err(error.clone()));
        if wanted != Activation::Off {
            self.tell_connect_error(error);
        }
    }

    pub(crate) fn tell_connect_error(self: &Arc<Self>, error: &ConnectError) {
        tracing::debug!(namespace = self.namespace(), error = %format_args!("{error:#}"), "not connected");
        let socket = Socket::internal(Arc::clone(self));
        socket.dispatch_own(&Event::local(&socket, CONNECT_ERROR).with_detail(error));
    }

    /// The socket is about to leave. What it waits for has not failed yet.
    fn tell_disconnecting(self: &Arc<Self>, reason: DisconnectReason) {
        let socket = Socket::internal(Arc::clone(self));
        socket.dispatch_own(&Event::disconnect(&socket, DISCONNECTING, reason));
    }

    /// The socket is connected: who waits for that can be told.
    pub(crate) fn finish_connect(&self) -> impl FnOnce() + use<> {
        let waiters = std::mem::take(&mut self.lock().waiters);
        move || tell(waiters, &Ok(()))
    }

    /// Takes note of what the server has said when it let the socket in.
    pub(crate) fn handle_connected(&self, id: Option<Arc<str>>, pid: Option<&str>) {
        self.recovers.store(pid.is_some(), Ordering::Relaxed);
        self.counted_acks.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        state.id = id;
        state.recovered = state.recovery.handle_connected(pid);
    }

    /// The session is over, or the server has disconnected the socket; whether it was connected,
    /// or at least being connected.
    pub(crate) fn handle_left(self: &Arc<Self>, error: &ConnectError, stays_active: bool) -> bool {
        let mut state = self.lock();
        let was_connected = match state.phase {
            Phase::Idle => return false,
            Phase::PutOff => {
                // It has asked for nothing yet, and the next session owes it no answer.
                state.phase = Phase::Idle;
                return false;
            }
            Phase::Connected(_) => {
                state.phase = Phase::Ending;
                true
            }
            // Left a moment ago, which the connection does not know yet.
            Phase::Leaving => true,
            _ => false,
        };
        if state.activation == Activation::Off {
            // What was left on purpose cannot be recovered.
            state.recovery = Recovery::default();
        }
        // Before the handlers are told: who wants to be connected from here on means the next stay.
        if !stays_active || state.activation == Activation::Attempt {
            state.activation = Activation::Off;
        }
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        if was_connected && let ConnectError::Ended(reason) = error {
            self.tell_disconnecting(*reason);
        }
        self.lock().leave();
        tell(waiters, &Err(error.clone()));
        true
    }

    /// Fails the acknowledgements of what was sent, but not of what waits to be sent, or to be
    /// sent again.
    pub(crate) fn fail_acks(self: &Arc<Self>) {
        let mut state = self.lock();
        let given_up = state.retry.as_mut().and_then(RetryQueue::handle_failure);
        let waiting: HashSet<u64> = state
            .buffer
            .ack_ids()
            .chain(state.retry.iter().flat_map(RetryQueue::ack_ids))
            .chain(state.emitting.iter().copied())
            .collect();
        let fresh = state.next_ack;
        drop(state);
        if let Some(event) = given_up {
            let socket = Socket::internal(Arc::clone(self));
            socket.give_up(&event, NoAnswer::Disconnected);
        }
        self.acks
            .fail_where(|id| id < fresh && !waiting.contains(&id));
    }
}

impl State {
    /// Whether the socket is connected over this session.
    pub(crate) fn is_in(&self, session: &SessionHandle) -> bool {
        matches!(&self.phase, Phase::Connected(own) if own.is_same(session))
    }

    /// Whether the socket wants to be connected.
    pub(crate) fn is_active(&self) -> bool {
        self.activation != Activation::Off
    }

    /// Whether the socket is joining, and still wants to.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Joining) && self.is_active()
    }

    /// The server has let the socket in, and everything that waited is sent. From now on it wants
    /// to stay.
    pub(crate) fn enter(&mut self, session: &SessionHandle) {
        self.phase = Phase::Connected(session.clone());
        self.activation = Activation::Kept;
    }

    /// The event with this ack id is sent or kept, or will not be.
    pub(crate) fn end_emit(&mut self, ack_id: Option<u64>) {
        if let Some(id) = ack_id {
            self.emitting.retain(|other| *other != id);
        }
    }

    const fn next_ack_id(&mut self) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        id
    }

    /// Gives up joining. If the socket wants to join again before the connection has seen to this,
    /// it is by another request.
    fn abandon(&mut self) {
        if matches!(self.phase, Phase::Joining | Phase::PutOff) {
            self.phase = Phase::Abandoned;
        }
    }

    fn leave(&mut self) {
        self.phase = Phase::Idle;
        self.id = None;
    }
}

fn tell(waiters: Vec<Waiter>, result: &Result<(), ConnectError>) {
    for waiter in waiters {
        let _ = waiter.send(result.clone());
    }
}

impl AsRef<AckTable> for Inner {
    fn as_ref(&self) -> &AckTable {
        &self.acks
    }
}

/// An attempt that somebody waits for: given up if nobody does any more.
pub(super) struct Attempt {
    socket: Arc<Inner>,
    /// In here, so that it is closed when the others are counted.
    outcome: oneshot::Receiver<Result<(), ConnectError>>,
}

impl Attempt {
    /// Begins to wait; `None` if the socket is connected.
    pub(super) fn begin(socket: &Arc<Inner>) -> Option<Self> {
        let (sender, outcome) = oneshot::channel();
        socket.activate_for(sender).then(|| Self {
            socket: Arc::clone(socket),
            outcome,
        })
    }

    pub(super) async fn outcome(mut self) -> Result<(), ConnectError> {
        let outcome = (&mut self.outcome).await;
        outcome.unwrap_or(Err(ConnectError::Cancelled))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.outcome.close();
        let mut state = self.socket.lock();
        state.waiters.retain(|waiter| !waiter.is_closed());
        let given_up = state.activation == Activation::Attempt && state.waiters.is_empty();
        if given_up {
            state.activation = Activation::Off;
            state.abandon();
        }
        drop(state);
        if given_up && let Some(client) = self.socket.client() {
            client.poke();
        }
    }
}
