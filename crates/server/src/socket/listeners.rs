//! Listeners and middlewares of one socket.

use sockeye_events::{
    Callback, EventCallback, IntoReply, ListenerId, Listeners, TypedEvent, erase, erase_event,
};
use sockeye_link::middleware::{self, IntoVerdict};
use sockeye_link::{Own, Receiver};

use super::Socket;
use crate::namespace::{CLOSE, DRAIN, END};

impl Socket {
    /// Adds a handler of an event of this socket only. Handlers of the namespace, which are shared
    /// by all its sockets, cost nothing per socket; see [`Namespace::on`](crate::Namespace::on).
    ///
    /// A handler of `error` is told what goes wrong with this socket, as
    /// [`on_error`](crate::Namespace::on_error) is for all of them, and takes it as an
    /// `Arc<`[`EventError`](crate::EventError)`>`; where peers may emit an event of that name, which is
    /// everywhere but on TCP and Unix-domain streams, that comes as an error of theirs.
    pub fn on<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.on(name, erase(handler)))
    }

    /// Adds a handler that runs for the next such event only.
    pub fn once<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.once(name, erase(handler)))
    }

    /// Adds a handler of a typed event of this socket only; see
    /// [`Namespace::on_event`](crate::Namespace::on_event).
    pub fn on_event<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: EventCallback<Self, M>,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.on(F::Event::NAME, erase_event(handler)))
    }

    /// Adds a handler that runs for the next such typed event only.
    pub fn once_event<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: EventCallback<Self, M>,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.once(F::Event::NAME, erase_event(handler)))
    }

    /// Adds a handler of every incoming event, which runs before the event's own.
    pub fn on_any<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.on_any(erase(handler)))
    }

    /// Adds a handler of every incoming event in front of the others.
    pub fn prepend_any<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.prepend_any(erase(handler)))
    }

    /// Adds a handler that is told of every event that is emitted to this socket.
    pub fn on_any_outgoing<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.on_any_outgoing(erase(handler)))
    }

    /// Adds a handler of every event that is emitted to this socket in front of the others.
    pub fn prepend_any_outgoing<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.prepend_any_outgoing(erase(handler)))
    }

    /// Calls this handler when this socket's peer has closed its half of the stream; see
    /// [`Namespace::on_end`](crate::Namespace::on_end).
    pub fn on_end<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on_stream(END, handler)
    }

    /// Calls this handler when everything is written to this socket's peer after much had to wait;
    /// see [`Namespace::on_drain`](crate::Namespace::on_drain).
    pub fn on_drain<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on_stream(DRAIN, handler)
    }

    /// Calls this handler when this socket's connection is closed for good; see
    /// [`Namespace::on_close`](crate::Namespace::on_close).
    pub fn on_close<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on_stream(CLOSE, handler)
    }

    fn on_stream<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.own_or_new()
            .listeners
            .update(|listeners| listeners.on_stream(name, erase(handler)))
    }

    /// Removes the handlers of one event that were added to this socket; says how many. What
    /// [`on_end`](Self::on_end), [`on_drain`](Self::on_drain) and [`on_close`](Self::on_close) have
    /// added goes by `end`, `drain` and `close`, beside the handlers of events that are called so.
    pub fn off(&self, name: &str) -> usize {
        self.change_listeners(|listeners| listeners.off(name))
    }

    /// Removes the handlers of all events that were added to this socket.
    pub fn off_all(&self) {
        self.change_listeners(Listeners::off_all);
    }

    /// Removes the handlers that [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any)
    /// have added to this socket.
    pub fn off_any(&self) {
        self.change_listeners(Listeners::off_any);
    }

    /// Removes the handlers of outgoing events that were added to this socket.
    pub fn off_any_outgoing(&self) {
        self.change_listeners(Listeners::off_any_outgoing);
    }

    /// Removes one handler that was added to this socket; says whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.change_listeners(|listeners| listeners.remove(id))
    }

    /// The events for which handlers were added to this socket, in the order in which the oldest of
    /// them were.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        let own = self.own().map(|own| own.listeners.load());
        own.map_or_else(Vec::new, |listeners| listeners.event_names())
    }

    /// How many handlers of one event were added to this socket. Those of every event, and of the
    /// namespace, do not count.
    #[must_use]
    pub fn listener_count(&self, name: &str) -> usize {
        let own = self.own().map(|own| own.listeners.load());
        own.map_or(0, |listeners| listeners.count(name))
    }

    /// Whether handlers of one event were added to this socket.
    #[must_use]
    pub fn has_listeners(&self, name: &str) -> bool {
        self.listener_count(name) > 0
    }

    /// Adds a middleware for this socket's incoming events, which runs before their handlers and
    /// decides what becomes of them. While an async one thinks, the events after it wait.
    ///
    /// An event that is refused goes to the error hook. The client is told where there is a way: if
    /// it waits for an acknowledgement, that is `{"error": {"message", "data"}}`; if it does not, one
    /// on a TCP or Unix-domain stream gets an error with the same, and others nothing.
    pub fn middleware<M: 'static, F>(&self, middleware: F)
    where
        F: Callback<Self, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        self.own_or_new()
            .middlewares
            .update(|middlewares| middlewares.push(middleware));
    }

    fn own_or_new(&self) -> &Own<Self> {
        self.extras().own.get_or_init(Own::default)
    }

    fn change_listeners<R: Default>(&self, change: impl FnOnce(&mut Listeners<Self>) -> R) -> R {
        match self.own() {
            Some(own) => own.listeners.update(change),
            None => R::default(),
        }
    }
}
