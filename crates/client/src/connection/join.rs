//! Joining and leaving namespaces.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::Value;
use sockeye_engine::{Dialect, HEADROOM, SendOptions};
use sockeye_events::DisconnectReason;
use sockeye_link::packet::{self, send, with_buffers};
use sockeye_socket_proto::{JoinError, Leaving, NamespaceKey, encode_connect_request};

use super::{Connection, Place};
use crate::config::Auth;
use crate::life::membership::Leave;
use crate::run::caught;
use crate::socket::Inner;
use crate::{ConfigError, ConnectError};

/// Sockets that wait for what they are to say about themselves.
#[derive(Default)]
pub(super) struct Joins(Vec<(Arc<Inner>, AuthFuture)>);

type AuthFuture = Pin<Box<dyn Future<Output = Result<Value, ConnectError>> + Send>>;

impl Joins {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn remove(&mut self, socket: &Arc<Inner>) {
        self.0.retain(|(other, _)| !Arc::ptr_eq(other, socket));
    }

    /// The next socket whose answer is there.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Option<(Arc<Inner>, Result<Value, ConnectError>)> {
        for (index, (_, future)) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(auth) = future.as_mut().poll(cx) {
                let (socket, _) = self.0.swap_remove(index);
                return Some((socket, auth));
            }
        }
        None
    }
}

impl Connection {
    /// Brings the connection into line with what the sockets want.
    pub(super) fn reconcile(&mut self, cx: &mut Context<'_>) {
        for socket in self.shared.sockets() {
            self.leave(&socket);
            // What is to come back while the session is being closed waits for the next one.
            if !self.closing && socket.lock().membership.begin_join() {
                self.begin_join(&socket, cx);
            }
        }
        self.close_if_unwanted();
    }

    /// Takes a socket out that does not want to be in.
    pub(super) fn leave(&mut self, socket: &Arc<Inner>) {
        let leave = socket.let_go();
        if leave == Leave::Stays {
            return;
        }
        // The packet that says so was sent when the socket was disconnected, or is when the
        // server has answered. It is missing if the server has, but kept events were still
        // being sent.
        if let Some((key, Leaving::Now)) = self.let_go(socket)
            && leave == Leave::Abandoned
        {
            self.send_disconnect(key);
        }
        socket.fail_acks();
        if leave == Leave::Left {
            let reason = DisconnectReason::IoClientDisconnect;
            self.tell_disconnect(Arc::clone(socket), reason);
        }
    }

    /// Forgets a socket that is in, or wanted to be.
    pub(super) fn let_go(&mut self, socket: &Arc<Inner>) -> Option<(NamespaceKey, Leaving)> {
        self.joins.remove(socket);
        self.answers.remove(socket);
        let mut places = self.places.iter();
        let key = places.find(|place| Arc::ptr_eq(&place.socket, socket))?.key;
        let leaving = self.proto.leave(key);
        self.inbox.remove(key);
        self.flushing.retain(|other| *other != key);
        self.take_place(key);
        Some((key, leaving))
    }

    fn begin_join(&mut self, socket: &Arc<Inner>, cx: &mut Context<'_>) {
        match &socket.config.auth {
            // Nobody is told who speaks in lines, and what the server says meanwhile must not be
            // lost.
            _ if self.session.dialect() == Dialect::Lines => self.join(socket, None, cx),
            None => self.join(socket, None, cx),
            Some(Auth::Value(auth)) => self.join(socket, Some(auth), cx),
            Some(Auth::Function(ask)) => {
                let ask = Arc::clone(ask);
                let asked = Box::pin(caught(async move { ask().await }, "auth"));
                self.joins.0.push((Arc::clone(socket), asked));
                // It is polled in this turn.
            }
        }
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
    fn join(&mut self, socket: &Arc<Inner>, auth: Option<&Value>, cx: &mut Context<'_>) {
        let namespace = socket.namespace();
        let lines = self.session.dialect() == Dialect::Lines;
        if lines && namespace != "/" {
            let text = "a server that speaks lines has no namespaces";
            return self.refuse(socket, &ConnectError::Namespace(text.into()));
        }
        let key = match self.proto.join(namespace) {
            Ok(key) => key,
            Err(JoinError::Unanswered) => {
                self.expect_answer(socket);
                return socket.lock().membership.put_off();
            }
            Err(error) => {
                let error = ConnectError::Namespace(error.to_string().into());
                return self.refuse(socket, &error);
            }
        };
        self.places.push(Place {
            key,
            socket: Arc::clone(socket),
        });
        if lines {
            // Whoever is connected is in.
            let result = self.proto.handle_text("0");
            self.handle_result(result, cx);
        } else if self.proto.is_joined(key) {
            self.handle_connected(key, None, None, cx);
        } else {
            self.expect_answer(socket);
            if self.proto.needs_request(key) {
                self.send_request(socket, auth);
            }
        }
    }

    fn send_request(&self, socket: &Inner, auth: Option<&Value>) {
        let resume = socket.lock().membership.recovery().resume();
        let recovery = resume.as_ref().map(|(pid, offset)| (&**pid, &**offset));
        with_buffers(|buffers| {
            let start = encode_connect_request(
                &mut buffers.text,
                HEADROOM,
                self.proto.revision(),
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
    fn refuse(&mut self, socket: &Arc<Inner>, error: &ConnectError) {
        socket.handle_refused(error);
        self.close_if_unwanted();
    }

    /// Leaves a namespace that the server has let us into after nobody wanted it any more.
    pub(super) fn send_disconnect(&self, key: NamespaceKey) {
        if let Some(namespace) = self.proto.namespace(key) {
            packet::leave(self.shared.config.peer(&self.session), namespace);
        }
    }
}
