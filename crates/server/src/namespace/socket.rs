mod data;
mod emit;
mod own;
mod rooms;
mod stay;
mod stream;

use std::fmt;
use std::iter;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde_json::Value;
use sockeye_adapter::Slot;
use sockeye_engine::{Dialect, Revision, TransportKind};
use sockeye_events::{
    AckTable, EmitError, Event, EventError, EventSocket, ExtractError, FromEvent, Listeners,
    PeerSocket, Refusal, StateMap,
};
use sockeye_link::packet::{self, AckForm, encode_ack_for, with_buffers};
use sockeye_link::{Own, Peer, Receiver, further, tell_error};
use sockeye_meter::{self as meter, Tally};
use sockeye_socket_proto::{Args, BytesOut, NamespaceKey, ToArgs};

use crate::link::{Link, Request};
use crate::recovery::Stay;
use crate::{Handshake, Namespace};

/// One peer in one namespace.
///
/// Cheap to clone; usable from any thread. It does not keep the peer connected, and it stays
/// valid when the peer is gone: emitting is then an error.
///
/// ```
/// # use sockeye_server as sockeye;
/// use std::time::Duration;
///
/// use sockeye::{AckError, Server, Socket};
///
/// let io = Server::new();
/// io.on_connect(async |socket: Socket| -> Result<(), AckError> {
///     socket.join("lobby");
///     socket.emit("welcome", (socket.id(), 1))?; // two arguments
///     let name: String = socket
///         .timeout(Duration::from_secs(5))
///         .emit_with_ack("who are you", ())
///         .await?;
///     socket.to("lobby").emit("joined", name)?; // everyone else in the room
///     Ok(())
/// });
/// ```
#[derive(Clone)]
pub struct Socket(Arc<SocketCore>);

struct SocketCore {
    id: Arc<str>,
    /// Counts the sockets of this process.
    number: u64,
    namespace: Namespace,
    link: Arc<Link>,
    handshake: Handshake,
    key: NamespaceKey,
    slot: OnceLock<Slot>,
    phase: AtomicU8,
    acks: AckTable,
    extras: OnceLock<Box<Extras>>,
}

// Every socket has one of these for as long as it lives, and so does every connection of the link.
const _: () = assert!(
    size_of::<SocketCore>() <= 120 + size_of::<Tally<{ meter::ACKS }>>() && size_of::<Link>() <= 40
);

/// What few sockets have.
#[derive(Default)]
struct Extras {
    data: StateMap,
    shared: Mutex<Option<Value>>,
    own: OnceLock<Own<Socket>>,
    /// What sockets have that may come back after a loss.
    stay: OnceLock<Box<Stay>>,
}

/// How far a socket is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Middlewares decide about it.
    Joining,
    Connected,
    /// It was disconnected; its handlers have not been told yet.
    Leaving,
    Gone,
}

