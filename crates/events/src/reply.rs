use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sockeye_socket_proto::{Args, ToArgs};

use crate::event::AckSlot;
use crate::{Event, EventError, EventErrorKind, EventSocket, ExtractError, IntoRefusal, Refusal};

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
/// `()` sends nothing, a value acknowledges the event, `Err` goes to the error hook and, if the
/// peer waits for an acknowledgement, is sent there as `{"error": {"message", "data"}}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot become an acknowledgement",
    note = "return `()`, a number, string, `Bytes`, `Vec`, `Option`, map, tuple, `serde_json::Value` or `Args`, or a `Result` with one of these",
    note = "wrap any other type that implements `Serialize`: `Reply(value)`"
)]
pub trait IntoReply: Outcome {
    /// Answers the event.
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>);
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
}

/// A responder for a handler that outlives the event's buffers.
#[derive(Debug)]
pub(crate) struct OwnedResponder<S> {
    socket: S,
    event: Box<str>,
    ack: Option<AckSlot>,
}

/// The acknowledgement of an event that failed.
#[derive(Serialize)]
struct ErrorAck<'a> {
    error: &'a Refusal,
}

impl<'a, S: EventSocket> Responder<'a, S> {
    /// Answers this event.
    #[must_use]
    pub fn new(event: &'a Event<'_, S>) -> Self {
        Self {
            socket: event.socket(),
            event: event.name(),
            ack: event.ack_slot(),
        }
    }

    pub(crate) fn to_owned(&self) -> OwnedResponder<S> {
        OwnedResponder {
            socket: self.socket.clone(),
            event: self.event.into(),
            ack: self.ack.cloned(),
        }
    }

    /// Sends the answer, if one is wanted and none was given yet.
    pub fn answer<A: ToArgs + ?Sized>(&self, args: &A) {
        let Some(slot) = self.ack.filter(|slot| slot.take()) else {
            return;
        };
        if let Err(error) = self.socket.acknowledge(slot.id, args) {
            self.socket.report(EventError::new(self.event, error));
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
            error: &Refusal::new(error.to_string()),
        });
        self.socket.report(EventError::new(self.event, error));
    }

    /// Reports that the handler panicked. What it said stays here: the peer gets no detail.
    pub(crate) fn panicked(&self, payload: &(dyn Any + Send)) {
        self.answer(&ErrorAck {
            error: &Refusal::new("internal error"),
        });
        self.socket
            .report(EventError::panicked(self.event, payload));
    }
}

impl<S: EventSocket> OwnedResponder<S> {
    pub(crate) fn responder(&self) -> Responder<'_, S> {
        Responder {
            socket: &self.socket,
            event: &self.event,
            ack: self.ack.as_ref(),
        }
    }
}

impl Outcome for () {}

impl IntoReply for () {
    fn reply<S: EventSocket>(self, _to: &Responder<'_, S>) {}
}

impl<T, E> Outcome for Result<T, E> {}

impl<T: IntoReply, E: IntoRefusal> IntoReply for Result<T, E> {
    fn reply<S: EventSocket>(self, to: &Responder<'_, S>) {
        match self {
            Ok(value) => value.reply(to),
            Err(error) => to.fail(error.into_refusal()),
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
