//! What the client does with one session: its sockets join their namespaces, events come and go,
//! and at its end everyone is told.

mod join;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use sockeye_dial::Opened;
use sockeye_engine::{CloseReason, Dialect, Incoming, Packet, SessionHandle, TransportKind};
use sockeye_events::names::{CLOSE, CONNECT, DISCONNECT, DRAIN, END, HEARTBEAT, PACKET};
use sockeye_events::{
    DisconnectDetail, DisconnectReason, Event, EventError, EventErrorKind, EventSocket, Often,
};
use sockeye_link::{
    EnginePacket, Inbox, Said, disconnect_reason, packet, read_line, received, refusal,
    socket_revision, wants_packets,
};
use sockeye_socket_proto::parser::Decoder;
use sockeye_socket_proto::{
    ClientConnection, ClientInput, NamespaceKey, SocketRevision, Violation,
};
use tokio::sync::oneshot;

use crate::clock::now;
use crate::life::recovery::Recovery;
use crate::life::retry::RetryQueue;
use crate::life::stays::Stays;
use crate::socket::ClientSocket;
use crate::socket::shared::ClientCore;
use crate::{ClientEvent, ConnectError, Socket};
use join::Joins;

/// The upper layer of one session, owned by the session's driver.
pub(crate) struct Connection {
    shared: Arc<ClientCore>,
    session: SessionHandle,
    /// The session's id, from which those of old servers' sockets are derived.
    sid: String,
    stays: Stays<Arc<ClientSocket>>,
    /// What reads the server's packets, if these have another format than the standard one.
    decoder: Option<Box<dyn Decoder>>,
    inbox: Inbox<Socket>,
    joins: Joins,
    /// Sockets that are in, but still have kept events to send: the outbox was full.
    flushing: Vec<NamespaceKey>,
    /// Why the sockets are disconnected, where it is this side that closes the session.
    verdict: Option<DisconnectReason>,
    /// The sockets that were connected to the end, until the connection is gone altogether.
    left: Vec<(Socket, DisconnectReason)>,
    /// What else is known of the end of the session.
    detail: DisconnectDetail,
    /// Told when it is over, and gone then.
    ended: Option<oneshot::Sender<DisconnectReason>>,
}

impl Connection {
    /// The connection of a session that was just opened; `ended` is told when it is over.
    pub(crate) fn new(
        shared: &Arc<ClientCore>,
        opened: &Opened,
        ended: oneshot::Sender<DisconnectReason>,
    ) -> Self {
        let revision = socket_revision(opened.dialect, opened.revision);
        let mut proto = ClientConnection::new(revision, &shared.config.connection);
        if packet::is_on_stream(&opened.session) {
            proto = proto.with_peer_errors();
        }
        if let Some(due) = opened.heartbeat_due {
            shared.heartbeat.expect(due, now());
        }
        Self {
            shared: Arc::clone(shared),
            session: opened.session.clone(),
            sid: opened.sid.clone(),
            stays: Stays::new(
                proto,
                opened.dialect == Dialect::Lines,
                shared.settings().timeout,
            ),
            decoder: shared
                .config
                .peer(&opened.session)
                .decoder(&shared.config.connection),
            inbox: Inbox::new(Arc::clone(&shared.inbox_limits)),
            joins: Joins::default(),
            flushing: Vec::new(),
            verdict: None,
            left: Vec::new(),
            detail: DisconnectDetail::default(),
            ended: Some(ended),
        }
    }

    fn handle_result(
        &mut self,
        result: Result<Option<ClientInput<'_>>, Violation>,
        cx: &mut Context<'_>,
    ) {
        match result {
            Ok(None) => {}
            Ok(Some(input)) => self.handle_input(input, cx),
            Err(violation) => self.handle_violation(&violation),
        }
    }

