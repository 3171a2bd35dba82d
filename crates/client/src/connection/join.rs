//! Joining and leaving namespaces.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::Value;
use sockeye_engine::{Dialect, HEADROOM, SendOptions};
use sockeye_events::DisconnectReason;
use sockeye_link::packet::{self, send, with_buffers};
use sockeye_socket_proto::{NamespaceKey, encode_connect_request};

use super::Connection;
use crate::clock::now;
use crate::config::Auth;
use crate::hooks::caught;
use crate::life::membership::Leave;
use crate::life::stays::{Gone, Join};
use crate::socket::ClientSocket;
use crate::{ConfigError, ConnectError};

/// Sockets that wait for what they are to say about themselves.
#[derive(Default)]
pub(super) struct Joins(Vec<Asking>);

struct Asking {
    socket: Arc<ClientSocket>,
    auth: AuthFuture,
    /// When the application has taken too long; `None` if it may take as long as it likes.
    due: Option<Instant>,
}

type AuthFuture = Pin<Box<dyn Future<Output = Result<Value, ConnectError>> + Send>>;

impl Joins {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn remove(&mut self, socket: &Arc<ClientSocket>) {
        self.0.retain(|asking| !Arc::ptr_eq(&asking.socket, socket));
    }

    /// When [`take_due`](Self::take_due) gives somebody.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().filter_map(|asking| asking.due).min()
    }

    /// Those whose application has not answered in time. It is not waited for any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Arc<ClientSocket>> {
        let is_due = |asking: &mut Asking| asking.due.is_some_and(|due| due <= now);
        let due = self.0.extract_if(.., is_due);
        due.map(|asking| asking.socket).collect()
    }

    /// The next socket whose answer is there.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<(Arc<ClientSocket>, Result<Value, ConnectError>)> {
        for (index, asking) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(auth) = asking.auth.as_mut().poll(cx) {
                let asking = self.0.swap_remove(index);
                return Some((asking.socket, auth));
            }
        }
        None
    }
}

impl Connection {
    /// Brings the connection into line with what the sockets want.
    pub(super) fn reconcile(&mut self, cx: &mut Context<'_>) {
        for socket in self.shared.sockets() {
            let socket = socket.inner();
            self.leave(socket);
            // What is to come back while the session is being closed waits for the next one.
            if !self.stays.is_closing() && socket.lock().membership.begin_join() {
                self.begin_join(socket, cx);
            }
        }
        self.close_if_unwanted();
    }

    /// Takes a socket out that does not want to be in.
    pub(super) fn leave(&mut self, socket: &Arc<ClientSocket>) {
        let leave = socket.let_go();
        if leave == Leave::Stays {
            return;
        }
        if let Some(gone) = self.let_go(socket)
            && gone.is_to_be_told(leave)
        {
            self.send_disconnect(gone.key);
        }
        socket.fail_acks();
        if leave == Leave::Left {
            let reason = DisconnectReason::IoClientDisconnect;
            self.tell_disconnect(Arc::clone(socket), reason);
        }
    }

    /// Forgets a socket that is in, or wanted to be.
    pub(super) fn let_go(&mut self, socket: &Arc<ClientSocket>) -> Option<Gone> {
        self.joins.remove(socket);
        let gone = self.stays.let_go(socket)?;
        self.inbox.remove(gone.key);
        self.flushing.retain(|other| *other != gone.key);
        Some(gone)
    }

    fn begin_join(&mut self, socket: &Arc<ClientSocket>, cx: &mut Context<'_>) {
        match &socket.config.auth {
            // Nobody is told who speaks in lines, and what the server says meanwhile must not be
            // lost.
            _ if self.session.dialect() == Dialect::Lines => self.join(socket, None, cx),
            None => self.join(socket, None, cx),
            Some(Auth::Value(auth)) => self.join(socket, Some(auth), cx),
            Some(Auth::Function(ask)) => {
                let ask = Arc::clone(ask);
                let timeout = self.shared.settings().timeout;
                self.joins.0.push(Asking {
                    socket: Arc::clone(socket),
                    auth: Box::pin(caught(async move { ask().await }, "auth")),
                    due: timeout.and_then(|timeout| now().checked_add(timeout)),
                });
                // It is polled in this turn.
            }
        }
    }

    /// The application has not said in time what a socket is to say about itself. The attempt has failed, and one that is
    /// to be connected in any case begins the next one, as the server has not been asked.
    pub(super) fn handle_silent_auth(&mut self, socket: &Arc<ClientSocket>, cx: &mut Context<'_>) {
        let comes_back = self.comes_back();
        let tell = Arc::clone(socket).handle_failure(&ConnectError::Timeout, comes_back);
        let begins_anew = socket.lock().membership.is_joining();
        match begins_anew {
            true => self.begin_join(socket, cx),
            false => self.leave(socket),
        }
        if let Some(tell) = tell {
            tell();
        }
        // What is asked anew has to be polled.
        cx.waker().wake_by_ref();
    }

    /// Goes on with the sockets whose application has said what they are to say.
    pub(super) fn poll_joins(&mut self, cx: &mut Context<'_>) {
        while let Some((socket, auth)) = self.joins.poll_next(cx) {
            if !socket.lock().membership.is_joining() {
                self.leave(&socket);
                continue;
            }
            match auth {
                Ok(auth) if auth.is_object() || auth.is_null() => {
                    self.join(&socket, Some(&auth), cx);
                }
                Ok(_) => self.refuse(&socket, &ConfigError::AuthShape.into()),
                Err(error) => self.refuse(&socket, &error),
            }
        }
    }

    /// Asks the server to let a socket in.
    fn join(&mut self, socket: &Arc<ClientSocket>, auth: Option<&Value>, cx: &mut Context<'_>) {
        match self.stays.join(socket, socket.namespace(), now()) {
            Join::Ask => self.send_request(socket, auth),
            Join::Expect => {}
            Join::Joined(key) => self.handle_connected(key, None, None, cx),
            Join::PutOff => socket.lock().membership.put_off(),
            Join::Refused(error) => self.refuse(socket, &error),
        }
    }

    fn send_request(&self, socket: &ClientSocket, auth: Option<&Value>) {
        let resume = socket.lock().membership.recovery().resume();
        let recovery = resume.as_ref().map(|(pid, offset)| (&**pid, &**offset));
        with_buffers(|buffers| {
            let start = encode_connect_request(
                &mut buffers.text,
                HEADROOM,
                self.stays.proto.revision(),
                socket.namespace(),
                None,
                auth,
                recovery,
            );
            let start = start.expect("an object can be encoded");
            let peer = self.shared.config.peer(&self.session);
            let _ = send(peer, buffers, start, SendOptions::CONTROL);
        });
    }

    /// A socket cannot even ask.
    fn refuse(&mut self, socket: &Arc<ClientSocket>, error: &ConnectError) {
        socket.handle_refused(error);
        self.close_if_unwanted();
    }

    /// Leaves a namespace that the server has let us into after nobody wanted it any more.
    pub(super) fn send_disconnect(&self, key: NamespaceKey) {
        if let Some(namespace) = self.stays.proto.namespace(key) {
            packet::leave(self.shared.config.peer(&self.session), namespace);
        }
    }
}
