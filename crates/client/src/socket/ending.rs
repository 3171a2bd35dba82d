//! The end of a client: all of its sockets are disconnected.

use super::shared::{Alive, ClientCore};

impl ClientCore {
    pub(crate) fn disconnect_all(&self) {
        for socket in self.sockets() {
            socket.inner().disconnect();
        }
        self.poke();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.disconnect_all();
    }
}