    fn handle_input(&mut self, input: ClientInput<'_>, cx: &mut Context<'_>) {
        match input {
            ClientInput::Event { key, name, .. }
                if name == packet::ERROR && packet::is_on_stream(&self.session) =>
            {
                let said = "the event name \"error\" is reserved on this transport";
                self.report_to(key, EventErrorKind::Undecodable(said.into()));
            }
            ClientInput::Event {
                key,
                name,
                args,
                ack_id,
            } => {
                tracing::debug!(
                    namespace = self.stays.proto.namespace(key),
                    event = %name,
                    bytes = args.as_raw().as_json().len(),
                    wants_ack = ack_id.is_some(),
                    "event"
                );
                // What a recovered session has missed comes before the answer.
                let is_in = self.inbox.socket(key).is_some();
                if !is_in || self.flushing.contains(&key) {
                    if let Err(error) = self.inbox.hold(key, name, args, ack_id) {
                        tracing::debug!(%error, "closing");
                        self.forget_session(key);
                        self.close_as(CloseReason::TransportError, &error);
                    }
                    return;
                }
                self.inbox.deliver(key, name, args, ack_id, cx);
            }
            ClientInput::Ack { key, id, args } => {
                if let Some(socket) = self.inbox.socket(key) {
                    if self.stays.proto.uses_counted_acks() {
                        socket.inner().handle_counted_acks();
                    }
                    socket.handle_ack(id, || args.into_args());
                }
            }
            ClientInput::Connected {
                key,
                sid,
                pid,
                offset,
            } => {
                let recovery = pid.as_deref().map(|pid| (pid, offset.as_deref()));
                self.handle_connected(key, sid.as_deref(), recovery, cx);
            }
            ClientInput::TooOld { key } => self.handle_old_server(key),
            ClientInput::Refused { key, message, data } => {
                let refusal = refusal(&message, data);
                let is_main = self.stays.proto.namespace(key) == Some("/");
                if is_main && self.stays.proto.revision() == SocketRevision::V4 {
                    self.report(|| EventErrorKind::Peer(refusal.clone()));
                    self.stays.handle_main_refused(refusal.clone(), now());
                }
                self.handle_refused(key, &ConnectError::Refused(refusal), cx);
            }
            ClientInput::Error { key, message, data } => {
                self.report_to(key, EventErrorKind::Peer(refusal(&message, data)));
            }
            ClientInput::ErrorOfAll {
                message,
                data,
                refused,
            } => {
                let refusal = refusal(&message, data);
                self.report(|| EventErrorKind::Peer(refusal.clone()));
                if refused {
                    self.stays.handle_main_refused(refusal, now());
                }
            }
            ClientInput::Disconnected { key } => {
                self.inbox.keep_queued(key);
                let reason = DisconnectReason::IoServerDisconnect;
                self.handle_left(key, reason, false);
                self.close_if_unwanted();
            }
            ClientInput::Abandoned { key } => {
                self.send_disconnect(key);
                // The namespace may be asked for again, which had to wait for this.
                self.reconcile(cx);
            }
        }
    }

    /// The server has let a socket in.
    fn handle_connected(
        &mut self,
        key: NamespaceKey,
        sid: Option<&str>,
        recovery: Option<(&str, Option<&str>)>,
        cx: &mut Context<'_>,
    ) {
        let Some(inner) = self.stays.handle_answer(key) else {
            return;
        };
        let id = match (sid, self.session.dialect(), inner.namespace()) {
            (Some(sid), ..) => Some(Arc::from(sid)),
            (None, Dialect::Lines, _) => own_id(),
            (None, Dialect::Packets, "/") => Some(self.sid.as_str().into()),
            (None, Dialect::Packets, name) => Some(format!("{name}#{}", self.sid).into()),
        };
        inner.handle_connected(id, recovery, self.stays.proto.uses_counted_acks());
        let socket = Socket::of_session(inner, self.session.clone());
        self.inbox.insert(key, socket);
        self.finish_connect(key, cx);
    }

