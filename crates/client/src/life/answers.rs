//! Servers that do not answer who wants to join.

use std::time::{Duration, Instant};

use sockeye_events::Refusal;

use crate::ConnectError;

/// The sockets that wait for the server's answer, each until its attempt is over.
#[derive(Debug)]
pub(super) struct Answers<T> {
    timeout: Option<Duration>,
    awaited: Vec<Awaited<T>>,
    /// What a server of revision 4 said when it did not let us into `/`.
    main_refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Awaited<T> {
    socket: T,
    is_main: bool,
    due: Instant,
    /// What the attempt has failed with then.
    error: ConnectError,
}

/// How long a socket waits to be let in by a server of revision 4 that has refused `/`.
///
/// Those of Socket.IO 1 and 2 never answer then. Later ones that still speak this revision do, as
/// far as they let the socket in at all, and there is no telling them apart.
const AFTER_MAIN: Duration = Duration::from_secs(1);

impl<T: PartialEq> Answers<T> {
    /// Nobody waits yet; who does, waits this long for an answer.
    pub(super) const fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            awaited: Vec::new(),
            main_refusal: None,
        }
    }

    /// The socket, which may be that of `/`, has asked to be let in, or is going to. If it waits already, its time
    /// goes on.
    pub(super) fn expect(&mut self, socket: T, is_main: bool, now: Instant) {
        let refusal = self.main_refusal.clone().filter(|_| !is_main);
        let (time, error) = match refusal {
            Some(refusal) => (Some(AFTER_MAIN), ConnectError::Refused(refusal)),
            None => (self.timeout, ConnectError::Timeout),
        };
        self.expect_within(time, socket, is_main, error, now);
    }

    /// The attempt of the socket has failed with this, but it goes on waiting: unlike another session, another answer
    /// cannot be asked for.
    pub(super) fn expect_again(
        &mut self,
        socket: T,
        is_main: bool,
        error: ConnectError,
        now: Instant,
    ) {
        self.expect_within(self.timeout, socket, is_main, error, now);
    }

    fn expect_within(
        &mut self,
        time: Option<Duration>,
        socket: T,
        is_main: bool,
        error: ConnectError,
        now: Instant,
    ) {
        let Some(due) = time.and_then(|time| now.checked_add(time)) else {
            return;
        };
        if !self.awaited.iter().any(|known| known.socket == socket) {
            self.awaited.push(Awaited {
                socket,
                is_main,
                due,
                error,
            });
        }
    }

    /// The socket has its answer, or wants none any more.
    pub(super) fn remove(&mut self, socket: &T) {
        self.awaited.retain(|awaited| awaited.socket != *socket);
        if self.awaited.is_empty() {
            // An idle connection has no use for the memory.
            self.awaited = Vec::new();
        }
    }

    /// The server has let us into `/`, whatever it said before.
    pub(super) fn handle_main_joined(&mut self) {
        self.main_refusal = None;
    }

    /// A server of revision 4 does not let us into `/`, and so not into any other namespace.
    pub(super) fn handle_main_refused(&mut self, refusal: Refusal, now: Instant) {
        let due = now + AFTER_MAIN;
        for awaited in &mut self.awaited {
            if !awaited.is_main {
                awaited.due = due.min(awaited.due);
                awaited.error = ConnectError::Refused(refusal.clone());
            }
        }
        self.main_refusal = Some(refusal);
    }

    /// When [`take_due`](Self::take_due) gives somebody.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.awaited.iter().map(|awaited| awaited.due).min()
    }

    /// Those whose attempt has failed, and with what.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(T, ConnectError)> {
        let due = self.awaited.extract_if(.., |awaited| awaited.due <= now);
        due.map(|awaited| (awaited.socket, awaited.error)).collect()
    }
}
