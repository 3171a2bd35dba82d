//! How a peer gets into a namespace: there has to be one, its middlewares have to agree, and then it is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sockeye_engine::{HEADROOM, Revision, SendOptions};
use sockeye_events::names::CONNECT;
use sockeye_events::{Event, EventError, EventErrorKind, EventSocket, Refusal};
use sockeye_link::Next;
use sockeye_link::middleware::{self, Verdict};
use sockeye_link::packet::{self, with_buffers};
use sockeye_socket_proto::{
    Args, NamespaceKey, encode_connect_accepted, encode_connect_error, encode_invalid_namespace,
};

use super::Connection;
use crate::handshake::{auth_of_query, legacy_id};
use crate::namespace::SharedFamily;
use crate::namespaces::{Entrance, NoEntrance};
use crate::{Handshake, Namespace, Socket, trace};

/// What somebody is still thinking about.
pub(super) type Joins = FuturesUnordered<Joining>;

/// Somebody is thinking about a namespace that the peer wants to join.
pub(super) enum Joining {
    /// Whether there is such a namespace.
    Choosing(Applicant, BoxFuture<'static, Option<SharedFamily>>),
    /// The namespace's middlewares, whether the socket may.
    Deciding(Socket, Verdict),
}

/// What there is of a socket before it is known whether there is its namespace.
#[derive(Clone)]
pub(super) struct Applicant {
    key: NamespaceKey,
    name: Box<str>,
    handshake: Handshake,
}

/// A thought has come to its end.
pub(super) enum Thought {
    Chosen(Applicant, Option<SharedFamily>),
    Decided(Socket, Next),
}

impl Connection {
    pub(super) fn handle_connect(
        &mut self,
        key: NamespaceKey,
        name: &str,
        query: Option<&str>,
        auth: Option<&str>,
        cx: &mut Context<'_>,
    ) {
        let of_query = query.and_then(auth_of_query);
        let auth = of_query.as_deref().or(auth);
        let handshake = Handshake::new(Arc::clone(&self.link.request), auth);
        let entrance = self.server.namespaces().enter(name, || handshake.clone());
        match entrance {
            Entrance::Open(namespace) => self.join(key, namespace, handshake, cx),
            Entrance::Closed(why) => self.turn_away(key, name, why),
            Entrance::Asked(mut choice) => {
                let applicant = Applicant {
                    key,
                    name: name.into(),
                    handshake,
                };
                match choice.as_mut().poll(cx) {
                    Poll::Ready(family) => self.finish_choice(applicant, family, cx),
                    Poll::Pending => self.think(Joining::Choosing(applicant, choice), cx),
                }
            }
        }
    }

    /// It is known what kind of namespace it is that the peer wants to join.
    fn finish_choice(
        &mut self,
        applicant: Applicant,
        family: Option<SharedFamily>,
        cx: &mut Context<'_>,
    ) {
        let Applicant {
            key,
            name,
            handshake,
        } = applicant;
        let namespaces = self.server.namespaces();
        let entrance = family
            .ok_or(NoEntrance::Unknown)
            .and_then(|family| namespaces.enter_family(&name, &family));
        match entrance {
            Ok(namespace) => self.join(key, namespace, handshake, cx),
            Err(why) => self.turn_away(key, &name, why),
        }
    }

    /// There is no namespace for the peer.
    fn turn_away(&mut self, key: NamespaceKey, name: &str, why: NoEntrance) {
        self.proto.refuse(key);
        match why {
            NoEntrance::Unknown => {
                trace::no_namespace(name, "there is no such namespace");
                self.send(|buf| encode_invalid_namespace(buf, HEADROOM, name));
            }
            NoEntrance::Full => {
                trace::no_namespace(name, "there are too many namespaces");
                self.send_refusal(name, &Refusal::new("Too many namespaces"));
            }
        }
    }

    /// The peer wants to join a namespace that is there.
    fn join(
        &mut self,
        key: NamespaceKey,
        namespace: Namespace,
        handshake: Handshake,
        cx: &mut Context<'_>,
    ) {
        let id = match self.link.session.revision() {
            Revision::V3 => legacy_id(&self.link.session, namespace.name()),
            Revision::V4 => match sockeye_engine::SessionId::random() {
                Ok(id) => id.as_str().into(),
                Err(error) => {
                    tracing::error!(%error, "no random socket id");
                    self.proto.refuse(key);
                    return;
                }
            },
        };
        let middlewares = namespace.middlewares();
        let socket = Socket::new(id, namespace, Arc::clone(&self.link), handshake, key);
        socket.enter();
        if middlewares.is_empty() {
            self.finish_join(&socket, Next::Pass, cx);
            return;
        }
        let verdict = middleware::ask(
            middlewares,
            socket.clone(),
            CONNECT.to_owned(),
            Args::empty(),
            None,
        );
        let mut verdict: Verdict = Box::pin(verdict);
        match verdict.as_mut().poll(cx) {
            Poll::Ready(next) => self.finish_join(&socket, next, cx),
            Poll::Pending => self.think(Joining::Deciding(socket, verdict), cx),
        }
    }

