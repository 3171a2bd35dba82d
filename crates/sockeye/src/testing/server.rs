use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::connect::{Connect, Door, dial};
use super::network::Network;
use super::peer::Open;
use super::pipe::Pipe;
use crate::client::DialConfig;
use crate::{ConnectionInfo, ListenOptions, TransportKind};

/// An application's server with doors in memory.
///
/// It dereferences to the [server](crate::Server) itself. Clients of it have addresses of this machine, each connection
/// another one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    io: crate::Server,
    ports: Arc<AtomicU16>,
}

impl Server {
    /// Opens doors to this server. It may listen elsewhere as well.
    #[must_use]
    pub fn new(io: crate::Server) -> Self {
        Self {
            io,
            ports: Arc::new(AtomicU16::new(49_152)),
        }
    }

    /// A client whose socket joins this namespace; awaiting it connects.
    pub fn connect(&self, namespace: &str) -> Connect {
        Connect::new(self.door(), namespace)
    }

    /// What brings a client that the application makes itself to this server, whatever the host in its URL: for
    /// [`ConnectorConfig::dial`](crate::client::ConnectorConfig::dial), which gives it back instead of what it has. The doors here have no TLS, so that its scheme is
    /// `http`, `tcp` or `unix`.
    #[must_use]
    pub fn dial(&self, network: &Network) -> DialConfig {
        dial(self.door(), network)
    }

    /// A client that follows a script of packets; awaiting it opens a session.
    pub fn peer(&self, transport: TransportKind) -> Open {
        let server = self.clone();
        Open::new(transport, move |transport| server.pipe(transport))
    }

    /// A connection on which nothing was said yet, for a script of bytes: to where HTTP is spoken if the transport is
    /// polling or WebSocket, to a bare stream otherwise.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn pipe(&self, transport: TransportKind) -> Pipe {
        let (near, far) = Pipe::pair();
        self.serve(far, transport);
        near
    }

    fn door(&self) -> Door {
        let server = self.clone();
        Arc::new(move |pipe, transport| server.serve(pipe, transport))
    }

    fn serve(&self, pipe: Pipe, transport: TransportKind) {
        let port = self.ports.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let info = ConnectionInfo {
            remote_addr: (transport != TransportKind::Unix).then_some(address),
            secure: false,
        };
        let options = ListenOptions::default();
        match transport {
            TransportKind::Tcp | TransportKind::Unix => self.io.serve_stream(pipe, info, options),
            _ => self.io.serve_http(pipe, info, options),
        }
    }
}

impl Deref for Server {
    type Target = crate::Server;

    fn deref(&self) -> &crate::Server {
        &self.io
    }
}
