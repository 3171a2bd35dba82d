//! What is known of one socket, and what becomes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};
use sockeye_engine::SessionHandle;
use sockeye_events::names::{CONNECT_ERROR, DISCONNECTING};
use sockeye_events::{AckTable, DisconnectReason, Event, Listeners, NoAnswer, StateMap};

use sockeye_link::{Own, Peer, packet};
use sockeye_socket_proto::BytesOut;
use tokio::sync::oneshot;

use super::Socket;
use super::reporting::Reporting;
use crate::config::SocketConfig;
use crate::heartbeat::Heartbeat;
use crate::life::member::Member;
use crate::life::membership::Leave;
use crate::socket::shared::ClientCore;
use crate::{ClientConfig, ConnectError};

/// One namespace of a client, as its handles, its task and its connection share it.
pub(crate) struct ClientSocket {
    namespace: Box<str>,
    client: Weak<ClientCore>,
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
    /// otherwise. Read without the lock, as it is for each event.
    pub(super) recovers: AtomicBool,
    /// Whether the server expects acknowledgements in the form of the first releases.
    pub(super) counted_acks: AtomicBool,
    pub(crate) has_warned_of_auth: AtomicBool,
    reporting: Reporting,
    pub(crate) acks: AckTable,
    state: Mutex<SocketMember>,
}

/// What changes.
pub(crate) type SocketMember = Member<SessionHandle, Waiter>;

pub(crate) type Waiter = oneshot::Sender<Result<(), ConnectError>>;