    fn think(&mut self, joining: Joining, cx: &mut Context<'_>) {
        self.joining.get_or_insert_default().push(joining);
        // The set polls it again, with a waker of its own.
        cx.waker().wake_by_ref();
    }

    /// The middlewares have decided.
    pub(super) fn finish_join(&mut self, socket: &Socket, next: Next, cx: &mut Context<'_>) {
        match next {
            Next::Pass | Next::Rewrite(..) => self.admit(socket, cx),
            Next::Drop => self.refuse(socket, &Refusal::new("Forbidden")),
            Next::Refuse(refusal) => self.refuse(socket, &refusal),
        }
    }

    fn refuse(&mut self, socket: &Socket, refusal: &Refusal) {
        trace::refused(socket, refusal);
        self.proto.refuse(socket.key());
        if refusal.cause().is_some() {
            // The peer is not told what it is, so that somebody else has to be.
            let error = EventErrorKind::Middleware(refusal.clone());
            socket.report(EventError::new(CONNECT, error));
        }
        socket.exit();
        if socket.speaks_lines() {
            packet::refuse(self.peer(), socket.namespace().name(), refusal);
            self.link.session.close();
            return;
        }
        self.send_refusal(socket.namespace().name(), refusal);
    }

    fn send_refusal(&self, name: &str, refusal: &Refusal) {
        let revision = self.proto.revision();
        let (message, data) = (refusal.message(), refusal.data());
        self.send(|buf| {
            encode_connect_error(buf, HEADROOM, revision, name, message, data)
                .expect("a json value can always be encoded")
        });
    }

    pub(super) fn admit(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        if !self.accept(socket) {
            // It was disconnected before it had joined.
            self.refuse(socket, &Refusal::new("Forbidden"));
            return;
        }
        let key = socket.key();
        self.proto.accept(key);
        trace::connected(socket);
        self.link.session.pause_on_connect();
        self.inbox.insert(key, socket.clone());
        self.inbox.dispatch(&Event::local(socket, CONNECT), cx);
    }

    /// Lets the socket in and tells the peer, in one step: what others send to the socket, or the end of its
    /// stay, comes behind that. False if somebody has disconnected it.
    fn accept(&self, socket: &Socket) -> bool {
        if socket.speaks_lines() {
            return socket.set_connected();
        }
        let revision = self.proto.revision();
        let name = socket.namespace().name();
        let mut is_accepted = false;
        with_buffers(|buffers| {
            let text = &mut buffers.text;
            let start = encode_connect_accepted(text, HEADROOM, revision, name, socket.id(), None);
            let options = SendOptions::CONTROL;
            let _ = packet::send_if(self.peer(), buffers, start, options, || {
                is_accepted = socket.set_connected();
                is_accepted
            });
        });
        is_accepted
    }

    /// Goes on with joins; ready when there are none.
    pub(super) fn poll_joining(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(joining) = &mut self.joining {
            match joining.poll_next_unpin(cx) {
                Poll::Ready(Some(Thought::Decided(socket, next))) => {
                    self.finish_join(&socket, next, cx);
                }
                Poll::Ready(Some(Thought::Chosen(applicant, family))) => {
                    self.finish_choice(applicant, family, cx);
                }
                Poll::Ready(None) => self.joining = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl Joining {
    /// The connection has ended before.
    pub(super) fn give_up(&self) {
        match self {
            Self::Choosing(..) => {}
            Self::Deciding(socket, _) => socket.exit(),
        }
    }
}

impl Future for Joining {
    type Output = Thought;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Thought> {
        match &mut *self {
            Self::Choosing(applicant, choice) => {
                let family = ready!(choice.as_mut().poll(cx));
                Poll::Ready(Thought::Chosen(applicant.clone(), family))
            }
            Self::Deciding(socket, verdict) => {
                let next = ready!(verdict.as_mut().poll(cx));
                Poll::Ready(Thought::Decided(socket.clone(), next))
            }
        }
    }
}
