//! Servers that do not answer who wants to join.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_events::Refusal;

use super::Connection;
use crate::ConnectError;
use crate::clock::now;
use crate::socket::Inner;

/// The sockets that wait for the server's answer, each until its attempt is over.
#[derive(Default)]
pub(super) struct Answers(Vec<Awaited>);

struct Awaited {
    socket: Arc<Inner>,
    due: Instant,
    /// What the attempt has failed with then.
    error: ConnectError,
}

/// How long a socket waits to be let in by a server of revision 4 that has refused `/`.
///
/// Those of Socket.IO 1 and 2 never answer then. Later ones that still speak this revision do, as
/// far as they let the socket in at all, and there is no telling them apart.
const AFTER_MAIN: Duration = Duration::from_secs(1);

impl Answers {
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// The socket has its answer, or wants none any more.
    pub(super) fn remove(&mut self, socket: &Arc<Inner>) {
        self.0
            .retain(|awaited| !Arc::ptr_eq(&awaited.socket, socket));
        if self.0.is_empty() {
            // An idle connection has no use for the memory.
            self.clear();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|awaited| awaited.due).min()
    }

    /// Waits for an answer. If the socket waits already, its time goes on.
    fn expect(&mut self, awaited: Awaited) {
        let known = self.0.iter();
        if !known
            .map(|known| &known.socket)
            .any(|known| Arc::ptr_eq(known, &awaited.socket))
        {
            self.0.push(awaited);
        }
    }

    fn take_due(&mut self, now: Instant) -> Vec<Awaited> {
        let due = self.0.extract_if(.., |awaited| awaited.due <= now);
        due.collect()
    }
}

impl Connection {
    /// The socket has asked to be let in, or is going to.
    pub(super) fn expect_answer(&mut self, socket: &Arc<Inner>) {
        let refused = self
            .main_refusal
            .clone()
            .filter(|_| socket.namespace() != "/");
        let (time, error) = match refused {
            Some(refusal) => (Some(AFTER_MAIN), ConnectError::Refused(refusal)),
            None => (self.shared.config.timeout, ConnectError::Timeout),
        };
        self.expect_answer_within(socket, time, error);
    }

    fn expect_answer_within(
        &mut self,
        socket: &Arc<Inner>,
        time: Option<Duration>,
        error: ConnectError,
    ) {
        if let Some(due) = time.and_then(|time| now().checked_add(time)) {
            self.answers.expect(Awaited {
                socket: Arc::clone(socket),
                due,
                error,
            });
        }
    }

    /// A server of revision 4 does not let us into `/`, and so not into any other namespace.
    pub(super) fn handle_main_refused(&mut self, refusal: Refusal) {
        let due = now() + AFTER_MAIN;
        for awaited in &mut self.answers.0 {
            if awaited.socket.namespace() != "/" {
                awaited.due = due.min(awaited.due);
                awaited.error = ConnectError::Refused(refusal.clone());
            }
        }
        self.main_refusal = Some(refusal);
    }

    pub(super) fn handle_unanswered(&mut self, now: Instant) {
        for Awaited { socket, error, .. } in self.answers.take_due(now) {
            if error.refusal().is_some() {
                self.let_go(&socket);
                socket.handle_refused(&error);
            } else {
                self.fail_attempt(&socket, error);
            }
        }
        self.close_if_unwanted();
    }

    /// The attempt that the socket is in has failed. One that only somebody waits for is over; one
    /// that is to be connected in any case goes on waiting, as the server has been asked, and
    /// cannot be asked again before it answers.
    pub(super) fn fail_attempt(&mut self, socket: &Arc<Inner>, error: ConnectError) {
        let tell = Arc::clone(socket).handle_failure(&error, self.comes_back());
        if socket.is_active() {
            self.expect_answer_within(socket, self.shared.config.timeout, error);
        } else {
            self.leave(socket);
        }
        if let Some(tell) = tell {
            tell();
        }
    }
}
