mod sessions;

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use sockeye_engine_proto::{
    Compression, OpenPacket, RequestError, Revision, Role, Session, TransportKind, payload,
};

use crate::application::Application;
use crate::config::{ConfigError, EngineConfig};
use crate::connections::Connections;
use crate::gate::{Fate, Gate, Place};
use crate::handshake::Handshake;
use crate::http::{Deliveries, RequestService};
use crate::trace;
use sessions::Sessions;
use sockeye_engine::SessionId;
use sockeye_engine::SessionLimits;
use sockeye_engine::now;
use sockeye_engine::{Agreed, AnyCarrier, Carrier, Driver, Polling, Side, Wire};
use sockeye_engine::{Dialect, SessionHandle};
use tracing::Instrument;

/// An Engine.IO server: its sessions, and the application on top of them.
///
/// Cheap to clone. It does nothing by itself until requests or streams are given to it: by
/// [`listen`](Self::listen), or as a tower [`service`](Self::service) or [`layer`](Self::layer).
pub struct Engine<A> {
    inner: Arc<EngineCore<A>>,
}

/// An [`Engine`] that it does not keep alive.
pub struct WeakEngine<A> {
    inner: Weak<EngineCore<A>>,
}

struct EngineCore<A> {
    config: EngineConfig,
    application: A,
    sessions: Sessions,
    gate: Arc<Gate>,
    connections: Arc<Connections>,
    deliveries: Arc<Deliveries>,
    /// The answers with the layers around them, if there are any.
    layered: OnceLock<RequestService>,
}

/// A session that is counted and can be found, and has no driver yet to see to its end.
pub(crate) struct Registered<'e, A: Application> {
    pub(crate) session: SessionHandle,
    /// Forgets the session when this is dropped: something has panicked, the application perhaps. `None` once the
    /// driver does that.
    engine: Option<&'e Engine<A>>,
}

impl<A: Application> Engine<A> {
    /// An engine with this configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot work.
    pub fn new(config: EngineConfig, application: A) -> Result<Self, ConfigError> {
        let config = config.checked()?;
        let inner = EngineCore {
            gate: Gate::new(config.session_counts()),
            connections: Connections::new(config.connection_limits),
            deliveries: Arc::default(),
            layered: OnceLock::new(),
            config,
            application,
            sessions: Sessions::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The engine, for what belongs to it and must not keep it alive: its application.
    #[must_use]
    pub fn downgrade(&self) -> WeakEngine<A> {
        WeakEngine {
            inner: Arc::downgrade(&self.inner),
        }
    }

    /// The application.
    #[must_use]
    pub fn application(&self) -> &A {
        &self.inner.application
    }

    /// The configuration, as it was checked.
    #[must_use]
    pub fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// How many sessions are open, and about to be: those whose handshake is being answered count
    /// already.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.inner.gate.sessions()
    }

    /// How many connections its own listeners have open, with a session or without.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.inner.connections.count()
    }

