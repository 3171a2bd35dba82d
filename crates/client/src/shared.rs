use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use sockeye_engine::{ClientSession, ConnectUrl, Connector, SessionHandle};
use sockeye_events::{EventError, Snapshot, StateMap};
use sockeye_link::InboxLimits;
use tokio::sync::Notify;

use crate::config::SocketConfig;
use crate::connection::Connection;
use crate::heartbeat::Heartbeat;
use crate::hooks::Hooks;
use crate::run::run;
use crate::socket::Inner;
use crate::{ClientConfig, ConfigError, Socket};

/// What the handles of a client, its sockets and its task share.
pub(crate) struct Shared {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) inbox_limits: Arc<InboxLimits>,
    pub(crate) url: ConnectUrl,
    pub(crate) connector: Connector,
    pub(crate) states: Arc<StateMap>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) hooks: Hooks,
    pub(crate) error_hook: Snapshot<Option<ErrorHook>>,
    alive: OnceLock<Weak<Alive>>,
    state: Mutex<State>,
    /// A socket wants something else than it did.
    changed: Notify,
    /// The same, for the connection of the open session.
    dirty: AtomicBool,
    /// The task has ended.
    rested: Notify,
}

pub(crate) type ErrorHook = Arc<dyn Fn(&Socket, &EventError) + Send + Sync>;

#[derive(Default)]
struct State {
    sockets: Vec<Arc<Inner>>,
    /// Whether there is a task.
    running: bool,
    session: Option<SessionHandle>,
    /// Sessions that are over for the sockets, but have last words to write.
    lingering: usize,
}

/// Held by every handle of the application, and by nobody else: when the last one goes, the
/// client disconnects.
pub(crate) struct Alive(pub(crate) Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.disconnect_all();
    }
}

impl Shared {
    /// The state of a new client, kept alive by what is returned.
    pub(crate) fn start(url: ConnectUrl, config: ClientConfig) -> Result<Arc<Alive>, ConfigError> {
        config.check()?;
        let shared = Arc::new(Self {
            connector: Connector::new(config.connector.clone())?,
            inbox_limits: Arc::new(config.inbox),
            config: Arc::new(config),
            url,
            states: Arc::default(),
            heartbeat: Arc::default(),
            hooks: Hooks::default(),
            error_hook: Snapshot::default(),
            alive: OnceLock::new(),
            state: Mutex::default(),
            changed: Notify::new(),
            dirty: AtomicBool::new(false),
            rested: Notify::new(),
        });
        let alive = Arc::new(Alive(Arc::clone(&shared)));
        let _ = shared.alive.set(Arc::downgrade(&alive));
        Ok(alive)
    }

    /// What the application's handles hold, if there still is one.
    pub(crate) fn alive(&self) -> Option<Arc<Alive>> {
        self.alive.get()?.upgrade()
    }

    /// The socket of a namespace, which is made if there is none.
    pub(crate) fn find_or_add(
        self: &Arc<Self>,
        namespace: &str,
        config: impl FnOnce() -> SocketConfig,
    ) -> Arc<Inner> {
        let mut state = self.state.lock();
        let known = state
            .sockets
            .iter()
            .find(|socket| socket.namespace() == namespace);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let socket = Inner::new(namespace, self, config());
        state.sockets.push(Arc::clone(&socket));
        socket
    }

    /// All sockets.
    pub(crate) fn sockets(&self) -> Vec<Arc<Inner>> {
        self.state.lock().sockets.clone()
    }

    /// Whether a socket wants to be connected.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state.lock().is_wanted()
    }

    /// Waits until no socket wants to be connected.
    pub(crate) async fn unwanted(&self) {
        loop {
            let changed = self.changed.notified();
            if !self.is_wanted() {
                return;
            }
            changed.await;
        }
    }

    /// A socket wants to be connected: sees to it that there is a task, and that it knows.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if there is no task yet.
    pub(crate) fn run(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.running {
            drop(state);
            self.poke();
        } else {
            tokio::spawn(run(Arc::clone(self)));
            state.running = true;
        }
    }

    /// Whether the task has something to do. If not, it is gone as far as everyone is concerned.
    pub(crate) fn goes_on(&self) -> bool {
        let mut state = self.state.lock();
        state.running = state.is_wanted();
        let running = state.running;
        drop(state);
        if !running {
            self.rested.notify_waiters();
        }
        running
    }

    /// Waits until there is no task.
    pub(crate) async fn rested(&self) {
        self.wait(|state| !state.running).await;
    }

    /// Waits until there is no task, and no session in whatever state.
    pub(crate) async fn gone(&self) {
        self.wait(|state| !state.running && state.lingering == 0)
            .await;
    }

    async fn wait(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let rested = self.rested.notified();
            if is_so(&self.state.lock()) {
                return;
            }
            rested.await;
        }
    }

    /// Lets a session that is over finish by itself.
    pub(crate) fn linger(self: &Arc<Self>, session: ClientSession<Connection>) {
        self.state.lock().lingering += 1;
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            session.await;
            shared.state.lock().lingering -= 1;
            shared.rested.notify_waiters();
        });
    }

    /// Tells the task that a socket wants something else.
    pub(crate) fn poke(&self) {
        self.dirty.store(true, Ordering::Release);
        self.changed.notify_waiters();
        // Cloned, as waking may run the task at once on some executors.
        let session = self.state.lock().session.clone();
        if let Some(session) = session {
            session.wake();
        }
    }

    /// Whether a socket wants something else since this was last asked.
    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    /// A session was opened, or is over.
    pub(crate) fn set_session(&self, session: Option<SessionHandle>) {
        self.state.lock().session = session;
        self.dirty.store(true, Ordering::Release);
    }

    /// The session that is open.
    pub(crate) fn session(&self) -> Option<SessionHandle> {
        self.state.lock().session.clone()
    }

    pub(crate) fn disconnect_all(&self) {
        for socket in self.sockets() {
            socket.disconnect();
        }
        self.poke();
    }
}

impl State {
    fn is_wanted(&self) -> bool {
        self.sockets.iter().any(|socket| socket.is_active())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
