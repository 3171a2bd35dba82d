mod answering;
mod ending;
mod listeners;
mod reporting;
pub(crate) mod shared;
mod state;
mod stream;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sockeye_engine::{SessionHandle, TransportKind};
use sockeye_events::{
    AckFuture, EmitError, Event, EventError, EventErrorKind, EventSocket, ExtractError, FromEvent,
    Listeners, NoAnswer, PeerSocket, Refusal, StateMap, start_alone,
};
use sockeye_link::{Own, Receiver, packet, tell_error};
use sockeye_socket_proto::{FromArgs, RawArgs, ToArgs};

use crate::config::SocketConfig;
use crate::life::buffer::Waiting;
use crate::life::recovery::offset_of;
use crate::{ConnectError, Emission};
use shared::{Alive, ClientCore};
pub(crate) use state::{ClientSocket, Waiter, is_in};

/// This side of one namespace.
///
/// It is connected by [`connect`](Self::connect), or in the background by
/// [`connect_lazy`](Self::connect_lazy), and from then on comes back by itself whenever the
/// connection is lost, until it is [disconnected](Self::disconnect). Events that are emitted
/// while there is no connection are kept, and sent in order once there is one again.
///
/// It dereferences to its [`Listeners`], which have the methods that add handlers and remove them.
///
/// Cheap to clone; usable from any thread. When the last handle of a client and of its sockets
/// is dropped, the client disconnects; what was emitted while it was connected is still sent. A
/// handler that has a clone of its own socket keeps it, so that this never happens: handlers had
/// better take the socket as a parameter.
///
/// ```no_run
/// # use sockeye_client as sockeye;
/// use std::time::Duration;
///
/// use sockeye::{Client, Data};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = Client::connect("http://localhost:3000").await?;
/// socket.on("chat", |Data(text): Data<String>| println!("{text}"));
/// socket.emit("chat", ("lobby", "hello"))?; // two arguments
/// let sum: i64 = socket
///     .timeout(Duration::from_secs(5))
///     .emit_with_ack("sum", vec![1, 2, 3])
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Socket {
    inner: Arc<ClientSocket>,
    /// What the application holds; the client's own references do without.
    alive: Option<Arc<Alive>>,
    /// For a socket that an event came by: the session, as the answers to what came by it must not
    /// go elsewhere.
    origin: Option<SessionHandle>,
}

impl Socket {
    /// The socket of a namespace, for what the library itself does with it.
    pub(crate) fn new(namespace: &str, client: &Arc<ClientCore>, config: SocketConfig) -> Self {
        Self::internal(ClientSocket::new(namespace, client, config))
    }

    /// The same socket for the application.
    pub(crate) fn held(self, alive: Arc<Alive>) -> Self {
        Self {
            alive: Some(alive),
            ..self
        }
    }

    /// What keeps the client, if it is there.
    pub(crate) fn alive(&self) -> Option<Arc<Alive>> {
        let known = self.alive.clone();
        known.or_else(|| Some(self.inner.client()?.alive()))
    }

    /// For what the library itself does with a socket.
    pub(crate) const fn internal(inner: Arc<ClientSocket>) -> Self {
        Self {
            inner,
            alive: None,
            origin: None,
        }
    }

    pub(crate) fn of_session(inner: Arc<ClientSocket>, origin: SessionHandle) -> Self {
        Self {
            inner,
            alive: None,
            origin: Some(origin),
        }
    }

    /// Leaves the namespace at once and for good: the socket does not come back by itself, and an
    /// attempt to connect is given up. If it was the client's last active socket, the connection
    /// is closed after what was emitted before is sent.
    ///
    /// Acknowledgements that are waited for fail. Events that wait for a connection stay, for
    /// the next [`connect`](Self::connect).
    ///
    /// To close the connection with all sockets on it, there is [`close`](Self::close).
    pub fn disconnect(&self) {
        self.inner.disconnect();
        if let Some(client) = self.inner.client() {
            client.poke();
        }
    }

