//! How a peer gets into a namespace: there has to be one, its middlewares have to agree, and then it is told.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use sockeye_adapter::LoggedEvent;
use sockeye_engine::{CloseReason, Dialect, HEADROOM, Revision, SendOptions, SessionId};
use sockeye_events::names::CONNECT;
use sockeye_events::{Event, EventError, EventErrorKind, EventSocket, Refusal};
use sockeye_link::middleware::{self, Verdict};
use sockeye_link::packet::{self, with_buffers};
use sockeye_link::{Encoded, Next};
use sockeye_meter as meter;
use sockeye_socket_proto::{
    Args, NamespaceKey, encode_connect_accepted, encode_connect_error, encode_invalid_namespace,
};
use tokio::sync::oneshot;

use super::ServerConnection;
use crate::handshake::{auth_of_query, legacy_id};
use crate::namespace::SharedFamily;
use crate::namespaces::{Entrance, Made, Namespaces, NoEntrance};
use crate::recovery::{Recovery, Returning, Shown, Stay};
use crate::{Handshake, Namespace, Socket, trace};

/// What somebody is still thinking about.
pub(super) type Joins = FuturesUnordered<Joining>;

/// Somebody is thinking about a namespace that the peer wants to join.
pub(super) enum Joining {
    /// Whether there is such a namespace.
    Choosing(Applicant, BoxFuture<'static, Option<SharedFamily>>),
    /// The namespace, or its cluster, whether the peer was here before.
    Claiming(Option<Box<Wish>>, oneshot::Receiver<Returning>),
    /// The namespace's middlewares, whether the socket may.
    Deciding(Option<Entering>, Verdict),
}

/// What there is of a socket before it is known whether there is its namespace.
#[derive(Clone)]
pub(super) struct Applicant {
    key: NamespaceKey,
    name: Box<str>,
    handshake: Handshake,
}

/// What there is of a socket before it is known whether it was here before.
pub(super) struct Wish {
    key: NamespaceKey,
    namespace: Namespace,
    handshake: Handshake,
}

/// A socket on its way in.
pub(super) struct Entering {
    pub(super) socket: Socket,
    /// What was kept of it, if it was here before.
    pub(super) returning: Option<Box<Returning>>,
}

/// A thought has come to its end.
pub(super) enum Thought {
    Chosen(Applicant, Option<SharedFamily>),
    Claimed(Box<Wish>, Option<Box<Returning>>),
    Decided(Entering, Next),
}

const ONCE: &str = "a future is not polled any more when it is ready";

impl ServerConnection {
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
        if auth.is_some_and(|auth| !self.may_keep(auth)) {
            self.turn_away(key, name, NoEntrance::Auth);
            return;
        }
        let handshake = Handshake::new(Arc::clone(&self.link.request), auth);
        let entrance = self.making(|namespaces, made| {
            let handshake = || handshake.clone();
            namespaces.enter(name, made, handshake)
        });
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
        let entrance = family.ok_or(NoEntrance::Unknown).and_then(|family| {
            self.making(|namespaces, made| namespaces.enter_family(&name, &family, made))
        });
        match entrance {
            Ok(namespace) => self.join(key, namespace, handshake, cx),
            Err(why) => self.turn_away(key, &name, why),
        }
    }

    /// Gives what the peer has made of the namespaces to whoever may make one more for it.
    fn making<R>(&mut self, make: impl FnOnce(&Namespaces, &mut Made) -> R) -> R {
        let mut made = Made::default();
        if let Some(seldom) = &mut self.seldom {
            made = std::mem::take(&mut seldom.made);
        }
        let result = make(self.server.namespaces(), &mut made);
        if !made.is_empty() {
            self.seldom.get_or_insert_default().made = made;
        }
        result
    }

