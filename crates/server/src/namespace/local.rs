//! This server's part of a namespace: what it can do without any other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sockeye_adapter::{
    Answer, AnswerTo, BroadcastOptions, EventBody, KeptSocket, Local, Reception, Rooms,
    SocketDetails, Target,
};
use sockeye_engine::{CloseReason, LateBatch, SendOptions, batch};
use sockeye_events::{EmitError, EventError, EventErrorKind, Snapshot, StateMap};
use sockeye_link::Encoded;
use sockeye_meter::{self as meter, Tally};
use sockeye_socket_proto::{BytesOut, ToArgs, is_reserved_event};

use crate::acks::LocalAcks;
use crate::config::SlowReceiver;
use crate::link::ACK_ID_LIMIT;
use crate::recovery::Recovery;
use crate::server_side::Incoming;
use crate::{ServerConfig, Socket, details, trace};

/// The sockets of a namespace that are connected to this server, and their rooms.
///
/// Apart from [`Namespace`](crate::Namespace), which knows the adapter too: the adapter keeps this, and the two would keep
/// each other.
pub(crate) struct LocalSockets {
    pub(crate) name: Arc<str>,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) state: Arc<StateMap>,
    pub(crate) rooms: Rooms<Socket>,
    /// What other servers emit to this one, and its handlers.
    pub(crate) server_side: Arc<Incoming>,
    /// What lets sockets come back, if the server is configured for that. It may be the adapter's, which comes later.
    pub(super) recovery: OnceLock<Arc<Recovery>>,
    pub(super) expiry_hooks: Snapshot<Vec<ExpiryHook>>,
    pub(super) is_sweeping: AtomicBool,
    next_broadcast_ack: AtomicU32,
    /// What other servers have emitted.
    pub(super) foreign: LateBatch,
    /// That it is there is counted.
    _share: Tally<{ meter::NAMESPACES }>,
}

/// Hears of sockets that were kept and have not come back.
pub(super) type ExpiryHook = Arc<dyn Fn(&KeptSocket) + Send + Sync>;

impl LocalSockets {
    pub(crate) fn new(name: &str, config: Arc<ServerConfig>, state: Arc<StateMap>) -> Self {
        let mut share = Tally::new();
        share.set(1);
        let name: Arc<str> = name.into();
        let limits = config.server_side;
        Self {
            server_side: Incoming::new(Arc::clone(&name), Arc::clone(&state), limits),
            name,
            config,
            state,
            rooms: Rooms::new(),
            recovery: OnceLock::new(),
            expiry_hooks: Snapshot::default(),
            is_sweeping: AtomicBool::new(false),
            next_broadcast_ack: AtomicU32::new(0),
            foreign: LateBatch::default(),
            _share: share,
        }
    }

    /// A snapshot, so that no lock is held while they are sent to.
    pub(crate) fn receivers(&self, target: &Target) -> Vec<Socket> {
        let mut receivers = self.rooms.read().select(target);
        // Middlewares may still be deciding about some.
        receivers.retain(Socket::connected);
        receivers
    }

    /// Encodes an event once for all receivers.
    pub(crate) fn encode<A: ToArgs>(
        &self,
        name: &str,
        args: &A,
        ack_id: Option<u64>,
        options: &BroadcastOptions,
    ) -> Result<Encoded, EmitError> {
        check_name(name)?;
        let limits = self.limits(options.binary);
        Ok(Encoded::event(&self.name, name, args, ack_id, limits)?)
    }

    /// How many bytes may be sent at once.
    pub(super) fn limits(&self, binary: bool) -> BytesOut {
        self.config.connection.bytes_out().inline(!binary)
    }

    /// Sends an event to those that can be told.
    pub(crate) fn send(&self, name: &str, event: &Encoded, options: &BroadcastOptions) {
        let receivers = self.receivers_of(event, options);
        trace::broadcast(&self.name, name, receivers.len());
        batch(|| {
            for socket in &receivers {
                show(socket, name, event);
                let _ = self.deliver(socket, event, options);
            }
        });
    }

    /// Sends an event, encoded with this ack id, and waits for the answers.
    pub(crate) fn send_with_ack(
        &self,
        name: &str,
        (event, id): (&Encoded, u64),
        timeout: Duration,
        options: &BroadcastOptions,
    ) -> LocalAcks {
        let mut acks = LocalAcks::new(id, timeout);
        let receivers = self.receivers_of(event, options);
        trace::broadcast(&self.name, name, receivers.len());
        batch(|| {
            for socket in receivers {
                show(&socket, name, event);
                acks.expect(socket, |socket| self.deliver(socket, event, options));
            }
        });
        acks.sent();
        acks
    }

    /// An id for a broadcast with acknowledgements. Every receiver's answer carries it, so it
    /// must not be one that a receiver's own counter gives out.
    pub(crate) fn next_broadcast_ack(&self) -> u64 {
        let count = self.next_broadcast_ack.fetch_add(1, Ordering::Relaxed);
        u64::from(ACK_ID_LIMIT + count % ACK_ID_LIMIT)
    }

    pub(super) fn receivers_of(&self, event: &Encoded, options: &BroadcastOptions) -> Vec<Socket> {
        let mut receivers = self.rooms.read().select(&options.target);
        receivers.retain(|socket| socket.connected() && event.reaches(socket.peer()));
        receivers
    }

