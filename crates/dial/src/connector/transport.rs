//! Transports of the application's own, in place of those over HTTP that are built in or beside them.
//!
//! [`Transport`] says how a session begins on one, and [`Carrier`] how it goes on. These names are closer to how Sockeye
//! works inside than all others, and may change with any release that has a new minor number.

use std::error::Error;
use std::fmt;
use std::pin::Pin;

use http::HeaderMap;

use crate::url::ConnectUrl;

/// What a carrier has to do with.
pub use sockeye_engine::{
    AnyCarrier, Carrier, Connection, Extent, Incoming, Outgoing, Outlet, Outward, Probe, Request,
    SessionLimits, Upper,
};
/// What packets and sessions are.
pub use sockeye_engine_proto::{
    Lane, Limits, Message, OpenPacket, OpenPacketError, Packet, PacketError, Revision, Session,
    TransportEnd, TransportKind,
};

/// A way to carry sessions that the application brings along: see
/// [`ConnectorConfig::transport`](crate::ConnectorConfig::transport).
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Which of Engine.IO's transports it is, for the server, and for whoever asks the client. There is no name beside
    /// these that a server would know.
    fn kind(&self) -> TransportKind;

    /// Asks the server for a session, and reads its open packet.
    ///
    /// The future is dropped if the attempt is given up.
    fn open(&self, target: TransportTarget) -> Opening<OpenedTransport>;

    /// Opens it for the session that the target has the id of, and that long-polling carries: not before that can
    /// something be sent on it, and nothing is but by the [probe](Probe). Asked only if [`kind`](Self::kind) can be
    /// [moved to](TransportKind::is_upgrade_target), and the server offers it.
    fn upgrade(&self, target: TransportTarget) -> Opening<Box<dyn Probe>> {
        let _ = target;
        Box::pin(async { Err("the transport takes no session over".into()) })
    }
}

/// What will have come of opening a transport.
pub type Opening<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// Why a transport cannot be opened. It is the source of [`OpenError::Transport`](crate::OpenError::Transport).
pub type TransportError = Box<dyn Error + Send + Sync>;

/// What a transport is opened for: a request as one of those that are built in would make it.
#[derive(Clone)]
#[non_exhaustive]
pub struct TransportTarget {
    /// The server.
    pub url: ConnectUrl,
    /// Path and query, with the revision, the name of the transport, and what the application has added.
    pub path_and_query: String,
    /// The headers that the application has set.
    pub headers: HeaderMap,
    /// The revision of Engine.IO to speak. It is not found out: what the configuration says, or else the later one.
    pub revision: Revision,
    /// The session to take over; `None` if there is to be a new one.
    pub sid: Option<String>,
    /// What the session may take.
    pub limits: SessionLimits,
}

/// A session that a transport has opened.
#[derive(Debug)]
pub struct OpenedTransport {
    pub(super) open: OpenPacket,
    pub(super) carrier: AnyCarrier,
}

impl OpenedTransport {
    /// The session that the server has opened by this packet, and what carries it from now on.
    #[must_use]
    pub fn new(open: OpenPacket, carrier: impl Carrier) -> Self {
        Self {
            open,
            carrier: AnyCarrier::other(carrier),
        }
    }
}

impl TransportTarget {
    /// The whole URL of the request, as libraries take it.
    #[must_use]
    pub fn to_url(&self) -> String {
        format!("{}{}", self.url.origin(), self.path_and_query)
    }
}

/// Without the session's id and the values of headers and query, which are secrets or may be.
impl fmt::Debug for TransportTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path_and_query.split('?').next();
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("TransportTarget")
            .field("url", &self.url)
            .field("path", &path)
            .field("headers", &names)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}
