//! What can be done with the connection below a socket.

use sockeye_engine::{CloseReason, NetSocket};

use super::Socket;
use crate::link::Request;

impl Socket {
    /// The network socket below the connection, for addresses and options of the system.
    ///
    /// ```
    /// # use sockeye_server as sockeye;
    /// use std::time::Duration;
    ///
    /// use sockeye::{Server, Socket};
    ///
    /// let io = Server::new();
    /// io.on_connect(|socket: Socket| {
    ///     let net = socket.net_socket();
    ///     println!("{:?} -> {:?}", net.remote_addr(), net.local_addr());
    ///     // An error over Unix-domain sockets and TLS, where there is no such thing.
    ///     let _ = net.set_keep_alive(Some(Duration::from_secs(60)));
    /// });
    /// ```
    #[must_use]
    pub fn net_socket(&self) -> NetSocket {
        self.link().session.net_socket(self.handshake().peer())
    }

    /// Writes what waits and then closes this side's half of the connection: emitting is an
    /// error from now on, while the peer can be heard until it closes its half.
    ///
    /// There is no heartbeat from then on, so that a peer that falls silent is not noticed.
    /// Only the halves of TCP, TLS and Unix-domain streams can be closed apart; on other
    /// transports this is [`close`](Self::close).
    pub fn end(&self) {
        self.link().session.end();
    }

    /// Writes what waits and closes the connection, with all sockets on it. To take this one out of
    /// its namespace alone, there is [`disconnect`](Self::disconnect).
    pub fn close(&self) {
        self.link().request(Request::Close);
    }

    /// Breaks the connection off, as a network that fails does: what waits is lost, the peer is told nothing, and the sockets
    /// on it may [come back](crate::RecoveryConfig). The reason is `transport close`.
    ///
    /// To end a connection, there is [`close`](Self::close); this is for those who try what happens when one is lost.
    pub fn abort(&self) {
        self.link()
            .session
            .abort(CloseReason::TransportClose, "broken off by this side");
    }

    /// Stops reading from the connection, until [`resume`](Self::resume): the peer's sending has
    /// to wait, for all of its sockets. It can be sent to meanwhile.
    ///
    /// In a handler, nothing comes behind the event that it handles, but for events that were
    /// queued already. Elsewhere a few may come still. A peer with heartbeats that goes unheard
    /// for the [`stall_timeout`](crate::SessionLimits::stall_timeout()), 5 min, is disconnected
    /// with the reason `ping timeout`. As long as nothing is read, that it is gone is noticed by
    /// writing to it only.
    pub fn pause(&self) {
        self.link().session.pause();
    }

    /// Goes on reading from the connection. Does nothing if it is not paused.
    pub fn resume(&self) {
        self.link().session.resume();
    }

    /// Whether the connection is paused, by [`pause`](Self::pause) or because the listener
    /// [pauses on connect](crate::ListenOptions::pause_on_connect).
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.link().session.is_paused()
    }
}
