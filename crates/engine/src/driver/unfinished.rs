//! Messages that have begun to come, and are not complete.

use std::task::Context;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::{Driver, Moment, Side};
use crate::connection::Connection;
use crate::frames::Extent;

/// A message of which a part is missing: a frame, fragments, a line, or a packet of the upper layer whose
/// attachments are owed.
///
/// There is one only while such a message is under way, so that an idle session has nothing but a
/// pointer for it.
pub(super) struct Unfinished {
    /// The most bytes of it that were there when its time began anew. It never becomes less, so that what
    /// comes in between and goes again, such as a ping in two pieces, adds nothing.
    added: usize,
    /// How many bytes of it were there when they last counted as a sign of life.
    counted: usize,
    /// Since when nothing that counts was added to it.
    since: Instant,
}

/// The peer has begun a message, and has added nothing to it for too long.
#[derive(Debug, Error)]
#[error("a message was begun, and nothing added to it for {0:?}")]
struct LeftUnfinished(Duration);

impl<S: Side, C: Connection> Driver<S, C> {
    /// Looks whether a message is unfinished, and whether something was added to it. Whoever hands a
    /// message on forgets it, so that the next one has its own time.
    pub(super) fn watch_unfinished(&mut self, now: Instant) {
        let extent = self.carrier.get().extent();
        let owed = self.connection.is_unfinished();
        if extent == Extent::default() && !owed {
            self.unfinished = None;
            return;
        }
        let unfinished = self.unfinished.get_or_insert_with(|| {
            Box::new(Unfinished {
                added: extent.bytes(),
                counted: 0,
                since: now,
            })
        });
        // What comes slowly at first may be typed by hand. Whoever has this end keep more, be it attachments
        // that have come already, has to go on with it.
        let step = match owed || unfinished.added >= LIFE {
            true => LIFE,
            false => 1,
        };
        if extent.bytes() >= unfinished.added.saturating_add(step) {
            unfinished.added = extent.bytes();
            unfinished.since = now;
        }
        if extent.bytes() >= unfinished.counted.saturating_add(LIFE) {
            unfinished.counted = extent.bytes();
            self.moved = Moment::of(now);
        }
    }

    /// The peer could not be heard, and has its time once more.
    pub(super) fn excuse_unfinished(&mut self, now: Instant) {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.since = now;
        }
    }

    /// When an unfinished message is given up, if there is one.
    pub(super) fn unfinished_deadline(&self) -> Option<Instant> {
        let since = self.unfinished.as_ref()?.since;
        since.checked_add(self.side.limits().unfinished_timeout)
    }

    /// Closes the session if its peer has let too much time pass in the midst of a message.
    pub(super) fn give_up_unfinished(&mut self, now: Instant, cx: &mut Context<'_>) {
        if !self.session.is_open() || self.unfinished_deadline().is_none_or(|at| now < at) {
            return;
        }
        self.unfinished = None;
        let error = LeftUnfinished(self.side.limits().unfinished_timeout);
        tracing::debug!(%error, "a peer is given up");
        self.connection.note(format_args!("{error}"));
        let (carrier, mut upper) = self.apart(now);
        carrier.give_up(&error, &mut upper, cx);
    }
}

/// How many bytes of a message that is not complete are a sign of life: even the slowest line takes so many
/// well within a heartbeat's time, while a peer that sends a byte now and then only wants to keep its place.
const LIFE: usize = 512;
