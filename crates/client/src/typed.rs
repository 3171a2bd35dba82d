//! Typed events of a client: the same methods as those that take a name and arguments.

use sockeye_events::{
    AckFuture, EmitError, EventArgs, EventCallback, ListenerId, TypedEvent, erase_event,
};
use sockeye_socket_proto::FromArgs;

use crate::{ClientBuilder, Socket};

impl Socket {
    /// Adds a handler of a typed event; see [`on`](Self::on).
    ///
    /// The handler's last parameter says which event it is; the others are extractors. It returns
    /// the event's acknowledgement, `()` if that has none, or a `Result` with one of these.
    pub fn on_event<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: EventCallback<Self, M>,
    {
        let handler = erase_event(handler);
        let listeners = &self.inner().listeners;
        listeners.update(|listeners| listeners.on(F::Event::NAME, handler))
    }

    /// Adds a handler that runs for the next such event only.
    pub fn once_event<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: EventCallback<Self, M>,
    {
        let handler = erase_event(handler);
        let listeners = &self.inner().listeners;
        listeners.update(|listeners| listeners.once(F::Event::NAME, handler))
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

impl ClientBuilder {
    /// Adds a handler of a typed event; see [`Socket::on_event`].
    pub fn on_event<M: 'static, F>(self, handler: F) -> Self
    where
        F: EventCallback<Socket, M>,
    {
        self.add(F::Event::NAME, erase_event(handler))
    }
}
