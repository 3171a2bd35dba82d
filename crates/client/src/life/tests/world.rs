//! A client whose driver, clock and server are the script.

use std::fmt::Display;
use std::time::{Duration, Instant};

use sockeye_events::DisconnectReason;
use sockeye_link::packet::Flags;
use sockeye_socket_proto::{Args, ClientConnection, ClientInput, NamespaceKey, SocketRevision};

use crate::config::BufferLimits;
use crate::life::attempts::{Attempts, Next};
use crate::life::buffer::Waiting;
use crate::life::member::{Flush, Member, NotKept};
use crate::life::membership::Leave;
use crate::life::stays::{Join, Stays};
use crate::{BufferPolicy, ConnectError, Reconnection};

/// The sockets are told by their places in `sockets`, sessions by numbers that are counted from 1, and who waits by names.
///
/// It does with the machines what `run.rs` and `connection.rs` do, and writes down what is told, with the second in which
/// it is, and what is sent.
pub(super) struct World {
    reconnection: Option<Reconnection>,
    attempts: Attempts,
    pub(super) sockets: Vec<Member<u32, &'static str>>,
    namespaces: Vec<&'static str>,
    session: Option<Stays<usize>>,
    sessions: u32,
    /// What the driver waits for: a handler that it has called does not call it.
    waits: Waits,
    begun: Instant,
    now: Instant,
    /// What the delays are drawn by.
    pub(super) random: f64,
    /// How many messages the outbox takes.
    pub(super) room: usize,
    pub(super) limits: BufferLimits,
    reactions: Vec<(&'static str, Reaction)>,
    told: Vec<String>,
    sent: Vec<String>,
}

type Reaction = fn(&mut World);

#[derive(Clone, Copy, PartialEq)]
enum Waits {
    Not,
    /// For what becomes of an attempt.
    Opening,
    /// For the time of the next one.
    Pausing,
}

/// How long the server may take for its answers.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

impl World {
    /// A client with sockets of these namespaces.
    pub(super) fn new<const N: usize>(namespaces: [&'static str; N]) -> Self {
        Self::with(Reconnection::default().randomization(0.0), namespaces)
    }

    pub(super) fn with<const N: usize>(
        reconnection: impl Into<Option<Reconnection>>,
        namespaces: [&'static str; N],
    ) -> Self {
        let begun = Instant::now();
        Self {
            reconnection: reconnection.into(),
            attempts: Attempts::default(),
            sockets: namespaces.iter().map(|_| Member::new(None)).collect(),
            namespaces: namespaces.into(),
            session: None,
            sessions: 0,
            waits: Waits::Not,
            begun,
            now: begun,
            random: 0.5,
            room: usize::MAX,
            limits: BufferLimits {
                events: 10,
                bytes: 1000,
                policy: BufferPolicy::Refuse,
            },
            reactions: Vec::new(),
            told: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// What a handler does when it is told this the next time.
    pub(super) fn when(&mut self, told: &'static str, reaction: Reaction) {
        self.reactions.push((told, reaction));
    }

    /// Checks what was told since this was last asked.
    #[track_caller]
    pub(super) fn tells<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(std::mem::take(&mut self.told), expected);
    }

    /// Checks what was sent to the server since this was last asked.
    #[track_caller]
    pub(super) fn sends<const N: usize>(&mut self, expected: [&str; N]) {
        assert_eq!(std::mem::take(&mut self.sent), expected);
    }

    /// Whether this was told since this was last asked; what else was is forgotten.
    pub(super) fn has_told(&mut self, part: &str) -> bool {
        let told = std::mem::take(&mut self.told);
        told.iter().any(|told| told.contains(part))
    }

    pub(super) fn rests(&self) -> bool {
        self.attempts.is_resting()
    }

    pub(super) fn is_connected(&self, socket: usize) -> bool {
        self.sockets[socket].membership.session().is_some()
    }

    pub(super) fn is_active(&self, socket: usize) -> bool {
        self.sockets[socket].membership.is_wanted()
    }

    fn tell(&mut self, what: impl Display) {
        let what = what.to_string();
        let seconds = self.now.duration_since(self.begun).as_secs();
        self.told.push(format!("{seconds} {what}"));
        if let Some(at) = self.reactions.iter().position(|(told, _)| *told == what) {
            let (_, reaction) = self.reactions.remove(at);
            reaction(self);
        }
    }

    fn tell_waiters(&mut self, waiters: Vec<&'static str>, outcome: &str) {
        for waiter in waiters {
            self.tell(format_args!("{waiter}: {outcome}"));
        }
    }

    fn tell_socket(&mut self, socket: usize, what: &str) {
        let namespace = self.namespaces[socket];
        self.tell(format_args!("{namespace} {what}"));
    }
}

/// What the application does.
impl World {
    pub(super) fn connect_lazy(&mut self, socket: usize) {
        if self.sockets[socket].membership.want() {
            self.start();
        }
    }

    pub(super) fn connect(&mut self, socket: usize, waiter: &'static str) {
        if self.sockets[socket].membership.want_for(waiter) {
            self.start();
        }
    }

    /// Waits no longer.
    pub(super) fn give_up(&mut self, socket: usize, waiter: &'static str) {
        let gone = |other: &&str| *other == waiter;
        if self.sockets[socket].membership.forget(gone) {
            self.poke();
        }
    }

    pub(super) fn disconnect(&mut self, socket: usize) {
        let (session, waiters) = self.sockets[socket].membership.disconnect();
        if session.is_some() {
            self.sent.push(format!("leave {}", self.namespaces[socket]));
        }
        self.tell_waiters(waiters, "cancelled");
        self.poke();
    }

    /// Emits an event, or keeps it. Those that nobody waits for any more are called `void`.
    pub(super) fn emit(&mut self, socket: usize, name: &str, ack_id: Option<u64>) -> bool {
        let event = Waiting {
            name: name.into(),
            args: Args::empty(),
            ack_id,
            flags: Flags::new(),
        };
        let member = &mut self.sockets[socket];
        match member.keep(event, &self.limits, |_| false, is_awaited) {
            Ok(_) => true,
            Err(NotKept::Full) => false,
            Err(NotKept::Connected(_, event)) => {
                self.sent.push(event.name.into());
                true
            }
        }
    }

    fn start(&mut self) {
        match self.attempts.begin() {
            true => self.go_on(),
            false => self.poke(),
        }
    }

    fn poke(&mut self) {
        if !self.is_wanted() {
            self.attempts.handle_lapse();
        }
        if self.session.is_some() {
            self.reconcile();
        } else if self.waits != Waits::Not && !self.attempts.is_under_way() {
            self.go_on();
        }
    }

    fn is_wanted(&self) -> bool {
        let mut sockets = self.sockets.iter();
        sockets.any(|socket| socket.membership.is_wanted())
    }
}

fn is_awaited(event: &Waiting) -> bool {
    &*event.name != "void"
}

/// What happens to the session.
impl World {
    /// Does what is next until that takes time.
    fn go_on(&mut self) {
        loop {
            let (wanted, random) = (self.is_wanted(), self.random);
            let reconnection = self.reconnection.as_ref();
            let next = self.attempts.next(wanted, reconnection, self.now, random);
            self.waits = match next {
                Next::Open { .. } => Waits::Opening,
                Next::Wait(_) => Waits::Pausing,
                Next::Rest | Next::Schedule(_) => Waits::Not,
            };
            match next {
                Next::Open { attempt: 0 } => return self.tell("opening"),
                Next::Open { attempt } => return self.tell(format_args!("attempt {attempt}")),
                Next::Schedule(delay) => self.tell(format_args!("again in {delay:?}")),
                Next::Rest | Next::Wait(_) => return,
            }
        }
    }

    /// Lets time pass.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
        if self.session.is_some() {
            self.handle_unanswered();
        } else if self.waits == Waits::Pausing {
            self.go_on();
        }
    }

    /// The attempt fails; another one may help or not.
    pub(super) fn fail(&mut self, retryable: bool) {
        self.waits = Waits::Not;
        let reconnection = self.reconnection.as_ref();
        let failure = self.attempts.handle_failure(retryable, reconnection);
        let mut failures = Vec::new();
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            let waiters = socket.membership.handle_failure(failure.will_retry);
            failures.extend(waiters.map(|waiters| (index, waiters)));
        }
        let gave_up = !failure.will_retry && !failures.is_empty();
        for (socket, waiters) in failures {
            self.tell_waiters(waiters, "failed");
            let active = if self.is_active(socket) {
                ", active"
            } else {
                ""
            };
            self.tell_socket(socket, &format!("connect_error{active}"));
        }
        if failure.attempt > 0 && gave_up {
            self.tell("given up");
        }
        self.go_on();
    }

    /// The attempt succeeds.
    pub(super) fn open(&mut self) {
        self.waits = Waits::Not;
        self.sessions += 1;
        let proto = ClientConnection::new(SocketRevision::V5, &<_>::default());
        self.session = Some(Stays::new(proto, false, Some(TIMEOUT)));
        let attempt = self.attempts.handle_opened();
        self.tell(format_args!("open after {attempt}"));
        self.reconcile();
    }

    /// The session is lost.
    pub(super) fn lose(&mut self) {
        let stays = self.reconnection.is_some();
        for socket in 0..self.sockets.len() {
            self.leave(socket);
        }
        for socket in 0..self.sockets.len() {
            self.end_stay(socket, stays);
        }
        self.end(DisconnectReason::TransportClose);
    }

    fn end(&mut self, reason: DisconnectReason) {
        self.session = None;
        self.tell(format_args!("close: {reason}"));
        let forced = reason == DisconnectReason::ForcedClose;
        self.attempts.handle_ended(forced);
        self.go_on();
    }

    /// The stay of a socket, or its attempt, is over.
    fn end_stay(&mut self, socket: usize, stays_wanted: bool) {
        let membership = &mut self.sockets[socket].membership;
        let Some(end) = membership.begin_end(stays_wanted) else {
            return;
        };
        if end.was_connected {
            self.tell_socket(socket, "disconnecting");
        }
        self.sockets[socket].membership.finish_end();
        self.tell_waiters(end.waiters, "ended");
        self.lose_acks(socket);
        self.tell_socket(socket, "disconnect");
    }

    fn lose_acks(&mut self, socket: usize) {
        let lost = self.sockets[socket].handle_end();
        if let Some(event) = lost.given_up {
            self.tell(format_args!("{} is given up", event.name));
        }
    }

    fn stays(&mut self) -> &mut Stays<usize> {
        self.session.as_mut().unwrap()
    }

    fn reconcile(&mut self) {
        for socket in 0..self.sockets.len() {
            self.leave(socket);
            let closing = self.stays().is_closing();
            if !closing && self.sockets[socket].membership.begin_join() {
                self.join(socket);
            }
        }
        self.close_if_unwanted();
    }

    fn close_if_unwanted(&mut self) {
        let unwanted = !self.is_wanted();
        if self.session.is_some() && self.stays().close_if(unwanted) {
            self.end(DisconnectReason::ForcedClose);
        }
    }

    fn join(&mut self, socket: usize) {
        let (namespace, now) = (self.namespaces[socket], self.now);
        match self.stays().join(&socket, namespace, now) {
            Join::Ask => self.sent.push(format!("join {namespace}")),
            Join::PutOff => self.sockets[socket].membership.put_off(),
            Join::Refused(error) => self.refuse(socket, &error.to_string()),
            Join::Expect | Join::Joined(_) => panic!("not in revision 5"),
        }
    }

    fn leave(&mut self, socket: usize) {
        if self.sockets[socket].membership.is_leaving() {
            self.tell_socket(socket, "disconnecting");
        }
        let leave = self.sockets[socket].membership.let_go();
        if leave == Leave::Stays {
            return;
        }
        if let Some(gone) = self.stays().let_go(&socket)
            && gone.is_to_be_told(leave)
        {
            self.sent.push(format!("leave {}", self.namespaces[socket]));
        }
        self.lose_acks(socket);
        if leave == Leave::Left {
            self.tell_socket(socket, "disconnect");
        }
    }

    fn refuse(&mut self, socket: usize, why: &str) {
        let (was_wanted, waiters) = self.sockets[socket].membership.handle_refused();
        self.tell_waiters(waiters, why);
        if was_wanted {
            self.tell_socket(socket, &format!("connect_error: {why}"));
        }
        self.close_if_unwanted();
    }

    /// The server says something.
    pub(super) fn hear(&mut self, text: &str) {
        match self.stays().proto.handle_text(text).unwrap() {
            Some(ClientInput::Connected {
                key,
                sid,
                pid,
                offset,
            }) => {
                if let Some(socket) = self.stays().handle_answer(key) {
                    let membership = &mut self.sockets[socket].membership;
                    let recovery = pid.as_deref().map(|pid| (pid, offset.as_deref()));
                    membership.handle_accepted(sid.as_deref().map(Into::into), recovery);
                    self.flush(socket);
                }
            }
            Some(ClientInput::Refused { key, message, .. }) => {
                self.leave_if_unwanted(key);
                match self.stays().handle_ended(key) {
                    Some(socket) => self.refuse(socket, &message),
                    None => self.reconcile(),
                }
            }
            Some(ClientInput::Disconnected { key }) => {
                self.leave_if_unwanted(key);
                if let Some(socket) = self.stays().handle_ended(key) {
                    self.end_stay(socket, false);
                }
                self.reconcile();
            }
            Some(ClientInput::Abandoned { key }) => {
                let namespace = self.stays().proto.namespace(key).unwrap().to_owned();
                self.sent.push(format!("leave {namespace}"));
                self.reconcile();
            }
            other => panic!("{other:?}"),
        }
    }

    fn leave_if_unwanted(&mut self, key: NamespaceKey) {
        if let Some(&socket) = self.stays().socket(key) {
            self.leave(socket);
        }
    }

    /// Goes on with what is to be sent before the socket is connected; the outbox may have room again.
    pub(super) fn flush(&mut self, socket: usize) {
        let session = self.sessions;
        loop {
            match self.sockets[socket].flush(&session, is_awaited) {
                Flush::Send(event) if self.sent.len() < self.room => {
                    self.sent.push(event.name.into());
                }
                Flush::Send(event) => return self.sockets[socket].put_back(event),
                Flush::Unwanted => return,
                Flush::Entered => break,
            }
        }
        let waiters = self.sockets[socket].membership.take_waiters();
        self.tell_socket(socket, "connect");
        self.tell_waiters(waiters, "connected");
        // A handler may have disconnected it.
        if self.session.is_some() {
            self.reconcile();
        }
    }

    fn handle_unanswered(&mut self) {
        let now = self.now;
        for (socket, error) in self.stays().take_unanswered(now) {
            let will_retry = self.reconnection.is_some();
            let waiters = self.sockets[socket].membership.handle_failure(will_retry);
            match self.is_active(socket) {
                true => self.wait_again(socket, error),
                false => self.leave(socket),
            }
            if let Some(waiters) = waiters {
                self.tell_waiters(waiters, "timeout");
                self.tell_socket(socket, "connect_error: timeout");
            }
        }
        self.close_if_unwanted();
    }

    fn wait_again(&mut self, socket: usize, error: ConnectError) {
        let (namespace, now) = (self.namespaces[socket], self.now);
        self.stays().expect_again(&socket, namespace, error, now);
    }
}