    /// The namespace, with its slash.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.inner.namespace()
    }

    /// The id by which the server knows this socket, while it is connected. It changes with
    /// every connection, unless its state was [recovered](Self::recovered).
    ///
    /// Over JSON lines, where there are no ids, it is one of this side's own.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.inner.id()
    }

    /// Whether the server has let the socket in, and the connection stands as far as is known.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.inner.session().is_some()
    }

    /// Whether the socket is connected, or will be without further ado: false before
    /// `connect`, after `disconnect`, after the server has refused or disconnected it, and when the
    /// attempts to connect are given up. In the last case it stays true in JavaScript, although
    /// nothing is tried any more.
    #[must_use]
    pub fn active(&self) -> bool {
        self.inner.is_active()
    }

    /// Whether the last connect brought back the state of the one before: the id, the rooms, and
    /// the events that were missed. The server must have this switched on.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.inner.recovered()
    }

    /// The transport that carries the connection now.
    #[must_use]
    pub fn transport(&self) -> Option<TransportKind> {
        self.inner.session().map(|session| session.transport())
    }

    /// How many events wait for a connection, or with `retries` for their acknowledgement.
    #[must_use]
    pub fn waiting_events(&self) -> usize {
        self.inner.waiting_events()
    }

    /// How many bytes wait to be written, for all sockets of the connection.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.inner.session().map_or(0, |session| session.queued())
    }

    /// Waits until less than half of the outbox is taken, which is at once if it is so now.
    ///
    /// For sending much without running into [`EmitError::OutboxFull`]: await it after each emit.
    /// It may be dropped at any time.
    ///
    /// # Errors
    ///
    /// [`EmitError::Disconnected`] if there is no connection, or it ends first.
    pub async fn ready(&self) -> Result<(), EmitError> {
        let session = self.inner.session().ok_or(EmitError::Disconnected)?;
        session.ready().await.map_err(packet::emit_error)
    }

    /// Emits an event. A tuple becomes several arguments, `()` none, anything else one; `Bytes`
    /// anywhere inside travel as binary attachments.
    ///
    /// This never waits. While there is no connection the event is kept, within
    /// [limits](crate::ClientConfig::buffer), and sent when there is one.
    ///
    /// # Errors
    ///
    /// If the outbox or the buffer is full, the name is reserved, or an argument cannot be
    /// encoded.
    pub fn emit(&self, name: impl AsRef<str>, args: impl ToArgs) -> Result<(), EmitError> {
        self.emission().emit(name, args)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn send(&self, args: impl ToArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Emits an event at once, and gives a future of the server's answer: its first argument, or
    /// several as a tuple.
    ///
    /// It waits until the socket is disconnected, or for the socket's `ack_timeout`; use
    /// [`timeout`](Self::timeout) to wait less. An event that still waits for a connection when its
    /// future is dropped, or its time is over, is not sent any more; with
    /// [`retries`](crate::SocketConfig::retries) it is, until the server has acknowledged it or it
    /// is given up.
    pub fn emit_with_ack<T: FromArgs>(
        &self,
        name: impl AsRef<str>,
        args: impl ToArgs,
    ) -> AckFuture<T> {
        self.emission().emit_with_ack(name, args)
    }

    /// The next emit waits this long for its acknowledgement.
    pub const fn timeout(&self, timeout: Duration) -> Emission<'_> {
        self.emission().timeout(timeout)
    }

    /// The next emit is dropped rather than kept or queued, if it cannot go right now: there is
    /// no connection, or the server has not read what was sent before. That is no error.
    pub const fn volatile(&self) -> Emission<'_> {
        self.emission().volatile()
    }

    /// The next emit may be compressed or not, where the transport compresses at all.
    pub const fn compress(&self, compress: bool) -> Emission<'_> {
        self.emission().compress(compress)
    }

    /// Whether bytes in the next emit travel as binary attachments, as they do by default, or stay
    /// inside of its JSON; see [`Emission::binary`].
    pub const fn binary(&self, binary: bool) -> Emission<'_> {
        self.emission().binary(binary)
    }

    /// Stores a value for this socket, replacing an earlier one of the same type. It is found by
    /// its type, so give it one of its own rather than `String`. It stays through reconnections
    /// and disconnections.
    pub fn set_data<T: Clone + Send + Sync + 'static>(&self, value: T) {
        self.inner.data.insert(value);
    }

    /// A clone of the value of this type that was stored for this socket. What changes is best
    /// kept in an `Arc<Mutex<…>>`.
    #[must_use]
    pub fn data<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.inner.data.cloned()
    }

    /// Takes the value of this type out.
    #[must_use]
    pub fn take_data<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.inner.data.remove()
    }

    const fn emission(&self) -> Emission<'_> {
        Emission::new(self)
    }
}

