use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use super::client::{Client, Heard};
use super::network::Network;
use super::pipe::Pipe;
use super::time::PATIENCE;
use crate::client::{DialConfig, Socket};
use crate::{Callback, ClientBuilder, ConnectError, IntoReply, Reconnection, TransportKind};

/// A client that is to connect; awaiting it does.
///
/// It is the real client with its defaults, but for four: it uses one transport, which is WebSocket unless
/// [another](Self::over) is named; its connections are in memory; the delays before it comes back have no random part, so
/// that a test takes the same time whenever it runs; and an acknowledgement is waited for no longer than
/// [`PATIENCE`](super::PATIENCE), as one that never comes would be waited for without end, and in no time.
#[must_use = "nothing connects unless it is awaited"]
pub struct Connect {
    door: Door,
    namespace: String,
    transport: TransportKind,
    network: Network,
    changes: Vec<Change>,
}

type Change = Box<dyn FnOnce(ClientBuilder) -> ClientBuilder + Send>;

/// Takes the far end of a connection that is for this transport.
pub(super) type Door = Arc<dyn Fn(Pipe, TransportKind) + Send + Sync>;

impl Connect {
    pub(super) fn new(door: Door, namespace: &str) -> Self {
        Self {
            door,
            namespace: namespace.to_owned(),
            transport: TransportKind::WebSocket,
            network: Network::new(),
            changes: Vec::new(),
        }
    }

    /// What the socket shows when it joins its namespace.
    pub fn auth(self, auth: impl Serialize + Send + 'static) -> Self {
        self.with(|client| client.auth(auth))
    }

    /// Adds a handler, which is there before the first event. Events that have handlers are
    /// [heard](Client::next_event) as well.
    pub fn on<M: 'static, F>(self, name: &str, handler: F) -> Self
    where
        F: Callback<Socket, M> + Send + 'static,
        F::Output: IntoReply,
    {
        let name = name.to_owned();
        self.with(move |client| client.on(&name, handler))
    }

    /// Uses this transport: polling or WebSocket, or a bare stream as [`TransportKind::Tcp`] and
    /// [`TransportKind::Unix`] are. A session that begins on polling and moves to a WebSocket is had by the setting that
    /// names [both](crate::client::ConnectorConfig::transports), in [`with`](Self::with).
    pub const fn over(mut self, transport: TransportKind) -> Self {
        self.transport = transport;
        self
    }

    /// Connects by this network, which others may use as well.
    pub fn network(mut self, network: &Network) -> Self {
        self.network = network.clone();
        self
    }

    /// Changes whatever else a client can be told; all but how streams are opened, which is what brings it into this
    /// memory.
    pub fn with(
        mut self,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder + Send + 'static,
    ) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Connects in the background, and again and again until it succeeds.
    ///
    /// # Panics
    ///
    /// If a setting cannot work.
    pub fn lazy(self) -> Client {
        let (builder, network, heard) = self.build();
        match builder.connect_lazy() {
            Ok(socket) => Client::new(socket, network, heard),
            Err(error) => panic!("{error}"),
        }
    }

    fn build(self) -> (ClientBuilder, Network, Arc<Heard>) {
        let (url, transports) = match self.transport {
            TransportKind::Tcp => ("tcp://server.test:1", None),
            TransportKind::Unix => ("unix:server.test", None),
            kind => ("http://server.test", Some(kind)),
        };
        let dial = dial(self.door, &self.network);
        let heard = Arc::new(Heard::default());
        let mut builder = crate::Client::builder(url)
            .namespace(self.namespace)
            .reconnection(Reconnection::default().randomization(0.0))
            .socket_config(|config| config.ack_timeout(PATIENCE))
            .config(|config| {
                config.connector(|connector| match transports {
                    Some(kind) => connector.dial(|_| dial).transports([kind]),
                    None => connector.dial(|_| dial),
                })
            })
            .listeners(|listeners| heard.listen(listeners));
        for change in self.changes {
            builder = change(builder);
        }
        (builder, self.network, heard)
    }

    async fn connect(self) -> Result<Client, ConnectError> {
        let (builder, network, heard) = self.build();
        let socket = builder.connect().await?;
        Ok(Client::new(socket, network, heard))
    }
}

/// Opens streams by way of this network, to that door.
pub(super) fn dial(door: Door, network: &Network) -> DialConfig {
    let network = network.clone();
    DialConfig::default().open_with(move |url| {
        let transport = url.stream_transport().unwrap_or(TransportKind::WebSocket);
        let near = network.connect().map(|(near, far)| {
            door(far, transport);
            near
        });
        async { near }
    })
}

impl IntoFuture for Connect {
    type Output = Result<Client, ConnectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("namespace", &self.namespace)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
