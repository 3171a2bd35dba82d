use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sockeye_socket_proto::{Args, ToArgs};

use crate::slot::AckSlot;
use crate::{
    EmitError, Event, EventError, EventErrorKind, EventSocket, ExtractError, Failure, IntoRefusal,
    Refusal,
};

/// A type that a handler or a middleware may return.
///
/// A closed list rather than everything that serialises: it is what tells a plain function's
/// result from an async function's future, and `()` (no answer) from values (an answer). Any
/// other `Serialize` type is returned in the wrapper [`Reply`].
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "return `()`, a number, string, `Bytes`, `Vec`, map, tuple, `serde_json::Value` or `Args`, or a `Result` of one of these",
    note = "wrap any other type that implements `Serialize`: `Reply(value)`"
)]
pub trait Outcome {}

/// A handler's result: what becomes of it when the handler is done.
///
/// `()` sends nothing, a value acknowledges the event, and so does `Ok(())`, with no arguments. `Err`
/// goes to the error hook and, if the peer waits for an acknowledgement, refuses it: with what
/// [`IntoRefusal`] lets it see.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become an acknowledgement",
    note = "return `()`, a number, string, `Bytes`, `Vec`, `Option`, map, tuple, `serde_json::Value` or `Args`, or a `Result` with one of these",
    note = "wrap any other type that implements `Serialize`: `Reply(value)`"
)]
pub trait IntoReply: Outcome {
    /// Answers the event.
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>);

    /// Answers the event with what was in an `Ok`. The same as [`reply`](Self::reply), but for `()`: a
    /// handler that can fail also says that it has not.
    fn reply_ok<S: EventSocket>(self, to: &Responder<'_, S>)
    where
        Self: Sized,
    {
        self.reply(to);
    }
}

/// Makes an acknowledgement of any `Serialize` type.
///
/// Structs and enums need it; `Vec`, `Option`, `Box` and maps of them do not. As everywhere, a
/// tuple is several arguments.
///
/// ```
/// # use sockeye_events::Reply;
/// #[derive(serde::Serialize)]
/// struct User {
///     name: String,
/// }
///
/// fn me() -> Reply<User> {
///     Reply(User { name: "Ann".into() })
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reply<T>(pub T);

/// Where a handler's result goes: one event of one socket.
#[derive(Debug)]
pub struct Responder<'a, S> {
    socket: &'a S,
    event: &'a str,
    ack: Option<&'a AckSlot>,
    role: Role,
}

/// Why a handler was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// For events of this name.
    Handler,
    /// For events of any name. Its values answer, but that it has nothing to say is no answer.
    Observer,
}

/// A responder for a handler that outlives the event's buffers.
#[derive(Debug)]
pub(crate) struct OwnedResponder<S> {
    socket: S,
    event: Box<str>,
    ack: Option<AckSlot>,
    role: Role,
}

/// The acknowledgement of an event that failed.
#[derive(Serialize)]
pub(crate) struct ErrorAck<'a> {
    pub(crate) error: &'a Refusal,
}

/// Sends the one answer. If it cannot be encoded, the peer is told that there was an error: it would wait until its
/// time is over otherwise, as nobody else may answer any more.
pub(crate) fn acknowledge<S: EventSocket, A: ToArgs + ?Sized>(
    socket: &S,
    slot: &AckSlot,
    answer: &A,
) -> Result<(), EmitError> {
    let result = socket.acknowledge(slot.id, answer);
    if let Err(EmitError::Encode(_)) = result {
        let error = &Refusal::internal();
        // Whoever cannot be told is gone.
        let _ = socket.acknowledge(slot.id, &ErrorAck { error });
    }
    result
}

impl<S: EventSocket> Event<'_, S> {
    /// All handlers have been called, those who share the right to answer. When they are done, and no more than
    /// `Ok(())` has come of it, that is the answer.
    pub fn all_called(&self) {
        Responder::new(self).end();
    }
}

impl<'a, S: EventSocket> Responder<'a, S> {
    /// Answers this event.
    #[must_use]
    pub fn new(event: &'a Event<'_, S>) -> Self {
        Self {
            socket: event.socket(),
            event: event.name(),
            ack: event.ack_slot(),
            role: Role::Handler,
        }
    }

    /// A handler is about to be called. When it is done, [`end`](Self::end) has to be called.
    pub(crate) fn begin(event: &'a Event<'_, S>, role: Role) -> Self {
        let responder = Self {
            role,
            ..Self::new(event)
        };
        if let Some(slot) = responder.slot() {
            slot.begin();
        }
        responder
    }

