//! Rooms: the index of who is in which, and the targets of broadcasts.
//!
//! A [`RoomIndex`] knows the sockets of one namespace and the rooms they are in; a [`Target`] says whom a broadcast is
//! for. Both are plain data: no lock, no I/O. Whoever owns an index locks it for the few microseconds that
//! [`RoomIndex::select`] takes and sends to the snapshot afterwards.

mod index;
mod select;
mod slot_set;
mod target;

pub use index::{Joined, Left, LeftRoom, RoomIndex, Slot};
pub use target::{RoomName, RoomNames, Target};
