//! What a driver and everybody else agree on: who writes, and who wakes whom.
//!
//! A [`Mailbox`] lies behind one lock. Whoever appends to the outbox or leaves a command makes one of the
//! transitions below and does what it says; so does the driver where its turns begin and end. There is
//! one [`Phase`], and no flag beside it that would have to agree with it.
//!
//! The rule that everything follows from: **whatever lies in the mailbox is somebody's duty.** Either the
//! driver is called, or at work and will look once more; or a turn of another session has promised to write;
//! or the socket has refused to take more, and wakes the driver when it does; or else there is nothing.
//!
//! ```text
//!             append: writes at once           begin_turn
//!             ┌────────┐             ┌──────────────────────────────┐
//!             ▼        │   summon    │                              ▼
//!          Resting ────┴─────────► Called ◄──────go_on─────────── Working ◄─┐
//!           ▲   │  can't write here  ▲                            │   │    │ append, summon:
//!           │   └─append in a turn─► Promised                     │   └────┘ once more
//!           │◄──keep_promise───────────┘                          │
//!           └─────────────────────end_turn, if nothing is new─────┘
//! ```
//!
//! The tests try every order of two emitters, a driver, a pause and a close.

#[cfg(test)]
mod tests;

use std::task::Waker;

use crate::seldom::Seldom;

/// What waits to be written, as far as it matters who writes it.
pub(crate) trait Queue {
    /// Writes as much as is possible from any thread.
    fn flush(&mut self) -> Flushed;

    /// Whether the last write found that no more is taken for now. Whoever wrote last has seen to it
    /// that the driver hears of the end of that.
    fn is_blocked(&self) -> bool;

    /// Whether so much waits that the peer is not read from.
    fn is_full(&self) -> bool;
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The socket takes no more for now.
    Blocked,
    /// There is no socket that could be written to from here: the driver must do it.
    NotHere,
    /// Writing failed; the driver will find the same error.
    Failed,
}

/// What others may leave for a driver, and how far it is with it.
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Mailbox<Q, C> {
    pub(crate) outbox: Q,
    commands: Seldom<C>,
    phase: Phase,
    driver: Option<Waker>,
}

/// Who looks after the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nobody has to: what was there is written, or the socket is full and calls the driver when it is
    /// not. Whoever brings something writes it, or calls the driver.
    Resting,
    /// A turn of some other session has appended, and writes at its end.
    Promised,
    /// The driver: it has been woken, or has woken itself, and its next turn finds everything.
    Called,
    /// The driver, in its turn.
    Working(News),
    /// Nobody any more.
    Gone,
}

/// What a driver waits for before it rests, apart from its task's own wakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Awaited {
    Nothing,
    /// Room in the outbox: it does not read until then. Only the driver itself makes room in one that is full,
    /// since nobody else writes to a socket that takes no more.
    Room,
}

/// What has come since a driver at work has last looked. The later ones include those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum News {
    Nothing,
    /// Something to write.
    Appended,
    /// A command, or a wake-up.
    Summoned,
}

/// How a turn ends.
#[derive(Debug)]
pub(crate) enum Rest<C> {
    /// The driver may rest: whatever comes wakes it.
    Granted,
    /// What it waits for is there already; it is to wake itself.
    WakeSelf,
    /// Something has come meanwhile, these commands perhaps: it is still at work.
    NotYet(Vec<C>),
}

impl<Q: Queue, C> Mailbox<Q, C> {
    /// A mailbox whose driver is about to have its first turn.
    pub(crate) const fn new(outbox: Q) -> Self {
        Self {
            outbox,
            commands: Seldom::new(),
            phase: Phase::Called,
            driver: None,
        }
    }

