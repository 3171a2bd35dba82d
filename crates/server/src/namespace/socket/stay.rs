//! What a socket needs to come back.

use std::sync::Arc;

use sockeye_adapter::{BroadcastOptions, Delivery, EventBody, KeptSocket, Save};
use sockeye_events::{DisconnectReason, EmitError};
use sockeye_link::packet::Flags;
use sockeye_socket_proto::Args;

use super::{Phase, Socket};
use crate::namespace::logged::only;
use crate::recovery::{Recovery, Stay, is_recoverable, now};
use crate::trace;

impl Socket {
    /// Whether this is a socket that has come back after its connection was lost: with the id, the rooms and the
    /// [shared data](Self::set_shared_data) that it had, and with what it has missed. Handlers of `connect` look at this
    /// to see what is left to be done.
    ///
    /// Always false if the server is not configured for [recovery](crate::ServerConfig::recovery).
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.stay().is_some_and(Stay::is_recovered)
    }

    /// Its stay, if it may come back.
    pub(crate) fn stay(&self) -> Option<&Stay> {
        self.0.extras.get()?.stay.get().map(|stay| &**stay)
    }

    pub(crate) fn set_stay(&self, stay: Stay) {
        let _ = self.extras().stay.set(Box::new(stay));
    }

    /// Its stay, and the part of its namespace that lets it come back.
    pub(super) fn recovery(&self) -> Option<(&Arc<Recovery>, &Stay)> {
        let stay = self.stay()?;
        Some((self.namespace().here().recovery()?, stay))
    }

    /// Puts it into the rooms that it was in when it was lost, of which it is known when it has joined them.
    pub(crate) fn rejoin_all(&self, rooms: &[Arc<str>]) {
        self.enter_rooms(rooms);
    }

    /// It is about to join these rooms: what they got before is not for it when it comes back.
    pub(super) fn note_joining(&self, rooms: &[Arc<str>]) {
        if let Some((recovery, stay)) = self.recovery()
            && recovery.log().is_some()
            && self.phase() < Phase::Gone as u8
        {
            let last = recovery.last();
            for room in rooms {
                stay.joins(room, last);
            }
        }
    }

    /// It has left these rooms.
    pub(super) fn note_leaving(&self, rooms: &[Arc<str>]) {
        if let Some(stay) = self.stay() {
            for room in rooms {
                stay.leaves(room);
            }
        }
    }

    /// It is being disconnected, for this reason: nothing is sent to it from now on, and what is emitted to it is logged if
    /// it may come back. Says whether it may.
    pub(crate) fn start_leaving(&self, reason: DisconnectReason) -> bool {
        let Some((recovery, stay)) = self.recovery() else {
            self.set_leaving();
            return false;
        };
        let _order = recovery.order();
        stay.stop(recovery.last());
        // Whoever was sent away before the connection was lost does not come back.
        let may_return = self.set_leaving() == Phase::Connected && is_recoverable(reason);
        if may_return {
            stay.keep_until(now() + recovery.config.max_disconnection);
        }
        may_return
    }

    /// What is to be kept of it.
    pub(crate) fn to_keep(&self) -> Option<KeptSocket> {
        let stay = self.stay()?;
        let mut kept = KeptSocket::new(stay.pid().into(), self.shared_id());
        kept.rooms = self.rooms().into_iter().map(Arc::from).collect();
        kept.joined = stay.joined();
        kept.progress = stay.progress();
        Some(kept)
    }

    /// Keeps it while it is there, as the server is about to close: when there is room for it, if it is there still then.
    pub(crate) async fn save(&self) {
        while let Some((recovery, stay)) = self.recovery()
            && let Some(kept) = self.to_keep_early()
            && let Save::Later(room) = recovery.save(stay, kept)
        {
            room.await;
        }
    }

    /// Whether it is there, may come back, and is not kept yet.
    pub(crate) fn is_unsaved(&self) -> bool {
        self.connected() && self.stay().is_some_and(|stay| !stay.is_saved())
    }

    /// What is kept of it while it is there, as its server may end without a word, or close.
    pub(crate) fn to_keep_early(&self) -> Option<KeptSocket> {
        let mut kept = self.to_keep()?;
        kept.data = self.shared_data();
        Some(kept)
    }

    /// It may not come back, so that nobody is to find it.
    pub(crate) fn renounce(&self) {
        if let Some((recovery, stay)) = self.recovery() {
            recovery.forget(stay.pid());
        }
    }

    /// It is gone, and its handlers know; it is kept if that is given.
    pub(crate) fn depart(&self, kept: Option<KeptSocket>) {
        let Some((recovery, stay)) = self.recovery() else {
            return;
        };
        let is_kept = kept.is_some();
        let kept = kept.map(|mut kept| {
            kept.data = self.shared_data();
            kept
        });
        recovery.departed(stay, kept);
        if is_kept {
            self.namespace().sweep();
        }
    }

    /// Emits an event that the socket gets later if it is just away. `None` if it is to be sent as any other.
    pub(crate) fn emit_logged(
        &self,
        name: &str,
        args: &Args,
        flags: Flags,
    ) -> Option<Result<(), EmitError>> {
        let (recovery, _) = self.recovery()?;
        let here = self.namespace().here();
        let Some(log) = recovery.log() else {
            if !self.connected() {
                return Some(Err(EmitError::Disconnected));
            }
            let mut options = BroadcastOptions::new(only(self));
            options.compress = flags.send.compress;
            options.binary = flags.binary;
            let body = EventBody {
                name,
                args: args.as_raw(),
            };
            let delivery = self.namespace().adapter()?.broadcast(&body, &options);
            return match delivery {
                Delivery::Later => Some(Ok(())),
                Delivery::Now => None,
            };
        };
        if self.has_outgoing() {
            self.notify_outgoing(name, args);
        }
        trace::emitted(self, name, false);
        Some(here.emit_logged_to((recovery, log), self, (name, args.clone()), flags))
    }
}
