//! Rooms: the room index, the adapter trait and the in-memory adapter.