    /// Whether [`close`](Self::close) or [`close_when_idle`](Self::close_when_idle) was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.inner.gate.is_closing()
    }

    /// Opens no more sessions, closes every one after what waits for it is written, and returns
    /// when nothing of the engine is left: sessions, connections, listeners and their socket files.
    /// Listeners accept as long as there are sessions: one on long-polling is told by its next
    /// request, which may need a new connection.
    ///
    /// It takes no longer than the [`shutdown_timeout`](EngineConfig::shutdown_timeout), give or
    /// take a tenth; what has not come to its end by then is dropped.
    ///
    /// # Cancel safety
    ///
    /// If this is dropped, the engine closes all the same, but nobody is dropped before its own
    /// time limits.
    pub async fn close(&self) {
        let grace = self.config().shutdown_timeout;
        self.begin_close();
        let gate = &self.inner.gate;
        if tokio::time::timeout(grace, gate.emptied()).await.is_err() {
            gate.expire();
            for session in self.inner.sessions.all() {
                session.vanish();
            }
        }
        gate.gone().await;
    }

    /// Opens no more sessions, and tells every one to close.
    pub fn begin_close(&self) {
        let grace = self.config().shutdown_timeout;
        let now = now();
        self.inner
            .gate
            .begin_closing(now.checked_add(grace).unwrap_or(now));
        for session in self.inner.sessions.all() {
            session.close();
        }
    }

    /// Opens no more sessions, and returns when those that are open have come to their ends, and
    /// nothing else of the engine is left either. They are not hurried: [`close`](Self::close) may
    /// still be called.
    pub async fn close_when_idle(&self) {
        self.inner.gate.begin_draining();
        self.inner.gate.gone().await;
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.inner.gate
    }

    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.inner.connections
    }

    /// The layers with what answers requests inside of them, which is made when it is needed first; `None` if there are no
    /// layers.
    pub(crate) fn layered(
        &self,
        innermost: impl FnOnce() -> RequestService,
    ) -> Option<&RequestService> {
        let layers = &self.config().layers;
        if layers.is_empty() {
            return None;
        }
        let layered = &self.inner.layered;
        Some(layered.get_or_init(|| layers.around(innermost())))
    }

    pub(crate) fn deliveries(&self) -> &Arc<Deliveries> {
        &self.inner.deliveries
    }

    pub(crate) fn session(&self, id: &str) -> Option<SessionHandle> {
        let session = self.inner.sessions.find(&SessionId::parse(id)?)?;
        session.is_findable().then_some(session)
    }

    /// Asks the application whether a session may be opened, and keeps a place for it.
    pub(crate) async fn admit(&self, handshake: &Arc<Handshake>) -> Result<Place, RequestError> {
        if let Some(allow) = &self.config().hooks.allow_request {
            let verdict = allow(Arc::clone(handshake)).await;
            verdict.map_err(|text| RequestError::Forbidden(Some(text.into())))?;
        }
        let address = handshake.remote_addr().map(|address| address.ip());
        let place = self.inner.gate.reserve(address);
        place.map_err(|full| RequestError::Forbidden(Some(full.to_string().into())))
    }

    /// Opens a session on long-polling.
    pub(crate) fn open_polling(
        &self,
        place: Place,
        handshake: Arc<Handshake>,
        revision: Revision,
        dialect: payload::PayloadDialect,
    ) -> Option<SessionHandle> {
        let registered = self.register(
            place,
            revision,
            TransportKind::Polling,
            Dialect::Packets,
            dialect.uses_base64(),
        )?;
        let session = registered.session.clone();
        self.drive(
            registered,
            handshake,
            AnyCarrier::other(Polling::new(dialect)),
        );
        Some(session)
    }

    /// Opens a session on a WebSocket.
    pub(crate) fn open_stream(
        &self,
        place: Place,
        handshake: Arc<Handshake>,
        revision: Revision,
        base64: bool,
        wire: Wire,
        agreed: Agreed,
    ) {
        let kind = TransportKind::WebSocket;
        if let Some(registered) = self.register(place, revision, kind, Dialect::Packets, base64) {
            self.drive_wire(registered, handshake, wire, agreed);
        }
    }

    /// Runs a session on a stream; to peers that speak in packets the open packet goes first.
    pub(crate) fn drive_wire(
        &self,
        registered: Registered<'_, A>,
        handshake: Arc<Handshake>,
        wire: Wire,
        agreed: Agreed,
    ) {
        let session = &registered.session;
        session.begin(wire.outlet().agree(agreed));
        if session.dialect() == Dialect::Packets {
            let mut open = self.open_packet(session, session.transport());
            open.compression = matches!(agreed, Agreed::Native(_)).then_some(Compression::Deflate);
            session.send_open(&open);
        }
        self.drive(registered, handshake, wire.into());
    }

    /// Runs a session in a task of its own.
    fn drive(&self, registered: Registered<'_, A>, handshake: Arc<Handshake>, carrier: AnyCarrier) {
        let now = now();
        let session = registered.session.clone();
        let transport = session.transport();
        let state = match session.dialect() {
            Dialect::Packets => {
                let config = &self.config().session;
                Session::server(config, session.revision(), transport, now)
            }
            Dialect::Lines => Session::plain(Role::Server, transport, now),
        };
        let span = trace::connection(handshake.remote_addr());
        let connect = || self.application().connect(session.clone(), handshake);
        let connection = span.in_scope(connect);
        let engine = self.clone();
        let driver = Driver::new(engine, session, state, connection, carrier, now);
        registered.hand_over();
        // A task with a place for a span is larger: one that nobody wants is not to cost that.
        if span.is_disabled() {
            tokio::spawn(driver);
        } else {
            tokio::spawn(driver.instrument(span));
        }
    }

    /// The open packet.
    pub(crate) fn open_packet(
        &self,
        session: &SessionHandle,
        transport: TransportKind,
    ) -> OpenPacket {
        let config = self.config();
        let upgrades = match transport {
            TransportKind::Polling if config.allow_upgrades => config
                .transports
                .iter()
                .copied()
                .filter(|kind| kind.is_upgrade_target())
                .collect(),
            _ => Vec::new(),
        };
        OpenPacket {
            sid: session.id().as_str().to_owned(),
            upgrades,
            ping_interval: config.session.ping_interval,
            ping_timeout: config.session.ping_timeout,
            max_payload: Some(config.limits.payload.max_payload),
            compression: None,
        }
    }

    /// Counts a session, and lets it be found.
    pub(crate) fn register(
        &self,
        place: Place,
        revision: Revision,
        transport: TransportKind,
        dialect: Dialect,
        base64: bool,
    ) -> Option<Registered<'_, A>> {
        let id = SessionId::random()
            .inspect_err(|error| tracing::error!(%error, "no random session id"))
            .ok()?;
        let limits = &self.config().limits;
        let session = SessionHandle::new(id, revision, transport, dialect, base64, limits);
        session.measure();
        self.inner.sessions.insert(session.clone(), place.take());
        let registered = Registered {
            session,
            engine: Some(self),
        };
        let session = &registered.session;
        // Closing looks at the sessions once: one that was registered behind its back must see
        // to itself.
        match self.inner.gate.fate() {
            Fate::Live => {}
            Fate::Close => session.close(),
            Fate::Vanish => session.vanish(),
        }
        Some(registered)
    }
}

