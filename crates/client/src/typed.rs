//! Typed events of a client: the same methods as those that take a name and arguments.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use sockeye_events::{AckFuture, EmitError, EventArgs, FromEvent, TypedEvent};
use sockeye_socket_proto::{FromArgs, ToArgs};

use crate::events::Listening;
use crate::handover::{Taker, handover};
use crate::{Ack, Socket};

/// The typed events of one kind, one after the other; see [`Socket::typed_events`].
///
/// It ends and makes the server wait as an [`EventStream`](crate::EventStream) does.
#[must_use = "events are only had by polling"]
pub struct TypedEventStream<E: TypedEvent> {
    listening: Listening,
    events: Taker<ReceivedTypedEvent<E>>,
}

/// One event out of a [`TypedEventStream`].
pub struct ReceivedTypedEvent<E: TypedEvent> {
    /// The event.
    pub event: E,
    /// Answers it, if the server waits for that.
    pub ack: Ack<E::Ack>,
}

impl<E: TypedEvent<Ack: ToArgs>> ReceivedTypedEvent<E> {
    /// Answers the event; does nothing if the server does not wait for that, or another handler
    /// was first.
    ///
    /// # Errors
    ///
    /// If the connection that the event came by is gone, or the answer cannot be encoded.
    pub fn answer(self, answer: E::Ack) -> Result<(), EmitError> {
        self.ack.send(answer)
    }
}

impl Socket {
    /// The typed events of one kind as a stream, from now on, for programs that would rather loop
    /// than register a handler. Several streams and handlers each get all of them.
    ///
    /// One whose arguments are not what the type says does not come out here: it goes to the error
    /// hook, and the server is told if it waits for an answer, as with [`on_event`](crate::Listeners::on_event).
    ///
    /// ```no_run
    /// # use sockeye_client as sockeye;
    /// # use sockeye_events::{Data, Event, ExtractError, FromEvent, TypedEvent};
    /// # use sockeye_socket_proto::{ArgsWriter, EncodeError};
    /// use futures_util::StreamExt;
    /// use sockeye::{EmitError, Socket};
    ///
    /// // With `#[derive(Event)]`: #[event(ack = bool)] struct Move(i32, i32);
    /// # struct Move(i32, i32);
    /// # impl TypedEvent for Move {
    /// #     const NAME: &'static str = "move";
    /// #     type Ack = bool;
    /// #     fn write_args(&self, out: &mut ArgsWriter<'_>) -> Result<(), EncodeError> {
    /// #         out.push(&self.0)
    /// #     }
    /// # }
    /// # impl<S> FromEvent<S> for Move {
    /// #     fn from_event(event: &Event<'_, S>) -> Result<Self, ExtractError> {
    /// #         let Data((x, y)) = Data::from_event(event)?;
    /// #         Ok(Self(x, y))
    /// #     }
    /// # }
    /// # async fn play(socket: Socket) -> Result<(), EmitError> {
    /// let mut moves = socket.typed_events::<Move>();
    /// while let Some(received) = moves.next().await {
    ///     let Move(x, y) = received.event;
    ///     received.ack.send(x == y)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed_events<E>(&self) -> TypedEventStream<E>
    where
        E: TypedEvent<Ack: 'static> + FromEvent<Self> + Send + 'static,
    {
        let (giver, events) = handover();
        let handler =
            move |event: E, ack: Ack<E::Ack>| giver.give(ReceivedTypedEvent { event, ack });
        TypedEventStream {
            listening: Listening::new(self, self.on(E::NAME, handler)),
            events,
        }
    }

    /// Emits a typed event; give it away or lend it.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
        self.emit(E::NAME, EventArgs(&event))
    }

    /// Emits a typed event at once, and gives a future of its acknowledgement; see
    /// [`emit_with_ack`](Self::emit_with_ack). The event must have one.
    pub fn emit_event_with_ack<E>(&self, event: E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: FromArgs>,
    {
        self.emit_with_ack(E::NAME, EventArgs(&event))
    }
}

impl<E: TypedEvent> Stream for TypedEventStream<E> {
    type Item = ReceivedTypedEvent<E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_take(cx)
    }
}

impl<E: TypedEvent> fmt::Debug for TypedEventStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedEventStream")
            .field(&self.listening)
            .finish()
    }
}

impl<E: TypedEvent + fmt::Debug> fmt::Debug for ReceivedTypedEvent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedTypedEvent")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}
