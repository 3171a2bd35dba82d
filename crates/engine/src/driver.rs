//! The one task that runs a session.

mod borrowed;
mod side;
mod timer;
mod unfinished;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_engine_proto::{
    CloseReason, Lane, Output, Packet, Role, Session, TransportEnd, TransportKind,
};

use crate::carrier::{AnyCarrier, Carrier, Gone, Probe, Upper};
use crate::command::Command;
use crate::connection::Connection;
use crate::handle::SessionHandle;
use crate::mailbox::{Awaited, Rest};
use crate::request::Request;
use crate::turn::Turn;
use borrowed::Borrowed;
pub use side::Side;
use timer::{Moment, Timer};
use unfinished::Unfinished;

/// Drives one session: it owns the session's state, its transports, its timer, and the upper
/// layer's connection.
///
/// One poll of this future is a turn: it takes the commands of others, lets time pass, reads
/// what is there, runs what that sets off, and writes everything out at the end.
pub struct Driver<S: Side, C: Connection> {
    side: S,
    handle: SessionHandle,
    session: Session,
    connection: C,
    carrier: AnyCarrier,
    /// Boxed once more, so that a session which has none keeps a single pointer for it.
    probe: Option<Box<Box<dyn Probe>>>,
    timer: Timer,
    /// The connection was not ready at some time since the timer was last due.
    stalled: bool,
    /// The peer was not read from, as it does not take what waits for it: nobody is told when
    /// something comes.
    held_up: bool,
    /// When bytes last moved between the peer and this end, as far as that says something about the
    /// peer; see [`excuse_silence`](Self::excuse_silence).
    moved: Moment,
    unfinished: Option<Box<Unfinished>>,
    stage: Stage,
}

/// How far a session is in its life.
enum Stage {
    Open,
    /// Boxed, so that the stage is one pointer while the session is open.
    Closed(Box<Closed>),
}

enum Closed {
    /// What waits is being written, until the socket is dropped at this time, whatever the peer does.
    Ending(Instant),
    /// Nothing is left of it but handlers that are still running.
    Over,
}

/// How many reads one turn makes before it writes and lets other tasks run.
const READS_PER_TURN: usize = 4;

/// How often one turn looks for what has come while it was at work before it lets other tasks run.
const ROUNDS_PER_TURN: usize = 16;

/// With more than this to write, a turn writes before it reads on: large answers are better sent
/// while they are in the cache than heaped up.
const WRITE_FIRST: usize = 16 * 1024;

impl<S: Side, C: Connection> Driver<S, C> {
    /// Why the session is closed, if it is, and the end at which it was run.
    pub const fn outcome(&self) -> (Option<CloseReason>, &S) {
        (self.session.close_reason(), &self.side)
    }

    /// What has to be said before anything else, such as the open packet, is in the outbox or
    /// said already.
    pub fn new(
        side: S,
        handle: SessionHandle,
        session: Session,
        connection: C,
        carrier: AnyCarrier,
        now: Instant,
    ) -> Self {
        Self {
            side,
            handle,
            session,
            connection,
            carrier,
            probe: None,
            timer: Timer::new(),
            stalled: false,
            held_up: false,
            moved: Moment::of(now),
            unfinished: None,
            stage: Stage::Open,
        }
    }

    /// The carrier, and what it has of the session while it is spoken to.
    fn apart(&mut self, now: Instant) -> (&mut dyn Carrier, Borrowed<'_, S, C>) {
        let upper = Borrowed {
            side: &mut self.side,
            session: &mut self.session,
            connection: &mut self.connection,
            handle: &self.handle,
            probe: &mut self.probe,
            moved: &mut self.moved,
            unfinished: &mut self.unfinished,
            now,
        };
        (self.carrier.get(), upper)
    }

