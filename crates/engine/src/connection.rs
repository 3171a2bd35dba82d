use std::fmt;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use sockeye_engine_proto::{CloseReason, Message, Packet, TransportKind};

/// The upper layer of one session. All of its methods run on the session's driver task, one at
/// a time.
pub trait Connection: Send + 'static {
    /// A message came. It lies in a buffer that all connections of the thread share, so what is
    /// to be kept must be copied.
    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>);

    /// Goes on with what is not finished; ready when nothing is left to do. After the session
    /// is closed, the driver lives on until then.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Whether the next message may come. While not, the peer is not read from, so that it is
    /// the peer's sending that has to wait. The driver looks again after each `poll`.
    fn is_ready(&self) -> bool {
        true
    }

    /// Whether more must come for what came last to make sense, such as attachments. A peer that lets
    /// the [`unfinished_timeout`](crate::SessionLimits::unfinished_timeout()) pass then is given up. Asked
    /// in each turn, so it must be cheap.
    fn is_unfinished(&self) -> bool {
        false
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The time of `poll_timeout` has come.
    fn handle_timeout(&mut self, now: Instant, cx: &mut Context<'_>) {
        let _ = (now, cx);
    }

    /// The peer will send nothing more, but can still be sent to: it has closed its half of a
    /// bare stream. Unless the listener allows such streams, the session closes right after this.
    /// Called at most once.
    fn handle_end(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// A peer that speaks in lines has sent what can be no line, and the session closes with `parse
    /// error` right after this.
    fn handle_undecodable(&mut self, error: &dyn fmt::Display, cx: &mut Context<'_>) {
        let _ = (error, cx);
    }

    /// Nothing waits to be written any more, after more than the high-water mark had to.
    fn handle_drain(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// The peer of this server tries another transport, which answers: the session is about to go over to it.
    fn handle_upgrading(&mut self, transport: TransportKind, cx: &mut Context<'_>) {
        let _ = (transport, cx);
    }

    /// Another transport carries the session from now on: it has gone over from long-polling.
    fn handle_upgrade(&mut self, transport: TransportKind, cx: &mut Context<'_>) {
        let _ = (transport, cx);
    }

    /// Whether [`handle_packet`](Self::handle_packet) is to be called for messages, too. Asked for each, so it must be
    /// cheap.
    #[inline]
    fn wants_packets(&self) -> bool {
        false
    }

    /// A packet came on the transport that carries the session, and is about to be handled: a message only if
    /// [that is wanted](Self::wants_packets).
    fn handle_packet(&mut self, packet: &Packet<'_>, cx: &mut Context<'_>) {
        let _ = (packet, cx);
    }

    /// The peer's part of a heartbeat came: a ping, or the answer to one. If this side waits for the next, it is due before
    /// this time; by when the first one is due, a client is told when its session is opened.
    ///
    /// The session looks at the time itself. It is for programs that distrust the clock which
    /// timers follow, as it may stand still while the machine sleeps.
    fn handle_heartbeat(&mut self, due: Option<Instant>, cx: &mut Context<'_>) {
        let _ = (due, cx);
    }

    /// The next heartbeat may come as late as this, later than was
    /// [said](Self::handle_heartbeat), as bytes have been moving meanwhile. Called for the sessions of
    /// clients only.
    fn handle_progress(&mut self, due: Instant) {
        let _ = due;
    }

    /// Something is known about why the session is about to end, beyond the reason that
    /// [`handle_close`](Self::handle_close) will be called with: for logs and error messages. May be called more than
    /// once, and then it is the first cause that counts.
    fn note(&mut self, cause: fmt::Arguments<'_>) {
        let _ = cause;
    }

    /// The session is closed: nothing comes any more and nothing can be sent. Called once.
    fn handle_close(&mut self, reason: CloseReason, cx: &mut Context<'_>);

    /// The transport is gone too: what waited when the session was closed is written, or given
    /// up. Called once, after [`handle_close`](Self::handle_close), unless the runtime is shut
    /// down before.
    fn handle_gone(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }
}

/// A message from the peer.
#[derive(Clone)]
pub enum Incoming<'a> {
    /// A text.
    Text(&'a str),
    /// Bytes that lie in a shared buffer.
    Binary(&'a [u8]),
    /// Bytes that came with a buffer of their own, which can be kept without copying.
    Owned(Bytes),
}

impl<'a> Incoming<'a> {
    /// What a packet holds.
    #[must_use]
    pub fn of(message: &'a Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(data) => Self::Binary(data),
        }
    }

    /// How many bytes it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks for that")]
    pub const fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(data) => data.len(),
            Self::Owned(data) => data.len(),
        }
    }

    /// The bytes of a binary message as a buffer of their own.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Binary(data) => Bytes::copy_from_slice(data),
            Self::Owned(data) => data,
        }
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Binary(data) => write!(f, "Binary({} bytes)", data.len()),
            Self::Owned(data) => write!(f, "Binary({} bytes)", data.len()),
        }
    }
}
