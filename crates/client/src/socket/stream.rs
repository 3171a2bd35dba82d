//! What can be done with the connection below a socket.

use std::sync::atomic::Ordering;

use sockeye_engine::NetSocket;
use sockeye_events::{Event, start_alone};

use super::Socket;

impl Socket {
    /// The network socket below the connection, for addresses and options of the system; `None`
    /// while the socket is not connected.
    #[must_use]
    pub fn net_socket(&self) -> Option<NetSocket> {
        let secure = self.inner.client()?.secure.load(Ordering::Relaxed);
        Some(self.inner.session()?.net_socket_to(secure))
    }

    /// Writes what waits and then closes this side's half of the connection: what is emitted from
    /// now on waits for the next connection, while the server can be heard until it closes its
    /// half. Does nothing while the socket is not connected.
    ///
    /// There is no heartbeat from then on. Only the halves of TCP, TLS and Unix-domain streams
    /// can be closed apart. Other transports are closed altogether: the sockets are told
    /// `forced close`, and the client connects again at once, unless it does not reconnect.
    pub fn end(&self) {
        if let Some(session) = self.inner.session() {
            self.inner.heartbeat.forget();
            session.end();
        }
    }

    /// Disconnects all sockets of the client, and closes the connection after what waits is
    /// written. They do not come back by themselves. The same as
    /// [`Client::disconnect`](crate::Client::disconnect); to wait until it is done, there is
    /// [`Client::close`](crate::Client::close).
    pub fn close(&self) {
        if let Some(client) = self.inner.client() {
            client.disconnect_all();
        }
    }

    /// Stops reading from the connection, until [`resume`](Self::resume), or until it is lost:
    /// the server's sending has to wait, for all sockets of the client. A server with heartbeats
    /// that goes unheard for the [`stall_timeout`](crate::SessionLimits::stall_timeout()), 5 min,
    /// counts as gone.
    pub fn pause(&self) {
        if let Some(session) = self.inner.session() {
            session.pause();
        }
    }

    /// Goes on reading from the connection. Does nothing if it is not paused.
    pub fn resume(&self) {
        if let Some(session) = self.inner.session() {
            // It lies unread perhaps. The next one that is read counts again.
            self.inner.heartbeat.forget();
            session.resume();
        }
    }

    /// Whether the connection is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.inner
            .session()
            .is_some_and(|session| session.is_paused())
    }

    /// Runs the handlers of something that has happened to the connection.
    pub(crate) fn dispatch_stream(&self, event: &Event<'_, Self>) {
        let listeners = self.inner.listeners.load();
        listeners.dispatch_stream(event, start_alone);
    }
}
