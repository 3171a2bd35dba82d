//! Handlers and middlewares of a socket.

use std::ops::Deref;

use sockeye_events::names::CONNECT_ERROR;
use sockeye_events::{Added, Callback, IntoReply, Listeners};
use sockeye_link::{IntoVerdict, middleware};

use super::Socket;

impl Socket {
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
    ///     eprintln!("{error:#}; {then}");
    /// });
    /// # }
    /// ```
    pub fn on_connect_error<M: 'static, F>(&self, handler: F) -> Added<'_, Self>
    where
        F: Callback<Self, M>,
        F::Output: IntoReply,
    {
        self.on(CONNECT_ERROR, handler)
    }

    /// Adds a middleware for incoming events, which runs before their handlers and decides what
    /// becomes of them. While an async one thinks, the events after it wait.
    ///
    /// An event that is refused goes to the error hook. The server is told where there is a way: if
    /// it waits for an acknowledgement, that is `{"error": {"message", "data"}}`; if it does not,
    /// one that speaks lines gets a line with the same, and others nothing.
    pub fn middleware<M: 'static, F>(&self, middleware: F) -> &Self
    where
        F: Callback<Self, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        let own = self.inner.own.get_or_init(Box::default);
        own.middlewares
            .update(|middlewares| middlewares.push(middleware));
        self
    }
}

impl Deref for Socket {
    type Target = Listeners<Self>;

    fn deref(&self) -> &Listeners<Self> {
        &self.inner.listeners
    }
}