impl Socket {
    pub(crate) fn new(
        id: Arc<str>,
        namespace: Namespace,
        link: Arc<Link>,
        handshake: Handshake,
        key: NamespaceKey,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(SocketCore {
            id,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            namespace,
            link,
            handshake,
            key,
            slot: OnceLock::new(),
            phase: AtomicU8::new(Phase::Joining as u8),
            acks: AckTable::counted(),
            extras: OnceLock::new(),
        }))
    }

    /// The id: 20 random characters, which the peer knows as well.
    ///
    /// Other peers may be told it only if no client of Socket.IO 2.x or older can connect
    /// ([`allow_v3(false)`](crate::EngineConfig::allow_v3)): those compute their socket's id from
    /// that of their session, and whoever knows this can speak in their place. What people are to
    /// see of each other is better given ids of the application's own. The same goes for logs;
    /// `Debug` shows the id only where it is no secret.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The id for logs: under revision 3 it contains the session id, which is a secret.
    pub(crate) fn loggable_id(&self) -> &str {
        match self.revision() {
            Revision::V3 => "(secret)",
            Revision::V4 => &self.0.id,
        }
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    /// The namespace that the socket is in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// How the socket introduced itself.
    #[must_use]
    pub fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    /// The transport that carries the connection now.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.0.link.session.transport()
    }

    /// The revision of Engine.IO that the peer speaks: 3 for Socket.IO 1.x and 2.x clients, 4 for
    /// later ones.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.link.session.revision()
    }

    /// Whether the socket is connected: false while middlewares decide about it, and after its
    /// disconnection.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.phase() == Phase::Connected as u8
    }

    /// How many bytes wait to be written to the peer, for all sockets of its connection.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.0.link.session.queued()
    }

    /// Waits until less than half of the outbox is taken, which is at once if it is so now.
    ///
    /// For sending much without running into [`EmitError::OutboxFull`]: await it after each emit.
    /// It may be dropped at any time.
    ///
    /// # Errors
    ///
    /// [`EmitError::Disconnected`] if the connection ends first.
    pub async fn ready(&self) -> Result<(), EmitError> {
        self.0
            .link
            .session
            .ready()
            .await
            .map_err(packet::emit_error)
    }

    /// Takes the socket out of its namespace; the connection, and other sockets on it, stay. Does
    /// nothing if it is disconnected already.
    ///
    /// A plain peer, which has but one namespace, loses its connection, as by [`close`](Self::close): that is the
    /// `disconnect(true)` of the JavaScript API, and this its `disconnect()`.
    pub fn disconnect(&self) {
        if self.speaks_lines() {
            self.close();
            return;
        }
        // One that has not joined yet is refused, whatever its middlewares, which go on, will say.
        if self.say_goodbye() == Phase::Connected {
            self.0.link.call();
        }
    }

    /// The same, but for that the driver has to be called if the socket was connected.
    pub(crate) fn say_goodbye(&self) -> Phase {
        // A peer may come back as soon as it is told. Its driver, which is at rest or flushes what it has at the end of its turn,
        // looks at what is asked of it before it reads the next time, and so is to find this there.
        self.leave_namespace(|| self.0.link.note(Request::Leave(self.0.key)))
    }

    fn extras(&self) -> &Extras {
        self.0.extras.get_or_init(Box::default)
    }

    fn phase(&self) -> u8 {
        self.0.phase.load(Ordering::Acquire)
    }

    /// Moves on to a phase, unless the socket is there or beyond; gives the one that it was in. Whoever has
    /// to do something about the change does what that one calls for: another thread may have been faster.
    fn advance(&self, phase: Phase) -> Phase {
        let before = self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
        let all = [
            Phase::Joining,
            Phase::Connected,
            Phase::Leaving,
            Phase::Gone,
        ];
        all[usize::from(before)]
    }
}

/// What the connection, the namespace and broadcasts do with a socket.
impl Socket {
    /// Sockets that came later have larger ones.
    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    pub(crate) fn key(&self) -> NamespaceKey {
        self.0.key
    }

    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(crate) fn acks(&self) -> &AckTable {
        &self.0.acks
    }

    pub(crate) fn ack_owner(&self) -> Arc<dyn AsRef<AckTable> + Send + Sync> {
        Arc::clone(&self.0) as _
    }

    /// Gives the socket its place among the namespace's members.
    pub(crate) fn enter(&self) {
        let rooms = &self.0.namespace.here().rooms;
        let slot = rooms.insert(self.shared_id(), self.clone());
        let _ = self.0.slot.set(slot);
    }

    /// The middlewares let it in; false if it was disconnected meanwhile.
    pub(crate) fn set_connected(&self) -> bool {
        self.advance(Phase::Connected) == Phase::Joining
    }

    /// Leaves the rooms and the namespace.
    pub(crate) fn exit(&self) {
        self.advance(Phase::Gone);
        if let Some(slot) = self.0.slot.get() {
            self.0.namespace.here().rooms.remove(*slot);
        }
        self.0.acks.fail_all();
    }

    /// It is being disconnected, by whomever; says how far it was.
    pub(crate) fn set_leaving(&self) -> Phase {
        self.advance(Phase::Leaving)
    }

