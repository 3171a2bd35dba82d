//! How sockets come back after their connections were lost: who is there, who is kept, and what must not come between.
//!
//! Everything that goes out and can be missed has one order for the whole namespace, which is that of the log: the lock of
//! [`Recovery::order`] is held from the moment an event gets its place until it lies in the outboxes of all who are there.
//! So of each event and each moment of a socket's life (it is let in, it is given up, it comes back) all agree which was
//! first, and an event is either sent to the socket or found in the log when it comes back: never neither, never both.
//! Without the lock, two broadcasts could reach a socket in the other order than the log has them; after the later one, the
//! earlier would seem to have been got.

mod config;
mod early;
mod hold;
#[cfg(test)]
mod orders;
mod stay;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::Value;
use sockeye_adapter::{
    Adapter, Budget, Budgeted, Claim, KeptSocket, LoggedEvent, MemoryStore, Receivers,
    RecoveryStore, Restored, Resume, Save, SecretMap, Swept,
};
use sockeye_engine::{CloseReason, SessionHandle, SessionId};
use sockeye_events::DisconnectReason;
use sockeye_meter as meter;
use sockeye_socket_proto::from_json;
use tokio::sync::{Notify, oneshot};

use early::Early;
use hold::Holds;

pub use config::RecoveryConfig;
pub(crate) use early::Due;
pub(crate) use hold::Returning;
pub(crate) use stay::Stay;

/// The part of a namespace that lets its sockets come back.
pub(crate) struct Recovery {
    pub(crate) config: RecoveryConfig,
    store: Arc<dyn RecoveryStore>,
    /// The same store, if it is in this server's memory and has the log of what this server sends.
    log: Option<Arc<MemoryStore>>,
    order: Mutex<()>,
    holds: Holds,
    live: Mutex<Live>,
    /// Which of those who are there are to be kept, if any are.
    early: Option<Arc<Early>>,
    /// The store has forgotten somebody for the sake of other namespaces.
    shed: Arc<Notify>,
}

/// Who is connected, by private id.
#[derive(Default)]
struct Live {
    sessions: SecretMap<SessionHandle>,
    /// Those who want to be a socket that seems to be there still: its connection is dead, but nobody has noticed yet.
    waiting: SecretMap<Waiting>,
}

struct Waiting {
    offset: Option<String>,
    sender: oneshot::Sender<Returning>,
}

/// What somebody shows who may have been here before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pid: String,
    offset: Option<String>,
}

impl Shown {
    /// Reads it from what a client says when it joins. What has another shape is none.
    pub(crate) fn read(auth: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Auth {
            pid: Option<Value>,
            offset: Option<Value>,
        }
        let auth: Auth = from_json(auth).ok()?;
        let Some(Value::String(pid)) = auth.pid else {
            return None;
        };
        // A private id of ours; what is longer is not worth looking for.
        (pid.len() == SessionId::LEN).then_some(())?;
        let offset = match auth.offset {
            None | Some(Value::Null) => None,
            Some(Value::String(offset)) => Some(offset),
            Some(_) => return None,
        };
        Some(Self { pid, offset })
    }
}

impl Recovery {
    /// That of a namespace, which may share a budget with others; `None` if there is no way.
    pub(crate) fn open(
        config: RecoveryConfig,
        adapter: Option<&dyn Adapter>,
        namespace: &str,
        budget: Option<Arc<Budget>>,
    ) -> Option<Self> {
        let Some(adapter) = adapter else {
            let recovery = Self::in_memory(config, budget);
            return recovery
                .inspect_err(|error| tracing::error!(%error, namespace, "no recovery"))
                .ok();
        };
        let Some(store) = adapter.recovery() else {
            tracing::warn!(namespace, "no recovery: the cluster has none");
            return None;
        };
        let early = config.save_early;
        let early = early.map(|pause| Arc::new(Early::new(pause, config.max_disconnection)));
        let recovery = Self::with(config, store, None);
        Some(Self { early, ..recovery })
    }

