use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::connect::{Connect, Door, dial};
use super::network::Network;
use super::peer::Peer;
use super::pipe::Pipe;
use super::time::expect;
use crate::TransportKind;
use crate::client::DialConfig;

/// A server that does what the test does: for clients that are to be seen with one that refuses, is silent or broken.
///
/// ```
/// use sockeye::testing::{self, ScriptedServer};
///
/// testing::run(async {
///     let mut server = ScriptedServer::new();
///     let client = server.connect("/").lazy();
///
///     let mut peer = server.accept().await;
///     peer.send(r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#).await;
///     peer.expect("40").await;
///     peer.send(r#"40{"sid":"a"}"#).await;
///     client.until_connected().await;
///
///     peer.send(r#"42["news",1]"#).await;
///     assert_eq!(client.next::<u32>("news").await, 1);
/// });
/// ```
pub struct ScriptedServer {
    door: Door,
    came: mpsc::UnboundedReceiver<(Pipe, TransportKind)>,
}

impl ScriptedServer {
    /// A server that nobody has connected to.
    #[must_use]
    pub fn new() -> Self {
        let (sender, came) = mpsc::unbounded_channel();
        // If the server is gone, the connection is hung up on.
        let door = move |pipe, transport| drop(sender.send((pipe, transport)));
        Self {
            door: Arc::new(door),
            came,
        }
    }

    /// A client of it, the real one. It does not get far unless the server plays its part, so that it is had by
    /// [`lazy`](Connect::lazy), or awaited beside that.
    pub fn connect(&self, namespace: &str) -> Connect {
        Connect::new(Arc::clone(&self.door), namespace)
    }

    /// What brings a client that the application makes itself to this server.
    #[must_use]
    pub fn dial(&self, network: &Network) -> DialConfig {
        dial(Arc::clone(&self.door), network)
    }

    /// Takes the next connection, and shakes hands if it is to be a WebSocket. A client on a bare stream begins with the
    /// packet `0`. Both wait for an open packet then.
    ///
    /// # Panics
    ///
    /// If nobody connects in time, or it is for long-polling, which is a matter of [bytes](Self::accept_pipe).
    pub async fn accept(&mut self) -> Peer {
        let (pipe, transport) = self.next().await;
        match transport {
            TransportKind::Tcp | TransportKind::Unix => Peer::accept_stream(pipe),
            _ => Peer::accept_websocket(pipe).await,
        }
    }

    /// Takes the next connection as it is.
    ///
    /// # Panics
    ///
    /// If nobody connects in time.
    pub async fn accept_pipe(&mut self) -> Pipe {
        self.next().await.0
    }

    async fn next(&mut self) -> (Pipe, TransportKind) {
        let came = expect(self.came.recv(), || "nobody connects".to_owned()).await;
        came.expect("the server itself has a door")
    }
}

impl Default for ScriptedServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedServer").finish_non_exhaustive()
    }
}
