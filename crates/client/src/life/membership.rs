//! Whether one socket is in its namespace.

use std::mem;
use std::sync::Arc;

use super::recovery::Recovery;

/// What a socket wants, how far it is, and who waits for that.
///
/// The application says what it wants at any time. The session that is open, if there is one, brings itself into line
/// with that, and says what comes of it. `S` is that session; `W` is who waits for an attempt to connect. Whoever is
/// given back is to be told how it ended.
#[derive(Debug)]
pub(crate) struct Membership<S, W> {
    want: Want,
    phase: Phase<S>,
    waiters: Vec<W>,
    /// By which the server knows the socket.
    id: Option<Arc<str>>,
    recovery: Recovery,
    recovered: bool,
}

/// Whether the socket wants to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    No,
    /// For the attempt that somebody waits for.
    Once,
    /// Until it is disconnected.
    Kept,
}

/// How far the socket is.
#[derive(Debug)]
enum Phase<S> {
    Idle,
    /// It cannot ask to be let in before the server has answered an earlier request.
    PutOff,
    /// The session sees to its joining.
    Joining,
    /// The server has let it in.
    Connected(S),
    /// It was disconnected by this side, which the session does not know yet.
    Leaving,
    /// The same, but while it was joining.
    Abandoned,
    /// Its stay has been ended by the server, or with the session, and its handlers are being told. What is emitted
    /// meanwhile must not go to a namespace that the server may have left already, but the id is still known.
    Ending,
}

/// What a session finds out about a socket that may not want to be in any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It does, or was not in.
    Stays,
    /// It was being connected, and nobody wants that any more.
    Abandoned,
    /// It was connected, and left.
    Left,
}

/// A stay, or an attempt, has been ended by the server or with the session.
#[derive(Debug)]
pub(crate) struct End<W> {
    /// It was a stay.
    pub(crate) was_connected: bool,
    pub(crate) waiters: Vec<W>,
}

impl<S, W> Default for Membership<S, W> {
    fn default() -> Self {
        Self {
            want: Want::No,
            phase: Phase::Idle,
            waiters: Vec::new(),
            id: None,
            recovery: Recovery::default(),
            recovered: false,
        }
    }
}

impl<S, W> Membership<S, W> {
    /// Whether the socket wants to be connected.
    pub(crate) fn is_wanted(&self) -> bool {
        self.want != Want::No
    }

    /// The session over which the socket is connected.
    pub(crate) const fn session(&self) -> Option<&S> {
        match &self.phase {
            Phase::Connected(session) => Some(session),
            _ => None,
        }
    }

    /// Whether the socket is joining, and still wants to.
    pub(crate) fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Joining) && self.is_wanted()
    }

    pub(crate) const fn id(&self) -> Option<&Arc<str>> {
        self.id.as_ref()
    }

    /// Whether the last connect has brought back the stay before it.
    pub(crate) const fn recovered(&self) -> bool {
        self.recovered
    }

    pub(crate) const fn recovery(&mut self) -> &mut Recovery {
        &mut self.recovery
    }
}

/// What the application wants.
impl<S, W> Membership<S, W> {
    /// To be connected, for good; false if that is nothing new.
    pub(crate) fn want(&mut self) -> bool {
        mem::replace(&mut self.want, Want::Kept) == Want::No
    }

    /// To be connected, for somebody who waits; false if it is.
    pub(crate) fn want_for(&mut self, waiter: W) -> bool {
        if self.session().is_some() {
            return false;
        }
        self.waiters.push(waiter);
        if self.want == Want::No {
            self.want = Want::Once;
        }
        true
    }

    /// Some do not wait any more; whether the attempt is given up, as nobody else does.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) -> bool {
        self.waiters.retain(|waiter| !is_gone(waiter));
        let given_up = self.want == Want::Once && self.waiters.is_empty();
        if given_up {
            self.want = Want::No;
            self.abandon();
        }
        given_up
    }

    /// To be disconnected. Gives the session over which the server is to be told at once, and who has waited in vain.
    pub(crate) fn disconnect(&mut self) -> (Option<S>, Vec<W>) {
        self.want = Want::No;
        self.abandon();
        let session = match mem::replace(&mut self.phase, Phase::Leaving) {
            Phase::Connected(session) => Some(session),
            phase => {
                if matches!(phase, Phase::Ending) {
                    // It leaves on purpose what was about to be lost.
                    self.recovery = Recovery::default();
                }
                self.phase = phase;
                None
            }
        };
        (session, mem::take(&mut self.waiters))
    }

    /// Gives up joining. If the socket wants to join again before the session has seen to this, it is by another
    /// request.
    fn abandon(&mut self) {
        if matches!(self.phase, Phase::Joining | Phase::PutOff) {
            self.phase = Phase::Abandoned;
        }
    }
}

