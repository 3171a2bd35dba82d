//! Every order in which a driver and others can meet at a mailbox.
//!
//! The mailbox and its transitions are the real ones; the driver's turn, the socket and the emitters are
//! reduced to what they agree about. What the lock makes one step is one step in [`orders`], which tries each
//! order of such steps that there is. [`threads`] has the same things happen in threads, with locks, wakers and
//! memory as loom imagines them, and as many preemptions as can be tried in a few seconds.

mod orders;
mod threads;

use super::*;

/// An outbox of messages of which only the number is kept, and the socket below it. The socket is behind the
/// mailbox's lock as well: whoever looks at it while the lock is held would find nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Outbox {
    waiting: usize,
    limit: usize,
    blocked: bool,
    /// Whether any thread may write, as to a bare socket.
    direct: bool,
    /// How many messages the socket takes before the peer reads some.
    room: usize,
    written: usize,
    /// How many messages of the peer's have not been read yet.
    unread: usize,
}

impl Outbox {
    fn write(&mut self) -> Flushed {
        let taken = self.waiting.min(self.room);
        self.room -= taken;
        self.written += taken;
        self.waiting -= taken;
        self.blocked = self.waiting > 0;
        match self.blocked {
            true => Flushed::Blocked,
            false => Flushed::All,
        }
    }
}

impl Queue for Outbox {
    fn flush(&mut self) -> Flushed {
        match self.direct || self.waiting == 0 {
            true => self.write(),
            false => Flushed::NotHere,
        }
    }

    fn is_blocked(&self) -> bool {
        self.blocked
    }

    fn is_full(&self) -> bool {
        self.waiting >= self.limit
    }
}

/// What is asked of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Command {
    Close,
}

/// How a model begins.
#[derive(Clone, Copy)]
struct Start {
    direct: bool,
    room: usize,
    limit: usize,
    unread: usize,
}

const ROOMY: Start = Start {
    direct: true,
    room: usize::MAX,
    limit: usize::MAX,
    unread: 0,
};

impl From<Start> for Mailbox<Outbox, Command> {
    fn from(start: Start) -> Self {
        let outbox = Outbox {
            waiting: 0,
            limit: start.limit,
            blocked: false,
            direct: start.direct,
            room: start.room,
            written: 0,
            unread: start.unread,
        };
        Self::new(outbox)
    }
}