    /// Sends what was kept for the connection; when all of it is sent, the socket is connected.
    ///
    /// The events that were missed come after that, though the JavaScript client has them before:
    /// their handlers find a socket that is connected and can answer, and what they emit does not
    /// overtake what was kept, as it does there.
    fn finish_connect(&mut self, key: NamespaceKey, cx: &mut Context<'_>) {
        let Some(socket) = self.inbox.socket(key).cloned() else {
            return;
        };
        if !socket.flush(&self.session) {
            self.flushing.push(key);
            return;
        }
        self.inbox.release(key, cx);
        socket.send_next();
        tracing::info!(
            namespace = socket.namespace(),
            transport = self.session.transport().name(),
            "connected"
        );
        let tell = socket.inner().finish_connect();
        socket.dispatch_own(&Event::local(&socket, CONNECT));
        tell();
    }

    fn handle_refused(&mut self, key: NamespaceKey, error: &ConnectError, cx: &mut Context<'_>) {
        self.leave_if_unwanted(key);
        let is_connected = |socket: &&Arc<ClientSocket>| socket.session().is_some();
        if let Some(socket) = self.stays.socket(key).filter(is_connected) {
            // No server refuses who is in. The original client tells the error only, and lets whoever waits for an
            // answer wait; here it is the end of the stay as well.
            let socket = Arc::clone(socket);
            self.inbox.keep_queued(key);
            self.handle_left(key, DisconnectReason::IoServerDisconnect, false);
            socket.tell_connect_error(error);
            return self.close_if_unwanted();
        }
        self.inbox.remove(key);
        self.flushing.retain(|other| *other != key);
        match self.stays.handle_ended(key) {
            Some(socket) => {
                socket.handle_refused(error);
                // Kept events may have been sent already.
                socket.fail_acks();
                self.close_if_unwanted();
            }
            // The attempt was given up, and the next one had to wait for this.
            None => self.reconcile(cx),
        }
    }

    /// The server has let a socket in, but speaks an older protocol than it was asked in: there may
    /// be another server behind the URL next time, so that this is no refusal.
    fn handle_old_server(&mut self, key: NamespaceKey) {
        if let Some(socket) = self.stays.handle_answer(key) {
            let error = ConnectError::Namespace(TOO_OLD.into());
            self.fail_attempt(&socket, error);
            self.close_if_unwanted();
        }
    }

    /// A socket is not in its namespace any more; its handlers and whoever waits are told.
    fn handle_left(&mut self, key: NamespaceKey, reason: DisconnectReason, stays_active: bool) {
        self.leave_if_unwanted(key);
        self.inbox.remove(key);
        self.flushing.retain(|other| *other != key);
        if let Some(socket) = self.stays.handle_ended(key) {
            self.end_stay(socket, reason, stays_active);
        }
    }

    /// A socket is not connected any more, or will not be over this session.
    fn end_stay(
        &mut self,
        socket: Arc<ClientSocket>,
        reason: DisconnectReason,
        stays_active: bool,
    ) {
        let error = ConnectError::Ended(reason);
        let was_connected = socket.session().is_some();
        if !socket.handle_left(&error, stays_active) {
            return;
        }
        socket.fail_acks();
        // Who is not connected hears of the error itself, too (reference, features-client §4.3,
        // §4.5). Other ends are none.
        if !was_connected && reason == DisconnectReason::TransportError {
            socket.tell_connect_error(&error);
        }
        self.tell_disconnect(socket, reason);
    }

    /// What the server says of a socket that was disconnected by this side just now is about
    /// something that is over.
    fn leave_if_unwanted(&mut self, key: NamespaceKey) {
        if let Some(socket) = self.stays.socket(key) {
            let socket = Arc::clone(socket);
            self.leave(&socket);
        }
    }

