//! Handlers and middlewares of a socket.

use std::sync::atomic::Ordering;

use sockeye_events::{Callback, IntoReply, ListenerId, Listeners, erase};
use sockeye_link::{IntoVerdict, middleware};

use super::{CONNECT, CONNECT_ERROR, DISCONNECT, DISCONNECTING, Socket};

impl Socket {
    /// Calls this handler whenever the socket has been connected: first and after each
    /// interruption. What was emitted meanwhile has been sent already.
    pub fn on_connect<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on(CONNECT, handler)
    }

    /// Calls this handler whenever an attempt to connect has failed. It can take the
    /// [`ConnectError`](crate::ConnectError) as a parameter; whether the client tries again by
    /// itself, [`active`](Self::active) tells.
    ///
    /// ```
    /// # use sockeye_client as sockeye;
    /// use sockeye::{ConnectError, Socket};
    ///
    /// # fn example(socket: Socket) {
    /// socket.on_connect_error(|socket: Socket, error: ConnectError| {
    ///     let then = if socket.active() { "trying again" } else { "giving up" };
    ///     eprintln!("{error}; {then}");
    /// });
    /// # }
    /// ```
    pub fn on_connect_error<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on(CONNECT_ERROR, handler)
    }

    /// Calls this handler whenever the socket is about to be disconnected, by whomever: right
    /// before [`disconnect`](Self::on_disconnect), while the [`id`](Self::id) is still known and
    /// no acknowledgement that is waited for has failed yet. What is emitted from here on waits
    /// for the next connection. The handler can take the
    /// [`DisconnectReason`](crate::DisconnectReason) as a parameter.
    ///
    /// A socket that was only being connected when its connection ended hears of `disconnect`
    /// alone. After this side's own `disconnect` this is told by the connection's task, a little
    /// later.
    pub fn on_disconnecting<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECTING, handler)
    }

    /// Calls this handler whenever the socket has been disconnected, by whomever. It can take the
    /// [`DisconnectReason`](crate::DisconnectReason) as a parameter.
    pub fn on_disconnect<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on(DISCONNECT, handler)
    }

    /// Adds a handler of an event from the server.
    ///
    /// It is a plain or async function of extractors: [`Socket`], [`Data<T>`](crate::Data),
    /// [`Args`](crate::Args), [`Ack<T>`](crate::Ack), [`State<T>`](crate::State) and
    /// [`EventName`](crate::EventName). What it returns, if not `()`, answers the event.
    ///
    /// A handler of `error` is told what goes wrong with this socket, as
    /// [`Client::on_error`](crate::Client::on_error) is for all of them, and takes it as an
    /// `Arc<`[`EventError`](crate::EventError)`>`; where the server may emit an event of that name,
    /// which is everywhere but on TCP and Unix-domain streams, that comes as an error of its.
    pub fn on<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.on(name, erase(handler)))
    }

    /// Adds a handler that runs for the next such event only.
    pub fn once<M: 'static, F>(&self, name: &str, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.once(name, erase(handler)))
    }

    /// Adds a handler of every event from the server, which runs before the event's own.
    pub fn on_any<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.on_any(erase(handler)))
    }

    /// Adds a handler of every event from the server in front of the others.
    pub fn prepend_any<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.prepend_any(erase(handler)))
    }

    /// Adds a handler that is told of every event when it is sent; for one that waits for a
    /// connection, that is when there is one. Acknowledgements are no events.
    pub fn on_any_outgoing<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.on_any_outgoing(erase(handler)))
    }

    /// Adds a handler of every event that is sent in front of the others.
    pub fn prepend_any_outgoing<M: 'static, F>(&self, handler: F) -> ListenerId
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.change_listeners(|listeners| listeners.prepend_any_outgoing(erase(handler)))
    }

    /// Removes the handlers of one event; says how many. What [`on_end`](Self::on_end),
    /// [`on_drain`](Self::on_drain) and [`on_close`](Self::on_close) have added goes by `end`,
    /// `drain` and `close`, here and in [`event_names`](Self::event_names), beside the handlers of
    /// events that are called so.
    pub fn off(&self, name: &str) -> usize {
        self.change_listeners(|listeners| listeners.off(name))
    }

    /// Removes the handlers of all events, those of the library's own included. Those of
    /// [`on_any`](Self::on_any) and [`on_any_outgoing`](Self::on_any_outgoing) stay.
    pub fn off_all(&self) {
        self.change_listeners(Listeners::off_all);
    }

    /// Removes the handlers that [`on_any`](Self::on_any) and [`prepend_any`](Self::prepend_any)
    /// have added.
    pub fn off_any(&self) {
        self.change_listeners(Listeners::off_any);
    }

    /// Removes the handlers of outgoing events.
    pub fn off_any_outgoing(&self) {
        self.change_listeners(Listeners::off_any_outgoing);
    }

    /// Removes one handler, whichever way it was added; says whether it was there.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        self.change_listeners(|listeners| listeners.remove(id))
    }

    /// The events that have handlers, in the order in which their oldest handlers were added.
    #[must_use]
    pub fn event_names(&self) -> Vec<String> {
        self.inner.listeners.load().event_names()
    }

    /// How many handlers one event has. Those of every event do not count.
    #[must_use]
    pub fn listener_count(&self, name: &str) -> usize {
        self.inner.listeners.load().count(name)
    }

    /// Whether an event has handlers.
    #[must_use]
    pub fn has_listeners(&self, name: &str) -> bool {
        self.listener_count(name) > 0
    }

    /// Adds a middleware for incoming events, which runs before their handlers and decides what
    /// becomes of them. While an async one thinks, the events after it wait.
    ///
    /// An event that is refused goes to the error hook. The server is told where there is a way: if
    /// it waits for an acknowledgement, that is `{"error": {"message", "data"}}`; if it does not,
    /// one that speaks lines gets a line with the same, and others nothing.
    pub fn middleware<M: 'static, F>(&self, middleware: F)
    where
        F: Callback<Self, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        let own = self.inner.own.get_or_init(Box::default);
        own.middlewares
            .update(|middlewares| middlewares.push(middleware));
    }

    pub(super) fn change_listeners<R>(&self, change: impl FnOnce(&mut Listeners<Self>) -> R) -> R {
        self.inner.listeners.update(|listeners| {
            let result = change(listeners);
            let has_outgoing = &self.inner.has_outgoing;
            has_outgoing.store(listeners.has_outgoing(), Ordering::Release);
            result
        })
    }
}