    fn in_memory(
        config: RecoveryConfig,
        budget: Option<Arc<Budget>>,
    ) -> Result<Self, getrandom::Error> {
        // As much as tells one process from another is enough: the private id is the secret.
        let epoch = SessionId::random()?.as_str()[..EPOCH_LEN].to_owned();
        let shed = Arc::new(Notify::new());
        let budgeted = budget.map(|budget| {
            let shed = Arc::clone(&shed);
            let nudge = Box::new(move || shed.notify_one());
            Budgeted { budget, nudge }
        });
        let store = MemoryStore::with_budget(config.limits, epoch, now, budgeted);
        let store = Arc::new(store);
        let log = Some(Arc::clone(&store));
        let recovery = Self::with(config, store, log);
        Ok(Self { shed, ..recovery })
    }

    pub(crate) fn with(
        config: RecoveryConfig,
        store: Arc<dyn RecoveryStore>,
        log: Option<Arc<MemoryStore>>,
    ) -> Self {
        Self {
            config,
            store,
            log,
            order: Mutex::new(()),
            holds: Holds::default(),
            live: Mutex::default(),
            early: None,
            shed: Arc::default(),
        }
    }

    /// Takes the lock of the order. Nothing of the application's may run under it.
    pub(crate) fn order(&self) -> MutexGuard<'_, ()> {
        self.order.lock()
    }

    #[cfg(test)]
    pub(crate) fn is_ordering(&self) -> bool {
        self.order.is_locked()
    }

    /// The log, if it is this server's.
    pub(crate) fn log(&self) -> Option<&MemoryStore> {
        self.log.as_deref()
    }

    /// The number of the last logged event, where events have numbers.
    pub(crate) fn last(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.last())
    }

    /// Where somebody begins who connects now.
    pub(crate) fn offset(&self) -> Option<String> {
        self.store.offset()
    }

    /// Lets those who are on their way in have an event that goes out.
    pub(crate) fn offer(&self, receivers: &Receivers, event: impl FnOnce() -> Arc<LoggedEvent>) {
        self.holds.offer(receivers, event);
    }

    /// Asks for the socket that somebody wants to be again. The answer may take a while; an error says that there is none.
    pub(crate) fn claim(self: &Arc<Self>, shown: Shown) -> oneshot::Receiver<Returning> {
        let (sender, receiver) = oneshot::channel();
        let Shown { pid, offset } = shown;
        let mut live = self.live.lock();
        if let Some(session) = live.sessions.get(&pid) {
            // Its owner has a new connection and does not listen to the old one any more.
            let cause = "the client has come back over another connection";
            session.abort(CloseReason::TransportClose, cause);
            live.waiting.insert(pid.into(), Waiting { offset, sender });
            return receiver;
        }
        drop(live);
        self.restore(&pid, offset.as_deref(), sender);
        receiver
    }

    fn restore(
        self: &Arc<Self>,
        pid: &str,
        offset: Option<&str>,
        sender: oneshot::Sender<Returning>,
    ) {
        let this = Arc::clone(self);
        let resume: Resume = Box::new(move |restored| this.resume(restored, sender));
        // So that nothing is sent between the end of what has been missed and the beginning of what is held.
        let _order = self.order();
        self.store.restore(Claim { pid, offset }, resume);
    }

    fn resume(
        self: Arc<Self>,
        restored: Restored,
        sender: oneshot::Sender<Returning>,
    ) -> Option<Restored> {
        let hold = self
            .holds
            .open(&restored.socket, self.config.limits.log.room_bytes);
        let returning = Returning::new(self, restored, hold);
        // If nobody waits any more, it stays where it was.
        sender.send(returning).err()?.take()
    }

    /// A socket has been let in.
    pub(crate) fn arrived(&self, pid: &str, session: SessionHandle) {
        self.live.lock().sessions.insert(pid.into(), session);
    }

    /// A socket is gone; it is kept if that is given.
    pub(crate) fn departed(self: &Arc<Self>, stay: &Stay, kept: Option<KeptSocket>) {
        let pid = stay.pid();
        let mut live = self.live.lock();
        // Whoever was saved before may be on another server by now, which has it from there.
        if let Some(kept) = kept.filter(|_| !stay.is_saved()) {
            // Under the lock: it is there or it is kept, for whoever asks.
            self.store.keep(kept, self.config.max_disconnection);
            meter::recovery(meter::Recovery::Kept);
        }
        live.sessions.remove(pid);
        let waiting = live.waiting.remove(pid);
        drop(live);
        if let Some(Waiting { offset, sender }) = waiting {
            self.restore(pid, offset.as_deref(), sender);
        }
    }

    /// Keeps a socket that is there, as the server is about to close. It is not kept again when it goes, if there was room for
    /// it.
    pub(crate) fn save(&self, stay: &Stay, socket: KeptSocket) -> Save {
        // Under the lock, so that one that leaves meanwhile is not found.
        let live = self.live.lock();
        if live.sessions.get(stay.pid()).is_none() {
            return Save::Never;
        }
        let save = self.store.save(socket, self.config.max_disconnection);
        if matches!(save, Save::Taken) {
            stay.set_saved();
        }
        drop(live);
        save
    }

    /// Waits until others find all that were kept before.
    pub(crate) fn saved(&self) -> BoxFuture<'static, ()> {
        self.store.saved()
    }

    /// What is to be told of changes, if sockets are kept while they are there.
    pub(crate) const fn early(&self) -> Option<&Arc<Early>> {
        self.early.as_ref()
    }

    /// Keeps a socket, if it is there still.
    pub(crate) fn keep_early(&self, socket: KeptSocket) {
        // Under the lock, so that one that leaves meanwhile is not found.
        let live = self.live.lock();
        if live.sessions.get(&socket.pid).is_some() {
            self.store.keep(socket, self.config.max_disconnection);
        }
        drop(live);
    }

    /// Forgets a socket that was kept while it was there.
    pub(crate) fn forget(&self, pid: &str) {
        if self.early.is_some() {
            self.store.forget(pid);
        }
    }

    /// How many are on their way back.
    pub(crate) fn returning(&self) -> usize {
        self.holds.count()
    }

    /// Forgets what is too old, if it is for this server to do.
    pub(crate) fn sweep(&self) -> Option<Swept> {
        Some(self.log.as_ref()?.sweep())
    }

    /// Forgets all who are kept; gives those that have not come back.
    pub(crate) fn give_up_kept(&self) -> Vec<KeptSocket> {
        let Some(log) = &self.log else {
            return Vec::new();
        };
        let kept = log.forget_kept();
        // Whoever sweeps has nothing left to wait for.
        self.shed.notify_one();
        kept
    }

    /// What tells that there is something to [sweep](Self::sweep) before its time.
    pub(crate) const fn shed(&self) -> &Arc<Notify> {
        &self.shed
    }

    /// Whether somebody may come back, or is about to and may have to be kept on, as far as this server knows.
    pub(crate) fn keeps_any(&self) -> bool {
        // Who is on the way is not in the log any more, and not in the holds yet, under this lock only.
        let _order = self.order();
        let log = self.log.as_ref();
        log.is_some_and(|log| log.kept() > 0 || self.returning() > 0)
    }

    fn keep_on(&self, kept: KeptSocket, time: Duration) {
        self.store.keep(kept, time);
    }
}

