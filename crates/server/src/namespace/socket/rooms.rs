//! The rooms of a socket, and who else is there.

use std::sync::Arc;

use sockeye_adapter::{RoomNames, Target};

use super::Socket;
use crate::{BroadcastOperator, trace};

impl Socket {
    /// Everyone in the namespace but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.0.namespace.all().except(self.shared_id())
    }

    /// The sockets in this room, or in any of these, but for this one.
    #[doc(alias = "in")]
    pub fn to<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Everyone in the namespace but this socket and those in this room, or in any of these.
    pub fn except<M>(&self, rooms: impl RoomNames<M>) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Puts the socket into a room, or into several, which come into being if need be. Does
    /// nothing once it is disconnected.
    pub fn join<M>(&self, rooms: impl RoomNames<M>) {
        self.join_all(Target::all().to(rooms).shared_rooms());
    }

    /// Takes the socket out of a room, or of several.
    pub fn leave<M>(&self, rooms: impl RoomNames<M>) {
        self.leave_all(Target::all().to(rooms).shared_rooms());
    }

    /// The rooms that the socket is in; its own id is one. Empty once it is disconnected.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        let Some(slot) = self.0.slot.get() else {
            return Vec::new();
        };
        let index = self.0.namespace.here().rooms.read();
        index.rooms_of(*slot).map(str::to_owned).collect()
    }

    pub(crate) fn join_all(&self, rooms: &[Arc<str>]) {
        self.note_joining(rooms);
        self.enter_rooms(rooms);
    }

    pub(super) fn enter_rooms(&self, rooms: &[Arc<str>]) {
        let Some(slot) = self.0.slot.get() else {
            return;
        };
        self.0.namespace.here().rooms.join(*slot, rooms);
        for room in rooms {
            trace::joined(self, room);
        }
    }

    pub(crate) fn leave_all(&self, rooms: &[Arc<str>]) {
        let Some(slot) = self.0.slot.get() else {
            return;
        };
        self.0.namespace.here().rooms.leave(*slot, rooms);
        self.note_leaving(rooms);
        for room in rooms {
            trace::left(self, room);
        }
    }
}