    fn tell_disconnect(&mut self, socket: Arc<ClientSocket>, reason: DisconnectReason) {
        tracing::info!(namespace = socket.namespace(), %reason, "disconnected");
        let socket = Socket::of_session(socket, self.session.clone());
        let event = Event::disconnect(&socket, DISCONNECT, reason);
        socket.dispatch_own(&event.with_detail(&self.detail));
        // Who has come and gone more than once is told of the end of the connection once.
        self.left
            .retain(|(other, _)| !Arc::ptr_eq(other.inner(), socket.inner()));
        self.left.push((socket, reason));
    }

    /// More was missed than may be held. It would be so again, and for ever, if the socket came
    /// back with the same offset: it gets a new session, and knows that it has missed something.
    fn forget_session(&self, key: NamespaceKey) {
        if let Some(socket) = self.stays.socket(key) {
            *socket.lock().membership.recovery() = Recovery::default();
        }
    }

    /// A plain server said something.
    fn handle_line(&mut self, line: &[u8], cx: &mut Context<'_>) {
        let Some(key) = self.stays.proto.find("/") else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        match read_line(line, &shared.config.lines) {
            Said::Event { name, args, ack_id } => {
                let event = ClientInput::Event {
                    key,
                    name,
                    args,
                    ack_id,
                };
                self.handle_input(event, cx);
            }
            Said::Ack { id, args } => self.handle_input(ClientInput::Ack { key, id, args }, cx),
            Said::Error { kind, close } => {
                if close {
                    self.close_for(&kind);
                }
                self.report_to(key, kind);
            }
            Said::Nothing => {}
        }
    }

    /// A server with another parser said something.
    fn handle_foreign(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        let Some(decoder) = &mut self.decoder else {
            return;
        };
        match decoder.decode(received(message)) {
            Ok(None) => {}
            Ok(Some(packet)) => {
                let result = self.stays.proto.handle_packet(&packet);
                self.handle_result(result, cx);
            }
            Err(error) => self.handle_violation(&error.into()),
        }
    }

    fn handle_violation(&mut self, violation: &Violation) {
        tracing::debug!(%violation, "protocol violation");
        self.report(|| EventErrorKind::Undecodable(violation.to_string().into()));
        self.close_for(violation);
    }

    /// Tells the handlers of every socket what has happened to the connection.
    fn tell_all(&self, name: &str, packet: Option<&EnginePacket>) {
        for (_, socket) in self.inbox.sockets() {
            let event = Event::local(socket, name);
            socket.dispatch_stream(&match packet {
                Some(packet) => event.with_detail(packet),
                None => event,
            });
        }
    }

    /// Reports something that concerns one socket, if it is there.
    fn report_to(&self, key: NamespaceKey, kind: EventErrorKind) {
        if let Some(socket) = self.inbox.socket(key) {
            socket.report(EventError::new("error", kind));
        }
    }

    /// Reports something that concerns every socket of the connection.
    fn report(&self, kind: impl Fn() -> EventErrorKind) {
        for (_, socket) in self.inbox.sockets() {
            socket.report(EventError::new("error", kind()));
        }
    }

    /// Whether there is another session after this one.
    fn comes_back(&self) -> bool {
        self.shared.settings().reconnection.is_some()
    }