    /// Something was appended to the outbox. Writes it, unless somebody else does: `promise` puts it off to
    /// the end of the turn that runs on this thread, if there is one, which
    /// [keeps the promise](Self::keep_promise) then.
    ///
    /// The waker is to be woken once the mailbox is unlocked.
    pub(crate) fn appended(&mut self, promise: impl FnOnce() -> bool) -> Option<Waker> {
        match &mut self.phase {
            Phase::Working(news) => {
                *news = (*news).max(News::Appended);
                None
            }
            Phase::Called | Phase::Promised | Phase::Gone => None,
            Phase::Resting if self.outbox.is_blocked() => None,
            Phase::Resting if promise() => {
                self.phase = Phase::Promised;
                None
            }
            Phase::Resting => self.write(),
        }
    }

    /// The end of a turn that has promised to write. The driver may have been faster.
    pub(crate) fn keep_promise(&mut self) -> Option<Waker> {
        match self.phase {
            Phase::Promised => self.write(),
            _ => None,
        }
    }

    /// The driver is to have one more turn. The waker is to be woken once the mailbox is unlocked.
    pub(crate) fn summon(&mut self) -> Option<Waker> {
        match &mut self.phase {
            Phase::Working(news) => {
                *news = News::Summoned;
                None
            }
            Phase::Called | Phase::Gone => None,
            Phase::Resting | Phase::Promised => self.call(),
        }
    }

    /// Leaves a command for the driver; gives it back if there is none any more.
    pub(crate) fn command(&mut self, command: C) -> Result<Option<Waker>, C> {
        if self.phase == Phase::Gone {
            return Err(command);
        }
        self.commands.push(command);
        Ok(self.summon())
    }

    /// The driver begins a turn: it will handle these commands, and write what waits.
    pub(crate) fn begin_turn(&mut self, driver: &Waker) -> Vec<C> {
        self.phase = Phase::Working(News::Nothing);
        if !self
            .driver
            .as_ref()
            .is_some_and(|known| known.will_wake(driver))
        {
            self.driver = Some(driver.clone());
        }
        self.commands.take()
    }

    /// The commands that have come during a turn, which goes on with reading. What was appended is not
    /// written yet.
    pub(crate) fn take_commands(&mut self) -> Vec<C> {
        if let Phase::Working(news) = &mut self.phase {
            *news = (*news).min(News::Appended);
        }
        self.commands.take()
    }

    /// The driver is about to write all that has been appended so far.
    pub(crate) fn begin_write(&mut self) {
        if let Phase::Working(news @ News::Appended) = &mut self.phase {
            *news = News::Nothing;
        }
    }

    /// The driver has done what there was to do.
    pub(crate) fn end_turn(&mut self, awaited: Awaited) -> Rest<C> {
        match self.phase {
            Phase::Working(News::Appended | News::Summoned) => {
                self.phase = Phase::Working(News::Nothing);
                Rest::NotYet(self.commands.take())
            }
            _ if awaited == Awaited::Room && !self.outbox.is_full() => {
                self.phase = Phase::Called;
                Rest::WakeSelf
            }
            _ => {
                self.phase = Phase::Resting;
                Rest::Granted
            }
        }
    }

    /// The driver ends its turn, and has woken itself for the next one, which will find whatever is new.
    pub(crate) fn go_on(&mut self) {
        self.phase = Phase::Called;
    }

    /// The driver is gone; what was asked of it last will not happen.
    pub(crate) fn retire(&mut self) -> Vec<C> {
        self.phase = Phase::Gone;
        self.commands.take()
    }

    /// Whether there is no driver any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Whether somebody is about to write what has been appended so far.
    pub(crate) const fn will_be_written(&self) -> bool {
        matches!(
            self.phase,
            Phase::Promised | Phase::Called | Phase::Working(_)
        )
    }

    /// Writes in the driver's place, while it rests.
    fn write(&mut self) -> Option<Waker> {
        match self.outbox.flush() {
            Flushed::All => {
                self.phase = Phase::Resting;
                None
            }
            Flushed::Blocked | Flushed::NotHere | Flushed::Failed => self.call(),
        }
    }

    fn call(&mut self) -> Option<Waker> {
        self.phase = Phase::Called;
        self.driver.clone()
    }
}