    pub(super) fn deliver(
        &self,
        socket: &Socket,
        event: &Encoded,
        options: &BroadcastOptions,
    ) -> Result<(), EmitError> {
        let options = SendOptions {
            volatile: options.volatile,
            compress: options.compress,
            beyond_limit: false,
        };
        let result = socket.send_encoded(event, options);
        if matches!(result, Err(EmitError::OutboxFull))
            && self.config.slow_receiver == SlowReceiver::Disconnect
        {
            tracing::debug!(
                id = socket.loggable_id(),
                "disconnecting a receiver that is too slow"
            );
            if let Some(stay) = socket.stay() {
                // It is to miss what comes behind this as well, if it can come back for all of it.
                stay.stop(stay.progress().sent);
            }
            let session = &socket.link().session;
            session.abort(CloseReason::TransportError, "the outbox is full");
        }
        result
    }

    /// Encodes what another server has emitted, which is nobody's fault here if it cannot be.
    fn encode_foreign(
        &self,
        event: &EventBody<'_>,
        ack_id: Option<u64>,
        options: &BroadcastOptions,
    ) -> Option<Encoded> {
        let encoded = self.encode(event.name, &event.args, ack_id, options);
        encoded
            .map_err(|error| self.drop_foreign(event.name, error))
            .ok()
    }

    pub(super) fn drop_foreign(&self, name: &str, error: EmitError) {
        let namespace = &*self.name;
        let error = EventError::new(name, EventErrorKind::NotSent(error));
        tracing::warn!(namespace, error = %format_args!("{error:#}"), "an event of another server is dropped");
    }
}

impl Local for LocalSockets {
    fn namespace(&self) -> &str {
        &self.name
    }

    fn count(&self, target: &Target) -> usize {
        let recovery = self.recovery();
        // Under it, whoever comes back goes in one step from those on their way in to those who are in; without it, an
        // adapter that looks between the two finds nobody, and does not hand on an event that the socket then never gets.
        let _order = recovery.map(|recovery| recovery.order());
        let mut count = recovery.map_or(0, |recovery| recovery.returning());
        let index = self.rooms.read();
        index.for_each(target, |socket| count += usize::from(socket.connected()));
        count
    }

    fn has_room(&self, room: &str) -> bool {
        self.rooms.read().room_len(room) > 0
    }

    fn broadcast(&self, event: &EventBody<'_>, options: &BroadcastOptions) {
        if let (Some(offset), Some(recovery)) = (&options.offset, self.recovery()) {
            self.pass_on_logged(recovery, event, offset, options);
            return;
        }
        if let Some(encoded) = self.encode_foreign(event, None, options) {
            let send = || self.send(event.name, &encoded, options);
            self.foreign.add(size_of_event(event), send);
        }
    }

    fn ask(&self, event: &EventBody<'_>, options: &BroadcastOptions) -> BoxStream<'static, Answer> {
        let id = self.next_broadcast_ack();
        let Some(encoded) = self.encode_foreign(event, Some(id), options) else {
            return stream::iter([Answer::Asked(0)]).boxed();
        };
        let timeout = options.timeout.unwrap_or(self.config.ack_timeout);
        let acks = self.send_with_ack(event.name, (&encoded, id), timeout, options);
        let asked = Answer::Asked(acks.asked());
        let answers = acks.map(|(socket, answer)| {
            let id = Some(socket.shared_id());
            match answer {
                Ok(args) => Answer::Given { id, args },
                Err(_) => Answer::Lost { id },
            }
        });
        stream::iter([asked]).chain(answers).boxed()
    }

    fn sockets(&self, target: &Target) -> Vec<SocketDetails> {
        self.receivers(target).iter().map(details::of).collect()
    }

    fn rooms(&self) -> Vec<Arc<str>> {
        let index = self.rooms.read();
        let joined = index.rooms().filter(|room| index.by_id(room).is_none());
        let connected = index.iter().filter(|(_, socket)| socket.connected());
        let ids = connected.map(|(_, socket)| socket.shared_id());
        joined.map(Arc::from).chain(ids).collect()
    }

    fn join(&self, target: &Target, rooms: &[Arc<str>]) {
        for socket in self.receivers(target) {
            socket.join_all(rooms);
        }
    }

    fn leave(&self, target: &Target, rooms: &[Arc<str>]) {
        for socket in self.receivers(target) {
            socket.leave_all(rooms);
        }
    }

    fn disconnect(&self, target: &Target, close: bool) {
        batch(|| {
            for socket in self.receivers(target) {
                match close {
                    true => socket.close(),
                    false => socket.disconnect(),
                }
            }
        });
    }

    fn server_side_event(&self, event: &EventBody<'_>, answer: Option<AnswerTo>) -> Reception {
        self.server_side.handle(event, size_of_event(event), answer)
    }

    fn recovery_expired(&self, socket: KeptSocket) {
        self.tell_expired(&socket);
    }
}

/// About how many bytes an event takes.
pub(super) fn size_of_event(event: &EventBody<'_>) -> usize {
    let EventBody { name, args } = event;
    let attachments: usize = args.attachments().iter().map(|bytes| bytes.len()).sum();
    name.len() + args.as_json().len() + attachments
}

/// Whether an event of this name can be emitted.
pub(crate) fn check_name(name: &str) -> Result<(), EmitError> {
    match is_reserved_event(name) {
        true => Err(EmitError::ReservedName(name.into())),
        false => Ok(()),
    }
}

/// Shows an event to the outgoing listeners of one of its receivers.
pub(super) fn show(socket: &Socket, name: &str, event: &Encoded) {
    if socket.has_outgoing() {
        socket.notify_outgoing(name, event.args());
    }
}
