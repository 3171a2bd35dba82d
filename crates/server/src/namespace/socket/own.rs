//! What is this socket's alone: listeners, and middlewares for its events.

use std::ops::Deref;

use sockeye_events::{Callback, Listeners};
use sockeye_link::Own;
use sockeye_link::middleware::{self, IntoVerdict};

use super::Socket;

impl Socket {
    /// Adds a middleware for this socket's incoming events, which runs before their handlers and
    /// decides what becomes of them. While an async one thinks, the events after it wait.
    ///
    /// An event that is refused goes to the error hook. The client is told where there is a way: if
    /// it waits for an acknowledgement, that is `{"error": {"message", "data"}}`; if it does not, one
    /// on a TCP or Unix-domain stream gets an error with the same, and others nothing.
    pub fn middleware<M: 'static, F>(&self, middleware: F) -> &Self
    where
        F: Callback<Self, M>,
        F::Output: IntoVerdict,
    {
        let middleware = middleware::erase(middleware);
        self.own_or_new()
            .middlewares
            .update(|middlewares| middlewares.push(middleware));
        self
    }

    fn own_or_new(&self) -> &Own<Self> {
        self.extras().own.get_or_init(Own::default)
    }
}

impl Deref for Socket {
    type Target = Listeners<Self>;

    fn deref(&self) -> &Listeners<Self> {
        &self.own_or_new().listeners
    }
}
