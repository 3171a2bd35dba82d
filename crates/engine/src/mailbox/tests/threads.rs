//! The same in threads, with locks and wakers as loom has them. A message that nobody looks after shows as a
//! deadlock: the peer waits for it, the driver for a wake-up, and no thread can go on.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Mutex, MutexGuard};
use loom::thread;

use super::*;

/// One session, as everybody sees it.
#[derive(Clone)]
struct Session {
    locked: Arc<Mutex<Locked>>,
    paused: Arc<AtomicBool>,
}

struct Locked {
    mail: Mailbox<Outbox, Command>,
    /// The peer, which waits for messages.
    peer: Option<Waker>,
    /// Who waits for room in the socket: the driver.
    writer: Option<Waker>,
}

impl Session {
    fn new(start: Start) -> Self {
        Self {
            locked: Arc::new(Mutex::new(Locked {
                mail: start.into(),
                peer: None,
                writer: None,
            })),
            paused: Arc::new(AtomicBool::new(false)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap()
    }

    /// What `SessionHandle::send` does outside a turn.
    fn emit(&self) {
        self.append(false);
    }

    /// A turn of another session that emits so many messages, and writes at its end.
    fn emit_in_turn(&self, messages: usize) {
        for _ in 0..messages {
            self.append(true);
        }
        self.transit(Mailbox::keep_promise);
    }

    fn append(&self, in_turn: bool) {
        self.transit(|mail| {
            mail.outbox.waiting += 1;
            mail.appended(|| in_turn)
        });
    }

    fn close(&self) {
        self.transit(|mail| mail.command(Command::Close).expect("not closed before"));
    }

    fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    fn resume(&self) {
        self.paused.store(false, Ordering::Release);
        self.transit(Mailbox::summon);
    }

    /// One transition under the lock, and the wake-up behind it. The peer sees what was written.
    fn transit(&self, transition: impl FnOnce(&mut Mailbox<Outbox, Command>) -> Option<Waker>) {
        let mut locked = self.lock();
        let written = locked.mail.outbox.written;
        let waker = transition(&mut locked.mail);
        let peer = match locked.mail.outbox.written > written {
            true => locked.peer.take(),
            false => None,
        };
        drop(locked);
        for waker in [waker, peer].into_iter().flatten() {
            waker.wake();
        }
    }

    /// Has the driver run in a thread of its own.
    fn drive(&self, messages: usize) {
        let mut driver = Driver {
            session: self.clone(),
            closing: false,
            messages,
            reads: self.lock().mail.outbox.unread > 0,
        };
        thread::spawn(move || block_on(poll_fn(|cx| driver.turn(cx))));
    }

    /// Does something in a thread of its own.
    fn spawn(&self, work: fn(&Self)) {
        let session = self.clone();
        thread::spawn(move || work(&session));
    }

    /// Waits, as the peer, until so many messages have come, and reads what there is.
    fn receive(&self, messages: usize) {
        block_on(poll_fn(|cx| {
            let mut locked = self.lock();
            if locked.mail.outbox.written >= messages {
                return Poll::Ready(());
            }
            locked.peer = Some(cx.waker().clone());
            let mut writer = None;
            if locked.mail.outbox.room == 0 {
                locked.mail.outbox.room = 1;
                writer = locked.writer.take();
            }
            drop(locked);
            if let Some(writer) = writer {
                writer.wake();
            }
            Poll::Pending
        }));
    }
}

/// A driver's turn without everything that is not about the mailbox. It answers each message that it reads.
struct Driver {
    session: Session,
    closing: bool,
    /// How many messages there will be.
    messages: usize,
    /// Whether the peer sends anything in this model.
    reads: bool,
}

impl Driver {
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let session = &self.session;
        let mut commands = session.lock().mail.begin_turn(cx.waker());
        loop {
            for Command::Close in commands {
                self.closing = true;
            }
            let (read, awaited) = self.read();
            if self.write(cx) && self.closing {
                let mut locked = session.lock();
                assert_eq!(locked.mail.outbox.written, self.messages);
                assert!(locked.mail.retire().is_empty());
                return Poll::Ready(());
            }
            let rest = session.lock().mail.end_turn(awaited);
            match rest {
                Rest::NotYet(new) => commands = new,
                Rest::Granted | Rest::WakeSelf => {
                    if read || matches!(rest, Rest::WakeSelf) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads one message and answers it, if the outbox has room.
    fn read(&self) -> (bool, Awaited) {
        if !self.reads || self.session.paused.load(Ordering::Acquire) {
            return (false, Awaited::Nothing);
        }
        let mut locked = self.session.lock();
        let Mailbox { outbox, .. } = &mut locked.mail;
        if outbox.unread == 0 {
            return (false, Awaited::Nothing);
        }
        if outbox.is_full() {
            return (false, Awaited::Room);
        }
        outbox.unread -= 1;
        outbox.waiting += 1;
        let waker = locked.mail.appended(|| false);
        assert!(waker.is_none(), "the driver is at work");
        (true, Awaited::Nothing)
    }

    /// Whether everything is written.
    fn write(&self, cx: &Context<'_>) -> bool {
        let mut flushed = Flushed::Failed;
        self.session.transit(|mail| {
            mail.begin_write();
            flushed = mail.outbox.write();
            None
        });
        // The peer may read before the driver waits for that.
        let mut locked = self.session.lock();
        if flushed == Flushed::Blocked && locked.mail.outbox.room == 0 {
            locked.writer = Some(cx.waker().clone());
        } else if flushed == Flushed::Blocked {
            cx.waker().wake_by_ref();
        }
        flushed == Flushed::All
    }
}

/// Everything that the two of them emit, and the driver's answers, arrive without anything else happening; and
/// then the session closes.
fn model(start: Start, messages: usize, one: fn(&Session), other: fn(&Session)) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS);
    builder.check(move || {
        let session = Session::new(start);
        session.drive(messages);
        session.spawn(other);
        // Loom's threads are dear: the peer is the same one as the first emitter.
        one(&session);
        session.receive(messages);
        session.close();
    });
}

/// How often a thread is interrupted where it could go on; `LOOM_MAX_PREEMPTIONS` says otherwise.
const PREEMPTIONS: usize = 2;

#[test]
fn nothing_lies_unsent_on_a_socket() {
    model(ROOMY, 2, Session::emit, Session::emit);
}

#[test]
fn nothing_lies_unsent_that_a_turn_has_promised_to_write() {
    let turn = |session: &Session| session.emit_in_turn(2);
    model(ROOMY, 3, turn, Session::emit);
}

#[test]
fn two_turns_may_promise_the_same() {
    let turn = |session: &Session| session.emit_in_turn(1);
    model(ROOMY, 2, turn, turn);
}

#[test]
fn nothing_lies_unsent_where_only_the_driver_can_write() {
    let start = Start {
        direct: false,
        ..ROOMY
    };
    model(start, 2, Session::emit, Session::emit);
}

#[test]
fn nothing_lies_unsent_behind_a_full_socket() {
    let start = Start { room: 1, ..ROOMY };
    model(start, 2, Session::emit, Session::emit);
}

#[test]
fn what_came_while_paused_is_read_after_it() {
    let start = Start { unread: 1, ..ROOMY };
    let pause = |session: &Session| {
        session.pause();
        session.emit();
        session.resume();
    };
    model(start, 3, pause, Session::emit);
}

#[test]
fn what_came_while_the_outbox_was_full_is_read_when_it_is_not() {
    let start = Start {
        limit: 1,
        unread: 1,
        ..ROOMY
    };
    let turn = |session: &Session| session.emit_in_turn(1);
    model(start, 3, turn, Session::emit);
}