/// A socket is itself alone.
impl PartialEq for ClientSocket {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl AsRef<Reporting> for ClientSocket {
    fn as_ref(&self) -> &Reporting {
        &self.reporting
    }
}

impl ClientSocket {
    pub(crate) fn new(
        namespace: &str,
        client: &Arc<ClientCore>,
        config: SocketConfig,
    ) -> Arc<Self> {
        let state = SocketMember::new(config.retries);
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

    pub(crate) fn client(&self) -> Option<Arc<ClientCore>> {
        self.client.upgrade()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SocketMember> {
        self.state.lock()
    }

    pub(crate) fn id(&self) -> Option<Arc<str>> {
        self.lock().membership.id().cloned()
    }

    pub(crate) fn recovered(&self) -> bool {
        self.lock().membership.recovered()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.lock().membership.is_wanted()
    }

    pub(crate) fn waiting_events(&self) -> usize {
        self.lock().waiting()
    }

    /// The session over which the socket is connected.
    pub(crate) fn session(&self) -> Option<SessionHandle> {
        self.lock().membership.session().cloned()
    }

    /// Whether the socket is connected over this session.
    pub(crate) fn is_in(&self, session: Option<&SessionHandle>) -> bool {
        session.is_some_and(|session| is_in(&self.lock(), session))
    }

    /// The values for the `State` extractor.
    pub(crate) fn states(&self) -> &StateMap {
        &self.states
    }
}

/// Connecting and disconnecting: does what the [`Membership`](crate::life::membership::Membership) says.
impl ClientSocket {
    /// Wants to be connected, for good; false if that is nothing new.
    pub(crate) fn want(&self) -> bool {
        self.lock().membership.want()
    }

    /// Who is sent to over this session.
    pub(crate) fn peer<'a>(&'a self, session: &'a SessionHandle) -> Peer<'a> {
        self.client_config.peer(session)
    }

    /// How many bytes may be sent at once.
    pub(crate) fn limits(&self) -> BytesOut {
        self.client_config.connection.bytes_out()
    }

    pub(crate) fn disconnect(&self) {
        let mut state = self.lock();
        let (session, waiters) = state.membership.disconnect();
        // Still locked, so that nothing can be sent behind it.
        if let Some(session) = session {
            packet::leave(self.peer(&session), &self.namespace);
        }
        drop(state);
        tell(waiters, &Err(ConnectError::Cancelled));
    }

    /// The connection lets go of the socket, if it does not want to be in any more.
    pub(crate) fn let_go(self: &Arc<Self>) -> Leave {
        let leaving = self.lock().membership.is_leaving();
        if leaving {
            // Nobody but the one who calls this leads out of that phase.
            self.tell_disconnecting(DisconnectReason::IoClientDisconnect);
        }
        self.lock().membership.let_go()
    }

    /// An attempt to open a session has failed. What is to be told of it comes back, if it
    /// concerns this socket: once all sockets know, as those that are told may connect others.
    pub(crate) fn handle_failure(
        self: Arc<Self>,
        error: &ConnectError,
        will_retry: bool,
    ) -> Option<impl FnOnce() + use<>> {
        let waiters = self.lock().membership.handle_failure(will_retry)?;
        let error = error.clone();
        Some(move || {
            tell(waiters, &Err(error.clone()));
            self.tell_connect_error(&error);
        })
    }

    /// The attempt that the socket waits for will not be made; whether it did.
    pub(crate) fn give_up(&self) -> bool {
        let waiters = self.lock().membership.handle_failure(false);
        let did = waiters.is_some();
        tell(waiters.unwrap_or_default(), &Err(ConnectError::Cancelled));
        did
    }

    /// The client's task is gone without having ended its session: its runtime was shut down, or
    /// something in it panicked.
    pub(crate) fn handle_lost_task(self: &Arc<Self>) {
        let waiters = self.lock().membership.handle_lost();
        tell(waiters, &Err(ConnectError::Cancelled));
        self.fail_acks();
    }

    /// The server has refused the socket, or it could not even be asked.
    pub(crate) fn handle_refused(self: &Arc<Self>, error: &ConnectError) {
        let (was_wanted, waiters) = self.lock().membership.handle_refused();
        tell(waiters, &Err(error.clone()));
        if was_wanted {
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
        let waiters = self.lock().membership.take_waiters();
        move || tell(waiters, &Ok(()))
    }

    /// Takes note of what the server has said when it let the socket in.
    pub(crate) fn handle_connected(
        &self,
        id: Option<Arc<str>>,
        recovery: Option<(&str, Option<&str>)>,
        counted_acks: bool,
    ) {
        let mut state = self.lock();
        let recovers = state.membership.handle_accepted(id, recovery);
        // Still locked: they are of this stay.
        self.recovers.store(recovers, Ordering::Relaxed);
        self.counted_acks.store(counted_acks, Ordering::Relaxed);
    }

    /// The server's acknowledgements have shown of which form they are.
    pub(crate) fn handle_counted_acks(&self) {
        self.counted_acks.store(true, Ordering::Relaxed);
    }

    /// The session is over, or the server has disconnected the socket; whether it was connected,
    /// or at least being connected.
    pub(crate) fn handle_left(self: &Arc<Self>, error: &ConnectError, stays_active: bool) -> bool {
        let Some(end) = self.lock().membership.begin_end(stays_active) else {
            return false;
        };
        if end.was_connected
            && let ConnectError::Ended(reason) = error
        {
            self.tell_disconnecting(*reason);
        }
        self.lock().membership.finish_end();
        tell(end.waiters, &Err(error.clone()));
        true
    }

    /// Fails the acknowledgements of what was sent, but not of what waits to be sent, or to be
    /// sent again.
    pub(crate) fn fail_acks(self: &Arc<Self>) {
        let mut lost = self.lock().handle_end();
        if let Some(event) = lost.given_up.take() {
            let socket = Socket::internal(Arc::clone(self));
            socket.give_up_event(&event, NoAnswer::Disconnected);
        }
        self.acks.fail_where(|id| lost.has(id));
    }
}

/// Whether a socket is connected over this session.
pub(crate) fn is_in(state: &SocketMember, session: &SessionHandle) -> bool {
    let own = state.membership.session();
    own.is_some_and(|own| own.is_same(session))
}

fn tell(waiters: Vec<Waiter>, result: &Result<(), ConnectError>) {
    for waiter in waiters {
        let _ = waiter.send(result.clone());
    }
}

impl AsRef<AckTable> for ClientSocket {
    fn as_ref(&self) -> &AckTable {
        &self.acks
    }
}
