use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

use sockeye_socket_proto::{ArgsError, EncodeError};
use thiserror::Error;

use crate::refusal::Refusal;

/// Why `emit` did not accept an event. Nothing of it was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected any more (or not yet).
    #[error("the socket is not connected")]
    Disconnected,
    /// The receiver reads too slowly: what waits for it has reached the outbox limit, 8 MiB of
    /// its connection unless configured otherwise.
    #[error("the outbox is full")]
    OutboxFull,
    /// There is no connection, and as many events wait for one as may, 10,000 or 8 MiB unless
    /// configured otherwise.
    #[error("too many events wait for a connection")]
    BufferFull,
    /// The event is volatile, and the peer cannot take it right now.
    #[error("the peer is not ready for a volatile event")]
    NotReady,
    /// The name belongs to the library's own events and cannot be emitted: `connect`,
    /// `connect_error`, `disconnect`, `disconnecting`, `newListener`, `removeListener`.
    ///
    /// To plain peers, which speak lines, these cannot either, as they would take them for events
    /// of their stream: `close`, `connection`, `data`, `drain`, `end`, `error`, `listening`,
    /// `lookup`, `ready`, `timeout`. Between native peers on TCP and Unix-domain streams `error` cannot,
    /// as it is how they tell each other what went wrong.
    #[error("the event name {0:?} is reserved")]
    ReservedName(Box<str>),
    /// As many acknowledgements of the socket are pending as the limit allows, 10,000 unless
    /// configured otherwise.
    #[error("too many acknowledgements are pending")]
    TooManyPendingAcks,
    /// The arguments could not be serialised.
    #[error("the arguments could not be encoded")]
    Encode(#[from] EncodeError),
}

/// Why no acknowledgement came.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AckError {
    /// The time given with `timeout` passed; without one, 20 s for a broadcast.
    #[error("operation has timed out")]
    Timeout,
    /// The socket was disconnected before the peer answered.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event could not be emitted in the first place.
    #[error("the event was not emitted")]
    Emit(#[from] EmitError),
    /// The peer refused: its handler failed, or one of its middlewares said no. What it said is here,
    /// message and data.
    #[error("the peer refused: {}", .0.message())]
    Refused(Refusal),
    /// The peer answered with something that is not the expected type.
    #[error("the acknowledgement has the wrong shape")]
    Args(#[from] ArgsError),
}

impl AckError {
    /// What the peer said, if it has refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// Why a handler's parameter could not be made from an event.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// An argument is missing or has the wrong type.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// The handler asks for a state of a type that was never given to the server.
    #[error("no state of type {0} was registered")]
    MissingState(&'static str),
    /// The handler asks for an extension of a type that the request that opened the connection had
    /// none of: no layer around the server has put it there.
    #[error("the request has no extension of type {0}")]
    MissingExtension(&'static str),
    /// The name of the socket's namespace does not have what the handler takes.
    #[error("the namespace's name does not fit: {0}")]
    Captures(Box<str>),
    /// The handler asks for something that this kind of event does not have.
    #[error("{0} is not available to this kind of handler")]
    NotAvailable(&'static str),
}

/// Something that went wrong with one event, as given to the error hook.
///
/// Other events and the connection itself are not affected.
///
/// `{error}` says which event it was and what went wrong, `{error:#}` what caused that, too.
#[derive(Debug)]
pub struct EventError {
    event: Box<str>,
    kind: EventErrorKind,
}

/// What went wrong with an event.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EventErrorKind {
    /// The arguments are not what the handler takes.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// The handler returned an error: the refusal is what the peer saw, its
    /// [cause](Refusal::cause) what was returned.
    #[error("the handler failed")]
    Refused(#[source] Refusal),
    /// The handler panicked; this is the panic's message.
    #[error("the handler panicked: {0}")]
    Panicked(Box<str>),
    /// The handler's answer could not be sent.
    #[error("the acknowledgement was not sent")]
    Reply(#[from] EmitError),
    /// The peer sent something that cannot be decoded; its connection is being closed.
    #[error("undecodable packet: {0}")]
    Undecodable(Box<str>),
    /// The peer says that it refused something; plain peers do, by an error line.
    #[error("the peer refused: {}", .0.message())]
    Peer(Refusal),
    /// The event was kept by a client until there was a connection, and cannot go over it. Who
    /// waits for its acknowledgement is told instead.
    #[error("it was not sent")]
    NotSent(#[source] EmitError),
    /// An event of a client's socket with `retries` was not acknowledged, however often it was
    /// sent, and nobody waits for the answer.
    #[error("it was given up")]
    GivenUp(#[source] AckError),
    /// A middleware of the socket refused the event, or one of the namespace failed and so has refused
    /// the socket; the [cause](Refusal::cause) is the error that it returned.
    #[error("a middleware refused it")]
    Middleware(#[source] Refusal),
}

impl EventErrorKind {
    /// Whether the peer brought it about: what it sent was wrong, it refused something, or it was gone or did not read when it
    /// was to be answered. A peer can do so as often as it likes, and the application cannot help it.
    #[must_use]
    pub const fn is_fault_of_peer(&self) -> bool {
        matches!(
            self,
            Self::Extract(_)
                | Self::Undecodable(_)
                | Self::Peer(_)
                | Self::Reply(EmitError::Disconnected | EmitError::OutboxFull)
        )
    }
}

impl EventError {
    /// An error of the event with this name.
    pub fn new(event: &str, kind: impl Into<EventErrorKind>) -> Self {
        Self {
            event: event.into(),
            kind: kind.into(),
        }
    }

    /// The error of a handler that panicked with this payload.
    #[must_use]
    pub fn panicked(event: &str, payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        Self::new(event, EventErrorKind::Panicked(message.into()))
    }

    /// The error of this type behind it: what a handler or middleware returned, or anything that this
    /// has among its sources.
    ///
    /// ```
    /// # use sockeye_events::EventError;
    /// # fn hook(error: &EventError) {
    /// if let Some(error) = error.downcast_ref::<std::io::Error>() {
    ///     eprintln!("the disk? {error}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        causes(self).find_map(|error| error.downcast_ref())
    }

    /// The event's name.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> &EventErrorKind {
        &self.kind
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {:?}: {}", self.event, self.kind)?;
        write_causes(self, f)
    }
}

/// The text has what went wrong, so that the sources begin with the cause of that.
impl StdError for EventError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.kind.source()
    }
}

/// Ends the text of an error with its causes, if it is asked for by `{error:#}`: for errors that applications print
/// where they are told of them, which is the end of their way. No text has a cause in it otherwise: who walks through
/// the sources finds each but once.
///
/// # Errors
///
/// As the formatter's.
pub fn write_causes(error: &(dyn StdError + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !f.alternate() {
        return Ok(());
    }
    for cause in causes(error) {
        // What the peer was told of a cause says less than the cause.
        let refusal = cause.downcast_ref::<Refusal>();
        if refusal.is_none_or(|refusal| refusal.cause().is_none()) {
            write!(f, ": {cause}")?;
        }
    }
    Ok(())
}

fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}
