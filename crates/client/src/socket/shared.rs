use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use sockeye_dial::{ConnectUrl, Connector};
use sockeye_engine::{Dialect, SessionHandle};
use sockeye_events::{EventError, Snapshot, StateMap};
use sockeye_link::InboxLimits;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock::{now, random};
use crate::heartbeat::Heartbeat;
use crate::hooks::Hooks;
use crate::life::attempts::{Attempts, Next};
use crate::{ClientConfig, ConfigError, Reconnection, Socket};

/// What the handles of a client, its sockets and its task share.
pub(crate) struct ClientCore {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) inbox_limits: Arc<InboxLimits>,
    pub(crate) url: ConnectUrl,
    pub(crate) connector: Connector,
    pub(crate) states: Arc<StateMap>,
    pub(crate) heartbeat: Arc<Heartbeat>,
    pub(crate) hooks: Hooks,
    pub(crate) error_hook: Snapshot<Option<ErrorHook>>,
    /// What the application's handles hold.
    alive: Mutex<Weak<Alive>>,
    /// Whether the session goes over TLS.
    pub(crate) secure: AtomicBool,
    state: Mutex<ClientState>,
    /// Where the task runs, or did.
    runtime: Mutex<Option<Handle>>,
    /// A socket wants something else than it did.
    changed: Notify,
    /// The same as `changed`, for the connection of the open session.
    dirty: AtomicBool,
    /// The task has ended.
    rested: Notify,
}

pub(crate) type ErrorHook = Arc<dyn Fn(&Socket, &EventError) + Send + Sync>;

#[derive(Default)]
struct ClientState {
    sockets: Vec<Socket>,
    /// There is a task, unless they rest.
    attempts: Attempts,
    session: Option<SessionHandle>,
    /// Sessions that are over for the sockets, but have last words to write.
    lingering: usize,
    /// What the application has changed of the configuration.
    changed: Option<Box<Settings>>,
}

/// What can be set anew while the client lives.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) reconnection: Option<Reconnection>,
    pub(crate) timeout: Option<Duration>,
}

/// Held by every handle of the application, and by nobody else: when the last one goes, the
/// client [disconnects](super::ending).
pub(crate) struct Alive(pub(crate) Arc<ClientCore>);

impl ClientCore {
    /// The state of a new client, kept alive by what is returned.
    pub(crate) fn start(url: ConnectUrl, config: ClientConfig) -> Result<Arc<Alive>, ConfigError> {
        config.check()?;
        if config.request.is_none() {
            // Otherwise the function may put another URL in its place.
            config.connector.check_for(&url)?;
        }
        let shared = Arc::new(Self {
            connector: Connector::new(Arc::clone(&config.connector))?,
            inbox_limits: Arc::new(config.inbox),
            config: Arc::new(config),
            url,
            states: Arc::default(),
            heartbeat: Arc::default(),
            hooks: Hooks::default(),
            error_hook: Snapshot::default(),
            alive: Mutex::default(),
            secure: AtomicBool::new(false),
            state: Mutex::default(),
            runtime: Mutex::default(),
            changed: Notify::new(),
            dirty: AtomicBool::new(false),
            rested: Notify::new(),
        });
        Ok(shared.alive())
    }

    /// What a handle of the application holds. If it has let go of all others, a handler gets the
    /// first one of a new life.
    pub(crate) fn alive(self: &Arc<Self>) -> Arc<Alive> {
        let mut weak = self.alive.lock();
        weak.upgrade().unwrap_or_else(|| {
            let alive = Arc::new(Alive(Arc::clone(self)));
            *weak = Arc::downgrade(&alive);
            alive
        })
    }

    /// The socket of a namespace, which is [made](Socket::new) if there is none.
    pub(crate) fn find_or_add(&self, namespace: &str, make: impl FnOnce() -> Socket) -> Socket {
        let mut state = self.state.lock();
        let known = state
            .sockets
            .iter()
            .find(|socket| socket.namespace() == namespace);
        if let Some(known) = known {
            return known.clone();
        }
        let socket = make();
        state.sockets.push(socket.clone());
        socket
    }

