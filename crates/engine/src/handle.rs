use std::fmt;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::{Mutex, MutexGuard};
use sockeye_engine_proto::payload::Encoder;
use sockeye_engine_proto::{
    CloseReason, OpenPacket, Packet, RequestError, Revision, TransportKind, WireKind,
};
use sockeye_meter::{self as meter, Tally};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::carrier::{Outgoing, Probe, fill};
use crate::command::Command;
use crate::deflate::{Compression, Packing};
use crate::dialect::Dialect;
use crate::full_mark::FullMark;
use crate::id::SessionId;
use crate::limits::SessionLimits;
use crate::mailbox::{Mailbox, Queue};
use crate::message::{Message, type_text};
use crate::net_socket::NetSocket;
use crate::outbox::{Outbox, Outlet};
use crate::peer::PeerInfo;
use crate::request::{PendingPost, PollAnswer, Request};
use crate::turn::{self, Deferred};

/// A session as everyone but its driver sees it: something to send to and to close.
///
/// Cheap to clone. It does not keep the session open.
#[derive(Clone)]
pub struct SessionHandle(Arc<SessionCore>);

/// How to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendOptions {
    /// Drop the message rather than queue it behind others or for a transport that is not
    /// ready.
    pub volatile: bool,
    /// Whether the message may be compressed, where the transport compresses at all.
    pub compress: bool,
    /// Accept the message even if the outbox is full: for the few small ones without which both
    /// ends would differ about their state. Where as much again waits as may, or 64 KiB if that is more,
    /// they cannot be few: the session is closed with the reason `transport error`.
    pub beyond_limit: bool,
}

impl SendOptions {
    /// For what the upper protocol has to say by itself, such as that a namespace is left: both
    /// ends must know of it.
    pub const CONTROL: Self = Self {
        volatile: false,
        compress: false,
        beyond_limit: true,
    };
}

/// Why a message was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over.
    #[error("the session is closed")]
    Closed,
    /// The message is volatile, and cannot go right now.
    #[error("the transport is not ready for a volatile message")]
    NotReady,
    /// The outbox holds as many bytes as it may.
    #[error("the outbox is full")]
    Full,
    /// What the message belongs to is over; see [`SessionHandle::send_if`].
    #[error("the message is not wanted any more")]
    Unwanted,
}

/// What the driver of a session shares with everyone who holds a handle.
pub(crate) struct SessionCore {
    id: SessionId,
    revision: Revision,
    dialect: Dialect,
    /// A [`Compression`]. The outbox has to have its compressor, if it needs one.
    compression: AtomicU64,
    /// A [`Reading`].
    reading: AtomicU8,
    full_mark: FullMark,
    state: Mutex<SessionMailbox>,
}

// Every session has one of these for as long as it lives.
const _: () = assert!(size_of::<SessionCore>() <= 200 + size_of::<Tally<{ meter::OUTBOX }>>());

/// Whether what the peer sends is read and handed on.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Reading {
    Flowing,
    /// Until the upper layer has told of the connection; then it is paused.
    PausingOnConnect,
    Paused,
}

/// Everything that others may touch, behind one short lock.
pub(crate) type SessionMailbox = Mailbox<Outbox, Command>;

/// The state, locked. Tasks that waited for room are woken after it is unlocked: on some
/// executors they run at once, and want the lock.
pub(crate) struct Locked<'s>(Option<MutexGuard<'s, SessionMailbox>>);

impl Deref for Locked<'_> {
    type Target = SessionMailbox;

    fn deref(&self) -> &SessionMailbox {
        self.0.as_ref().expect("unlocked only when dropped")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut SessionMailbox {
        self.0.as_mut().expect("unlocked only when dropped")
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let Some(mut state) = self.0.take() else {
            return;
        };
        // What somebody is about to write need not be counted as what waits.
        if !state.will_be_written() {
            state.outbox.tell_waiting();
        }
        if !state.outbox.owes_wakes() {
            return;
        }
        let wakers = state.outbox.take_wakers();
        drop(state);
        for waker in wakers {
            waker.wake();
        }
    }
}

