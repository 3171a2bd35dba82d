//! Sockets that are kept while they are there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sockeye_adapter::Target;
use tokio::runtime::Handle;

use super::local::LocalSockets;
use super::logged::only;
use super::{Namespace, Socket};
use crate::recovery::{Due, Recovery};

impl Namespace {
    /// A socket has come, or has come back: it is kept from now on, and if it is anywhere else still, it is not there.
    pub(crate) fn save_early(&self, socket: &Socket, is_back: bool) {
        let here = self.here();
        let Some(recovery) = here.recovery() else {
            return;
        };
        let Some(early) = recovery.early() else {
            return;
        };
        if let Ok(runtime) = Handle::try_current()
            && early.begin()
        {
            runtime.spawn(keep(Arc::downgrade(here), Arc::clone(recovery)));
        }
        // At once, as it was taken out when it came back.
        if let Some(kept) = socket.to_keep_early() {
            recovery.keep_early(kept);
        }
        if is_back && let Some(adapter) = self.adapter() {
            adapter.disconnect(&only(socket), false);
            if let Ok(runtime) = Handle::try_current() {
                let (early, id) = (Arc::clone(early), socket.shared_id());
                runtime.spawn(async move {
                    tokio::time::sleep(FORGOTTEN_AFTER).await;
                    early.changed(&id);
                });
            }
        }
    }
}

/// When a socket that has come back is kept once more. The server that it was on cannot tell the word to disconnect it from
/// that to send it away, and forgets it, though it is this server by now that has kept it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1);

/// Keeps what is due, as long as there is the namespace.
async fn keep(here: Weak<LocalSockets>, recovery: Arc<Recovery>) {
    let Some(early) = recovery.early() else {
        return;
    };
    let (mut turns, mut turn) = (early.turns(), 0);
    loop {
        let due = early.due(&mut turns, turn).await;
        let Some(here) = here.upgrade() else {
            return;
        };
        let sockets: Vec<Socket> = match due {
            Due::Changed => {
                let (changed, index) = (early.take_changed(), here.rooms.read());
                let changed = changed.iter();
                changed.filter_map(|id| index.by_id(id).cloned()).collect()
            }
            Due::Turn(now) => {
                turn += 1;
                let all = here.receivers(&Target::all()).into_iter();
                all.filter(|socket| early.is_turn(now, socket.id()))
                    .collect()
            }
        };
        for socket in sockets {
            if let Some(kept) = socket.to_keep_early() {
                recovery.keep_early(kept);
            }
        }
    }
}