    /// All sockets.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        self.state.lock().sockets.clone()
    }

    /// Whether a socket wants to be connected.
    pub(crate) fn is_wanted(&self) -> bool {
        self.state.lock().is_wanted()
    }

    /// Waits until there is no attempt to connect, nor a time to wait before the next one: nobody wants it, or did not
    /// for a moment.
    pub(crate) async fn lapsed(&self) {
        self.wait(&self.changed, |state| {
            !state.attempts.is_under_way() || !state.is_wanted()
        })
        .await;
    }

    /// The settings as they are now.
    pub(crate) fn settings(&self) -> Settings {
        let state = self.state.lock();
        let changed = state.changed.as_deref().cloned();
        changed.unwrap_or_else(|| self.configured())
    }

    fn configured(&self) -> Settings {
        Settings {
            reconnection: self.config.reconnection.clone(),
            timeout: self.config.timeout,
        }
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        let mut state = self.state.lock();
        let settings = state
            .changed
            .get_or_insert_with(|| self.configured().into());
        change(settings);
    }

    /// Tells the machine something.
    pub(crate) fn attempts<T>(&self, tell: impl FnOnce(&mut Attempts) -> T) -> T {
        tell(&mut self.state.lock().attempts)
    }

    /// A socket wants to be connected. Whether a task is to be run for that: if there is one, it now knows.
    pub(crate) fn begin(&self) -> bool {
        let begins = self.attempts(Attempts::begin);
        if !begins {
            self.poke();
        }
        begins
    }

    /// Runs the client's task.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, if there never was a task.
    pub(crate) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime();
        match &runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        };
        *self.runtime.lock() = runtime;
    }

    /// Runs what a handler of the application has left to be done. Whoever emits may do so from a
    /// thread that knows no runtime.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime() {
            runtime.spawn(work);
        }
    }

    /// The runtime of this thread, or else the one of the client's task.
    fn runtime(&self) -> Option<Handle> {
        let current = Handle::try_current().ok();
        current.or_else(|| self.runtime.lock().clone())
    }

    /// What the task is to do. If that is nothing, it is gone as far as everyone is concerned.
    pub(crate) fn next(&self) -> Next {
        let reconnection = self.settings().reconnection;
        let mut state = self.state.lock();
        let wanted = state.is_wanted();
        let next = (state.attempts).next(wanted, reconnection.as_ref(), now(), random());
        drop(state);
        if next == Next::Rest {
            self.tell_rested();
        }
        next
    }

    /// The task is gone without having ended its session.
    pub(crate) fn forget_task(&self) {
        let mut state = self.state.lock();
        state.attempts = Attempts::default();
        state.session = None;
        drop(state);
        self.heartbeat.forget();
    }

    /// Whoever waits for it is told that there is no task, or one session less.
    pub(crate) fn tell_rested(&self) {
        self.rested.notify_waiters();
    }

    /// Waits until there is no task.
    pub(crate) async fn rested(&self) {
        self.wait(&self.rested, |state| state.attempts.is_resting())
            .await;
    }

    /// Waits until there is no task, and no session in whatever state.
    pub(crate) async fn gone(&self) {
        self.wait(&self.rested, |state| {
            state.attempts.is_resting() && state.lingering == 0
        })
        .await;
    }

    async fn wait(&self, news: &Notify, is_so: impl Fn(&ClientState) -> bool) {
        loop {
            let new = news.notified();
            if is_so(&self.state.lock()) {
                return;
            }
            new.await;
        }
    }

    /// Lets a session that is over finish by itself.
    pub(crate) fn linger<T>(self: &Arc<Self>, session: impl Future<Output = T> + Send + 'static) {
        self.state.lock().lingering += 1;
        let lingering = Lingering(Arc::clone(self));
        tokio::spawn(async move {
            session.await;
            drop(lingering);
        });
    }

    /// Tells the task that a socket wants something else.
    pub(crate) fn poke(&self) {
        let mut state = self.state.lock();
        if !state.is_wanted() {
            state.attempts.handle_lapse();
        }
        drop(state);
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

    /// What the next session is going to speak, if that is known.
    pub(crate) fn next_dialect(&self) -> Option<Dialect> {
        match self.config.request {
            // The URL may be another one then.
            Some(_) => None,
            None => self.config.connector.dialect_for(&self.url),
        }
    }

    /// Whether it is known that the next session will be on a bare stream.
    pub(crate) fn next_is_stream(&self) -> bool {
        self.config.request.is_none() && self.url.stream_transport().is_some()
    }

    /// The session that is open.
    pub(crate) fn session(&self) -> Option<SessionHandle> {
        self.state.lock().session.clone()
    }
}

/// A session that finishes by itself, unless its runtime is shut down before.
struct Lingering(Arc<ClientCore>);

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.state.lock().lingering -= 1;
        self.0.tell_rested();
    }
}

impl ClientState {
    fn is_wanted(&self) -> bool {
        self.sockets.iter().any(|socket| socket.active())
    }
}

impl fmt::Debug for ClientCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
