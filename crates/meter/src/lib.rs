//! What a server counts and measures.
//!
//! Each crate says what happens by way of the functions and guards here. With the feature `metrics` that goes to the recorder
//! of the crate of that name, and without it they are empty: nothing is kept, and no instruction is left of a call.
//!
//! There is one set of handles in a process, as there is one recorder. Whether there is a recorder is looked at once, when
//! the first server is [made](attach): were it looked at again, what was counted up without one would be counted down with
//! one. Where there is none, each call is one look at a static.
//!
//! With the feature `totals` some figures are kept in here as well, for a program that shows them itself: `totals` gives
//! them, from when `count_totals` was called.
//!
//! What is counted up and down again is in a guard ([`Tally`], [`Session`]), which knows what it has counted up and counts
//! that down when it is dropped.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(feature = "totals"))]
mod no_totals;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;
#[cfg(feature = "totals")]
mod totals;

#[cfg(not(feature = "totals"))]
use no_totals as totals;

#[cfg(not(feature = "metrics"))]
pub use off::{
    Moment, Session, Tally, acks_timed_out, attach, events_received, events_sent, handled, moment,
    received, recovery, refused, sent,
};
#[cfg(feature = "metrics")]
pub use on::{
    Kind, METRICS, Metric, Moment, Session, Tally, acks_timed_out, attach, events_received,
    events_sent, handled, moment, received, recovery, refused, sent,
};
#[cfg(feature = "totals")]
pub use totals::{Totals, count_totals, totals};
pub use totals::{packet_received, packet_sent};

/// The gauges that a [`Tally`] may have a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauged {
    /// Sockets that are connected to namespaces.
    Sockets,
    /// Namespaces that there are.
    Namespaces,
    /// Rooms that somebody is in, apart from those that are one socket's own.
    Rooms,
    /// Acknowledgements that are waited for.
    Acks,
    /// Bytes that wait to be written.
    Outbox,
}

/// What becomes of a socket that may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was kept when its connection was lost.
    Kept,
    /// It has come back.
    Recovered,
    /// It will not come back.
    Expired,
}

/// [`Gauged::Sockets`], for a [`Tally`].
pub const SOCKETS: usize = Gauged::Sockets as usize;
/// [`Gauged::Namespaces`], for a [`Tally`].
pub const NAMESPACES: usize = Gauged::Namespaces as usize;
/// [`Gauged::Rooms`], for a [`Tally`].
pub const ROOMS: usize = Gauged::Rooms as usize;
/// [`Gauged::Acks`], for a [`Tally`].
pub const ACKS: usize = Gauged::Acks as usize;
/// [`Gauged::Outbox`], for a [`Tally`].
pub const OUTBOX: usize = Gauged::Outbox as usize;
