use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sockeye_socket_proto::{Args, ToArgs};

use crate::reply::{ErrorAck, acknowledge};
use crate::slot::AckSlot;
use crate::{DisconnectReason, EmitError, Event, EventSocket, ExtractError, IntoRefusal};

/// A type that a handler can take as a parameter.
///
/// Extraction happens before the handler starts, in the order of the parameters; the first
/// failure becomes an error of the event, and the handler is not called. Taking
/// `Result<T, ExtractError>` instead of `T` gives the failure to the handler.
///
/// Implement it for parameters of your own, where `S` is the kind of socket:
///
/// ```
/// use sockeye_events::{Data, Event, ExtractError, FromEvent};
///
/// /// The first argument as text, or nothing.
/// struct Text(String);
///
/// impl<S> FromEvent<S> for Text {
///     fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
///         let Data(text) = Data::<Option<String>>::from_event(event)?;
///         Ok(Self(text.unwrap_or_default()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot take `{Self}` as a parameter",
    note = "parameters can be `Socket`, `Server`, `Data<T>`, `Args`, `Ack<T>`, `State<T>`, `Extension<T>`, `Captures<T>`, `ParentNamespace`, `EventName`, `Handshake`, `DisconnectReason`, `DisconnectDetail`, `EnginePacket`, or a `Result` of one of them",
    note = "wrap the type of the arguments in `Data<…>`; several arguments are a tuple: `Data((a, b)): Data<(A, B)>`"
)]
pub trait FromEvent<S>: Sized {
    /// Makes the parameter from an event.
    ///
    /// # Errors
    ///
    /// When the event does not have what the parameter needs.
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError>;
}

/// The event's arguments as a type of yours.
///
/// A tuple takes one argument per element, any other type takes the first argument. Arguments
/// that are missing are `None` for an `Option` and an error otherwise; arguments that are left
/// over are ignored. `bytes::Bytes` anywhere inside takes a binary attachment.
///
/// serde cannot tell an array of fixed length from a tuple, so `[T; N]` takes `N` arguments. A
/// JSON list in one argument is a `Vec`, or a tuple inside a tuple: `Data<((A, B),)>`.
///
/// ```
/// # use sockeye_events::Data;
/// // emit("chat", "lobby", "hello")
/// fn chat(Data((room, text)): Data<(String, String)>) {}
/// // emit("count"), or emit("count", 3)
/// fn count(Data(by): Data<Option<u32>>) {}
/// // emit("sum", [1, 2, 3])
/// fn sum(Data(numbers): Data<Vec<i64>>) -> i64 {
///     numbers.iter().sum()
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<S, T: DeserializeOwned> FromEvent<S> for Data<T> {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        Ok(Self(event.args().deserialize()?))
    }
}

/// The arguments as they came, to be looked at later or passed on.
impl<S> FromEvent<S> for Args {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        Ok(event.args().to_args())
    }
}

/// The event's name, for handlers of several events such as `on_any`. A name that is a number
/// on the wire is that number's digits here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventName(pub String);

impl<S> FromEvent<S> for EventName {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        Ok(Self(event.name().to_owned()))
    }
}

impl<S> FromEvent<S> for DisconnectReason {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        event
            .reason()
            .ok_or(ExtractError::NotAvailable("a disconnect reason"))
    }
}

/// What else is known of the end of a connection, for logs: what its transport said or did wrong, such as the code of a
/// WebSocket's close frame. A parameter of handlers of `disconnecting`, `disconnect` and
/// [`on_close`](crate::Listeners::on_close).
///
/// There is nothing to tell where a socket was disconnected while its connection goes on, nor where the
/// [`DisconnectReason`] says all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisconnectDetail(pub Option<Arc<str>>);

impl DisconnectDetail {
    /// Takes note of a cause, unless there was one before.
    pub fn note(&mut self, cause: fmt::Arguments<'_>) {
        self.0.get_or_insert_with(|| match cause.as_str() {
            Some(text) => text.into(),
            None => cause.to_string().into(),
        });
    }
}

impl<S> FromEvent<S> for DisconnectDetail {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        let detail = event
            .detail()
            .and_then(|detail| detail.downcast_ref::<Self>());
        Ok(detail.cloned().unwrap_or_default())
    }
}

/// A value that was given to the server or client with `state`, cloned for the handler.
///
/// It is found by its type. If none of that type was given, the event fails with
/// [`ExtractError::MissingState`]. Share large or changing things as `Arc<…>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State<T>(pub T);

impl<S: EventSocket, T: Clone + Send + Sync + 'static> FromEvent<S> for State<T> {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        let value = event.socket().state().cloned();
        value
            .map(Self)
            .ok_or_else(|| ExtractError::MissingState(type_name::<T>()))
    }
}

impl<S, T: FromEvent<S>> FromEvent<S> for Result<T, ExtractError> {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        Ok(T::from_event(event))
    }
}

/// Answers an event whenever the handler chooses, instead of by its return value.
///
/// Only one answer of an event is sent, whichever handler gives it first. If the peer asked for
/// none ([`is_wanted`](Self::is_wanted) is false), `send` does nothing. That the handler returns
/// `Ok(())` is no answer while it has not been sent or dropped.
#[derive(Debug)]
pub struct Ack<S: EventSocket, T> {
    target: Option<InHand<S>>,
    answer: PhantomData<fn(T)>,
}

/// The right to answer, until this is dropped.
#[derive(Debug)]
struct InHand<S: EventSocket> {
    socket: S,
    slot: AckSlot,
}

impl<S: EventSocket, T: ToArgs> Ack<S, T> {
    /// Whether the peer waits for an answer.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.target.is_some()
    }

    /// Sends the answer; a tuple becomes several arguments.
    ///
    /// # Errors
    ///
    /// As for `emit`: the socket is gone, its outbox is full, or the value cannot be encoded. In the last case the peer
    /// is told that there was an internal error.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "handlers give their result away"
    )]
    pub fn send(self, answer: T) -> Result<(), EmitError> {
        match &self.target {
            Some(InHand { socket, slot }) if slot.answer() => acknowledge(socket, slot, &answer),
            _ => Ok(()),
        }
    }

    /// Refuses: whoever waits for the answer gets an error, as if the handler had returned this as its `Err`. The
    /// error hook of this side is not told.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    #[expect(clippy::needless_pass_by_value, reason = "as an `Err` is")]
    pub fn refuse(self, error: impl IntoRefusal) -> Result<(), EmitError> {
        match &self.target {
            Some(InHand { socket, slot }) if slot.answer() => {
                let error = &error.refusal();
                socket.acknowledge(slot.id, &ErrorAck { error })
            }
            _ => Ok(()),
        }
    }
}

impl<S: EventSocket> Drop for InHand<S> {
    fn drop(&mut self) {
        if self.slot.end() {
            // Whoever cannot be told is gone.
            let _ = self.socket.acknowledge(self.slot.id, &());
        }
    }
}

impl<S: EventSocket, T> FromEvent<S> for Ack<S, T> {
    fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
        let target = event.ack_slot().map(|slot| InHand {
            socket: event.socket().clone(),
            slot: slot.take_in_hand(),
        });
        Ok(Self {
            target,
            answer: PhantomData,
        })
    }
}