    /// The attempts of sockets that wait for the server's answer are over.
    fn handle_unanswered(&mut self, now: Instant, cx: &mut Context<'_>) {
        for socket in self.joins.take_due(now) {
            self.handle_silent_auth(&socket, cx);
        }
        for (socket, error) in self.stays.take_unanswered(now) {
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
    fn fail_attempt(&mut self, socket: &Arc<ClientSocket>, error: ConnectError) {
        let tell = Arc::clone(socket).handle_failure(&error, self.comes_back());
        if socket.is_active() {
            let namespace = socket.namespace();
            self.stays.expect_again(socket, namespace, error, now());
        } else {
            self.leave(socket);
        }
        if let Some(tell) = tell {
            tell();
        }
    }

    /// What the server has sent cannot be understood.
    fn close_for(&mut self, error: &dyn fmt::Display) {
        self.close_as(CloseReason::ParseError, error);
    }

    fn close_as(&mut self, reason: CloseReason, error: &dyn fmt::Display) {
        self.detail.note(format_args!("{error}"));
        self.verdict
            .get_or_insert_with(|| disconnect_reason(reason));
        self.session.abort(reason, reason.as_str());
    }

    /// Closes the session if no socket wants it any more.
    fn close_if_unwanted(&mut self) {
        if self.stays.close_if(!self.shared.is_wanted()) {
            self.session.close();
        }
    }

    /// Goes on with kept events if the outbox has room again, and is woken when it has otherwise.
    fn poll_flushing(&mut self, cx: &mut Context<'_>) {
        let session = self.session.clone();
        if !matches!(pin!(session.ready()).poll(cx), Poll::Ready(Ok(()))) {
            return;
        }
        for key in std::mem::take(&mut self.flushing) {
            self.finish_connect(key, cx);
        }
        if !self.flushing.is_empty() {
            // Once more, to wait for room.
            cx.waker().wake_by_ref();
        }
    }

    /// Goes on with events that are sent until they are acknowledged, if they wait for the outbox
    /// to have room.
    ///
    /// Not in tasks of their own: who emits may do so in a runtime that is gone before there is.
    fn poll_room(&self, cx: &mut Context<'_>) {
        let waits = |queue: &RetryQueue| queue.waits_for_room();
        let waiting = self
            .retrying()
            .filter(|socket| socket.inner().lock().retry.as_ref().is_some_and(waits));
        let waiting: Vec<_> = waiting.cloned().collect();
        if waiting.is_empty() || !matches!(pin!(self.session.ready()).poll(cx), Poll::Ready(Ok(())))
        {
            return;
        }
        for socket in waiting {
            socket.handle_room();
        }
    }

    fn retry_deadline(&self) -> Option<Instant> {
        self.retrying()
            .filter_map(|socket| socket.inner().lock().retry.as_ref()?.deadline())
            .min()
    }

    /// The sockets whose events are sent until they are acknowledged.
    fn retrying(&self) -> impl Iterator<Item = &Socket> {
        let sockets = self.inbox.sockets().map(|(_, socket)| socket);
        sockets.filter(|socket| socket.inner().config.retries.is_some())
    }
}

impl sockeye_engine::Connection for Connection {
    fn handle_message(&mut self, message: Incoming<'_>, cx: &mut Context<'_>) {
        if self.verdict.is_some() {
            return;
        }
        if self.decoder.is_some() {
            return self.handle_foreign(message, cx);
        }
        match message {
            Incoming::Binary(line) if self.session.dialect() == Dialect::Lines => {
                self.handle_line(line, cx);
            }
            Incoming::Text(text) => {
                let result = self.stays.proto.handle_text(text);
                self.handle_result(result, cx);
            }
            binary => {
                let result = self.stays.proto.handle_binary(binary.into_bytes());
                self.handle_result(result, cx);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended.is_none() {
            return self.inbox.poll(cx);
        }
        if self.shared.take_dirty() {
            self.reconcile(cx);
        }
        self.poll_joins(cx);
        if !sockeye_engine::Connection::is_ready(self) {
            // The heartbeat may lie unread. The next one that is read counts again.
            self.shared.heartbeat.forget();
        }
        if !self.flushing.is_empty() {
            self.poll_flushing(cx);
        }
        self.poll_room(cx);
        self.inbox.poll(cx)
    }

    fn is_ready(&self) -> bool {
        // Events that come while kept ones are still being sent are held, and how long that takes is
        // for this side to say: the server can wait, while an overflow would end the connection.
        self.inbox.has_room() && (self.flushing.is_empty() || self.inbox.may_hold())
    }

    fn is_unfinished(&self) -> bool {
        let decoder = self.decoder.as_deref();
        self.stays.proto.is_unfinished() || decoder.is_some_and(Decoder::is_unfinished)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let auth = self.joins.deadline();
        let (retry, answer) = (self.retry_deadline(), self.stays.deadline());
        retry.into_iter().chain(answer).chain(auth).min()
    }

    fn handle_timeout(&mut self, now: Instant, cx: &mut Context<'_>) {
        self.handle_unanswered(now, cx);
        let sockets: Vec<_> = self
            .inbox
            .sockets()
            .map(|(_, socket)| socket.clone())
            .collect();
        for socket in sockets {
            socket.handle_retry_timeout(now);
        }
    }

    fn handle_undecodable(&mut self, error: &dyn fmt::Display, _cx: &mut Context<'_>) {
        self.report(|| EventErrorKind::Undecodable(error.to_string().into()));
    }

    fn handle_end(&mut self, _cx: &mut Context<'_>) {
        self.tell_all(END, None);
    }

    fn handle_drain(&mut self, _cx: &mut Context<'_>) {
        self.tell_all(DRAIN, None);
    }

    fn handle_upgrade(&mut self, transport: TransportKind, _cx: &mut Context<'_>) {
        self.shared.hooks.tell(&ClientEvent::Upgrade(transport));
    }

    fn handle_gone(&mut self, _cx: &mut Context<'_>) {
        for (socket, reason) in std::mem::take(&mut self.left) {
            socket.dispatch_stream(
                &Event::disconnect(&socket, CLOSE, reason).with_detail(&self.detail),
            );
        }
    }

    fn wants_packets(&self) -> bool {
        wants_packets(self.inbox.sockets().map(|(_, socket)| socket))
    }

    fn handle_packet(&mut self, packet: &Packet<'_>, _cx: &mut Context<'_>) {
        if self.wants_packets() {
            let packet = EnginePacket::of(packet);
            self.tell_all(PACKET, Some(&packet));
        }
    }

    fn handle_heartbeat(&mut self, due: Option<Instant>, _cx: &mut Context<'_>) {
        if self.session.revision() == sockeye_engine::Revision::V4
            && let Some(due) = due
        {
            self.shared.heartbeat.expect(due, now());
            self.shared.hooks.tell(&ClientEvent::Ping);
        }
        if Often::Heartbeat.is_wanted() {
            self.tell_all(HEARTBEAT, None);
        }
    }

    fn handle_progress(&mut self, due: Instant) {
        // Clients of revision 3 wait for no heartbeat that they could have slept through.
        if self.session.revision() == sockeye_engine::Revision::V4 {
            self.shared.heartbeat.expect(due, now());
        }
    }

    fn note(&mut self, cause: fmt::Arguments<'_>) {
        self.detail.note(cause);
    }

    fn handle_close(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        self.shared.heartbeat.forget();
        self.inbox.close();
        let reason = self.verdict.unwrap_or_else(|| disconnect_reason(reason));
        if let Some(ended) = self.ended.take() {
            let _ = ended.send(reason);
        }
        self.joins.clear();
        self.stays.clear_answers();
        // Those first that were disconnected by this side: they have their own reason.
        for socket in self.shared.sockets() {
            self.leave(socket.inner());
        }
        let comes_back = self.comes_back();
        for key in self.stays.keys() {
            self.handle_left(key, reason, comes_back);
        }
        // A socket that was still asking what to say about itself.
        for socket in self.shared.sockets() {
            self.end_stay(Arc::clone(socket.inner()), reason, comes_back);
        }
        // What waits goes on by itself: the next connection does not wait for it.
        let mut inbox = self.inbox.take_rest();
        if inbox.poll(cx).is_pending() {
            tokio::spawn(async move { std::future::poll_fn(|cx| inbox.poll(cx)).await });
        }
    }
}

/// What those are told who wait for a server that [is too old](ClientInput::TooOld).
const TOO_OLD: &str = "the server speaks Socket.IO 2 or older: its connect packet has no socket id";

/// An id for a socket whose server gives none.
fn own_id() -> Option<Arc<str>> {
    let id = sockeye_engine::SessionId::random().ok()?;
    Some(id.as_str().into())
}
