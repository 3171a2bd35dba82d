//! The sockets of one session.

use std::time::{Duration, Instant};

use sockeye_events::Refusal;
use sockeye_socket_proto::{ClientConnection, JoinError, Leaving, NamespaceKey};

use super::answers::Answers;
use super::membership::Leave;
use crate::ConnectError;

/// Which sockets are in their namespaces over one session, or have asked to be.
///
/// `T` is a socket. Whether it wants to be there is its own [`Membership`](super::membership::Membership).
#[derive(Debug)]
pub(crate) struct Stays<T> {
    pub(crate) proto: ClientConnection,
    /// A server that speaks lines.
    is_lines: bool,
    stays: Vec<Stay<T>>,
    answers: Answers<T>,
    /// Nobody wants the session any more.
    closing: bool,
}

#[derive(Debug)]
struct Stay<T> {
    key: NamespaceKey,
    socket: T,
}

/// What is to be done for a socket that wants to join.
#[derive(Debug)]
pub(crate) enum Join {
    /// The server is to be asked.
    Ask,
    /// It answers without being asked.
    Expect,
    /// It has let the socket in already.
    Joined(NamespaceKey),
    /// It has to answer an earlier request before it can be asked.
    PutOff,
    /// It cannot be asked for that.
    Refused(ConnectError),
}

/// How a socket was let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) key: NamespaceKey,
    leaving: Leaving,
}

impl Gone {
    /// Whether the server is to be told now. It has been when a socket that was connected was disconnected, and will be
    /// when it has answered. What is missing is the case that it has, but kept events were still being sent.
    pub(crate) fn is_to_be_told(self, leave: Leave) -> bool {
        leave == Leave::Abandoned && self.leaving == Leaving::Now
    }
}

impl<T: Clone + PartialEq> Stays<T> {
    /// Those of a session that was just opened; its server has so much time for its answers.
    pub(crate) const fn new(
        proto: ClientConnection,
        is_lines: bool,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            proto,
            is_lines,
            stays: Vec::new(),
            answers: Answers::new(timeout),
            closing: false,
        }
    }

    /// The socket that has this key.
    pub(crate) fn socket(&self, key: NamespaceKey) -> Option<&T> {
        let stay = self.stays.iter().find(|stay| stay.key == key);
        stay.map(|stay| &stay.socket)
    }

    pub(crate) fn keys(&self) -> Vec<NamespaceKey> {
        self.stays.iter().map(|stay| stay.key).collect()
    }

    /// A socket that wants to be in its namespace, and is not, has said what it is to say about itself.
    pub(crate) fn join(&mut self, socket: &T, namespace: &str, now: Instant) -> Join {
        let is_main = namespace == "/";
        if self.is_lines && !is_main {
            let text = "a server that speaks lines has no namespaces";
            return Join::Refused(ConnectError::Namespace(text.into()));
        }
        let key = match self.proto.join(namespace) {
            Ok(key) => key,
            Err(JoinError::Unanswered) => {
                self.answers.expect(socket.clone(), is_main, now);
                return Join::PutOff;
            }
            Err(error) => {
                return Join::Refused(ConnectError::Namespace(error.to_string().into()));
            }
        };
        self.stays.push(Stay {
            key,
            socket: socket.clone(),
        });
        if self.is_lines {
            // Whoever is connected is in.
            let _ = self.proto.handle_text("0");
        }
        if self.proto.is_joined(key) {
            return Join::Joined(key);
        }
        self.answers.expect(socket.clone(), is_main, now);
        match self.proto.needs_request(key) {
            true => Join::Ask,
            false => Join::Expect,
        }
    }

    /// The server has let a socket in. Gives the socket, which waits for no answer any more.
    pub(crate) fn handle_answer(&mut self, key: NamespaceKey) -> Option<T> {
        let socket = self.socket(key)?.clone();
        self.answers.remove(&socket);
        if self.proto.namespace(key) == Some("/") {
            self.answers.handle_main_joined();
        }
        Some(socket)
    }

    /// The server has ended a stay, or refused one. Gives the socket, unless nobody wanted it any more.
    pub(crate) fn handle_ended(&mut self, key: NamespaceKey) -> Option<T> {
        let index = self.stays.iter().position(|stay| stay.key == key)?;
        let Stay { socket, .. } = self.stays.swap_remove(index);
        self.answers.remove(&socket);
        Some(socket)
    }

    /// Forgets a socket that does not want to be in; `None` if it has not asked yet.
    pub(crate) fn let_go(&mut self, socket: &T) -> Option<Gone> {
        self.answers.remove(socket);
        let index = self.stays.iter().position(|stay| stay.socket == *socket)?;
        let Stay { key, .. } = self.stays.swap_remove(index);
        let leaving = self.proto.leave(key);
        Some(Gone { key, leaving })
    }

    /// A server of revision 4 does not let us into `/`, and so not into any other namespace.
    pub(crate) fn handle_main_refused(&mut self, refusal: Refusal, now: Instant) {
        self.answers.handle_main_refused(refusal, now);
    }

    /// When [`take_unanswered`](Self::take_unanswered) gives somebody.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.answers.deadline()
    }

    /// The sockets that the server has not answered in time, and what their attempts have failed with.
    pub(crate) fn take_unanswered(&mut self, now: Instant) -> Vec<(T, ConnectError)> {
        self.answers.take_due(now)
    }

    /// Goes on waiting for the answer, after an attempt has failed.
    pub(crate) fn expect_again(
        &mut self,
        socket: &T,
        namespace: &str,
        error: ConnectError,
        now: Instant,
    ) {
        let is_main = namespace == "/";
        self.answers
            .expect_again(socket.clone(), is_main, error, now);
    }

    /// Whether the session is to be closed now, given whether a socket wants it.
    pub(crate) const fn close_if(&mut self, unwanted: bool) -> bool {
        let closes = unwanted && !self.closing;
        self.closing |= unwanted;
        closes
    }

    /// Whether it is being closed: what is to come back waits for the next one.
    pub(crate) const fn is_closing(&self) -> bool {
        self.closing
    }

    /// The session is over.
    pub(crate) fn clear_answers(&mut self) {
        self.answers = Answers::new(None);
    }
}