    /// The handler, or who has called all of them, is done.
    pub(crate) fn end(&self) {
        if let Some(slot) = self.slot()
            && slot.end()
        {
            self.send(slot, &());
        }
    }

    pub(crate) fn to_owned(&self) -> OwnedResponder<S> {
        OwnedResponder {
            socket: self.socket.clone(),
            event: self.event.into(),
            ack: self.ack.cloned(),
            role: self.role,
        }
    }

    /// Sends the answer, if one is wanted and none was given yet.
    pub fn answer<A: ToArgs + ?Sized>(&self, args: &A) {
        if let Some(slot) = self.ack.filter(|slot| slot.answer()) {
            self.send(slot, args);
        }
    }

    /// The event was handled, and there is nothing to say about it: sends an answer without arguments, if one is
    /// wanted and no handler gives a better one.
    pub fn done(&self) {
        if let Some(slot) = self.slot()
            && slot.done()
        {
            self.send(slot, &());
        }
    }

    /// Reports a failure to the error hook and to the peer, if it waits for an answer.
    pub fn fail(&self, refusal: Refusal) {
        self.answer(&ErrorAck { error: &refusal });
        self.socket.report(EventError::new(
            self.event,
            EventErrorKind::Refused(refusal),
        ));
    }

    /// Reports that a middleware refused the event, to the error hook and to the peer, if it waits
    /// for an answer.
    pub fn refuse(&self, refusal: Refusal) {
        self.answer(&ErrorAck { error: &refusal });
        self.socket.report(EventError::new(
            self.event,
            EventErrorKind::Middleware(refusal),
        ));
    }

    /// Reports that the event could not be handed to the handler.
    pub(crate) fn reject(&self, error: ExtractError) {
        self.answer(&ErrorAck {
            error: &error.refusal(),
        });
        self.socket.report(EventError::new(self.event, error));
    }

    /// Reports that the handler panicked. What it said stays here: the peer gets no detail.
    pub(crate) fn panicked(&self, payload: &(dyn Any + Send)) {
        self.answer(&ErrorAck {
            error: &Refusal::internal(),
        });
        self.socket
            .report(EventError::panicked(self.event, payload));
    }

    /// The right to answer by having nothing to say.
    fn slot(&self) -> Option<&'a AckSlot> {
        self.ack.filter(|_| self.role == Role::Handler)
    }

    fn send<A: ToArgs + ?Sized>(&self, slot: &AckSlot, args: &A) {
        if let Err(error) = acknowledge(self.socket, slot, args) {
            self.socket.report(EventError::new(self.event, error));
        }
    }
}

impl<S: EventSocket> OwnedResponder<S> {
    pub(crate) fn responder(&self) -> Responder<'_, S> {
        Responder {
            socket: &self.socket,
            event: &self.event,
            ack: self.ack.as_ref(),
            role: self.role,
        }
    }
}

impl Outcome for () {}

impl IntoReply for () {
    fn reply<S: EventSocket>(self, _to: &Responder<'_, S>) {}

    fn reply_ok<S: EventSocket>(self, to: &Responder<'_, S>) {
        to.done();
    }
}

impl<T, E> Outcome for Result<T, E> {}

impl<T: IntoReply, E: Failure> IntoReply for Result<T, E> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        match self {
            Ok(value) => value.reply_ok(to),
            Err(error) => to.fail(error.fail()),
        }
    }
}

impl<T> Outcome for Reply<T> {}

impl<T: Serialize> IntoReply for Reply<T> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        to.answer(&self.0);
    }
}

macro_rules! values {
    ($([$($param:ident)*] $type:ty),* $(,)?) => {$(
        impl<$($param),*> Outcome for $type {}

        impl<$($param: Serialize),*> IntoReply for $type
        where
            Self: ToArgs,
        {
            fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
                to.answer(&self);
            }
        }
    )*};
}

values!(
    [] bool, [] char, [] i8, [] i16, [] i32, [] i64, [] i128, [] isize, [] u8, [] u16, [] u32,
    [] u64, [] u128, [] usize, [] f32, [] f64, [] String, [] &'static str, [] Cow<'static, str>,
    [] Box<str>, [] Bytes, [] Value, [] Args,
    [T] Vec<T>, [T] Option<T>, [T] Box<T>, [K V] BTreeMap<K, V>, [K V] HashMap<K, V>,
    [A] (A,), [A B] (A, B), [A B C] (A, B, C), [A B C D] (A, B, C, D),
    [A B C D E] (A, B, C, D, E), [A B C D E F] (A, B, C, D, E, F),
);