/// What comes of it.
impl<S, W> Membership<S, W> {
    /// The session sees to the socket's joining from now on, if it wants to be in and is not.
    pub(crate) fn begin_join(&mut self) -> bool {
        let joins = matches!(self.phase, Phase::Idle | Phase::PutOff) && self.is_wanted();
        if joins {
            self.phase = Phase::Joining;
        }
        joins
    }

    /// The session cannot see to it yet.
    pub(crate) fn put_off(&mut self) {
        if matches!(self.phase, Phase::Joining) {
            self.phase = Phase::PutOff;
        }
    }

    /// The server has let the socket in, by this id; what may bring the stay back is a private one, and an offset to begin
    /// with. Whether events are to be looked at for their offsets.
    pub(crate) fn handle_accepted(
        &mut self,
        id: Option<Arc<str>>,
        recovery: Option<(&str, Option<&str>)>,
    ) -> bool {
        self.id = id;
        let (pid, offset) = recovery.unzip();
        self.recovered = self.recovery.handle_connected(pid, offset.flatten());
        self.recovery.follows_events()
    }

    /// Everything that waited is sent: the socket is connected, and wants to stay.
    pub(crate) fn enter(&mut self, session: S) {
        self.phase = Phase::Connected(session);
        self.want = Want::Kept;
    }

    /// Its handlers are about to be told that it is connected. Gives who is to be told then.
    pub(crate) fn take_waiters(&mut self) -> Vec<W> {
        mem::take(&mut self.waiters)
    }

    /// Whether the socket was disconnected by this side, so that its handlers are to be told before it
    /// [is let go of](Self::let_go).
    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving)
    }

    /// The session lets go of the socket, if it does not want to be in any more.
    pub(crate) fn let_go(&mut self) -> Leave {
        let leave = match self.phase {
            Phase::Leaving => Leave::Left,
            Phase::Abandoned => Leave::Abandoned,
            Phase::Joining | Phase::PutOff if !self.is_wanted() => Leave::Abandoned,
            _ => return Leave::Stays,
        };
        match leave {
            // What was left on purpose cannot be recovered.
            Leave::Left => self.recovery = Recovery::default(),
            _ => self.recovery.handle_abandoned(),
        }
        self.leave();
        leave
    }

    /// An attempt to open a session has failed, or the server does not answer. Gives who waited, if it concerns this
    /// socket. One that nobody but those waits for wants nothing any more.
    pub(crate) fn handle_failure(&mut self, will_retry: bool) -> Option<Vec<W>> {
        if !self.is_wanted() {
            return None;
        }
        self.stay_wanted(will_retry);
        Some(self.take_waiters())
    }

    /// The server has refused the socket, or it could not even be asked. Gives who waited, and whether it is news.
    pub(crate) fn handle_refused(&mut self) -> (bool, Vec<W>) {
        self.recovery.handle_answer();
        self.leave();
        let was_wanted = mem::replace(&mut self.want, Want::No) != Want::No;
        (was_wanted, self.take_waiters())
    }

    /// The session is over, or the server has disconnected the socket. It [is over](Self::finish_end) once the handlers
    /// have been told of the end of a stay. `None` if there is none, nor an attempt.
    pub(crate) fn begin_end(&mut self, stays_wanted: bool) -> Option<End<W>> {
        let was_connected = match self.phase {
            Phase::Idle => return None,
            Phase::PutOff => {
                // It has asked for nothing yet, and the next session owes it no answer.
                self.phase = Phase::Idle;
                return None;
            }
            Phase::Connected(_) => {
                self.phase = Phase::Ending;
                true
            }
            // Left a moment ago, which the session does not know yet.
            Phase::Leaving => true,
            Phase::Joining | Phase::Abandoned | Phase::Ending => false,
        };
        match self.is_wanted() {
            true => self.recovery.handle_end(),
            // What was left on purpose cannot be recovered.
            false => self.recovery = Recovery::default(),
        }
        // Before the handlers are told: who wants to be connected from here on means the next stay.
        self.stay_wanted(stays_wanted);
        Some(End {
            was_connected,
            waiters: self.take_waiters(),
        })
    }

    pub(crate) fn finish_end(&mut self) {
        self.leave();
    }

    /// Nobody is there to do anything any more. Gives who has waited in vain.
    pub(crate) fn handle_lost(&mut self) -> Vec<W> {
        self.leave();
        self.want = Want::No;
        self.take_waiters()
    }

    /// An attempt is over, which is the end of what is wanted by those alone who wait for it.
    fn stay_wanted(&mut self, stays: bool) {
        if !stays || self.want == Want::Once {
            self.want = Want::No;
        }
    }

    fn leave(&mut self) {
        self.phase = Phase::Idle;
        self.id = None;
    }
}
