//! Handlers of what happens to the connection itself.

use sockeye_events::{Callback, IntoReply, erase};

use crate::{Namespace, Socket};

/// Their names, for which events have a table of their own: those of clients may well be called the
/// same.
pub(crate) const END: &str = "end";
pub(crate) const DRAIN: &str = "drain";
pub(crate) const CLOSE: &str = "close";

impl Namespace {
    /// Calls this handler when a peer on a TCP or Unix-domain stream has closed its half, which
    /// is to say that it will send nothing more. It can be sent to still: what the handler emits
    /// before it first has to wait gets there. Then the connection closes, unless the listener
    /// [allows half-open ones](crate::ListenOptions::allow_half_open).
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use sockeye::{Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_end(|socket: Socket| socket.emit("summary", "that was all"));
    /// ```
    pub fn on_end<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on_stream(END, handler)
    }

    /// Calls this handler when everything is written to a peer that had let more than the
    /// [high-water mark](crate::EngineConfig::high_water_mark) wait. To send much, awaiting
    /// [`Socket::ready`] is simpler.
    pub fn on_drain<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on_stream(DRAIN, handler)
    }

    /// Calls this handler when a socket's connection is closed for good: after `disconnect`, when
    /// what waited is written or given up. A socket that has left the namespace before, with the
    /// connection going on, is told then, too; if it came and went more than once, its last stay is.
    ///
    /// The handler may take the [`DisconnectReason`](crate::DisconnectReason), which is why the socket
    /// was disconnected.
    pub fn on_close<M: 'static, F>(&self, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        self.on_stream(CLOSE, handler)
    }

    fn on_stream<M: 'static, F>(&self, name: &str, handler: F) -> &Self
    where
        F: Callback<Socket, M>,
        F::Output: IntoReply,
    {
        let handler = erase(handler);
        self.listeners()
            .update(|listeners| listeners.on_stream(name, handler));
        self
    }
}