impl SessionHandle {
    /// A session that nobody drives yet.
    #[must_use]
    pub fn new(
        id: SessionId,
        revision: Revision,
        transport: TransportKind,
        dialect: Dialect,
        base64: bool,
        limits: &SessionLimits,
    ) -> Self {
        let outbox = Outbox::new(revision, base64)
            .on(transport)
            .limit(limits.outbox_limit)
            .high_water_mark(limits.high_water_mark);
        let state = Mutex::new(Mailbox::new(outbox));
        Self(Arc::new(SessionCore {
            id,
            revision,
            dialect,
            compression: AtomicU64::new(Compression::OFF.to_bits()),
            reading: AtomicU8::new(Reading::Flowing as u8),
            full_mark: FullMark::new(),
            state,
        }))
    }

    /// What it sends, and what waits for its peer, is counted from now on, as for a server's session.
    pub fn measure(&self) {
        self.0.lock().outbox.measure();
    }

    /// Whether so much waits that nothing more is accepted.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().outbox.is_full()
    }

    /// The same, as far as it is due to what this thread has appended; without the lock, as long as it is not. For whoever
    /// asks with every packet.
    pub(crate) fn has_become_full(&self) -> bool {
        let mark = &self.0.full_mark;
        mark.is_full(|| self.0.lock(), |state| state.outbox.is_full())
    }

    pub(crate) fn shared(&self) -> &SessionCore {
        &self.0
    }

    /// The session's secret id. Whoever knows it can take the session over, so it must not be
    /// logged or shown.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.0.id
    }

    /// The revision of the protocol that the peer speaks.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// What the peer speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// The transport that carries the session now.
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.0.lock().outbox.transport()
    }

    /// The network socket that carries the session now. `peer` is what was known of the peer when the
    /// session was opened.
    #[must_use]
    pub fn net_socket(&self, peer: PeerInfo) -> NetSocket {
        let state = self.0.lock();
        NetSocket::new(state.outbox.transport(), state.outbox.socket(), peer)
    }

    /// The same for the session of a client, which knows of itself whether it speaks TLS.
    #[must_use]
    pub fn net_socket_to(&self, secure: bool) -> NetSocket {
        let state = self.0.lock();
        NetSocket::dialed(state.outbox.transport(), state.outbox.socket(), secure)
    }

    /// Whether the session still accepts messages.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.lock().outbox.is_closed()
    }

    /// How many bytes wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.0.lock().outbox.queued()
    }

    /// How many bytes may wait before nothing more is accepted.
    #[must_use]
    pub fn outbox_limit(&self) -> usize {
        self.0.lock().outbox.limit_bytes()
    }

    /// Whether both are handles of the same session.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Queues messages, with nothing of others between them, and writes them if that is
    /// possible at once.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing of the messages was accepted then.
    pub fn send(&self, messages: &[Message], options: SendOptions) -> Result<(), SendError> {
        self.send_if(messages, options, || true)
    }

    /// Like [`send`](Self::send), if `is_wanted` says so. That is asked once, even if the session is over, and
    /// while nobody can send anything over it: what it looks at or changes, such as the state of what the
    /// messages belong to, has the same order for everybody as the messages themselves. It must do nothing
    /// with the session, which would wait for itself.
    ///
    /// # Errors
    ///
    /// As for `send`, and [`SendError::Unwanted`].
    pub fn send_if(
        &self,
        messages: &[Message],
        options: SendOptions,
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<(), SendError> {
        let packing = self.0.packing(options);
        self.prepare(messages, packing);
        self.send_with(options, is_wanted, |outbox| {
            for message in messages {
                outbox.count(|| message.len());
                outbox.push(message, packing);
            }
        })
    }

    /// Like [`send`](Self::send), for a text that stands in `buf` from `start` on, followed by
    /// more messages. The buffer's content is lost, and perhaps its memory.
    ///
    /// There must be [`HEADROOM`](crate::HEADROOM) bytes in front of the text.
    ///
    /// # Errors
    ///
    /// As for `send`.
    ///
    /// # Panics
    ///
    /// If the headroom is missing.
    pub fn send_scratch(
        &self,
        buf: &mut Vec<u8>,
        start: usize,
        rest: &[Message],
        options: SendOptions,
    ) -> Result<(), SendError> {
        self.send_scratch_if(buf, start, rest, options, || true)
    }

    /// Like [`send_scratch`](Self::send_scratch), if `is_wanted` says so, as in [`send_if`](Self::send_if).
    ///
    /// # Errors
    ///
    /// As for `send_if`.
    ///
    /// # Panics
    ///
    /// If the headroom is missing.
    pub fn send_scratch_if(
        &self,
        buf: &mut Vec<u8>,
        start: usize,
        rest: &[Message],
        options: SendOptions,
        is_wanted: impl FnOnce() -> bool,
    ) -> Result<(), SendError> {
        let packing = self.0.packing(options);
        let compression = packing.wanted(|| buf.len() - start + 1);
        let compressed = compression.and_then(|compression| {
            let packet = type_text(buf, start);
            compression.frame(WireKind::Text, &buf[packet..])
        });
        self.prepare(rest, packing);
        self.send_with(options, is_wanted, |outbox| {
            outbox.count(|| buf.len() - start);
            match &compressed {
                Some(frame) => outbox.push_compressed(frame),
                None => outbox.push_scratch(buf, start, packing),
            }
            for message in rest {
                outbox.count(|| message.len());
                outbox.push(message, packing);
            }
        })
    }

    /// Compresses messages before the lock is taken.
    #[inline]
    fn prepare(&self, messages: &[Message], packing: Packing) {
        for message in messages {
            if let Some(compression) = packing.wanted(|| message.packet_len()) {
                message.compressed(compression, self.0.revision);
            }
        }
    }

    /// Wakes the driver, which then polls its connection; false if it is gone, and the connection with it,
    /// or about to be dropped.
    pub fn wake(&self) -> bool {
        let mut state = self.0.lock();
        let waker = state.summon();
        let is_there = !state.is_gone();
        drop(state);
        wake(waker);
        is_there
    }

    fn send_with(
        &self,
        options: SendOptions,
        is_wanted: impl FnOnce() -> bool,
        push: impl FnOnce(&mut Outbox),
    ) -> Result<(), SendError> {
        let mut state = self.0.lock();
        if !is_wanted() {
            return Err(SendError::Unwanted);
        }
        if state.outbox.is_closed() {
            return Err(SendError::Closed);
        }
        if options.volatile && !state.takes_volatile() {
            return Err(SendError::NotReady);
        }
        if state.outbox.is_full() && !(options.beyond_limit && state.outbox.has_spare_room()) {
            let waker = match options.beyond_limit {
                true => state.give_up(),
                false => None,
            };
            drop(state);
            wake(waker);
            return Err(SendError::Full);
        }
        let promise = || turn::defer(Arc::clone(&self.0) as Arc<dyn Deferred>);
        let waker = self.0.append(&mut state, promise, push);
        drop(state);
        wake(waker);
        Ok(())
    }

    /// Moves what waits into a payload, as much as fits: for the answer that opens a session on long-polling, before
    /// its peer can poll.
    pub fn take_first(&self, payload: &mut Encoder) {
        fill(
            payload,
            &mut Outgoing(&mut self.0.lock().outbox),
            usize::MAX,
        );
    }

    /// Waits until less than half of the outbox is taken.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the session ends first.
    pub async fn ready(&self) -> Result<(), SendError> {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.outbox.is_closed() {
                return Poll::Ready(Err(SendError::Closed));
            }
            if state.outbox.is_half_empty() {
                return Poll::Ready(Ok(()));
            }
            state.outbox.push_waker(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Stops reading from the peer, whose sending then has to wait, until
    /// [`resume`](Self::resume). What was sent by then may come still if this is not called on
    /// the session's own task.
    ///
    /// The peer's heartbeat is excused meanwhile, up to the
    /// [`stall_timeout`](crate::SessionLimits::stall_timeout()).
    pub fn pause(&self) {
        self.set_reading(Reading::Paused);
    }

    /// Goes on reading.
    pub fn resume(&self) {
        self.set_reading(Reading::Flowing);
        self.wake();
    }

    /// Whether the session is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.0.reading.load(Ordering::Acquire) == Reading::Paused as u8
    }

    /// Pauses the session if its listener is to
    /// do that on connect. To be called by the upper
    /// layer before it tells of the connection; only the first call does something.
    pub fn pause_on_connect(&self) {
        let (from, to) = (Reading::PausingOnConnect as u8, Reading::Paused as u8);
        let _ = self
            .0
            .reading
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The first [`pause_on_connect`](Self::pause_on_connect) is to pause.
    pub fn will_pause_on_connect(&self) {
        self.set_reading(Reading::PausingOnConnect);
    }

    fn set_reading(&self, reading: Reading) {
        self.0.reading.store(reading as u8, Ordering::Release);
    }

    /// Writes what waits, and then closes this side's half of the stream: nothing can be sent any
    /// more, while the peer may go on until it closes its own half. There is no heartbeat from
    /// then on, so that a peer which falls silent is not noticed.
    ///
    /// On transports whose halves cannot be closed apart, which is all but bare streams, it is
    /// the same as [`close`](Self::close).
    pub fn end(&self) {
        {
            let mut state = self.0.lock();
            if state.outbox.transport().is_bare_stream() {
                state.outbox.seal();
            }
        }
        self.command(Command::End);
    }

    /// Closes the session: what waits is written first, within a bounded time.
    pub fn close(&self) {
        self.command(Command::Close);
    }

    /// Closes the session at once, for this reason; `cause` says more, for logs and error messages.
    pub fn abort(&self, reason: CloseReason, cause: &'static str) {
        self.command(Command::Abort { reason, cause });
    }

    /// How its first carrier takes what goes out; to be called before anything is sent.
    pub fn begin(&self, outlet: Outlet) {
        self.0.carry(self.transport(), outlet);
    }

    /// Sends the open packet, which goes in front of everything else.
    pub fn send_open(&self, open: &OpenPacket) {
        let open = open.to_json();
        let open = Packet::Open(open.into());
        self.0.append_own(|outbox| outbox.push_control(open));
    }

    /// The driver is gone, or will never be, and what was asked of it last will not happen.
    pub fn retire(&self) {
        self.0.retire();
    }

    /// Whether requests with this session's id still have something to find.
    #[must_use]
    pub fn is_findable(&self) -> bool {
        self.0.is_findable()
    }

    /// A long-poll has come: waits until there is something to say. Whoever does not wait that long, or cannot hand on the
    /// answer, [says so](Self::lose_poll).
    ///
    /// # Errors
    ///
    /// What the request is to be refused with.
    pub async fn poll(&self) -> PollAnswer {
        let (sender, receiver) = oneshot::channel();
        self.command(Command::Request(Request::Poll(sender)));
        receiver.await.unwrap_or(Err(RequestError::UnknownSession))
    }

    /// The peer gave up on its long-poll before it had the whole answer.
    pub fn lose_poll(&self) {
        self.command(Command::Request(Request::PollLost));
    }

    /// A POST has come, whose body is still to be read.
    #[must_use]
    pub fn begin_post(&self) -> PendingPost {
        let (request, pending) = Request::post();
        self.command(Command::Request(request));
        pending
    }

    /// A transport was opened to which the session may move.
    pub fn upgrade(&self, probe: Box<dyn Probe>) {
        self.command(Command::Upgrade(probe));
    }

    /// Ends the session in the driver's next turn, without time for last words.
    pub fn vanish(&self) {
        self.command(Command::Vanish);
    }

    pub(crate) fn command(&self, command: Command) {
        // If it comes back it is dropped outside the lock: with it goes whoever waits for an answer.
        let asked = self.0.lock().command(command);
        asked.map_or_else(drop, wake);
    }
}

impl SessionCore {
    /// What carries the session from now on, and how that takes what goes out.
    pub(crate) fn carry(&self, transport: TransportKind, outlet: Outlet) {
        self.append_own(|outbox| {
            let compression = Compression::new(outlet.agreed());
            self.compression
                .store(compression.to_bits(), Ordering::Relaxed);
            outbox.move_to(transport, outlet);
        });
    }

    /// Appends something of the driver's own, in its turn or before the first one.
    pub(crate) fn append_own(&self, append: impl FnOnce(&mut Outbox)) {
        let waker = self.append(&mut self.lock(), || false, append);
        debug_assert!(waker.is_none(), "the driver is at work");
    }

    /// Appends something, and marks the outbox if it is full then. Everything that is appended comes through here. For
    /// the promise and the waker see [`Mailbox::appended`].
    fn append(
        &self,
        state: &mut SessionMailbox,
        promise: impl FnOnce() -> bool,
        append: impl FnOnce(&mut Outbox),
    ) -> Option<Waker> {
        append(&mut state.outbox);
        self.full_mark.appended(state.outbox.is_full());
        state.appended(promise)
    }

    fn packing(&self, options: SendOptions) -> Packing {
        Packing::of(self.compression.load(Ordering::Relaxed), options.compress)
    }

    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked(Some(self.state.lock()))
    }

    /// The driver is gone, and what was asked of it last will not happen.
    pub(crate) fn retire(&self) {
        let mut state = self.lock();
        state.outbox.close();
        let commands = state.retire();
        drop(state);
        drop(commands);
    }

    /// Whether requests with this session's id still have something to find. A session that is closed on long-polling is
    /// gone at once, unless one more poll may come and is told so in a friendly way.
    fn is_findable(&self) -> bool {
        let state = self.lock();
        !state.outbox.is_closed()
            || (state.outbox.transport() == TransportKind::Polling && !state.is_gone())
    }
}

impl Deferred for SessionCore {
    fn flush_deferred(&self) {
        let waker = self.lock().keep_promise();
        wake(waker);
    }
}

impl SessionMailbox {
    /// Whether a volatile message may go: to a peer that takes everything at once, or on a bare
    /// stream if it would not wait behind much.
    fn takes_volatile(&self) -> bool {
        let Self { outbox, .. } = self;
        let takes_all = !outbox.is_blocked()
            && outbox.is_awaited()
            && (outbox.is_empty() || self.will_be_written());
        takes_all || outbox.is_shallow()
    }

    /// Ends a session whose ends can only differ about their state from now on, as the peer does not take what it has to
    /// be told. The outbox accepts nothing more, so that this is asked for once.
    #[cold]
    fn give_up(&mut self) -> Option<Waker> {
        self.outbox.seal();
        let abort = Command::Abort {
            reason: CloseReason::TransportError,
            cause: "the outbox is full, and what has to be said does not fit either",
        };
        self.command(abort).ok().flatten()
    }
}

/// Wakes outside the lock: a waker may run the task at once on some executors.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionCore {
    /// Without the id, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outbox::Framing;

    fn session(transport: TransportKind, limits: &SessionLimits) -> SessionHandle {
        let id = SessionId::random().unwrap();
        SessionHandle::new(id, Revision::V4, transport, Dialect::Packets, false, limits)
    }

    #[test]
    fn nothing_is_sent_behind_the_end_of_a_half() {
        let native = || Outlet::stream(None, Framing::Native);
        let packets = || Outlet::packets(true);
        for (transport, outlet, expected) in [
            (TransportKind::Tcp, native(), Err(SendError::Closed)),
            (TransportKind::Tcp, packets(), Err(SendError::Closed)),
            // Its halves do not end apart: to end it is to close it, which the driver does in its turn.
            (TransportKind::WebTransport, native(), Ok(())),
        ] {
            let session = session(transport, &SessionLimits::default());
            session.begin(outlet);
            session.end();
            let sent = session.send(&[Message::text("x")], SendOptions::default());
            assert_eq!(sent, expected, "{transport}");
        }
    }

    /// Whoever handles packets asks with each of them, and is not to go on.
    #[test]
    fn outbox_is_marked_as_full_whatever_fills_it() {
        let limits = SessionLimits::default().outbox_limit(10);
        let open = |session: &SessionHandle| {
            session.send_open(&OpenPacket {
                sid: "a".to_owned(),
                upgrades: Vec::new(),
                ping_interval: Duration::from_secs(1),
                ping_timeout: Duration::from_secs(1),
                max_payload: None,
                compression: None,
            });
        };
        let send = |session: &SessionHandle| {
            let message = [Message::text("more than ten bytes")];
            session.send(&message, SendOptions::default()).unwrap();
        };
        let begin = |session: &SessionHandle| {
            session.begin(Outlet::stream(None, Framing::Native).behind(vec![0; 20]));
        };
        let all: [&dyn Fn(&SessionHandle); 3] = [&open, &send, &begin];
        for fill in all {
            let session = session(TransportKind::Tcp, &limits);
            assert!(!session.has_become_full());
            fill(&session);
            assert!(session.has_become_full());
        }
    }

    #[test]
    fn what_has_to_be_said_ends_a_session_whose_peer_takes_nothing() {
        let limits = SessionLimits::default().outbox_limit(100_000);
        let session = session(TransportKind::Polling, &limits);
        let message = [Message::text(&"x".repeat(1000))];
        let send = |options| session.send(&message, options);
        while send(SendOptions::default()).is_ok() {}
        assert!(session.queued() < 102_000);
        while send(SendOptions::CONTROL).is_ok() {}
        assert!((200_000..202_000).contains(&session.queued()));
        for options in [SendOptions::CONTROL, SendOptions::default()] {
            assert_eq!(send(options), Err(SendError::Closed));
        }
        let commands = session.shared().lock().take_commands();
        assert!(matches!(
            commands[..],
            [Command::Abort {
                reason: CloseReason::TransportError,
                ..
            }]
        ));
    }
}