/// What the client does with its sockets.
impl Socket {
    pub(crate) const fn inner(&self) -> &Arc<ClientSocket> {
        &self.inner
    }

    /// Runs the handlers of one of the library's own events. What they wait for is waited for by
    /// a task of its own, so that the connection can come and go meanwhile.
    pub(crate) fn dispatch_own(&self, event: &Event<'_, Self>) {
        let listeners = &self.inner.listeners;
        if listeners.load().dispatch_local(event, start_alone) {
            listeners.sweep(event.name());
        }
    }

    /// An event was sent often enough: whoever waits for its answer is told, or else the error
    /// hook.
    pub(crate) fn give_up_event(&self, event: &Waiting, why: NoAnswer) {
        match event.ack_id.and_then(|id| self.inner.acks.remove(id)) {
            Some(waiter) => waiter.tell(Err(why)),
            None => {
                let kind = EventErrorKind::GivenUp(why.into());
                self.report(EventError::new(&event.name, kind));
            }
        }
    }
}

impl PeerSocket for Socket {}

impl EventSocket for Socket {
    fn acknowledge<A: ToArgs + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError> {
        let origin = self.origin.as_ref().ok_or(EmitError::Disconnected)?;
        self.inner.acknowledge(origin, id, args)
    }

    fn state(&self) -> &StateMap {
        self.inner.states()
    }

    fn report(&self, error: EventError) {
        let client = self.inner.client();
        let hook = client
            .as_ref()
            .and_then(|client| (*client.error_hook.load()).clone());
        let mut taken = true;
        let start = |handler| {
            // Whoever emits what cannot be sent may do so from a thread that knows no runtime.
            let spawn = |rest| {
                if let Some(client) = &client {
                    client.spawn(rest);
                }
            };
            taken &= reporting::start(&self.inner, handler, spawn);
        };
        let (error, told) = tell_error(self, &self.inner.listeners, error, start);
        match hook {
            Some(hook) => {
                let mut socket = self.clone();
                socket.alive = client.map(|client| client.alive());
                // The hook is the last resort: what it panics with can only be logged.
                if catch_unwind(AssertUnwindSafe(|| hook(&socket, &error))).is_err() {
                    tracing::error!("the error hook panicked");
                }
            }
            None if told && taken => {}
            None => log(self.namespace(), &error),
        }
    }
}

/// What a server does wrong is no news for whoever runs the client; what a handler does is.
fn log(namespace: &str, error: &EventError) {
    if error.kind().is_fault_of_peer() {
        tracing::debug!(namespace, "{error:#}");
    } else {
        tracing::warn!(namespace, "{error:#}");
    }
}

impl Receiver for Socket {
    fn is_connected(&self) -> bool {
        self.inner.is_in(self.origin.as_ref())
    }

    fn shared(&self) -> &Listeners<Self> {
        &self.inner.listeners
    }

    fn own(&self) -> Option<&Own<Self>> {
        self.inner.own.get().map(AsRef::as_ref)
    }

    fn receipt(&self, args: RawArgs<'_>, ack_id: Option<u64>) -> Option<Box<str>> {
        // Most servers know no recovery: their events cost no search for the last argument.
        let recovers = self.inner.recovers.load(Ordering::Relaxed);
        recovers.then(|| offset_of(&args, ack_id))?
    }

    fn handle_receipt(&self, offset: Box<str>) {
        self.inner.lock().membership.recovery().handle_event(offset);
    }

    fn refuse_without_ack(&self, refusal: &Refusal) {
        if let Some(session) = &self.origin {
            packet::refuse(self.inner.peer(session), self.namespace(), refusal);
        }
    }
}

impl FromEvent<Self> for Socket {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        let mut socket = event.socket().clone();
        socket.alive = socket.inner.client().map(|client| client.alive());
        Ok(socket)
    }
}

impl FromEvent<Socket> for ConnectError {
    fn from_event(event: &Event<'_, Socket>) -> Result<Self, ExtractError> {
        let error = event
            .detail()
            .and_then(|detail| detail.downcast_ref::<Self>());
        error
            .cloned()
            .ok_or(ExtractError::NotAvailable("a connect error"))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("namespace", &self.namespace())
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}