    /// One turn; ready when there is nothing left to do for this session, ever.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = crate::clock::now();
        let mut commands = self.handle.shared().lock().begin_turn(cx.waker());
        if self.timer.is_due(now) {
            self.excuse_silence(now);
        }
        let (mut reads, mut rounds) = (0, 0);
        loop {
            rounds += 1;
            for command in commands {
                self.handle_command(command, now, cx);
            }
            self.handle_time(now, cx);
            let _ = self.connection.poll(cx);
            self.carry_out(now, cx);
            let read = self.read(now, cx);
            self.carry_out(now, cx);
            reads += usize::from(read);

            let more = read && reads < READS_PER_TURN && !self.has_much_to_write();
            if !more {
                self.write(now, cx);
                self.carry_out(now, cx);
            }
            if let Some(deadline) = self.stage.deadline()
                && (*deadline <= now || self.poll_end(now, cx).is_ready())
            {
                self.end(cx);
            }
            if self.stage.is_over() && self.connection.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if more {
                commands = self.handle.shared().lock().take_commands();
                continue;
            }
            let awaits_tasks = reads > 0
                && self.session.role() == Role::Client
                && matches!(self.stage, Stage::Open);
            if awaits_tasks || rounds > ROUNDS_PER_TURN {
                // At a client, whoever waited for what came, tasks of the application mostly, runs
                // now, and what these send leaves in one write: the next turn comes right behind
                // them. And nobody keeps a driver at work for ever by appending to its outbox.
                self.handle.shared().lock().go_on();
                cx.waker().wake_by_ref();
                self.arm_timer(now, cx);
                return Poll::Pending;
            }
            let awaited = match self.held_up {
                true => Awaited::Room,
                false => Awaited::Nothing,
            };
            let rest = self.handle.shared().lock().end_turn(awaited);
            match rest {
                Rest::NotYet(new) => commands = new,
                Rest::WakeSelf | Rest::Granted => {
                    if read || matches!(rest, Rest::WakeSelf) {
                        // There may be more to read: let others run first.
                        cx.waker().wake_by_ref();
                    }
                    self.arm_timer(now, cx);
                    return Poll::Pending;
                }
            }
        }
    }

    fn handle_command(&mut self, command: Command, now: Instant, cx: &mut Context<'_>) {
        match command {
            Command::Request(request) => {
                self.note_request(&request, now);
                let (carrier, mut upper) = self.apart(now);
                carrier.handle_request(request, &mut upper);
            }
            Command::Upgrade(probe) => self.apart(now).1.begin_upgrade(probe),
            Command::End => self.session.end(now, self.handle.queued() > 0),
            Command::Close => self.session.close(now, self.handle.queued() > 0),
            Command::Abort { reason, cause } => {
                if !self.session.is_closed() {
                    self.connection.note(format_args!("{cause}"));
                }
                self.session.abort(reason);
            }
            Command::Vanish => {
                self.session.abort(CloseReason::ForcedClose);
                self.carry_out(now, cx);
                if let Some(deadline) = self.stage.deadline() {
                    *deadline = now;
                }
            }
        }
        self.carry_out(now, cx);
    }

    /// A request came. It is no sign of life while the application is not ready: what the peer has to say is not heard
    /// then.
    fn note_request(&mut self, request: &Request, now: Instant) {
        if !matches!(request, Request::PollLost) && is_ready(&self.connection, &self.handle) {
            self.moved = Moment::of(now);
        }
    }

    fn poll_end(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let (carrier, mut upper) = self.apart(now);
        carrier.poll_end(&mut upper, cx)
    }

    /// Gives the peer its time once more if it was this side that did not read: its heartbeat may
    /// lie unread, or behind what it cannot send. It may have to wait for that after the
    /// connection is ready again, too, which is why having been unready is remembered. The same
    /// goes for a timer that fires far too late: the thread was blocked, or the machine asleep.
    ///
    /// Only for so long: handlers that wait for the peer itself, which cannot be heard, would
    /// otherwise keep its session for ever.
    ///
    /// A peer with which bytes have been moving has not been silent in the first place. That is looked
    /// at here, when the time is over, so that it costs nothing with each packet.
    fn excuse_silence(&mut self, now: Instant) {
        let late = self.timer.delay(now) > self.side.slack();
        let deaf = std::mem::take(&mut self.stalled) || late;
        if deaf && self.moved.until(now) < self.side.limits().stall_timeout {
            self.session.excuse(now);
        }
        if deaf || self.held_up {
            self.excuse_unfinished(now);
        }
        if self.session.extend(self.moved.instant())
            && self.session.role() == Role::Client
            && let Some(due) = self.session.heartbeat_due()
        {
            self.connection.handle_progress(due);
        }
    }

    /// The transport is done with: everything is given back that only it needed.
    ///
    /// The session is forgotten last, as whoever closes the engine waits for that: the socket and its
    /// seat are to be gone by then.
    fn end(&mut self, cx: &mut Context<'_>) {
        let carrier = std::mem::replace(&mut self.carrier, AnyCarrier::other(Gone));
        let mistaken = carrier.into_mistaken();
        self.probe = None;
        self.stage = Stage::Closed(Box::new(Closed::Over));
        self.handle.shared().lock().outbox.close();
        self.connection.handle_gone(cx);
        self.side.forget(&self.handle);
        if let Some((io, peer)) = mistaken {
            peer.readmit(io);
        }
    }

    fn handle_time(&mut self, now: Instant, cx: &mut Context<'_>) {
        if !self.timer.is_due(now) {
            return;
        }
        self.session.handle_timeout(now);
        self.give_up_unfinished(now, cx);
        if self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now, cx);
        }
    }

    fn arm_timer(&mut self, now: Instant, cx: &mut Context<'_>) {
        let transport = match &mut self.stage {
            Stage::Open => self.session.poll_timeout(),
            closed => closed.deadline().copied(),
        };
        self.watch_unfinished(now);
        let unfinished = match self.stage {
            Stage::Open => self.unfinished_deadline(),
            Stage::Closed(_) => None,
        };
        let due = [transport, unfinished, self.connection.poll_timeout()]
            .into_iter()
            .flatten()
            .min();
        let mut fired = self.timer.arm(due, now, cx);
        if self.stage.deadline().is_some() {
            // A client hands a session that ends on to another task, and the timer may be set for
            // the one before.
            fired = self.timer.poll(cx);
        }
        if fired.is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Does what the session says, until it has nothing to say.
    fn carry_out(&mut self, now: Instant, cx: &mut Context<'_>) {
        if !self.session.has_output() {
            return;
        }
        let mut outputs = Vec::new();
        while let Some(output) = self.session.poll_output() {
            outputs.push(output);
        }
        let closed = matches!(outputs.last(), Some(Output::Closed(_)));
        if closed && !self.session.is_graceful() {
            // What waits is lost, but for the session's own last words.
            self.handle.shared().lock().outbox.clear();
        }
        for output in outputs {
            if let Output::Send { lane, packet } = &output {
                tracing::trace!(packet = packet.name(), ?lane, "send");
            }
            match output {
                Output::Send {
                    lane: Lane::Current,
                    packet,
                } => {
                    let session = self.handle.shared();
                    session.append_own(|outbox| outbox.push_control(packet));
                }
                Output::Send {
                    lane: Lane::Probe,
                    packet,
                } => {
                    if let Some(probe) = &mut self.probe {
                        probe.send(&packet, self.session.revision());
                    }
                    if packet == Packet::PROBE_PONG
                        && let Some(to) = self.session.upgrading()
                    {
                        self.connection.handle_upgrading(to, cx);
                    }
                }
                Output::Upgraded { to, .. } => {
                    self.handle_upgraded(to);
                    self.connection.handle_upgrade(to, cx);
                }
                Output::EndHalf => self.carrier.get().end_half(),
                Output::CloseProbe => self.probe = None,
                Output::Closed(reason) => {
                    self.begin_end(now);
                    if reason == CloseReason::TransportClose {
                        // Unless it has been noted that the transport itself came to an end.
                        let peer = self.session.role().peer();
                        self.connection
                            .note(format_args!("transport closed by the {peer}"));
                    }
                    self.connection.handle_close(reason, cx);
                }
            }
        }
    }

    /// Seals the outbox behind the last words.
    fn begin_end(&mut self, now: Instant) {
        let (carrier, mut upper) = self.apart(now);
        carrier.begin_end(&mut upper);
        self.handle.shared().lock().outbox.seal();
        let linger = self.side.limits().linger;
        let deadline = self
            .session
            .tombstone_until()
            .or_else(|| now.checked_add(linger));
        self.stage = Stage::Closed(Box::new(Closed::Ending(deadline.unwrap_or(now))));
    }

    fn handle_upgraded(&mut self, to: TransportKind) {
        let Some(probe) = self.probe.take() else {
            return;
        };
        let (carrier, outlet) = probe.commit();
        self.handle.shared().carry(to, outlet);
        std::mem::replace(&mut self.carrier, carrier)
            .get()
            .be_replaced(to);
    }

    /// Reads once from whatever there is to read from; whether something came.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> bool {
        self.held_up = false;
        let probed = match &mut self.probe {
            Some(probe) => probe.read(&mut self.session, now, cx),
            None => false,
        };
        if !matches!(self.stage, Stage::Open) {
            return probed;
        }
        let ready = is_ready(&self.connection, &self.handle);
        self.stalled |= !ready;
        self.held_up = ready && S::WAITS_FOR_ROOM && self.handle.is_full();
        let may_read = ready && !self.held_up;
        let (carrier, mut upper) = self.apart(now);
        carrier.read(may_read, &mut upper, cx) || probed
    }

    fn has_much_to_write(&self) -> bool {
        self.handle.queued() > WRITE_FIRST
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) {
        let (carrier, mut upper) = self.apart(now);
        carrier.write(&mut upper, cx);
        if let Some(probe) = &mut self.probe
            && probe.poll_write(cx).is_err()
        {
            self.session
                .handle_transport_closed(now, Lane::Probe, TransportEnd::Error);
        }
    }
}

impl<S: Side, C: Connection> Future for Driver<S, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _turn = Turn::begin();
        self.turn(cx)
    }
}

impl<S: Side, C: Connection> Unpin for Driver<S, C> {}

impl<S: Side, C: Connection> Drop for Driver<S, C> {
    /// The runtime is shutting down, or the session has ended: either way nobody must be able
    /// to queue for it any more.
    fn drop(&mut self) {
        self.handle.shared().retire();
        // As in [`end`](Self::end), before the session is forgotten.
        self.carrier = AnyCarrier::other(Gone);
        self.probe = None;
        self.side.forget(&self.handle);
    }
}

impl<S: Side, C: Connection> fmt::Debug for Driver<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Whether what comes next may be handed on.
fn is_ready(connection: &impl Connection, session: &SessionHandle) -> bool {
    connection.is_ready() && !session.is_paused()
}

impl Stage {
    /// When the transport is dropped, if what waits is still being written.
    fn deadline(&mut self) -> Option<&mut Instant> {
        match self {
            Self::Closed(closed) => match &mut **closed {
                Closed::Ending(deadline) => Some(deadline),
                Closed::Over => None,
            },
            Self::Open => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Closed(closed) if matches!(**closed, Closed::Over))
    }
}