    /// Whether there is room for this beside the `auth` of the sockets that are in, and of those that want to be. It is
    /// summed up when more comes, as idle connections are not to keep a number for it.
    fn may_keep(&self, auth: &str) -> bool {
        let sockets = self.inbox.sockets();
        let of_sockets = sockets.map(|(_, socket)| socket.handshake());
        let joins = self.joining.iter().flat_map(|joins| joins.iter());
        let kept: usize = of_sockets
            .chain(joins.filter_map(Joining::handshake))
            .map(Handshake::auth_bytes)
            .sum();
        kept.saturating_add(auth.len()) <= self.server.config().max_auth_bytes
    }

    /// Whether the peer may go on while somebody thinks about these: they are futures of the application, as many of which
    /// may be waiting as handlers. A plain peer does not wait to be let in, so that what it says has to.
    pub(super) fn has_room_for(&self, joins: &Joins) -> bool {
        let is_plain = self.link.session.dialect() == Dialect::Lines;
        !is_plain && joins.len() < self.server.inbox_limits().max_joins()
    }

    /// There is no namespace for the peer.
    fn turn_away(&mut self, key: NamespaceKey, name: &str, why: NoEntrance) {
        self.proto.refuse(key);
        match why {
            NoEntrance::Unknown => {
                trace::no_namespace(&self.link, name, "there is no such namespace");
                self.send(|buf| encode_invalid_namespace(buf, HEADROOM, name));
            }
            NoEntrance::Full => {
                trace::no_namespace(&self.link, name, "there are too many namespaces");
                self.send_refusal(name, &Refusal::new("Too many namespaces"));
            }
            NoEntrance::Auth => {
                trace::no_namespace(&self.link, name, "there is too much auth data");
                self.send_refusal(name, &Refusal::new("Too much auth data"));
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
        let claim = self.claim(&namespace, &handshake);
        let wish = Wish {
            key,
            namespace,
            handshake,
        };
        let Some(mut claim) = claim else {
            self.enter(wish, None, cx);
            return;
        };
        match claim.poll_unpin(cx) {
            Poll::Ready(returning) => self.enter(wish, returning.ok(), cx),
            Poll::Pending => {
                let wish = Some(Box::new(wish));
                self.think(Joining::Claiming(wish, claim), cx);
            }
        }
    }

    /// Asks for the socket that the peer was before, if it says that it was one.
    fn claim(
        &self,
        namespace: &Namespace,
        handshake: &Handshake,
    ) -> Option<oneshot::Receiver<Returning>> {
        let recovery = namespace.here().recovery()?;
        if !self.can_return() {
            return None;
        }
        Some(recovery.claim(Shown::read(handshake.auth_json())?))
    }

    /// Whether the peer knows how to come back.
    fn can_return(&self) -> bool {
        self.link.session.revision() == Revision::V4
            && self.link.session.dialect() == Dialect::Packets
    }

    /// Makes the socket, and asks the namespace's middlewares about it.
    fn enter(&mut self, wish: Wish, returning: Option<Returning>, cx: &mut Context<'_>) {
        let Wish {
            key,
            namespace,
            handshake,
        } = wish;
        let returning = returning.and_then(|returning| self.if_it_fits(&namespace, returning));
        let (id, stay) = match &returning {
            Some(returning) => {
                let kept = returning.socket();
                (Arc::clone(&kept.id), Some(Stay::again(kept)))
            }
            None => match self.new_ids(&namespace) {
                Ok(ids) => ids,
                Err(error) => {
                    tracing::error!(%error, "no random socket id");
                    self.proto.refuse(key);
                    return;
                }
            },
        };
        let config = namespace.here().recovery().map(|recovery| recovery.config);
        let is_trusted =
            returning.is_some() && config.is_some_and(|config| config.skip_middlewares);
        let middlewares = namespace.middlewares();
        let socket = Socket::new(id, namespace, Arc::clone(&self.link), handshake, key);
        if let Some(stay) = stay {
            socket.set_stay(stay);
        }
        if let Some(data) = returning
            .as_ref()
            .and_then(|returning| returning.socket().data.clone())
        {
            socket.restore_shared_data(data);
        }
        socket.enter();
        if let Some(returning) = &returning {
            socket.rejoin_all(&returning.socket().rooms);
        }
        let entering = Entering {
            socket,
            returning: returning.map(Box::new),
        };
        if is_trusted || middlewares.is_empty() {
            self.finish_join(entering, Next::Pass, cx);
            return;
        }
        let verdict = middleware::ask(
            middlewares,
            entering.socket.clone(),
            CONNECT.to_owned(),
            Args::empty(),
            None,
        );
        let mut verdict: Verdict = Box::pin(verdict);
        match verdict.as_mut().poll(cx) {
            Poll::Ready(next) => self.finish_join(entering, next, cx),
            Poll::Pending => self.think(Joining::Deciding(Some(entering), verdict), cx),
        }
    }

    /// The ids of a socket that was not here before: the public one, and the private one if it may come back.
    fn new_ids(&self, namespace: &Namespace) -> Result<(Arc<str>, Option<Stay>), getrandom::Error> {
        let id = match self.link.session.revision() {
            Revision::V3 => legacy_id(&self.link.session, namespace.name()),
            Revision::V4 => SessionId::random()?.as_str().into(),
        };
        let stay = match namespace.here().recovery() {
            Some(_) if self.can_return() => Some(Stay::first(SessionId::random()?.as_str())),
            _ => None,
        };
        Ok((id, stay))
    }

    /// Whoever has missed more than its outbox takes comes back as a new socket.
    fn if_it_fits(&self, namespace: &Namespace, returning: Returning) -> Option<Returning> {
        let session = &self.link.session;
        let room = session.outbox_limit().saturating_sub(session.queued());
        if returning.missed_bytes() <= room {
            return Some(returning);
        }
        if let Some(kept) = returning.give_up() {
            namespace.here().tell_expired(&kept);
        }
        None
    }

    fn think(&mut self, joining: Joining, cx: &mut Context<'_>) {
        self.joining.get_or_insert_default().push(joining);
        // The set polls it again, with a waker of its own.
        cx.waker().wake_by_ref();
    }

    /// The middlewares have decided.
    pub(super) fn finish_join(&mut self, entering: Entering, next: Next, cx: &mut Context<'_>) {
        let socket = &entering.socket;
        match next {
            Next::Pass | Next::Rewrite(..) => self.admit(entering, cx),
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

    pub(super) fn admit(&mut self, entering: Entering, cx: &mut Context<'_>) {
        let Entering { socket, returning } = entering;
        let is_accepted = match socket.stay().zip(socket.namespace().here().recovery()) {
            Some((stay, recovery)) => {
                self.accept_with_recovery(&socket, stay, recovery, returning.map(|it| *it))
            }
            None => self.accept(&socket, None),
        };
        if !is_accepted {
            // It was disconnected before it had joined.
            self.refuse(&socket, &Refusal::new("Forbidden"));
            return;
        }
        let key = socket.key();
        self.proto.accept(key);
        trace::connected(&socket);
        self.link.session.pause_on_connect();
        self.inbox.insert(key, socket.clone());
        self.count_sockets();
        self.inbox.dispatch(&Event::local(&socket, CONNECT), cx);
    }

    /// Lets the socket in and tells the peer, in one step: what others send to the socket, or the end of its
    /// stay, comes behind that. False if somebody has disconnected it.
    fn accept(&self, socket: &Socket, recovery: Option<(&str, Option<&str>)>) -> bool {
        if socket.speaks_lines() {
            return socket.set_connected();
        }
        let revision = self.proto.revision();
        let name = socket.namespace().name();
        let mut is_accepted = false;
        with_buffers(|buffers| {
            let text = &mut buffers.text;
            let start =
                encode_connect_accepted(text, HEADROOM, revision, name, socket.id(), recovery);
            let options = SendOptions::CONTROL;
            let _ = packet::send_if(self.peer(), buffers, start, options, || {
                is_accepted = socket.set_connected();
                is_accepted
            });
        });
        is_accepted
    }

    /// The same for one that may come back, or has: nothing goes out between what it has missed and what it is sent from
    /// now on.
    fn accept_with_recovery(
        &self,
        socket: &Socket,
        stay: &Stay,
        recovery: &Recovery,
        mut returning: Option<Returning>,
    ) -> bool {
        // What was missed may be much, and a peer may come back for it as often as it likes: whoever emits to the namespace
        // does not wait for that, but only for what has come meanwhile. Until it is let in, the socket is sent nothing else.
        let missed = returning.as_mut().map(Returning::take_missed);
        let missed = missed.unwrap_or_default();
        self.send_missed(socket, &missed);
        let order = recovery.order();
        let pid = stay.pid();
        let is_back = returning.is_some();
        let is_accepted = match returning {
            None => {
                stay.begin(recovery.last());
                self.accept(socket, Some((pid, recovery.offset().as_deref())))
            }
            // What was missed comes first, as Node's servers send it: clients hand it on before they say that they are
            // connected again.
            Some(returning) => match returning.admit() {
                Some(rest) => {
                    self.send_missed(socket, &rest);
                    if let Some(last) = rest.last().or_else(|| missed.last()) {
                        stay.sent(last.number);
                    }
                    self.accept(socket, Some((pid, None)))
                }
                None => {
                    let cause = "too much was emitted to a socket while it came back";
                    tracing::debug!("{cause}");
                    self.link.session.abort(CloseReason::TransportError, cause);
                    false
                }
            },
        };
        if is_accepted {
            recovery.arrived(pid, self.link.session.clone());
        }
        drop(order);
        if is_accepted {
            // Not under the lock, as an adapter that is told of it may count who is here.
            socket.namespace().save_early(socket, is_back);
            if is_back {
                meter::recovery(meter::Recovery::Recovered);
            }
        }
        is_accepted
    }

    fn send_missed(&self, socket: &Socket, missed: &[Arc<LoggedEvent>]) {
        if missed.is_empty() {
            return;
        }
        trace::missed(socket, missed.len());
        let (namespace, config) = (socket.namespace().name(), self.server.config());
        for event in missed {
            let limits = config.connection.bytes_out().inline(!event.binary);
            let (name, offset) = (&*event.name, &*event.offset);
            match Encoded::logged(namespace, name, &event.args, offset, limits) {
                Ok(encoded) => {
                    let messages = encoded.messages(self.peer());
                    // A session that is over is noticed by itself.
                    if self
                        .link
                        .session
                        .send(messages, SendOptions::CONTROL)
                        .is_ok()
                    {
                        meter::events_sent(1);
                    }
                }
                // It was within the limits when it was emitted, here or on another server.
                Err(error) => tracing::warn!(%error, namespace, "a missed event is dropped"),
            }
        }
    }

    /// Goes on with joins; ready when there are none.
    pub(super) fn poll_joining(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(joining) = &mut self.joining {
            match joining.poll_next_unpin(cx) {
                Poll::Ready(Some(Thought::Decided(entering, next))) => {
                    self.finish_join(entering, next, cx);
                }
                Poll::Ready(Some(Thought::Claimed(wish, returning))) => {
                    self.enter(*wish, returning.map(|returning| *returning), cx);
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
            Self::Deciding(Some(entering), _) => entering.socket.exit(),
            Self::Choosing(..) | Self::Claiming(..) | Self::Deciding(None, _) => {}
        }
    }

    /// How the peer introduces itself there; `None` once it is decided.
    fn handshake(&self) -> Option<&Handshake> {
        match self {
            Self::Choosing(applicant, _) => Some(&applicant.handshake),
            Self::Claiming(wish, _) => wish.as_ref().map(|wish| &wish.handshake),
            Self::Deciding(entering, _) => entering.as_ref().map(|it| it.socket.handshake()),
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
            Self::Claiming(wish, claim) => {
                let returning = ready!(claim.poll_unpin(cx)).ok().map(Box::new);
                Poll::Ready(Thought::Claimed(wish.take().expect(ONCE), returning))
            }
            Self::Deciding(entering, verdict) => {
                let next = ready!(verdict.as_mut().poll(cx));
                Poll::Ready(Thought::Decided(entering.take().expect(ONCE), next))
            }
        }
    }
}
