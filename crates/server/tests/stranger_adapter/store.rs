//! A recovery store of a stranger: one log for all servers, and sockets kept where all of them look.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use sockeye_adapter::{
    BroadcastOptions, Claim, KeptSocket, Local, LoggedEvent, Receivers, RecoveryStore, Restored,
    Resume,
};
use tokio::time::{Instant, sleep};

use crate::hub::{Event, Hub, Message};

/// What all servers share: what was emitted, and who is away, as texts.
#[derive(Default)]
pub(crate) struct Shared {
    log: Mutex<Vec<Logged>>,
    kept: Mutex<HashMap<String, Kept>>,
    keeps: AtomicU64,
}

struct Logged {
    namespace: String,
    event: Event,
    options: BroadcastOptions,
}

struct Kept {
    number: u64,
    socket: String,
    end: Instant,
}

impl Shared {
    /// Puts an event into the log; gives its number.
    pub(super) fn append(&self, namespace: &str, event: Event, options: BroadcastOptions) -> u64 {
        let mut log = self.log.lock().unwrap();
        log.push(Logged {
            namespace: namespace.to_owned(),
            event,
            options,
        });
        log.len() as u64
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Whether a socket is kept that has this private id.
    pub(crate) fn keeps(&self, pid: &str) -> bool {
        self.kept.lock().unwrap().contains_key(pid)
    }

    /// What somebody gets who has missed what is behind `got`, and sees himself what is behind `until`.
    fn missed(
        &self,
        namespace: &str,
        (got, until): (u64, u64),
        id: &str,
        rooms: &[Arc<str>],
    ) -> Vec<Arc<LoggedEvent>> {
        let log = self.log.lock().unwrap();
        let numbered = (1..).zip(log.iter());
        let meant = numbered.filter(|(number, logged)| {
            let receivers = Receivers::Target(logged.options.target.clone());
            (got + 1..=until).contains(number)
                && logged.namespace == namespace
                && !logged.options.volatile
                && receivers.include(id, rooms)
        });
        let read = |(number, logged): (u64, &Logged)| {
            let body = logged.event.body();
            let offset = number.to_string().into();
            Arc::new(LoggedEvent::new(offset, body.name, body.args.to_args()))
        };
        meant.map(read).collect()
    }

    fn take(&self, pid: &str, is_it: impl FnOnce(&Kept) -> bool) -> Option<(KeptSocket, Instant)> {
        let mut all = self.kept.lock().unwrap();
        all.get(pid).is_some_and(is_it).then_some(())?;
        let kept = all.remove(pid)?;
        let read: Value = serde_json::from_str(&kept.socket).unwrap();
        let mut socket = KeptSocket::new(pid.into(), read["id"].as_str().unwrap().into());
        let rooms = read["rooms"].as_array().unwrap().iter();
        socket.rooms = rooms.map(|room| room.as_str().unwrap().into()).collect();
        socket.data = Some(read["data"].clone()).filter(|data| !data.is_null());
        Some((socket, kept.end))
    }
}

/// One server's view of it.
pub(crate) struct Store {
    pub(super) hub: Arc<Hub>,
    /// Of the server's end of the namespace.
    pub(super) node: u64,
    pub(super) namespace: String,
    pub(super) local: Weak<dyn Local>,
    /// The number of the last event that this server was handed.
    pub(super) handed: Arc<AtomicU64>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl RecoveryStore for Store {
    fn keep(&self, socket: KeptSocket, time: Duration) {
        let shared = Arc::clone(self.hub.store().unwrap());
        let number = shared.keeps.fetch_add(1, Ordering::Relaxed);
        let rooms: Vec<_> = socket.rooms.iter().map(|room| &**room).collect();
        let text = json!({ "id": &*socket.id, "rooms": rooms, "data": socket.data }).to_string();
        let pid = String::from(socket.pid);
        let kept = Kept {
            number,
            socket: text,
            end: Instant::now() + time,
        };
        shared.kept.lock().unwrap().insert(pid.clone(), kept);
        let local = Weak::clone(&self.local);
        tokio::spawn(async move {
            sleep(time).await;
            let expired = shared.take(&pid, |kept| kept.number == number);
            if let (Some((socket, _)), Some(local)) = (expired, local.upgrade()) {
                local.recovery_expired(socket);
            }
        });
    }

    fn forget(&self, pid: &str) {
        self.hub.store().unwrap().kept.lock().unwrap().remove(pid);
    }

    /// Between two broadcasts, so it is up to the task that hands these on.
    fn restore(&self, claim: Claim<'_>, resume: Resume) {
        let offset = claim.offset.and_then(|offset| offset.parse().ok());
        if let Some(offset) = offset {
            let message = Message::Restore(claim.pid.to_owned(), offset, resume);
            self.hub.send_to(self.node, message);
        }
    }

    fn offset(&self) -> Option<String> {
        Some(self.handed.load(Ordering::Relaxed).to_string())
    }
}

impl Store {
    /// Restores, in the place that this has among the broadcasts.
    pub(super) fn resume(&self, pid: &str, got: u64, resume: Resume) {
        let shared = self.hub.store().unwrap();
        let Some((socket, end)) = shared.take(pid, |_| true) else {
            return;
        };
        let until = self.handed.load(Ordering::Relaxed);
        let missed = shared.missed(&self.namespace, (got, until), &socket.id, &socket.rooms);
        let left = end.saturating_duration_since(Instant::now());
        let restored = Restored {
            socket,
            missed,
            left,
        };
        if let Some(unwanted) = resume(restored) {
            self.keep(unwanted.socket, unwanted.left);
        }
    }
}