impl<A: Application> Registered<'_, A> {
    /// There is a driver.
    fn hand_over(mut self) {
        self.engine = None;
    }
}

impl<A: Application> Drop for Registered<'_, A> {
    fn drop(&mut self) {
        if let Some(engine) = self.engine {
            self.session.retire();
            engine.forget(&self.session);
        }
    }
}

impl<A: Application> Side for Engine<A> {
    const WAITS_FOR_ROOM: bool = true;

    fn limits(&self) -> &SessionLimits {
        &self.config().limits
    }

    fn slack(&self) -> Duration {
        self.config().session.ping_timeout / 10
    }

    fn forget(&self, session: &SessionHandle) {
        if let Some(whence) = self.inner.sessions.remove(session.id()) {
            self.inner
                .deliveries
                .end(session.id(), self.config().limits.linger);
            self.inner.gate.leave(&whence);
        }
    }
}

impl<A> WeakEngine<A> {
    /// The engine, while something keeps it alive: a handle, a listener or a session.
    #[must_use]
    pub fn upgrade(&self) -> Option<Engine<A>> {
        let inner = self.inner.upgrade()?;
        Some(Engine { inner })
    }
}

impl<A> Clone for WeakEngine<A> {
    fn clone(&self) -> Self {
        Self {
            inner: Weak::clone(&self.inner),
        }
    }
}

impl<A> fmt::Debug for WeakEngine<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakEngine")
    }
}

impl<A> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<A> fmt::Debug for Engine<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.inner.config)
            .field("gate", &self.inner.gate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use sockeye_engine::{CloseReason, Connection, Incoming};

    use super::*;

    struct App;
    struct Nothing;

    impl Application for App {
        type Connection = Nothing;

        fn connect(&self, _: SessionHandle, _: Arc<Handshake>) -> Nothing {
            Nothing
        }
    }

    impl Connection for Nothing {
        fn handle_message(&mut self, _: Incoming<'_>, _: &mut Context<'_>) {}

        fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn handle_close(&mut self, _: CloseReason, _: &mut Context<'_>) {}
    }

    #[test]
    fn a_driver_is_small() {
        // Every idle connection is one. tokio adds 96 bytes, and rounds up to a multiple of 128,
        // which leaves a server's connection 200 until the next one.
        let size = size_of::<Driver<Engine<App>, Nothing>>();
        assert!(size <= 344, "{size} bytes");
    }
}