/// Whether a socket that was lost like that may come back: whoever has left, or was sent away, may not.
pub(crate) const fn is_recoverable(reason: DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::TransportError
            | DisconnectReason::TransportClose
            | DisconnectReason::PingTimeout
            | DisconnectReason::ForcedClose
            | DisconnectReason::ForcedServerClose
            | DisconnectReason::ServerShuttingDown
    )
}

/// How many characters of an offset tell which process has made it.
const EPOCH_LEN: usize = 4;

/// The clock that the runtime's timers follow.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_whatever_stands_beside_it() {
        let pid = "abcdefghij0123456789";
        let shown = |offset: Option<&str>| Shown {
            pid: pid.to_owned(),
            offset: offset.map(str::to_owned),
        };
        let read = |json: &str| Shown::read(&json.replace("PID", pid));
        assert_eq!(
            read(r#"{"pid":"PID","offset":"o","token":1}"#),
            Some(shown(Some("o")))
        );
        assert_eq!(read(r#"{"pid":"PID","x":{"pid":"y"}}"#), Some(shown(None)));
        assert_eq!(read(r#"{"pid":"PID","offset":null}"#), Some(shown(None)));
        for none in [
            "{}",
            r#"{"pid":"PID","offset":7}"#,
            r#"{"pid":7}"#,
            r#"{"pid":"PIDx"}"#,
            "[]",
            "{",
        ] {
            assert_eq!(read(none), None, "{none}");
        }
    }
}
