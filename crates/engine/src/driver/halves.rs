//! Streams of which only one direction goes on.

use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine_proto::{Lane, TransportEnd};

use super::stream::{Fate, Wire};
use super::{Carrier, Driver, Side};
use crate::connection::Connection;

/// What is known and allowed of the two halves of a bare stream, beside its [`Fate`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Halves {
    /// When the peer closes its half, this side goes on until it has had enough too.
    outlives_peer: bool,
    own: Own,
}

/// How far this side's half is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Own {
    #[default]
    Open,
    /// It is to be closed when what waits is written.
    Ending,
    Closed,
}

impl Halves {
    /// Whether the stream goes on without the peer's half. Not without both.
    pub(super) fn may_outlive_peer(self) -> bool {
        self.outlives_peer && self.own == Own::Open
    }
}

impl Wire {
    /// Lets the stream go on when the peer closes its half.
    pub const fn outlive_peer(&mut self) {
        self.halves.outlives_peer = true;
    }

    /// Closes this side's half, if that was asked for. Everything must have been written.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.halves.own != Own::Ending {
            return Ok(());
        }
        match self.io.poll_shutdown(cx) {
            Poll::Ready(result) => {
                self.halves.own = Own::Closed;
                result
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: Side, C: Connection> Driver<S, C> {
    /// Whether the peer sends no more, but may want to read what waits.
    pub(super) fn peer_has_ended(&self) -> bool {
        matches!(&self.carrier, Carrier::Stream(wire) if wire.fate == Fate::Ended)
    }

    /// Whether this side's half is closed, or is to be.
    pub(super) fn is_ending(&self) -> bool {
        matches!(&self.carrier, Carrier::Stream(wire) if wire.halves.own != Own::Open)
    }

    /// Nothing more is to be written than what waits.
    pub(super) fn handle_end_request(&mut self, now: Instant) {
        let Carrier::Stream(wire) = &mut self.carrier else {
            self.close(now);
            return;
        };
        if !wire.is_bare() {
            self.close(now);
        } else if wire.fate == Fate::Ended {
            // Both have said their last word.
            self.session
                .handle_transport_closed(now, Lane::Current, TransportEnd::Eof);
        } else if self.session.is_open() && wire.halves.own == Own::Open {
            wire.halves.own = Own::Ending;
            self.session.end_heartbeat(now);
        }
    }

    /// Closes the session; what waits goes out before.
    pub(super) fn close(&mut self, now: Instant) {
        let has_unsent = self.handle.queued() > 0;
        self.session.close(now, has_unsent);
    }
}