    /// Whether the peer is a plain one, which knows lines and nothing else.
    pub(crate) fn speaks_lines(&self) -> bool {
        self.0.link.session.dialect() == Dialect::Lines
    }

    /// The same, and tells the peer, if it is connected: in one step, so that nothing is sent behind that, and that
    /// it is not said to the peer's next stay in the namespace, if it has left by itself meanwhile. What `first` does is
    /// done before the peer is told; it must do nothing with the session.
    pub(crate) fn leave_namespace(&self, first: impl FnOnce()) -> Phase {
        let mut before = Phase::Gone;
        packet::leave_if(self.peer(), self.0.namespace.name(), || {
            before = self.set_leaving();
            let is_connected = before == Phase::Connected;
            if is_connected {
                first();
            }
            is_connected
        });
        before
    }

    /// Who is sent to.
    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer {
            session: &self.0.link.session,
            parser: self.0.namespace.config().parser.as_deref(),
        }
    }

    /// How many bytes may be sent at once.
    fn limits(&self) -> BytesOut {
        self.0.namespace.config().connection.bytes_out()
    }

    /// Whether there are handlers of outgoing events. Asked for each receiver of each broadcast.
    #[inline]
    pub(crate) fn has_outgoing(&self) -> bool {
        self.shared().has_outgoing()
            || self.shared_further().is_some_and(Listeners::has_outgoing)
            || self.own().is_some_and(|own| own.listeners.has_outgoing())
    }

    /// Tells the handlers of outgoing events, of which there [are some](Self::has_outgoing).
    pub(crate) fn notify_outgoing(&self, name: &str, args: &Args) {
        let event = Event::incoming(self, name, args.as_raw(), None);
        let tables = iter::once(self.shared()).chain(further(self));
        for table in tables.filter_map(Listeners::load_outgoing) {
            for future in table.dispatch_outgoing(&event) {
                self.0.link.request(Request::Run(future));
            }
        }
    }
}

impl PeerSocket for Socket {}

impl EventSocket for Socket {
    const IS_MEASURED: bool = true;

    fn acknowledge<A: ToArgs + ?Sized>(&self, id: u64, args: &A) -> Result<(), EmitError> {
        if !self.connected() {
            return Err(EmitError::Disconnected);
        }
        let namespace = self.0.namespace.name();
        let form = match self.0.link.counted_acks.load(Ordering::Relaxed) {
            false => AckForm::Plain,
            true => AckForm::Counted,
        };
        with_buffers(|buffers| {
            let (session, limits) = (&self.0.link.session, self.limits());
            let start = encode_ack_for(session, buffers, namespace, id, args, form, limits)?;
            self.send_ack_packet(buffers, start)
        })
    }

    fn state(&self) -> &StateMap {
        self.0.namespace.state()
    }

    fn report(&self, error: EventError) {
        let Some(own) = self.own() else {
            self.0.namespace.report(self, &error);
            return;
        };
        let run = |future| self.0.link.request(Request::Run(future));
        let (error, told) = tell_error(self, &own.listeners, error, run);
        self.0.namespace.report_after(self, &error, told);
    }
}

impl Receiver for Socket {
    fn is_connected(&self) -> bool {
        self.connected()
    }

    fn shared(&self) -> &Listeners<Self> {
        self.0.namespace.listeners()
    }

    fn shared_further(&self) -> Option<&Listeners<Self>> {
        self.0.namespace.further_listeners()
    }

    fn own(&self) -> Option<&Own<Self>> {
        self.0.extras.get()?.own.get()
    }

    fn refuse_without_ack(&self, refusal: &Refusal) {
        let namespace = self.0.namespace.name();
        packet::refuse(self.peer(), namespace, refusal);
    }
}

impl AsRef<AckTable> for SocketCore {
    fn as_ref(&self) -> &AckTable {
        &self.acks
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.loggable_id())
            .field("namespace", &self.0.namespace.name())
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

impl FromEvent<Self> for Socket {
    fn from_event(event: &Event<'_, Self>) -> Result<Self, ExtractError> {
        Ok(event.socket().clone())
    }
}
