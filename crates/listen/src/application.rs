use std::sync::Arc;
use std::time::Duration;

use sockeye_engine::{Connection, SessionHandle};

use crate::handshake::Handshake;

/// What runs on top of the engine: it is asked for a [`Connection`] for every new session.
pub trait Application: Send + Sync + 'static {
    /// The state of one session's upper layer.
    type Connection: Connection;

    /// A session was opened. What the returned connection sends through `session` follows the
    /// open packet.
    fn connect(&self, session: SessionHandle, handshake: Arc<Handshake>) -> Self::Connection;

    /// How long a peer on a bare stream may take to say what it speaks, before there is a session
    /// at all. Default: 45 s.
    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(45)
    }
}
