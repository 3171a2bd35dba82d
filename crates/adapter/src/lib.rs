//! Rooms: the index of who is in which, and the targets of broadcasts.
//!
//! A [`RoomIndex`] knows the sockets of one namespace and the rooms they are in; a [`Target`] says whom a broadcast is
//! for. Both are plain data: no lock, no I/O. [`Rooms`] is an index that several threads use, each for the few microseconds
//! that [`RoomIndex::select`] takes; what is selected is sent to afterwards.

mod feed;
mod index;
mod rooms;
mod select;
mod slot_set;
mod target;

pub use index::{Joined, Left, LeftRoom, RoomIndex, Slot};
pub use rooms::{RoomEvent, Rooms};
pub use target::{RoomName, RoomNames, Target};
