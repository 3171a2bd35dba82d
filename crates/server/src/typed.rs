//! Typed events of a server: the same methods as those that take a name and arguments.

use sockeye_events::{AckFuture, EmitError, EventArgs, TypedEvent};
use sockeye_socket_proto::FromArgs;

use crate::{BroadcastAcks, BroadcastOperator, Namespace, Socket};

impl Namespace {
    /// Emits a typed event to everyone; give it away or lend it.
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
        self.all().emit_event(event)
    }

    /// Emits a typed event to everyone and collects the answers; see
    /// [`BroadcastOperator::emit_with_ack`].
    ///
    /// # Errors
    ///
    /// As for [`BroadcastOperator::emit`].
    pub fn emit_event_with_ack<E>(&self, event: E) -> Result<BroadcastAcks<E::Ack>, EmitError>
    where
        E: TypedEvent<Ack: FromArgs + Send + 'static>,
    {
        self.all().emit_event_with_ack(event)
    }
}

impl BroadcastOperator {
    /// Emits a typed event; give it away or lend it.
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent>(&self, event: E) -> Result<(), EmitError> {
        self.emit(E::NAME, EventArgs(&event))
    }

    /// Emits a typed event and collects the answers; see [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    ///
    /// As for [`emit`](Self::emit).
    pub fn emit_event_with_ack<E>(&self, event: E) -> Result<BroadcastAcks<E::Ack>, EmitError>
    where
        E: TypedEvent<Ack: FromArgs + Send + 'static>,
    {
        self.emit_with_ack(E::NAME, EventArgs(&event))
    }
}

impl Socket {
    /// Emits a typed event to this socket; give it away or lend it.
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
